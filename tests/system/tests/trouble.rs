//! Bad input and broken lines: a clear error, its exit code, and the box READY again.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::{
    ffi::OsStr,
    fs,
    io::{BufRead, BufReader},
    os::unix::{ffi::OsStrExt, fs::PermissionsExt},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use shared::verdict::ExamId;
use system_tests::{
    PATIENCE, PLAIN_MODEL, SimulatedBox, binary, code, command, host, instead, json_lines, line::Line, said,
    synthetic_radiographs, within,
};
use tempfile::TempDir;
use wire::{HostEvent, Image, Outcome};

const REFUSED: i32 = 3;
const UNREACHABLE: i32 = 4;
const BOX: i32 = 6;

/// A box at the end of a line of 115,200 bits a second.
const SLOWLY: [&str; 2] = ["--pace", "115200"];

/// Files that are not radiographs, with the code of their refusal.
fn bad_files(folder: &Path) -> Vec<(PathBuf, u16)> {
    let good = fs::read(&synthetic_radiographs(&folder.join("whole"), 1)[0]).unwrap();
    let gray = |side| image::DynamicImage::new_luma8(side, side);
    let encode = |image: image::DynamicImage, format| {
        let mut bytes = std::io::Cursor::new(Vec::new());
        image.write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    };
    let painting = image::RgbImage::from_fn(64, 64, |x, y| image::Rgb([4 * x as u8, 4 * y as u8, 0])).into();
    let jpeg = encode(gray(64), image::ImageFormat::Jpeg);
    let mut channels = encode(image::DynamicImage::new_rgb8(64, 64), image::ImageFormat::Jpeg);
    let frame = channels.windows(2).position(|w| w == [0xff, 0xc0]).unwrap();
    channels[frame + 9] = 4;
    let mut bomb = encode(gray(64), image::ImageFormat::Jpeg);
    let frame = bomb.windows(2).position(|w| w == [0xff, 0xc0]).unwrap();
    bomb[frame + 5..frame + 9].fill(0xff);
    [
        ("empty.png", vec![], 200),
        ("letter.jpeg", b"Dear colleague, please find attached".to_vec(), 201),
        ("animation.png", b"GIF89a\x01\0\x01\0\x80\0\0".to_vec(), 223),
        ("truncated.png", good[..good.len() / 2].to_vec(), 202),
        ("truncated.jpeg", jpeg[..jpeg.len() - 3].to_vec(), 202),
        ("bomb.jpeg", bomb, 204),
        ("pixel.png", encode(gray(1), image::ImageFormat::Png), 205),
        ("channels.jpeg", channels, 202),
        ("painting.png", encode(painting, image::ImageFormat::Png), 210),
        ("strip.png", encode(image::DynamicImage::new_luma8(300, 60), image::ImageFormat::Png), 211),
        ("blank.png", encode(gray(64), image::ImageFormat::Png), 212),
    ]
    .into_iter()
    .map(|(name, bytes, code)| {
        let path = folder.join(name);
        fs::write(&path, bytes).unwrap();
        (path, code)
    })
    .collect()
}

#[test]
fn bad_files_are_refused_with_their_code_and_the_good_one_among_them_is_judged() {
    let folder = TempDir::new().unwrap();
    let bad = bad_files(folder.path());
    let good = synthetic_radiographs(&folder.path().join("good"), 1);
    let device = SimulatedBox::start(&[]).unwrap();
    for flags in [&["--json"][..], &["--json", "--prepared"]] {
        let images = bad.iter().map(|(path, _)| path).chain(&good);
        let output = device.host("send", flags.iter().map(Path::new).chain(images.map(PathBuf::as_path)));
        assert_eq!(code(&output), REFUSED, "{}", said(&output));
        let lines = json_lines(&output);
        assert_eq!(lines.len(), bad.len() + 1, "{}", said(&output));
        for (line, (path, code)) in lines.iter().zip(&bad) {
            assert_eq!(line["path"], path.to_str().unwrap());
            assert_eq!((&line["verdict"], &line["code"]), (&"refused".into(), &(*code).into()), "{line}");
        }
        assert!(lines[bad.len()]["probability"].is_number(), "{}", lines[bad.len()]);
    }
    assert_eq!(device.records().len(), 2, "only verdicts are recorded");
    device.info().unwrap();
}

