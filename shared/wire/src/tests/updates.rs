//! Models and pieces of bundles: taken whole, refused or given up, with images between.

use alloc::{vec, vec::Vec};

use super::{
    super::*,
    CONTRACT, encoded_message, info,
    line::Faults,
    noise,
    rude::{Rude, chunk},
    world::{BAD, BAUD_115200, FAST, World, file, hello, installed, model, prepared},
};
use shared::verdict::{Digest, Fault, ModelRefusal, SiteRefusal, SoftwareRefusal};

#[test]
fn models_arrive_over_a_bad_line_between_images() {
    for seed in 0..6 {
        let mut world = World::connected(BAUD_115200, BAD, seed);
        world.assert_transfer(&file(5_000, seed), 60_000);
        let file = model(30_000, seed);
        world.host.request(world.now, Request::Update(file.clone())).unwrap();
        assert_eq!(world.host_event(120_000), Some(HostEvent::Installed(installed(&file).unwrap())));
        assert!(world.box_events.contains(&BoxEvent::Update(file)));
        world.assert_transfer(&prepared(seed), 240_000);
    }
}

#[test]
fn an_update_tells_of_every_stage_and_its_refusal() {
    let mut world = World::connected(BAUD_115200, Faults::NONE, 1);
    let (total, mut bytes) = (50_000, noise(50_000, 1));
    bytes[0] = 9;
    world.host.request(world.now, Request::Update(ModelFile::new(bytes).unwrap())).unwrap();
    world.run(10_000);
    let phases: Vec<_> = world.host_events.iter().filter(|e| matches!(e, HostEvent::Progress { .. })).collect();
    assert_eq!(
        phases[phases.len() - 2..],
        [
            &HostEvent::Progress { phase: Phase::Receiving, done: total, total },
            &HostEvent::Progress { phase: Phase::Installing, done: 0, total: 1 },
        ]
    );
    assert!(world.host_events.contains(&HostEvent::Sent { done: total, total }));
    let percents = world.box_events.iter().filter(|event| matches!(event, BoxEvent::Updating { .. })).count();
    assert_eq!(percents, 1 + 50_000_usize.div_ceil(CHUNK), "a chunk is more than a percent");
    assert_eq!(world.host_event(0), Some(HostEvent::ModelRefused(ModelRefusal::NotAModel)));
    world.assert_transfer(&file(5_000, 2), 10_000);
}

#[test]
fn a_host_that_is_told_that_its_model_is_not_tried_may_ask_for_the_next_thing() {
    let mut world = World::connected(BAUD_115200, Faults::NONE, 91);
    world.analysis = u64::MAX / 2;
    world.host.request(world.now, Request::Update(model(10_000, 1))).unwrap();
    world.run(60_000);
    assert!(world.device.is_held(world.now), "it waits for the box");
    world.device.reply(Reply::NotInstalled(Fault::TooFast));
    world.run(5_000);
    assert!(world.host_events.contains(&HostEvent::Failed(Fault::TooFast)));
    assert!(world.device.is_held(world.now));
}

#[test]
fn settings_are_an_update_with_refusals_of_their_own() {
    let stored = Installed { model: "ward-3".try_into().unwrap(), digest: Digest([7; 32]) };
    let refusal = SiteRefusal::KeyOffered;
    for (reply, event) in [
        (Reply::Site(Ok(stored.clone())), HostEvent::Installed(stored)),
        (Reply::Site(Err(refusal)), HostEvent::SiteRefused(refusal)),
    ] {
        let mut world = World::connected(BAUD_115200, Faults::NONE, 91);
        world.analysis = u64::MAX / 2;
        world.host.request(world.now, Request::Update(model(1_000, 1))).unwrap();
        world.run(60_000);
        world.device.reply(reply);
        assert_eq!(world.host_event(5_000), Some(event));
        // Nobody waits for another answer.
        world.device.reply(Reply::Site(Err(refusal)));
        world.analysis = 50;
        world.assert_transfer(&prepared(3), 60_000);
    }
}

