//! `pumua predict`: judges radiograph files with the engine of the box.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    io::{self, BufWriter, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::{Context, anyhow};
use base::{
    Shown, cell,
    files::{Draft, OutputFile, ReadError, check_piped, read_radiograph, text_of, write_atomically},
    interrupt, progress,
};
use engine::{Model, Score, judge::Prepared};
use measure::occlusion::OcclusionError;
use rayon::prelude::*;
use report::evidence_map;
use serde_json::{Value, json};
use shared::{
    age::AgeNote,
    appliance::Override,
    results,
    verdict::{Profile, Refusal, Verdict},
};
use walkdir::WalkDir;

use super::open::open_model;
use crate::{
    exit::{Exit, Failure, WithExit},
    output,
};

/// Files that are judged at once: enough for all processors, few enough that the answers flow.
const BATCH: usize = 64;

/// Options of `pumua predict`.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Radiographs (DICOM, JPEG, PNG, TIFF, BMP or WebP), or folders of them; `-` for what comes in on standard input
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// ONNX model made by `pumua train` [default: the one that is built in]
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// Which of the model's operating points decides, as set on the box: screening, balanced or confirming [default: the
    /// model's own]
    #[arg(long, value_name = "PROFILE")]
    profile: Option<Profile>,
    /// Judge patients who are older or younger than those whom the model is for: age. The answer says so
    #[arg(long = "override", value_name = "REASON")]
    overrides: Vec<Override>,
    /// Print path,probability,verdict,code,age_months,age_overridden with a header (the default). A path that a spreadsheet would take for a formula or a
    /// number has an apostrophe before it
    #[arg(long, conflicts_with = "json")]
    csv: bool,
    /// Print one JSON object for each file
    #[arg(long)]
    json: bool,
    /// The radiographs are negatives: bones are dark
    #[arg(long)]
    invert: bool,
    /// Also write the model's inputs to a file, side × side bytes for each radiograph that is judged
    #[arg(long, value_name = "FILE")]
    inputs: Option<OutputFile>,
    /// Also write the evidence map as a PNG file: the radiograph with outlines where the model looked; for one radiograph
    #[arg(long = "evidence", alias = "heatmap", value_name = "FILE")]
    evidence_map: Option<OutputFile>,
}

/// The outcome for a file.
enum FileOutcome {
    Judged { input: Vec<u8>, score: Score, verdict: Verdict, age: AgeNote, evidence_map: Option<Vec<u8>> },
    Refused(Refusal),
    Unreadable(io::Error),
}

