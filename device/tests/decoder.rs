//! The decoder in its own process: that it gives what decoding here gives, and that nothing it may be made to do harms the
//! box. This program is also the decoder that goes wrong.
#![expect(clippy::unwrap_used, reason = "a test that cannot continue has failed")]

use std::{
    fs::{self, File},
    hint::black_box,
    io::{self, Cursor, Write},
    os::unix::{net::UnixDatagram, process::CommandExt},
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    thread,
    time::{Duration, Instant},
};

use device::{
    analysis::Unjudged,
    decoder::{self, Decoded, Decoder, Limits, child},
    screen::Preview,
};
use image::{DynamicImage, ImageFormat};
use rustix::process::{Pid, Signal, getppid, kill_process};
use shared::{
    contract::InputContract,
    verdict::{Fault, Refusal},
};

const CONTRACT: InputContract = InputContract::stretched(160);
/// Little, so that what uses it up is soon done; the decoder of the tests is a small program.
const LITTLE: Limits = Limits { memory: 512 << 20, processor: Duration::from_secs(1), ..Limits::BOX };
/// The argument that makes this program a decoder.
const AS_DECODER: &str = "as-decoder";

/// What a decoder may be made to do by a file that was made for it.
const EVIL: [(&str, Unjudged); 10] = [
    ("open", refused(Refusal::Corrupt)),
    ("write", refused(Refusal::Corrupt)),
    ("socket", refused(Refusal::Corrupt)),
    ("process", refused(Refusal::Corrupt)),
    ("exec", refused(Refusal::Corrupt)),
    ("kill", refused(Refusal::Corrupt)),
    ("sleep", refused(Refusal::Corrupt)),
    ("panic", refused(Refusal::Corrupt)),
    ("compute", refused(Refusal::TooMuchWork)),
    ("allocate", refused(Refusal::TooMuchWork)),
];

const fn refused(refusal: Refusal) -> Unjudged {
    Unjudged::Refused(refusal)
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() == Some(AS_DECODER) {
        let deed = arguments.next().unwrap();
        return child::serve(
            LITTLE,
            |file, contract| if deed == "good" { decoder::prepare(file, contract) } else { go_wrong(&deed) },
        );
    }
    every_format_comes_out_as_it_does_here();
    what_a_decoder_is_made_to_do_ends_it_and_not_the_box();
    programs_that_are_no_decoders_are_noticed();
    ExitCode::SUCCESS
}

/// An answer, so that a deed that succeeds is seen.
fn go_wrong(deed: &str) -> Result<Decoded, Refusal> {
    let done = match deed {
        "open" => File::open("/etc/passwd").is_ok(),
        "write" => fs::write("/tmp/escaped", "").is_ok(),
        "socket" => UnixDatagram::unbound().is_ok(),
        "process" => Command::new("/bin/true").spawn().is_ok(),
        "exec" => Command::new("/bin/true").exec().raw_os_error().is_none(),
        "kill" => kill_process(getppid().unwrap_or(Pid::INIT), Signal::TERM).is_ok(),
        "sleep" => {
            thread::sleep(Duration::from_secs(3600));
            true
        }
        "panic" => panic!("on purpose"),
        "compute" => (0_u64..).map(black_box).all(|n| n < u64::MAX),
        "allocate" => {
            let mut all = Vec::new();
            loop {
                all.push(black_box(vec![1_u8; 1 << 20]));
            }
        }
        _ => unreachable!("a deed of the list"),
    };
    if !done {
        // Held back by a limit alone.
        return Err(Refusal::Blank);
    }
    let preview = Preview { width: 32, height: 32, pixels: vec![0; 1024].into(), judged: None };
    Ok(Decoded { input: vec![0; CONTRACT.len()], preview, age: None })
}

fn as_decoder(deed: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([AS_DECODER, deed]);
    command
}

fn shell(script: &str) -> Command {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", script]);
    command
}

/// An X-ray, as far as a decoder cares.
fn drawing(format: ImageFormat, kind: fn(DynamicImage) -> DynamicImage) -> Vec<u8> {
    let grey = image::GrayImage::from_fn(900, 700, |x, y| image::Luma([(x / 5 + y / 7) as u8]));
    let mut bytes = Cursor::new(Vec::new());
    kind(grey.into()).write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// The images of a folder, if it is there.
fn in_folder(folder: PathBuf) -> Vec<Vec<u8>> {
    let is_image = |path: &PathBuf| {
        path.extension().is_some_and(|e| ["dcm", "jpg", "jpeg", "png", "webp"].iter().any(|known| e == *known))
    };
    let paths = fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path());
    paths.filter(is_image).map(|path| fs::read(path).unwrap()).collect()
}

