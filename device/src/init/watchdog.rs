//! The hardware's watchdog: it restarts the box when it has not been fed for the time that the hardware has.
//!
//! A thread feeds it, but only for as long as it was last allowed to. Whatever is being done meanwhile, loading a driver or
//! mounting a card for example, may hang in the kernel for ever; then nobody prolongs the time, and the box restarts.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use shared::shown::Shown;

/// How often it is fed: far more often than any hardware wants.
const FEED_EVERY: Duration = Duration::from_secs(1);

/// Feeds a watchdog, if the hardware has one.
#[derive(Debug)]
pub(super) struct Watchdog(Arc<Mutex<Instant>>);

impl Watchdog {
    /// Feeds a device from the moment on at which it is there, for so long.
    pub(super) fn start(device: PathBuf, time: Duration) -> Self {
        let until = Arc::new(Mutex::new(Instant::now() + time));
        let watchdog = Self(Arc::clone(&until));
        let mut feeder = Feeder { device, file: None, troubled: false };
        let thread = thread::Builder::new().name("watchdog".to_owned()).spawn(move || {
            loop {
                let until = *until.lock().unwrap_or_else(PoisonError::into_inner);
                feeder.feed(Instant::now() <= until);
                thread::sleep(FEED_EVERY);
            }
        });
        if let Err(error) = thread {
            // It is not opened then, so it does not bite.
            crate::say(format_args!("the watchdog is not used: {error}"));
        }
        watchdog
    }

    /// Feeds it for so long from now on, and no longer than that.
    pub(super) fn allow(&self, time: Duration) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now() + time;
    }
}

/// A watchdog. Once opened it resets the machine unless it is fed; it cannot be disarmed.
struct Feeder {
    device: PathBuf,
    file: Option<File>,
    /// Whether it was reported that the device cannot be used.
    troubled: bool,
}

impl Feeder {
    /// Opens the device if it is new, whether it may be fed or not: what hangs already is to be ended. The kernel keeps the
    /// time that the hardware's driver chooses, 15 s on a Raspberry Pi.
    fn feed(&mut self, allowed: bool) {
        if self.file.is_none() {
            match OpenOptions::new().write(true).open(&self.device) {
                Ok(file) => self.file = Some(file),
                Err(error) if error.kind() != io::ErrorKind::NotFound && !self.troubled => {
                    self.troubled = true;
                    crate::say(format_args!("the watchdog {} cannot be used: {error}", Shown(self.device.display())));
                }
                Err(_) => {}
            }
        }
        if let (Some(file), true) = (&mut self.file, allowed) {
            // Any byte but `V`, which would switch it off. Should it fail, the watchdog does what it is for.
            let _ = file.write_all(b".");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_opened_when_it_is_there_and_fed_while_that_is_allowed_with_what_does_not_switch_it_off() {
        let folder = tempfile::tempdir().unwrap();
        let device = folder.path().join("watchdog");
        let mut feeder = Feeder { device: device.clone(), file: None, troubled: false };
        feeder.feed(true);
        assert!(feeder.file.is_none() && !feeder.troubled, "its driver is not loaded yet");
        std::fs::write(&device, "").unwrap();
        for (allowed, fed) in [(true, 1), (true, 2), (false, 2), (false, 2), (true, 3)] {
            feeder.feed(allowed);
            assert_eq!(std::fs::read(&device).unwrap(), vec![b'.'; fed]);
        }
    }

    #[test]
    fn what_hangs_is_not_fed_for_longer_than_it_was_allowed_before() {
        let watchdog = Watchdog::start("/nowhere/watchdog".into(), Duration::from_secs(300));
        let left = |watchdog: &Watchdog| watchdog.0.lock().unwrap().duration_since(Instant::now());
        assert!(left(&watchdog) > Duration::from_secs(200));
        watchdog.allow(Duration::from_secs(10));
        assert!(left(&watchdog) <= Duration::from_secs(10), "a longer time of before does not remain");
    }
}
