//! The box as an appliance, on emulated machines.
//!
//! `PUMUA_TEST_IMAGE` names an image that `pumua image` has made (not compressed), `PUMUA_TEST_QEMU` a
//! `qemu-system-aarch64`, `PUMUA_TEST_GUEST` a folder with a `busybox` and a `dummy_hcd.ko` for that machine, and
//! `PUMUA_TEST_BUNDLE` a bundle that the test key has signed, with a counter of less than 100; `.ci/box` sets all of them. Without them
//! these tests say that they skip.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufRead, BufReader, Cursor, Read, Seek, SeekFrom, Write},
    ops::Range,
    os::unix::{fs::FileExt, net::UnixStream},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread::sleep,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use crc::{CRC_32_ISO_HDLC, Crc};
use fatfs::{FileSystem, FsOptions};
use serde_json::{Value, json};
use shared::appliance::slots::{BootState, SLOT_BYTES, SLOT_WORD, STATE_SECTORS, Slot, TRIAL_WORD};
use tempfile::TempDir;

use crate::{
    code, command,
    recording::{Left, Recording, SECTOR},
    said, within,
};

/// What an emulated machine starts from.
pub struct Card {
    qemu: PathBuf,
    image: PathBuf,
    folder: TempDir,
    own_clock: bool,
}

/// Which machine is emulated.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Board {
    /// A generic machine to which kernel and initial file system are handed over; the line is its console, and a second
    /// console is there for a [`Guest`].
    Virtual,
    /// A Raspberry Pi 3, started by the boot loader on the card; the line is its second serial port.
    Pi3,
}

/// A shell that runs beside the box on a [`Board::Virtual`] and uses the second console.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Guest {
    /// It obeys what comes from there.
    Shell,
    /// It joins the console to the host's end of an emulated USB cable, whose other end the box has.
    Usb,
}

impl Guest {
    fn name(self) -> &'static str {
        match self {
            Self::Shell => "shell",
            Self::Usb => "usb",
        }
    }

    /// What is added to the initial file system: a cpio archive.
    fn archive(self, folder: &Path) -> Result<Vec<u8>> {
        let start: &[u8] = match self {
            Self::Shell => include_bytes!("guest/shell"),
            Self::Usb => include_bytes!("guest/usb"),
        };
        let (busybox, controller) = (fs::read(folder.join("busybox"))?, fs::read(folder.join("dummy_hcd.ko"))?);
        let mut archive = Vec::new();
        let mut add = |name: &str, mode: u32, bytes: &[u8]| -> io::Result<()> {
            let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
            let mut entry = cpio::newc::Builder::new(name).mode(mode).write(&mut archive, length);
            entry.write_all(bytes)?;
            entry.finish().map(drop)
        };
        add("guest", 0o040_755, &[])?;
        add("guest/busybox", 0o100_755, &busybox)?;
        add("guest/dummy_hcd.ko", 0o100_644, &controller)?;
        add(&format!("guest/{}", self.name()), 0o100_755, start)?;
        cpio::newc::trailer(&mut archive)?;
        Ok(archive)
    }
}

/// The file or folder that a variable names.
fn named(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from)
}

fn skip(missing: &str) {
    // Past the harness, which keeps to itself what a passing test says.
    let _ = writeln!(io::stderr(), "skipped: no {missing} (.ci/box makes it)");
}

impl Card {
    /// The image, if it and the emulator are there.
    pub fn available() -> Option<Self> {
        let (Some(image), Some(qemu)) = (named("PUMUA_TEST_IMAGE"), named("PUMUA_TEST_QEMU")) else {
            skip("image for emulated machines: PUMUA_TEST_IMAGE and PUMUA_TEST_QEMU name one and its emulator");
            return None;
        };
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let card = Self { qemu, image, folder, own_clock: false };
        for (part, names) in
            [(Part::Slot(Slot::A), KERNEL), (Part::Boot, ["u-boot.bin", "broadcom/bcm2837-rpi-3-b.dtb"])]
        {
            for name in names {
                let bytes = part.file(&card.image, name).expect("the image holds what the emulator needs");
                fs::write(card.extracted(name), bytes).expect("the temporary folder can be written to");
            }
        }
        Some(card)
    }

