//! Both sessions over the simulated line: the right result or a clear failure, never a wrong result.

use alloc::{format, string::String, vec, vec::Vec};

use super::{
    super::{transport::Transport, *},
    CONTRACT, Random, encoded_message, exam, info,
    line::Faults,
    noise, record,
    world::{BAD, BAUD_115200, FAST, World, file, hello, prepared},
};
use shared::{
    appliance::line::SLOWEST_BAUD,
    verdict::{Digest, Fault, Refusal},
};

#[test]
fn clean_line_at_115200_baud_carries_ninety_percent_payload() {
    let mut world = World::connected(BAUD_115200, Faults::NONE, 1);
    world.analysis = 0;
    let image = file(200_000, 2);
    let start = world.now;
    world.assert_transfer(&image, 60_000);
    let rate = image.bytes.len() as f64 * 1000.0 / (world.now - start) as f64;
    assert!(rate >= 0.9 * BAUD_115200 as f64, "{rate:.0} bytes/s of {BAUD_115200}");
    assert_eq!(world.host.counters().repeated, 0);
    assert_eq!(world.device.counters().damaged, 0);
    let share = world.to_host.written as f64 / world.to_box.written as f64;
    assert!(share < 0.02, "acknowledgements take {share:.3} of the line");
}

#[test]
fn slow_and_fast_clean_lines_repeat_nothing() {
    for (rate, length) in [(960, 8_000), (BAUD_115200, 50_000), (100_000, 300_000), (FAST, 2_000_000)] {
        let mut world = World::connected(rate, Faults::NONE, 3);
        world.assert_transfer(&file(length, 4), 60_000);
        assert_eq!(world.host.counters().repeated, 0, "{rate} bytes/s");
    }
}

#[test]
fn both_forms_arrive_over_a_bad_line() {
    for seed in 0..6 {
        let mut world = World::connected(BAUD_115200, BAD, seed);
        world.assert_transfer(&file(40_000, seed), 120_000);
        world.assert_transfer(&prepared(seed), 240_000);
        assert!(world.host.counters().repeated > 0);
        assert!(world.device.counters().damaged > 0);
    }
}

#[test]
fn one_byte_in_a_thousand_wrong_still_leaves_a_third_of_the_line() {
    let faults = Faults { corruption: 1e-3, ..Faults::NONE };
    let mut world = World::connected(BAUD_115200, faults, 11);
    let start = world.now;
    world.assert_transfer(&file(100_000, 12), 120_000);
    let rate = 100_000.0 * 1000.0 / (world.now - start) as f64;
    assert!(rate > BAUD_115200 as f64 / 3.0, "{rate:.0} bytes/s");
}

#[test]
fn hopeless_line_ends_in_a_clear_failure() {
    for seed in 0..4 {
        let mut world = World::connected(BAUD_115200, Faults::NONE, seed);
        let broken = Faults { corruption: 0.03, ..BAD };
        (world.to_box.faults, world.to_host.faults) = (broken, broken);
        world.host.set_answer_within(20_000);
        match world.send(&file(40_000, seed), 300_000) {
            Some(HostEvent::Down(_) | HostEvent::Outcome(Outcome::Failed(_))) => {}
            other => panic!("{other:?}"),
        }
        assert_eq!(world.records, 0);
        (world.to_box.faults, world.to_host.faults) = (Faults::NONE, Faults::NONE);
        world.run(15_000);
        world.assert_ready();
    }
}

#[test]
fn progress_tells_of_every_stage() {
    let mut world = World::connected(BAUD_115200, Faults::NONE, 1);
    let total = 100_000;
    world.host.request(world.now, Request::Image(file(total as usize, 1))).unwrap();
    world.run(11_000);
    let sent: Vec<u32> = world
        .host_events
        .iter()
        .filter_map(|event| match event {
            HostEvent::Sent { done, total: 100_000 } => Some(*done),
            _ => None,
        })
        .collect();
    assert!(sent.len() > 20 && sent.is_sorted() && sent[0] == 0, "{sent:?}");
    assert_eq!(sent.last(), Some(&total));
    let phase = HostEvent::Progress { phase: Phase::Receiving, done: total, total };
    assert!(world.host_events.contains(&phase));
    let percents = world.box_events.iter().filter(|event| matches!(event, BoxEvent::Receiving { .. })).count();
    assert_eq!(percents, 101);
}

