//! `pumua image`: makes the image of the memory card of a box.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    str::FromStr,
};

use anyhow::Context;
use base::{Shown, files::OutputFile, interrupt};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use engine::{MAX_MODEL_BYTES, Model};
use serde_json::json;
use setup::{
    bill, checksum,
    image::{Board, Built, Firmware, Inputs, LICENCE, build},
    model_for_box::ModelForBox,
    settings::{self, settings_for_sd_card},
};
use shared::{
    appliance::{BoxSettings, Language, Rotation, card, listed},
    verdict::{Profile, Trust},
};
use trust::Version;

use super::{model_for_box, program, quoted, started_as};
use crate::{
    exit::{Exit, Failure, WithExit},
    output,
};

/// Options of `pumua image`.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Image to write; compressed with gzip if the name ends in `.gz`
    #[arg(long, value_name = "FILE", default_value = "runs/box.img.gz")]
    out: OutputFile,
    /// ONNX model made by `pumua train` [default: the one that ships]
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// Also take a model that was trained on synthetic radiographs: its answers mean nothing medically
    #[arg(long)]
    allow_synthetic: bool,
    #[arg(long, help = language_help(), default_value_t, value_parser = one_of(Language::ALL, Language::as_str))]
    language: Language,
    #[arg(long, value_name = "PROFILE", help = profile_help())]
    profile: Option<Profile>,
    /// Degrees, clockwise, by which the panel is mounted turned
    #[arg(long, value_name = "DEGREES", default_value_t, value_parser = one_of(Rotation::ALL, Rotation::as_str))]
    rotate: Rotation,
    /// Make a box for development, which takes models that nobody has signed: anybody with a cable can exchange its model, and
    /// every screen says so
    #[arg(long)]
    unsigned: bool,
    #[arg(long, value_name = "FILE", help = config_help(),
        conflicts_with_all = ["language", "profile", "rotate", "unsigned"])]
    config: Option<PathBuf>,
    #[arg(long, value_name = "DIR", help = firmware_help())]
    firmware: Option<PathBuf>,
    /// Also take boot files that this version does not know, newer ones for example: they run before everything else on the
    /// box, and nobody has compared them with those of their maker
    #[arg(long, requires = "firmware")]
    allow_other_firmware: bool,
    #[command(flatten)]
    made_of: program::MadeOf,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

// What these options may be is said where it is defined; help that names it is made from there.

fn language_help() -> String {
    format!("Language of the screen: {}", listed(Language::ALL, "or"))
}

fn profile_help() -> String {
    let profiles = listed(Profile::ALL, "or");
    format!("Which of the model's operating points decides: {profiles} [default: the model's own]")
}

fn config_help() -> String {
    format!(
        "Configuration of the box, TOML, in place of the one that these options make; it must name `port` and \
         `model = \"{}\"`",
        card::on_box(card::MODEL)
    )
}

fn firmware_help() -> String {
    format!(
        "Folder of the boot files that a real Raspberry Pi needs ({}) [default: none; such an image starts on emulated \
         machines only]",
        Board::boot_files_in_words()
    )
}

/// Reads one of some values by its word; the help lists the words.
fn one_of<T, const N: usize>(values: [T; N], word: fn(T) -> &'static str) -> impl TypedValueParser<Value = T>
where
    T: FromStr<Err: std::error::Error + Send + Sync> + Clone + Send + Sync + 'static,
{
    PossibleValuesParser::new(values.map(word)).try_map(|word| word.parse())
}

/// Makes the image of the memory card of a box.
pub fn run(options: Options) -> Result<Exit, Failure> {
    interrupt::listen();
    let Options { out, model, config, firmware, made_of: program::MadeOf { program, packages }, .. } = &options;
    let read: Vec<_> = [model, config, firmware, program].into_iter().filter_map(Option::as_deref).collect();
    super::check_packed(&read, is_boot_file, out, &[checksum::beside(out), bill::beside(out), super::beside(out)])?;
    super::check_outputs_where(&read, is_boot_file, &[], &Vec::from_iter(packages.as_deref()))?;
    let mut chosen = model_for_box::load(options.model.as_deref(), MAX_MODEL_BYTES, options.allow_synthetic)?;
    let (configuration, settings) = match &options.config {
        Some(path) => settings::read(path)?,
        None => {
            let unsigned = options.unsigned.then_some(true);
            let settings = BoxSettings { profile: options.profile, unsigned, ..BoxSettings::default() };
            (settings_for_sd_card(options.language, options.profile, options.rotate, options.unsigned)?, settings)
        }
    };
    let profile = settings.profile;
    let trust = trust_of(&chosen, &settings)?;
    base::say!("{}", trust_in_words(trust));
    if profile.is_some() {
        let decided = Model::for_box(&chosen.bytes, profile);
        chosen.model = decided.context("the model cannot be used with this profile").exit(Exit::Refused)?;
    }
    let packages = program::packages(packages.as_deref())?;
    let program = program::ready(program.clone())?;
    let inputs = Inputs {
        software: program.software(&packages),
        model: chosen.package(),
        configuration: &configuration,
        firmware: options
            .firmware
            .as_deref()
            .map(|folder| Firmware { folder, allow_other: options.allow_other_firmware }),
    };
    base::say!("making {}", Shown(options.out.display()));
    let built = build(&inputs, &options.out)?;
    let bill = bill::of_image(&built, &packages, &program.bytes, program.crates.as_deref());
    let bill = bill::write(&options.out, &bill)?;
    super::drop_old_signature(&options.out, &built.file_sha256)?;
    if built.manifest.boards.is_empty() {
        base::say!(
            "no boot files of a Raspberry Pi are in it (--firmware), so it starts on emulated machines only; the files may \
             also be copied to the partition {} of the flashed card",
            card::BOOT_LABEL
        );
    } else if !built.manifest.files.iter().any(|file| file.name == LICENCE) {
        base::say!("the licence of the boot files, {LICENCE}, is not among them: add it before you pass the image on");
    }
    base::say!("Pumua is a research aid, not a medical device.");
    let mut out = io::stdout().lock();
    if options.json {
        writeln!(out, "{}", output::json(&to_json(&built, &options.out)))?;
    } else {
        writeln!(out, "{}", to_text(&built, &options.out, bill.as_deref()))?;
    }
    Ok(Exit::Done)
}

/// Who says that a model is good, if a box with these settings would take it.
fn trust_of(chosen: &ModelForBox, settings: &BoxSettings) -> Result<Trust, Failure> {
    let mut gate = settings::gate(settings, env!("CARGO_PKG_VERSION").parse::<Version>()?)?;
    let package = chosen.package();
    let checked = gate.learn(&package).and_then(|()| gate.check(&package));
    let words = "a box with these settings would not take the model";
    Ok(checked.context(words).exit(Exit::Refused)?.trust)
}

/// What is to be said of that.
fn trust_in_words(trust: Trust) -> &'static str {
    match trust {
        Trust::Signed | Trust::BuiltIn => "the model is signed",
        Trust::TestKey => {
            "TEST KEY: anybody can sign a model for this box; name keys of your own in its settings before it goes to a clinic \
             (docs/security.md)"
        }
        Trust::Unsigned => "the model is not signed: this box is for development, and not for a clinic",
    }
}

