//! `pumua flash`: writes an image of the box to a memory card and reads it back.

use std::{
    cell::RefCell,
    io::{self, BufRead, IsTerminal, Write},
    ops::ControlFlow,
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::{Context, anyhow};
use base::{
    Shown, calendar,
    files::{OutputFile, OutputFolder},
    interrupt,
};
use clap::ValueEnum;
use indicatif::{DecimalBytes, ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use setup::{
    checksum,
    flash::{Access, Danger, Disk, Expected, FlashError, Image, Part, Results, Saved, Stage, System, Target, flash},
    signed_image::{BesideImage, ImageRefused},
};
use shared::verdict::{Digest, Trust};
use trust::{CheckedImage, Refused, Statement, Version};

use super::{keys, quoted, started_as};
use crate::{
    exit::{Exit, Failure, WithExit},
    output,
};

/// Options of `pumua flash`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Beside an image lie its signature, IMAGE.minisig, and the list of the keys that may sign, keys.txt, with its own. An \
    image with a signature that is not good is never written. One without a signature, or with that of the test key, is, unless \
    --signed-only or --root is given."
)]
pub struct Options {
    /// Image of a memory card as `pumua image` makes it, as it is or compressed with gzip
    image: Option<PathBuf>,
    /// The whole disk to write to, such as /dev/sdb or /dev/mmcblk0; all that it holds is lost. Without it the removable
    /// media are listed
    device: Option<OutputFile>,
    /// Do not ask for the name of the device again
    #[arg(long)]
    yes: bool,
    /// Overwrite the device in spite of a danger; may be given several times
    #[arg(long, value_name = "DANGER", value_enum)]
    allow: Vec<Allow>,
    /// Keep the results of the box that the card was for, and the models that were sent to it: they are copied into a file before
    /// anything is written, and onto the new card in the end. Its settings are those of the image
    #[arg(long)]
    keep_results: bool,
    /// Folder for that file [default: that of the image]
    #[arg(long, value_name = "DIR", requires = "keep_results")]
    keep: Option<OutputFolder>,
    /// File that --keep-results has saved, from which the results come onto the card: after a flashing that was interrupted, or onto a
    /// new card
    #[arg(long, value_name = "FILE", conflicts_with = "keep_results")]
    results: Option<PathBuf>,
    /// Write nothing: compare the image with a card that has been written, without results, and has not been in a box since
    #[arg(long, conflicts_with_all = ["yes", "allow", "keep_results", "results"])]
    verify_only: bool,
    /// SHA-256 that the image must have, as its file is or decompressed, in hexadecimal digits [default: that in the file of the
    /// same name with `.sha256` behind, if there is one]
    #[arg(long, value_name = "DIGEST", value_parser = digest)]
    sha256: Option<Digest>,
    /// Refuse an image that nobody has signed, or with the test key only: name the roots of other keys with --root
    #[arg(long)]
    signed_only: bool,
    /// Public key of a root that has named the signer of the image; repeat it for more. An image that nobody has signed is refused then
    /// [default: the test key, with which anybody can sign]
    #[arg(long, value_name = "FILE")]
    root: Vec<PathBuf>,
    /// How many of the roots must have signed the list of keys [default: all of them]
    #[arg(long, value_name = "K", requires = "root")]
    needed: Option<u8>,
    /// Print one JSON object, or one for each medium listed
    #[arg(long)]
    json: bool,
}

/// What `--allow` names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Allow {
    /// A file system on it is mounted
    Mounted,
    /// It is built in: neither its medium nor its plug can be taken out
    NonRemovable,
    /// It has more than 260 GB, as disks have but memory cards of a box do not
    Large,
    /// It is a file, for an emulator, not a disk
    File,
}

impl From<Allow> for Danger {
    fn from(allow: Allow) -> Self {
        match allow {
            Allow::Mounted => Self::Mounted,
            Allow::NonRemovable => Self::NonRemovable,
            Allow::Large => Self::Large,
            Allow::File => Self::File,
        }
    }
}

