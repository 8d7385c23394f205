//! `pumua view --sheet`: many radiographs on one picture, for looking them over by eye.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

use anyhow::Context;
use base::{
    Shown,
    files::{ReadError, read_radiograph, write_atomically},
    progress,
};
use engine::Model;
use rayon::prelude::*;
use report::contact_sheet::{self, Entry, Small};

use super::{
    predict::{is_walked, walk},
    view::look,
};
use crate::exit::{Exit, Failure};

/// What is to be drawn, and how it is judged.
pub(super) struct Asked<'a> {
    /// A folder, or a file.
    pub(super) path: &'a Path,
    /// Where the sheet goes.
    pub(super) out: &'a Path,
    /// How many radiographs it shows at most.
    pub(super) most: usize,
    pub(super) invert: bool,
    pub(super) any_age: bool,
}

/// Checks that the sheet replaces nothing that is read for it.
pub(super) fn check(read: &[&Path], out: &Path) -> Result<(), Failure> {
    super::check_outputs_where(read, is_walked, &[out], &[])
}

/// Judges the radiographs of a folder in the order of their names, draws them, and lists them by their numbers on the sheet.
pub(super) fn draw(model: &Model, asked: &Asked<'_>) -> Result<Exit, Failure> {
    let files = walk(&[asked.path.to_owned()])?;
    let shown = &files[..files.len().min(asked.most)];
    if shown.len() < files.len() {
        let (shown, all) = (shown.len(), files.len());
        base::say!(
            "the sheet shows the first {shown} of {all} files: ask for more with `--most`, or name a smaller folder"
        );
    }
    let bar = progress::bar(shown.len(), "judging");
    let judged: Result<Vec<(Entry, Exit)>, Failure> = shown
        .par_iter()
        .map(|path| {
            let judged = judge(model, path, asked);
            bar.inc(1);
            judged
        })
        .collect();
    bar.finish_and_clear();
    let (entries, exits): (Vec<Entry>, Vec<Exit>) = judged?.into_iter().unzip();
    let png = contact_sheet::png(&entries)?;
    write_atomically(asked.out, &png).with_context(|| {
        format!("cannot write {}: name a file in a folder that can be written", Shown(asked.out.display()))
    })?;
    list(shown, &entries)?;
    base::say!("the sheet shows patients' radiographs: {}", Shown(asked.out.display()));
    let ended = |exit: Exit| exits.contains(&exit);
    Ok(if ended(Exit::Failed) {
        Exit::Failed
    } else if ended(Exit::Refused) {
        Exit::Refused
    } else {
        Exit::Done
    })
}

/// The names, which are not on the sheet: they may be patients'.
fn list(files: &[PathBuf], entries: &[Entry]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for (number, (path, entry)) in (1..).zip(files.iter().zip(entries)) {
        writeln!(out, "{number:>4}  {:<28}  {}", entry.words, Shown(path.display()))?;
    }
    Ok(())
}

/// The place of a file on the sheet, and how `pumua predict` would end for it.
fn judge(model: &Model, path: &Path, asked: &Asked<'_>) -> Result<(Entry, Exit), Failure> {
    let without = |words: &str, exit| Ok((Entry { film: None, words: words.to_owned() }, exit));
    let decoded = match read_radiograph(path) {
        Ok(bytes) => decode::decode(&bytes),
        Err(ReadError::Refused(refusal)) => Err(refusal),
        Err(ReadError::Io(_)) => return without("unreadable", Exit::Failed),
    };
    let radiograph = match decoded {
        Ok(radiograph) => radiograph,
        Err(refusal) => return without(refusal.as_str(), Exit::Refused),
    };
    let looked = look(model, &radiograph, asked.invert, asked.any_age)?;
    let picture = if asked.invert { radiograph.picture().inverted() } else { radiograph.picture() };
    let film = Some(Small::of(&picture, looked.prepared.window())?);
    Ok(match looked.judgement.verdict {
        Ok(verdict) => {
            let probability = looked.judgement.examination.score.probability;
            let [decimals, ..] = model.card().behaviour.point.decimals(probability, 1.0, 3);
            let words = format!("{} {probability:.decimals$}", verdict.as_str());
            (Entry { film, words }, Exit::Done)
        }
        Err(refusal) => (Entry { film, words: refusal.as_str().to_owned() }, Exit::Refused),
    })
}
