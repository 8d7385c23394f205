//! Who may change settings, which of them, and what of it outlives starts, power cuts and damage.

use std::fs;

use clap::Parser as _;
use shared::appliance::{Language, Override, Rotation};
use trust::{LINE, Roots, SecretKey, Version};

use super::*;
use crate::{
    config::{Flags, NodeSettings},
    disk::simulated::{Failure, Random, Simulated},
    signers::{key, list},
};

const FOLDER: &str = "/data/site";
/// A box that X-ray machines may send to.
const CARD: &str = "port = \"/dev/x\"\nlanguage = \"sw\"\nethernet = \"192.168.7.1/24\"\npeers = [\"192.168.7.20\"]\n";
const FRENCH: &str = "language = \"fr\"\n";
const PORTUGUESE: &str = "language = \"pt\"\n";

/// A text as settings, or as something else, signed by a key that it may name, with a list or without.
fn signed_as(
    kind: Kind,
    text: &str,
    signer: u8,
    counter: u64,
    is_named: bool,
    list: Option<&[String; 2]>,
) -> ModelFile {
    let (line, made, name) = (LINE.to_owned(), "2026-11-30".to_owned(), "ward-3".to_owned());
    let digest = Digest::of(text.as_bytes());
    let statement = Statement { kind, line, counter, least: Version([0, 1, 0]), made, name, digest }.to_string();
    let mut signature = Signature::new(&key(signer), text.as_bytes(), statement);
    signature.named = is_named.then(|| key(signer).public());
    let (signature, list) = (signature.to_file(), list.map(|texts| texts.each_ref().map(String::as_str)));
    ModelFile::new(Package { signature: Some(&signature), list, model: text.as_bytes() }.to_bytes()).unwrap()
}

/// Settings that the key 10 has signed, which the list names.
fn signed(text: &str, counter: u64) -> ModelFile {
    signed_as(Kind::Site, text, 10, counter, false, Some(&list(1, &[10], &[])))
}

/// Settings that a key has signed which comes with them.
fn own(text: &str, signer: u8, counter: u64) -> ModelFile {
    signed_as(Kind::Site, text, signer, counter, true, None)
}

/// What a box that believes the root 1 has, before it looks.
fn unread(disk: &Simulated) -> Site {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), CARD).unwrap();
    let flags = Flags::try_parse_from(["pumua-box", "--config", file.path().to_str().unwrap()]).unwrap();
    let sources = flags.sources(|_| None).unwrap();
    let gate = Gate::for_site(Some(Roots::new(vec![key(1).public()], 1).unwrap()), Version([0, 1, 0]));
    let with = Box::new(move |site: &SiteSettings| sources.with_site(site));
    Site::new(Arc::new(disk.clone()), PathBuf::from(FOLDER), gate, with)
}

/// The box as it starts: the settings with those of the site file, if that is in force.
fn start(disk: &Simulated) -> (Site, Option<Settings>) {
    let mut site = unread(disk);
    let settings = site.load();
    (site, settings)
}

fn language(settings: Option<Settings>) -> Option<Language> {
    settings.map(|settings| settings.language)
}

fn take(site: &mut Site, file: &ModelFile) -> Result<Standing, NotDone> {
    site.carry_out(&Ask::Take(file.clone()))
}

/// Why a site file is not taken, if it is not.
fn refusal(site: &mut Site, file: &ModelFile) -> Option<SiteRefusal> {
    match take(site, file) {
        Ok(_) => None,
        Err(NotDone::Refused(refusal)) => Some(refusal),
        Err(NotDone::Offered(_)) => Some(SiteRefusal::KeyOffered),
    }
}

