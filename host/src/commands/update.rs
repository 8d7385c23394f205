//! `pumua update`: sends another model to the box, other settings, or another program.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::anyhow;
use base::Shown;
use engine::Model;
use indicatif::ProgressBar;
use link::{AnswerError, Connection, LinkError, PortOptions, Sending};
use serde_json::{Value, json};
use setup::{bundle::Bundle, model_for_box::ModelForBox, site_file::SiteFile};
use shared::{
    limits::MAX_UPDATE_BYTES,
    verdict::{Digest, ModelRefusal},
};
use wire::{Info, ModelFile, Phase};

use super::{model_for_box, send::style, site, software, started_as};
use crate::{
    exit::{Exit, Failure, WithExit},
    output,
};

/// Options of `pumua update`.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// ONNX model made by `pumua train` or `pumua quantize`, site file with settings (`.toml`), or bundle of the box's program made by
    /// `pumua bundle`: that goes on where it was cut off before
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    port: PortOptions,
    /// Also send a model that was trained on synthetic radiographs: its answers mean nothing medically
    #[arg(long)]
    allow_synthetic: bool,
    /// Public key that has signed the site file, and that a person is to add at the box: its screen shows the fingerprint, to be compared
    /// with the one here
    #[arg(long, value_name = "FILE")]
    add_key: Option<PathBuf>,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

/// Sends another model, settings or program to the box, unless the box already has it.
pub fn run(options: Options) -> Result<Exit, Failure> {
    let Options { file: path, port, allow_synthetic, add_key, json } = options;
    if SiteFile::is_one(&path) {
        return site::send(&path, &port, add_key.as_deref(), json);
    }
    if add_key.is_some() {
        let words = "a key is added at a box for settings alone: name a site file, whose name ends in .toml, or leave out --add-key";
        return Err(anyhow!(words)).exit(Exit::Usage);
    }
    if Bundle::is_one(&path) {
        return software::send(&path, &port, json);
    }
    let chosen = model_for_box::load(Some(&path), u64::from(MAX_UPDATE_BYTES), allow_synthetic)?;
    let file = ModelFile::new(chosen.package().to_bytes()).exit(Exit::Refused)?;
    let ModelForBox { model, signature, list, .. } = chosen;
    let bare = signature.is_none() && list.is_none();
    if signature.is_none() {
        base::say!("the model is not signed: only a box for development takes it");
    }
    let mut connection = Connection::open(&port).map_err(Failure::of_link)?;
    let info = connection.info().map_err(Failure::of_link)?;
    base::say!("the box has the model {} ({:.12})", Shown(&info.model), info.model_digest);
    base::say!(
        "the new model is {} ({:.12}); a research aid, not a medical device",
        Shown(&model.card().name),
        model.digest()
    );
    let start = Instant::now();
    let (new, bytes) = (model.digest(), file.bytes.len());
    // What comes with it may be new: a signature by another key, or a list that revokes one.
    let answer = if new == info.model_digest && bare {
        UpdateOutcome::Same
    } else {
        transfer(&mut connection, &path, file, &model).map_err(|error| {
            if !connection.sent_whole() {
                return Failure::of_link(error).context("the box keeps the model that it has");
            }
            let advice =
                format!("ask with `{} info` which model the box has, then send it again if need be", started_as());
            Failure::unconfirmed(error, format!("the update is not confirmed: {advice}"))
        })?
    };
    let text = if json {
        output::json(&to_json(&answer, &info, &model, new, bytes, start.elapsed()))
    } else {
        to_text(&answer, &info, &model, new)
    };
    writeln!(io::stdout(), "{text}")?;
    Ok(answer.exit())
}

/// The outcome of an update.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum UpdateOutcome {
    /// The box has the model already; nothing was sent.
    Same,
    Updated,
    Rejected(ModelRefusal),
}

impl UpdateOutcome {
    fn exit(self) -> Exit {
        match self {
            Self::Same | Self::Updated => Exit::Done,
            Self::Rejected(ModelRefusal::NotStored) => Exit::Box,
            Self::Rejected(_) => Exit::Refused,
        }
    }
}

fn transfer(
    connection: &mut Connection,
    path: &Path,
    file: ModelFile,
    model: &Model,
) -> Result<UpdateOutcome, LinkError> {
    let name = Shown(path.file_name().unwrap_or(path.as_os_str()).display()).to_string();
    // Draws on a terminal only.
    let bar = ProgressBar::new(file.bytes.len() as u64).with_style(style()).with_message(name);
    let answer = connection.update(file, model.digest(), |sending| match sending {
        Sending::Sent { done, .. } => bar.set_position(u64::from(done)),
        Sending::Phase(Phase::Installing) => bar.set_prefix("installing"),
        Sending::Phase(Phase::Receiving | Phase::Decoding | Phase::Analysing) => {}
    });
    bar.finish_and_clear();
    match answer? {
        // The connection has looked at the digest.
        Ok(installed) if installed.model.as_str() != model.card().name => Err(AnswerError::Model.into()),
        Ok(_) => Ok(UpdateOutcome::Updated),
        Err(refusal) => Ok(UpdateOutcome::Rejected(refusal)),
    }
}

fn to_text(answer: &UpdateOutcome, info: &Info, model: &Model, new: Digest) -> String {
    let (from, to) =
        (format!("{} ({})", Shown(&info.model), info.model_digest), format!("{} ({new})", Shown(&model.card().name)));
    match answer {
        UpdateOutcome::Same => format!("unchanged: the box already has {to}"),
        UpdateOutcome::Updated => format!("updated: {from} -> {to}"),
        UpdateOutcome::Rejected(refusal) => {
            format!("REJECTED  {refusal} (code {}); the box continues with {from}", refusal.code())
        }
    }
}

fn to_json(answer: &UpdateOutcome, info: &Info, model: &Model, new: Digest, bytes: usize, took: Duration) -> Value {
    let mut object = json!({
        "status": "unchanged", "from": info.model_digest.to_string(), "to": new.to_string(),
        "from_model": info.model.as_str(), "to_model": model.card().name, "synthetic_model": model.card().provenance.synthetic,
    });
    match answer {
        UpdateOutcome::Same => {}
        UpdateOutcome::Updated => {
            object["status"] = "updated".into();
            object["bytes"] = bytes.into();
            object["seconds"] = ((took.as_secs_f64() * 1000.0).round() / 1000.0).into();
        }
        UpdateOutcome::Rejected(refusal) => {
            output::reject(&mut object, refusal.as_str(), refusal.code(), refusal);
        }
    }
    object
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_storage_is_a_fault_of_the_box() {
        for &refusal in ModelRefusal::ALL {
            let exit = if refusal == ModelRefusal::NotStored { Exit::Box } else { Exit::Refused };
            assert_eq!(UpdateOutcome::Rejected(refusal).exit(), exit);
        }
        assert_eq!((UpdateOutcome::Same.exit(), UpdateOutcome::Updated.exit()), (Exit::Done, Exit::Done));
    }
}
