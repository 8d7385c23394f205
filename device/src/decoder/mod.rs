//! Decoding a received file in a process of its own, which has no rights.
//!
//! Decoders read what anybody may have written. So the program starts itself once more for each file, with [`WORD`] as its
//! only argument. That process gives up everything but reading its input, writing its answer, memory and threads, within
//! [`Limits`] ([`child`]); only then does it read the file, decode it and prepare it for the model. The answer is a few hundred
//! kilobytes, whatever the size of the picture: the picture itself never reaches the box. What comes back is checked as the
//! input of any host is, and the process ends.
//!
//! Whatever happens to it, the box continues and gives no answer to the image:
//!
//! | How the process ends | What the box says |
//! |---|---|
//! | with an answer | the answer |
//! | at its limit of processor time, or without an answer in time | [`Refusal::TooMuchWork`] |
//! | without memory (Rust aborts) | [`Refusal::TooMuchWork`] |
//! | in any other way: a panic, a crash, a forbidden system call, nonsense | [`Refusal::Corrupt`] |
//! | it cannot be started or confined | [`Fault::Internal`] |

pub mod child;

use std::{
    io::{self, Read, Write},
    os::{fd::AsFd, unix::process::ExitStatusExt},
    process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use engine::judge::Prepared;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{OFlags, fcntl_getfl, fcntl_setfl},
    io::Errno,
};
use serde::{Deserialize, Serialize};
use shared::{
    age::Age,
    contract::InputContract,
    limits::{MAX_DECODED_BYTES, MAX_DECODER_BYTES, MAX_IMAGE_BYTES, MAX_PREVIEW_SIDE, MODEL_SIDE},
    preprocess::{Channels, Picture, Samples, Window},
    verdict::{Fault, Refusal},
};

use crate::{analysis::Unjudged, screen::Preview};

/// The argument that makes the program a decoder. It is not a flag: nobody types it.
pub const WORD: &str = "decode-an-image";

/// Exit code of a process that could not give up its rights, and has read nothing.
const UNCONFINED: u8 = 3;
/// Most bytes of an answer: the pixels of the largest model and preview, and what describes them.
const MOST_ANSWER: usize = {
    let (input, preview) = (*MODEL_SIDE.end() as usize, MAX_PREVIEW_SIDE as usize);
    input * input + preview * preview + 64
};
/// Bytes that are read at once.
const CHUNK: usize = 64 << 10;

/// What decoding may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of address space, the program among them.
    pub memory: u64,
    /// Processor time, in whole seconds.
    pub processor: Duration,
    /// Time from the start to the answer.
    pub patience: Duration,
}

impl Limits {
    /// Those of the box: the memory that [`shared::limits`] allow, with the file and as much again as the program takes;
    /// and less time than a host waits.
    pub const BOX: Self = Self {
        memory: MAX_DECODED_BYTES + MAX_DECODER_BYTES + MAX_IMAGE_BYTES as u64 + (64 << 20),
        processor: Duration::from_secs(40),
        patience: Duration::from_secs(50),
    };
}

/// A file in the form that a model asks for, with a small picture for the eye.
#[derive(Debug, Clone, PartialEq)]
pub struct Decoded {
    /// `contract.len()` pixels.
    pub input: Vec<u8>,
    /// The picture for the screen.
    pub preview: Preview,
    /// Age of the patient, if the file says it.
    pub age: Option<Age>,
}

/// Decodes a file and prepares it for a contract.
pub type Decode = Box<dyn FnMut(&[u8], &InputContract) -> Result<Decoded, Unjudged> + Send>;

/// Decodes a file in this process and prepares it: what the other process does.
pub fn prepare(file: &[u8], contract: &InputContract) -> Result<Decoded, Refusal> {
    let radiograph = decode::decode(file)?;
    let picture = radiograph.picture();
    let prepared = Prepared::of(&picture, contract)?;
    let (pixels, width, height) = picture.preview(MAX_PREVIEW_SIDE);
    let preview = Preview { width, height, pixels: pixels.into(), judged: prepared.window() };
    Ok(Decoded { input: prepared.pixels().to_vec(), preview, age: radiograph.facts().age })
}

