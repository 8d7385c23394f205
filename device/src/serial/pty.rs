//! A pseudo-terminal: a serial line within this computer.

use std::{
    fs::{File, OpenOptions},
    io,
    os::{fd::OwnedFd, unix::fs::OpenOptionsExt},
    path::{Path, PathBuf},
};

use rustix::{
    fs::OFlags,
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
};

use super::port::make_raw;

/// A pseudo-terminal. The host opens the device at [`Pty::path`] as if it were a serial port.
#[derive(Debug)]
pub struct Pty {
    controller: File,
    path: PathBuf,
    /// Kept open so that the line outlives the hosts that come and go.
    _device: File,
}

impl Pty {
    /// Opens a new one, in raw mode.
    pub fn open() -> io::Result<Self> {
        let controller: OwnedFd = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
        grantpt(&controller)?;
        unlockpt(&controller)?;
        let name = ptsname(&controller, Vec::new())?.into_string().map_err(io::Error::other)?;
        let no_control = OFlags::NOCTTY.bits() as i32;
        let device = OpenOptions::new().read(true).write(true).custom_flags(no_control).open(&name)?;
        make_raw(&device, None)?;
        Ok(Self { controller: controller.into(), path: name.into(), _device: device })
    }

    /// The device that a host opens.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Both directions of the box's end.
    pub fn ends(&self) -> io::Result<(File, File)> {
        Ok((self.controller.try_clone()?, self.controller.try_clone()?))
    }
}
