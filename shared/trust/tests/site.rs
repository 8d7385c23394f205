//! Who may sign a clinic's settings: keys of the list, and keys that a person has added at the box, which may sign nothing else.

#![allow(clippy::unwrap_used, reason = "a test that cannot continue has failed")]

mod signers;

use shared::verdict::{Digest, SiteRefusal, Trust};
use trust::{
    CheckedSite, Digests, Gate, KeyId, KeyList, Kind, Known, LINE, Package, PackageHead, Refused, Roots, SecretKey,
    Seen, Signature, Statement, Version, test_keys,
};

use self::signers::{key, list};

const FILE: &[u8] = b"language = \"fr\"\n";
const VERSION: Version = Version([0, 1, 0]);

fn statement(kind: Kind, counter: u64) -> Statement {
    let (line, made, name) = (LINE.to_owned(), "2026-11-30".to_owned(), "ward-3".to_owned());
    Statement { kind, line, counter, least: VERSION, made, name, digest: Digest::of(FILE) }
}

fn signed(n: u8, statement: &Statement) -> String {
    Signature::new(&key(n), FILE, statement.to_string()).to_file()
}

fn roots() -> Roots {
    Roots::new(vec![key(1).public()], 1).unwrap()
}

/// A box that knows the key 10 from a list, and the key 20 as the clinic's own.
fn gate() -> Gate {
    let mut gate = Gate::for_site(Some(roots()), VERSION);
    gate.remember(Known { list: Some(list(3, &[10], &[12])), ..Known::default() });
    gate.set_own(vec![key(20).public(), key(12).public()]);
    gate
}

fn look(gate: &Gate, signature: &str) -> Result<CheckedSite, SiteRefusal> {
    let checked = gate.check_site(Some(signature), FILE).map_err(|refused| refused.site_refusal())?;
    gate.may_follow(&checked.seen).map_err(|refused| refused.site_refusal())?;
    Ok(checked)
}

#[test]
fn keys_of_the_list_and_of_the_clinic_sign_settings_and_every_other_is_refused_for_its_reason() {
    let gate = gate();
    for (n, is_own) in [(10, false), (20, true)] {
        let checked = look(&gate, &signed(n, &statement(Kind::Site, 6))).unwrap();
        assert_eq!((checked.trust, checked.is_own, checked.seen.counter), (Trust::Signed, is_own, 6));
        assert_eq!(checked.statement, statement(Kind::Site, 6));
    }
    let refused = |n, statement: &Statement| look(&gate, &signed(n, statement)).unwrap_err();
    assert_eq!(refused(11, &statement(Kind::Site, 6)), SiteRefusal::KeyUnknown);
    assert_eq!(refused(1, &statement(Kind::Site, 6)), SiteRefusal::KeyUnknown, "a root signs lists alone");
    assert_eq!(refused(12, &statement(Kind::Site, 6)), SiteRefusal::KeyRevoked, "the roots have the last word");
    for kind in [Kind::Model, Kind::Software, Kind::Image] {
        for n in [10, 20] {
            assert_eq!(refused(n, &statement(kind, 6)), SiteRefusal::OtherKind);
        }
    }
    let other = |change: fn(&mut Statement)| {
        let mut statement = statement(Kind::Site, 6);
        change(&mut statement);
        refused(20, &statement)
    };
    assert_eq!(other(|s| s.line = "pump".to_owned()), SiteRefusal::OtherLine);
    assert_eq!(other(|s| s.least = Version([0, 1, 1])), SiteRefusal::NeedsNewer);
    assert_eq!(other(|s| s.digest = Digest::of(b"another")), SiteRefusal::WrongSignature);
    assert_eq!(gate.check_site(None, FILE), Err(Refused::NotSigned));
    assert_eq!(Gate::for_site(None, VERSION).check_site(None, FILE), Err(Refused::NotSigned), "nor without roots");
}

#[test]
fn a_key_of_the_clinic_signs_neither_a_model_nor_a_bundle_nor_an_image() {
    // Not even at the gate that knows it.
    let gate = gate();
    for kind in [Kind::Model, Kind::Software, Kind::Image] {
        let signature = signed(20, &statement(kind, 6));
        let unknown = Refused::KeyUnknown(KeyId([20; 8]));
        let package = Package { signature: Some(&signature), list: None, model: FILE };
        assert_eq!(gate.check(&package).unwrap_err(), unknown);
        let head = PackageHead::new(Some(&signature), None);
        assert_eq!(gate.check_software(&head, &Digests::of(FILE)).unwrap_err(), unknown);
        assert_eq!(gate.glance_at_software(&head).unwrap_err(), unknown);
        assert_eq!(gate.check_image(Some(&signature), &Digests::of(FILE)).unwrap_err(), unknown);
    }
    // Nor does the signature of settings pass for anything else, whoever has made it.
    let signature = signed(10, &statement(Kind::Site, 6));
    let package = Package { signature: Some(&signature), list: None, model: FILE };
    assert_eq!(gate.check(&package).unwrap_err(), Refused::OtherKind);
    assert_eq!(gate.check_image(Some(&signature), &Digests::of(FILE)).unwrap_err(), Refused::OtherKind);
}