#[test]
fn signed_settings_go_before_those_of_the_card_from_the_next_start_on() {
    let disk = Simulated::default();
    let (mut site, settings) = start(&disk);
    assert_eq!((settings, site.standing()), (None, &Standing::default()));
    let text = "language = \"fr\"\nrotate = 90\nblank_minutes = 0\noverride = [\"age\"]\naet = \"WARD3\"\n\
                peers = [\"192.168.7.21=CR1\"]\n";
    let standing = take(&mut site, &signed(text, 7)).unwrap();
    assert_eq!((standing.stage, standing.is_new), (SiteStage::NextStart, false));
    let file = standing.file.unwrap();
    assert_eq!((file.name.as_str(), file.counter, file.key, file.is_own), ("ward-3", 7, KeyId([10; 8]), false));
    let (mut site, settings) = start(&disk);
    let settings = settings.unwrap();
    assert_eq!((settings.language, settings.rotation, settings.blank_after), (Language::French, Rotation::Right, None));
    assert_eq!(settings.overrides, [Override::Age]);
    let Some(NodeSettings::Wired(wired)) = &settings.node else { panic!("{:?}", settings.node) };
    assert_eq!((wired.title.as_str(), wired.listen().to_string().as_str()), ("WARD3", "192.168.7.1:11112"));
    assert_eq!((site.standing().stage, site.standing().is_new), (SiteStage::InForce, true));
    site.note_told();
    let (mut site, _) = start(&disk);
    assert!(!site.standing().is_new);
    // The same once more changes nothing, and an empty file takes all of it back.
    assert_eq!(take(&mut site, &signed(text, 7)).unwrap().stage, SiteStage::InForce);
    assert_eq!(take(&mut site, &signed("", 8)).unwrap().stage, SiteStage::NextStart);
    let (site, settings) = start(&disk);
    assert_eq!(language(settings), Some(Language::Swahili), "that of the card");
    assert_eq!(site.standing().file.as_ref().map(|file| file.counter), Some(8));
}

#[test]
fn what_is_not_signed_for_it_or_has_no_place_in_it_is_refused_and_changes_nothing() {
    let disk = Simulated::default();
    let (mut site, _) = start(&disk);
    take(&mut site, &signed(FRENCH, 7)).unwrap();
    let keys = list(1, &[10], &[]);
    let bare = ModelFile::new(Package { signature: None, list: Some(["l", "k"]), model: b"" }.to_bytes()).unwrap();
    let unsigned = {
        let list = Some(keys.each_ref().map(String::as_str));
        ModelFile::new(Package { signature: None, list, model: FRENCH.as_bytes() }.to_bytes()).unwrap()
    };
    let too_long = "#".repeat(MAX_SITE_BYTES + 1);
    for (file, expected) in [
        (bare, SiteRefusal::List),
        (unsigned, SiteRefusal::NotSigned),
        (signed_as(Kind::Site, FRENCH, 11, 8, false, Some(&keys)), SiteRefusal::KeyUnknown),
        (signed_as(Kind::Site, FRENCH, 1, 8, false, Some(&keys)), SiteRefusal::KeyUnknown),
        (signed_as(Kind::Model, FRENCH, 10, 8, false, Some(&keys)), SiteRefusal::OtherKind),
        (signed_as(Kind::Software, FRENCH, 10, 8, false, Some(&keys)), SiteRefusal::OtherKind),
        (signed_as(Kind::Image, FRENCH, 10, 8, false, Some(&keys)), SiteRefusal::OtherKind),
        (signed(PORTUGUESE, 7), SiteRefusal::Older),
        (signed(FRENCH, 6), SiteRefusal::Older),
        (signed(&too_long, 8), SiteRefusal::NotSettings),
        (signed("language", 8), SiteRefusal::NotSettings),
        (signed("language = \"xx\"", 8), SiteRefusal::NotSettings),
        // Nobody there could be reached from the port of this box, or nobody could send.
        (signed("peers = [\"10.0.0.1\"]", 8), SiteRefusal::Unfit),
        (signed("peers = []", 8), SiteRefusal::Unfit),
        (signed("aet = \"\"", 8), SiteRefusal::Unfit),
    ] {
        assert_eq!(refusal(&mut site, &file), Some(expected));
    }
    for (name, value) in [
        ("profile", "\"screening\""),
        ("port", "\"/dev/x\""),
        ("baud", "9600"),
        ("framebuffer", "\"/dev/fb0\""),
        ("model", "\"/boot/model.onnx\""),
        ("roots", "[]"),
        ("roots_needed", "1"),
        ("unsigned", "true"),
        ("keys", "false"),
        ("share", "\"open\""),
        ("stick", "true"),
        ("ethernet", "\"192.168.7.1/24\""),
        ("node_port", "104"),
        ("simulate", "true"),
        ("state_dir", "\"/tmp\""),
    ] {
        let text = format!("{FRENCH}{name} = {value}\n");
        assert_eq!(refusal(&mut site, &signed(&text, 8)), Some(SiteRefusal::NotSettings), "{name}");
    }
    assert_eq!(language(start(&disk).1), Some(Language::French));
}

