//! `pumua sign`: says that a model, a bundle of the box's own program, the image of a memory card, or settings are good.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, anyhow};
use base::{
    Shown, calendar,
    files::{read_text, write_atomically},
};
use engine::MAX_MODEL_BYTES;
use setup::{
    bundle::{Bundle, BundleError},
    flash::{FlashError, Image},
    model_for_box::{beside, list_beside},
    signed_image,
    site_file::SiteFile,
};
use shared::calendar::credible;
use trust::{Kind, LINE, MAX_SIGNATURE_BYTES, PackageHead, Signature, Statement, StatementError, Version};

use super::{keys, model_for_box, quoted, site};
use crate::exit::{Exit, Failure, WithExit};

/// The first version that has slots: of the box's program, which takes bundles, and of the program that writes images.
const FIRST_WITH_SLOTS: Version = Version([0, 1, 0]);

const NO_NAME: &str =
    "the name cannot be signed: name another one with --name, of up to 64 letters, digits, `.`, `_` and `-`";

/// Options of `pumua sign`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Of a bundle, signature and list of keys become part of the file itself. To sign it with `minisign`, which asks for a \
    password, cut its payload out as is said without --key, sign that, and put the signature in with --signature."
)]
pub struct Options {
    /// ONNX model made by `pumua train`, bundle made by `pumua bundle`, image made by `pumua image`, as it lies there, compressed or not, or
    /// site file with settings (`.toml`). But for a bundle, the signature is written beside it, as FILE.minisig
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Secret key, which no password protects. Without it the comment is printed that `minisign -S -m FILE -t "COMMENT"` is to
    /// sign
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Number of the model, the bundle or the settings: greater than that of every one that was signed before, else boxes that had those
    /// refuse it. To have boxes go back, sign the earlier one once more with a greater one. Models, bundles, settings and images are
    /// counted apart; that of an image is for people, and nothing refuses a smaller one
    #[arg(long, value_name = "N", required_unless_present = "signature")]
    counter: Option<u64>,
    /// Earliest version of the box's program that can use it, or for an image of the program that writes it [default: for a model or
    /// settings this program's, else 0.1.0]
    #[arg(long = "box", value_name = "VERSION")]
    least: Option<Version>,
    /// Name of a bundle, an image or settings, for people: up to 64 letters, digits, `.`, `_` and `-` [default: box- and its version, or
    /// for an image or settings that of the file]
    #[arg(long)]
    name: Option<String>,
    /// Signature that `minisign` has made of a bundle's payload, to be put into the bundle
    #[arg(long, value_name = "FILE", conflicts_with_all = ["key", "counter", "least", "name"])]
    signature: Option<PathBuf>,
    /// Also sign a model that was trained on synthetic radiographs: its answers mean nothing medically
    #[arg(long)]
    allow_synthetic: bool,
}

/// Signs a model that a box can judge by, a bundle that fills a slot, an image of a box's card, or settings that a box may be sent.
pub fn run(options: Options) -> Result<Exit, Failure> {
    let of_bundle = Bundle::is_one(&options.file);
    let out = if of_bundle { None } else { Some(beside(&options.file)) };
    let also = [&options.key, &options.signature].into_iter().flatten();
    let read: Vec<&Path> =
        [&options.file].into_iter().filter(|_| !of_bundle).chain(also).map(PathBuf::as_path).collect();
    let target = out.as_deref().unwrap_or(&options.file);
    super::check_outputs(&read, &[target], &[])?;
    let statement = if of_bundle {
        bundle(&options)?
    } else if SiteFile::is_one(&options.file) {
        settings(&options, target)?
    } else if Image::is_one(&options.file) {
        image(&options, target)?
    } else {
        model(&options, target)?
    };
    writeln!(io::stdout(), "{statement}")?;
    Ok(Exit::Done)
}