/// Writes an image to a medium, or lists the media.
pub fn run(options: Options) -> Result<Exit, Failure> {
    let Options { image: Some(image), device: Some(device), .. } = &options else {
        return list(options.json);
    };
    let Options { yes, keep_results, verify_only, sha256, signed_only, needed, json, .. } = options;
    // Whatever else it may be is told from a disk below.
    if !verify_only && device.is_file() {
        let read: Vec<&Path> = [Some(image), options.results.as_ref()]
            .into_iter()
            .flatten()
            .chain(&options.root)
            .map(PathBuf::as_path)
            .collect();
        super::check_outputs(&read, &[device], &[])?;
    }
    super::check_outputs_where(&[], |_| false, &[], &Vec::from_iter(options.keep.as_deref()))?;
    let expected = expected(image, sha256)?;
    let roots = keys::roots(&options.root, needed)?;
    let version = env!("CARGO_PKG_VERSION").parse::<Version>()?;
    let must_be_signed = signed_only || roots.is_some();
    // Whoever names the test root means it.
    let refuses_test_key = signed_only && roots.is_none();
    // Of what lies there and cannot be used, nobody knows who vouches.
    let beside = BesideImage::read(image).context("nothing has been written").exit(Exit::Refused)?;
    // Known before all of the image is read. One that is not there has another fault.
    if must_be_signed && !beside.is_signed() && image.exists() {
        return Err(FlashError::NotVouched(ImageRefused(Refused::NotSigned))).exit(Exit::Refused);
    }
    let allowed: Vec<_> = options.allow.iter().copied().map(Danger::from).collect();
    if keep_results && allowed.contains(&Danger::Mounted) {
        let words = "results are not copied from a card while somebody may write to it: unmount it, and leave out `--allow mounted`";
        return Err(anyhow!(words)).exit(Exit::Usage);
    }
    let access = if verify_only { Access::Verify } else { Access::Write(&allowed) };
    let mut target = Target::open(&System::default(), device, access)?;
    let is_asked = !verify_only && !yes;
    if is_asked {
        let terminal = io::stdin().is_terminal() && io::stderr().is_terminal();
        if !terminal {
            let words =
                format!("nobody can be asked whether to overwrite {}: add `--yes` if so", Shown(device.display()));
            return Err(anyhow!(words)).exit(Exit::Usage);
        }
    }
    // Before somebody is asked: he may not want it then.
    if !must_be_signed && !beside.is_signed() {
        base::say!(
            "nobody has signed this image: a digest beside it shows damage, and not who made it; `--signed-only` refuses such images"
        );
    }
    if is_asked {
        let lost = if keep_results { "Everything on it but its results" } else { "Everything on it" };
        confirm(device, &target, lost, &mut io::stdin().lock(), &mut io::stderr())?;
    }
    interrupt::listen();
    let copy = keep_results.then(|| place_of_copy(image, options.keep.as_deref())).transpose()?;
    let results = match (&copy, &options.results) {
        (Some(path), _) => Results::Kept(path),
        (None, Some(path)) => Results::Restored(path),
        (None, None) => Results::Lost,
    };
    let start = Instant::now();
    let bars = Bars::default();
    let mut vouched = None;
    let flashed = bars.during(|bars| {
        let bars = RefCell::new(bars);
        let mut accept = |read: &Image| -> Result<(), FlashError> {
            if let Some(expected) = &expected {
                read.is(expected)?;
            }
            if must_be_signed || beside.is_signed() {
                let checked = beside.check(roots.clone(), version, read.file_digests());
                let checked = checked.map_err(FlashError::NotVouched)?;
                if refuses_test_key && checked.trust == Trust::TestKey {
                    return Err(FlashError::TestKey);
                }
                bars.borrow_mut().clear();
                base::say!("{}", who(&checked));
                vouched = Some(checked);
            }
            Ok(())
        };
        let mut progress = |stage, done, total| bars.borrow_mut().show(stage, done, total);
        flash(image, &mut accept, results, &mut target, &mut progress)
    });
    let (checked, saved) = flashed.map_err(|error| {
        if let Some(path) = copy.as_ref().filter(|path| path.exists()) {
            base::say!(
                "the results are safe in {}: `pumua flash --results {} IMAGE DEVICE` writes an image and them",
                Shown(path.display()),
                quoted(path)
            );
        }
        match error {
            FlashError::OtherImage { .. } | FlashError::NotVouched(_) | FlashError::TestKey => {
                Failure { exit: Exit::Refused, error: error.into() }
            }
            error => error.into(),
        }
    })?;
    if saved.as_ref().and_then(Saved::is_sound) == Some(false) {
        base::say!(
            "e2fsck finds faults in the results, as after a pulled plug: the box mends what can be mended at its next start"
        );
    }
    let seconds = start.elapsed().as_secs_f64();
    let digest = Digest(checked.digest()).to_string();
    let mut out = io::stdout().lock();
    if json {
        let mut value = json!({
            "image": image.to_string_lossy(), "device": device.to_string_lossy(), "bytes": checked.length(),
            "sha256": digest, "written": !verify_only, "verified": true, "seconds": (seconds * 1000.0).round() / 1000.0,
            "trust": vouched.as_ref().map_or(Trust::Unsigned, |checked| checked.trust).as_str(),
        });
        if let Some(CheckedImage { key, statement, .. }) = &vouched {
            value["signature"] = json!({
                "key": key.to_string(), "name": statement.name, "counter": statement.counter, "made": statement.made,
            });
        }
        if let Some(saved) = &saved {
            value["results"] = json!({
                "file": saved.path().to_string_lossy(), "bytes": saved.length(), "sha256": saved.digest().to_string(),
            });
        }
        writeln!(out, "{}", output::json(&value))?;
    } else {
        let done = if verify_only { "holds the image" } else { "written and read back" };
        let size = DecimalBytes(checked.length());
        writeln!(out, "{}: {done}, {size} in {seconds:.1} s, SHA-256 {digest}", Shown(device.display()))?;
        if let Some(saved) = &saved {
            let (size, path) = (DecimalBytes(saved.length()), Shown(saved.path().display()));
            writeln!(out, "the results are on it, {size}; they are also in {path}, SHA-256 {}", saved.digest())?;
        }
    }
    if target.disk().is_some() && !verify_only {
        // A desktop may have mounted it again by now.
        base::say!("eject it in the file manager if it shows up there, then take it out and put it into the box");
    }
    Ok(Exit::Done)
}