#[test]
fn every_byte_counts() {
    let good = signed(FRENCH, 7);
    let text = &good.bytes[..good.bytes.len() - FRENCH.len()];
    // In a comment that nobody signs, a byte may be another.
    let is_free = |at: usize| {
        let line = text[..at.min(text.len())].iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
        // A part has its length before it.
        let begins = |start: usize| text[start..].starts_with(b"untrusted comment: ") && at >= start + 19;
        at < text.len() && text[at] != b'\n' && (begins(line) || begins(line + 4))
    };
    for at in (0..good.bytes.len()).filter(|&at| !is_free(at)) {
        let disk = Simulated::default();
        let mut bytes = good.bytes.clone();
        bytes[at] ^= 0x40;
        let altered = ModelFile::new(bytes).unwrap();
        assert!(refusal(&mut start(&disk).0, &altered).is_some(), "byte {at}");
        assert_eq!(start(&disk).1, None, "byte {at}");
    }
    assert!(is_one(&good.bytes) && !is_one(FRENCH.as_bytes()) && !is_one(b"") && !is_one(engine::DEFAULT_MODEL));
}

#[test]
fn a_key_of_the_clinic_is_offered_and_signs_settings_once_a_person_has_added_it() {
    let disk = Simulated::default();
    let (mut site, _) = start(&disk);
    let file = own(FRENCH, 20, 7);
    // Sent as often as anybody likes, it is an offer and nothing more.
    for _ in 0..3 {
        assert_eq!(take(&mut site, &file), Err(NotDone::Offered(Box::new(key(20).public()))));
    }
    assert_eq!(refusal(&mut start(&disk).0, &file), Some(SiteRefusal::KeyOffered));
    // What a person could not add, or what would be refused all the same, is not offered.
    let too_long = own(&"#".repeat(MAX_SITE_BYTES + 1), 20, 7);
    assert_eq!(refusal(&mut site, &too_long), Some(SiteRefusal::NotSettings));
    let unnamed = signed_as(Kind::Site, FRENCH, 20, 7, false, None);
    assert_eq!(refusal(&mut site, &unnamed), Some(SiteRefusal::KeyUnknown));
    let other_kind = signed_as(Kind::Software, FRENCH, 20, 7, true, None);
    assert_eq!(refusal(&mut site, &other_kind), Some(SiteRefusal::OtherKind));
    let mut impostor = Signature::of_file(Package::read(&file.bytes).unwrap().signature.unwrap()).unwrap();
    impostor.named = Some(SecretKey::of_seed(&[99; 32], KeyId([20; 8])).public());
    let text = impostor.to_file();
    let package = Package { signature: Some(&text), list: None, model: FRENCH.as_bytes() };
    let renamed = ModelFile::new(package.to_bytes()).unwrap();
    assert_eq!(refusal(&mut site, &renamed), Some(SiteRefusal::WrongSignature));
    // A person adds it.
    let standing = site.carry_out(&Ask::AddKey(key(20).public())).unwrap();
    assert_eq!((standing.keys, standing.stage), (vec![key(20).public()], SiteStage::Card));
    let standing = take(&mut site, &unnamed).unwrap();
    assert_eq!(standing.file.map(|file| (file.is_own, file.trust)), Some((true, Trust::Signed)));
    let (mut site, settings) = start(&disk);
    assert_eq!(language(settings), Some(Language::French));
    // It has no say in anything else.
    let model = signed_as(Kind::Model, FRENCH, 20, 9, true, None);
    assert_eq!(refusal(&mut site, &model), Some(SiteRefusal::OtherKind));
    assert!(!is_one(&model.bytes));
    // Counters rise, whichever key has signed.
    assert_eq!(refusal(&mut site, &signed(PORTUGUESE, 6)), Some(SiteRefusal::Older));
    assert_eq!(refusal(&mut site, &signed(PORTUGUESE, 8)), None);
    assert_eq!(refusal(&mut site, &file), Some(SiteRefusal::Older));
}

