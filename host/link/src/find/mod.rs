//! Which serial port leads to a box, where none is named: by what USB says of a port, and by saying hello.
//!
//! Opening a port and writing to it may disturb what is behind it: in a clinic a pump or a monitor. Without being told to, the
//! program does so only where a port calls itself a box.

use std::{
    fmt,
    io::{self, BufRead, IsTerminal, Write},
    path::{Path, PathBuf},
    thread,
};

use base::Shown;
use serialport::{SerialPortInfo, SerialPortType};
use wire::HostError;

use super::LinkError;

/// The manufacturer that a box on USB calls itself by.
const MANUFACTURER: &str = "Pumua";
/// Vendor and product of a serial port of Linux' own USB gadget (g_serial in CDC-ACM mode), which a box has.
const GADGET: (u16, u16) = (0x0525, 0xa4a7);

/// How likely it is that a port leads to a box.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// It calls itself a box.
    Named,
    /// It is a computer with Linux that calls itself nothing else, as a box without settings of its own does.
    Gadget,
    /// It is anything else on USB: an adapter cable, but also a device that does not want to be talked to.
    Usb,
    /// It belongs to this computer.
    BuiltIn,
}

/// A port that may lead to a box.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Candidate {
    /// The port.
    pub(super) path: PathBuf,
    kind: Kind,
    /// What USB says of it.
    label: String,
}

impl Candidate {
    fn new(port: &SerialPortInfo) -> Option<Self> {
        let (kind, label) = match &port.port_type {
            SerialPortType::UsbPort(usb) => {
                let [manufacturer, product] =
                    [&usb.manufacturer, &usb.product].map(|text| text.as_deref().unwrap_or(""));
                let named = manufacturer.contains(MANUFACTURER) || product.contains(MANUFACTURER);
                let kind = match (usb.vid, usb.pid) {
                    _ if named => Kind::Named,
                    GADGET => Kind::Gadget,
                    _ => Kind::Usb,
                };
                (kind, if product.is_empty() { manufacturer } else { product }.to_owned())
            }
            SerialPortType::PciPort | SerialPortType::Unknown => (Kind::BuiltIn, String::new()),
            // Opening one makes this computer call another.
            SerialPortType::BluetoothPort => return None,
        };
        Some(Self { path: PathBuf::from(&port.port_name), kind, label })
    }
}

impl fmt::Display for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, label, .. } = self;
        let path = Shown(path.display());
        if label.is_empty() { write!(f, "{path}") } else { write!(f, "{path} ({})", Shown(label)) }
    }
}

/// The ports of this computer.
#[derive(Debug, Default)]
pub(super) struct Candidates {
    /// Those that may be written to, the likeliest first.
    pub(super) likely: Vec<Candidate>,
    /// Those that are left alone.
    pub(super) others: Vec<Candidate>,
}

/// The ports that may lead to a box: those that call themselves one, or with `any` all. Those that are built in only where
/// there is none on USB.
pub(super) fn candidates(ports: &[SerialPortInfo], any: bool) -> Candidates {
    let mut found: Vec<Candidate> = ports.iter().filter_map(Candidate::new).collect();
    if found.iter().any(|candidate| candidate.kind != Kind::BuiltIn) {
        found.retain(|candidate| candidate.kind != Kind::BuiltIn);
    }
    found.sort_by(|a, b| (a.kind, &a.path).cmp(&(b.kind, &b.path)));
    let calls_itself_one = |candidate: &Candidate| matches!(candidate.kind, Kind::Named | Kind::Gadget);
    let (likely, others) = found.into_iter().partition(|candidate| any || calls_itself_one(candidate));
    Candidates { likely, others }
}

/// The port of the box that answers. `probe` says hello on a port; `ask` gives the index of the one that a person chooses
/// among several, if there is a person to ask. A less likely kind of port is tried only if no box answers on the likelier
/// ones.
pub(super) fn choose(
    Candidates { likely, others }: Candidates,
    probe: impl Fn(&Path) -> Result<(), LinkError> + Sync,
    ask: impl FnOnce(&[Candidate]) -> Option<usize>,
) -> Result<PathBuf, LinkError> {
    let others = others.iter().map(ToString::to_string).collect();
    if likely.is_empty() {
        return Err(LinkError::NoPort { others });
    }
    let mut tried = Vec::new();
    for round in likely.chunk_by(|a, b| a.kind == b.kind) {
        let mut found = Vec::new();
        for (candidate, answer) in round.iter().zip(probe_all(round, &probe)) {
            match answer {
                Err(LinkError::Interrupted) => return Err(LinkError::Interrupted),
                answer if is_box(&answer) => found.push(candidate.clone()),
                Err(LinkError::Session(HostError::NoAnswer)) => tried.push(format!("{candidate}: no answer")),
                Err(error) => tried.push(format!("{candidate}: {error}")),
                Ok(()) => {}
            }
        }
        let chosen = match found.len() {
            0 => continue,
            1 => Some(0),
            _ => ask(&found),
        };
        return match chosen.and_then(|index| found.get(index)) {
            Some(candidate) => Ok(candidate.path.clone()),
            None => Err(LinkError::SeveralBoxes(found.iter().map(ToString::to_string).collect())),
        };
    }
    Err(LinkError::NoBox { tried, others })
}

/// A box that cannot be talked to now is a box: what keeps it is reported once it is chosen.
fn is_box(answer: &Result<(), LinkError>) -> bool {
    matches!(answer, Ok(()) | Err(LinkError::Session(HostError::Busy | HostError::Incompatible { .. })))
}

/// Says hello on all ports at once.
fn probe_all(
    ports: &[Candidate],
    probe: &(impl Fn(&Path) -> Result<(), LinkError> + Sync),
) -> Vec<Result<(), LinkError>> {
    thread::scope(|scope| {
        let probes: Vec<_> = ports.iter().map(|port| scope.spawn(move || probe(&port.path))).collect();
        probes.into_iter().map(|probe| probe.join().unwrap_or(Err(HostError::NoAnswer.into()))).collect()
    })
}

/// Asks the person at the terminal which box is meant; `None` without one.
pub(super) fn ask(found: &[Candidate]) -> Option<usize> {
    if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
        return None;
    }
    ask_over(io::stdin().lock(), io::stderr(), found).unwrap_or_default()
}

fn ask_over(answers: impl BufRead, mut questions: impl Write, found: &[Candidate]) -> io::Result<Option<usize>> {
    writeln!(questions, "several boxes answer:")?;
    for (index, candidate) in found.iter().enumerate() {
        writeln!(questions, "  {}  {candidate}", index + 1)?;
    }
    let mut answers = answers.lines();
    loop {
        write!(questions, "which one (1-{})? ", found.len())?;
        questions.flush()?;
        let Some(answer) = answers.next() else { return Ok(None) };
        match answer?.trim().parse::<usize>() {
            Ok(number) if (1..=found.len()).contains(&number) => return Ok(Some(number - 1)),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
