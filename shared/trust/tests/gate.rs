//! What a box takes, and what it does not: the attacks on who is believed.

#![allow(clippy::unwrap_used, reason = "a test that cannot continue has failed")]

mod signers;

use shared::verdict::{Digest, ModelRefusal, Trust};
use trust::{
    Gate, KeyId, KeyList, Kind, Known, LINE, Package, PublicKey, Refused, Roots, SecretKey, Seen, Signature, Statement,
    Version, test_keys,
};

use self::signers::key;

const MODEL: &[u8] = b"a model";
const VERSION: Version = Version([0, 1, 0]);

fn statement(counter: u64) -> Statement {
    Statement {
        kind: Kind::Model,
        line: LINE.to_owned(),
        counter,
        least: VERSION,
        made: "2026-11-30".to_owned(),
        name: "a-model".to_owned(),
        digest: Digest::of(MODEL),
    }
}

fn signed(key: &SecretKey, comment: &impl ToString) -> String {
    Signature::new(key, MODEL, comment.to_string()).to_file()
}

/// A list of keys with these signers, signed by these roots.
fn list(counter: u64, signers: &[u8], revoked: &[u8], roots: &[u8]) -> [String; 2] {
    let [list, _] = signers::list(counter, signers, revoked);
    let signatures = roots.iter().map(|&n| Signature::new(&key(n), list.as_bytes(), String::new()).to_file()).collect();
    [list, signatures]
}

/// The roots 1, 2 and 3, of which two sign.
fn roots() -> Roots {
    Roots::new([1, 2, 3].map(|n| key(n).public()).to_vec(), 2).unwrap()
}

/// A box that believes those roots, and knows that the key 10 may sign.
fn gate() -> Gate {
    let mut gate = Gate::new(Some(roots()), false, VERSION);
    gate.remember(Known { seen: vec![seen(10, 5)], list: Some(list(3, &[10], &[], &[1, 2])), ..Known::default() });
    gate
}

/// A model of a key that a box has had.
fn seen(n: u8, counter: u64) -> Seen {
    Seen { key: KeyId([n; 8]), counter, model: Digest::of(MODEL) }
}

/// What becomes of a signature.
fn look(gate: &Gate, signature: &str) -> Result<Trust, Refused> {
    let checked = gate.check(&Package { signature: Some(signature), list: None, model: MODEL })?;
    if let Some(seen) = &checked.seen {
        gate.may_follow(seen)?;
    }
    Ok(checked.trust)
}

fn refusal(gate: &Gate, signature: &str) -> ModelRefusal {
    look(gate, signature).unwrap_err().refusal()
}

#[test]
fn a_signed_model_is_taken_and_everything_else_is_refused_for_its_reason() {
    let gate = gate();
    assert_eq!(look(&gate, &signed(&key(10), &statement(5))), Ok(Trust::Signed));
    assert_eq!(look(&gate, &signed(&key(10), &statement(4))), Err(Refused::Older { counter: 4, floor: 5 }));
    assert_eq!(gate.check(&Package { model: MODEL, ..Package::default() }), Err(Refused::NotSigned));
    assert_eq!(refusal(&gate, &signed(&key(11), &statement(6))), ModelRefusal::UnknownKey);
    assert_eq!(refusal(&gate, &signed(&key(1), &statement(6))), ModelRefusal::UnknownKey, "a root signs lists alone");
    let other = |change: fn(&mut Statement)| {
        let mut statement = statement(6);
        change(&mut statement);
        refusal(&gate, &signed(&key(10), &statement))
    };
    assert_eq!(other(|s| s.line = "pump".to_owned()), ModelRefusal::OtherBox);
    assert_eq!(other(|s| s.least = Version([0, 1, 1])), ModelRefusal::NeedsNewerBox);
    assert_eq!(other(|s| s.digest = Digest::of(b"another")), ModelRefusal::WrongSignature);
    assert_eq!(
        refusal(&gate, &signed(&key(10), &"anything else")),
        ModelRefusal::WrongSignature,
        "another kind of file"
    );
    assert_eq!(refusal(&gate, "not a signature"), ModelRefusal::WrongSignature);
}

#[test]
fn a_key_that_calls_itself_like_another_signs_nothing() {
    let impostor = SecretKey::of_seed(&[99; 32], KeyId([10; 8]));
    assert_eq!(refusal(&gate(), &signed(&impostor, &statement(6))), ModelRefusal::WrongSignature);
}