#[test]
fn there_are_a_few_keys_at_most_and_a_person_has_them_forgotten() {
    let disk = Simulated::default();
    let (mut site, _) = start(&disk);
    for n in 0..MAX_OWN_KEYS as u8 {
        site.carry_out(&Ask::AddKey(key(20 + n).public())).unwrap();
        site.carry_out(&Ask::AddKey(key(20 + n).public())).unwrap();
    }
    assert_eq!(site.standing().keys.len(), MAX_OWN_KEYS);
    let one_more = own(FRENCH, 40, 7);
    assert_eq!(refusal(&mut site, &one_more), Some(SiteRefusal::TooManyKeys));
    let added = site.carry_out(&Ask::AddKey(key(40).public()));
    assert_eq!(added, Err(NotDone::Refused(SiteRefusal::TooManyKeys)));
    take(&mut site, &own(FRENCH, 21, 7)).unwrap();
    let (mut site, settings) = start(&disk);
    assert_eq!((language(settings), site.standing().keys.len()), (Some(Language::French), MAX_OWN_KEYS));
    let left = site.carry_out(&Ask::Forget).unwrap();
    assert_eq!(left, Standing { stage: SiteStage::NextStart, is_new: true, ..Standing::default() });
    let (mut site, settings) = start(&disk);
    assert_eq!((settings, site.standing()), (None, &Standing::default()));
    assert_eq!(refusal(&mut site, &own(FRENCH, 21, 9)), Some(SiteRefusal::KeyOffered), "it is one as any other");
}

#[test]
fn in_safe_mode_nothing_of_it_is_used_and_a_person_can_still_have_it_forgotten() {
    let disk = Simulated::default();
    let aside = || {
        let mut site = unread(&disk);
        site.set_aside();
        site
    };
    assert_eq!(aside().standing(), &Standing::default());
    let (mut site, _) = start(&disk);
    site.carry_out(&Ask::AddKey(key(20).public())).unwrap();
    take(&mut site, &own(FRENCH, 20, 7)).unwrap();
    let mut site = aside();
    assert_eq!((site.standing().stage, site.standing().keys.len()), (SiteStage::NotUsed, 1));
    assert_eq!(language(start(&disk).1), Some(Language::French), "it is still there");
    assert_eq!(site.carry_out(&Ask::Forget), Ok(Standing::default()));
    assert_eq!(start(&disk).1, None);
}

