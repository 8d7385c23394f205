//! A serial port.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use rustix::{
    fs::{OFlags, fcntl_getfl, fcntl_setfl},
    io::Errno,
    termios::{ControlModes, OptionalActions, QueueSelector, ioctl_tiocexcl, tcflush, tcgetattr, tcsetattr},
};
use shared::shown::Shown;

/// Why a serial port cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    /// there is no such device
    #[error("there is no port {path}: check the cable and the name, or try --simulate", path = Shown(.0.display()))]
    Absent(PathBuf),
    /// another program has it
    #[error("the port {path} is in use by another program: stop that one", path = Shown(.0.display()))]
    InUse(PathBuf),
    /// the user may not open it
    #[error("no permission to open the port {path}: add this user to the group that owns it (often `dialout`)", path = Shown(.0.display()))]
    Forbidden(PathBuf),
    /// it is something else
    #[error("{path} is not a serial port: name another with --port", path = Shown(.0.display()))]
    NoPort(PathBuf),
    /// it cannot be opened or set up
    #[error("cannot open the port {path}: {source}; check the cable and the speed", path = Shown(path.display()))]
    Io {
        /// The device.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Opens a port for this program alone, sets it to raw bytes at a speed (8 data bits, no parity, one stop bit, no flow
/// control), and gives both its directions.
pub fn open_port(path: &Path, baud: u32) -> Result<(File, File), PortError> {
    let open = || -> io::Result<(File, File)> {
        // Without NONBLOCK, opening may wait for a carrier.
        let flags = (OFlags::NOCTTY | OFlags::NONBLOCK).bits() as i32;
        let port = OpenOptions::new().read(true).write(true).custom_flags(flags).open(path)?;
        make_raw(&port, Some(baud))?;
        ioctl_tiocexcl(&port)?;
        port.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => Errno::BUSY.into(),
            TryLockError::Error(error) => error,
        })?;
        fcntl_setfl(&port, fcntl_getfl(&port)? - OFlags::NONBLOCK)?;
        tcflush(&port, QueueSelector::IOFlush)?;
        Ok((port.try_clone()?, port))
    };
    open().map_err(|source| {
        let path = path.to_owned();
        match Errno::from_io_error(&source) {
            Some(Errno::NOENT | Errno::NXIO | Errno::NODEV) => PortError::Absent(path),
            Some(Errno::BUSY) => PortError::InUse(path),
            Some(Errno::ACCESS | Errno::PERM) => PortError::Forbidden(path),
            Some(Errno::NOTTY | Errno::ISDIR) => PortError::NoPort(path),
            _ => PortError::Io { path, source },
        }
    })
}

/// Raw bytes; modem lines are ignored.
pub(super) fn make_raw(port: &File, baud: Option<u32>) -> io::Result<()> {
    let mut termios = tcgetattr(port)?;
    termios.make_raw();
    termios.control_modes |= ControlModes::CREAD | ControlModes::CLOCAL;
    termios.control_modes -= ControlModes::CSTOPB | ControlModes::CRTSCTS | ControlModes::HUPCL;
    if let Some(baud) = baud {
        termios.set_speed(baud)?;
    }
    tcsetattr(port, OptionalActions::Now, &termios)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;
    use crate::serial::Pty;

    #[test]
    fn a_pseudo_terminal_carries_every_byte_unchanged() {
        let pty = Pty::open().unwrap();
        let (mut reader, mut writer) = pty.ends().unwrap();
        let (mut from_box, mut to_box) = open_port(pty.path(), 115_200).unwrap();
        let bytes: Vec<u8> = (0..=255).collect();
        let mut received = [0; 256];
        to_box.write_all(&bytes).unwrap();
        reader.read_exact(&mut received).unwrap();
        assert_eq!(received[..], bytes);
        writer.write_all(&bytes).unwrap();
        from_box.read_exact(&mut received).unwrap();
        assert_eq!(received[..], bytes);
    }

    #[test]
    fn hosts_come_and_go() {
        let pty = Pty::open().unwrap();
        let (mut reader, _) = pty.ends().unwrap();
        for byte in 0..3 {
            let (_, mut to_box) = open_port(pty.path(), 115_200).unwrap();
            to_box.write_all(&[byte]).unwrap();
            let mut received = [0; 1];
            reader.read_exact(&mut received).unwrap();
            assert_eq!(received, [byte]);
        }
    }

    #[test]
    fn ports_that_cannot_be_opened_are_told_apart() {
        let pty = Pty::open().unwrap();
        let _first = open_port(pty.path(), 9600).unwrap();
        assert!(matches!(open_port(pty.path(), 9600), Err(PortError::InUse(_))));
        assert!(matches!(open_port(Path::new("/nowhere/tty"), 9600), Err(PortError::Absent(_))));
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(matches!(open_port(file.path(), 9600), Err(PortError::NoPort(_))));
        assert!(matches!(open_port(Path::new("/"), 9600), Err(PortError::NoPort(_))));
    }
}