#[test]
fn predict_refuses_what_the_box_refuses() {
    let folder = TempDir::new().unwrap();
    for (path, refusal) in bad_files(folder.path()) {
        let output = host([Path::new("predict"), "--json".as_ref(), &path]);
        assert_eq!(code(&output), REFUSED, "{}", said(&output));
        assert_eq!(json_lines(&output)[0]["code"], refusal, "{}", said(&output));
    }
}

#[test]
fn folders_pipes_and_absent_files_are_named() {
    let folder = TempDir::new().unwrap();
    let device = SimulatedBox::start(&[]).unwrap();
    let pipe = folder.path().join("pipe.png");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for path in [folder.path().to_owned(), folder.path().join("absent.png"), pipe] {
        let output = device.host("send", [&path]);
        assert_ne!(code(&output), 0, "{}", said(&output));
        assert!(said(&output).contains(path.to_str().unwrap()), "{}", said(&output));
    }
    device.info().unwrap();
}

#[test]
fn a_file_above_the_limit_is_refused_without_being_read() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("huge.png");
    fs::File::create(&path).unwrap().set_len(1 << 40).unwrap();
    let device = SimulatedBox::start(&[]).unwrap();
    let output = device.host("send", [Path::new("--json"), &path]);
    assert_eq!((code(&output), &json_lines(&output)[0]["code"]), (REFUSED, &203.into()), "{}", said(&output));
    let output = host([Path::new("predict"), "--json".as_ref(), &path]);
    assert_eq!((code(&output), &json_lines(&output)[0]["code"]), (REFUSED, &203.into()), "{}", said(&output));
}

#[test]
fn an_absent_port_is_named_on_both_sides() {
    let folder = TempDir::new().unwrap();
    let output = command("pumua-box")
        .args(["--port", "/dev/does-not-exist", "--state-dir"])
        .arg(folder.path())
        .output()
        .unwrap();
    assert_eq!(code(&output), 4, "{}", said(&output));
    assert!(String::from_utf8_lossy(&output.stderr).contains("/dev/does-not-exist"), "{}", said(&output));
    // A port that is not named by the flag is waited for.
    let mut waiting = command("pumua-box");
    waiting.env("PUMUA_PORT", "/dev/does-not-exist,/dev/neither").arg("--state-dir").arg(folder.path());
    let mut waiting = waiting.stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(waiting.stderr.take().unwrap()).lines().map_while(Result::ok);
    let mut say = |words: &str| assert!(lines.any(|line| line.contains(words)), "never said `{words}`");
    say("there is no port /dev/does-not-exist");
    say("there is no port /dev/neither");
    say("waiting for a line");
    assert!(waiting.try_wait().unwrap().is_none(), "it continues");
    waiting.kill().unwrap();
    waiting.wait().unwrap();
    let output = host(["info", "--port", "/dev/does-not-exist"]);
    assert_eq!(code(&output), UNREACHABLE, "{}", said(&output));
    assert!(String::from_utf8_lossy(&output.stderr).contains("/dev/does-not-exist"), "{}", said(&output));
}

#[test]
fn a_second_host_is_told_and_does_not_disturb_the_first() {
    let folder = TempDir::new().unwrap();
    let image = &synthetic_radiographs(folder.path(), 1)[0];
    let device = SimulatedBox::start(&[]).unwrap();
    let mut first = Line::connect(&device.port).unwrap();
    let image = Image::file(fs::read(image).unwrap(), ExamId::default()).unwrap();
    let begun = first.send(image, |event| matches!(event, HostEvent::Sent { done: 1.., .. })).unwrap();
    assert_eq!(begun, None, "it has only begun");
    let second = device.host("info", ["--json"]);
    assert_eq!(code(&second), UNREACHABLE, "{}", said(&second));
    let answer = first.wait(PATIENCE).unwrap();
    assert!(matches!(answer, Some(Outcome::Result(_))), "{answer:?}");
}

#[test]
fn a_host_killed_in_mid_image_leaves_the_box_ready() {
    let folder = TempDir::new().unwrap();
    let device = SimulatedBox::start(&SLOWLY).unwrap();
    let mut send = device.command("send", [big_image(folder.path())]);
    send.stdout(Stdio::null()).stderr(Stdio::null());
    let mut first = device.spawn_until_midway(send).unwrap();
    first.kill().unwrap();
    first.wait().unwrap();
    assert!(within(PATIENCE, || device.info().is_ok()), "the box takes the next host");
    assert_eq!(device.records().len(), 0);
    let output = device.host("send", synthetic_radiographs(&folder.path().join("next"), 1));
    assert_eq!(code(&output), 0, "{}", said(&output));
}