/// What precedes the bytes of a file on their way to the other process.
#[derive(Debug, Serialize, Deserialize)]
struct Order {
    contract: InputContract,
    length: u32,
}

/// What comes back.
#[derive(Debug, Serialize, Deserialize)]
struct Answer<'a> {
    /// Whether the kernel lets the process do nothing else.
    filtered: bool,
    #[serde(borrow)]
    outcome: Result<Pixels<'a>, Refusal>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Pixels<'a> {
    input: &'a [u8],
    width: u16,
    height: u16,
    preview: &'a [u8],
    window: Option<Window>,
    age: Option<Age>,
}

/// Starts a process for each file.
#[derive(Debug)]
pub struct Decoder<C> {
    command: C,
    limits: Limits,
    /// Whether it was said that the kernel does not confine them wholly.
    told: bool,
}

impl<C: FnMut() -> Command> Decoder<C> {
    /// Processes are started by `command`, which need not care for their input and output. They must call
    /// [`child::serve`].
    pub fn new(command: C, limits: Limits) -> Self {
        Self { command, limits, told: false }
    }

    /// Has a file decoded.
    pub fn decode(&mut self, file: &[u8], contract: &InputContract) -> Result<Decoded, Unjudged> {
        let failed = |error: io::Error| {
            crate::say(format_args!("an image cannot be decoded: {error}"));
            Unjudged::Failed(Fault::Internal)
        };
        let end = self.converse(file, contract).map_err(failed)?;
        let answer = match end {
            End::Answer(answer) => answer,
            End::Refused(refusal, why) => {
                crate::say(format_args!("an image is refused: its decoder {why}"));
                return Err(refusal.into());
            }
            End::Unconfined => return Err(failed(io::Error::other("its decoder cannot give up its rights"))),
        };
        let checked = read(&answer, contract).map_err(|nonsense| {
            crate::say(format_args!("an image is refused: its decoder gave {nonsense}"));
            Unjudged::Refused(Refusal::Corrupt)
        })?;
        if !checked.filtered && !self.told {
            self.told = true;
            crate::say(format_args!(
                "this kernel has no filter of system calls: decoders are held to their memory and time, and no more"
            ));
        }
        Ok(checked.outcome?)
    }

    fn converse(&mut self, file: &[u8], contract: &InputContract) -> io::Result<End> {
        let length = file.len() as u32;
        let header =
            postcard::to_extend(&Order { contract: *contract, length }, Vec::new()).map_err(io::Error::other)?;
        let mut command = (self.command)();
        // Memory that is given back goes back at once, so that the limit counts what is in use.
        command.env_clear().env("MALLOC_MMAP_THRESHOLD_", "65536").env("MALLOC_ARENA_MAX", "1").current_dir("/");
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let until = Instant::now() + self.limits.patience;
        let answer = match (process.stdin.take(), process.stdout.take()) {
            (Some(stdin), Some(stdout)) => {
                let prefix = [&[header.len() as u8], header.as_slice()].concat();
                exchange(stdin, stdout, &[&prefix, file], until)
            }
            _ => Err(io::ErrorKind::BrokenPipe.into()),
        };
        // It has nothing left to do. One that has ended already keeps its exit status.
        let status = end(&mut process)?;
        Ok(outcome(answer?, status))
    }
}

fn end(process: &mut Child) -> io::Result<ExitStatus> {
    process.kill()?;
    process.wait()
}

/// How a process has ended.
enum End {
    Answer(Vec<u8>),
    Refused(Refusal, String),
    Unconfined,
}

