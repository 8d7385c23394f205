//! Golden bytes: a change here is a change of the protocol, and needs another [`PROTOCOL_VERSION`].

use super::{super::*, CONTRACT, encoded_message, exam, hex, info, record};
use shared::{
    age::{Age, AgeNote, Ages},
    preprocess::Window,
    verdict::{Digest, Fault, ModelRefusal, Refusal, ResultRecord, SiteRefusal, SoftwareRefusal, Trust},
};

fn begin(form: ImageForm) -> ToBox {
    ToBox::Begin(Begin { form, length: 70_000, digest: Digest([0xcc; 32]), exam: exam(), any_age: false })
}

fn linked() -> Linked {
    let kind = EventKind::ClockSet { before: None, after: 1_700_000_000 };
    let event = Event { boot: 7, unix_seconds: None, missed: 2, kind };
    Linked { sequence: 410, before: Digest([0xaa; 32]), content: Content::Event(event) }
}

fn piece() -> Piece {
    Piece { bundle: Digest([0xcc; 32]), total: 70_000, offset: 512, length: 65_536, digest: Digest([0xdd; 32]) }
}

fn software(outcome: Option<OutcomeOnLine>) -> SoftwareState {
    SoftwareState { next: 512, running: info().software, slot: Some(1), outcome }
}

fn outcome() -> OutcomeOnLine {
    OutcomeOnLine {
        bundle: Digest([0xaa; 32]),
        file: Digest([0xcc; 32]),
        name: "pumua-9".try_into().unwrap(),
        counter: Some(9),
        key: Some("0123456789ABCDEF".try_into().unwrap()),
        trust: Trust::Signed,
        stage: SoftwareStage::Refused(SoftwareRefusal::Older),
    }
}

fn site() -> SiteState {
    let file = SiteOnLine {
        digest: Digest([0xaa; 32]),
        name: "ward-3".try_into().unwrap(),
        counter: 300,
        key: "0123456789ABCDEF".try_into().unwrap(),
        trust: Trust::Signed,
        own_key: true,
    };
    let keys = heapless::Vec::from_slice(&["0123456789ABCDEF".try_into().unwrap()]).unwrap();
    SiteState { stage: SiteStage::InForce, file: Some(file), keys }
}

fn chunk() -> Chunk {
    Chunk { offset: 512, data: heapless::Vec::from_slice(&[0, 1, 255]).unwrap() }
}

#[test]
fn messages_to_the_box() {
    let prepared = |age: Option<u16>| ImageForm::Prepared {
        contract: CONTRACT,
        preview_width: 256,
        preview_height: 171,
        source: Digest([0xaa; 32]),
        window: Window { left: 1, top: 2, width: 300, height: 200, of: [302, 202] },
        age: age.and_then(Age::months),
    };
    for (message, golden) in [
        (ToBox::Info, "00"),
        (
            begin(ImageForm::File),
            "0100f0a204cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc08776172642d332e6100",
        ),
        (
            begin(prepared(None)),
            "010140000000003f038002ab01aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa0102ac02c801ae02ca0100f0a204\
             cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc08776172642d332e6100",
        ),
        (
            begin(prepared(Some(200))),
            "010140000000003f038002ab01aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa0102ac02c801ae02ca0101c801c801f0a204\
             cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc08776172642d332e6100",
        ),
        (ToBox::Chunk(chunk()), "028004030001ff"),
        (ToBox::End, "03"),
        (ToBox::Cancel, "04"),
        (ToBox::Results { from: 300, limit: 20 }, "05ac0214"),
        (ToBox::Screenshot, "06"),
        (ToBox::Entries { from: 300, limit: 20 }, "09ac0214"),
        (ToBox::SetClock { unix_seconds: 1_700_000_000 }, "0780e2cfaa06"),
        (
            ToBox::Update(Update { length: 70_000, digest: Digest([0xcc; 32]) }),
            "08f0a204cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc",
        ),
        (
            ToBox::Piece(piece()),
            "0dccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccf0a2048004808004\
             dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd",
        ),
        (
            ToBox::Software { bundle: Digest([0xcc; 32]), total: 70_000 },
            "0eccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccf0a204",
        ),
        (ToBox::Site, "0f"),
    ] {
        let bytes = encoded_message(&message);
        assert_eq!(hex(&bytes), golden, "{message:?}");
        assert_eq!(codec::decode(&bytes), Some(message));
    }
}