#[test]
fn ctrl_c_in_mid_image_gives_it_up() {
    let folder = TempDir::new().unwrap();
    let device = SimulatedBox::start(&SLOWLY).unwrap();
    let mut send = device.command("send", [big_image(folder.path())]);
    send.stdout(Stdio::piped()).stderr(Stdio::piped());
    let sending = device.spawn_until_midway(send).unwrap();
    let killed = std::process::Command::new("kill").args(["-INT", &sending.id().to_string()]).status().unwrap();
    assert!(killed.success());
    let output = sending.wait_with_output().unwrap();
    assert_eq!(code(&output), 130, "{}", said(&output));
    assert_eq!(device.info().unwrap()["records"], 0, "the box is ready at once");
}

#[test]
fn a_box_unplugged_in_mid_image_is_unreachable() {
    let folder = TempDir::new().unwrap();
    let device = SimulatedBox::start(&SLOWLY).unwrap();
    let mut send = device.command("send", [big_image(folder.path())]);
    send.stdout(Stdio::piped()).stderr(Stdio::piped());
    let sending = device.spawn_until_midway(send).unwrap();
    device.cut_power();
    let output = sending.wait_with_output().unwrap();
    assert_eq!(code(&output), UNREACHABLE, "{}", said(&output));
}

#[test]
fn results_outlive_a_power_cut() {
    let folder = TempDir::new().unwrap();
    let images = synthetic_radiographs(&folder.path().join("images"), 3);
    let state = folder.path().join("state");
    fs::create_dir(&state).unwrap();
    let mut sent = Vec::new();
    for (i, image) in images.iter().enumerate() {
        let device = SimulatedBox::start_in(&state, &[]).unwrap();
        assert_eq!(device.info().unwrap()["boot"], i + 1);
        let output = device.host("send", [Path::new("--json"), image]);
        sent.push(json_lines(&output).remove(0)["image"].clone());
        device.cut_power();
    }
    let device = SimulatedBox::start_in(&state, &[]).unwrap();
    let kept: Vec<_> = device.records().into_iter().map(|record| record["image"].clone()).collect();
    assert_eq!(kept, sent);
}

#[test]
fn a_model_setting_that_cannot_be_read_does_not_give_way_to_the_default() {
    let folder = TempDir::new().unwrap();
    let mut device = command("pumua-box");
    device.args(["--simulate", "--state-dir"]).arg(folder.path()).env("PUMUA_MODEL", OsStr::from_bytes(b"/m\xff.onnx"));
    let output = device.output().unwrap();
    assert_eq!(code(&output), 2, "{}", said(&output));
    assert!(String::from_utf8_lossy(&output.stderr).contains("PUMUA_MODEL"), "{}", said(&output));
}

#[test]
fn a_full_disk_is_told_and_no_result_is_acknowledged_that_is_not_stored() {
    const BLOCKS: u32 = 256;
    let folder = TempDir::new().unwrap();
    let images = synthetic_radiographs(&folder.path().join("images"), 1);
    let state = folder.path().join("state");
    drop(SimulatedBox::start_in(&state, &[]).unwrap());
    // Starts of the box until there is room for another one, but not for a result.
    let journal = state.join("journal");
    let mut bytes = fs::read(&journal).unwrap();
    let (count, event) = (bytes[8..18].to_vec(), bytes.len() - 18);
    while bytes.len() + 2 * count.len() + event <= 512 * BLOCKS as usize {
        bytes.extend_from_slice(&count);
    }
    fs::write(&journal, bytes).unwrap();
    let device = SimulatedBox::start_cramped(&state, BLOCKS).unwrap();
    for _ in 0..2 {
        let output = device.host("send", [Path::new("--json"), &images[0]]);
        assert_eq!((code(&output), &json_lines(&output)[0]["code"]), (BOX, &303.into()), "{}", said(&output));
    }
    assert_eq!((device.records().len(), device.info().unwrap()["records"].clone()), (0, 0.into()));
    drop(device);
    let device = SimulatedBox::start_in(&state, &[]).unwrap();
    let output = device.host("send", [Path::new("--json"), &images[0]]);
    assert_eq!((code(&output), &json_lines(&output)[0]["record"]), (0, &1.into()), "{}", said(&output));
}

