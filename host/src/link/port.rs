//! Serial ports: which there are, and opening one for this program alone.

use std::{
    io,
    os::unix::fs::FileTypeExt,
    path::{Path, PathBuf},
    time::Duration,
};

use serialport::{ErrorKind, SerialPortType, TTYPort};

use super::LinkError;

/// The only serial port of this computer; USB ports come before those that are built in.
pub(super) fn only_one() -> Result<PathBuf, LinkError> {
    choose(found())
}

fn found() -> Vec<(String, bool)> {
    // The crate panics where a Linux system does not have this folder.
    if cfg!(target_os = "linux") && !Path::new("/sys/class/tty").is_dir() {
        return Vec::new();
    }
    let ports = serialport::available_ports().unwrap_or_default();
    ports.into_iter().map(|port| (port.port_name, matches!(port.port_type, SerialPortType::UsbPort(_)))).collect()
}

fn choose(found: Vec<(String, bool)>) -> Result<PathBuf, LinkError> {
    let usb = found.iter().any(|(_, usb)| *usb);
    let mut names: Vec<String> = found.into_iter().filter(|(_, is)| *is == usb).map(|(name, _)| name).collect();
    names.sort();
    match names.as_slice() {
        [] => Err(LinkError::NoPort),
        [name] => Ok(name.into()),
        _ => Err(LinkError::SeveralPorts(names)),
    }
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

fn in_words(found: Vec<(String, bool)>) -> String {
    let names: Vec<String> = found.into_iter().map(|(name, _)| name).collect();
    if names.is_empty() { "none is there".to_owned() } else { format!("there are: {}", names.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_port_is_chosen_and_usb_comes_first() {
        let ports = |list: &[(&str, bool)]| list.iter().map(|(name, usb)| ((*name).to_owned(), *usb)).collect();
        assert!(matches!(choose(ports(&[])), Err(LinkError::NoPort)));
        assert_eq!(choose(ports(&[("/dev/ttyS0", false)])).unwrap(), Path::new("/dev/ttyS0"));
        let mixed = ports(&[("/dev/ttyS0", false), ("/dev/ttyS1", false), ("/dev/ttyACM0", true)]);
        assert_eq!(choose(mixed).unwrap(), Path::new("/dev/ttyACM0"));
        let error = choose(ports(&[("/dev/ttyUSB1", true), ("/dev/ttyUSB0", true)])).unwrap_err();
        assert!(error.to_string().contains("/dev/ttyUSB0, /dev/ttyUSB1"), "{error}");
    }

    #[test]
    fn what_is_no_port_is_named() {
        assert!(matches!(open(Path::new("/nowhere/tty"), 9600), Err(LinkError::Absent { .. })));
        assert!(matches!(open(Path::new("/"), 9600), Err(LinkError::NotSerial { .. })));
        // A device, but not a serial one.
        assert!(matches!(open(Path::new("/dev/null"), 9600), Err(LinkError::Open { .. })));
    }
}
