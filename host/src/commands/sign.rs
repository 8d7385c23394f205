//! `pumua sign`: says that a model is good.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

use anyhow::Context;
use base::{Shown, calendar, files::write_atomically};
use engine::MAX_MODEL_BYTES;
use setup::model_for_box::beside;
use shared::calendar::credible;
use trust::{LINE, Signature, Statement, Version};

use super::{keys, model_for_box, quoted};
use crate::exit::{Exit, Failure, WithExit};

/// Options of `pumua sign`.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// ONNX model made by `pumua train` or `pumua quantize`; the signature is written beside it, as MODEL.minisig
    #[arg(value_name = "MODEL")]
    file: PathBuf,
    /// Secret key, which no password protects. Without it the comment is printed that `minisign -S -m MODEL -t "COMMENT"` is to
    /// sign
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Number of the model: greater than that of every one that was signed before, else boxes that had those refuse it. To have
    /// boxes go back, sign the earlier model once more with a greater one
    #[arg(long, value_name = "N")]
    counter: u64,
    /// Earliest version of the box's program that can use it
    #[arg(long = "box", value_name = "VERSION", default_value = env!("CARGO_PKG_VERSION"))]
    least: Version,
    /// Also sign a model that was trained on synthetic radiographs: its answers mean nothing medically
    #[arg(long)]
    allow_synthetic: bool,
}

/// Signs a model that a box can judge by.
pub fn run(options: Options) -> Result<Exit, Failure> {
    let Options { file, key, counter, least, allow_synthetic } = options;
    let out = beside(&file);
    let read: Vec<&Path> = [Some(&file), key.as_ref()].into_iter().flatten().map(PathBuf::as_path).collect();
    super::check_outputs(&read, &[&out], &[])?;
    let chosen = model_for_box::load(Some(&file), MAX_MODEL_BYTES, allow_synthetic)?;
    // A name in a card is a line of text, and in a statement a word.
    let permitted = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '_' | '-');
    let name = &chosen.model.card().name;
    let name = name.chars().map(|letter| if permitted(letter) { letter } else { '-' }).take(64).collect();
    let digest = chosen.model.digest();
    let now = credible(calendar::now()).context("the clock of this computer is wrong: set it, and sign then")?;
    let made = calendar::utc(now).chars().take_while(|&letter| letter != 'T').collect();
    let statement = Statement { line: LINE.to_owned(), counter, least, made, name, digest }.to_string();
    // What boxes would not understand is not signed.
    statement
        .parse::<Statement>()
        .context("the name in the model's card cannot be signed: train it anew")
        .exit(Exit::Refused)?;
    if let Some(key) = key {
        let signature = Signature::new(&keys::secret(&key)?, &chosen.bytes, statement.clone()).to_file();
        write_atomically(&out, signature.as_bytes())
            .with_context(|| format!("cannot write {}: let this user write there", Shown(out.display())))?;
        base::say!("signed: {} lies beside the model and goes with it", quoted(&out));
    }
    writeln!(io::stdout(), "{statement}")?;
    Ok(Exit::Done)
}