#[test]
fn a_key_that_is_revoked_signs_nothing_and_what_it_has_signed_gives_way_at_the_next_start() {
    let disk = Simulated::default();
    let (mut site, _) = start(&disk);
    site.carry_out(&Ask::AddKey(key(20).public())).unwrap();
    take(&mut site, &own(FRENCH, 20, 7)).unwrap();
    // The roots revoke it: the list comes with settings that are refused for something else.
    let revoking = signed_as(Kind::Site, "language", 10, 8, false, Some(&list(2, &[10], &[20])));
    assert_eq!(refusal(&mut site, &revoking), Some(SiteRefusal::NotSettings));
    assert_eq!(refusal(&mut site, &own(FRENCH, 20, 9)), Some(SiteRefusal::KeyRevoked));
    let (site, settings) = start(&disk);
    assert_eq!((settings, site.standing().stage), (None, SiteStage::NotUsed));
    // The list counts for models, too, and one that came with a model counts here.
    let learnt: Vec<Known> = lists(&disk, FOLDER.as_ref()).collect();
    assert!(learnt.len() == 2 && learnt.iter().all(|known| known.list == Some(list(2, &[10], &[20]))));
    let disk = Simulated::default();
    let (mut site, _) = start(&disk);
    take(&mut site, &signed(FRENCH, 7)).unwrap();
    let known = Known { list: Some(list(3, &[11], &[10])), ..Known::default() };
    memory::write(&disk, "/data/models".as_ref(), &known).unwrap();
    assert_eq!(refusal(&mut site, &signed(FRENCH, 8)), Some(SiteRefusal::KeyRevoked));
    let (site, settings) = start(&disk);
    assert_eq!((settings, site.standing().stage), (None, SiteStage::NotUsed));
}

#[test]
fn one_copy_that_is_damaged_is_mended_and_without_any_the_card_counts() {
    let folder = tempfile::tempdir().unwrap();
    let disk = || -> Arc<dyn Disk> { Arc::new(crate::disk::Card) };
    let start = || {
        let gate = Gate::for_site(Some(Roots::new(vec![key(1).public()], 1).unwrap()), Version([0, 1, 0]));
        let sources = Flags::try_parse_from(["pumua-box", "--simulate", "--config", "/dev/null"]).unwrap();
        let sources = sources.sources(|_| None).unwrap();
        let with = Box::new(move |site: &SiteSettings| sources.with_site(site));
        let mut site = Site::new(disk(), folder.path().join(SITE), gate, with);
        let settings = site.load();
        (site, settings)
    };
    take(&mut start().0, &signed(FRENCH, 7)).unwrap();
    let copies = COPIES.names.map(|name| folder.path().join(SITE).join(name));
    for damaged in &copies {
        fs::write(damaged, "damaged").unwrap();
        let (mut site, settings) = start();
        assert_eq!(language(settings), Some(Language::French));
        assert_eq!(refusal(&mut site, &signed(PORTUGUESE, 6)), Some(SiteRefusal::Older));
        assert_eq!(fs::read(&copies[0]).unwrap(), fs::read(&copies[1]).unwrap());
    }
    // What cannot be read at a start, and then can, is not written over.
    let [here, elsewhere] = [SITE, "elsewhere"].map(|name| folder.path().join(name));
    start().0.carry_out(&Ask::AddKey(key(20).public())).unwrap();
    fs::rename(&here, &elsewhere).unwrap();
    let (mut site, settings) = start();
    assert_eq!((settings, site.standing()), (None, &Standing::default()));
    fs::rename(&elsewhere, &here).unwrap();
    assert_eq!(refusal(&mut site, &signed(PORTUGUESE, 6)), Some(SiteRefusal::Older));
    assert_eq!(take(&mut site, &signed(PORTUGUESE, 8)).unwrap().keys, [key(20).public()]);
    for damaged in &copies {
        fs::write(damaged, "damaged").unwrap();
    }
    let (mut site, settings) = start();
    assert_eq!((settings, site.standing().stage), (None, SiteStage::NotUsed));
    assert_eq!(refusal(&mut site, &signed(FRENCH, 8)), None);
    assert_eq!(language(start().1), Some(Language::French));
}

#[test]
fn the_longest_record_there_can_be_is_read_again() {
    let disk = Simulated::default();
    let file = ["\u{1}".repeat(MAX_SITE_BYTES), "\u{1}".repeat(trust::MAX_SIGNATURE_BYTES)];
    let keys = (0..MAX_OWN_KEYS as u8).map(|n| key(20 + n).public().to_string()).collect();
    let kept = Kept { serial: u64::MAX, known: memory::tests::longest(), keys, file: Some(file), told: false };
    COPIES.write(&disk, FOLDER.as_ref(), &kept).unwrap();
    assert!(COPIES.read(&disk, FOLDER.as_ref()) == [Some(kept.clone()), Some(kept)]);
}

