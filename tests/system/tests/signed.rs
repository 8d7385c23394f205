//! Keys, signatures and a box that asks for them, with the real programs: the attacks of whoever has the cable for a minute.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::{
    fs,
    io::{Cursor, Write},
    path::{Path, PathBuf},
    process::{Command, Output},
};

use engine::DEFAULT_MODEL;
use fatfs::{FatType, FileSystem, FormatVolumeOptions, FsOptions, format_volume};
use flate2::{Compression, write::GzEncoder};
use shared::appliance::slots::SLOT_BYTES;
use system_tests::{SimulatedBox, code, host, said};
use tempfile::TempDir;
use trust::{SecretKey, Signature};

const REFUSED: i32 = 3;

/// Two roots, a signer, and a box that believes both roots together.
struct Programme {
    folder: TempDir,
}

impl Programme {
    fn new() -> Self {
        let programme = Self { folder: TempDir::new().unwrap() };
        for name in ["root-1", "root-2", "signer", "other"] {
            let output = host(["key", programme.path(name).to_str().unwrap()]);
            assert_eq!(code(&output), 0, "{}", said(&output));
        }
        let settings = format!(
            "simulate = true\nunsigned = false\nroots = [\"{}\", \"{}\"]\n",
            programme.public("root-1"),
            programme.public("root-2")
        );
        fs::write(programme.path("box.toml"), settings).unwrap();
        programme
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn public(&self, name: &str) -> String {
        let text = fs::read_to_string(self.path(&format!("{name}.pub"))).unwrap();
        text.lines().last().unwrap().to_owned()
    }

    fn id(&self, name: &str) -> String {
        let text = fs::read_to_string(self.path(&format!("{name}.pub"))).unwrap();
        text.lines().next().unwrap().rsplit(' ').next().unwrap().to_owned()
    }

    /// A list of keys beside a model.
    fn list(&self, model: &Path, counter: &str, signers: &[&str], revoked: &[&str], roots: &[&str]) {
        let out = model.with_file_name("keys.txt");
        let mut arguments = vec!["keys".to_owned(), "--counter".to_owned(), counter.to_owned()];
        let mut add = |flag: &str, value: String| arguments.extend([flag.to_owned(), value]);
        let file = |name: &str| self.path(name).to_str().unwrap().to_owned();
        signers.iter().for_each(|name| add("--key", file(&format!("{name}.pub"))));
        revoked.iter().for_each(|name| add("--revoke", self.id(name)));
        roots.iter().for_each(|name| add("--root", file(name)));
        add("--out", out.to_str().unwrap().to_owned());
        let output = host(arguments);
        assert_eq!(code(&output), 0, "{}", said(&output));
    }

    /// A model like the one that ships in a folder of its own, with a list that names the signer, signed by a key.
    fn model(&self, n: u8, key: &str, counter: &str) -> PathBuf {
        let folder = self.path(&format!("model-{n}-{key}-{counter}"));
        fs::create_dir(&folder).unwrap();
        let path = folder.join("model.onnx");
        fs::write(&path, [DEFAULT_MODEL, &[0x32, 1, b'a' + n]].concat()).unwrap();
        self.list(&path, "1", &["signer"], &[], &["root-1", "root-2"]);
        let output =
            host(["sign", path.to_str().unwrap(), "--key", self.path(key).to_str().unwrap(), "--counter", counter]);
        assert_eq!(code(&output), 0, "{}", said(&output));
        path
    }

    fn start(&self) -> SimulatedBox {
        SimulatedBox::start_with_config(&self.path("state"), &self.path("box.toml")).unwrap()
    }
}

/// What `pumua update` says: the code of the refusal, or 0.
fn update(device: &SimulatedBox, model: &Path) -> u16 {
    let output = device.host("update", [model.to_str().unwrap(), "--json"]);
    let json: serde_json::Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", said(&output)));
    let refusal = json["code"].as_u64().unwrap_or(0);
    assert_eq!(code(&output), if refusal == 0 { 0 } else { REFUSED }, "{}", said(&output));
    refusal.try_into().unwrap()
}

fn judges(device: &SimulatedBox) -> String {
    device.info().unwrap()["model_digest"].as_str().unwrap().to_owned()
}

#[test]
fn whoever_has_the_cable_cannot_change_the_model_without_a_key() {
    let programme = Programme::new();
    let device = programme.start();
    let shipped = judges(&device);
    // The model that ships, with its last layer negated or its thresholds moved, would be as good as this one: it is not signed.
    let unsigned = programme.path("unsigned.onnx");
    fs::write(&unsigned, [DEFAULT_MODEL, &[0x32, 1, b'x']].concat()).unwrap();
    assert_eq!(update(&device, &unsigned), 408);
    // It is signed by a key of whoever made it.
    assert_eq!(update(&device, &programme.model(1, "other", "9")), 410);
    // The list is that of whoever made it, or signed by one of the roots alone.
    let own = programme.model(2, "other", "9");
    programme.list(&own, "9", &["other"], &[], &["other"]);
    assert_eq!(update(&device, &own), 416);
    programme.list(&own, "9", &["other"], &[], &["root-1"]);
    assert_eq!(update(&device, &own), 416);
    // The signature is that of another model.
    let (first, second) = (programme.model(3, "signer", "3"), programme.model(4, "signer", "4"));
    fs::copy(first.with_file_name("model.onnx.minisig"), second.with_file_name("model.onnx.minisig")).unwrap();
    assert_eq!(update(&device, &second), 413);
    assert_eq!(judges(&device), shipped, "nothing has changed");
    assert_eq!(update(&device, &first), 0);
    assert_ne!(judges(&device), shipped);
    // The journal says of each who has signed what judges.
    let output = device.host("results", ["--events"]);
    let events = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(events.contains("update-refused") && events.contains("408"), "{events}");
    assert!(events.matches("vouched").count() == 2 && events.contains("signed"), "{events}");
}

#[test]
fn a_box_never_goes_back_and_forgets_no_revoked_key_when_it_is_started_again() {
    let programme = Programme::new();
    let (old, new) = (programme.model(1, "signer", "1"), programme.model(2, "signer", "2"));
    let device = programme.start();
    assert_eq!(update(&device, &new), 0);
    assert_eq!(update(&device, &old), 409);
    device.cut_power();
    let device = programme.start();
    let judged = judges(&device);
    assert_eq!(update(&device, &old), 409);
    // The roots revoke the signer: the list comes with a model of the next one.
    let next = programme.model(3, "other", "3");
    programme.list(&next, "2", &["other"], &["signer"], &["root-1", "root-2"]);
    assert_eq!(update(&device, &next), 0);
    assert_ne!(judges(&device), judged);
    assert_eq!(update(&device, &programme.model(4, "signer", "9")), 412);
    let output = device.host("update", [next.to_str().unwrap(), "--json"]);
    assert!(said(&output).contains("\"updated\""), "what comes with the same model is sent: {}", said(&output));
    device.cut_power();
    let device = programme.start();
    assert_eq!(update(&device, &programme.model(5, "signer", "10")), 412);
    // Going back by permission: the old model, signed again.
    let old = programme.model(1, "other", "4");
    programme.list(&old, "2", &["other"], &["signer"], &["root-1", "root-2"]);
    assert_eq!(update(&device, &old), 0);
}

#[test]
fn the_host_says_what_a_box_would_say() {
    let programme = Programme::new();
    let model = programme.model(1, "signer", "5");
    let [roots @ .., _] = &["root-1.pub", "root-2.pub", ""].map(|name| programme.path(name));
    let verify = |model: &Path, more: &[&str]| {
        let roots = roots.iter().flat_map(|root| ["--root", root.to_str().unwrap()]);
        host(["verify", model.to_str().unwrap()].into_iter().chain(roots).chain(more.iter().copied()))
    };
    let output = verify(&model, &["--json"]);
    assert_eq!(code(&output), 0, "{}", said(&output));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&json["trust"], &json["counter"], &json["line"]), (&"signed".into(), &5.into(), &"screener".into()));
    let output = host(["verify", model.to_str().unwrap()]);
    assert_eq!(code(&output), REFUSED, "the test key has not signed it: {}", said(&output));
    // What ships says TEST KEY.
    let output = host(["verify"]);
    assert_eq!(code(&output), 0, "{}", said(&output));
    assert!(said(&output).contains("test-key  pumua-model-1 line=screener counter="), "{}", said(&output));
    // A secret key is for its owner, and is not written over.
    use std::os::unix::fs::PermissionsExt;
    let mode = fs::metadata(programme.path("signer")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let output = host(["key", programme.path("signer").to_str().unwrap()]);
    assert_eq!(code(&output), 1, "{}", said(&output));
}