/// Who vouches for an image, and for what.
fn who(checked: &CheckedImage) -> String {
    let CheckedImage { trust, key, statement: Statement { name, counter, made, .. } } = checked;
    let said = format!("{name}, counter {counter}, of {made}");
    if *trust == Trust::TestKey {
        format!(
            "TEST KEY: anybody can sign as this image is signed ({said}); name the roots that you believe with `--root`"
        )
    } else {
        format!("signed by the key {key} ({said})")
    }
}

/// Where the results are copied to: beside the image, or in a folder that is made, under the time. Nobody but its owner reads it.
fn place_of_copy(image: &Path, folder: Option<&Path>) -> anyhow::Result<PathBuf> {
    base::keep_private();
    let name = format!("pumua-results-{}.ext4", calendar::compact_utc(calendar::now()));
    let Some(folder) = folder else { return Ok(image.with_file_name(name)) };
    std::fs::create_dir_all(folder)
        .with_context(|| format!("cannot make the folder {}: name another one with --keep", Shown(folder.display())))?;
    Ok(folder.join(name))
}

fn digest(text: &str) -> Result<Digest, String> {
    checksum::digest(text).ok_or_else(|| "it must have 64 hexadecimal digits".to_owned())
}

/// The digest that the image should have: the one that was named, else the one beside the image.
fn expected(image: &Path, named: Option<Digest>) -> Result<Option<Expected>, FlashError> {
    if let Some(digest) = named {
        return Ok(Some(Expected { digest: digest.0, source: "--sha256".to_owned() }));
    }
    let path = checksum::beside(image);
    let found = checksum::read(image)
        .map_err(|error| FlashError::Checksum { path: path.clone(), reason: error.to_string() })?;
    Ok(found.map(|digest| Expected { digest: digest.0, source: Shown(path.display()).to_string() }))
}

/// Lists the media that could be meant; which one is, only the user knows.
fn list(json: bool) -> Result<Exit, Failure> {
    let disks = System::default().removable()?;
    let mut out = io::stdout().lock();
    for disk in &disks {
        if json {
            writeln!(out, "{}", output::json(&to_json(disk)))?;
        } else {
            write!(out, "{}", to_text(disk))?;
        }
    }
    let words = if disks.is_empty() { "no removable medium found: put one in, and" } else { "no device is named:" };
    let command = started_as();
    Err(anyhow!("{words} give the image and the device, `sudo {command} flash IMAGE DEVICE`")).exit(Exit::Usage)
}

/// Shows what is about to be lost and has the name typed: a hand that types `y` does so by habit.
fn confirm(
    device: &Path,
    target: &Target,
    lost: &str,
    answers: &mut dyn BufRead,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let name = match target.disk() {
        Some(disk) => {
            write!(out, "{}", to_text(disk))?;
            disk.whole.name.clone()
        }
        None => {
            writeln!(out, "{}  {}  a file", Shown(device.display()), DecimalBytes(target.bytes()))?;
            device.file_name().unwrap_or_default().to_string_lossy().into_owned()
        }
    };
    write!(out, "{lost} will be lost. Type its name, {}, to continue: ", Shown(&name))?;
    out.flush()?;
    let mut answer = String::new();
    answers.read_line(&mut answer)?;
    if answer.trim() == name {
        return Ok(());
    }
    Err(anyhow!("that is not its name; nothing has been written: check which device it is, and try again").into())
}