/// Judges radiograph files with the engine of the box.
pub fn run(options: Options) -> Result<Exit, Failure> {
    check_piped(&options.paths).exit(Exit::Usage)?;
    let read: Vec<&Path> = options.paths.iter().chain(&options.model).map(PathBuf::as_path).collect();
    let written: Vec<&Path> = options.inputs.iter().chain(&options.evidence_map).map(|file| &**file).collect();
    super::check_outputs_where(&read, is_walked, &written, &[])?;
    let mut model = open_model(options.model.as_deref())?;
    if let Some(profile) = options.profile {
        model.decide_by(profile).exit(Exit::Refused)?;
    }
    let files = walk(&options.paths)?;
    if options.evidence_map.is_some() && files.len() != 1 {
        return Err(anyhow!("an evidence map is of one radiograph, and there are {}: name one", files.len()))
            .exit(Exit::Usage);
    }
    let draft = |path: &OutputFile| Draft::begin(path).with_context(|| cannot_write(path)).map(BufWriter::new);
    let mut inputs = options.inputs.as_ref().map(draft).transpose()?;
    let mut out = BufWriter::new(io::stdout().lock());
    if !options.json {
        writeln!(out, "path,probability,verdict,code,age_months,age_overridden")?;
    }
    let bar = progress::bar(files.len(), "judging");
    let start = Instant::now();
    let ask = Ask {
        invert: options.invert,
        evidence_map: options.evidence_map.is_some(),
        any_age: options.overrides.contains(&Override::Age),
    };
    let mut exit = Exit::Done;
    let mut of_unknown_age = 0;
    interrupt::listen();
    let mut judge_all = || -> Result<usize, Failure> {
        let mut judged = 0;
        for batch in files.chunks(BATCH) {
            if interrupt::asked() {
                break;
            }
            let answers: Vec<Result<FileOutcome, Failure>> =
                batch.par_iter().map(|path| judge(&model, path, ask)).collect();
            // Lines and the bar would run into each other on a terminal.
            bar.suspend(|| {
                for (path, answer) in batch.iter().zip(answers) {
                    let answer = answer?;
                    match &answer {
                        FileOutcome::Judged { input, evidence_map, age, .. } => {
                            of_unknown_age += usize::from(*age == AgeNote::Unknown);
                            if age.is_overridden() {
                                base::say!("{}: {age}", Shown(path.display()));
                            }
                            if let (Some(inputs), Some(path)) = (&mut inputs, &options.inputs) {
                                inputs.write_all(input).with_context(|| cannot_write(path))?;
                            }
                            if let (Some(path), Some(png)) = (&options.evidence_map, evidence_map) {
                                write_atomically(path, png).with_context(|| cannot_write(path))?;
                            }
                        }
                        FileOutcome::Refused(refusal) => {
                            base::say!("{}: {refusal}", Shown(path.display()));
                            if exit == Exit::Done {
                                exit = Exit::Refused;
                            }
                        }
                        FileOutcome::Unreadable(error) => {
                            base::say!("{}: {error}: name a radiograph file that you may read", Shown(path.display()));
                            exit = Exit::Failed;
                        }
                    }
                    if options.json {
                        writeln!(out, "{}", output::json(&to_json(path, &answer, model.card().provenance.synthetic)))?;
                    } else {
                        write_csv(&mut out, path, &answer)?;
                    }
                }
                out.flush().map_err(Failure::from)
            })?;
            judged += batch.len();
            bar.inc(batch.len() as u64);
        }
        Ok(judged)
    };
    let judged = judge_all();
    bar.finish_and_clear();
    // What has been judged is kept, whatever has come then.
    let kept = match (inputs, &options.inputs) {
        (Some(inputs), Some(path)) => {
            let written = inputs.into_inner().map_err(io::IntoInnerError::into_error).and_then(Draft::finish);
            written.with_context(|| cannot_write(path))
        }
        _ => Ok(()),
    };
    let judged = judged?;
    kept?;
    if of_unknown_age > 0 {
        base::say!("{of_unknown_age} image(s) judged with age unknown: the model is for {}", meant(&model));
    }
    let seconds = start.elapsed().as_secs_f64();
    base::say!("{judged} image(s) in {seconds:.1} s: {:.0} images/s", judged as f64 / seconds);
    if judged < files.len() {
        base::say!("stopped by Ctrl-C: {} image(s) are left; the answers on the others stand", files.len() - judged);
        return Ok(Exit::Interrupted);
    }
    Ok(exit)
}

fn cannot_write(path: &Path) -> String {
    format!("cannot write {}: name a file in a folder that can be written", Shown(path.display()))
}

/// True for what no program shows: hidden files and folders, and the copies of metadata that macOS puts into archives.
fn is_hidden(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".") || name == "__MACOSX"
}

/// True for a file that is judged in a folder, by its path below it.
pub(super) fn is_walked(below: &Path) -> bool {
    !below.iter().any(is_hidden) && !data::is_no_picture(&below.to_string_lossy())
}