#[test]
fn storage_that_cannot_be_written_at_the_start_leaves_a_box_that_tells_its_results() {
    let folder = TempDir::new().unwrap();
    let images = synthetic_radiographs(&folder.path().join("images"), 1);
    let [state, screens] = ["state", "screens"].map(|name| folder.path().join(name));
    fs::create_dir(&screens).unwrap();
    let device = SimulatedBox::start_in(&state, &[]).unwrap();
    assert_eq!(code(&device.host("send", &images)), 0);
    let records = device.records();
    drop(device);
    let check = |device: &SimulatedBox| {
        let output = device.host("send", [Path::new("--json"), &images[0]]);
        assert_eq!((code(&output), &json_lines(&output)[0]["code"]), (BOX, &303.into()), "{}", said(&output));
        assert_eq!((device.records(), device.info().unwrap()["records"].clone()), (records.clone(), 1.into()));
    };
    match SimulatedBox::start_read_only(&state, &screens).unwrap() {
        Some(device) => check(&device),
        None => println!("left out: nothing can be mounted here"),
    }
    // Starts of the box until there is no room for another one.
    const BLOCKS: u32 = 256;
    let journal = state.join("journal");
    let mut bytes = fs::read(&journal).unwrap();
    let start = bytes[8..18].to_vec();
    while bytes.len() + start.len() <= 512 * BLOCKS as usize {
        bytes.extend_from_slice(&start);
    }
    fs::write(&journal, bytes).unwrap();
    check(&SimulatedBox::start_cramped(&state, BLOCKS).unwrap());
}

#[test]
fn in_safe_mode_a_box_hands_out_its_results_and_judges_nothing() {
    let folder = TempDir::new().unwrap();
    let state = folder.path().join("state");
    let image = synthetic_radiographs(folder.path(), 1).remove(0);
    let device = SimulatedBox::start_in(&state, &[]).unwrap();
    assert_eq!(code(&device.host("send", [&image])), 0);
    drop(device);
    // What a box may have failed over: the model that was installed, and that of the settings.
    fs::create_dir_all(state.join("models")).unwrap();
    fs::write(state.join("models/current.model"), "a model that kills").unwrap();
    let device = SimulatedBox::start_in(&state, &["--safe-mode"]).unwrap();
    assert_eq!(device.records().len(), 1);
    let info = device.info().unwrap();
    assert_eq!((&info["model"], &info["records"]), (&"none".into(), &1.into()), "{info}");
    let output = device.host("send", [OsStr::new("--json"), image.as_os_str()]);
    assert_eq!((code(&output), &json_lines(&output)[0]["code"]), (BOX, &305.into()), "{}", said(&output));
    let output = device.host("update", [PLAIN_MODEL]);
    assert_eq!(code(&output), BOX, "{}", said(&output));
    assert_eq!(fs::read(state.join("models/current.model")).unwrap(), b"a model that kills", "nothing is touched");
    assert_eq!(device.records().len(), 1);
}

#[test]
fn any_record_number_may_be_asked_for() {
    let folder = TempDir::new().unwrap();
    let device = SimulatedBox::start(&[]).unwrap();
    let output = device.host("send", synthetic_radiographs(folder.path(), 1));
    assert_eq!(code(&output), 0, "{}", said(&output));
    let output = device.host("results", ["--from", "18446744073709551615", "--json"]);
    assert_eq!((code(&output), output.stdout.len()), (0, 0), "{}", said(&output));
    assert_eq!(device.records().len(), 1);
}

#[test]
fn a_stderr_that_nobody_reads_costs_no_result() {
    let folder = TempDir::new().unwrap();
    let mut predict = command("pumua");
    predict.args(["predict", "--model", PLAIN_MODEL]).args(synthetic_radiographs(folder.path(), 2));
    let output = predict.stderr(fs::File::create("/dev/full").unwrap()).output().unwrap();
    assert_eq!(code(&output), 0, "{}", said(&output));
    assert_eq!(String::from_utf8_lossy(&output.stdout).lines().count(), 3);
}

