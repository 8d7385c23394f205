//! Serial ports: which there are, and opening one for this program alone.

use std::{io, os::unix::fs::FileTypeExt, path::Path, time::Duration};

use serialport::{ErrorKind, SerialPortInfo, TTYPort};

use super::LinkError;

/// The serial ports of this computer.
pub(super) fn found() -> Vec<SerialPortInfo> {
    // The crate panics where a Linux system does not have this folder.
    if cfg!(target_os = "linux") && !Path::new("/sys/class/tty").is_dir() {
        return Vec::new();
    }
    serialport::available_ports().unwrap_or_default()
}

/// Opens a port, locked against every other program that locks its ports.
pub(super) fn open(path: &Path, baud: u32) -> Result<TTYPort, LinkError> {
    let owned = || path.to_owned();
    match path.metadata() {
        Ok(metadata) if metadata.file_type().is_char_device() => {}
        Ok(_) => return Err(LinkError::NotSerial { path: owned() }),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            return Err(LinkError::Permission { path: owned() });
        }
        Err(_) => return Err(LinkError::Absent { path: owned(), found: in_words(found()) }),
    }
    let builder = serialport::new(path.to_string_lossy(), baud).timeout(Duration::from_millis(100));
    TTYPort::open(&builder).map_err(|error| match error.kind() {
        // What the crate makes of a port that is locked by ioctl or flock.
        ErrorKind::NoDevice => LinkError::InUse { path: owned() },
        ErrorKind::Io(io::ErrorKind::PermissionDenied) => LinkError::Permission { path: owned() },
        ErrorKind::Io(io::ErrorKind::NotFound) => LinkError::Absent { path: owned(), found: in_words(found()) },
        _ => LinkError::Open { path: owned(), baud, reason: error.description },
    })
}

fn in_words(found: Vec<SerialPortInfo>) -> String {
    let names: Vec<String> = found.into_iter().map(|port| port.port_name).collect();
    if names.is_empty() { "none is there".to_owned() } else { format!("there are: {}", names.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_port_is_named() {
        assert!(matches!(open(Path::new("/nowhere/tty"), 9600), Err(LinkError::Absent { .. })));
        for (path, is_told) in [("/dev/ttyUSB77", true), ("/dev/pumua-77", true), ("/dev/ttyS777", false)] {
            let error = open(Path::new(path), 9600).err().unwrap().to_string();
            assert_eq!(error.contains("brltty"), is_told, "{error}");
            assert_eq!(error.contains("unless somebody here reads Braille"), is_told, "{error}");
        }
        assert!(matches!(open(Path::new("/"), 9600), Err(LinkError::NotSerial { .. })));
        // A device, but not a serial one.
        assert!(matches!(open(Path::new("/dev/null"), 9600), Err(LinkError::Open { .. })));
    }
}