/// True for what is read in the folder of the boot files.
fn is_boot_file(below: &Path) -> bool {
    let mut known = Board::ALL.iter().flat_map(|board| board.boot_files).chain([&LICENCE]);
    known.any(|name| below == Path::new(name))
}

/// Where the image went on through a pipe or a device, nothing lies beside it, and there is no file to flash.
fn to_text(built: &Built, out: &Path, bill: Option<&Path>) -> String {
    let megabytes = |bytes: u64| format!("{:.1} MB", bytes as f64 / 1e6);
    let boards =
        if built.manifest.boards.is_empty() { "emulated ones".to_owned() } else { built.manifest.boards.join(", ") };
    let also = built.checksum.as_ref().map_or_else(String::new, |file| format!("; also in {}", Shown(file.display())));
    let mut lines = vec![
        format!(
            "image    {} ({}; {} of files)",
            Shown(out.display()),
            megabytes(built.written),
            megabytes(built.content)
        ),
        format!("sha256   {} (of the file{also})", built.file_sha256),
    ];
    lines.extend(bill.map(|bill| format!("contents {}", Shown(bill.display()))));
    lines.push(format!("kernel   {}", built.manifest.kernel));
    lines.push(format!("u-boot   {}", built.manifest.u_boot));
    lines.push(format!("boards   {boards}"));
    if built.checksum.is_some() {
        lines.push(format!("next     sudo {} flash {} DEVICE", started_as(), quoted(out)));
    }
    lines.join("\n")
}

fn to_json(built: &Built, out: &Path) -> serde_json::Value {
    json!({
        "image": out.display().to_string(), "bytes": built.written, "content": built.content, "sha256": built.sha256,
        "file_sha256": built.file_sha256,
        "manifest": built.manifest, "slot": built.slot,
    })
}

#[cfg(test)]
mod tests {
    use setup::image::{Manifest, SlotManifest};

    use super::*;

    #[test]
    fn boot_files_are_read_and_an_earlier_image_beside_them_is_not() {
        assert!(is_boot_file(Path::new("start4.elf")) && is_boot_file(Path::new(LICENCE)));
        assert!(!is_boot_file(Path::new("box.img")) && !is_boot_file(Path::new("old/start4.elf")));
    }

    #[test]
    fn only_files_that_are_there_are_named() {
        let built = |checksum: Option<PathBuf>| Built {
            manifest: Manifest {
                version: "1".to_owned(),
                note: "",
                kernel: "6".to_owned(),
                u_boot: "2".to_owned(),
                boards: Vec::new(),
                files: Vec::new(),
            },
            slot: SlotManifest { version: "1".to_owned(), note: "", kernel: "6".to_owned(), files: Vec::new() },
            sha256: "ab".to_owned(),
            file_sha256: "cd".to_owned(),
            checksum,
            boot_files: Vec::new(),
            content: 1,
            written: 1,
        };
        let out = Path::new("box.img");
        let text = to_text(&built(Some(checksum::beside(out))), out, Some(&bill::beside(out)));
        for word in ["cd (of the file; also in box.img.sha256)", "contents box.img.cdx.json", "flash box.img DEVICE"] {
            assert!(text.contains(word), "{text}");
        }
        let text = to_text(&built(None), Path::new("/dev/stdout"), None);
        assert!(text.contains("cd (of the file)"), "{text}");
        assert!(!["/dev/stdout.", "contents", "next"].iter().any(|word| text.contains(word)), "{text}");
    }
}