/// The files named, and those in the folders named, in order. In folders, links are followed, and each folder is looked into once,
/// however many links lead to it; what is hidden, or by its name no picture, is passed over. What cannot be looked into is a file
/// that cannot be read.
pub(super) fn walk(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    let mut passed_over: Vec<PathBuf> = Vec::new();
    for path in paths {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let before = files.len();
        let mut seen = BTreeSet::new();
        let mut entries = WalkDir::new(path).follow_links(true).sort_by_file_name().into_iter();
        while let Some(found) = entries.next() {
            let entry = match found {
                Ok(entry) => entry,
                Err(error) => {
                    let inner = error.path().filter(|_| error.depth() > 0).map(Path::to_owned);
                    match inner {
                        Some(inner) if inner.file_name().is_some_and(is_hidden) => {}
                        // What it leads to is looked into anyway.
                        Some(inner) if error.loop_ancestor().is_some() => passed_over.push(inner),
                        Some(inner) => files.push(inner),
                        None => {
                            Err(error).with_context(|| format!("cannot read the folder {}", Shown(path.display())))?;
                        }
                    }
                    continue;
                }
            };
            let hidden = entry.depth() > 0 && is_hidden(entry.file_name());
            if entry.file_type().is_dir() {
                let identity = entry.metadata().ok().map(|metadata| (metadata.dev(), metadata.ino()));
                let again = !hidden && identity.is_some_and(|identity| !seen.insert(identity));
                if hidden || again {
                    entries.skip_current_dir();
                }
                if again {
                    passed_over.push(entry.into_path());
                }
            } else if !hidden && data::is_no_picture(&entry.file_name().to_string_lossy()) {
                passed_over.push(entry.into_path());
            } else if !hidden {
                files.push(entry.into_path());
            }
        }
        if files.len() == before {
            let words = format!("the folder {} holds no pictures: name one with radiographs", Shown(path.display()));
            return Err(anyhow!(words).into());
        }
    }
    if let Some(first) = passed_over.first() {
        let count = passed_over.len();
        base::say!("passed over: {count} that are not pictures or lead back (the first is {})", Shown(first.display()));
    }
    Ok(files)
}

/// Whom a model is for.
pub(super) fn meant(model: &Model) -> String {
    model.card().ages().map_or_else(|| "unknown ages".to_owned(), |ages| ages.to_string())
}

/// How files are judged.
#[derive(Clone, Copy)]
struct Ask {
    invert: bool,
    evidence_map: bool,
    any_age: bool,
}

fn judge(model: &Model, path: &Path, ask: Ask) -> Result<FileOutcome, Failure> {
    let bytes = match read_radiograph(path) {
        Ok(bytes) => bytes,
        Err(ReadError::Refused(refusal)) => return Ok(FileOutcome::Refused(refusal)),
        Err(ReadError::Io(error)) => return Ok(FileOutcome::Unreadable(error)),
    };
    let radiograph = match decode::decode(&bytes) {
        Ok(radiograph) => radiograph,
        Err(refusal) => return Ok(FileOutcome::Refused(refusal)),
    };
    let picture = if ask.invert { radiograph.picture().inverted() } else { radiograph.picture() };
    let card = model.card();
    let prepared = Prepared::of(&picture, &card.behaviour.contract);
    let of_age = |prepared: Prepared<'static>| prepared.of_age(radiograph.facts().age).of_any_age(ask.any_age);
    let input = match prepared.and_then(|prepared| of_age(prepared).admit(Some(card))) {
        Ok(input) => input,
        Err(refusal) => return Ok(FileOutcome::Refused(refusal)),
    };
    let judgement = model.judge(&input)?;
    let verdict = match judgement.verdict {
        Ok(verdict) => verdict,
        Err(refusal) => return Ok(FileOutcome::Refused(refusal)),
    };
    let evidence_map = if ask.evidence_map {
        let size = [picture.width(), picture.height()];
        let evidence = judgement.evidence(card, size).ok_or(OcclusionError::NoMap)?;
        Some(evidence_map::png(&picture, &evidence, judgement.window, card)?)
    } else {
        None
    };
    let (score, age) = (judgement.examination.score, judgement.age);
    Ok(FileOutcome::Judged { input: input.into_pixels(), score, verdict, age, evidence_map })
}