    fn extracted(&self, name: &str) -> PathBuf {
        self.folder.path().join(name.rsplit('/').next().unwrap_or(name))
    }

    /// Kernel and initial file system of the image.
    fn kernel(&self) -> [PathBuf; 2] {
        KERNEL.map(|name| self.extracted(name))
    }

    /// A fresh copy of the card, whose box hands its results out without a code: nobody is there to read one.
    pub fn copy(&self, name: &str) -> PathBuf {
        let copy = self.copy_of(&self.image, name);
        shared_openly(&copy).expect("the settings of the card can be changed");
        copy
    }

    /// A copy of a card with all that its box has written. One of this name is replaced.
    pub fn copy_of(&self, disk: &Path, name: &str) -> PathBuf {
        let copy = self.folder.path().join(name);
        let copied = Command::new("cp").args(["--sparse=always", "--reflink=auto"]).arg(disk).arg(&copy).status();
        assert!(copied.expect("cp can be started").success());
        copy
    }

    /// From now on the clock of a machine goes by what it computes, so that nothing in it is late where this computer is busy;
    /// it answers later, though. A [`Board::Pi3`] takes twice as long for a third of the work. Not for a machine that is to hang: one that
    /// only waits for its watchdog computes next to nothing.
    #[must_use]
    pub fn with_own_clock(self) -> Self {
        Self { own_clock: true, ..self }
    }

    /// Starts a machine with a card.
    pub fn start(&self, disk: &Path, board: Board) -> Result<Machine> {
        self.run(disk, board, &self.kernel(), &NO_CABLE, "", None)
    }

    /// Starts a generic machine with the slot that the boot loader would take from the card, and does to the boot state what it does. A
    /// machine that resets itself ends; this starts it again.
    pub fn start_slot(&self, disk: &Path) -> Result<Machine> {
        self.run_slot(disk, &NO_CABLE, None)
    }

    /// The same with a keyboard, and a USB for memory sticks that are [plugged in](Machine::plug).
    pub fn start_slot_with_keyboard(&self, disk: &Path) -> Result<Machine> {
        self.run_slot(disk, &KEYBOARD, None)
    }

    /// Starts a generic machine as [`Self::start_slot`] does, or a Raspberry Pi, and logs all that its card is written.
    pub fn record(&self, disk: &Path, board: Board) -> Result<(Machine, Log)> {
        if board == Board::Pi3 {
            // A start does it anyway, and nobody writes it then.
            without_watchdog(disk)?;
        }
        let name = disk.file_name().context("a card has a name")?.to_string_lossy();
        let before = self.copy_of(disk, &format!("{name}.before"));
        let log = Log { before, disk: disk.to_owned(), file: disk.with_extension("writes") };
        fs::write(&log.file, [])?;
        let machine = match board {
            Board::Virtual => self.run_slot(disk, &NO_CABLE, Some(&log.file)),
            Board::Pi3 => self.run(disk, board, &self.kernel(), &NO_CABLE, "", Some(&log.file)),
        };
        Ok((machine?, log))
    }

    fn run_slot(&self, disk: &Path, options: &[&str], log: Option<&Path>) -> Result<Machine> {
        let state = boot_state(disk)?;
        let mut tried = vec![(state.good, ""), (state.good.other(), "")];
        if state.tries > 0 {
            set_boot_state(disk, BootState { tries: state.tries - 1, ..state })?;
            tried.insert(0, (state.good.other(), TRIAL_WORD));
        }
        for (slot, trial) in tried {
            let Ok(files) =
                KERNEL.map(|name| Part::Slot(slot).file(disk, name)).into_iter().collect::<Result<Vec<_>>>()
            else {
                continue;
            };
            let paths = KERNEL.map(|name| disk.with_extension(name));
            for (path, bytes) in paths.iter().zip(files) {
                fs::write(path, bytes)?;
            }
            let arguments = format!("{SLOT_WORD}{} {trial}", slot.name());
            return self.run(disk, Board::Virtual, &paths, options, &arguments, log);
        }
        bail!("no slot of the card holds a kernel");
    }

