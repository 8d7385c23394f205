//! Every call to the disk failed in turn, and the power cut in the middle of an installation.

use std::fs;

use super::*;
use crate::disk::simulated::{Failure, Random, Simulated};

const FOLDER: &str = "/data/models";

fn file(n: u8) -> ModelFile {
    ModelFile::new(vec![n; 3000]).unwrap()
}

fn models(disk: &Simulated) -> Models {
    Models { current: true, ..Models::on(Arc::new(disk.clone()), PathBuf::from(FOLDER), None, Gate::open()) }
}

/// The models that are whole on the disk, the current one first.
fn whole(disk: &Simulated) -> Vec<Digest> {
    let read = |name| read(disk, &Path::new(FOLDER).join(name)).ok().flatten().map(|file| file.digest);
    [CURRENT, PREVIOUS].into_iter().filter_map(read).collect()
}

/// A disk on which two models were installed, one after the other.
fn with_two() -> Simulated {
    let disk = Simulated::default();
    for n in 0..2 {
        models(&disk).store(&file(n), &mut |_| Ok(())).unwrap();
    }
    disk
}

#[test]
fn every_call_that_fails_leaves_a_model_and_one_that_was_told_stays() {
    use io::ErrorKind::{Other, ReadOnlyFilesystem, StorageFull};
    let failures = [
        Failure::Error(StorageFull),
        Failure::Error(Other),
        Failure::Error(ReadOnlyFilesystem),
        Failure::Forever(StorageFull),
        Failure::Short,
        Failure::Lies,
    ];
    for failure in failures {
        for call in 0.. {
            let disk = with_two();
            disk.chance(call as u64);
            disk.fail(call, failure);
            let stored = models(&disk).store(&file(7), &mut |_| Ok(()));
            let done = disk.calls() <= call;
            let (old, new) = (file(1).digest, file(7).digest);
            for cut in 0..8 {
                disk.heal();
                if cut > 0 {
                    disk.cut_power(&mut Random(cut + 100 * call as u64));
                }
                let first = whole(&disk).first().copied();
                match stored {
                    Ok(()) => assert_eq!(first, Some(new), "{failure:?} at {call}, cut {cut}"),
                    Err(_) => assert!(first == Some(old) || first == Some(new), "{failure:?} at {call}, cut {cut}"),
                }
            }
            assert_eq!(models(&disk).store(&file(8), &mut |_| Ok(())).ok(), Some(()), "{failure:?} at {call}");
            assert_eq!(whole(&disk).first(), Some(&file(8).digest));
            if done {
                break;
            }
        }
    }
}

#[test]
fn no_call_that_fails_at_the_start_condemns_a_model() {
    use io::ErrorKind::{Other, ReadOnlyFilesystem};
    let real = |n: u8| ModelFile::new([engine::DEFAULT_MODEL, &[0x32, 1, b'a' + n]].concat()).unwrap();
    for failure in
        [Failure::Error(Other), Failure::Forever(ReadOnlyFilesystem), Failure::Short, Failure::Lies, Failure::Power]
    {
        for call in 0..20 {
            let disk = Simulated::default();
            (0..2).for_each(|n| models(&disk).store(&real(n), &mut |_| Ok(())).unwrap());
            disk.chance(call as u64);
            disk.fail(call, failure);
            let loaded = models(&disk).load().map(|model| model.digest());
            let installed = [0, 1].map(|n| real(n).digest);
            assert!(loaded.is_none_or(|digest| installed.contains(&digest)), "{failure:?} at {call}");
            disk.heal();
            disk.cut_power(&mut Random(call as u64));
            let next = models(&disk).load().map(|model| model.digest());
            assert_eq!(next, Some(real(1).digest), "{failure:?} at {call}");
        }
    }
}

#[test]
fn whatever_keeps_the_installed_model_from_judging_is_said() {
    let real = |n: u8| ModelFile::new([engine::DEFAULT_MODEL, &[0x32, 1, b'a' + n]].concat()).unwrap();
    let judge = |disk: &Simulated| {
        let mut models = Models::on(Arc::new(disk.clone()), PathBuf::from(FOLDER), None, Gate::open());
        let judges = models.load().map(|model| model.digest());
        (judges, models.fell_back())
    };
    let disk = Simulated::default();
    assert_eq!(judge(&disk), (None, false), "none is installed");
    (0..2).for_each(|n| models(&disk).store(&real(n), &mut |_| Ok(())).unwrap());
    assert_eq!(judge(&disk), (Some(real(1).digest), false));
    // It is damaged, and cannot be set aside, because nothing can be written.
    models(&disk).store(&ModelFile::new(b"no model".to_vec()).unwrap(), &mut |_| Ok(())).unwrap();
    disk.fail(0, Failure::Forever(io::ErrorKind::ReadOnlyFilesystem));
    assert_eq!(judge(&disk), (Some(real(1).digest), true));
    disk.heal();
    assert_eq!(judge(&disk), (Some(real(1).digest), true), "it is set aside");
    // It cannot be read.
    let folder = tempfile::tempdir().unwrap();
    let mut models = Models::new(folder.path().to_owned(), None, Gate::open());
    models.install(&real(0)).unwrap();
    fs::rename(folder.path().join(CURRENT), folder.path().join(PREVIOUS)).unwrap();
    fs::create_dir(folder.path().join(CURRENT)).unwrap();
    let mut models = Models::new(folder.path().to_owned(), None, Gate::open());
    assert_eq!(models.load().map(|model| model.digest()), Some(real(0).digest));
    assert!(models.fell_back() && !folder.path().join(rejected(CURRENT)).exists());
}

#[test]
fn a_loss_of_power_at_any_call_leaves_the_old_model_or_the_new_one() {
    let (mut cuts, mut seen) = (0, [0, 0]);
    for call in 0..16 {
        for seed in 0..64 {
            let disk = with_two();
            disk.fail(call, Failure::Power);
            let told = models(&disk).store(&file(7), &mut |_| Ok(())).is_ok();
            disk.cut_power(&mut Random(seed + 1000 * call as u64));
            cuts += 1;
            let first = whole(&disk).first().copied();
            assert!(first == Some(file(7).digest) || (!told && first == Some(file(1).digest)), "{call}, {seed}");
            seen[usize::from(first == Some(file(7).digest))] += 1;
        }
    }
    println!("{cuts} losses of power: the old model {}, the new one {}", seen[0], seen[1]);
    assert!(cuts >= 1000 && seen.iter().all(|&count| count > 50), "{seen:?}");
}