/// A bundle as `pumua bundle` makes it, with a slot that only says what it is.
fn bundle(path: &Path) -> Vec<u8> {
    let mut disk = Cursor::new(vec![0; SLOT_BYTES as usize]);
    format_volume(&mut disk, FormatVolumeOptions::new().fat_type(FatType::Fat32).bytes_per_cluster(1024)).unwrap();
    disk.set_position(0);
    {
        let system = FileSystem::new(&mut disk, FsOptions::new()).unwrap();
        let mut file = system.root_dir().create_file("slot.json").unwrap();
        file.write_all(br#"{"version":"0.9.0","kernel":"6.1"}"#).unwrap();
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(disk.get_ref()).unwrap();
    let payload = encoder.finish().unwrap();
    // No signature and no list of keys.
    fs::write(path, [&b"PUMUAS1\n"[..], &[0; 12], &payload].concat()).unwrap();
    payload
}

#[test]
fn a_bundle_holds_its_signature_and_the_list_of_keys() {
    let programme = Programme::new();
    fs::create_dir(programme.path("bundle")).unwrap();
    let path = programme.path("bundle/box.pumua");
    let payload = bundle(&path);
    let (name, signer) = (path.to_str().unwrap(), programme.path("signer"));
    let roots = ["root-1.pub", "root-2.pub"].map(|root| programme.path(root).to_str().unwrap().to_owned());
    let verified = |more: &[&str]| {
        let [first, second] = roots.each_ref().map(String::as_str);
        host([&["verify", name, "--root", first, "--root", second][..], more].concat())
    };
    let refused = |words: &str| {
        let output = verified(&[]);
        assert_eq!(code(&output), REFUSED, "{}", said(&output));
        assert!(said(&output).contains(words), "{words}: {}", said(&output));
    };
    refused("the bundle is not signed");
    // What `minisign` would sign.
    let output = host(["sign", name, "--counter", "3", "--name", "box-9"]);
    assert_eq!(code(&output), 0, "{}", said(&output));
    let comment = String::from_utf8(output.stdout.clone()).unwrap();
    assert!(comment.starts_with("pumua-software-1 line=screener counter=3 box=0.1.0 made="), "{comment}");
    assert!(comment.contains(" name=box-9 sha256="), "{comment}");
    assert!(said(&output).contains(&format!("tail -c {} ", payload.len())), "{}", said(&output));
    refused("the bundle is not signed");

    programme.list(&path, "1", &["signer"], &[], &["root-1", "root-2"]);
    let output = host(["sign", name, "--counter", "3", "--key", signer.to_str().unwrap()]);
    assert_eq!(code(&output), 0, "{}", said(&output));
    assert!(fs::read(&path).unwrap().ends_with(&payload) && !path.with_extension("pumua.minisig").exists());
    // The list is in it, and need not lie beside it any more.
    ["keys.txt", "keys.txt.minisig"].iter().for_each(|file| fs::remove_file(path.with_file_name(file)).unwrap());
    let output = verified(&["--json"]);
    assert_eq!(code(&output), 0, "{}", said(&output));
    let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&value["trust"], &value["counter"], &value["version"]), (&"signed".into(), &3.into(), &"0.9.0".into()));
    assert_eq!(value["name"], "box-0.9.0");
    // The test key is not believed there, nor those roots elsewhere.
    let output = host(["verify", name]);
    assert_eq!(code(&output), REFUSED, "{}", said(&output));
    // Signed once more, by a key that no list names: the list of before stays in it.
    let other = programme.path("other");
    let output = host(["sign", name, "--counter", "4", "--key", other.to_str().unwrap()]);
    assert_eq!(code(&output), 0, "{}", said(&output));
    refused("does not know the key");
    let output = host(["sign", name, "--counter", "5", "--key", signer.to_str().unwrap(), "--name", "no name"]);
    assert_eq!(code(&output), 2, "{}", said(&output));
    let output = host(["sign", name, "--counter", "5", "--key", signer.to_str().unwrap()]);
    assert_eq!(code(&output), 0, "{}", said(&output));

    // `minisign` checks the payload, and signs it.
    let cut = programme.path("payload");
    fs::write(&cut, &payload).unwrap();
    let output = Command::new("minisign")
        .args(["-S", "-s"])
        .arg(&signer)
        .arg("-m")
        .arg(&cut)
        .args(["-t", comment.trim_end()])
        .output();
    match output {
        Ok(output) => {
            assert!(output.status.success(), "{}", said(&output));
            let signature = programme.path("payload.minisig");
            let output = host(["sign", name, "--signature", signature.to_str().unwrap()]);
            assert_eq!(code(&output), 0, "{}", said(&output));
            let output = verified(&[]);
            assert!(code(&output) == 0 && said(&output).contains("counter=3"), "{}", said(&output));
        }
        Err(_) => println!("skipped: no minisign (Debian: minisign)"),
    }
    // The signature of a model is not one.
    let model = programme.model(1, "signer", "7");
    let of_model = model.with_file_name("model.onnx.minisig");
    let output = host(["sign", name, "--signature", of_model.to_str().unwrap()]);
    assert_eq!(code(&output), REFUSED, "{}", said(&output));
    // One byte of the payload.
    let mut bytes = fs::read(&path).unwrap();
    let at = bytes.len() - payload.len() + 4;
    bytes[at] ^= 1;
    fs::write(&path, bytes).unwrap();
    refused("the signature is not that of this bundle");
}