    /// Starts a generic machine with a card whose settings turn its Ethernet port on, and with a cable at it: what connects to this
    /// port of this computer comes out of the cable, as from 192.168.7.2, for port 11112 of the box. Nothing else leaves the machine or
    /// reaches it. With the [`Guest::Shell`], if its files are there.
    pub fn start_on_cable(&self, disk: &Path, port: u16) -> Result<Machine> {
        add_settings(disk, "ethernet = \"192.168.7.1/24\"\npeers = [\"192.168.7.2=CR1\"]\n")?;
        let cable = format!(
            "user,id=lan,restrict=on,net=192.168.7.0/24,host=192.168.7.2,\
             hostfwd=tcp:127.0.0.1:{port}-192.168.7.1:11112"
        );
        let options = ["-netdev", &cable, "-device", "virtio-net-device,netdev=lan"];
        let [kernel, initramfs] = self.kernel();
        match self.with_guest(Guest::Shell, disk)? {
            Some(initramfs) => {
                let arguments = format!("rdinit=/guest/{}", Guest::Shell.name());
                self.run(disk, Board::Virtual, &[kernel, initramfs], &options, &arguments, None)
            }
            None => self.run(disk, Board::Virtual, &[kernel, initramfs], &options, "", None),
        }
    }

    /// Starts a generic machine with a card and a guest, if the guest's files are there. A machine that resets itself starts
    /// again.
    pub fn start_with(&self, guest: Guest, disk: &Path) -> Result<Option<Machine>> {
        let Some(initramfs) = self.with_guest(guest, disk)? else { return Ok(None) };
        // After a panic the kernel stays as it is: a machine that hangs.
        let arguments = format!("rdinit=/guest/{} panic=0", guest.name());
        let [kernel, _] = self.kernel();
        self.run(disk, Board::Virtual, &[kernel, initramfs], &NO_CABLE[..2], &arguments, None).map(Some)
    }

    /// The initial file system with a guest, if the guest's files are there.
    fn with_guest(&self, guest: Guest, disk: &Path) -> Result<Option<PathBuf>> {
        let Some(folder) = named("PUMUA_TEST_GUEST") else {
            skip("guest for emulated machines: PUMUA_TEST_GUEST names the folder of its files");
            return Ok(None);
        };
        let mut archive = fs::read(self.extracted("initramfs.gz"))?;
        // An archive that is not compressed begins at a multiple of four.
        archive.resize(archive.len().next_multiple_of(4), 0);
        archive.extend(guest.archive(&folder)?);
        let initramfs = disk.with_extension("initramfs");
        fs::write(&initramfs, archive)?;
        Ok(Some(initramfs))
    }

    /// Starts a generic machine with a card, a USB, and a keyboard and a memory stick on it, whose content is a file. The stick
    /// can be [pulled](Machine::pull), and others [plugged in](Machine::plug).
    pub fn start_with_stick(&self, disk: &Path, stick: &Path) -> Result<Machine> {
        let stick =
            format!("driver=raw,node-name=stick0,read-only=on,file.driver=file,file.filename={}", stick.display());
        let plugged = ["-blockdev", &stick, "-device", "usb-storage,bus=usb.0,id=plug0,drive=stick0,removable=on"];
        self.run(disk, Board::Virtual, &self.kernel(), &[KEYBOARD.as_slice(), &plugged].concat(), "", None)
    }

