//! A host that says whatever a test wants: the box answers with a clear failure, and is ready again.

use alloc::{vec, vec::Vec};

use super::{
    super::{transport::Transport, *},
    CONTRACT, encoded_message, info, noise, record,
    world::{file, prepared},
};
use shared::{
    preprocess::Window,
    verdict::{Digest, Fault, Refusal},
};

/// A host that says whatever a test wants.
pub(super) struct Rude {
    pub(super) now: u64,
    transport: Transport,
    pub(super) device: BoxSession,
    pub(super) answers: Vec<ToHost>,
    pub(super) events: Vec<BoxEvent>,
}

impl Rude {
    pub(super) fn new() -> Self {
        let mut rude = Self {
            now: 0,
            transport: Transport::connect(0, 1),
            device: BoxSession::new(CONTRACT),
            answers: vec![],
            events: vec![],
        };
        rude.run();
        assert!(rude.transport.is_open());
        rude.events.clear();
        rude
    }

    pub(super) fn run(&mut self) {
        let mut buffer = [0; MAX_FRAME];
        for _ in 0..300 {
            self.now += 1;
            loop {
                let length = self.transport.poll_transmit(self.now, &mut buffer);
                self.device.receive(self.now, &buffer[..length]);
                if length == 0 {
                    break;
                }
            }
            self.events.extend(core::iter::from_fn(|| self.device.event(self.now)));
            loop {
                let length = self.device.poll_transmit(self.now, &mut buffer);
                self.transport.receive(self.now, &buffer[..length]);
                if length == 0 {
                    break;
                }
            }
            while let Some(payload) = self.transport.take_message() {
                let answer = codec::decode(&payload).unwrap();
                if !matches!(answer, ToHost::Progress { .. }) {
                    self.answers.push(answer);
                }
            }
        }
    }

    /// Why the last image or update was dropped, if that was the last event.
    pub(super) fn dropped(&self) -> Option<Dropped> {
        match self.events.last()? {
            BoxEvent::Dropped(dropped) | BoxEvent::Declined { dropped, .. } => Some(*dropped),
            _ => None,
        }
    }

    pub(super) fn say(&mut self, messages: &[ToBox]) -> Vec<ToHost> {
        for message in messages {
            codec::send(&mut self.transport, message).unwrap();
        }
        self.run();
        core::mem::take(&mut self.answers)
    }
}

pub(super) fn chunk(offset: u32, length: usize) -> ToBox {
    ToBox::Chunk(Chunk { offset, data: heapless::Vec::from_slice(&vec![1; length]).unwrap() })
}

#[test]
fn messages_out_of_turn_are_a_protocol_fault() {
    let begin = |length: u32| ToBox::Begin(Begin { length, ..file(100, 1).begin });
    let window = Window::whole(9, 9);
    let preview = |width, height, window| {
        let form = ImageForm::Prepared {
            contract: CONTRACT,
            preview_width: width,
            preview_height: height,
            source: Digest::default(),
            window,
            age: None,
        };
        let length = 64 * 64 + u32::from(width) * u32::from(height);
        ToBox::Begin(Begin { form, length, ..file(1, 1).begin })
    };
    // An exam id with a space is not a message.
    let mut bytes = encoded_message(&begin(100));
    let place = bytes.windows(8).position(|window| window == b"ward-3.a").unwrap();
    bytes[place + 4] = b' ';
    assert_eq!(codec::decode::<ToBox>(&bytes), None);
    let cases: Vec<(&str, Vec<ToBox>)> = vec![
        ("chunk without an image", vec![chunk(0, 10), chunk(10, 10), ToBox::End]),
        ("end without an image", vec![ToBox::End]),
        ("begin twice", vec![begin(100), begin(100), chunk(0, 100), ToBox::End]),
        ("end too soon", vec![begin(100), chunk(0, 99), ToBox::End]),
        ("gap", vec![begin(100), chunk(0, 50), chunk(51, 49), ToBox::End]),
        ("overlap", vec![begin(100), chunk(0, 50), chunk(49, 50), ToBox::End]),
        ("too much", vec![begin(100), chunk(0, 101), ToBox::End]),
        ("empty chunk", vec![begin(100), chunk(0, 0)]),
        ("no preview", vec![preview(0, 10, window)]),
        ("large preview", vec![preview(257, 1, window)]),
        ("window outside", vec![preview(9, 9, Window { left: 1, ..window })]),
    ];
    for (name, messages) in cases {
        let mut rude = Rude::new();
        let answers = rude.say(&messages);
        assert_eq!(answers, [ToHost::Failed(Fault::Protocol)], "{name}");
        assert_eq!(rude.dropped(), Some(Dropped::Failed(Fault::Protocol)), "{name}");
        // Ready again.
        let image = file(700, 1);
        let (a, b) = image.bytes.split_at(512);
        let parts = [(0, a), (512, b)]
            .map(|(offset, bytes)| ToBox::Chunk(Chunk { offset, data: heapless::Vec::from_slice(bytes).unwrap() }));
        rude.say(&[&[ToBox::Begin(image.begin.clone())], &parts[..], &[ToBox::End]].concat());
        assert_eq!(rude.events.last(), Some(&BoxEvent::Image(image)), "{name}");
    }
}

