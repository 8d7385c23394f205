//! Buttons and keyboards: Linux input devices, read as files.
//!
//! A device `/dev/input/event*` gives `struct input_event` of `linux/input.h`, on 64-bit systems 24 bytes: the time (16),
//! then type and code (u16 each) and value (i32) in the processor's byte order. Type 1 is a key: value 1 when it is pressed, 0 when it is
//! let go, and 2 again and again while a keyboard's is held. Devices that are plugged in later are found at the next look into the folder.
//!
//! Buttons repeat nothing, so a key that is held is told by the time since it was pressed. One hold is told once, however long it is, and
//! holds at the same time on several devices are one. It does not count if another key of the device is pressed meanwhile, if the
//! device goes, or if events of it were lost, among which its being let go may have been.

use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    io::{ErrorKind, Read},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::OFlags,
};
use shared::shown::Shown;

/// The folder of the input devices.
pub const FOLDER: &str = "/dev/input";

/// Bytes of a `struct input_event`.
const EVENT: usize = 24;
const KEY_EVENT: u16 = 1;
const PRESSED: i32 = 1;
const RELEASED: i32 = 0;
/// Type and code of an event that says that events before it were lost (`EV_SYN`, `SYN_DROPPED`).
const SYNC_EVENT: u16 = 0;
const DROPPED: u16 = 3;
/// How long a key is held until that means something.
pub const HOLD: Duration = Duration::from_secs(3);
/// The folder is looked at again at this distance.
const RESCAN: Duration = Duration::from_secs(2);
/// More devices than these are not opened.
const MOST_DEVICES: usize = 32;

/// What a person wants who presses a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// Older results: left, up, page up.
    Older,
    /// Newer results: right, down, page down.
    Newer,
    /// Back to ready; a result or a notice has been read: escape, back.
    Back,
    /// The same, and takes what is chosen of a list: enter, space, OK.
    Choose,
    /// What the box is: `i`, menu, F1, help.
    About,
    /// [`Self::Choose`], which was told when it was pressed, is held for [`HOLD`].
    Held,
}

impl Key {
    /// The key of a code of `linux/input-event-codes.h`.
    fn of(code: u16) -> Option<Self> {
        match code {
            // KEY_UP, KEY_PAGEUP, KEY_LEFT
            103..=105 => Some(Self::Older),
            // KEY_RIGHT, KEY_DOWN, KEY_PAGEDOWN
            106 | 108 | 109 => Some(Self::Newer),
            // KEY_ESC, KEY_BACK
            1 | 158 => Some(Self::Back),
            // KEY_ENTER, KEY_SPACE, KEY_KPENTER, KEY_OK, KEY_SELECT
            28 | 57 | 96 | 0x160 | 0x161 => Some(Self::Choose),
            // KEY_I, KEY_F1, KEY_HELP, KEY_MENU
            23 | 59 | 138 | 139 => Some(Self::About),
            _ => None,
        }
    }
}

/// What an event says of a key, by its code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Motion {
    Pressed(u16),
    Released(u16),
    /// Events were lost before this one.
    Lost,
}

impl Motion {
    fn of(event: &[u8; EVENT]) -> Option<Self> {
        let [.., t0, t1, c0, c1, v0, v1, v2, v3] = *event;
        let code = u16::from_ne_bytes([c0, c1]);
        match (u16::from_ne_bytes([t0, t1]), i32::from_ne_bytes([v0, v1, v2, v3])) {
            (KEY_EVENT, PRESSED) => Some(Self::Pressed(code)),
            (KEY_EVENT, RELEASED) => Some(Self::Released(code)),
            (SYNC_EVENT, _) if code == DROPPED => Some(Self::Lost),
            _ => None,
        }
    }
}

/// Reads the devices of a folder on a thread of its own and reports every key; ends when `tell` says that nobody listens.
pub fn watch(folder: &Path, tell: impl Fn(Key) -> bool + Send + 'static) {
    watch_with(folder, HOLD, tell);
}

/// The same with another time for which a key is held.
fn watch_with(folder: &Path, hold: Duration, tell: impl Fn(Key) -> bool + Send + 'static) {
    let mut devices = Devices { folder: folder.to_owned(), open: BTreeMap::new(), hold, troubled: false };
    thread::spawn(move || {
        loop {
            devices.scan();
            let scanned = Instant::now();
            while let Some(left) = RESCAN.checked_sub(scanned.elapsed()).filter(|left| !left.is_zero()) {
                if !devices.wait(left, &tell) {
                    return;
                }
            }
        }
    });
}

struct Devices {
    folder: PathBuf,
    open: BTreeMap<PathBuf, Device>,
    /// How long a key is held until that is told.
    hold: Duration,
    /// Whether it was reported that a device cannot be read.
    troubled: bool,
}

struct Device {
    file: File,
    /// The key that is held, unless that was told already.
    held: Option<Held>,
}

/// A key that takes what is chosen, and is down.
#[derive(Clone, Copy)]
struct Held {
    code: u16,
    /// When it has been held long enough.
    due: Instant,
}

