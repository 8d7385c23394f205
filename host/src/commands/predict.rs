//! `pumua predict`: judges radiograph files with the engine of the box.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::{Context, anyhow};
use base::{
    Shown, cell,
    files::{ReadError, read_radiograph, write_atomically},
    progress,
};
use engine::{Model, Score, judge::admit};
use measure::occlusion::OcclusionError;
use rayon::prelude::*;
use report::evidence_map;
use serde_json::{Value, json};
use shared::verdict::{Profile, Refusal, Verdict};
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
    /// Radiographs (DICOM, JPEG or PNG), or folders of them
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// ONNX model made by `pumua train` [default: the one that is built in]
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// Which of the model's operating points decides, as set on the box: screening, balanced or confirming [default: the
    /// model's own]
    #[arg(long, value_name = "PROFILE")]
    profile: Option<Profile>,
    /// Print path,probability,verdict,code with a header (the default). A path that a spreadsheet would take for a formula or a
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
    inputs: Option<PathBuf>,
    /// Also write the evidence map as a PNG file: the radiograph with outlines where the model looked; for one radiograph
    #[arg(long = "evidence", alias = "heatmap", value_name = "FILE")]
    evidence_map: Option<PathBuf>,
}

/// The outcome for a file.
enum FileOutcome {
    Judged { input: Vec<u8>, score: Score, verdict: Verdict, evidence_map: Option<Vec<u8>> },
    Refused(Refusal),
    Unreadable(io::Error),
}

/// Judges radiograph files with the engine of the box.
pub fn run(options: Options) -> Result<Exit, Failure> {
    let mut model = open_model(options.model.as_deref())?;
    if let Some(profile) = options.profile {
        model.decide_by(profile).exit(Exit::Refused)?;
    }
    let files = walk(&options.paths)?;
    if options.evidence_map.is_some() && files.len() != 1 {
        return Err(anyhow!("an evidence map is of one radiograph, and there are {}: name one", files.len()))
            .exit(Exit::Usage);
    }
    let mut inputs = match &options.inputs {
        Some(path) => {
            let file =
                File::create(path).with_context(|| format!("cannot write the inputs to {}", Shown(path.display())))?;
            Some(BufWriter::new(file))
        }
        None => None,
    };
    let mut out = BufWriter::new(io::stdout().lock());
    if !options.json {
        writeln!(out, "path,probability,verdict,code")?;
    }
    let bar = progress::bar(files.len(), "judging");
    let start = Instant::now();
    let mut exit = Exit::Done;
    for batch in files.chunks(BATCH) {
        let answers: Vec<Result<FileOutcome, Failure>> =
            batch.par_iter().map(|path| judge(&model, path, options.invert, options.evidence_map.is_some())).collect();
        // Lines and the bar would run into each other on a terminal.
        bar.suspend(|| {
            for (path, answer) in batch.iter().zip(answers) {
                let answer = answer?;
                match &answer {
                    FileOutcome::Judged { input, evidence_map, .. } => {
                        if let Some(inputs) = &mut inputs {
                            inputs.write_all(input)?;
                        }
                        if let (Some(path), Some(png)) = (&options.evidence_map, evidence_map) {
                            write_atomically(path, png).with_context(|| {
                                format!(
                                    "cannot write {}: name a file in a folder that can be written",
                                    Shown(path.display())
                                )
                            })?;
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
        bar.inc(batch.len() as u64);
    }
    bar.finish_and_clear();
    if let Some(mut inputs) = inputs {
        inputs.flush()?;
    }
    let seconds = start.elapsed().as_secs_f64();
    base::say!("{} image(s) in {seconds:.1} s: {:.0} images/s", files.len(), files.len() as f64 / seconds);
    Ok(exit)
}

/// The files named, and those in the folders named, in order; hidden ones in folders are passed over.
fn walk(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    for path in paths {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let visible =
            |entry: &walkdir::DirEntry| entry.depth() == 0 || !entry.file_name().as_encoded_bytes().starts_with(b".");
        let before = files.len();
        for entry in WalkDir::new(path).sort_by_file_name().into_iter().filter_entry(visible) {
            let entry = entry.with_context(|| format!("cannot read the folder {}", Shown(path.display())))?;
            if !entry.file_type().is_dir() {
                files.push(entry.into_path());
            }
        }
        if files.len() == before {
            return Err(anyhow!("the folder {} is empty: name one with radiographs", Shown(path.display())).into());
        }
    }
    Ok(files)
}

fn judge(model: &Model, path: &Path, invert: bool, evidence_map: bool) -> Result<FileOutcome, Failure> {
    let bytes = match read_radiograph(path) {
        Ok(bytes) => bytes,
        Err(ReadError::Refused(refusal)) => return Ok(FileOutcome::Refused(refusal)),
        Err(ReadError::Io(error)) => return Ok(FileOutcome::Unreadable(error)),
    };
    let radiograph = match decode::decode(&bytes) {
        Ok(radiograph) => radiograph,
        Err(refusal) => return Ok(FileOutcome::Refused(refusal)),
    };
    let picture = if invert { radiograph.picture().inverted() } else { radiograph.picture() };
    let card = model.card();
    let input = match admit(&picture, radiograph.facts().age_months, card) {
        Ok(input) => input,
        Err(refusal) => return Ok(FileOutcome::Refused(refusal)),
    };
    let judgement = model.judge(&input)?;
    let verdict = match judgement.verdict {
        Ok(verdict) => verdict,
        Err(refusal) => return Ok(FileOutcome::Refused(refusal)),
    };
    let evidence_map = if evidence_map {
        let size = [picture.width(), picture.height()];
        let evidence = judgement.evidence(card, size).ok_or(OcclusionError::NoMap)?;
        Some(evidence_map::png(&picture, &evidence, judgement.window, card)?)
    } else {
        None
    };
    Ok(FileOutcome::Judged { input: input.into_pixels(), score: judgement.examination.score, verdict, evidence_map })
}

fn write_csv(out: &mut impl Write, path: &Path, answer: &FileOutcome) -> io::Result<()> {
    let (probability, verdict, code) = match answer {
        FileOutcome::Judged { score, verdict, .. } => {
            (score.probability.to_string(), verdict.as_str(), verdict.code().to_string())
        }
        FileOutcome::Refused(refusal) => (String::new(), "refused", refusal.code().to_string()),
        FileOutcome::Unreadable(_) => (String::new(), "unreadable", String::new()),
    };
    let mut row = csv::Writer::from_writer(out);
    row.write_record([&*cell::text(&path.to_string_lossy()), &probability, verdict, &code])?;
    row.flush()
}

fn to_json(path: &Path, answer: &FileOutcome, synthetic: bool) -> Value {
    let path = path.to_string_lossy();
    match answer {
        FileOutcome::Judged { score, verdict, .. } => json!({
            "path": path, "verdict": verdict.as_str(), "code": verdict.code(), "probability": score.probability,
            "logit": score.logit, "synthetic_model": synthetic,
        }),
        FileOutcome::Refused(refusal) => json!({
            "path": path, "verdict": "refused", "refusal": refusal.as_str(), "code": refusal.code(),
            "message": refusal.to_string(),
        }),
        FileOutcome::Unreadable(error) => json!({ "path": path, "error": error.to_string() }),
    }
}