    fn run(
        &self,
        disk: &Path,
        board: Board,
        [kernel, initramfs]: &[PathBuf; 2],
        options: &[&str],
        arguments: &str,
        log_of_card: Option<&Path>,
    ) -> Result<Machine> {
        let drive = match log_of_card {
            None => format!("file={},format=raw", disk.display()),
            Some(log) => format!(
                "driver=blklogwrites,file.driver=raw,file.file.driver=file,file.file.filename={},log.driver=file,\
                 log.filename={}",
                disk.display(),
                log.display()
            ),
        };
        let socket = disk.with_extension("qmp");
        let log = disk.with_extension("log");
        let mut qemu = Command::new(&self.qemu);
        qemu.args(["-display", "none", "-chardev", "pty,id=link", "-chardev", "pty,id=second"]);
        qemu.args(options);
        qemu.arg("-qmp").arg(format!("unix:{},server=on,wait=off", socket.display()));
        match board {
            Board::Virtual => {
                qemu.args(["-machine", "virt", "-cpu", "cortex-a53", "-smp", "2", "-m", "512"]);
                if self.own_clock {
                    // 4 ns an instruction. With half of that a busy machine says nothing for longer than a host waits; with twice as
                    // much a picture takes nearly as long as a screen may.
                    qemu.args(["-icount", "shift=2"]);
                }
                qemu.arg("-kernel").arg(kernel).arg("-initrd").arg(initramfs);
                qemu.arg("-append").arg(format!("console=ttyAMA0 loglevel=6 fbcon=map:9 panic=10 {arguments}"));
                qemu.arg("-drive").arg(format!("{drive},if=none,id=card"));
                qemu.args(["-device", "virtio-blk-device,drive=card"]);
                // Its own size has two and a half times as many pixels, and drawing them is most of what the machine computes.
                qemu.args(["-device", "virtio-gpu-pci,xres=800,yres=480"]);
                qemu.args(["-device", "virtio-serial-device", "-device", "virtconsole,chardev=link"]);
                qemu.args(["-device", "virtconsole,chardev=second", "-device", "i6300esb"]);
                qemu.arg("-serial").arg(format!("file:{}", log.display()));
            }
            Board::Pi3 => {
                without_watchdog(disk)?;
                qemu.args(["-machine", "raspi3b"]).arg("-kernel").arg(self.extracted("u-boot.bin"));
                if self.own_clock {
                    qemu.args(["-icount", "shift=1"]);
                }
                qemu.arg("-dtb").arg(self.extracted("bcm2837-rpi-3-b.dtb"));
                qemu.arg("-drive").arg(format!("{drive},if=sd"));
                qemu.arg("-serial").arg(format!("file:{}", log.display())).args(["-serial", "chardev:link"]);
            }
        }
        let child =
            qemu.stdin(Stdio::null()).stdout(Stdio::null()).spawn().context("the emulator cannot be started")?;
        let mut machine = Machine { child, socket, log, port: String::new(), second: String::new() };
        let mut ports = None;
        let asked = within(Duration::from_secs(20), || {
            ports = machine.ask("query-chardev", &json!({})).ok();
            ports.is_some()
        });
        if !asked {
            bail!("the emulator ended or does not answer: {:?}", machine.child.try_wait());
        }
        let ports = ports.unwrap_or_default();
        let port = |label: &str| {
            let all = ports.as_array().map(Vec::as_slice).unwrap_or_default();
            let found = all.iter().find(|found| found["label"] == label).and_then(|found| found["filename"].as_str());
            found.and_then(|name| name.strip_prefix("pty:")).unwrap_or_default().to_owned()
        };
        (machine.port, machine.second) = (port("link"), port("second"));
        Ok(machine)
    }
}

/// What a slot is started with.
const KERNEL: [&str; 2] = ["vmlinuz", "initramfs.gz"];

/// Options of a machine without a network, which ends where it would start again.
const NO_CABLE: [&str; 3] = ["-nic", "none", "-no-reboot"];
/// The same with a USB, and a keyboard at that.
const KEYBOARD: [&str; 7] =
    ["-nic", "none", "-no-reboot", "-device", "qemu-xhci,id=usb", "-device", "usb-kbd,bus=usb.0"];

/// Bytes of a mebibyte.
const MIB: u64 = 1 << 20;

/// The log of what a card is written while its machine runs.
pub struct Log {
    /// A copy of the card from before.
    pub before: PathBuf,
    disk: PathBuf,
    file: PathBuf,
}

impl Log {
    /// How long it is by now.
    pub fn length(&self) -> Result<u64> {
        Ok(fs::metadata(&self.file)?.len())
    }

