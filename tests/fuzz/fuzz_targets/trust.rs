//! Any bytes as a package of model, or bundle, signature and list of keys, and as each of its texts: none is believed, and what is read is
//! written in the same way again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use trust::{Digests, Gate, KeyList, Package, PackageHead, PublicKey, Roots, SecretKey, Signature, Statement, Version};

fuzz_target!(|bytes: &[u8]| {
    let root: PublicKey = SecretKey::of_seed(&[7; 32], trust::KeyId([7; 8])).public();
    let roots = Roots::new(vec![root], 1).expect("one key");
    let mut gate = Gate::new(Some(roots), false, Version([1, 0, 0]));
    for bytes in [bytes, &[b"PUMUAS1\n", bytes].concat()] {
        let Ok(package) = Package::read(bytes) else { continue };
        assert!(gate.learn(&package).is_err() || package.list.is_none(), "nobody has signed a list");
        assert!(gate.check(&package).is_err(), "nobody has signed a model");
        assert!(gate.check_site(package.signature, package.model).is_err(), "nobody has signed settings");
        assert_eq!(Package::read(&package.to_bytes()), Ok(package));
    }
    for bytes in [bytes, &[b"PUMUAS1\n", bytes].concat()] {
        let Ok(head) = PackageHead::read(bytes) else { continue };
        assert!(gate.glance_at_software(&head).is_err(), "nobody has signed a bundle");
        assert!(gate.check_software(&head, &Digests::of(&bytes[head.length..])).is_err(), "nobody has signed a bundle");
        assert!(
            gate.check_image(head.signature, &Digests::of(&bytes[head.length..])).is_err(),
            "nobody has signed an image"
        );
        assert_eq!(head.to_bytes(), bytes[..head.length]);
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(statement) = text.parse::<Statement>() {
        assert_eq!(statement.to_string(), text);
    }
    if let Ok(list) = KeyList::read(text) {
        assert_eq!(list.to_file(), text);
    }
    if let Ok(signatures) = Signature::several(text) {
        let written: String = signatures.iter().map(Signature::to_file).collect();
        // The line that nobody signs is a longer one now.
        if let Ok(again) = Signature::several(&written) {
            assert_eq!(again, signatures);
        }
    }
});