#[test]
fn a_key_that_could_not_be_kept_does_not_come_back_with_what_is_kept_next() {
    for call in 0.. {
        let disk = Simulated::default();
        let (mut site, _) = start(&disk);
        disk.fail(call, Failure::Error(io::ErrorKind::StorageFull));
        // One of the copies may have it all the same.
        let is_added = site.carry_out(&Ask::AddKey(key(20).public())).is_ok();
        assert_eq!(is_added, disk.calls() <= call);
        disk.heal();
        let keys = take(&mut site, &signed(FRENCH, 7)).unwrap().keys.len();
        assert_eq!([keys, start(&disk).0.standing().keys.len()], [usize::from(is_added); 2], "failure at {call}");
        if is_added {
            assert!(call > 8, "both copies are written");
            break;
        }
    }
}

#[test]
fn neither_a_power_cut_nor_a_failing_disk_leaves_half_of_it_or_lets_a_box_go_back() {
    let [before, old, new] = [signed("", 6), signed(PORTUGUESE, 7), signed(FRENCH, 8)];
    let (mut cuts, mut seen) = (0, [0, 0]);
    for failure in [Failure::Power, Failure::Error(io::ErrorKind::StorageFull), Failure::Short, Failure::Lies] {
        for call in 0.. {
            let disk = Simulated::default();
            take(&mut start(&disk).0, &old).unwrap();
            let (mut site, _) = start(&disk);
            disk.chance(call as u64);
            disk.fail(call, failure);
            let told = take(&mut site, &new).is_ok();
            let done = disk.calls() <= call;
            for seed in 0..4 {
                disk.heal();
                disk.cut_power(&mut Random(seed + 100 * call as u64));
                cuts += 1;
                let (mut site, settings) = start(&disk);
                let (language, context) = (language(settings), format!("{failure:?} at {call}, cut {seed}"));
                let is_new = language == Some(Language::French);
                assert!(is_new || (!told && language == Some(Language::Portuguese)), "{context}: {language:?}");
                seen[usize::from(is_new)] += 1;
                assert_eq!(refusal(&mut site, &before), Some(SiteRefusal::Older), "{context}");
                if is_new {
                    assert_eq!(refusal(&mut site, &old), Some(SiteRefusal::Older), "{context}");
                }
            }
            if done {
                assert!(told);
                break;
            }
        }
    }
    println!("{cuts} losses of power: the old settings {}, the new ones {}", seen[0], seen[1]);
    assert!(seen.iter().all(|&count| count > 10), "{seen:?}");
}

#[test]
fn a_power_cut_while_a_key_is_added_or_all_is_forgotten_leaves_it_done_or_not() {
    for call in 0.. {
        let disk = Simulated::default();
        let (mut site, _) = start(&disk);
        disk.fail(call, Failure::Power);
        let told = site.carry_out(&Ask::AddKey(key(20).public())).is_ok();
        let done = disk.calls() <= call;
        disk.heal();
        disk.cut_power(&mut Random(call as u64));
        let (mut site, _) = start(&disk);
        let is_there = site.standing().keys == [key(20).public()];
        assert!(is_there || (!told && site.standing().keys.is_empty()), "cut at {call}");
        take(&mut site, &signed(FRENCH, 7)).unwrap();
        let (mut site, _) = start(&disk);
        disk.fail(call, Failure::Power);
        let told = site.carry_out(&Ask::Forget).is_ok();
        disk.heal();
        disk.cut_power(&mut Random(call as u64));
        let (mut site, settings) = start(&disk);
        assert!(settings.is_none() || !told, "cut at {call}");
        assert!(settings.is_none() == site.standing().keys.is_empty() || !is_there, "cut at {call}: both or neither");
        assert_eq!(refusal(&mut site, &signed(PORTUGUESE, 6)), Some(SiteRefusal::Older), "no counter falls");
        if done {
            assert!(told);
            break;
        }
    }
}