    /// Takes the machine's power away when nothing is being written; what was written until then. On a copy of the card from before, that
    /// makes the card what it is.
    pub fn end(&self, machine: Machine) -> Result<Recording> {
        machine.ask("stop", &json!({}))?;
        machine.cut_power();
        let recording = Recording::open(&self.file)?;
        let played = self.file.with_extension("played");
        fs::copy(&self.before, &played)?;
        recording.play(
            &OpenOptions::new().write(true).open(&played)?,
            recording.writes().len(),
            Left::Whole,
            || 0.0,
        )?;
        let is_same = Command::new("cmp").args([&played, &self.disk]).status().context("cmp cannot be started")?;
        ensure!(is_same.success(), "the card was written something that is not in the log");
        fs::remove_file(played)?;
        Ok(recording)
    }
}

/// A FAT32 partition of a card.
#[derive(Clone, Copy)]
enum Part {
    /// That from which is booted.
    Boot,
    /// A slot.
    Slot(Slot),
}

impl Part {
    /// Where it begins.
    fn start(self) -> u64 {
        match self {
            Self::Boot => MIB,
            Self::Slot(Slot::A) => 73 * MIB,
            Self::Slot(Slot::B) => 73 * MIB + SLOT_BYTES,
        }
    }

    fn read(self, disk: &Path) -> Result<Vec<u8>> {
        let mut partition = vec![0; 72 << 20];
        File::open(disk)?.read_exact_at(&mut partition, self.start())?;
        Ok(partition)
    }

    fn write(self, disk: &Path, partition: &[u8]) -> Result<()> {
        Ok(OpenOptions::new().write(true).open(disk)?.write_all_at(partition, self.start())?)
    }

