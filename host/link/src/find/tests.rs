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

fn shown(candidates: &[Candidate]) -> Vec<String> {
    candidates.iter().map(ToString::to_string).collect()
}

fn three(any: bool) -> Candidates {
    let ports = [
        usb("/dev/ttyUSB0", "FTDI", "FT232R USB UART"),
        usb("/dev/ttyACM1", "Pumua", "Pumua clinic box"),
        usb("/dev/ttyACM0", "Linux 6.12 with dwc2", "Gadget Serial v2.4"),
    ];
    candidates(&ports, any)
}

fn nobody(_: &[Candidate]) -> Option<usize> {
    None
}

/// The ports that were tried, in order of their names, and with what result.
fn chosen(
    candidates: Candidates,
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
    assert_eq!(shown(&candidates(&built_in, true).likely), ["/dev/ttyS0", "/dev/ttyS1"]);
    assert_eq!(shown(&candidates(&[other("/dev/rfcomm0", SerialPortType::BluetoothPort)], true).likely), [""; 0]);
    let ports = [&built_in[..], &[usb("/dev/ttyUSB0", "FTDI", ""), usb("/dev/ttyACM7", "Pumua", "")]].concat();
    assert_eq!(shown(&candidates(&ports, true).likely), ["/dev/ttyACM7 (Pumua)", "/dev/ttyUSB0 (FTDI)"]);
    let kinds: Vec<Kind> = three(true).likely.iter().map(|candidate| candidate.kind).collect();
    assert_eq!(kinds, [Kind::Named, Kind::Gadget, Kind::Usb]);
}

#[test]
fn a_port_that_calls_itself_a_box_and_is_one_is_taken_without_trying_others() {
    let (tried, chosen) = chosen(three(true), &[], nobody);
    assert_eq!((tried, chosen.unwrap()), (vec!["/dev/ttyACM1".into()], "/dev/ttyACM1".into()));
}

#[test]
fn else_the_port_that_answers_is_taken_even_if_it_is_busy() {
    let silent = [("/dev/ttyACM0", HostError::Busy), ("/dev/ttyACM1", HostError::NoAnswer)];
    let (tried, port) = chosen(three(true), &silent, nobody);
    assert_eq!((tried.len(), port.unwrap()), (2, "/dev/ttyACM0".into()));
    let silent = ["/dev/ttyACM0", "/dev/ttyACM1"].map(|port| (port, HostError::NoAnswer));
    let (tried, port) = chosen(three(true), &silent, nobody);
    assert_eq!((tried.len(), port.unwrap()), (3, "/dev/ttyUSB0".into()));
}

#[test]
fn without_an_answer_everything_that_was_tried_is_named() {
    assert!(matches!(choose(Candidates::default(), |_| Ok(()), nobody), Err(LinkError::NoPort { .. })));
    let probe = |path: &Path| match path.to_str() {
        Some("/dev/ttyUSB0") => Err(LinkError::Permission { path: path.to_owned() }),
        _ => Err(HostError::NoAnswer.into()),
    };
    let error = choose(three(true), probe, nobody).unwrap_err().to_string();
    assert!(error.contains("/dev/ttyACM1 (Pumua clinic box): no answer"), "{error}");
    assert!(error.contains("/dev/ttyACM0 (Gadget Serial v2.4): no answer"), "{error}");
    assert!(error.contains("no permission to open /dev/ttyUSB0") && error.contains("--port"), "{error}");
    let interrupted = choose(three(true), |_| Err(LinkError::Interrupted), nobody);
    assert!(matches!(interrupted, Err(LinkError::Interrupted)));
}

#[test]
fn what_does_not_call_itself_a_box_is_written_to_only_when_that_is_asked_for() {
    let silent = ["/dev/ttyACM0", "/dev/ttyACM1"].map(|port| (port, HostError::NoAnswer));
    let (tried, port) = chosen(three(false), &silent, nobody);
    assert_eq!(tried, [Path::new("/dev/ttyACM0"), Path::new("/dev/ttyACM1")]);
    let error = port.unwrap_err().to_string();
    assert!(error.contains("--any-port: /dev/ttyUSB0 (FT232R USB UART)"), "{error}");
    for port in [usb("/dev/ttyUSB0", "Infusion", "Pump"), other("/dev/ttyS0", SerialPortType::PciPort)] {
        let (tried, nothing) = chosen(candidates(std::slice::from_ref(&port), false), &[], nobody);
        assert_eq!(tried, [""; 0].map(PathBuf::from));
        let error = nothing.unwrap_err().to_string();
        assert!(error.contains("--any-port") && error.contains(&port.port_name), "{error}");
        assert_eq!(chosen(candidates(&[port], true), &[], nobody).0.len(), 1);
    }
}

#[test]
fn what_a_device_calls_itself_is_shown_as_one_line() {
    let evil = usb("/dev/ttyACM0", "Pumua", "\u{1b}[2J\nusing the box on /dev/ttyS0\u{202e}");
    let label = "/dev/ttyACM0 (\\u{1b}[2J\\u{a}using the box on /dev/ttyS0\\u{202e})";
    assert_eq!(shown(&candidates(&[evil], false).likely), [label]);
}

#[test]
fn a_person_chooses_among_several_boxes_and_a_program_is_told_of_them() {
    let two = || candidates(&[usb("/dev/ttyACM0", "Pumua", "Ward 1"), usb("/dev/ttyACM1", "Pumua", "Ward 2")], true);
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
    assert_eq!(ask_over(&b""[..], io::sink(), &three(true).likely).unwrap(), None);
}

#[test]
fn the_udev_rule_means_the_same_device() {
    let rules = include_str!("../../../setup/udev/60-pumua.rules");
    let active: Vec<&str> = rules.lines().filter(|line| line.starts_with("SUBSYSTEM")).collect();
    assert_eq!(active.len(), 2);
    for rule in active {
        assert!(rule.contains(&format!("{{idVendor}}==\"{:04x}\"", GADGET.0)), "{rule}");
        assert!(rule.contains(&format!("{{idProduct}}==\"{:04x}\"", GADGET.1)), "{rule}");
        assert!(rule.contains(&format!("{{manufacturer}}==\"{MANUFACTURER}*\"")), "{rule}");
    }
}
