//! A console, the client of `dicom-ul`, at a node that keeps films in memory.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::{
    collections::VecDeque,
    io::{self, Write as _},
    net::{IpAddr, TcpStream},
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use dicom_ul::{
    ClientAssociation, ClientAssociationOptions,
    pdu::{PDataValue, PDataValueType, Pdu},
};
use node::{Ending, Event, Film, Films, IMAGES, Limits, Node, Open, Taken, What};

const PLAIN: &str = "1.2.840.10008.1.2.1";
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Default)]
struct End(AtomicBool);

impl Ending for End {
    fn asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Asks for the end when it is dropped, also by an assertion that fails.
struct Until<'a>(&'a End);

impl Drop for Until<'_> {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Relaxed);
    }
}

/// Answers with these, one after the other, and keeps what came.
struct Desk {
    answers: Mutex<VecDeque<Taken>>,
    films: Mutex<Vec<Vec<u8>>>,
    events: Mutex<Vec<Event>>,
}

impl Films for Desk {
    fn take(&self, film: Film<'_>) -> Taken {
        let mut bytes = Vec::new();
        if film.bytes.read_to_end(&mut bytes).is_err() {
            return Taken::Cut;
        }
        self.films.lock().unwrap().push(bytes);
        self.answers.lock().unwrap().pop_front().unwrap()
    }

    fn note(&self, _: IpAddr, _: u64, event: Event) {
        self.events.lock().unwrap().push(event);
    }

    fn unserved(&self, error: &io::Error) {
        panic!("{error}");
    }
}

fn element(group: u16, number: u16, value: &[u8]) -> Vec<u8> {
    let padding = &[0][..value.len() % 2];
    let length = ((value.len() + padding.len()) as u32).to_le_bytes();
    [&group.to_le_bytes()[..], &number.to_le_bytes(), &length, value, padding].concat()
}

/// Sends a film and gives status and comment of the answer.
fn send(console: &mut ClientAssociation<TcpStream>, instance: &str, data_set: &[u8]) -> (u16, String) {
    let context = console.presentation_contexts()[0].id;
    let command = [
        element(0, 0x0002, IMAGES[0].as_bytes()),
        element(0, 0x0100, &1_u16.to_le_bytes()),
        element(0, 0x0110, &7_u16.to_le_bytes()),
        element(0, 0x0800, &1_u16.to_le_bytes()),
        element(0, 0x1000, instance.as_bytes()),
    ]
    .concat();
    let (value_type, is_last) = (PDataValueType::Command, true);
    let value = PDataValue { presentation_context_id: context, value_type, is_last, data: command };
    console.send(&Pdu::PData { data: vec![value] }).unwrap();
    let mut writer = console.send_pdata(context);
    writer.write_all(data_set).unwrap();
    writer.finish().unwrap();
    let pdu = console.receive().unwrap();
    let Pdu::PData { data } = pdu else { panic!("{pdu:?}") };
    let (mut rest, mut status, mut comment) = (&data[0].data[..], 0, String::new());
    while !rest.is_empty() {
        let length = u32::from_le_bytes(rest[4..8].try_into().unwrap()) as usize;
        let value = &rest[8..8 + length];
        match u16::from_le_bytes([rest[2], rest[3]]) {
            0x0900 => status = u16::from_le_bytes([value[0], value[1]]),
            0x0902 => String::from_utf8_lossy(value).trim_end().clone_into(&mut comment),
            _ => {}
        }
        rest = &rest[8 + length..];
    }
    (status, comment)
}

/// A data set with so many bytes in the place of pixels. It is written in implicit representation, which is read as well.
fn data_set(instance: &str, pixels: usize) -> Vec<u8> {
    [
        element(8, 0x16, IMAGES[0].as_bytes()),
        element(8, 0x18, instance.as_bytes()),
        element(0x7fe0, 0x10, &vec![7; pixels]),
    ]
    .concat()
}

#[test]
fn what_becomes_of_a_film_is_what_the_console_hears() {
    let answers = [Taken::Kept, Taken::Duplicate, Taken::NoRoom("busy: send again"), Taken::TooLarge, Taken::Kept];
    let desk = Desk { answers: Mutex::new(answers.into()), films: Mutex::default(), events: Mutex::default() };
    let node = Node { listen: "127.0.0.1:0".parse().unwrap(), title: "PUMUA".parse().unwrap(), peers: Vec::new() };
    let (open, end) = (Open::new(node, Limits::default()).unwrap(), End::default());
    thread::scope(|scope| {
        let _until = Until(&end);
        scope.spawn(|| open.run(&desk, &end));
        let client = ClientAssociationOptions::new().calling_ae_title("CR1").called_ae_title("PUMUA");
        let client = client.read_timeout(PATIENCE).with_presentation_context(IMAGES[0], vec![PLAIN]);
        let mut console = client.establish(open.address()).unwrap();
        let heard = [(); 5].map(|()| send(&mut console, "1.2.3", &data_set("1.2.3", 200_000)));
        assert_eq!(heard.each_ref().map(|(status, _)| *status), [0, 0, 0xa700, 0xc001, 0]);
        assert_eq!(heard[2].1, "busy: send again");
        console.release().unwrap();
    });
    let films = desk.films.lock().unwrap();
    assert!(films.len() == 5 && films.iter().all(|film| *film == films[0] && film.ends_with(&[7; 1000])));
    assert_eq!(films[0][128..132], *b"DICM");
    let events = desk.events.lock().unwrap();
    let whats: Vec<What> = events.iter().map(|event| event.what).collect();
    assert_eq!(whats, [What::NoRoom, What::TooLarge, What::Taken]);
    assert_eq!(events[2].told("{}, {}, {}"), "3, CR1, 1");
}