#[test]
fn requests_are_answered_over_a_bad_line() {
    let mut world = World::connected(BAUD_115200, BAD, 21);
    let now = world.now;
    world.host.request(now, Request::Ask(Question::Info)).unwrap();
    assert_eq!(world.host.request(now, Request::Ask(Question::Info)), Err(RequestError::Pending));
    assert_eq!(world.host_event(20_000), Some(HostEvent::Answer(Answer::Info(info()))));
    let set_clock = Question::SetClock { unix_seconds: 1_700_000_000 };
    world.host.request(world.now, Request::Ask(set_clock)).unwrap();
    assert_eq!(world.host_event(20_000), Some(HostEvent::Answer(Answer::ClockSet)));
    assert!(world.box_events.contains(&BoxEvent::Asked(set_clock)));
    world.host.request(world.now, Request::Screenshot).unwrap();
    assert_eq!(world.host_event(60_000), Some(HostEvent::Screenshot(noise(30_000, 5))));
    for (from, limit, expected) in [(0, 3, 1..4), (35, 100, 35..41), (41, 5, 0..0), (1, 0, 0..0)] {
        world.host.request(world.now, Request::Results { from, limit }).unwrap();
        for number in expected {
            let record = record(number, Digest([0xaa; 32]));
            assert_eq!(world.host_event(20_000), Some(HostEvent::Record(record)));
        }
        assert_eq!(world.host_event(20_000), Some(HostEvent::RecordsEnd));
    }
}

#[test]
fn garbage_before_and_between_frames_is_passed_over() {
    let mut world = World::new(FAST, Faults::NONE, 31);
    let mut random = Random(8);
    for length in [1, 2, 500, 600, 5_000] {
        let garbage: Vec<u8> = (0..length).map(|_| random.next() as u8).collect();
        world.device.receive(world.now, &garbage);
        world.host.receive(world.now, &garbage);
    }
    assert_eq!(world.host_event(2_000), Some(HostEvent::Connected));
    // A frame that breaks off spoils nothing but itself.
    world.device.receive(world.now, &[0, 5, 1, 2, 3]);
    world.assert_transfer(&file(2_000, 1), 5_000);
}

#[test]
fn own_echo_is_no_answer() {
    let mut host = HostSession::new(0, 1);
    let mut buffer = [0; MAX_FRAME];
    let length = host.poll_transmit(0, &mut buffer);
    host.receive(1, &buffer[..length]);
    assert_eq!(host.event(1), None);
    assert_eq!(host.counters().received, 0);
}

#[test]
fn silent_port_gives_no_answer() {
    let mut world = World::new(BAUD_115200, Faults::NONE, 1);
    world.to_box.cut = true;
    assert_eq!(world.host_event(20_000), Some(HostEvent::Down(HostError::NoAnswer)));
    assert!((7_000..7_010).contains(&world.now), "{}", world.now);
    assert_eq!(world.host.request(world.now, Request::Ask(Question::Info)), Err(RequestError::NotConnected));
    assert_eq!(world.host.next_deadline(), None);
}

#[test]
fn different_schema_or_version_is_told_before_any_message() {
    let ours = Greeting::ours();
    for theirs in [Greeting { version: 9, ..ours }, Greeting { schema: !ours.schema, ..ours }] {
        let mut world = World::new(BAUD_115200, Faults::NONE, 1);
        world.device = BoxSession::over(Transport::listen().with_greeting(theirs), CONTRACT);
        let expected = HostError::Incompatible { ours, theirs };
        assert_eq!(world.host_event(2_000), Some(HostEvent::Down(expected)));
        assert_eq!(world.box_events, []);
        let text = format!("{expected}");
        assert!(text.contains("host 1/") && text.contains(&format!("box {}/", theirs.version)), "{text}");
    }
}

/// A second host on the same line; what it hears.
fn second_host(world: &mut World, milliseconds: u64) -> Vec<HostEvent> {
    let mut second = HostSession::new(world.now, 0x2222_2222);
    let mut buffer = [0; MAX_FRAME];
    let mut events = vec![];
    for _ in 0..milliseconds {
        let heard = world.to_host.read(world.now + 1);
        if world.host_runs {
            world.host.receive(world.now, &heard);
        }
        second.receive(world.now, &heard);
        events.extend(second.event(world.now));
        loop {
            let length = second.poll_transmit(world.now, &mut buffer);
            if length == 0 {
                break;
            }
            world.to_box.write(world.now, &buffer[..length]);
        }
        world.step();
    }
    events
}