fn model(options: &Options, out: &Path) -> Result<String, Failure> {
    if options.name.is_some() || options.signature.is_some() {
        let words =
            "a model's name is that in its card, and its signature lies beside it: leave out --name and --signature";
        return Err(anyhow!(words)).exit(Exit::Usage);
    }
    let chosen = model_for_box::load(Some(&options.file), MAX_MODEL_BYTES, options.allow_synthetic)?;
    // A name in a card is a line of text.
    let name = word(&chosen.model.card().name);
    let least = options.least.map_or_else(|| env!("CARGO_PKG_VERSION").parse::<Version>(), Ok)?;
    let (kind, line, digest) = (Kind::Model, LINE.to_owned(), chosen.model.digest());
    let statement = Statement { kind, line, counter: number(options.counter)?, least, made: today()?, name, digest };
    let statement = written(&statement)
        .context("the name in the model's card cannot be signed: train it anew")
        .exit(Exit::Refused)?;
    if let Some(key) = &options.key {
        let signature = Signature::new(&keys::secret(key)?, &chosen.bytes, statement.clone());
        put_beside(out, &signature, "model")?;
    }
    Ok(statement)
}

fn settings(options: &Options, out: &Path) -> Result<String, Failure> {
    let Options { file, key, counter, least, name, signature, .. } = options;
    if signature.is_some() {
        let words =
            "the signature of settings lies beside them: have `minisign` write it there, and leave out --signature";
        return Err(anyhow!(words)).exit(Exit::Usage);
    }
    let counter = number(*counter)?;
    let site = site::read(file)?;
    let name = name.clone().unwrap_or_else(|| word(&file.file_stem().unwrap_or_default().to_string_lossy()));
    let least = least.map_or_else(|| env!("CARGO_PKG_VERSION").parse::<Version>(), Ok)?;
    let (kind, line, digest) = (Kind::Site, LINE.to_owned(), site.digest());
    let statement = Statement { kind, line, counter, least, made: today()?, name, digest };
    let statement = written(&statement).context(NO_NAME).exit(Exit::Usage)?;
    if let Some(key) = key {
        let signature = Signature::new(&keys::secret(key)?, &site.bytes, statement.clone());
        put_beside(out, &signature, "settings")?;
    }
    Ok(statement)
}

fn image(options: &Options, out: &Path) -> Result<String, Failure> {
    let Options { file, key, counter, least, name, signature, .. } = options;
    if signature.is_some() {
        let words = "an image's signature lies beside it: have `minisign` write it there, and leave out --signature";
        return Err(anyhow!(words)).exit(Exit::Usage);
    }
    let counter = number(*counter)?;
    let image = read_image(file)?;
    let digests = image.file_digests();
    let name = name.clone().unwrap_or_else(|| word(&file.file_name().unwrap_or_default().to_string_lossy()));
    let (kind, line, least) = (Kind::Image, LINE.to_owned(), least.unwrap_or(FIRST_WITH_SLOTS));
    let statement = Statement { kind, line, counter, least, made: today()?, name, digest: digests.sha256 };
    let statement = written(&statement).context(NO_NAME).exit(Exit::Usage)?;
    if let Some(key) = key {
        let signature = Signature::of_hash(&keys::secret(key)?, &digests.blake2b, statement.clone());
        put_beside(out, &signature, "image")?;
    }
    Ok(statement)
}

/// What a statement takes for a name, as like a text as can be.
fn word(text: &str) -> String {
    let permitted = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '_' | '-');
    text.chars().map(|letter| if permitted(letter) { letter } else { '-' }).take(64).collect()
}

/// Writes the signature of a model, an image or settings.
fn put_beside(out: &Path, signature: &Signature, what: &str) -> anyhow::Result<()> {
    write_atomically(out, signature.to_file().as_bytes())
        .with_context(|| format!("cannot write {}: let this user write there", Shown(out.display())))?;
    base::say!("signed: {} lies beside the {what} and goes with it", quoted(out));
    Ok(())
}