#[test]
fn a_wrong_model_file_is_named_and_nothing_starts() {
    let folder = TempDir::new().unwrap();
    let model = folder.path().join("model.onnx");
    fs::write(&model, b"not a model").unwrap();
    let state = folder.path().join("state");
    let output = command("pumua-box")
        .args(["--simulate", "--state-dir"])
        .arg(state)
        .arg("--model")
        .arg(&model)
        .output()
        .unwrap();
    assert_eq!(code(&output), 3, "{}", said(&output));
    assert!(said(&output).contains(model.to_str().unwrap()), "{}", said(&output));
    for (command, rest) in
        [("predict", "x.png"), ("evaluate", "--data=x"), ("quantize", "--data=x"), ("image", "--packages=/dev/null/x")]
    {
        let model_option = if command == "quantize" { vec![] } else { vec![OsStr::new("--model")] };
        let arguments = [&[OsStr::new(command)][..], &model_option, &[model.as_os_str(), rest.as_ref()]].concat();
        let output = host(arguments);
        assert_eq!(code(&output), REFUSED, "{command}: {}", said(&output));
        assert!(said(&output).contains(model.to_str().unwrap()), "{}", said(&output));
    }
}

/// An image that takes a minute and a half on the line of [`SLOWLY`]: noise, which PNG cannot compress.
fn big_image(folder: &Path) -> PathBuf {
    let mut state = 1_u32;
    let noise = image::GrayImage::from_fn(1000, 1000, |_, _| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        image::Luma([(state >> 24) as u8])
    });
    let path = folder.join("noise.png");
    noise.save(&path).unwrap();
    path
}

#[test]
fn what_the_programs_write_is_their_owners_alone() {
    let folder = TempDir::new().unwrap();
    let state = folder.path().join("state");
    let device = SimulatedBox::start_open(&state).unwrap();
    let picture = folder.path().join("screen.png");
    let mut screenshot = Command::new("sh");
    screenshot.args(["-c", "umask 000; exec \"$0\" \"$@\""]).arg(binary("pumua")).arg("screenshot").arg(&picture);
    let output = screenshot.args(["--port", &device.port]).output().unwrap();
    assert_eq!(code(&output), 0, "{}", said(&output));
    for name in ["journal", "screen.png"] {
        assert_eq!(mode(&state.join(name)), 0o600, "{name}");
    }
    assert_eq!((mode(&state), mode(&picture)), (0o700, 0o600));
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_result_that_was_rewritten_on_the_card_is_told_by_the_box_and_by_the_host() {
    let folder = TempDir::new().unwrap();
    let state = folder.path().join("state");
    let images = synthetic_radiographs(&folder.path().join("images"), 2);
    let device = SimulatedBox::start_in(&state, &[]).unwrap();
    assert_eq!(code(&device.host("send", &images)), 0);
    let output = device.host("results", ["--events", "--json"]);
    assert_eq!(code(&output), 0, "{}", said(&output));
    let listed = json_lines(&output);
    let events: Vec<_> = listed.iter().filter_map(|line| line["event"].as_str()).collect();
    assert_eq!(events, ["started", "vouched", "clock-set"]);
    let info = device.info().unwrap();
    assert_eq!((&info["entries"], &info["broken"]), (&5.into(), &serde_json::Value::Null));
    let head = format!("5:{}", info["head"].as_str().unwrap());
    assert!(said(&output).contains(&head) && said(&output).contains("from entry 1 on"), "{}", said(&output));
    assert_eq!(code(&device.host("results", ["--head", &head])), 0);
    let other = format!("4:{}", "0".repeat(64));
    assert_eq!(code(&device.host("results", ["--head", &other])), 1);
    drop(device);

    // Another image for the first result, with the right checksum.
    let journal = state.join("journal");
    let mut bytes = fs::read(&journal).unwrap();
    let image = shared::verdict::Digest::of(&fs::read(&images[0]).unwrap());
    let at = bytes.windows(32).position(|window| window == image.0).unwrap();
    let start = (0..at).rev().find(|&start| length(&bytes[start..]).is_some_and(|end| start + end > at)).unwrap();
    let end = start + length(&bytes[start..]).unwrap();
    bytes[at] ^= 1;
    let crc = crc(&bytes[start..end]);
    bytes[end..end + 4].copy_from_slice(&crc.to_le_bytes());
    fs::write(&journal, bytes).unwrap();
    let device = SimulatedBox::start_in(&state, &[]).unwrap();
    assert!(device.info().unwrap()["broken"].is_u64());
    let output = device.host("results", ["--events"]);
    assert_eq!(code(&output), 1, "{}", said(&output));
    assert!(said(&output).contains("the chain of the journal is broken before entry"), "{}", said(&output));
    assert!(String::from_utf8_lossy(&output.stdout).contains("chain-broken"), "{}", said(&output));
}

/// Bytes of the entry at the start, without its checksum, if there is one.
fn length(bytes: &[u8]) -> Option<usize> {
    let payload = u32::from_le_bytes(bytes.get(..4)?.try_into().ok()?) as usize;
    let stored = bytes.get(4 + payload..8 + payload)?;
    (payload < 512 && stored == crc(&bytes[..4 + payload]).to_le_bytes()).then_some(4 + payload)
}

/// CRC-32 as in zlib.
fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
    })
}