fn outcome(heard: Heard, status: ExitStatus) -> End {
    // The numbers are the same on all kinds of processors that Linux runs on but MIPS.
    const SIGABRT: i32 = 6;
    const SIGKILL: i32 = 9;
    const SIGXCPU: i32 = 24;
    match (heard, status.code(), status.signal()) {
        (Heard::All(answer), Some(0), _) => End::Answer(answer),
        (Heard::TooLate, ..) => End::Refused(Refusal::TooMuchWork, "took too long".to_owned()),
        (Heard::TooMuch, ..) => End::Refused(Refusal::Corrupt, "answered without end".to_owned()),
        (_, _, Some(SIGXCPU | SIGKILL)) => End::Refused(Refusal::TooMuchWork, "has used up its time".to_owned()),
        (_, _, Some(SIGABRT)) => End::Refused(Refusal::TooMuchWork, "has used up its memory".to_owned()),
        (_, Some(code), _) if code == i32::from(UNCONFINED) => End::Unconfined,
        _ => End::Refused(Refusal::Corrupt, format!("has failed ({status})")),
    }
}

/// What was heard of a process.
enum Heard {
    /// All that it said.
    All(Vec<u8>),
    /// More than any answer has.
    TooMuch,
    /// No end of it in time.
    TooLate,
}

/// Gives a process its input and takes its output, both as far as it goes along, until it closes its output.
fn exchange(stdin: ChildStdin, mut stdout: ChildStdout, parts: &[&[u8]], until: Instant) -> io::Result<Heard> {
    for end in [stdin.as_fd(), stdout.as_fd()] {
        fcntl_setfl(end, fcntl_getfl(end)? | OFlags::NONBLOCK)?;
    }
    let mut stdin = Some(stdin);
    let mut parts = parts.iter().copied().filter(|part| !part.is_empty()).peekable();
    let mut rest = parts.next().unwrap_or_default();
    let (mut answer, mut chunk) = (Vec::new(), vec![0; CHUNK]);
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(Heard::TooLate);
        }
        let timeout = Timespec { tv_sec: left.as_secs().cast_signed(), tv_nsec: left.subsec_nanos().into() };
        let mut ends = vec![PollFd::new(&stdout, PollFlags::IN)];
        ends.extend(stdin.as_ref().map(|stdin| PollFd::new(stdin, PollFlags::OUT)));
        match poll(&mut ends, Some(&timeout)) {
            Err(Errno::INTR) => continue,
            polled => polled?,
        };
        let ready: Vec<bool> = ends.iter().map(|end| !end.revents().is_empty()).collect();
        if let (Some(pipe), Some(true)) = (&mut stdin, ready.get(1)) {
            match pipe.write(rest) {
                Ok(written) => rest = &rest[written..],
                Err(error) if is_passing(&error) => {}
                // It reads no further; how it ends says why.
                Err(_) => stdin = None,
            }
            if rest.is_empty() {
                rest = parts.next().unwrap_or_default();
                if rest.is_empty() {
                    stdin = None;
                }
            }
        }
        if ready.first() == Some(&true) {
            match stdout.read(&mut chunk) {
                Ok(0) => return Ok(Heard::All(answer)),
                Ok(count) if answer.len() + count > MOST_ANSWER => return Ok(Heard::TooMuch),
                Ok(count) => answer.extend_from_slice(&chunk[..count]),
                Err(error) if is_passing(&error) => {}
                Err(error) => return Err(error),
            }
        }
    }
}

fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

/// An answer that is one.
struct Checked {
    filtered: bool,
    outcome: Result<Decoded, Refusal>,
}

