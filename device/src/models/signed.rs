//! Who is believed, at an update and at each start; and what of it outlives power cuts and damage.

use std::fs;

use engine::DEFAULT_MODEL;
use shared::verdict::Trust;
use trust::{Kind, LINE, Roots, Signature, Statement, Version};

use super::*;
use crate::{
    disk::simulated::{Failure, Random, Simulated},
    signers::{key, list},
};

const FOLDER: &str = "/data/models";

/// A box that believes the root 1.
fn gate(unsigned: bool) -> Gate {
    Gate::new(Some(Roots::new(vec![key(1).public()], 1).unwrap()), unsigned, Version([0, 1, 0]))
}

/// The model that ships, made distinct by its `doc_string`, signed by a key.
fn signed(n: u8, signer: u8, counter: u64, list: &[String; 2]) -> ModelFile {
    let model = [DEFAULT_MODEL, &[0x32, 1, b'a' + n]].concat();
    signed_as(&format!("model-{n}"), &model, signer, counter, Some(list))
}

/// Any bytes, signed as a model of this name.
fn signed_as(name: &str, model: &[u8], signer: u8, counter: u64, list: Option<&[String; 2]>) -> ModelFile {
    let statement = Statement {
        kind: Kind::Model,
        line: LINE.to_owned(),
        counter,
        least: Version([0, 1, 0]),
        made: "2026-11-30".to_owned(),
        name: name.to_owned(),
        digest: Digest::of(model),
    };
    let signature = Signature::new(&key(signer), model, statement.to_string()).to_file();
    let list = list.map(|texts| texts.each_ref().map(String::as_str));
    ModelFile::new(Package { signature: Some(&signature), list, model }.to_bytes()).unwrap()
}

fn digest(n: u8) -> Digest {
    Digest::of(&[DEFAULT_MODEL, &[0x32, 1, b'a' + n]].concat())
}

fn models(folder: &Path) -> Models {
    Models::new(folder.to_owned(), None, gate(false))
}

/// What a box starts with.
fn started(folder: &Path) -> Option<Digest> {
    models(folder).load().map(|model| model.digest())
}

fn refusal(models: &mut Models, file: &ModelFile) -> Option<ModelRefusal> {
    models.install(file).err().map(|error| error.refusal())
}

#[test]
fn a_signed_model_is_installed_and_judges_after_a_start() {
    let folder = tempfile::tempdir().unwrap();
    let mut box_ = models(folder.path());
    assert!(box_.load().is_none());
    let first = signed(0, 10, 7, &list(1, &[10], &[]));
    let installed = box_.install(&first).unwrap();
    assert_eq!((installed.digest(), installed.trust), (digest(0), Trust::Signed));
    assert_eq!(started(folder.path()), Some(digest(0)));
}

#[test]
fn what_nobody_has_signed_is_refused_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut box_ = models(folder.path());
    for (file, expected) in [
        (ModelFile::new(DEFAULT_MODEL.to_vec()).unwrap(), ModelRefusal::NotSigned),
        (signed(0, 11, 7, &list(1, &[10], &[])), ModelRefusal::UnknownKey),
        (signed(0, 10, 7, &list(2, &[11], &[10])), ModelRefusal::RevokedKey),
    ] {
        assert_eq!(refusal(&mut box_, &file), Some(expected));
        assert!(!folder.path().join(CURRENT).exists());
    }
    // Every byte of what comes with a model, and some of the model. In a comment that nobody signs, one may be another.
    let good = signed(0, 10, 7, &list(3, &[10], &[]));
    let model = good.bytes.len() - Package::read(&good.bytes).unwrap().model.len();
    let is_free = |at: usize| {
        let text = &good.bytes[..model];
        let line = text[..at].iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
        // A part has its length before it.
        let begins = |start: usize| text[start..].starts_with(b"untrusted comment: ") && at >= start + 19;
        text[at] != b'\n' && (begins(line) || begins(line + 4))
    };
    for at in (0..model).filter(|&at| !is_free(at)).chain((model..good.bytes.len()).step_by(997)) {
        let mut bytes = good.bytes.clone();
        bytes[at] ^= 0x40;
        let refused = refusal(&mut box_, &ModelFile::new(bytes).unwrap());
        assert!(refused.is_some(), "byte {at} of {model}");
        assert!(!folder.path().join(CURRENT).exists(), "byte {at}");
    }
    assert_eq!(refusal(&mut box_, &good), None);
}