#[test]
fn messages_to_the_host() {
    for (message, golden) in [
        (
            ToHost::Info(info()),
            "0005302e312e300a73747564792d6164616dbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\
             bbbb000118667573656420696e74382c206e656f6e206b65726e656c7340000000003f030000003f0000003f0000003f\
             07ac029a03eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee000001010500010000",
        ),
        (ToHost::Progress { phase: Phase::Receiving, done: 32_768, total: 70_000 }, "0100808002f0a204"),
        (ToHost::Progress { phase: Phase::Decoding, done: 0, total: 1 }, "01010001"),
        (ToHost::Progress { phase: Phase::Analysing, done: 1, total: 1 }, "01020101"),
        (ToHost::Progress { phase: Phase::Installing, done: 0, total: 1 }, "01030001"),
        (
            ToHost::Result(record(300, Digest([0xaa; 32]))),
            "02ac02070180e2cfaa0608776172642d332e61aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\
             aaaaaabbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb0000403f0000003f0000003f00\
             00003f01000000",
        ),
        (ToHost::Refused(Refusal::DigestMismatch), "0308"),
        (ToHost::Failed(Fault::Internal), "0405"),
        (ToHost::Cancelled, "05"),
        (
            ToHost::Record(ResultRecord { prepared: true, ..record(1, Digest([0xaa; 32])) }),
            "0601070180e2cfaa0608776172642d332e61aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\
             aaaabbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb0000403f0000003f0000003f0000\
             003f01010000",
        ),
        (ToHost::RecordsEnd, "07"),
        (
            ToHost::ScreenshotBegin { length: 70_000, digest: Digest([0xdd; 32]) },
            "08f0a204dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd",
        ),
        (ToHost::Chunk(chunk()), "098004030001ff"),
        (ToHost::ClockSet, "0a"),
        (
            ToHost::Installed(Installed { model: info().model, digest: Digest([0xbb; 32]) }),
            "0b0a73747564792d6164616dbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb",
        ),
        (ToHost::ModelRefused(ModelRefusal::NotStored), "0c06"),
        (
            ToHost::Entry(linked()),
            "0d9a03aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa01070002050080e2cfaa06",
        ),
        (ToHost::CodeShown, "0e"),
        (ToHost::Paired, "0f"),
        (ToHost::StoredResult(None), "1000"),
        (ToHost::PieceStored { next: 512 }, "118004"),
        (ToHost::SoftwareRefused(SoftwareRefusal::Older), "1209"),
        (ToHost::Software(software(None)), "13800405302e312e30010100"),
        (
            ToHost::Software(software(Some(outcome()))),
            "13800405302e312e30010101aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\
             cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc0770756d75612d390109\
             011030313233343536373839414243444546000109",
        ),
        (ToHost::SiteRefused(SiteRefusal::KeyUnknown), "1402"),
        (ToHost::Site(SiteState { stage: SiteStage::Card, file: None, keys: heapless::Vec::new() }), "15000000"),
        (
            ToHost::Site(site()),
            "150101aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa06776172642d33ac02\
             1030313233343536373839414243444546000101\
             1030313233343536373839414243444546",
        ),
    ] {
        let bytes = encoded_message(&message);
        assert_eq!(hex(&bytes), golden, "{message:?}");
        assert_eq!(codec::decode(&bytes), Some(message));
    }
}

#[test]
fn frames() {
    let greeting = Greeting { version: 1, schema: 0x1122_3344_5566_7788 };
    let rejection = |reason| Rejection { reason, greeting }.to_bytes();
    for (kind, from, payload, golden) in [
        (Kind::Hello, Role::Host, &greeting.to_bytes()[..], "000601efbeadde010101010102010d8877665544332211091ef3fb00"),
        (
            Kind::Welcome,
            Role::Box,
            &greeting.to_bytes()[..],
            "000682efbeadde010101010102010d887766554433221149015eb200",
        ),
        (
            Kind::Reject,
            Role::Box,
            &rejection(Reason::Busy)[..],
            "000683efbeadde01010101010301010d88776655443322111cab8cb500",
        ),
        (
            Kind::Reject,
            Role::Box,
            &rejection(Reason::Incompatible)[..],
            "000683efbeadde01010101010302010d88776655443322111dcd6e2c00",
        ),
        (Kind::Data, Role::Host, &[7][..], "001104efbeadde0201040301800713bc8e4500"),
        (Kind::Data, Role::Box, &[10][..], "001184efbeadde0201040301800a4eaff85b00"),
        (Kind::Ack, Role::Host, &[][..], "000605efbeadde0109040301807741acef00"),
        (Kind::Reset, Role::Box, &[][..], "000686efbeadde0101010101058689287800"),
    ] {
        let (seq, ack, sack) = match kind {
            Kind::Data => (0x0102, 0x0304, 0x8001),
            Kind::Ack => (0, 0x0304, 0x8001),
            _ => (0, 0, 0),
        };
        let frame = Frame { header: Header { kind, from, session: 0xdead_beef, seq, ack, sack }, payload };
        let mut bytes = [0; MAX_FRAME];
        let length = frame.encode(&mut bytes).unwrap();
        assert_eq!(hex(&bytes[..length]), golden, "{kind:?}");
        let mut deframer = Deframer::default();
        assert_eq!(deframer.next(&mut &bytes[..length]), Some(Ok(frame)));
    }
}

#[test]
fn greeting_of_this_version() {
    assert_eq!(hex(&Greeting::ours().to_bytes()), "01000f8531d82179dd82");
    assert_eq!(Greeting::from_bytes(&Greeting::ours().to_bytes()), Some(Greeting::ours()));
    assert_eq!(Greeting::from_bytes(&[0; 9]), None);
    assert_eq!(Rejection::from_bytes(&[1; 10]), None);
    let unknown = Rejection::from_bytes(&[99; 12]).unwrap();
    assert_eq!(unknown.reason, Reason::Incompatible);
}