/// Reads an answer as anything from outside: lengths and sizes must be those that were asked for, and both pictures must
/// show the same.
fn read(answer: &[u8], contract: &InputContract) -> Result<Checked, &'static str> {
    let Ok((Answer { filtered, outcome }, [])) = postcard::take_from_bytes(answer) else { return Err("no answer") };
    let Pixels { input, width, height, preview, window, age } = match outcome {
        Ok(pixels) => pixels,
        Err(refusal) => return Ok(Checked { filtered, outcome: Err(refusal) }),
    };
    let longest = 1..=MAX_PREVIEW_SIDE;
    let shape = longest.contains(&width) && longest.contains(&height);
    let whole = Window::whole(width.into(), height.into());
    if !window.is_none_or(|window| window.fits()) {
        return Err("a window outside of its picture");
    }
    if input.len() != contract.len() || !shape || preview.len() != usize::from(width) * usize::from(height) {
        return Err("pixels of another size");
    }
    let shown = Picture::new(Samples::U8(preview), Channels::Grey, width.into(), height.into(), width.into());
    let shown = shown.map_err(|_| "a preview that is none")?;
    match Prepared::received(input, contract, contract, &shown, &window.unwrap_or(whole)) {
        Ok(_) => {}
        Err(Refusal::ContractMismatch | Refusal::PreviewMismatch) => return Err("two pictures that differ"),
        // In the preview the sides of the window are rounded: it may be as narrow as the picture's is not quite.
        Err(refusal) => return Ok(Checked { filtered, outcome: Err(refusal) }),
    }
    let preview = Preview { width, height, pixels: preview.into(), judged: window };
    Ok(Checked { filtered, outcome: Ok(Decoded { input: input.to_vec(), preview, age }) })
}

#[cfg(test)]
mod tests {
    use shared::contract::Fit;

    use super::*;

    const CONTRACT: InputContract = InputContract::stretched(16);

    fn answer(pixels: Pixels<'_>) -> Vec<u8> {
        postcard::to_extend(&Answer { filtered: true, outcome: Ok(pixels) }, Vec::new()).unwrap()
    }

    #[test]
    fn an_answer_is_held_to_what_was_asked() {
        // Bright above, dark below.
        let pixels =
            |side: usize| -> Vec<u8> { (0..side * side).map(|i| if i < side * side / 2 { 200 } else { 50 }).collect() };
        let (input, preview) = (pixels(16), pixels(64));
        let good = Pixels { input: &input, width: 64, height: 64, preview: &preview, window: None, age: None };
        let bytes = answer(good);
        assert_eq!(read(&bytes, &CONTRACT).unwrap().outcome.unwrap().input, input);
        assert!(read(&bytes[..bytes.len() - 1], &CONTRACT).is_err(), "cut");
        assert!(read(&[&bytes[..], b"x"].concat(), &CONTRACT).is_err(), "something behind it");
        assert!(read(b"", &CONTRACT).is_err());
        assert!(read(&bytes, &InputContract::stretched(17)).is_err(), "of another model");
        let reversed: Vec<u8> = preview.iter().rev().copied().collect();
        let outside = Window { left: 1, ..Window::whole(64, 64) };
        for wrong in [
            Pixels { input: &input[1..], width: 64, height: 64, preview: &preview, window: None, age: None },
            Pixels { input: &input, width: 64, height: 63, preview: &preview, window: None, age: None },
            Pixels { input: &input, width: 0, height: 64, preview: b"", window: None, age: None },
            Pixels { input: &input, width: 4096, height: 1, preview: &preview, window: None, age: None },
            Pixels { input: &input, width: 64, height: 64, preview: &reversed, window: None, age: None },
            Pixels { input: &input, width: 64, height: 64, preview: &preview, window: Some(outside), age: None },
        ] {
            let shape = (wrong.width, wrong.height);
            assert!(read(&answer(wrong), &CONTRACT).is_err(), "{shape:?}");
        }
    }

    #[test]
    fn a_window_that_is_too_narrow_in_the_preview_alone_is_refused_as_such() {
        let contract = InputContract { fit: Fit::Unframed, ..CONTRACT };
        // Four times as wide as high; of the preview's pixels it has 198 by 49.
        let window = Window { left: 0, top: 0, width: 4000, height: 1000, of: [5000, 3000] };
        let (input, preview) = ([90; 256], vec![90; 247 * 148]);
        let narrow =
            Pixels { input: &input, width: 247, height: 148, preview: &preview, window: Some(window), age: None };
        assert_eq!(read(&answer(narrow), &contract).unwrap().outcome, Err(Refusal::Elongated));
    }
}
