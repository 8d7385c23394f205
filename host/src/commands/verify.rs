//! `pumua verify`: looks who has signed a model, a bundle of the box's own program, the image of a memory card, or settings.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

use anyhow::anyhow;
use base::Shown;
use engine::MAX_MODEL_BYTES;
use serde_json::json;
use setup::{bundle::Bundle, flash::Image, model_for_box::ModelForBox, signed_image::BesideImage, site_file::SiteFile};
use trust::{CheckedImage, CheckedSite, Gate, Refused, Roots, Version};

use super::{
    keys, model_for_box,
    sign::{read_bundle, read_image},
    site,
};
use crate::{
    exit::{Exit, Failure, WithExit},
    output,
};

/// Options of `pumua verify`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Beside a model, an image or settings lie their signature, FILE.minisig, and the list of the keys that may sign, keys.txt, \
    with its own. A bundle has all of them within it."
)]
pub struct Options {
    /// ONNX model, bundle made by `pumua bundle`, image made by `pumua image`, or site file with settings (`.toml`) [default: the model that
    /// ships]
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// Public key of a root; repeat it for more [default: the test key, with which anybody can sign]
    #[arg(long, value_name = "FILE")]
    root: Vec<PathBuf>,
    /// How many of the roots must have signed the list of keys [default: all of them]
    #[arg(long, value_name = "K", requires = "root")]
    needed: Option<u8>,
    /// Public key of a clinic, which a person has added at the box: it may sign settings; repeat it for more
    #[arg(long, value_name = "FILE")]
    own_key: Vec<PathBuf>,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

/// Says what a box would say to a model, a bundle or settings, and `pumua flash` to an image, by who has signed it.
pub fn run(options: Options) -> Result<Exit, Failure> {
    let Options { file, root, needed, own_key, json } = options;
    if !own_key.is_empty() && !file.as_deref().is_some_and(SiteFile::is_one) {
        let words = "a key of a clinic signs settings alone: name a site file, whose name ends in .toml, or leave out --own-key";
        return Err(anyhow!(words)).exit(Exit::Usage);
    }
    let roots = keys::roots(&root, needed)?;
    let version = env!("CARGO_PKG_VERSION").parse::<Version>()?;
    let text = match file.as_deref() {
        Some(file) if Bundle::is_one(file) => of_bundle(Gate::for_software(roots, false, version), file, json)?,
        Some(file) if SiteFile::is_one(file) => {
            let mut gate = Gate::for_site(roots, version);
            gate.set_own(own_key.iter().map(|path| keys::public(path)).collect::<anyhow::Result<_>>()?);
            of_site(gate, file, json)?
        }
        Some(file) if Image::is_one(file) => of_image(roots, version, file, json)?,
        file => {
            let chosen = model_for_box::load(file, MAX_MODEL_BYTES, true)?;
            look(&mut Gate::new(roots, false, version), &chosen, json).exit(Exit::Refused)?
        }
    };
    writeln!(io::stdout(), "{text}")?;
    Ok(Exit::Done)
}

fn of_bundle(mut gate: Gate, file: &Path, json: bool) -> Result<String, Failure> {
    let bundle = read_bundle(file)?;
    let head = bundle.head();
    let learnt = gate.learn_head(&head);
    let checked = learnt.and_then(|()| gate.check_software(&head, &bundle.digests));
    // A gate that takes nothing unsigned has looked at a statement.
    let stated = checked.and_then(|checked| Ok((checked.trust, checked.statement.ok_or(Refused::NotSigned)?)));
    // In the words of the box, which are those of bundles.
    let (trust, statement) = stated.map_err(|refused| refused.software_refusal()).exit(Exit::Refused)?;
    let trust = trust.as_str();
    Ok(if json {
        output::json(&json!({
            "trust": trust, "line": statement.line, "counter": statement.counter, "box": statement.least.to_string(),
            "made": statement.made, "name": statement.name, "bundle": statement.digest.to_string(),
            "version": bundle.version, "kernel": bundle.kernel,
        }))
    } else {
        format!("{trust}  {statement}\nversion {}, kernel {}", Shown(&bundle.version), Shown(&bundle.kernel))
    })
}

fn of_site(mut gate: Gate, file: &Path, json: bool) -> Result<String, Failure> {
    let site = site::read(file)?;
    let package = site.package();
    let checked = gate.learn(&package).and_then(|()| gate.check_site(package.signature, package.model));
    // In the words of the box, which are those of settings.
    let checked = checked.map_err(|refused| refused.site_refusal()).exit(Exit::Refused)?;
    let CheckedSite { trust, seen, statement, is_own } = checked;
    let trust = trust.as_str();
    Ok(if json {
        output::json(&json!({
            "trust": trust, "line": statement.line, "counter": statement.counter, "box": statement.least.to_string(),
            "made": statement.made, "name": statement.name, "site": statement.digest.to_string(),
            "key": seen.key.to_string(), "own_key": is_own,
        }))
    } else {
        format!("{trust}  {statement}")
    })
}

fn of_image(roots: Option<Roots>, version: Version, file: &Path, json: bool) -> Result<String, Failure> {
    let beside = BesideImage::read(file).exit(Exit::Refused)?;
    let image = read_image(file)?;
    let checked = beside.check(roots, version, image.file_digests()).exit(Exit::Refused)?;
    let CheckedImage { trust, key, statement } = checked;
    let trust = trust.as_str();
    Ok(if json {
        output::json(&json!({
            "trust": trust, "line": statement.line, "counter": statement.counter, "box": statement.least.to_string(),
            "made": statement.made, "name": statement.name, "image": statement.digest.to_string(), "key": key.to_string(),
        }))
    } else {
        format!("{trust}  {statement}")
    })
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
