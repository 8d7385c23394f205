//! Bundles of the box's own program: what a box takes, and that neither a model's signature nor its counter is anything to them.

#![allow(clippy::unwrap_used, reason = "a test that cannot continue has failed")]

mod signers;

use shared::verdict::{Digest, ModelRefusal, SoftwareRefusal, Trust};
use trust::{
    Digester, Digests, Gate, KeyId, Kind, Known, LINE, Package, PackageHead, Refused, Roots, SecretKey, Seen,
    Signature, SignatureError, Statement, Version, test_keys,
};

use self::signers::{key, list};

const PAYLOAD: &[u8] = b"the file system of a slot, packed";
const VERSION: Version = Version([0, 1, 0]);

fn statement(kind: Kind, counter: u64) -> Statement {
    let (line, made, name) = (LINE.to_owned(), "2026-11-30".to_owned(), "box-0.2.0".to_owned());
    Statement { kind, line, counter, least: VERSION, made, name, digest: Digest::of(PAYLOAD) }
}

fn signed(n: u8, statement: &Statement) -> String {
    Signature::new(&key(n), PAYLOAD, statement.to_string()).to_file()
}

fn roots() -> Roots {
    Roots::new(vec![key(1).public()], 1).unwrap()
}

/// A box that knows that the key 10 may sign, and has had a bundle with the counter 5.
fn gate() -> Gate {
    let mut gate = Gate::for_software(Some(roots()), false, VERSION);
    let seen = vec![Seen { key: KeyId([10; 8]), counter: 5, model: Digest::of(b"the one before") }];
    gate.remember(Known { seen, list: Some(list(3, &[10], &[])), ..Known::default() });
    gate
}

/// What becomes of a bundle: at the first glance, and when it is there.
fn look(gate: &Gate, signature: &str, payload: &[u8]) -> [Result<(), SoftwareRefusal>; 2] {
    let head = PackageHead::new(Some(signature), None);
    let glance = gate.glance_at_software(&head).map(drop);
    let checked = gate.check_software(&head, &Digests::of(payload));
    let whole = checked.and_then(|checked| gate.may_follow(&checked.seen.unwrap()));
    [glance, whole].map(|result| result.map_err(|refused| refused.software_refusal()))
}

#[test]
fn a_signed_bundle_is_taken_and_everything_else_is_refused_for_its_reason() {
    let gate = gate();
    let good = signed(10, &statement(Kind::Software, 6));
    assert_eq!(look(&gate, &good, PAYLOAD), [Ok(()); 2]);
    let checked = gate.check_software(&PackageHead::new(Some(&good), None), &Digests::of(PAYLOAD)).unwrap();
    assert_eq!((checked.trust, checked.statement), (Trust::Signed, Some(statement(Kind::Software, 6))));
    assert_eq!(checked.seen, Some(Seen { key: KeyId([10; 8]), counter: 6, model: Digest::of(PAYLOAD) }));
    let both = |signature: &str| {
        let [glance, whole] = look(&gate, signature, PAYLOAD);
        assert_eq!(glance, whole, "{signature}");
        whole.unwrap_err()
    };
    let other = |change: fn(&mut Statement)| {
        let mut statement = statement(Kind::Software, 6);
        change(&mut statement);
        both(&signed(10, &statement))
    };
    assert_eq!(other(|s| s.kind = Kind::Model), SoftwareRefusal::OtherKind);
    assert_eq!(other(|s| s.line = "pump".to_owned()), SoftwareRefusal::OtherLine);
    assert_eq!(other(|s| s.least = Version([0, 1, 1])), SoftwareRefusal::NeedsNewer);
    assert_eq!(other(|s| s.counter = 4), SoftwareRefusal::Older);
    assert_eq!(other(|s| s.counter = 5), SoftwareRefusal::Older, "another one of this counter");
    assert_eq!(both(&signed(11, &statement(Kind::Software, 6))), SoftwareRefusal::KeyUnknown);
    assert_eq!(
        both(&signed(1, &statement(Kind::Software, 6))),
        SoftwareRefusal::KeyUnknown,
        "a root signs lists alone"
    );
    assert_eq!(both("not a signature"), SoftwareRefusal::WrongSignature);
    // What only the payload shows.
    let wrong = Err(SoftwareRefusal::WrongSignature);
    let mut statement = statement(Kind::Software, 6);
    assert_eq!(look(&gate, &signed(10, &statement), b"another payload"), [Ok(()), wrong]);
    statement.digest = Digest::of(b"another payload");
    assert_eq!(look(&gate, &signed(10, &statement), PAYLOAD), [Ok(()), wrong]);
}