    /// A file in it.
    fn file(self, disk: &Path, name: &str) -> Result<Vec<u8>> {
        let system = FileSystem::new(Cursor::new(self.read(disk)?), FsOptions::new())?;
        let mut bytes = Vec::new();
        system.root_dir().open_file(name)?.read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

/// The sectors of a slot on a card.
pub fn sectors(slot: Slot) -> Range<u64> {
    let start = Part::Slot(slot).start();
    start / SECTOR..(start + SLOT_BYTES) / SECTOR
}

/// Fills a slot of a card.
pub fn set_slot(disk: &Path, slot: Slot, bytes: &[u8]) -> Result<()> {
    Part::Slot(slot).write(disk, bytes)
}

/// How much a slot holds that was empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filled {
    /// Nothing that could be seen.
    Nothing,
    /// Something, and not what it begins with: nobody takes that for a file system.
    Part,
    /// Everything.
    Whole,
}

/// How far a slot has been filled that was empty: its second sector is among the first that are written, its first one is the last.
pub fn filled(disk: &Path, slot: Slot) -> Result<Filled> {
    let mut sectors = [0; 2 * SECTOR as usize];
    File::open(disk)?.read_exact_at(&mut sectors, Part::Slot(slot).start())?;
    let (first, second) = sectors.split_at(SECTOR as usize);
    let has_any = |bytes: &[u8]| bytes.iter().any(|&byte| byte != 0);
    Ok(match (has_any(first), has_any(second)) {
        (true, _) => Filled::Whole,
        (false, true) => Filled::Part,
        (false, false) => Filled::Nothing,
    })
}

/// Both copies of the boot state of a card.
pub fn boot_states(disk: &Path) -> Result<[Option<BootState>; 2]> {
    let disk = File::open(disk)?;
    let mut copies = [None; 2];
    for (copy, sector) in copies.iter_mut().zip(STATE_SECTORS) {
        let mut bytes = [0; 512];
        disk.read_exact_at(&mut bytes, sector * SECTOR)?;
        *copy = BootState::read(&bytes);
    }
    Ok(copies)
}

/// The boot state of a card.
pub fn boot_state(disk: &Path) -> Result<BootState> {
    Ok(BootState::of_copies(boot_states(disk)?))
}

/// Gives a card another boot state.
pub fn set_boot_state(disk: &Path, state: BootState) -> Result<()> {
    STATE_SECTORS.into_iter().try_for_each(|sector| set_sector(disk, sector, &state.bytes()))
}

/// Gives a card another sector.
pub fn set_sector(disk: &Path, sector: u64, bytes: &[u8; 512]) -> Result<()> {
    Ok(OpenOptions::new().write(true).open(disk)?.write_all_at(bytes, sector * SECTOR)?)
}

/// A bundle of the program that the box on the image has, if it is there.
pub fn bundle() -> Option<PathBuf> {
    let bundle = named("PUMUA_TEST_BUNDLE");
    if bundle.is_none() {
        skip("bundle: PUMUA_TEST_BUNDLE names one that the test key has signed");
    }
    bundle
}

/// Keeps the watchdog's driver from being loaded: the emulated one of a Raspberry Pi bites as soon as it is started.
fn without_watchdog(disk: &Path) -> Result<()> {
    let mut partition = Part::Boot.read(disk)?;
    {
        let system = FileSystem::new(Cursor::new(&mut partition), FsOptions::new())?;
        let mut file = system.root_dir().open_file("uboot.env")?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let length = bytes.len();
        let variables = String::from_utf8(bytes.split_off(4))?;
        let mut variables = variables.replace(" panic=10\0", " panic=10 module_blacklist=bcm2835_wdt\0").into_bytes();
        variables.truncate(length - 4);
        let crc = Crc::<u32>::new(&CRC_32_ISO_HDLC).checksum(&variables);
        file.seek(SeekFrom::Start(0))?;
        file.write_all(&[crc.to_le_bytes().as_slice(), &variables].concat())?;
    }
    Part::Boot.write(disk, &partition)
}

/// Adds to the settings of a box that whoever asks gets its results.
fn shared_openly(disk: &Path) -> Result<()> {
    add_settings(disk, "share = \"open\"\n")
}

/// Adds lines to the settings of a box.
fn add_settings(disk: &Path, lines: &str) -> Result<()> {
    let mut partition = Part::Boot.read(disk)?;
    {
        let system = FileSystem::new(Cursor::new(&mut partition), FsOptions::new())?;
        let mut file = system.root_dir().open_file("box.toml")?;
        file.seek(SeekFrom::End(0))?;
        file.write_all(lines.as_bytes())?;
    }
    Part::Boot.write(disk, &partition)
}

/// A running machine; dropping it cuts its power.
pub struct Machine {
    child: Child,
    socket: PathBuf,
    log: PathBuf,
    /// The serial device of the line.
    pub port: String,
    /// That of the second console.
    pub second: String,
}

impl Machine {
    /// Asks the emulator (QEMU Machine Protocol).
    pub fn ask(&self, what: &str, arguments: &Value) -> Result<Value> {
        let mut socket = UnixStream::connect(&self.socket)?;
        socket.set_read_timeout(Some(Duration::from_secs(20)))?;
        let mut lines = BufReader::new(socket.try_clone()?).lines();
        let mut answer = Value::Null;
        let commands = [json!({"execute": "qmp_capabilities"}), json!({"execute": what, "arguments": arguments})];
        for command in commands {
            writeln!(socket, "{command}")?;
            answer = loop {
                let line: Value = serde_json::from_str(&lines.next().context("the emulator has ended")??)?;
                if let Some(answer) = line.get("return") {
                    break answer.clone();
                }
                if let Some(error) = line.get("error") {
                    bail!("{error}");
                }
            };
        }
        Ok(answer)
    }

    /// Has the [`Guest::Shell`] run a command, which it has read for certain only before the console that this returns is
    /// closed.
    pub fn order(&self, command: &str) -> Result<File> {
        let mut console = OpenOptions::new().write(true).open(&self.second)?;
        writeln!(console, "{command}")?;
        Ok(console)
    }

    /// Pulls out the memory stick that was plugged in as the one of a number; the first one has the number 0.
    pub fn pull(&self, number: usize) -> Result<()> {
        self.ask("device_del", &json!({"id": format!("plug{number}")})).map(drop)
    }