#[test]
fn no_box_goes_back_unless_the_earlier_model_is_signed_again() {
    let folder = tempfile::tempdir().unwrap();
    let keys = list(1, &[10], &[]);
    let mut box_ = models(folder.path());
    box_.install(&signed(1, 10, 8, &keys)).unwrap();
    assert_eq!(refusal(&mut box_, &signed(0, 10, 7, &keys)), Some(ModelRefusal::Older));
    let restarted = |folder: &Path| {
        let mut box_ = models(folder);
        box_.load();
        refusal(&mut box_, &signed(0, 10, 7, &keys))
    };
    assert_eq!(restarted(folder.path()), Some(ModelRefusal::Older));
    // One copy of what is remembered is damaged: it is mended. Then both are gone: the counter of the model that judges counts.
    let copies = ["trust.1", "trust.2"].map(|name| folder.path().join(name));
    for damaged in &copies {
        fs::write(damaged, "damaged").unwrap();
        assert_eq!(restarted(folder.path()), Some(ModelRefusal::Older));
        assert_eq!(fs::read(&copies[0]).unwrap(), fs::read(&copies[1]).unwrap());
    }
    for copy in &copies {
        fs::remove_file(copy).unwrap();
    }
    assert_eq!(restarted(folder.path()), Some(ModelRefusal::Older));
    let mut box_ = models(folder.path());
    box_.load();
    assert_eq!(refusal(&mut box_, &signed(0, 10, 9, &keys)), None, "signed again");
    assert_eq!(refusal(&mut box_, &signed(1, 10, 8, &keys)), Some(ModelRefusal::Older));
}

#[test]
fn a_person_lets_one_older_model_in_and_no_counter_falls() {
    let folder = tempfile::tempdir().unwrap();
    let keys = list(1, &[10], &[]);
    let mut box_ = models(folder.path());
    let (old, older, new) = (signed(1, 10, 7, &keys), signed(2, 10, 6, &keys), signed(3, 10, 8, &keys));
    box_.install(&new).unwrap();
    assert_eq!(refusal(&mut box_, &old), Some(ModelRefusal::Older));
    box_.permit().give();
    // Everything else of it is looked at, and nothing of that uses the permission up.
    let list_of_another = list(1, &[11], &[]);
    let unfit = ModelFile::new(DEFAULT_MODEL.to_vec()).unwrap();
    for (file, expected) in [
        (unfit, ModelRefusal::NotSigned),
        (signed(1, 12, 7, &keys), ModelRefusal::UnknownKey),
        (signed(1, 11, 7, &list_of_another), ModelRefusal::UnknownKey),
    ] {
        assert_eq!(refusal(&mut box_, &file), Some(expected));
    }
    // Nor does one that needs none.
    assert_eq!(refusal(&mut box_, &new), None);
    let installed = box_.install(&old).unwrap();
    assert_eq!((installed.digest(), installed.trust), (digest(1), Trust::Signed));
    assert_eq!(refusal(&mut box_, &older), Some(ModelRefusal::Older), "once");
    // It judges after a start, too; the one that was left may come again, and nothing else that is older.
    assert_eq!(started(folder.path()), Some(digest(1)));
    let mut box_ = models(folder.path());
    box_.load();
    assert!(!box_.fell_back());
    assert_eq!(refusal(&mut box_, &older), Some(ModelRefusal::Older));
    assert_eq!(refusal(&mut box_, &signed(4, 10, 8, &keys)), Some(ModelRefusal::Older), "another one of that counter");
    assert_eq!(refusal(&mut box_, &new), None);
    assert_eq!(started(folder.path()), Some(digest(3)));
    assert_eq!(refusal(&mut box_, &old), Some(ModelRefusal::Older));
}

#[test]
fn a_permitted_model_that_cannot_judge_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut box_ = models(folder.path());
    box_.install(&signed(1, 10, 8, &list(1, &[10], &[]))).unwrap();
    let file = signed_as("model", b"what is no model", 10, 7, None);
    box_.permit().give();
    let refused = refusal(&mut box_, &file);
    assert!(refused.is_some_and(|refusal| refusal != ModelRefusal::Older), "{refused:?}");
    assert!(box_.permit().is_given(), "it is for a model that is refused for its counter alone");
    assert_eq!(started(folder.path()), Some(digest(1)));
}