#[test]
fn an_update_can_be_given_up_and_one_that_is_complete_is_answered_as_given_up_when_it_is_done() {
    for (wait, reached) in [(1_000, false), (6_500, true)] {
        let mut world = World::connected(BAUD_115200, Faults::NONE, 91);
        world.analysis = 5_000;
        world.host.request(world.now, Request::Update(model(60_000, 1))).unwrap();
        world.run(wait);
        world.host.cancel();
        assert_eq!(world.host_event(6_000), Some(HostEvent::Cancelled));
        assert_eq!(world.box_events.iter().any(|event| matches!(event, BoxEvent::Update(_))), reached);
        assert_eq!(world.box_events.last() == Some(&BoxEvent::Dropped(Dropped::Cancelled)), !reached);
        world.assert_transfer(&prepared(3), 60_000);
    }
}

#[test]
fn a_host_that_comes_while_the_box_installs_for_another_one_waits_and_hears_nothing_of_it() {
    let mut world = World::connected(FAST, Faults::NONE, 7);
    world.analysis = 3_000;
    world.host.request(world.now, Request::Update(model(5_000, 1))).unwrap();
    world.run(500);
    world.host.close();
    world.run(20);
    world.host = HostSession::new(world.now, 0xfeed);
    world.host_events.clear();
    assert_eq!(world.host_event(1_000), Some(HostEvent::Connected));
    let asked = world.now;
    world.host.request(world.now, Request::Ask(Question::Info)).unwrap();
    assert_eq!(world.host_event(10_000), Some(HostEvent::Answer(Answer::Info(info()))));
    assert!(world.now - asked > 2_000, "the answer names the model that has been installed");
}

/// A piece of a bundle of noise.
fn piece_of(bundle: &[u8], offset: usize, length: usize) -> BundlePiece {
    let bytes = bundle[offset..bundle.len().min(offset + length)].to_vec();
    BundlePiece::new(Digest::of(bundle), bundle.len() as u32, offset as u32, bytes)
}

#[test]
fn a_bundle_arrives_in_pieces_over_a_bad_line_with_images_between() {
    for seed in 0..3 {
        let mut world = World::connected(BAUD_115200, BAD, seed);
        let bundle = noise(70_000, seed);
        let mut next = 0;
        while next < bundle.len() {
            world.host.request(world.now, Request::Piece(piece_of(&bundle, next, 20_000))).unwrap();
            let expected = bundle.len().min(next + 20_000);
            assert_eq!(world.host_event(120_000), Some(HostEvent::PieceStored { next: expected as u32 }));
            world.assert_transfer(&file(3_000, seed), 60_000);
            next = expected;
        }
        assert_eq!(world.bundle, bundle);
        // One that does not begin where the last one ended is not kept, and the answer says where to go on.
        world.host.request(world.now, Request::Piece(piece_of(&bundle, 20_000, 10_000))).unwrap();
        assert_eq!(world.host_event(60_000), Some(HostEvent::PieceStored { next: 70_000 }));
    }
}

#[test]
fn the_box_program_learns_how_much_of_the_bundle_is_there() {
    let mut world = World::connected(BAUD_115200, Faults::NONE, 1);
    let bundle = noise(200_000, 1);
    world.bundle = bundle[..100_000].to_vec();
    world.host.request(world.now, Request::Piece(piece_of(&bundle, 100_000, 50_000))).unwrap();
    assert_eq!(world.host_event(20_000), Some(HostEvent::PieceStored { next: 150_000 }));
    let told = world.box_events.iter().filter_map(|event| match event {
        BoxEvent::Bundle { done, total: 200_000 } => Some(*done),
        _ => None,
    });
    let told: Vec<u32> = told.collect();
    assert_eq!((told.first(), told.len()), (Some(&100_000), 26), "each percent of the whole: {told:?}");
    assert!(told.is_sorted() && told.last() == Some(&150_000), "{told:?}");
}