impl Device {
    /// Takes note of what a key does. Returns the key that is pressed, if the box knows it.
    fn take(&mut self, motion: Motion, due: Instant) -> Option<Key> {
        match motion {
            Motion::Pressed(code) => {
                let key = Key::of(code);
                // Whoever presses another one meanwhile holds none.
                self.held = (key == Some(Key::Choose)).then_some(Held { code, due });
                key
            }
            Motion::Released(code) => {
                self.held.take_if(|held| held.code == code);
                None
            }
            Motion::Lost => {
                self.held = None;
                None
            }
        }
    }
}

impl Devices {
    /// Opens the devices that are new.
    fn scan(&mut self) {
        // A folder that is missing may come.
        let entries = std::fs::read_dir(&self.folder).into_iter().flatten().flatten();
        for entry in entries.filter(|entry| entry.file_name().as_encoded_bytes().starts_with(b"event")) {
            let path = entry.path();
            if self.open.len() >= MOST_DEVICES || self.open.contains_key(&path) {
                continue;
            }
            let flags = OFlags::NONBLOCK.bits() as i32;
            match OpenOptions::new().read(true).custom_flags(flags).open(&path) {
                Ok(file) => {
                    self.open.insert(path, Device { file, held: None });
                }
                Err(error) if !self.troubled => {
                    self.troubled = true;
                    crate::say(format_args!(
                        "cannot read the keys of {}: {error}; let the user of this program read it, or set keys to false",
                        Shown(path.display())
                    ));
                }
                Err(_) => {}
            }
        }
    }