#[test]
fn a_model_whose_key_was_revoked_gives_way_at_the_next_start_and_stays_on_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let mut box_ = models(folder.path());
    box_.load();
    box_.install(&signed(0, 11, 7, &list(1, &[10, 11], &[]))).unwrap();
    box_.install(&signed(1, 10, 8, &list(1, &[10, 11], &[]))).unwrap();
    // The list comes with a model that is refused for something else.
    let mut box_ = models(folder.path());
    box_.load();
    assert_eq!(refusal(&mut box_, &signed(2, 11, 1, &list(2, &[11], &[10]))), Some(ModelRefusal::Older));
    let mut box_ = models(folder.path());
    assert_eq!(box_.load().map(|model| model.digest()), Some(digest(0)), "the one before");
    assert!(box_.fell_back() && folder.path().join(CURRENT).exists());
}

#[test]
fn a_model_of_development_judges_only_while_the_settings_allow_it() {
    let folder = tempfile::tempdir().unwrap();
    let unsigned = ModelFile::new([DEFAULT_MODEL, &[0x32, 1, b'z']].concat()).unwrap();
    let mut development = Models::new(folder.path().to_owned(), None, gate(true));
    let installed = development.install(&unsigned).unwrap();
    assert_eq!(installed.trust, Trust::Unsigned);
    assert_eq!(started(folder.path()), None, "the setting is taken away");
    let mut development = Models::new(folder.path().to_owned(), None, gate(true));
    assert_eq!(development.load().map(|model| model.digest()), Some(unsigned.digest));
}