#[test]
fn without_a_signature_only_a_box_for_development_takes_it() {
    let head = PackageHead::new(None, None);
    let digests = Digests::of(PAYLOAD);
    assert_eq!(gate().check_software(&head, &digests), Err(Refused::NotSigned));
    assert_eq!(gate().glance_at_software(&head), Err(Refused::NotSigned));
    let open = Gate::open();
    assert_eq!(open.check_software(&head, &digests).unwrap().trust, Trust::Unsigned);
    assert_eq!(open.glance_at_software(&head), Ok(None));
}

#[test]
fn a_bundle_is_no_model_and_a_model_no_bundle() {
    let mut gate = Gate::new(Some(roots()), false, VERSION);
    gate.remember(Known { list: Some(list(3, &[10], &[])), ..Known::default() });
    let package = |signature| Package { signature: Some(signature), list: None, model: PAYLOAD };
    let [model, software] = [Kind::Model, Kind::Software].map(|kind| signed(10, &statement(kind, 6)));
    assert_eq!(gate.check(&package(&model)).unwrap().trust, Trust::Signed);
    let refused = gate.check(&package(&software)).unwrap_err();
    assert_eq!((&refused, refused.refusal()), (&Refused::OtherKind, ModelRefusal::WrongSignature));
    assert_eq!(look(&gate, &model, PAYLOAD), [Err(SoftwareRefusal::OtherKind); 2]);
    assert_eq!(look(&gate, &software, PAYLOAD), [Ok(()); 2]);
    // The signature of the file is the same in both: what is said of it makes the difference.
    let mix = |from: [&String; 4]| {
        let lines = from.iter().enumerate().map(|(n, text)| text.lines().nth(n).unwrap());
        lines.collect::<Vec<_>>().join("\n") + "\n"
    };
    let mixed = mix([&model, &model, &software, &model]);
    assert_eq!(look(&gate, &mixed, PAYLOAD), [Err(SoftwareRefusal::WrongSignature); 2]);
}

#[test]
fn the_signature_of_an_image_is_good_for_that_image_alone() {
    let mut gate = Gate::new(Some(roots()), false, VERSION);
    gate.remember(Known { list: Some(list(3, &[10], &[12])), ..Known::default() });
    let digests = Digests::of(PAYLOAD);
    let [model, software, image] =
        [Kind::Model, Kind::Software, Kind::Image].map(|kind| signed(10, &statement(kind, 6)));
    let checked = gate.check_image(Some(&image), &digests).unwrap();
    assert_eq!((checked.trust, checked.key), (Trust::Signed, KeyId([10; 8])));
    assert_eq!(checked.statement, statement(Kind::Image, 6));
    for other in [&model, &software] {
        assert_eq!(gate.check_image(Some(other), &digests), Err(Refused::OtherKind));
    }
    // A box takes it for neither.
    let package = Package { signature: Some(&image), list: None, model: PAYLOAD };
    assert_eq!(gate.check(&package).unwrap_err(), Refused::OtherKind);
    assert_eq!(look(&gate, &image, PAYLOAD), [Err(SoftwareRefusal::OtherKind); 2]);
    // Nobody vouches for it, or somebody who may not; a gate for development lets none of it pass.
    for gate in [&gate, &Gate::open()] {
        assert_eq!(gate.check_image(None, &digests), Err(Refused::NotSigned));
    }
    let by = |n: u8| gate.check_image(Some(&signed(n, &statement(Kind::Image, 6))), &digests).unwrap_err();
    assert_eq!(by(11), Refused::KeyUnknown(KeyId([11; 8])));
    assert_eq!(by(12), Refused::KeyRevoked(KeyId([12; 8])));
    for at in [0, PAYLOAD.len() / 2, PAYLOAD.len() - 1] {
        let mut altered = PAYLOAD.to_vec();
        altered[at] ^= 1;
        let refused = gate.check_image(Some(&image), &Digests::of(&altered)).unwrap_err();
        assert_eq!(refused, Refused::Signature(SignatureError::Wrong), "{at}");
    }
    // An earlier one passes: nobody counts images.
    assert!(gate.check_image(Some(&signed(10, &statement(Kind::Image, 1))), &digests).is_ok());
}