#[test]
fn a_piece_can_be_given_up_and_times_out_as_an_image_does() {
    let bundle = noise(100_000, 1);
    let mut world = World::connected(BAUD_115200, Faults::NONE, 91);
    world.host.request(world.now, Request::Piece(piece_of(&bundle, 0, 60_000))).unwrap();
    world.run(1_000);
    world.host.cancel();
    assert_eq!(world.host_event(3_000), Some(HostEvent::Cancelled));
    assert_eq!(world.box_events.last(), Some(&BoxEvent::Dropped(Dropped::Cancelled)));
    world.host.request(world.now, Request::Piece(piece_of(&bundle, 0, 60_000))).unwrap();
    world.run(1_000);
    world.to_box.cut = true;
    world.run(IMAGE_SILENCE_MS + 1_000);
    world.to_box.cut = false;
    assert_eq!(world.host_event(5_000), Some(HostEvent::Failed(Fault::Timeout)));
    assert!(world.bundle.is_empty());
    world.assert_transfer(&file(5_000, 2), 10_000);
}

#[test]
fn a_piece_is_refused_or_fails_and_the_session_continues() {
    for (reply, expected) in [
        (Reply::Piece(Err(SoftwareRefusal::NotSigned)), ToHost::SoftwareRefused(SoftwareRefusal::NotSigned)),
        (Reply::PieceNotStored(Fault::Storage), ToHost::Failed(Fault::Storage)),
        (Reply::Piece(Ok(100)), ToHost::PieceStored { next: 100 }),
    ] {
        let mut rude = Rude::new();
        let piece = BundlePiece::new(Digest::of(b"bundle"), 1_000, 0, vec![1; 100]);
        let messages = [ToBox::Piece(piece.piece), chunk(0, 100), ToBox::End, ToBox::Info];
        assert_eq!(rude.say(&messages), [], "it takes nothing else before it has answered");
        assert_eq!(rude.events.last(), Some(&BoxEvent::Piece(piece)));
        rude.device.reply(Reply::Progress(Phase::Installing));
        rude.device.reply(reply);
        // What nobody asks for any more.
        rude.device.reply(Reply::Piece(Ok(7)));
        rude.run();
        assert_eq!(core::mem::take(&mut rude.answers), [expected]);
        assert_eq!(rude.events.last(), Some(&BoxEvent::Asked(Question::Info)));
    }
}

#[test]
fn a_host_that_has_gone_is_owed_no_answer_to_its_piece() {
    let mut rude = Rude::new();
    let piece = BundlePiece::new(Digest::of(b"bundle"), 100, 0, vec![1; 100]);
    rude.say(&[ToBox::Piece(piece.piece), chunk(0, 100), ToBox::End]);
    let mut other = BoxSession::new(CONTRACT);
    assert_eq!(hello(&mut other, &mut rude.now, 8), Some(HostEvent::Connected));
    other.displace(&mut rude.device);
    assert_eq!(other.event(rude.now), Some(BoxEvent::HostConnected));
    other.reply(Reply::Piece(Ok(100)));
    let mut buffer = [0; MAX_FRAME];
    let header = Header { kind: Kind::Data, from: Role::Host, session: 8, seq: 0, ack: 0, sack: 0 };
    let length = Frame { header, payload: &encoded_message(&ToBox::Info) }.encode(&mut buffer).unwrap();
    other.receive(rude.now, &buffer[..length]);
    assert_eq!(other.event(rude.now), Some(BoxEvent::Asked(Question::Info)), "it waits for nothing");
}