/// An image of a box's card, as far as anybody looks at one here: 64 KiB with two partitions.
fn image() -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..64_u32 << 10).map(|at| (at / 509) as u8).collect();
    bytes[446..510].fill(0);
    for (entry, kind, first, count) in [(446, 0x0c, 8_u32, 32_u32), (462, 0x83, 40, 88)] {
        bytes[entry + 4] = kind;
        bytes[entry + 8..entry + 12].copy_from_slice(&first.to_le_bytes());
        bytes[entry + 12..entry + 16].copy_from_slice(&count.to_le_bytes());
    }
    bytes[510..512].copy_from_slice(&[0x55, 0xaa]);
    bytes
}

/// Flashes an image into a file: either all of it is written, or nothing.
fn flash(image: &Path, disk: &Path, more: &[&str]) -> Output {
    let before = vec![7; 64 << 10];
    fs::write(disk, &before).unwrap();
    let always = ["flash", image.to_str().unwrap(), disk.to_str().unwrap(), "--allow", "file", "--yes"];
    let output = host([&always[..], more].concat());
    assert_eq!(code(&output) != 0, fs::read(disk).unwrap() == before, "{}", said(&output));
    output
}

#[test]
fn an_image_is_written_only_as_it_was_signed() {
    let programme = Programme::new();
    fs::create_dir(programme.path("image")).unwrap();
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(&image()).unwrap();
    let packed = encoder.finish().unwrap();
    let disk = programme.path("disk");
    let roots = ["root-1.pub", "root-2.pub"].map(|root| programme.path(root).to_str().unwrap().to_owned());
    let roots = ["--root", roots[0].as_str(), "--root", roots[1].as_str()];
    let signer = programme.path("signer");
    let of_model = programme.model(1, "signer", "7").with_file_name("model.onnx.minisig");
    let is = |output: &Output, exit: i32, words: &str| {
        assert_eq!(code(output), exit, "{words}: {}", said(output));
        assert!(said(output).contains(words), "{words}: {}", said(output));
    };
    // A name that was mistyped is not that of an image without a signature.
    let absent = flash(&programme.path("absent.img"), &disk, &["--signed-only"]);
    is(&absent, 1, "cannot read the image");
    for (name, bytes) in [("box.img", image()), ("box.img.gz", packed)] {
        let path = programme.path("image").join(name);
        let signature = programme.path("image").join(format!("{name}.minisig"));
        let file = path.to_str().unwrap();
        fs::write(&path, &bytes).unwrap();
        let flash = |more: &[&str]| flash(&path, &disk, more);
        is(&flash(&[]), 0, "nobody has signed this image");
        is(&flash(&["--signed-only"]), REFUSED, "nothing has been written: nobody has signed this image");
        is(&flash(&roots), REFUSED, "nobody has signed this image");
        is(&host(["verify", file]), REFUSED, "nobody has signed this image");

        // What `minisign` would sign, beside the image.
        let output = host(["sign", file, "--counter", "2"]);
        assert_eq!(code(&output), 0, "{}", said(&output));
        let comment = String::from_utf8(output.stdout.clone()).unwrap().trim_end().to_owned();
        assert!(comment.starts_with("pumua-image-1 line=screener counter=2 box=0.1.0 made="), "{comment}");
        assert!(comment.contains(&format!(" name={name} sha256=")) && !signature.exists(), "{comment}");
        programme.list(&path, "1", &["signer"], &[], &["root-1", "root-2"]);
        is(&host(["sign", file, "--counter", "2", "--signature", file]), 2, "cannot be used with");
        is(&host(["sign", file, "--signature", file]), 2, "leave out --signature");
        is(&host(["sign", file, "--counter", "2", "--name", "no name"]), 2, "--name");
        let key = signer.to_str().unwrap();
        is(&host(["sign", file, "--counter", "2", "--key", key]), 0, "lies beside the image");
        is(&host([&["verify", file][..], &roots].concat()), 0, "signed  pumua-image-1 line=screener counter=2");
        is(&flash(&roots), 0, "signed by the key ");
        let output = flash(&[&roots[..], &["--json", "--signed-only"]].concat());
        let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!((&value["trust"], &value["signature"]["counter"]), (&"signed".into(), &2.into()));
        assert_eq!(value["signature"]["key"], programme.id("signer"));
        // Who is believed is said, and not guessed.
        is(&flash(&[]), REFUSED, "with --root");
        is(&flash(&roots[..2]), 0, "signed by the key ");
        let public = programme.path("signer.pub");
        match Command::new("minisign").arg("-V").arg("-p").arg(&public).arg("-m").arg(&path).output() {
            Ok(output) => assert!(output.status.success(), "{}", said(&output)),
            Err(_) => println!("skipped: no minisign (Debian: minisign)"),
        }

        // A byte at the beginning, in the middle, at the end. Of a compressed image the first of them leaves what is in it as it was.
        for at in [4, bytes.len() / 2, bytes.len() - 1] {
            let mut altered = bytes.clone();
            altered[at] ^= 1;
            fs::write(&path, altered).unwrap();
            let output = flash(&roots);
            assert_ne!(code(&output), 0, "{at}: {}", said(&output));
            if name == "box.img" || at == 4 {
                is(&output, REFUSED, "is not that of this image");
                is(&host([&["verify", file][..], &roots].concat()), REFUSED, "is not that of this image");
            }
        }
        fs::write(&path, &bytes).unwrap();

        // What a model has beside it, and what says of this file that it is a model.
        let good = fs::read(&signature).unwrap();
        fs::copy(&of_model, &signature).unwrap();
        is(&flash(&roots), REFUSED, "is not that of this image");
        let secret = SecretKey::of_file(&fs::read_to_string(&signer).unwrap()).unwrap();
        let as_model = comment.replace("pumua-image-1", "pumua-model-1");
        fs::write(&signature, Signature::new(&secret, &bytes, as_model).to_file()).unwrap();
        is(&flash(&roots), REFUSED, "is for a model or a bundle");
        fs::write(&signature, "no signature\n").unwrap();
        is(&flash(&roots), REFUSED, "is not a signature of minisign");
        fs::write(&signature, "x".repeat(5000)).unwrap();
        is(&flash(&[]), REFUSED, "nothing has been written: cannot read");
        is(&host(["verify", file]), REFUSED, "which lies beside it");
        fs::write(&signature, good).unwrap();
        is(&flash(&roots), 0, "signed by the key ");

        // Everybody has the test key, and it is said.
        ["keys.txt", "keys.txt.minisig"].iter().for_each(|file| fs::remove_file(path.with_file_name(file)).unwrap());
        let test = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/trust/test-signer.key");
        is(&host(["sign", file, "--counter", "3", "--key", test]), 0, "lies beside the image");
        is(&flash(&[]), 0, "TEST KEY");
        is(&flash(&["--signed-only"]), REFUSED, "leave out --signed-only");
        let test_root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/trust/test-root.pub");
        is(&flash(&["--signed-only", "--root", test_root]), 0, "TEST KEY");
        is(&host(["verify", file]), 0, "test-key  pumua-image-1");
        is(&flash(&roots), REFUSED, "no list of keys names the key");
    }
}