#[test]
fn second_host_is_turned_away_while_the_first_is_alive() {
    let mut world = World::connected(BAUD_115200, Faults::NONE, 41);
    world.host.request(world.now, Request::Image(file(60_000, 1))).unwrap();
    assert_eq!(second_host(&mut world, 10_000), [HostEvent::Down(HostError::Busy)]);
    assert!(matches!(world.host_event(10_000), Some(HostEvent::Outcome(Outcome::Result(_)))));
    assert!(!world.box_events.contains(&BoxEvent::HostGone));
}

#[test]
fn silent_session_is_taken_over_in_the_middle_of_an_image() {
    let mut world = World::connected(BAUD_115200, Faults::NONE, 51);
    world.host.request(world.now, Request::Image(file(60_000, 1))).unwrap();
    world.run(1_000);
    // The host dies; another one starts at once.
    world.host_runs = false;
    let died = world.now;
    let events = second_host(&mut world, 5_000);
    assert_eq!(events, [HostEvent::Connected]);
    let gone = world.box_events.iter().position(|event| *event == BoxEvent::HostGone).unwrap();
    assert_eq!(world.box_events[gone + 1], BoxEvent::HostConnected);
    assert_eq!(world.records, 0);
    // The first one comes back and learns that it has lost the box.
    world.host_runs = true;
    assert_eq!(world.host_event(5_000), Some(HostEvent::Down(HostError::Closed)));
    assert!(world.now - died < 15_000);
    world.run(11_000);
    world.assert_ready();
}

#[test]
fn closed_session_is_free_at_once() {
    let mut world = World::connected(BAUD_115200, Faults::NONE, 61);
    world.host.close();
    world.run(20);
    assert_eq!(world.box_events.last(), Some(&BoxEvent::HostGone));
    let closed = world.now;
    world.assert_ready();
    assert!(world.now - closed < 1_000);
}

#[test]
fn silence_in_the_middle_of_an_image_times_out() {
    let mut world = World::connected(BAUD_115200, Faults::NONE, 71);
    world.host.request(world.now, Request::Image(file(60_000, 1))).unwrap();
    world.run(1_000);
    (world.to_box.cut, world.to_host.cut) = (true, true);
    world.run(IMAGE_SILENCE_MS + 600);
    assert_eq!(world.box_events.last(), Some(&BoxEvent::Dropped(Dropped::Failed(Fault::Timeout))));
    world.run(DEAD_AFTER_MS - IMAGE_SILENCE_MS);
    assert_eq!(world.box_events.last(), Some(&BoxEvent::HostGone));
    assert_eq!(world.host_event(1_000), Some(HostEvent::Down(HostError::Silent)));
    (world.to_box.cut, world.to_host.cut) = (false, false);
    world.assert_ready();
}

#[test]
fn host_learns_of_the_timeout_when_the_line_comes_back() {
    let mut world = World::connected(BAUD_115200, Faults::NONE, 81);
    world.host.request(world.now, Request::Image(file(60_000, 1))).unwrap();
    world.run(1_000);
    world.to_box.cut = true;
    world.run(IMAGE_SILENCE_MS + 1_000);
    world.to_box.cut = false;
    assert_eq!(world.host_event(5_000), Some(HostEvent::Outcome(Outcome::Failed(Fault::Timeout))));
    world.assert_transfer(&file(5_000, 2), 10_000);
}

#[test]
fn image_can_be_given_up_while_sent_and_while_analysed() {
    for (wait, analysis) in [(1_000, 50), (6_500, 10_000)] {
        let mut world = World::connected(BAUD_115200, Faults::NONE, 91);
        world.analysis = analysis;
        world.host.request(world.now, Request::Image(file(60_000, 1))).unwrap();
        world.run(wait);
        world.host.cancel();
        assert_eq!(world.host_event(3_000), Some(HostEvent::Cancelled));
        assert_eq!(world.box_events.last(), Some(&BoxEvent::Dropped(Dropped::Cancelled)));
        // The next image waits until the box has finished with the one that nobody wants any more.
        world.host.request(world.now, Request::Image(prepared(3))).unwrap();
        let answer = world.host_event(60_000);
        let Some(HostEvent::Outcome(Outcome::Result(result))) = answer else { panic!("{answer:?}") };
        assert_eq!(result.image, prepared(3).source());
    }
}