#[test]
fn pieces_that_cannot_be_are_refused() {
    let piece = |total, offset, length| {
        ToBox::Piece(Piece { bundle: Digest::of(b"bundle"), total, offset, length, digest: Digest::of(b"another") })
    };
    let most = shared::limits::MAX_BUNDLE_BYTES as u32;
    for total in [0, most + 1, u32::MAX] {
        let mut rude = Rude::new();
        let refused = ToHost::SoftwareRefused(SoftwareRefusal::NotABundle);
        assert_eq!(rude.say(&[piece(total, 0, 100), chunk(0, 100)]), [refused], "{total}");
        assert_eq!(rude.dropped(), Some(Dropped::SoftwareRefused(SoftwareRefusal::NotABundle)));
    }
    let update = ToBox::Update(Update { length: 100, digest: Digest::default() });
    let begin = ToBox::Begin(file(100, 1).begin);
    for messages in [
        vec![piece(most, 0, 0)],
        vec![piece(most, 0, MAX_PIECE_BYTES + 1)],
        vec![piece(1_000, 950, 51)],
        vec![piece(1_000, u32::MAX, 2)],
        vec![piece(1_000, 1_000, 1)],
        vec![piece(1_000, 0, 100), piece(1_000, 0, 100)],
        vec![piece(1_000, 0, 100), chunk(0, 99), ToBox::End],
        vec![piece(1_000, 0, 100), chunk(0, 101)],
        vec![piece(1_000, 0, 100), chunk(1, 99)],
        vec![piece(1_000, 100, 100), chunk(100, 100)],
        vec![piece(1_000, 0, 100), update.clone()],
        vec![update, piece(1_000, 0, 100)],
        vec![begin, piece(1_000, 0, 100)],
        // Of another digest.
        vec![piece(1_000, 0, 100), chunk(0, 100), ToBox::End],
    ] {
        let mut rude = Rude::new();
        assert_eq!(rude.say(&messages), [ToHost::Failed(Fault::Protocol)], "{messages:?}");
        assert_eq!(rude.dropped(), Some(Dropped::Failed(Fault::Protocol)));
        assert!(!rude.events.iter().any(|event| matches!(event, BoxEvent::Piece(_))));
    }
}

#[test]
fn models_that_cannot_be_received_are_refused() {
    let update = |length: u32| ToBox::Update(Update { length, digest: Digest::of(b"another") });
    for (messages, refusal) in [
        (vec![update(0)], ModelRefusal::NotAModel),
        (vec![update(shared::limits::MAX_UPDATE_BYTES + 1), chunk(0, 100)], ModelRefusal::TooLarge),
        (vec![update(u32::MAX)], ModelRefusal::TooLarge),
        (vec![update(100), chunk(0, 100), ToBox::End], ModelRefusal::DigestMismatch),
    ] {
        let mut rude = Rude::new();
        assert_eq!(rude.say(&messages), [ToHost::ModelRefused(refusal)][..], "{refusal:?}");
        assert_eq!(rude.events.last(), Some(&BoxEvent::Dropped(Dropped::ModelRefused(refusal))));
    }
    for messages in [
        vec![update(100), update(100)],
        vec![update(100), chunk(0, 99), ToBox::End],
        vec![update(100), chunk(1, 99)],
        vec![update(100), ToBox::Begin(file(100, 1).begin)],
        vec![ToBox::Begin(file(100, 1).begin), update(100)],
    ] {
        let mut rude = Rude::new();
        assert_eq!(rude.say(&messages), [ToHost::Failed(Fault::Protocol)], "{messages:?}");
        assert_eq!(rude.dropped(), Some(Dropped::Failed(Fault::Protocol)));
        assert!(!rude.events.iter().any(|event| matches!(event, BoxEvent::Update(_))));
    }
    assert_eq!(ModelFile::new(vec![]), Err(ModelRefusal::NotAModel));
    let long = vec![0; shared::limits::MAX_UPDATE_BYTES as usize + 1];
    assert_eq!(ModelFile::new(long), Err(ModelRefusal::TooLarge));
}
