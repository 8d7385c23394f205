//! What can go wrong on the way to the box, each with the next action.

use std::{
    io,
    path::{Path, PathBuf},
};

use base::Shown;
use shared::verdict::Fault;
use wire::HostError;

use super::AnswerError;

/// Why the box cannot be asked, or has not answered as it should.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The configuration file cannot be read.
    #[error("cannot read the configuration file {path}: {source}: make it readable or remove it", path = Shown(path.display()))]
    ConfigRead {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The configuration file is not understood.
    #[error("the configuration file {path} is not understood: correct it (keys: port, baud, exam_id, exam_key)\n{message}", path = Shown(path.display()))]
    Config {
        /// The file.
        path: PathBuf,
        /// What the parser says.
        message: String,
    },
    /// No serial port calls itself a box.
    #[error(
        "no serial port calls itself Pumua: connect the box, or name its port with --port (`pumua-box --simulate` prints the \
         one of a simulated box){}; {BRLTTY}",
        left_alone(others)
    )]
    NoPort {
        /// Ports that call themselves something else.
        others: Vec<String>,
    },
    /// There are some, but none is named, and no box answers.
    #[error(
        "no box answers: check that it is on and shows that it is ready, and the cable; or name its port with --port and its \
         speed with --baud{}. Tried:\n  {}",
        left_alone(others), tried.join("\n  ")
    )]
    NoBox {
        /// The result for each port.
        tried: Vec<String>,
        /// Ports that call themselves something else, and were not tried.
        others: Vec<String>,
    },
    /// Several boxes answer, and nobody is there to choose.
    #[error("several boxes answer ({}): choose one with --port", .0.join(", "))]
    SeveralBoxes(Vec<String>),
    /// The port named does not exist.
    #[error("there is no port {path}: check the cable and the name ({found}){}", of_adapter(path), path = Shown(path.display()))]
    Absent {
        /// The port.
        path: PathBuf,
        /// The ports that there are, in words.
        found: String,
    },
    /// The port belongs to somebody else.
    #[error(
        "no permission to open {path}: add yourself to the group that owns it (`sudo usermod -aG dialout $USER`, then log in \
         again), or, for a box on USB, install host/setup/udev/60-pumua.rules",
        path = Shown(path.display())
    )]
    Permission {
        /// The port.
        path: PathBuf,
    },
    /// Another program has it.
    #[error("{path} is in use by another program: wait until that has finished, or end it", path = Shown(path.display()))]
    InUse {
        /// The port.
        path: PathBuf,
    },
    /// It is a file, a folder or another device.
    #[error("{path} is not a serial port: name one with --port", path = Shown(path.display()))]
    NotSerial {
        /// What was named.
        path: PathBuf,
    },
    /// It cannot be opened for another reason.
    #[error("cannot open {path} at {baud} baud: {reason}: check the port and the baud rate", path = Shown(path.display()))]
    Open {
        /// The port.
        path: PathBuf,
        /// The speed asked for.
        baud: u32,
        /// What the system says.
        reason: String,
    },
    /// The port went away while it was used.
    #[error("the connection was lost ({source}): check the cable and that the box is on, then send again")]
    Unplugged {
        /// What the system says.
        source: io::Error,
    },
    /// The session could not be opened, or has ended.
    #[error(transparent)]
    Session(#[from] HostError),
    /// The box has answered what cannot be right.
    #[error(
        "the box's answer cannot be right: {0}: do not use it; restart the box, and update host and box to the same release"
    )]
    Answer(#[from] AnswerError),
    /// The box reports a fault.
    #[error("the box reports: {0} (code {code})", code = .0.code())]
    Fault(Fault),
    /// Ctrl-C.
    #[error("stopped by Ctrl-C")]
    Interrupted,
}

/// The program for Braille displays takes the chips of such adapters for one.
const BRLTTY: &str = "if a USB-to-serial adapter (CH340, CP210x) is connected and has no port, brltty may have taken it, as on \
                      Ubuntu: unless somebody here reads Braille with it, `sudo apt remove brltty`, then plug it in again";

/// What may have become of the port of an adapter, as the end of a sentence.
fn of_adapter(path: &Path) -> String {
    let is_of_adapter = ["ttyUSB", "usb-", "pumua"].iter().any(|part| path.to_string_lossy().contains(part));
    if is_of_adapter { format!("; {BRLTTY}") } else { String::new() }
}

/// The ports that were left alone, as the end of a sentence.
fn left_alone(ports: &[String]) -> String {
    if ports.is_empty() {
        return String::new();
    }
    format!("; these call themselves something else, and are written to only with --any-port: {}", ports.join(", "))
}