fn bundle(options: &Options) -> Result<String, Failure> {
    let Options { file, key, counter, least, name, signature, .. } = options;
    let found = read_bundle(file)?;
    if let Some(path) = signature {
        let text = read_text(path, MAX_SIGNATURE_BYTES as u64).with_context(|| {
            format!("cannot read the signature {}: name a file that you may read", Shown(path.display()))
        })?;
        let read = Signature::of_file(&text).with_context(|| format!("{} cannot be used", Shown(path.display())))?;
        let said = read.comment.parse::<Statement>().exit(Exit::Refused)?;
        if (said.kind, said.digest) != (Kind::Software, found.digests.sha256) {
            let words = "the signature is for another file: sign the payload of this bundle, with the comment that is printed for it";
            return Err(anyhow!(words)).exit(Exit::Refused);
        }
        put(&found, &text, file)?;
        return Ok(read.comment);
    }
    let name = name.clone().unwrap_or_else(|| format!("box-{}", found.version));
    let (kind, line, least) = (Kind::Software, LINE.to_owned(), least.unwrap_or(FIRST_WITH_SLOTS));
    let digest = found.digests.sha256;
    let statement = Statement { kind, line, counter: number(*counter)?, least, made: today()?, name, digest };
    let statement = written(&statement).context(NO_NAME).exit(Exit::Usage)?;
    match key {
        Some(key) => {
            let signature = Signature::of_hash(&keys::secret(key)?, &found.digests.blake2b, statement.clone());
            put(&found, &signature.to_file(), file)?;
        }
        None => base::say!(
            "not signed: cut the payload out with `tail -c {} {} > payload`, sign that with `minisign -S -m payload -t \"COMMENT\"`, and \
             put payload.minisig in with --signature",
            found.payload_bytes(),
            quoted(file)
        ),
    }
    Ok(statement)
}

/// Puts a signature into a bundle, and the list of keys that lies beside it; without one there, the list that it has stays.
fn put(bundle: &Bundle, signature: &str, file: &Path) -> Result<(), Failure> {
    let beside = list_beside(file)?;
    let beside = beside.as_ref().map(|texts| texts.each_ref().map(String::as_str));
    let list = beside.or(bundle.head().list);
    bundle.write(&PackageHead::new(Some(signature), list), file)?;
    let of_list = if list.is_some() { ", with the list of keys" } else { "; no list of keys is in it" };
    base::say!("signed: the signature is in {}{of_list}", quoted(file));
    Ok(())
}

/// Reads a bundle to its end.
pub(super) fn read_bundle(path: &Path) -> Result<Bundle, Failure> {
    Bundle::read(path).map_err(|error| {
        let exit = if matches!(error, BundleError::Unlike { .. }) { Exit::Refused } else { Exit::Failed };
        Failure { exit, error: error.into() }
    })
}

/// Reads an image to its end.
pub(super) fn read_image(path: &Path) -> Result<Image, Failure> {
    signed_image::read(path).map_err(|error| {
        let is_refused = matches!(
            error,
            FlashError::ImageUnlike { .. } | FlashError::ImageTruncated { .. } | FlashError::ImageDamaged { .. }
        );
        let exit = if is_refused { Exit::Refused } else { Exit::Failed };
        Failure { exit, error: error.into() }
    })
}

/// A statement as it is signed, if boxes would understand it.
fn written(statement: &Statement) -> Result<String, StatementError> {
    let text = statement.to_string();
    text.parse::<Statement>()?;
    Ok(text)
}

fn number(counter: Option<u64>) -> anyhow::Result<u64> {
    counter.context("a number is missing: give one with --counter")
}

/// The day, in UTC.
fn today() -> anyhow::Result<String> {
    let now = credible(calendar::now()).context("the clock of this computer is wrong: set it, and sign then")?;
    Ok(calendar::utc(now).chars().take_while(|&letter| letter != 'T').collect())
}