#[test]
fn every_byte_counts() {
    let gate = gate();
    let good = signed(&key(10), &statement(6));
    // The first line is the only one that nobody signs.
    let trusted = good.find('\n').unwrap() + 1;
    for at in trusted..good.len() {
        for flip in [1, 0x20] {
            let mut bytes = good.clone().into_bytes();
            bytes[at] ^= flip;
            let Ok(text) = String::from_utf8(bytes) else { continue };
            // The line of Base64 that ends the file needs no end of line.
            let same = Signature::of_file(&text).is_ok_and(|read| read == Signature::of_file(&good).unwrap());
            assert!(same || look(&gate, &text).is_err(), "byte {at}: {text}");
            assert!(!same || at == good.len() - 1, "byte {at}");
        }
    }
    for at in 0..MODEL.len() {
        let mut model = MODEL.to_vec();
        model[at] ^= 1;
        let checked = gate.check(&Package { signature: Some(&good), list: None, model: &model });
        assert_eq!(checked.unwrap_err().refusal(), ModelRefusal::WrongSignature, "byte {at}");
    }
}

#[test]
fn parts_of_two_signatures_make_none() {
    let [old, new] = [4, 6].map(|counter| signed(&key(10), &statement(counter)));
    let mix = |from: [&String; 4]| {
        let lines = from.iter().enumerate().map(|(n, text)| text.lines().nth(n).unwrap());
        lines.collect::<Vec<_>>().join("\n") + "\n"
    };
    assert_eq!(look(&gate(), &mix([&old, &new, &new, &new])), Ok(Trust::Signed));
    // The signature of the file is the same in both: what is said of it makes the difference.
    for mixed in [mix([&new, &new, &new, &old]), mix([&new, &new, &old, &new]), mix([&old, &old, &new, &old])] {
        assert_eq!(refusal(&gate(), &mixed), ModelRefusal::WrongSignature, "{mixed}");
    }
}

#[test]
fn a_second_form_of_a_signature_is_none() {
    // S + L: the same number modulo the order of the group, which lax verifiers take.
    const ORDER: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    use base64ct::{Base64, Encoding};
    let good = signed(&key(10), &statement(6));
    let mut lines: Vec<String> = good.lines().map(ToOwned::to_owned).collect();
    for (line, start) in [(1, 2 + 8 + 32), (3, 32)] {
        let mut bytes = Base64::decode_vec(&lines[line]).unwrap();
        let mut carry = 0;
        for (byte, order) in bytes[start..].iter_mut().zip(ORDER) {
            let sum = u16::from(*byte) + u16::from(order) + carry;
            (*byte, carry) = (sum as u8, sum >> 8);
        }
        assert_eq!(carry, 0);
        let kept = std::mem::replace(&mut lines[line], Base64::encode_string(&bytes));
        assert_eq!(refusal(&gate(), &lines.join("\n")), ModelRefusal::WrongSignature, "line {line}");
        lines[line] = kept;
    }
    assert_eq!(look(&gate(), &lines.join("\n")), Ok(Trust::Signed));
}

#[test]
fn as_many_roots_as_are_needed_name_the_keys() {
    let learn = |texts: [String; 2]| {
        let mut gate = gate();
        let [list, signatures] = &texts;
        let learnt = gate.learn(&Package { signature: None, list: Some([list, signatures]), model: MODEL });
        learnt.map(|()| look(&gate, &signed(&key(11), &statement(6))).is_ok())
    };
    let threshold = |signed| Err(Refused::List(trust::ListError::Threshold { signed, needed: 2 }));
    assert_eq!(learn(list(4, &[11], &[], &[1, 3])), Ok(true));
    assert_eq!(learn(list(4, &[11], &[], &[1, 2, 3])), Ok(true));
    assert_eq!(learn(list(4, &[11], &[], &[1])), threshold(1));
    assert_eq!(learn(list(4, &[11], &[], &[1, 1])), threshold(1), "twice the same");
    assert_eq!(learn(list(4, &[11], &[], &[1, 10])), threshold(1), "a signer is no root");
    let [text, _] = list(4, &[11], &[], &[]);
    let [_, signatures] = list(3, &[10], &[], &[1, 2]);
    assert_eq!(learn([text, signatures]), threshold(0), "the signatures of another list");
    assert_eq!(learn(list(3, &[11], &[], &[1, 2])), Ok(false), "not newer: the one that is known stays");
    assert_eq!(learn(list(2, &[11], &[], &[1, 2])), Ok(false));
}