#[test]
fn images_that_cannot_be_judged_are_refused() {
    let image = file(100, 1);
    let other = shared::contract::InputContract { side: 65, ..CONTRACT };
    let form = ImageForm::Prepared {
        contract: other,
        preview_width: 1,
        preview_height: 1,
        source: Digest::default(),
        window: Window::whole(1, 1),
        age: None,
    };
    let begin = |begin: Begin| ToBox::Begin(begin);
    for (messages, refusal) in [
        (vec![begin(Begin { length: 0, ..image.begin.clone() })], Refusal::Empty),
        (vec![begin(Begin { length: 32 * 1024 * 1024 + 1, ..image.begin.clone() })], Refusal::TooManyBytes),
        (vec![begin(Begin { length: 65 * 65 + 1, form, ..image.begin.clone() })], Refusal::ContractMismatch),
        (vec![begin(image.begin.clone()), chunk(0, 100), ToBox::End], Refusal::DigestMismatch),
        (vec![begin(image.clone().of_any_age(true).begin)], Refusal::OverrideNotAllowed),
    ] {
        let mut rude = Rude::new();
        assert_eq!(rude.say(&messages), [ToHost::Refused(refusal)][..], "{refusal:?}");
        assert_eq!(rude.dropped(), Some(Dropped::Refused(refusal)));
        // The box program knows which examination it is of, whether it was refused at once or after it had come.
        let named = |event: &BoxEvent| match event {
            BoxEvent::Receiving { exam, .. } | BoxEvent::Declined { exam, .. } => *exam == image.begin.exam,
            _ => false,
        };
        assert!(rude.events.iter().any(named), "{:?}", rude.events);
    }
}

#[test]
fn prepared_images_follow_the_contract_of_the_model() {
    let mut rude = Rude::new();
    let other = shared::contract::InputContract { side: 65, ..CONTRACT };
    rude.device.set_contract(other);
    let refused = [ToHost::Refused(Refusal::ContractMismatch)];
    assert_eq!(rude.say(&[ToBox::Begin(prepared(1).begin)]), refused);
    rude.device.set_contract(CONTRACT);
    assert_eq!(rude.say(&[ToBox::Begin(prepared(1).begin)]), []);
}

#[test]
fn broken_message_is_a_protocol_fault() {
    let mut rude = Rude::new();
    for payload in [&[][..], &[200], &[0, 0], &[1, 0]] {
        rude.transport.send(payload).unwrap();
        rude.run();
        assert_eq!(rude.answers.drain(..).collect::<Vec<_>>(), [ToHost::Failed(Fault::Protocol)], "{payload:?}");
    }
}