    /// Waits for keys and reports them; false when nobody listens.
    fn wait(&mut self, most: Duration, tell: &impl Fn(Key) -> bool) -> bool {
        let now = Instant::now();
        let due = self.open.values().filter_map(|device| device.held).map(|held| held.due).min();
        let most = due.map_or(most, |due| most.min(due.saturating_duration_since(now)));
        let mut waiting: Vec<PollFd<'_>> =
            self.open.values().map(|device| PollFd::new(&device.file, PollFlags::IN)).collect();
        let timeout = Timespec { tv_sec: most.as_secs().cast_signed(), tv_nsec: most.subsec_nanos().into() };
        if poll(&mut waiting, Some(&timeout)).is_err() {
            // Interrupted by a signal, or out of memory: the next look is as good.
            thread::sleep(Duration::from_millis(10));
            return true;
        }
        let ready: Vec<bool> = waiting.iter().map(|fd| !fd.revents().is_empty()).collect();
        let mut ready = ready.into_iter();
        let (mut listening, mut is_held) = (true, false);
        let due = Instant::now() + self.hold;
        self.open.retain(|_, device| {
            if !ready.next().unwrap_or(false) {
                // It has sent all that it had to say until now: the key was not let go.
                is_held |= device.held.is_some_and(|held| held.due <= now);
                return true;
            }
            let mut events = [0; 64 * EVENT];
            match device.file.read(&mut events) {
                // Unplugged; a device that is there is opened again at the next scan.
                Ok(0) => false,
                Ok(count) => {
                    for motion in events[..count].as_chunks().0.iter().filter_map(Motion::of) {
                        if let Some(key) = device.take(motion, due) {
                            listening &= tell(key);
                        }
                    }
                    true
                }
                Err(error) => matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted),
            }
        });
        if is_held {
            // Keys that are held together are held once.
            self.open.values_mut().for_each(|device| device.held = None);
            listening &= tell(Key::Held);
        }
        listening
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Write, sync::mpsc::channel};

    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;

    /// Type, code, value as a device sends them.
    fn event(kind: u16, code: u16, value: i32) -> [u8; EVENT] {
        let mut bytes = [7; EVENT];
        bytes[16..18].copy_from_slice(&kind.to_ne_bytes());
        bytes[18..20].copy_from_slice(&code.to_ne_bytes());
        bytes[20..].copy_from_slice(&value.to_ne_bytes());
        bytes
    }

    /// The key of an event, if the event is that a key was pressed.
    fn pressed(event: &[u8; EVENT]) -> Option<Key> {
        match Motion::of(event)? {
            Motion::Pressed(code) => Key::of(code),
            Motion::Released(_) | Motion::Lost => None,
        }
    }

    /// A device of its own, which is opened when the other side has opened it.
    fn device(folder: &Path, name: &str) -> File {
        let path = folder.join(name);
        mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        OpenOptions::new().write(true).open(&path).unwrap()
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn an_event_as_a_keyboard_sent_it_is_read() {
        // The left arrow, pressed 0x65674a3c seconds and 0x0004e2f1 microseconds after 1970.
        let bytes = *b"\x3c\x4a\x67\x65\0\0\0\0\xf1\xe2\x04\0\0\0\0\0\x01\0\x69\0\x01\0\0\0";
        assert_eq!(pressed(&bytes), Some(Key::Older));
        assert_eq!(event(1, 105, 1)[16..], bytes[16..]);
    }

    #[test]
    fn only_keys_that_are_pressed_count() {
        assert_eq!(pressed(&event(1, 28, 1)), Some(Key::Choose));
        assert_eq!(pressed(&event(1, 28, 0)), None, "let go");
        assert_eq!(pressed(&event(1, 28, 2)), None, "held down");
        assert_eq!(pressed(&event(4, 28, 1)), None, "a scan code");
        assert_eq!(pressed(&event(1, 30, 1)), None, "the letter a");
        for (key, codes) in [
            (Key::Older, &[103, 104, 105][..]),
            (Key::Newer, &[106, 108, 109]),
            (Key::Back, &[1, 158]),
            (Key::Choose, &[28, 57, 96, 352, 353]),
            (Key::About, &[23, 59, 138, 139]),
        ] {
            let found: Vec<u16> = (0..=0x2ff).filter(|&code| Key::of(code) == Some(key)).collect();
            assert_eq!(found, codes);
        }
    }

    #[test]
    fn a_device_that_is_plugged_in_later_is_read_and_one_that_leaves_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let (told, keys) = channel();
        watch(folder.path(), move |key| told.send(key).is_ok());
        let patience = Duration::from_secs(20);
        for (name, code, key) in [("event0", 105, Key::Older), ("event1", 106, Key::Newer)] {
            let mut device = device(folder.path(), name);
            device.write_all(&[event(1, 30, 1), event(1, code, 1), event(1, code, 0)].concat()).unwrap();
            assert_eq!(keys.recv_timeout(patience), Ok(key));
            // Gone, as if unplugged, before the next one comes.
            std::fs::remove_file(folder.path().join(name)).unwrap();
        }
    }

    /// Keys that are held for less than this are let go in these tests before anything is told.
    const SHORT: Duration = Duration::from_millis(300);
    /// How long a test waits for what is to come, and for what is not.
    const PATIENCE: Duration = Duration::from_secs(20);
    const MOMENT: Duration = Duration::from_millis(900);

    #[test]
    fn a_key_that_is_held_is_told_once_for_each_hold() {
        let folder = tempfile::tempdir().unwrap();
        let (told, keys) = channel();
        watch_with(folder.path(), SHORT, move |key| told.send(key).is_ok());
        let mut button = device(folder.path(), "event0");
        for _ in 0..2 {
            let start = Instant::now();
            button.write_all(&event(1, 28, 1)).unwrap();
            assert_eq!(keys.recv_timeout(PATIENCE), Ok(Key::Choose), "the press does what it always does");
            assert_eq!(keys.recv_timeout(PATIENCE), Ok(Key::Held));
            assert!(start.elapsed() >= SHORT);
            // A keyboard repeats it.
            button.write_all(&event(1, 28, 2)).unwrap();
            assert!(keys.recv_timeout(MOMENT).is_err(), "once");
            button.write_all(&event(1, 28, 0)).unwrap();
        }
    }

    #[test]
    fn what_is_let_go_or_is_not_held_alone_is_no_hold() {
        let folder = tempfile::tempdir().unwrap();
        let (told, keys) = channel();
        watch_with(folder.path(), SHORT, move |key| told.send(key).is_ok());
        let mut keyboard = device(folder.path(), "event0");
        for (events, pressed) in [
            (&[event(1, 28, 1), event(1, 28, 0)][..], &[Key::Choose][..]),
            (&[event(1, 28, 1), event(1, 30, 1)], &[Key::Choose]),
            (&[event(1, 28, 1), event(1, 105, 1)], &[Key::Choose, Key::Older]),
            (&[event(1, 28, 1), event(0, 3, 0)], &[Key::Choose]),
            (&[event(1, 105, 1)], &[Key::Older]),
            (&[event(1, 28, 2)], &[]),
        ] {
            keyboard.write_all(&events.concat()).unwrap();
            for key in pressed {
                assert_eq!(keys.recv_timeout(PATIENCE), Ok(*key));
            }
            assert!(keys.recv_timeout(MOMENT).is_err(), "{pressed:?}");
        }
        // It is pulled out while a key is down. What it has sent is read all the same.
        keyboard.write_all(&event(1, 28, 1)).unwrap();
        std::fs::remove_file(folder.path().join("event0")).unwrap();
        drop(keyboard);
        assert_eq!(keys.recv_timeout(PATIENCE), Ok(Key::Choose));
        assert!(keys.recv_timeout(MOMENT).is_err());
    }

    #[test]
    fn keys_of_several_devices_that_are_held_together_are_held_once() {
        let folder = tempfile::tempdir().unwrap();
        let (told, keys) = channel();
        // Long enough for both presses to have been read before the first one is due.
        watch_with(folder.path(), Duration::from_secs(2), move |key| told.send(key).is_ok());
        let mut devices = ["event0", "event1"].map(|name| device(folder.path(), name));
        for device in &mut devices {
            device.write_all(&event(1, 28, 1)).unwrap();
        }
        assert_eq!([0; 2].map(|_| keys.recv_timeout(PATIENCE)), [Ok(Key::Choose); 2]);
        assert_eq!(keys.recv_timeout(PATIENCE), Ok(Key::Held));
        assert!(keys.recv_timeout(Duration::from_secs(3)).is_err(), "by no means twice");
        for device in &mut devices {
            device.write_all(&event(1, 28, 0)).unwrap();
        }
    }
}