#[test]
fn counters_rise_whichever_key_has_signed_and_end_with_a_key_that_is_forgotten() {
    let mut gate = gate();
    gate.see(Seen { key: KeyId([20; 8]), counter: 6, model: Digest::of(b"other settings") });
    for n in [10, 20] {
        for counter in [5, 6] {
            assert_eq!(look(&gate, &signed(n, &statement(Kind::Site, counter))), Err(SiteRefusal::Older), "{counter}");
        }
        assert!(look(&gate, &signed(n, &statement(Kind::Site, 7))).is_ok());
    }
    gate.set_own(Vec::new());
    assert!(look(&gate, &signed(10, &statement(Kind::Site, 5))).is_ok());
    assert_eq!(look(&gate, &signed(20, &statement(Kind::Site, 9))), Err(SiteRefusal::KeyUnknown));
}

#[test]
fn a_key_that_calls_itself_like_another_signs_nothing() {
    let mut gate = gate();
    let (of_list, own) = (KeyId([10; 8]), KeyId([20; 8]));
    for id in [of_list, own] {
        let impostor = SecretKey::of_seed(&[99; 32], id);
        let text = Signature::new(&impostor, FILE, statement(Kind::Site, 6).to_string()).to_file();
        assert_eq!(look(&gate, &text), Err(SiteRefusal::WrongSignature));
    }
    // One of a list goes before one that was added under its name.
    gate.set_own(vec![SecretKey::of_seed(&[99; 32], of_list).public()]);
    assert!(look(&gate, &signed(10, &statement(Kind::Site, 6))).is_ok());
}

#[test]
fn a_signature_names_its_key_and_a_fingerprint_tells_keys_of_one_name_apart() {
    let mut signature = Signature::new(&key(20), FILE, statement(Kind::Site, 6).to_string());
    assert_eq!(Signature::of_file(&signature.to_file()).unwrap().named, None);
    signature.named = Some(key(20).public());
    let read = Signature::of_file(&signature.to_file()).unwrap();
    assert_eq!(read, signature);
    assert!(look(&gate(), &signature.to_file()).is_ok(), "it is not signed, and changes nothing");
    let fingerprint = key(20).public().fingerprint();
    let groups: Vec<&str> = fingerprint.split(' ').collect();
    assert_eq!(groups.len(), 6, "{fingerprint}");
    let is_group = |group: &&str| group.len() == 4 && group.bytes().all(|digit| b"0123456789ABCDEF".contains(&digit));
    assert!(groups.iter().all(is_group), "{fingerprint}");
    assert_ne!(SecretKey::of_seed(&[99; 32], KeyId([20; 8])).public().fingerprint(), fingerprint);
    assert_ne!(SecretKey::of_seed(&[20; 32], KeyId([99; 8])).public().fingerprint(), fingerprint);
}

#[test]
fn whose_key_everybody_has_is_told_as_the_test_key() {
    let test = KeyList::read(test_keys::LIST).unwrap().keys[0];
    let secret = SecretKey::of_file(include_str!("../../../models/trust/test-signer.key")).unwrap();
    assert_eq!(secret.public(), test);
    let text = Signature::new(&secret, FILE, statement(Kind::Site, 6).to_string()).to_file();
    let mut gate = gate();
    gate.set_own(vec![test]);
    assert_eq!(look(&gate, &text).map(|checked| (checked.trust, checked.is_own)), Ok((Trust::TestKey, true)));
    // Without roots anybody may sign, and a key that a person has added is more than that.
    let mut gate = Gate::for_site(None, VERSION);
    gate.set_own(vec![key(20).public()]);
    assert_eq!(look(&gate, &text).map(|checked| (checked.trust, checked.is_own)), Ok((Trust::TestKey, false)));
    let own = look(&gate, &signed(20, &statement(Kind::Site, 6)));
    assert_eq!(own.map(|checked| checked.trust), Ok(Trust::Signed));
}

#[test]
fn every_byte_counts() {
    let gate = gate();
    let good = signed(20, &statement(Kind::Site, 6));
    let trusted = good.find('\n').unwrap() + 1;
    for at in trusted..good.len() - 1 {
        for flip in [1, 0x20] {
            let mut bytes = good.clone().into_bytes();
            bytes[at] ^= flip;
            let Ok(text) = String::from_utf8(bytes) else { continue };
            assert!(look(&gate, &text).is_err(), "byte {at}: {text}");
        }
    }
    for at in 0..FILE.len() {
        let mut file = FILE.to_vec();
        file[at] ^= 1;
        assert!(gate.check_site(Some(&good), &file).is_err(), "byte {at}");
    }
}