/// Digests of entries must not change, or the chains of all journals break.
#[test]
fn entries_of_results() {
    let entry = |age, trust| Linked {
        sequence: 410,
        before: Digest([0xaa; 32]),
        content: Content::Result(ResultRecord { age, trust, ..record(300, Digest([0xaa; 32])) }),
    };
    let plain = Age::months(48).unwrap();
    let contradicting = plain.either(Age::months(200).unwrap());
    let before = "0d9a03aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    let result = "ac02070180e2cfaa0608776172642d332e61aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\
                  bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb0000403f0000003f0000003f0000003f0100";
    // The first is that of earlier releases.
    for (age, trust, variant, end) in [
        (AgeNote::NotNoted, None, "00", ""),
        (AgeNote::Unknown, None, "02", "01"),
        (AgeNote::Meant(plain), None, "02", "023030"),
        (AgeNote::Overridden(contradicting), None, "02", "0330c801"),
        (AgeNote::Unknown, Some(Trust::Signed), "03", "010100"),
        (AgeNote::Unknown, Some(Trust::Unsigned), "03", "010103"),
    ] {
        let message = ToHost::Entry(entry(age, trust));
        let bytes = encoded_message(&message);
        assert_eq!(hex(&bytes), [before, variant, result, end].concat(), "{age:?}");
        assert_eq!(codec::decode(&bytes), Some(message));
    }
    let digest = hex(&entry(AgeNote::NotNoted, None).digest().0);
    assert_eq!(digest, "f2014662dfd8efdb0020843a72a1e28686a28f04735fd4520c9170c83026af2f");
}

#[test]
fn largest_messages_fit() {
    let long = |n: usize| "w".repeat(n);
    let exam = shared::verdict::ExamId::new(&long(64)).unwrap();
    let digest = Digest([0xff; 32]);
    let form = ImageForm::Prepared {
        contract: CONTRACT,
        preview_width: u16::MAX,
        preview_height: u16::MAX,
        source: digest,
        window: Window { left: u16::MAX, top: u16::MAX, width: u16::MAX, height: u16::MAX, of: [u16::MAX; 2] },
        age: Age::months(Age::MOST),
    };
    let chunk = Chunk { offset: u32::MAX, data: heapless::Vec::from_slice(&[0; CHUNK]).unwrap() };
    let record = ResultRecord {
        number: u64::MAX,
        boot: u32::MAX,
        unix_seconds: Some(u64::MAX),
        exam: exam.clone(),
        age: Age::months(Age::MOST).map_or(AgeNote::NotNoted, AgeNote::Overridden),
        trust: Some(Trust::Unsigned),
        ..record(1, digest)
    };
    let info = Info {
        software: heapless::String::try_from(long(32).as_str()).unwrap(),
        model: heapless::String::try_from(long(64).as_str()).unwrap(),
        execution: heapless::String::try_from(long(64).as_str()).unwrap(),
        records: u64::MAX,
        entries: u64::MAX,
        broken: Some(u64::MAX),
        ages: Some(Ages { from: 0, to: 130 }),
        boot: u32::MAX,
        ..info()
    };
    let begin = ToBox::Begin(Begin { form, length: u32::MAX, digest, exam, any_age: true });
    let to_box = [begin, ToBox::Chunk(chunk.clone()), ToBox::Results { from: u64::MAX, limit: u16::MAX }];
    let entry = Linked { sequence: u64::MAX, before: digest, content: Content::Result(record.clone()) };
    let outcome = OutcomeOnLine {
        name: heapless::String::try_from(long(64).as_str()).unwrap(),
        counter: Some(u64::MAX),
        ..outcome()
    };
    let state = SoftwareState { next: u32::MAX, running: info.software.clone(), ..software(Some(outcome)) };
    let key: heapless::String<16> = long(16).as_str().try_into().unwrap();
    let file = SiteOnLine {
        name: heapless::String::try_from(long(64).as_str()).unwrap(),
        counter: u64::MAX,
        ..site().file.unwrap()
    };
    let kind = EventKind::KeyAdded { key: key.clone(), fingerprint: long(32).as_str().try_into().unwrap() };
    let added = Event { boot: u32::MAX, unix_seconds: Some(u64::MAX), missed: u32::MAX, kind };
    let to_host = [
        ToHost::Chunk(chunk),
        ToHost::Record(record),
        ToHost::Info(info),
        ToHost::Entry(entry),
        ToHost::Software(state),
        ToHost::Site(SiteState { keys: core::iter::repeat_n(key, MAX_OWN_KEYS).collect(), file: Some(file), ..site() }),
        ToHost::Entry(Linked { content: Content::Event(added), ..linked() }),
    ];
    let mut lengths = to_box.iter().map(|m| encoded_message(m).len()).collect::<alloc::vec::Vec<_>>();
    lengths.extend(to_host.iter().map(|m| encoded_message(m).len()));
    assert!(lengths.iter().all(|&length| length <= MAX_PAYLOAD), "{lengths:?}");
}