    /// Plugs in a memory stick whose content is a file, and which is protected against writing, as the one of a number that none has had.
    pub fn plug(&self, number: usize, stick: &Path) -> Result<()> {
        self.plug_as(number, stick, true)
    }

    /// The same, not protected: what the box writes is in the file.
    pub fn plug_writable(&self, number: usize, stick: &Path) -> Result<()> {
        self.plug_as(number, stick, false)
    }

    fn plug_as(&self, number: usize, stick: &Path, protected: bool) -> Result<()> {
        let node = format!("stick{number}");
        let file = json!({"driver": "file", "filename": stick});
        self.ask("blockdev-add", &json!({"driver": "raw", "node-name": node, "read-only": protected, "file": file}))?;
        let id = format!("plug{number}");
        let device = json!({"driver": "usb-storage", "bus": "usb.0", "id": id, "drive": node, "removable": true});
        self.ask("device_add", &device).map(drop)
    }

    /// Presses a key of the keyboard, by QEMU's name for it.
    pub fn press(&self, key: &str) -> Result<()> {
        self.ask("send-key", &json!({"keys": [{"type": "qcode", "data": key}]})).map(drop)
    }

    /// Presses a key of the keyboard, and lets it go only after a while.
    pub fn hold(&self, key: &str, time: Duration) -> Result<()> {
        let turn = |down: bool| {
            let data = json!({"down": down, "key": {"type": "qcode", "data": key}});
            self.ask("input-send-event", &json!({"events": [{"type": "key", "data": data}]})).map(drop)
        };
        turn(true)?;
        sleep(time);
        turn(false)
    }

    /// What the emulator's own screen shows.
    pub fn screendump(&self, file: &Path) -> Result<image::RgbImage> {
        self.ask("screendump", &json!({"filename": file, "format": "png"}))?;
        Ok(image::open(file)?.into_rgb8())
    }

    /// A command of `pumua` on the line, not yet started.
    pub fn command<S: AsRef<std::ffi::OsStr>>(
        &self,
        subcommand: &str,
        arguments: impl IntoIterator<Item = S>,
    ) -> Command {
        let mut command = command("pumua");
        command.arg(subcommand).args(arguments).args(["--port", &self.port]);
        command
    }

    /// Runs a command of `pumua` on the line.
    pub fn host<S: AsRef<std::ffi::OsStr>>(&self, subcommand: &str, arguments: impl IntoIterator<Item = S>) -> Output {
        self.command(subcommand, arguments).output().expect("host runs")
    }

    /// Runs a command of `pumua` on the line that must end well: if it does not, the box's log may say why.
    pub fn done<S: AsRef<std::ffi::OsStr>>(&self, subcommand: &str, arguments: impl IntoIterator<Item = S>) -> Output {
        let output = self.host(subcommand, arguments);
        assert_eq!(code(&output), 0, "{subcommand}: {}\n--- log of the box\n{}", said(&output), self.log());
        output
    }

    /// Waits until the box answers and gives what `pumua info --json` says.
    pub fn ready(&mut self, limit: Duration) -> Result<Value> {
        let mut info = None;
        let mut ended = None;
        within(limit, || {
            ended = self.child.try_wait().ok().flatten();
            let output = self.host("info", ["--json"]);
            info = (code(&output) == 0).then_some(output.stdout);
            info.is_some() || ended.is_some()
        });
        let info =
            info.with_context(|| format!("the box is not READY (emulator: {ended:?}); its log:\n{}", self.log()))?;
        Ok(serde_json::from_slice(&info)?)
    }

    /// What the kernel and the box have logged.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Seconds from the start of the kernel to the first line of the log with these words.
    pub fn logged_at(&self, words: &str) -> Option<f64> {
        let log = self.log();
        let line = log.lines().find(|line| line.contains(words))?;
        line.split_once('[')?.1.split_once(']')?.0.trim().parse().ok()
    }

    /// Cuts the power.
    pub fn cut_power(mut self) {
        self.kill();
    }

    fn kill(&mut self) {
        // It may have ended by itself; then there is nothing left to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_file(&self.socket);
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.kill();
    }
}