fn files() -> Vec<Vec<u8>> {
    let [drawn, dicom] =
        ["drawn", "dicom"].map(|name| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/decode/tests").join(name));
    let real = std::env::var_os("PUMUA_TEST_DATA").map(PathBuf::from);
    let real = real.unwrap_or(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data")).join("originals");
    let from_disk = [drawn, dicom, real.join("NORMAL"), real.join("PNEUMONIA")].into_iter().flat_map(in_folder);
    let (png, jpeg) = (ImageFormat::Png, ImageFormat::Jpeg);
    let made = [
        drawing(png, |image| image),
        drawing(png, |image| image.to_luma16().into()),
        drawing(png, |image| image.to_rgb8().into()),
        drawing(png, |image| image.to_rgba16().into()),
        drawing(jpeg, |image| image),
        drawing(jpeg, |image| image.to_rgb8().into()),
        // What is refused.
        drawing(png, |image| image.crop_imm(0, 0, 20, 20)),
        drawing(png, |image| image.crop_imm(0, 0, 700, 50)),
        b"GIF89a".to_vec(),
        Vec::new(),
    ];
    let cut = drawing(jpeg, |image| image);
    made.into_iter().chain([cut[..cut.len() / 2].to_vec()]).chain(from_disk).collect()
}

fn every_format_comes_out_as_it_does_here() {
    let files = files();
    let mut decoder = Decoder::new(|| as_decoder("good"), LITTLE);
    let start = Instant::now();
    let there: Vec<_> = files.iter().map(|file| decoder.decode(file, &CONTRACT)).collect();
    let (apart, start) = (start.elapsed(), Instant::now());
    let here: Vec<_> = files.iter().map(|file| decoder::prepare(file, &CONTRACT).map_err(Unjudged::Refused)).collect();
    let together = start.elapsed();
    for (number, (there, here)) in there.iter().zip(&here).enumerate() {
        assert!(there == here, "file {number}: {:?} and {:?}", there.as_ref().err(), here.as_ref().err());
    }
    assert!(here.iter().filter(|made| made.is_ok()).count() >= 20);
    let each = |time: Duration| time.as_secs_f64() * 1e3 / files.len() as f64;
    let (apart, together) = (each(apart), each(together));
    let _ = writeln!(
        io::stderr(),
        "{} files: {apart:.2} ms each in a process of its own, {together:.2} ms here",
        files.len()
    );
}

fn what_a_decoder_is_made_to_do_ends_it_and_not_the_box() {
    if !fs::read_to_string("/proc/self/status").unwrap_or_default().contains("Seccomp:") {
        let _ = writeln!(io::stderr(), "skipped: this kernel has no filter of system calls");
        return;
    }
    let file = drawing(ImageFormat::Png, |image| image);
    for (deed, expected) in EVIL {
        let start = Instant::now();
        let outcome = Decoder::new(|| as_decoder(deed), LITTLE).decode(&file, &CONTRACT);
        assert_eq!(outcome.err(), Some(expected), "{deed}");
        assert!(start.elapsed() < Duration::from_secs(30), "{deed}");
    }
    assert!(!Path::new("/tmp/escaped").exists());
}

fn programs_that_are_no_decoders_are_noticed() {
    let file = vec![0x5a; 8 << 20];
    let short = Limits { patience: Duration::from_millis(500), ..LITTLE };
    for (script, limits, expected) in [
        ("cat >/dev/null; echo nonsense", LITTLE, refused(Refusal::Corrupt)),
        ("cat >/dev/null", LITTLE, refused(Refusal::Corrupt)),
        ("exit 0", LITTLE, refused(Refusal::Corrupt)),
        ("exec cat /dev/zero", LITTLE, refused(Refusal::Corrupt)),
        ("kill -SEGV $$", LITTLE, refused(Refusal::Corrupt)),
        ("exec sleep 3600", short, refused(Refusal::TooMuchWork)),
        ("exec 1>&-; exec sleep 3600", LITTLE, refused(Refusal::TooMuchWork)),
        ("exit 3", LITTLE, Unjudged::Failed(Fault::Internal)),
    ] {
        let outcome = Decoder::new(|| shell(script), limits).decode(&file, &CONTRACT);
        assert_eq!(outcome.err(), Some(expected), "{script}");
    }
    let outcome = Decoder::new(|| Command::new("/nowhere/program"), LITTLE).decode(&file, &CONTRACT);
    assert_eq!(outcome.err(), Some(Unjudged::Failed(Fault::Internal)));
}
