//! Texts and bytes from anywhere.

use proptest::prelude::*;
use trust::{KeyList, Kind, MAX_HEAD_BYTES, Package, PackageHead, Signature, Statement, Version};

const STATEMENT: &str = "pumua-model-1 line=screener counter=7 box=0.1.0 made=2026-11-30 name=a.b_c-9 \
                         sha256=ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

#[test]
fn a_statement_has_one_form() {
    assert_eq!(STATEMENT.parse::<Statement>().unwrap().to_string(), STATEMENT);
    let software = STATEMENT.replace("pumua-model-1", "pumua-software-1");
    assert_eq!(software.parse::<Statement>().unwrap().to_string(), software);
    let image = STATEMENT.replace("pumua-model-1", "pumua-image-1");
    assert_eq!(image.parse::<Statement>().unwrap().to_string(), image);
    let site = STATEMENT.replace("pumua-model-1", "pumua-site-1");
    assert_eq!(site.parse::<Statement>().unwrap().to_string(), site);
    let kinds = [STATEMENT, &software, &image, &site].map(|text| text.parse::<Statement>().unwrap().kind);
    assert_eq!(kinds, [Kind::Model, Kind::Software, Kind::Image, Kind::Site]);
    for (from, to) in [
        ("pumua-model-1", "pumua-model-2"),
        ("pumua-model-1", "pumua-software-2"),
        ("pumua-model-1", "pumua-image-2"),
        ("pumua-model-1", "pumua-site-2"),
        ("pumua-model-1 ", ""),
        ("pumua-model-1", "pumua-keys-1"),
        ("counter=7", "counter=07"),
        ("counter=7", "counter=+7"),
        ("counter=7", "counter=18446744073709551616"),
        ("counter=7 ", ""),
        ("box=0.1.0", "box=0.1"),
        ("box=0.1.0", "box=0.1.0.0"),
        ("box=0.1.0", "box=0.1.65536"),
        ("2026-11-30", "2026-11-3"),
        ("line=screener", "line="),
        ("name=a.b_c-9", "name=a b"),
        ("name=a.b_c-9", "name=\u{e9}"),
        ("sha256=ba", "sha256=BA"),
        ("sha256=ba", "sha256=b"),
        ("15ad", "15ad "),
        ("15ad", "15ad x=1"),
        (" line", "  line"),
    ] {
        let text = STATEMENT.replace(from, to);
        assert_ne!(text, STATEMENT);
        assert!(text.parse::<Statement>().is_err(), "{text}");
    }
    assert!(Version([0, 10, 0]) > Version([0, 9, 65535]));
}

#[test]
fn a_list_of_keys_has_one_form() {
    let list = trust::test_keys::LIST;
    assert_eq!(KeyList::read(list).unwrap().to_file(), list);
    for (from, to) in [
        ("counter 1", "counter 01"),
        ("counter 1\n", ""),
        ("keys-1", "keys-2"),
        ("key RW", "key  RW"),
        ("\nkey", "\r\nkey"),
        ("\nkey", "\n\nkey"),
        ("\nkey", "\nrevoked 12\nkey"),
        ("\nkey", "\nrevoked 0123456789ABCDEF\nkey"),
        ("\nkey", "\nrevoked 123456789ABCDEF\nkey"),
    ] {
        let text = list.replace(from, to);
        assert_ne!(text, list);
        assert!(KeyList::read(&text).is_err(), "{text}");
    }
    assert!(KeyList::read(list.trim_end()).is_err());
    // A key twice, or named and revoked.
    let (head, key) = list.split_at(list.find("key RW").unwrap());
    assert!(KeyList::read(&format!("{head}{key}{key}")).is_err());
    let id = KeyList::read(list).unwrap().keys[0].id;
    assert!(KeyList::read(&format!("{list}revoked {id}\n")).is_err());
    assert!(KeyList::read(&format!("{head}revoked {id}\n")).is_ok(), "nobody may sign");
}

#[test]
fn a_package_is_read_as_it_is_written_and_damaged_ones_are_not() {
    let package = Package { signature: Some("s"), list: Some(["l", "k"]), model: b"model" };
    let bytes = package.to_bytes();
    assert_eq!(Package::read(&bytes), Ok(package));
    for length in 8..bytes.len() - package.model.len() {
        assert!(Package::read(&bytes[..length]).is_err(), "{length}");
    }
    for at in 8..12 {
        let mut long = bytes.clone();
        long[at] = 0xff;
        assert!(Package::read(&long).is_err(), "{at}");
    }
    let mut empty = b"PUMUAS1\n".to_vec();
    empty.extend([0; 12]);
    assert!(Package::read(&empty).is_err(), "what has no part is no package");
    let bare = Package { model: b"model", ..Package::default() };
    assert_eq!((bare.to_bytes(), Package::read(b"model")), (b"model".to_vec(), Ok(bare)));
}

#[test]
fn a_head_is_read_from_the_beginning_of_a_package() {
    let longest = ["s".repeat(4 << 10), "l".repeat(16 << 10), "k".repeat(16 << 10)];
    let [signature, list, signatures] = longest.each_ref().map(String::as_str);
    for head in [
        PackageHead::new(None, None),
        PackageHead::new(Some("s"), None),
        PackageHead::new(None, Some(["l", "k"])),
        PackageHead::new(Some(signature), Some([list, signatures])),
    ] {
        let bytes = head.to_bytes();
        assert!(bytes.len() == head.length && bytes.len() <= MAX_HEAD_BYTES);
        let whole = [&bytes[..], b"payload"].concat();
        assert_eq!(PackageHead::read(&whole), Ok(head));
        assert_eq!(PackageHead::read(&bytes), Ok(head), "the payload need not be there");
        for length in 0..bytes.len().min(200) {
            assert!(PackageHead::read(&bytes[..length]).is_err(), "{length}");
        }
    }
    assert_eq!(PackageHead::new(Some(signature), Some([list, signatures])).length, MAX_HEAD_BYTES);
    let package = Package { signature: Some("s"), list: Some(["l", "k"]), model: b"model" };
    let bytes = package.to_bytes();
    let head = PackageHead::read(&bytes).unwrap();
    assert_eq!((head.signature, head.list, &bytes[head.length..]), (package.signature, package.list, package.model));
    assert!(PackageHead::read(b"an ONNX file").is_err());
}

proptest! {
    #[test]
    fn nothing_panics(bytes in prop::collection::vec(any::<u8>(), 0..200), text in "\\PC{0,200}") {
        let _ = Package::read(&bytes);
        let _ = Package::read(&[b"PUMUAS1\n", &bytes[..]].concat());
        let _ = PackageHead::read(&[b"PUMUAS1\n", &bytes[..]].concat());
        let _ = (text.parse::<Statement>(), KeyList::read(&text), Signature::several(&text));
        let _ = (trust::SecretKey::of_file(&text), trust::PublicKey::of_file(&text));
    }
}