/// Settings in a folder of their own, signed by a key, with a list that names the signer.
fn settings(programme: &Programme, name: &str, text: &str, key: &str, counter: &str) -> PathBuf {
    let folder = programme.path(name);
    fs::create_dir(&folder).unwrap();
    let path = folder.join("ward-3.toml");
    fs::write(&path, text).unwrap();
    programme.list(&path, "1", &["signer"], &[], &["root-1", "root-2"]);
    let output =
        host(["sign", path.to_str().unwrap(), "--key", programme.path(key).to_str().unwrap(), "--counter", counter]);
    assert_eq!(code(&output), 0, "{}", said(&output));
    assert!(said(&output).contains("pumua-site-1 line=screener counter="), "{}", said(&output));
    path
}

#[test]
fn settings_that_are_signed_are_in_force_from_the_next_start_on_and_a_key_alone_is_only_an_offer() {
    let programme = Programme::new();
    // With keys to hold, though nobody presses any here.
    let card = fs::read_to_string(programme.path("box.toml")).unwrap() + "keys = true\nlanguage = \"sw\"\n";
    fs::write(programme.path("box.toml"), card).unwrap();
    let device = programme.start();
    let said_of = |device: &SimulatedBox| device.info().unwrap()["settings"].clone();
    assert_eq!(said_of(&device)["stage"], "card");
    let french = settings(&programme, "french", "language = \"fr\"\n", "signer", "7");
    assert_eq!(update(&device, &french), 0);
    let told = said_of(&device);
    assert_eq!((&told["stage"], &told["file"]["counter"]), (&"next-start".into(), &7.into()));
    assert_eq!((&told["file"]["name"], &told["file"]["key"]), (&"ward-3".into(), &programme.id("signer").into()));
    assert_eq!(update(&device, &settings(&programme, "older", "language = \"pt\"\n", "signer", "6")), 448);
    // A key that no list names.
    let own = settings(&programme, "own", "language = \"pt\"\n", "other", "8");
    assert_eq!(update(&device, &own), 442);
    let public = programme.path("other.pub");
    let offer = || device.host("update", [own.to_str().unwrap(), "--add-key", public.to_str().unwrap(), "--json"]);
    for _ in 0..2 {
        let output = offer();
        assert_eq!(code(&output), REFUSED, "{}", said(&output));
        let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!((&value["code"], &value["key"]), (&452.into(), &programme.id("other").into()));
        assert!(said(&output).contains(value["fingerprint"].as_str().unwrap()), "{}", said(&output));
    }
    let wrong = programme.path("signer.pub");
    let output = device.host("update", [own.to_str().unwrap(), "--add-key", wrong.to_str().unwrap()]);
    assert_eq!(code(&output), 2, "{}", said(&output));
    assert_eq!(update(&device, &own), 442, "nothing over the line adds it");
    // It signs no model either.
    assert_eq!(update(&device, &programme.model(1, "other", "9")), 410);
    let output = device.host("results", ["--events"]);
    let events = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(events.contains("settings-changed") && events.contains("settings-refused"), "{events}");
    device.cut_power();
    let device = programme.start();
    let told = said_of(&device);
    assert_eq!((&told["stage"], &told["keys"]), (&"in-force".into(), &serde_json::json!([])));
    // Settings that only the card may have are not even signed.
    let path = programme.path("own").join("roots.toml");
    fs::write(&path, "roots = []\n").unwrap();
    let signer = programme.path("signer");
    let output = host(["sign", path.to_str().unwrap(), "--key", signer.to_str().unwrap(), "--counter", "9"]);
    assert_eq!(code(&output), REFUSED, "{}", said(&output));
    assert!(said(&output).contains("unknown field `roots`"), "{}", said(&output));
    // The host says what the box would.
    let roots = ["root-1.pub", "root-2.pub"].map(|root| programme.path(root).to_str().unwrap().to_owned());
    let verify = |path: &Path, more: &[&str]| {
        let [first, second] = roots.each_ref().map(String::as_str);
        host([&["verify", path.to_str().unwrap(), "--root", first, "--root", second][..], more].concat())
    };
    assert_eq!(code(&verify(&french, &[])), 0);
    assert_eq!(code(&verify(&own, &[])), REFUSED);
    let output = verify(&own, &["--own-key", public.to_str().unwrap(), "--json"]);
    let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&value["trust"], &value["own_key"]), (&"signed".into(), &true.into()));
    let public = programme.path("signer.pub");
    match Command::new("minisign").arg("-V").arg("-p").arg(&public).arg("-m").arg(&french).output() {
        Ok(output) => assert!(output.status.success(), "{}", said(&output)),
        Err(_) => println!("skipped: no minisign (Debian: minisign)"),
    }
}
