//! `pumua verify`: looks who has signed a model.

use std::{
    io::{self, Write},
    path::PathBuf,
};

use engine::MAX_MODEL_BYTES;
use serde_json::json;
use setup::model_for_box::ModelForBox;
use trust::{Gate, Refused, Roots, Version};

use super::{keys, model_for_box};
use crate::{
    exit::{Exit, Failure, WithExit},
    output,
};

/// Options of `pumua verify`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Beside MODEL lie its signature, MODEL.minisig, and the list of the keys that may sign, keys.txt, with its own."
)]
pub struct Options {
    /// ONNX model [default: the one that ships]
    #[arg(value_name = "MODEL")]
    file: Option<PathBuf>,
    /// Public key of a root; repeat it for more [default: the test key, with which anybody can sign]
    #[arg(long, value_name = "FILE")]
    root: Vec<PathBuf>,
    /// How many of the roots must have signed the list of keys [default: all of them]
    #[arg(long, value_name = "K", requires = "root")]
    needed: Option<u8>,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

/// Says what a box would say to a model, by who has signed it.
pub fn run(options: Options) -> Result<Exit, Failure> {
    let Options { file, root, needed, json } = options;
    let chosen = model_for_box::load(file.as_deref(), MAX_MODEL_BYTES, true)?;
    let roots = root.iter().map(|path| keys::public(path)).collect::<anyhow::Result<Vec<_>>>()?;
    let needed = needed.map_or(roots.len(), usize::from);
    let roots = if roots.is_empty() { None } else { Some(Roots::new(roots, needed).exit(Exit::Usage)?) };
    let mut gate = Gate::new(roots, false, env!("CARGO_PKG_VERSION").parse::<Version>()?);
    let text = look(&mut gate, &chosen, json).exit(Exit::Refused)?;
    writeln!(io::stdout(), "{text}")?;
    Ok(Exit::Done)
}

fn look(gate: &mut Gate, chosen: &ModelForBox, json: bool) -> Result<String, Refused> {
    let package = chosen.package();
    gate.learn(&package)?;
    let checked = gate.check(&package)?;
    // A gate that takes nothing unsigned has looked at one.
    let statement = checked.statement.ok_or(Refused::NotSigned)?;
    let trust = checked.trust.as_str();
    Ok(if json {
        output::json(&json!({
            "trust": trust, "line": statement.line, "counter": statement.counter, "box": statement.least.to_string(),
            "made": statement.made, "name": statement.name, "model": statement.digest.to_string(),
        }))
    } else {
        format!("{trust}  {statement}")
    })
}
