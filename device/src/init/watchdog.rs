//! The hardware's watchdog: it restarts the box when it has not been fed for the time that the hardware has.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    path::Path,
};

/// A watchdog, if the hardware has one. Once opened it resets the machine unless it is fed; it cannot be disarmed.
#[derive(Debug)]
pub(super) struct Watchdog(Option<File>);

impl Watchdog {
    /// Opens it. The kernel keeps the time that the hardware's driver chooses, 15 s on a Raspberry Pi.
    pub(super) fn open(device: &Path) -> Self {
        match OpenOptions::new().write(true).open(device) {
            Ok(file) => Self(Some(file)),
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    crate::say(format_args!("the watchdog {} cannot be used: {error}", device.display()));
                }
                Self(None)
            }
        }
    }

    /// Feeds it.
    pub(super) fn feed(&mut self) {
        if let Some(file) = &mut self.0 {
            // Any byte but `V`, which would switch it off. Should it fail, the watchdog does what it is for.
            let _ = file.write_all(b".");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_fed_with_what_does_not_switch_it_off() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut watchdog = Watchdog::open(file.path());
        watchdog.feed();
        watchdog.feed();
        let bytes = std::fs::read(file.path()).unwrap();
        assert!(bytes.len() == 2 && !bytes.contains(&b'V'));
        Watchdog::open(Path::new("/nowhere/watchdog")).feed();
    }
}