#[test]
fn box_that_does_not_answer_is_reported() {
    let mut world = World::connected(FAST, Faults::NONE, 1);
    world.analysis = u64::MAX / 2;
    world.host.set_answer_within(4_000);
    let start = world.now;
    assert_eq!(world.send(&file(5_000, 1), 30_000), Some(HostEvent::Down(HostError::Timeout)));
    assert!((4_000..4_300).contains(&(world.now - start)), "{}", world.now - start);
    world.run(20);
    assert_eq!(world.box_events.last(), Some(&BoxEvent::HostGone));
}

#[test]
fn prepared_image_comes_apart_again() {
    let image = prepared(5);
    let parts = image.as_prepared().unwrap();
    assert_eq!((parts.input.len(), parts.preview.len()), (64 * 64, 256 * 171));
    assert_eq!((parts.preview_width, parts.preview_height), (256, 171));
    assert_eq!(file(10, 1).as_prepared(), None);
    assert_eq!(Image::file(vec![], exam()), Err(Refusal::Empty));
    let long = vec![0; shared::limits::MAX_IMAGE_BYTES as usize + 1];
    assert_eq!(Image::file(long, exam()), Err(Refusal::TooManyBytes));
}

#[test]
fn errors_name_the_next_action() {
    let greeting = Greeting::ours();
    for error in [
        HostError::NoAnswer,
        HostError::Busy,
        HostError::Incompatible { ours: greeting, theirs: greeting },
        HostError::Closed,
        HostError::Silent,
        HostError::Timeout,
        HostError::Protocol,
    ] {
        let text: String = format!("{error}");
        let (_, action) = text.rsplit_once(": ").unwrap();
        assert!(["check", "wait", "update", "send", "look"].iter().any(|verb| action.starts_with(verb)), "{text}");
    }
}

#[test]
fn box_held_on_another_line_is_busy_and_a_displaced_analysis_is_answered_first() {
    let mut world = World::connected(FAST, Faults::NONE, 61);
    world.analysis = 100_000;
    world.host.request(world.now, Request::Image(file(600, 1))).unwrap();
    world.run(500);
    assert!(matches!(world.box_events.last(), Some(BoxEvent::Image(_))));
    let mut other = BoxSession::new(CONTRACT);
    other.set_taken(world.device.is_held(world.now));
    assert_eq!(hello(&mut other, &mut world.now, 7), Some(HostEvent::Down(HostError::Busy)));
    world.host_runs = false;
    world.run(3_000);
    assert!(world.device.connected() && !world.device.is_held(world.now));
    other.set_taken(false);
    assert_eq!(hello(&mut other, &mut world.now, 8), Some(HostEvent::Connected));
    other.displace(&mut world.device);
    assert!(!world.device.connected());
    assert_eq!(other.event(world.now), Some(BoxEvent::HostConnected));
    // The other host's image waits for the answer that the box owes, which is not meant for that host.
    let image = file(5, 2);
    let mut messages = vec![ToBox::Begin(image.begin.clone())];
    messages.push(ToBox::Chunk(Chunk { offset: 0, data: heapless::Vec::from_slice(&image.bytes).unwrap() }));
    messages.push(ToBox::End);
    for (seq, message) in messages.iter().enumerate() {
        let header = Header { kind: Kind::Data, from: Role::Host, session: 8, seq: seq as u16, ack: 0, sack: 0 };
        let (payload, mut buffer) = (encoded_message(message), [0; MAX_FRAME]);
        let length = Frame { header, payload: &payload }.encode(&mut buffer).unwrap();
        other.receive(world.now, &buffer[..length]);
    }
    let told: Vec<BoxEvent> = core::iter::from_fn(|| other.event(world.now)).collect();
    assert!(told.iter().all(|event| matches!(event, BoxEvent::Receiving { .. })), "{told:?}");
    other.reply(Reply::Outcome(Outcome::Failed(Fault::Internal)));
    assert_eq!(other.event(world.now), Some(BoxEvent::Image(image)));
}

