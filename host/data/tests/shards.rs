//! Shards that several processes make at once.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::{
    env, fs,
    path::Path,
    process::{Child, Command, Stdio},
    thread::sleep,
    time::Duration,
};

use data::{DataError, Inputs};
use shared::contract::InputContract;

const CONTRACT: InputContract = InputContract::stretched(16);

/// As many as a shard holds, and a few more.
const COUNT: usize = (64 << 20) / (16 * 16) + 5;

/// Tells a process of a test its folder.
const FOLDER: &str = "FOLDER_OF_SHARDS";

const NAME: &str = "processes_that_make_the_same_shards_do_not_harm_each_other_even_if_one_is_killed";

fn made(folder: &Path, make: impl Fn(usize, &mut [u8]) + Sync) -> Inputs {
    Inputs::made(CONTRACT, COUNT, "numbers", folder, 0, make).unwrap()
}

fn fill(number: usize, input: &mut [u8]) {
    input.fill((number % 251) as u8);
}

fn spawn(folder: &Path) -> Child {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args([NAME, "--exact"]).env(FOLDER, folder).stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap()
}

#[test]
fn processes_that_make_the_same_shards_do_not_harm_each_other_even_if_one_is_killed() {
    if let Some(folder) = env::var_os(FOLDER) {
        made(Path::new(&folder), fill);
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut others = [(); 2].map(|()| spawn(folder.path()));
    let mut killed = spawn(folder.path());
    // Until it is in the middle of its work, or has done it.
    while fs::read_dir(folder.path()).unwrap().next().is_none() && killed.try_wait().unwrap().is_none() {
        sleep(Duration::from_millis(1));
    }
    let _ = killed.kill();
    killed.wait().unwrap();
    let inputs = made(folder.path(), fill);
    for other in &mut others {
        assert!(other.wait().unwrap().success());
    }
    let found = made(folder.path(), |_, _| panic!("all shards are there"));
    assert_eq!((inputs.len(), found.len()), (COUNT, COUNT));
    for number in [0, 1, COUNT / 2, COUNT - 6, COUNT - 5, COUNT - 1] {
        let expected = vec![(number % 251) as u8; CONTRACT.len()];
        assert_eq!(
            [&inputs, &found].map(|inputs| inputs.of(number).unwrap().into_owned()),
            [(); 2].map(|()| expected.clone())
        );
    }
    let names = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let (shards, drafts): (Vec<String>, Vec<String>) = names.partition(|name| name.starts_with("decoded-"));
    assert_eq!(shards.len(), 2);
    assert!(drafts.len() <= 1, "more than what the killed one may leave: {drafts:?}");
}

#[test]
fn files_are_held_open_as_far_as_the_system_permits() {
    const NAME: &str = "files_are_held_open_as_far_as_the_system_permits";
    const LIMITED: &str = "FILES_ARE_LIMITED";
    if let Some(folder) = env::var_os(FOLDER) {
        let made = Inputs::made(CONTRACT, 5, "few", Path::new(&folder), 0, fill);
        match env::var_os(LIMITED) {
            Some(_) => assert!(matches!(made, Err(DataError::TooManyOpen)), "{made:?}"),
            None => assert_eq!(made.unwrap().len(), 5),
        }
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let run = |limit: &str| {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("ulimit {limit} 200 && exec \"$0\" {NAME} --exact")]);
        command.arg(env::current_exe().unwrap()).env(FOLDER, folder.path());
        command
    };
    // Made, then found; the limit that a program begins with is not the one that it may have.
    for _ in 0..2 {
        assert!(run("-Sn").status().unwrap().success());
    }
    // Found, then made.
    assert!(run("-n").env(LIMITED, "").status().unwrap().success());
    fs::remove_dir_all(folder.path()).unwrap();
    assert!(run("-n").env(LIMITED, "").status().unwrap().success());
}