#[test]
fn the_list_in_a_head_counts_at_a_glance_and_otherwise_once_it_is_learnt() {
    let mut gate = gate();
    let signature = signed(11, &statement(Kind::Software, 6));
    let [text, signatures] = list(4, &[11], &[10]);
    let head = PackageHead::new(Some(&signature), Some([&text, &signatures]));
    assert!(gate.glance_at_software(&head).is_ok());
    let before = gate.known().clone();
    assert_eq!(gate.check_software(&head, &Digests::of(PAYLOAD)), Err(Refused::KeyUnknown(KeyId([11; 8]))));
    assert_eq!(*gate.known(), before, "a glance leaves nothing behind");
    gate.learn_head(&head).unwrap();
    assert!(gate.check_software(&head, &Digests::of(PAYLOAD)).is_ok());
    let revoked = signed(10, &statement(Kind::Software, 7));
    assert_eq!(look(&gate, &revoked, PAYLOAD), [Err(SoftwareRefusal::KeyRevoked); 2]);
    // A list that the root has not signed.
    let [text, _] = list(5, &[11], &[]);
    let head = PackageHead::new(Some(&signature), Some([&text, &signatures]));
    assert_eq!(gate.glance_at_software(&head).unwrap_err().software_refusal(), SoftwareRefusal::List);
    assert_eq!(gate.learn_head(&head).unwrap_err().software_refusal(), SoftwareRefusal::List);
}

#[test]
fn what_nobody_has_signed_with_the_test_key_has_no_counter() {
    let test = Gate::for_software(None, false, VERSION);
    assert!(test.known().seen.is_empty() && test.known().list.is_some());
    assert!(!Gate::new(None, false, VERSION).known().seen.is_empty(), "of models the one that ships counts");
    let secret = SecretKey::of_file(include_str!("../../../models/trust/test-signer.key")).unwrap();
    let first = Signature::new(&secret, PAYLOAD, statement(Kind::Software, 1).to_string()).to_file();
    let head = PackageHead::new(Some(&first), Some([test_keys::LIST, test_keys::LIST_SIGNATURE]));
    let checked = test.check_software(&head, &Digests::of(PAYLOAD)).unwrap();
    assert_eq!(checked.trust, Trust::TestKey);
    assert_eq!(test.may_follow(&checked.seen.unwrap()), Ok(()));
}

#[test]
fn every_byte_counts_and_the_pieces_do_not() {
    let gate = gate();
    let good = signed(10, &statement(Kind::Software, 6));
    let head = PackageHead::new(Some(&good), None);
    for at in 0..PAYLOAD.len() {
        let mut payload = PAYLOAD.to_vec();
        payload[at] ^= 1;
        let refused = gate.check_software(&head, &Digests::of(&payload)).unwrap_err();
        assert_eq!(refused.software_refusal(), SoftwareRefusal::WrongSignature, "byte {at}");
        let mut digester = Digester::new();
        let (front, back) = PAYLOAD.split_at(at);
        digester.update(front);
        digester.update(back);
        assert_eq!(digester.finish(), Digests::of(PAYLOAD), "in two pieces at {at}");
    }
    // The first line is the only one that nobody signs.
    for at in good.find('\n').unwrap() + 1..good.len() - 1 {
        let mut bytes = good.clone().into_bytes();
        bytes[at] ^= 1;
        let Ok(text) = String::from_utf8(bytes) else { continue };
        let [_, whole] = look(&gate, &text, PAYLOAD);
        assert!(whole.is_err(), "byte {at}: {text}");
    }
    // Both digests are those that others compute.
    let digests = Digests::of(b"abc");
    assert_eq!(digests.sha256, Digest::of(b"abc"));
    assert_eq!(digests.blake2b[..8], [0xba, 0x80, 0xa5, 0x3f, 0x98, 0x1c, 0x4d, 0x0d]);
}

#[test]
fn a_signature_of_a_hash_is_that_of_the_file() {
    let comment = statement(Kind::Software, 6).to_string();
    let of_hash = Signature::of_hash(&key(10), &Digests::of(PAYLOAD).blake2b, comment.clone());
    assert_eq!(of_hash, Signature::new(&key(10), PAYLOAD, comment));
    assert_eq!(of_hash.verify(&key(10).public(), PAYLOAD), Ok(()));
    assert_eq!(of_hash.verify_comment(&key(10).public()), Ok(()));
    assert!(of_hash.verify_comment(&key(11).public()).is_err());
}