/// A line for the disk and one for each of its partitions.
fn to_text(disk: &Disk) -> String {
    let line = |part: &Part, rest: &str| {
        let used = match part.mounts.first() {
            Some(place) => format!("  mounted at {}", Shown(place)),
            None => String::new(),
        };
        format!("/dev/{}  {}{rest}{used}\n", part.name, DecimalBytes(part.bytes))
    };
    let model = if disk.model.is_empty() { String::new() } else { format!("  {}", Shown(&disk.model)) };
    let kind = if disk.removable { "" } else { "  not removable" };
    let locked = if disk.read_only { "  write-protected" } else { "" };
    let partitions = disk.partitions.iter().map(|part| format!("  {}", line(part, "")));
    line(&disk.whole, &format!("{model}{kind}{locked}")) + &partitions.collect::<String>()
}

fn to_json(disk: &Disk) -> Value {
    let part =
        |part: &Part| json!({ "device": format!("/dev/{}", part.name), "bytes": part.bytes, "mounts": part.mounts });
    let mut value = part(&disk.whole);
    value["model"] = json!(disk.model);
    value["read_only"] = json!(disk.read_only);
    value["partitions"] = disk.partitions.iter().map(part).collect();
    value
}

/// A bar for each stage, on a terminal only.
#[derive(Default)]
struct Bars {
    bar: Option<(Stage, ProgressBar)>,
}

impl Bars {
    fn during<T>(mut self, work: impl FnOnce(&mut Self) -> T) -> T {
        let result = work(&mut self);
        self.clear();
        result
    }

    /// Takes what is drawn away, before a line is written.
    fn clear(&mut self) {
        if let Some((_, bar)) = self.bar.take() {
            bar.finish_and_clear();
        }
    }

    /// Also where Ctrl-C is heard.
    fn show(&mut self, stage: Stage, done: u64, total: u64) -> ControlFlow<()> {
        if self.bar.as_ref().is_none_or(|(shown, _)| *shown != stage) {
            self.clear();
            let what = match stage {
                Stage::Checking => "checking",
                Stage::Saving => "saving",
                Stage::Writing => "writing",
                Stage::Restoring => "restoring",
                Stage::Verifying => "reading back",
            };
            let style = ProgressStyle::with_template(
                "{msg:12} {wide_bar} {decimal_bytes}/{decimal_total_bytes} {decimal_bytes_per_sec} {eta}",
            );
            let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
            self.bar = Some((stage, ProgressBar::new(total).with_style(style).with_message(what)));
        }
        if let Some((_, bar)) = &self.bar {
            bar.set_position(done);
        }
        if interrupt::asked() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A disk with one partition, which is mounted.
    fn disk() -> Disk {
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        fs::create_dir_all(folder.path().join("class/block")).unwrap();
        let node = "dev/block/8:16";
        for (name, text) in [
            ("dev", "8:16"),
            ("size", "31116288"),
            ("removable", "1"),
            ("device/model", "Reader"),
            ("sdb1/dev", "8:17"),
            ("sdb1/size", "2048"),
            ("sdb1/partition", "1"),
        ] {
            put(&format!("{node}/{name}"), text);
        }
        put("self/mountinfo", "90 22 8:17 / /media/card rw - vfat /dev/sdb1 rw");
        let system = System { sys: folder.path().into(), proc: folder.path().into() };
        system.disk((8 << 8) | 16).unwrap()
    }

    #[test]
    fn medium_is_described_by_what_tells_it_from_others() {
        let text = "/dev/8:16  15.93 GB  Reader\n  /dev/sdb1  1.05 MB  mounted at /media/card\n";
        assert_eq!(to_text(&disk()), text);
        let value = json!({
            "device": "/dev/8:16", "bytes": 15_931_539_456_u64, "mounts": [], "model": "Reader", "read_only": false,
            "partitions": [{ "device": "/dev/sdb1", "bytes": 1_048_576, "mounts": ["/media/card"] }],
        });
        assert_eq!(to_json(&disk()), value);
    }

    #[test]
    fn only_the_name_of_the_medium_confirms() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("disk.img");
        fs::write(&path, [0; 2000]).unwrap();
        let target = Target::open(&System::default(), &path, Access::Write(&[Danger::File])).unwrap();
        let mut asked = Vec::new();
        confirm(&path, &target, "Everything on it", &mut &b"disk.img\n"[..], &mut asked).unwrap();
        let question =
            "disk.img  2.00 kB  a file\nEverything on it will be lost. Type its name, disk.img, to continue: ";
        assert!(String::from_utf8(asked).unwrap().ends_with(question));
        for answer in ["", "\n", "y\n", "yes\n", "disk\n"] {
            let confirmed = confirm(&path, &target, "Everything on it", &mut answer.as_bytes(), &mut io::sink());
            assert!(confirmed.is_err(), "{answer:?}");
        }
    }
}