#[test]
fn host_that_does_not_listen_costs_the_box_a_window() {
    let mut rude = Rude::new();
    let mut buffer = [0; MAX_FRAME];
    let mut asked = 0;
    for _ in 0..2_000 {
        rude.now += 1;
        // It never reads its messages, but asks and acknowledges for ever.
        if codec::send(&mut rude.transport, &ToBox::Info).is_ok() {
            asked += 1;
        }
        let length = rude.transport.poll_transmit(rude.now, &mut buffer);
        rude.device.receive(rude.now, &buffer[..length]);
        while let Some(event) = rude.device.event(rude.now) {
            assert_eq!(event, BoxEvent::Asked(Question::Info));
            rude.device.reply(Reply::Answer(Answer::Info(info())));
        }
        let length = rude.device.poll_transmit(rude.now, &mut buffer);
        rude.transport.receive(rude.now, &buffer[..length]);
    }
    assert!(asked <= 4 * WINDOW, "{asked}");
}

#[test]
fn listing_goes_on_record_by_record_and_can_fail() {
    let mut rude = Rude::new();
    assert_eq!(rude.say(&[ToBox::Results { from: 2, limit: 3 }]), []);
    assert_eq!(rude.events, [BoxEvent::Record { number: 2 }]);
    rude.device.reply(Reply::Record(Some(record(2, Digest::default()))));
    rude.run();
    assert_eq!(rude.events.last(), Some(&BoxEvent::Record { number: 3 }));
    rude.device.reply(Reply::Failed(Fault::Storage));
    rude.run();
    let expected = [ToHost::Record(record(2, Digest::default())), ToHost::Failed(Fault::Storage)];
    assert_eq!(rude.answers, expected);
    // An answer that nobody asked for is not sent.
    rude.device.reply(Reply::Answer(Answer::ClockSet));
    rude.device.reply(Reply::Record(None));
    rude.run();
    assert_eq!(rude.answers.len(), 2);
    assert_eq!(rude.say(&[ToBox::Screenshot]).len(), 2);
    rude.device.reply(Reply::Screenshot(vec![0; shared::limits::MAX_SCREEN_BYTES as usize + 1]));
    rude.run();
    assert_eq!(rude.answers, [ToHost::Failed(Fault::Internal)]);
}

#[test]
fn listing_from_the_last_number_that_there_can_be_ends() {
    let mut rude = Rude::new();
    assert_eq!(rude.say(&[ToBox::Results { from: u64::MAX, limit: 3 }]), []);
    assert_eq!(rude.events, [BoxEvent::Record { number: u64::MAX }]);
    rude.device.reply(Reply::Record(None));
    rude.run();
    assert_eq!(rude.answers, [ToHost::RecordsEnd]);
}

#[test]
fn second_long_reply_must_wait_for_the_first() {
    for second in [ToBox::Screenshot, ToBox::Results { from: 1, limit: 1 }] {
        let mut rude = Rude::new();
        rude.say(&[ToBox::Screenshot]);
        rude.device.reply(Reply::Screenshot(noise(200_000, 1)));
        let answers = rude.say(&[second]);
        let chunks = answers.iter().filter(|answer| matches!(answer, ToHost::Chunk(_))).count();
        assert_eq!(chunks, 200_000_usize.div_ceil(CHUNK));
        assert!(answers.contains(&ToHost::Failed(Fault::Protocol)));
    }
}

#[test]
fn listing_passes_over_what_is_kept_no_longer() {
    let mut rude = Rude::new();
    rude.say(&[ToBox::Results { from: 1, limit: 2 }]);
    rude.device.reply(Reply::Record(Some(record(17, Digest::default()))));
    rude.run();
    assert_eq!(rude.events.last(), Some(&BoxEvent::Record { number: 18 }));
    rude.device.reply(Reply::Record(Some(record(30, Digest::default()))));
    rude.run();
    let records = [17, 30].map(|number| ToHost::Record(record(number, Digest::default())));
    assert_eq!(rude.answers, [&records[..], &[ToHost::RecordsEnd]].concat());
}