/// Connects a host to a box that acknowledges everything, and says what `says` gives every second. Returns how long the host
/// waited for the answer to an image.
fn kept_waiting(bytes: usize, mut says: impl FnMut(u32) -> ToHost) -> u64 {
    let (mut host, mut device) = (HostSession::new(0, 1), Transport::listen());
    host.set_answer_within(2_000);
    host.set_slowest(1_000);
    let mut buffer = [0; MAX_FRAME];
    let (mut asked, mut said) = (None, 0);
    for now in (0..600_000).step_by(10) {
        while let length @ 1.. = host.poll_transmit(now, &mut buffer) {
            device.receive(now, &buffer[..length]);
        }
        device.expire(now);
        let _ = device.take_event();
        while device.take_message().is_some() {}
        if asked.is_some_and(|asked| now - asked > 1_000 * u64::from(said)) {
            let _ = codec::send(&mut device, &says(said));
            said += 1;
        }
        while let length @ 1.. = device.poll_transmit(now, &mut buffer) {
            host.receive(now, &buffer[..length]);
        }
        while let Some(event) = host.event(now) {
            match (event, asked) {
                (HostEvent::Connected, _) => {
                    asked = Some(now);
                    host.request(now, Request::Image(file(bytes, 1))).unwrap();
                }
                (HostEvent::Down(HostError::Timeout), Some(asked)) => return now - asked,
                (HostEvent::Down(error), _) => panic!("{error}"),
                _ => {}
            }
        }
    }
    panic!("still waiting after ten minutes");
}

#[test]
fn progress_that_does_not_advance_is_no_step() {
    let again = |phase| move |said: u32| ToHost::Progress { phase, done: said, total: u32::MAX };
    for phase in [Phase::Receiving, Phase::Decoding, Phase::Analysing, Phase::Installing] {
        let waited = kept_waiting(1_000, again(phase));
        assert!((2_000..4_000).contains(&waited), "{phase:?}: {waited}");
    }
    // To and fro.
    let phases = [Phase::Decoding, Phase::Receiving, Phase::Analysing, Phase::Decoding];
    let waited = kept_waiting(1_000, |said| again(phases[said as usize % 4])(said));
    assert!((4_000..6_000).contains(&waited), "{waited}");
}

#[test]
fn it_is_known_whether_the_box_can_have_acted_on_what_was_sent() {
    let mut world = World::connected(BAUD_115200, Faults::NONE, 1);
    world.host.request(world.now, Request::Image(file(100_000, 1))).unwrap();
    world.run(3_000);
    assert!(!world.host.sent_whole(), "the rest is still to come");
    world.run(30_000);
    assert!(world.host.sent_whole());
    world.host.request(world.now, Request::Ask(Question::Info)).unwrap();
    assert!(!world.host.sent_whole());
}

#[test]
fn the_slowest_line_carries_images_and_holds_the_box() {
    let mut world = World::connected(u64::from(SLOWEST_BAUD) / 10, Faults::NONE, 3);
    world.device.set_slowest(SLOWEST_BYTES_PER_SECOND);
    let mut frame = [0; MAX_FRAME];
    let hello = Transport::connect(0, 7).poll_transmit(0, &mut frame);
    world.host.request(world.now, Request::Image(file(20_000, 4))).unwrap();
    while world.records == 0 {
        world.run(2_000);
        assert!(world.device.is_held(world.now), "at {} ms", world.now);
        // Another host, which is turned away.
        world.device.receive(world.now, &frame[..hello]);
        assert!(world.now < 300_000 && !world.box_events.contains(&BoxEvent::HostGone));
    }
    assert!(matches!(world.host_event(10_000), Some(HostEvent::Outcome(Outcome::Result(_)))));
}

#[test]
fn a_host_learns_that_its_session_has_ended_before_it_was_told_that_it_had_begun() {
    let (mut host, mut device) = (HostSession::new(0, 7), BoxSession::new(CONTRACT));
    let mut frame = [0; MAX_FRAME];
    let hello = host.poll_transmit(0, &mut frame);
    device.receive(0, &frame[..hello]);
    let mut read = vec![];
    let welcome = device.poll_transmit(0, &mut frame);
    read.extend_from_slice(&frame[..welcome]);
    device.close();
    let reset = device.poll_transmit(0, &mut frame);
    read.extend_from_slice(&frame[..reset]);
    // Both arrive at once.
    host.receive(1, &read);
    assert_eq!(host.event(1), Some(HostEvent::Down(HostError::Closed)));
    assert_eq!((host.event(1), host.next_deadline()), (None, None));
}
