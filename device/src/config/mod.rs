//! Settings: flags win over environment, environment over the clinic's own settings ([`crate::site`]), those over the configuration
//! file, the file over what is built in.
//!
//! [`Flags`] is what the command line says, and reads the other sources; [`Sources`] are those but for a site file; [`Settings`] is the
//! result of all of them.

mod file;
mod flags;
mod settings;
#[cfg(test)]
mod tests;

pub use self::{
    flags::Flags,
    settings::{LineSettings, NodeSettings, Settings, Sources},
};

use std::{
    io,
    path::{Path, PathBuf},
};

use ::node::{Wired, WiredError};
use shared::{appliance::line::SLOWEST_BAUD, shown::Shown, text::OtherEncoding};

/// Settings that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// the configuration file cannot be read
    #[error("cannot read the configuration file {path}: {source}", path = Shown(path.display()))]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// nobody writes so much into the configuration file
    #[error("the configuration file {path} is larger than {} KiB: name another", file::MAX_BYTES >> 10, path = Shown(.0.display()))]
    TooLarge(PathBuf),
    /// the configuration file is not in UTF-8
    #[error("the configuration file {path} cannot be used: {source}", path = Shown(path.display()))]
    Encoding {
        /// The file.
        path: PathBuf,
        /// In what it is.
        source: OtherEncoding,
    },
    /// the configuration file is not what it should be
    #[error("the configuration file {path} cannot be used; correct it:\n{source}", path = Shown(path.display()))]
    Toml {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: Box<toml::de::Error>,
    },
    /// an environment variable is not what it should be
    #[error("the environment variable {name} cannot be used: {reason}", reason = Shown(reason))]
    Environment {
        /// The variable.
        name: &'static str,
        /// Why.
        reason: String,
    },
    /// neither a port nor a simulation is asked for
    #[error("no line to the host is named: give --port PATH for a serial port or --simulate to try the box here")]
    NoLine,
    /// a line is asked for that is slower than any
    #[error("a line of {0} bits a second is too slow: give at least {SLOWEST_BAUD}")]
    Rate(u32),
    /// the roots are not keys, or not as many as are needed
    #[error("the setting `roots` cannot be used: {0}")]
    Roots(#[from] trust::RootsError),
    /// a pace is asked for where there is a real line
    #[error("--pace is for the simulated line: add --simulate, or use --baud for a serial port")]
    PaceWithoutSimulation,
    /// the node of the box cannot be as the settings have it
    #[error(transparent)]
    Node(#[from] WiredError),
    /// a node at an address of a computer is asked for, of a box that is not simulated
    #[error("--node is for a simulated box: add --simulate, or name its Ethernet port with `ethernet` in box.toml")]
    NodeWithoutSimulation,
}

/// What a configuration file says of the Ethernet port of the box, for the process that sets it up.
///
/// # Errors
/// The file cannot be used, or not what it says of the port.
pub fn wired(file: &Path) -> Result<Option<Wired>, ConfigError> {
    let layer = flags::Layer::from_file(Some(file))?;
    Ok(settings::wired(&[layer])?)
}