#[test]
fn a_key_that_is_revoked_stays_so() {
    let mut gate = gate();
    let model = signed(&key(10), &statement(6));
    let mut learn = |texts: [String; 2]| {
        let [list, signatures] = &texts;
        gate.learn(&Package { signature: None, list: Some([list, signatures]), model: MODEL }).unwrap();
        look(&gate, &model)
    };
    assert_eq!(learn(list(4, &[11], &[10], &[1, 2])).unwrap_err(), Refused::KeyRevoked(KeyId([10; 8])));
    assert_eq!(learn(list(3, &[10], &[], &[1, 2])).unwrap_err(), Refused::KeyRevoked(KeyId([10; 8])), "an old list");
    assert_eq!(learn(list(5, &[11], &[], &[2, 3])).unwrap_err(), Refused::KeyUnknown(KeyId([10; 8])));
    assert_eq!(learn(list(6, &[10], &[], &[2, 3])), Ok(Trust::Signed), "the roots may name it again");
    assert_eq!(gate.known().seen, [seen(10, 5)], "a list moves no counter of models");
}

#[test]
fn what_is_remembered_never_falls() {
    let mut gate = gate();
    let known = gate.known().clone();
    gate.remember(Known { seen: vec![seen(10, 2)], list: Some(list(2, &[11], &[], &[1, 2])), ..Known::default() });
    assert_eq!(*gate.known(), known);
    gate.remember(Known { seen: vec![seen(10, 9)], list: Some(list(9, &[11], &[], &[1])), ..Known::default() });
    assert_eq!(*gate.known(), Known { seen: vec![seen(10, 9)], ..known }, "too few roots for the list");
}

#[test]
fn what_was_revoked_stays_so_when_a_root_is_exchanged() {
    let mut before = gate();
    let [text, signatures] = list(4, &[11], &[10], &[1, 2]);
    before.learn(&Package { signature: None, list: Some([&text, &signatures]), model: MODEL }).unwrap();
    // The root 1 was lost: another one stands in the settings. A list of before that 2 and 3 have signed is good again.
    let roots = Roots::new([4, 2, 3].map(|n| key(n).public()).to_vec(), 2).unwrap();
    let mut gate = Gate::new(Some(roots), false, VERSION);
    gate.remember(before.known().clone());
    let [text, signatures] = list(1, &[10], &[], &[2, 3]);
    gate.learn(&Package { signature: None, list: Some([&text, &signatures]), model: MODEL }).unwrap();
    assert_eq!(refusal(&gate, &signed(&key(10), &statement(6))), ModelRefusal::RevokedKey);
}

#[test]
fn a_key_that_may_not_sign_any_more_keeps_nobody_from_updates() {
    let mut gate = gate();
    let greatest = signed(&key(10), &statement(u64::MAX));
    assert_eq!(look(&gate, &greatest), Ok(Trust::Signed));
    gate.see(seen(10, u64::MAX));
    assert_eq!(refusal(&gate, &signed(&key(10), &statement(6))), ModelRefusal::Older);
    let [text, signatures] = list(4, &[11], &[10], &[1, 2]);
    gate.learn(&Package { signature: None, list: Some([&text, &signatures]), model: MODEL }).unwrap();
    assert_eq!(look(&gate, &signed(&key(11), &statement(6))), Ok(Trust::Signed));
}

#[test]
fn of_two_models_with_one_counter_the_first_is_taken() {
    let mut gate = gate();
    gate.see(Seen { model: Digest::of(b"another model"), ..seen(10, 6) });
    assert_eq!(look(&gate, &signed(&key(10), &statement(6))), Err(Refused::Older { counter: 6, floor: 6 }));
    assert_eq!(look(&gate, &signed(&key(10), &statement(7))), Ok(Trust::Signed));
}