fn write_csv(out: &mut impl Write, path: &Path, answer: &FileOutcome) -> io::Result<()> {
    let (probability, verdict, code) = match answer {
        FileOutcome::Judged { score, verdict, .. } => {
            (score.probability.to_string(), verdict.as_str(), verdict.code().to_string())
        }
        FileOutcome::Refused(refusal) => (String::new(), "refused", refusal.code().to_string()),
        FileOutcome::Unreadable(_) => (String::new(), "unreadable", String::new()),
    };
    let [age, overridden] = match answer {
        FileOutcome::Judged { age, .. } => results::age_cells(*age),
        FileOutcome::Refused(_) | FileOutcome::Unreadable(_) => Default::default(),
    };
    let mut row = csv::Writer::from_writer(out);
    row.write_record([&*cell::text(&text_of(path)), &probability, verdict, &code, &age, &overridden])?;
    row.flush()
}

fn to_json(path: &Path, answer: &FileOutcome, synthetic: bool) -> Value {
    let path = text_of(path);
    match answer {
        FileOutcome::Judged { score, verdict, age, .. } => json!({
            "path": path, "verdict": verdict.as_str(), "code": verdict.code(), "probability": score.probability,
            "logit": score.logit, "synthetic_model": synthetic, "age_months": output::age_months(age.age()),
            "age_overridden": age.is_overridden(),
        }),
        FileOutcome::Refused(refusal) => json!({
            "path": path, "verdict": "refused", "refusal": refusal.as_str(), "code": refusal.code(),
            "message": refusal.to_string(),
        }),
        FileOutcome::Unreadable(error) => json!({ "path": path, "error": error.to_string() }),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use clap::Parser as _;

    use super::*;

    /// The files found in a folder, by their names below it.
    fn found(folder: &Path) -> Vec<String> {
        let files = walk(&[folder.to_owned()]).unwrap();
        files.iter().map(|file| text_of(file.strip_prefix(folder).unwrap())).collect()
    }

    #[derive(clap::Parser)]
    struct CommandLine {
        #[command(flatten)]
        options: Options,
    }

    #[test]
    fn what_comes_in_is_not_judged_twice() {
        // That there is no such model is not found out any more.
        let CommandLine { options } = CommandLine::parse_from(["predict", "--model", "/nowhere", "-", "/dev/stdin"]);
        let failure = run(options).unwrap_err();
        assert_eq!(failure.exit, Exit::Usage);
        assert!(failure.error.to_string().contains("name it once"), "{:?}", failure.error);
    }

    #[test]
    fn what_is_hidden_is_passed_over_whatever_it_leads_to() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir(path(".git")).unwrap();
        for name in ["film.png", ".film.png", ".git/x.png"] {
            fs::write(path(name), "film").unwrap();
        }
        // As Emacs locks a file that is edited.
        symlink("someone@computer.1:2", path(".#film.png")).unwrap();
        symlink(".", path(".here")).unwrap();
        symlink("nowhere", path("lost.png")).unwrap();
        assert_eq!(found(folder.path()), ["film.png", "lost.png"]);
    }

    #[test]
    fn each_folder_is_looked_into_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir_all(path("2026/june")).unwrap();
        fs::write(path("2026/june/film.png"), "film").unwrap();
        symlink("2026", path("latest")).unwrap();
        symlink("2026/june", path("month")).unwrap();
        symlink("../..", path("2026/june/back")).unwrap();
        assert_eq!(found(folder.path()), ["2026/june/film.png"]);
        // By a name of its own it is another one.
        assert_eq!(walk(&[path("2026"), path("latest")]).unwrap().len(), 2);
    }

    #[test]
    fn a_folder_without_pictures_is_told_of() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("Thumbs.db"), "x").unwrap();
        let said = walk(&[folder.path().to_owned()]).unwrap_err().error.to_string();
        assert!(said.contains("holds no pictures"), "{said}");
    }

    #[test]
    fn files_that_are_not_judged_may_be_written_again() {
        for judged in ["a.png", "a/IM0001", "a/scan.dcm"] {
            assert!(is_walked(Path::new(judged)), "{judged}");
        }
        for other in ["answers.csv", "a/.inputs", ".git/a.png", "__MACOSX/a.png"] {
            assert!(!is_walked(Path::new(other)), "{other}");
        }
    }
}