#[test]
fn storage_that_vanishes_under_the_box_gives_no_result_and_no_number_twice() {
    let folder = TempDir::new().unwrap();
    let images = synthetic_radiographs(&folder.path().join("images"), 2);
    let (state, screens) = (folder.path().join("state"), folder.path().join("screens"));
    let screens = ["--screen-dir", screens.to_str().unwrap()];
    let device = SimulatedBox::start_in(&state, &screens).unwrap();
    let first = json_lines(&device.host("send", [Path::new("--json"), &images[0]]))[0].clone();
    assert_eq!(first["record"], 1, "{first}");
    fs::remove_dir_all(&state).unwrap();
    let output = device.host("send", [Path::new("--json"), &images[1]]);
    assert_eq!(code(&output), BOX, "{}", said(&output));
    assert_eq!(json_lines(&output)[0]["code"], 303, "{}", said(&output));
    assert_eq!(device.info().unwrap()["read_only"], true);
    assert_eq!(device.records().len(), 1, "what is in the box can be read until it is switched off");
    let update = device.host("update", [concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/pumua.onnx")]);
    assert_eq!(code(&update), BOX, "nobody could look up when: {}", said(&update));
    device.cut_power();
    let device = SimulatedBox::start_in(&state, &screens).unwrap();
    let next = json_lines(&device.host("send", [Path::new("--json"), &images[1]]))[0].clone();
    assert_eq!(next["record"], 2, "{next}");
    let numbers: Vec<_> = device.records().iter().map(|record| record["number"].clone()).collect();
    assert_eq!(numbers, [2]);
}

#[test]
fn a_clock_that_is_plainly_wrong_is_told_to_nobody() {
    let folder = TempDir::new().unwrap();
    let wrong = |seconds: u64| {
        format!(
            "#define _GNU_SOURCE\n#include <sys/syscall.h>\n#include <time.h>\n#include <unistd.h>\n\
             int clock_gettime(clockid_t clock, struct timespec *at) {{\n\
             int failed = syscall(SYS_clock_gettime, clock, at);\n\
             if (clock == CLOCK_REALTIME) at->tv_sec = {seconds}u;\nreturn failed;\n}}\n"
        )
    };
    let image = synthetic_radiographs(&folder.path().join("images"), 1).remove(0);
    let device = SimulatedBox::start(&[]).unwrap();
    for seconds in [12, 946_684_800, 4_102_444_800] {
        let Some(library) = instead(folder.path(), &wrong(seconds)) else { return };
        let output = device.command("send", [&image]).env("LD_PRELOAD", &library).output().unwrap();
        assert_eq!(code(&output), 0, "{}", said(&output));
        assert!(said(&output).contains("which cannot be right"), "{}", said(&output));
    }
    assert!(device.records().iter().all(|record| record["time"].is_null()), "{:?}", device.records());
    for (format, words) in [("--csv", "\n1,,"), ("--limit=9", "  time unknown  ")] {
        let output = device.host("results", [format]);
        assert!(String::from_utf8_lossy(&output.stdout).contains(words), "{}", said(&output));
    }
    // The right time is kept, whatever a host says that does not know it.
    assert_eq!(code(&device.host("send", [&image])), 0);
    let library = instead(folder.path(), &wrong(12)).unwrap();
    let output = device.command("send", [&image]).env("LD_PRELOAD", &library).output().unwrap();
    assert_eq!(code(&output), 0, "{}", said(&output));
    assert!(device.records()[3..].iter().all(|record| record["time"].is_string()), "{:?}", device.records());
}