#[test]
fn a_test_key_says_so_under_any_name_and_on_any_list() {
    let secret = SecretKey::of_file(include_str!("../../../models/trust/test-signer.key")).unwrap();
    let renamed: PublicKey = {
        use base64ct::{Base64, Encoding};
        let mut bytes = Base64::decode_vec(&secret.public().to_string()).unwrap();
        bytes[2..10].fill(42);
        Base64::encode_string(&bytes).parse().unwrap()
    };
    let text = KeyList { counter: 4, keys: vec![renamed], revoked: Vec::new() }.to_file();
    let signatures: String =
        [1, 2].iter().map(|&n| Signature::new(&key(n), text.as_bytes(), String::new()).to_file()).collect();
    let mut gate = gate();
    gate.learn(&Package { signature: None, list: Some([&text, &signatures]), model: MODEL }).unwrap();
    let signature = Signature::new(&secret, MODEL, statement(6).to_string()).to_file();
    // The name of the key in a signature is part of what nobody signs.
    use base64ct::{Base64, Encoding};
    let mut lines: Vec<String> = signature.lines().map(ToOwned::to_owned).collect();
    let mut bytes = Base64::decode_vec(&lines[1]).unwrap();
    bytes[2..10].fill(42);
    lines[1] = Base64::encode_string(&bytes);
    assert_eq!(look(&gate, &lines.join("\n")), Ok(Trust::TestKey));
}

#[test]
fn roots_are_different_keys_and_not_fewer_than_are_needed() {
    let key = |n| key(n).public();
    assert!(Roots::new(vec![key(1), key(2)], 2).is_ok());
    for (keys, needed) in [(vec![], 0), (vec![], 1), (vec![key(1)], 0), (vec![key(1)], 2), (vec![key(1), key(1)], 1)] {
        assert!(Roots::new(keys.clone(), needed).is_err(), "{keys:?} {needed}");
    }
    let named = |keys: Option<&[&str]>, needed| {
        let keys = keys.map(|keys| keys.iter().map(ToString::to_string).collect::<Vec<_>>());
        Roots::of_settings(keys.as_deref(), needed).map(|roots| roots.is_some())
    };
    let [first, second] = [1, 2].map(|n| key(n).to_string());
    assert_eq!(named(Some(&[&first, &second]), None), Ok(true));
    assert_eq!(named(None, None), Ok(false));
    assert!(named(Some(&["RWx"]), None).is_err() && named(Some(&[]), None).is_err());
    assert!(named(None, Some(1)).is_err(), "a number of none would mean the test key");
}

#[test]
fn the_model_that_ships_is_signed_by_the_test_key_and_says_so() {
    let model = include_bytes!("../../../models/pumua.onnx");
    let package = Package {
        signature: Some(test_keys::MODEL_SIGNATURE),
        list: Some([test_keys::LIST, test_keys::LIST_SIGNATURE]),
        model,
    };
    let checked = Gate::new(None, false, VERSION).check(&package).unwrap();
    assert_eq!(checked.trust, Trust::TestKey);
    let own = Gate::new(Some(roots()), false, VERSION);
    assert_eq!(own.check(&package).unwrap_err().refusal(), ModelRefusal::UnknownKey, "where there are others");
    let open = Gate::open();
    assert_eq!(open.check(&Package { model: MODEL, ..Package::default() }).unwrap().trust, Trust::Unsigned);
    assert!(
        open.check(&Package { signature: Some("x"), list: None, model: MODEL }).is_err(),
        "a wrong one is worse than none"
    );
}

#[test]
fn keys_are_read_as_they_are_written_and_weak_or_damaged_ones_are_not() {
    let secret = key(7);
    assert_eq!(SecretKey::of_file(&secret.to_file()).unwrap().public(), secret.public());
    assert_eq!(PublicKey::of_file(&secret.public().to_file()), Ok(secret.public()));
    assert_eq!(secret.public().id.to_string().parse(), Ok(secret.public().id));
    assert_eq!("1D13658EA869D9C".parse::<KeyId>(), "01D13658EA869D9C".parse(), "minisign leaves a zero away");
    use base64ct::{Base64, Encoding};
    let mut neutral = [&b"Ed"[..], &[7; 8], &[0; 32]].concat();
    neutral[10] = 1;
    assert_eq!(Base64::encode_string(&neutral).parse::<PublicKey>(), Err(trust::KeyError::Weak));
    let text = secret.to_file();
    let line = text.lines().nth(1).unwrap();
    for (at, error) in [(0, trust::KeyError::Form), (2, trust::KeyError::Password), (70, trust::KeyError::Damaged)] {
        let mut bytes = Base64::decode_vec(line).unwrap();
        bytes[at] ^= 1;
        assert_eq!(SecretKey::of_file(&Base64::encode_string(&bytes)).unwrap_err(), error, "{at}");
    }
    for text in ["", "\n", "RW", "untrusted comment: x\n"] {
        assert!(SecretKey::of_file(text).is_err() && PublicKey::of_file(text).is_err(), "{text:?}");
    }
}
