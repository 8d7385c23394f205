//! Which serial port leads to a box, where none is named: by what USB says of a port, and by saying hello.

use std::{
    fmt,
    io::{self, BufRead, IsTerminal, Write},
    path::{Path, PathBuf},
    thread,
};

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
    /// It is a computer with Linux.
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
        if label.is_empty() { write!(f, "{}", path.display()) } else { write!(f, "{} ({label})", path.display()) }
    }
}

/// The ports that may lead to a box, the likeliest first. Those that are built in only where there is none on USB.
pub(super) fn candidates(ports: &[SerialPortInfo]) -> Vec<Candidate> {
    let mut found: Vec<Candidate> = ports.iter().filter_map(Candidate::new).collect();
    if found.iter().any(|candidate| candidate.kind != Kind::BuiltIn) {
        found.retain(|candidate| candidate.kind != Kind::BuiltIn);
    }
    found.sort_by(|a, b| (a.kind, &a.path).cmp(&(b.kind, &b.path)));
    found
}

/// The port of the box that answers. `probe` says hello on a port; `ask` gives the index of the one that a person chooses
/// among several, if there is a person to ask. A less likely kind of port is tried only if no box answers on the likelier
/// ones.
pub(super) fn choose(
    candidates: Vec<Candidate>,
    probe: impl Fn(&Path) -> Result<(), LinkError> + Sync,
    ask: impl FnOnce(&[Candidate]) -> Option<usize>,
) -> Result<PathBuf, LinkError> {
    if candidates.is_empty() {
        return Err(LinkError::NoPort);
    }
    let mut tried = Vec::new();
    for round in candidates.chunk_by(|a, b| a.kind == b.kind) {
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
    Err(LinkError::NoBox { tried })
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
mod tests {
    use std::sync::Mutex;

    use serialport::UsbPortInfo;

    use super::*;

    fn usb(path: &str, manufacturer: &str, product: &str) -> SerialPortInfo {
        let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let (vid, pid) = if path.contains("ACM") { GADGET } else { (0x0403, 0x6001) };
        let (manufacturer, product) = (text(manufacturer), text(product));
        let port = UsbPortInfo { vid, pid, serial_number: None, manufacturer, product };
        SerialPortInfo { port_name: path.to_owned(), port_type: SerialPortType::UsbPort(port) }
    }

    fn other(path: &str, port_type: SerialPortType) -> SerialPortInfo {
        SerialPortInfo { port_name: path.to_owned(), port_type }
    }

    fn shown(ports: &[SerialPortInfo]) -> Vec<String> {
        candidates(ports).iter().map(ToString::to_string).collect()
    }

    fn three() -> Vec<Candidate> {
        candidates(&[
            usb("/dev/ttyUSB0", "FTDI", "FT232R USB UART"),
            usb("/dev/ttyACM1", "Pumua", "Pumua clinic box"),
            usb("/dev/ttyACM0", "Linux 6.12 with dwc2", "Gadget Serial v2.4"),
        ])
    }

    fn nobody(_: &[Candidate]) -> Option<usize> {
        None
    }

    /// The ports that were tried, in order of their names, and with what result.
    fn chosen(
        candidates: Vec<Candidate>,
        answers: &[(&str, HostError)],
        ask: impl FnOnce(&[Candidate]) -> Option<usize>,
    ) -> (Vec<PathBuf>, Result<PathBuf, LinkError>) {
        let tried = Mutex::new(Vec::new());
        let probe = |path: &Path| {
            tried.lock().unwrap().push(path.to_owned());
            let answer = answers.iter().find(|(port, _)| Path::new(port) == path);
            answer.map_or(Ok(()), |(_, error)| Err((*error).into()))
        };
        let chosen = choose(candidates, probe, ask);
        let mut tried = tried.into_inner().unwrap();
        tried.sort();
        (tried, chosen)
    }

    #[test]
    fn ports_that_call_themselves_a_box_come_first_and_built_in_ones_only_where_there_is_no_other() {
        let built_in = [other("/dev/ttyS1", SerialPortType::Unknown), other("/dev/ttyS0", SerialPortType::PciPort)];
        assert_eq!(shown(&built_in), ["/dev/ttyS0", "/dev/ttyS1"]);
        assert_eq!(shown(&[other("/dev/rfcomm0", SerialPortType::BluetoothPort)]), [""; 0]);
        let ports = [&built_in[..], &[usb("/dev/ttyUSB0", "FTDI", ""), usb("/dev/ttyACM7", "Pumua", "")]].concat();
        assert_eq!(shown(&ports), ["/dev/ttyACM7 (Pumua)", "/dev/ttyUSB0 (FTDI)"]);
        let kinds: Vec<Kind> = three().iter().map(|candidate| candidate.kind).collect();
        assert_eq!(kinds, [Kind::Named, Kind::Gadget, Kind::Usb]);
    }

    #[test]
    fn a_port_that_calls_itself_a_box_and_is_one_is_taken_without_trying_others() {
        let (tried, chosen) = chosen(three(), &[], nobody);
        assert_eq!((tried, chosen.unwrap()), (vec!["/dev/ttyACM1".into()], "/dev/ttyACM1".into()));
    }

    #[test]
    fn else_the_port_that_answers_is_taken_even_if_it_is_busy() {
        let silent = [("/dev/ttyACM0", HostError::Busy), ("/dev/ttyACM1", HostError::NoAnswer)];
        let (tried, port) = chosen(three(), &silent, nobody);
        assert_eq!((tried.len(), port.unwrap()), (2, "/dev/ttyACM0".into()));
        let silent = ["/dev/ttyACM0", "/dev/ttyACM1"].map(|port| (port, HostError::NoAnswer));
        let (tried, port) = chosen(three(), &silent, nobody);
        assert_eq!((tried.len(), port.unwrap()), (3, "/dev/ttyUSB0".into()));
    }

    #[test]
    fn without_an_answer_everything_that_was_tried_is_named() {
        assert!(matches!(choose(Vec::new(), |_| Ok(()), nobody), Err(LinkError::NoPort)));
        let probe = |path: &Path| match path.to_str() {
            Some("/dev/ttyUSB0") => Err(LinkError::Permission { path: path.to_owned() }),
            _ => Err(HostError::NoAnswer.into()),
        };
        let error = choose(three(), probe, nobody).unwrap_err().to_string();
        assert!(error.contains("/dev/ttyACM1 (Pumua clinic box): no answer"), "{error}");
        assert!(error.contains("/dev/ttyACM0 (Gadget Serial v2.4): no answer"), "{error}");
        assert!(error.contains("no permission to open /dev/ttyUSB0") && error.contains("--port"), "{error}");
        let interrupted = choose(three(), |_| Err(LinkError::Interrupted), nobody);
        assert!(matches!(interrupted, Err(LinkError::Interrupted)));
    }

    #[test]
    fn a_person_chooses_among_several_boxes_and_a_program_is_told_of_them() {
        let two = || candidates(&[usb("/dev/ttyACM0", "Pumua", "Ward 1"), usb("/dev/ttyACM1", "Pumua", "Ward 2")]);
        let error = chosen(two(), &[], nobody).1.unwrap_err().to_string();
        assert!(error.contains("/dev/ttyACM0 (Ward 1), /dev/ttyACM1 (Ward 2)") && error.contains("--port"), "{error}");
        let second = |found: &[Candidate]| {
            let mut asked = Vec::new();
            let index = ask_over("0\nx\n2\n".as_bytes(), &mut asked, found).unwrap();
            let asked = String::from_utf8(asked).unwrap();
            assert!(asked.contains("  2  /dev/ttyACM1 (Ward 2)\nwhich one (1-2)? which"), "{asked}");
            index
        };
        assert_eq!(chosen(two(), &[], second).1.unwrap(), Path::new("/dev/ttyACM1"));
        assert_eq!(ask_over(&b""[..], io::sink(), &three()).unwrap(), None);
    }

    #[test]
    fn the_udev_rule_means_the_same_device() {
        let rules = include_str!("../../setup/udev/60-pumua.rules");
        let active: Vec<&str> = rules.lines().filter(|line| line.starts_with("SUBSYSTEM")).collect();
        assert_eq!(active.len(), 2);
        for rule in active {
            assert!(rule.contains(&format!("{{idVendor}}==\"{:04x}\"", GADGET.0)), "{rule}");
            assert!(rule.contains(&format!("{{idProduct}}==\"{:04x}\"", GADGET.1)), "{rule}");
            assert!(rule.contains(&format!("{{manufacturer}}==\"{MANUFACTURER}*\"")), "{rule}");
        }
    }
}