#[test]
fn the_model_of_a_card_must_be_signed_too() {
    let (card, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = card.path().join("model.onnx");
    let write = |name: &str, bytes: &[u8]| fs::write(card.path().join(name), bytes).unwrap();
    let package = signed(3, 10, 7, &list(1, &[10], &[])).bytes;
    let package = Package::read(&package).unwrap();
    write("model.onnx", package.model);
    let configured = || models(state.path()).configured(Some(&path));
    let gives_way = || configured().is_ok_and(|found| found.fell_back && found.model.trust == Trust::BuiltIn);
    assert!(gives_way(), "not signed");
    write("model.onnx.minisig", package.signature.unwrap().as_bytes());
    assert!(gives_way(), "nobody names the key");
    let [list, signatures] = package.list.unwrap();
    write("keys.txt", list.as_bytes());
    write("keys.txt.minisig", signatures.as_bytes());
    let found = configured().unwrap();
    assert_eq!((found.model.digest(), found.model.trust, found.fell_back), (digest(3), Trust::Signed, false));
    // Nothing older than the model of the card comes in over the line.
    let mut box_ = models(state.path());
    box_.configured(Some(&path)).unwrap();
    assert_eq!(refusal(&mut box_, &signed(0, 10, 6, &self::list(1, &[10], &[]))), Some(ModelRefusal::Older));
}

#[test]
fn the_same_model_signed_anew_takes_its_own_place_alone() {
    let folder = tempfile::tempdir().unwrap();
    let mut box_ = models(folder.path());
    box_.install(&signed(0, 10, 1, &list(1, &[10, 11], &[]))).unwrap();
    box_.install(&signed(1, 10, 2, &list(1, &[10, 11], &[]))).unwrap();
    box_.install(&signed(1, 11, 3, &list(2, &[11], &[10]))).unwrap();
    let mut box_ = models(folder.path());
    assert_eq!(box_.load().map(|model| model.digest()), Some(digest(1)));
    assert!(!box_.fell_back());
    let previous = read(&Card, &folder.path().join(PREVIOUS)).unwrap().unwrap();
    assert_eq!(Digest::of(Package::read(&previous.bytes).unwrap().model), digest(0), "the one before stays");
}

#[test]
fn what_could_not_be_read_at_the_start_is_not_lost() {
    let folder = tempfile::tempdir().unwrap();
    let mut box_ = models(folder.path());
    box_.install(&signed(0, 10, 1, &list(1, &[10, 11], &[]))).unwrap();
    box_.install(&signed(1, 11, 2, &list(2, &[11], &[10]))).unwrap();
    let copies = ["trust.1", "trust.2"].map(|name| folder.path().join(name));
    let kept = copies.clone().map(|copy| (fs::read(&copy).unwrap(), fs::remove_file(&copy)).0);
    let mut box_ = models(folder.path());
    box_.load();
    copies.iter().zip(&kept).for_each(|(copy, bytes)| fs::write(copy, bytes).unwrap());
    // A list that is old, and a model of the revoked key.
    assert_eq!(refusal(&mut box_, &signed(2, 10, 9, &list(1, &[10, 11], &[]))), Some(ModelRefusal::RevokedKey));
    let mut box_ = models(folder.path());
    box_.load();
    assert_eq!(refusal(&mut box_, &signed(2, 10, 9, &list(1, &[10, 11], &[]))), Some(ModelRefusal::RevokedKey));
}

#[test]
fn a_model_that_is_too_old_is_not_even_looked_at() {
    let folder = tempfile::tempdir().unwrap();
    let mut box_ = models(folder.path());
    box_.install(&signed(1, 10, 8, &list(1, &[10], &[]))).unwrap();
    let file = signed_as("model", b"what makes a program fail", 10, 7, None);
    assert_eq!(refusal(&mut box_, &file), Some(ModelRefusal::Older));
}

#[test]
fn a_power_cut_while_an_older_model_is_let_in_leaves_one_of_both_and_every_counter() {
    let keys = list(1, &[10], &[]);
    let [old, new] = [signed(1, 10, 8, &keys), signed(2, 10, 9, &keys)];
    let with = |disk: &Simulated| Models::on(Arc::new(disk.clone()), PathBuf::from(FOLDER), None, gate(false));
    for call in 0.. {
        let disk = Simulated::default();
        with(&disk).install(&new).unwrap();
        let mut box_ = with(&disk);
        box_.load();
        box_.permit().give();
        disk.fail(call, Failure::Power);
        let told = box_.install(&old).is_ok();
        let done = disk.calls() <= call;
        disk.heal();
        disk.cut_power(&mut Random(call as u64));
        let mut box_ = with(&disk);
        let judges = box_.load().map(|model| model.digest());
        assert!(judges == Some(digest(1)) || (!told && judges == Some(digest(2))), "cut at {call}: {judges:?}");
        // The permission is gone with the power, and the counter has not fallen.
        let before = signed(0, 10, 7, &keys);
        assert_eq!(refusal(&mut box_, &before), Some(ModelRefusal::Older), "cut at {call}");
        assert_eq!(refusal(&mut box_, &new), None, "cut at {call}");
        if done {
            assert!(told);
            break;
        }
    }
}

#[test]
fn neither_a_power_cut_nor_a_failing_disk_lets_a_box_go_back() {
    let keys = list(1, &[10], &[]);
    let [old, new] = [signed(1, 10, 8, &keys), signed(2, 10, 9, &keys)];
    let with = |disk: &Simulated| Models::on(Arc::new(disk.clone()), PathBuf::from(FOLDER), None, gate(false));
    let (mut cuts, mut seen) = (0, [0, 0]);
    for failure in [Failure::Power, Failure::Error(io::ErrorKind::StorageFull), Failure::Short, Failure::Lies] {
        for call in 0.. {
            let disk = Simulated::default();
            with(&disk).install(&old).unwrap();
            let mut box_ = with(&disk);
            box_.load();
            disk.chance(call as u64);
            disk.fail(call, failure);
            let told = box_.install(&new).is_ok();
            let done = disk.calls() <= call;
            for seed in 0..2 {
                disk.heal();
                disk.cut_power(&mut Random(seed + 100 * call as u64));
                cuts += 1;
                let mut box_ = with(&disk);
                let judges = box_.load().map(|model| model.digest());
                let is_new = judges == Some(digest(2));
                assert!(
                    is_new || (!told && judges == Some(digest(1))),
                    "{failure:?} at {call}, cut {seed}: {judges:?}"
                );
                seen[usize::from(is_new)] += 1;
                // The model that judges, or a later one, was noted before it: nothing older comes in.
                let before = signed(0, 10, 7, &keys);
                assert_eq!(refusal(&mut box_, &before), Some(ModelRefusal::Older), "{failure:?} at {call}, cut {seed}");
                if is_new {
                    assert_eq!(
                        refusal(&mut box_, &old),
                        Some(ModelRefusal::Older),
                        "{failure:?} at {call}, cut {seed}"
                    );
                }
            }
            if done {
                break;
            }
        }
    }
    println!("{cuts} losses of power: the old model {}, the new one {}", seen[0], seen[1]);
    assert!(seen.iter().all(|&count| count > 10), "{seen:?}");
}
