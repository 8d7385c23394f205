//! The package of this program, for the computer of a clinic.

use std::{env, ffi::OsString, path::PathBuf};

use anyhow::Context;
use base::files::OutputFile;
use setup::{bill, package::pack_for_computer, program::for_computer};

use super::{Made, check, documents::documents};
use crate::exit::Failure;

/// Makes it. Manual pages and completions are those of the program that runs, whose command line is `whole`.
pub(super) fn make(out: Option<OutputFile>, named: Option<PathBuf>, whole: clap::Command) -> Result<Made, Failure> {
    let is_this = named.is_none();
    let path = match named {
        Some(path) => path,
        None => env::current_exe().context("this program does not find itself: name it with --program")?,
    };
    if let Some(out) = &out {
        check(Some(&path), out)?;
    }
    let program = for_computer(&path)?;
    let out = match out {
        Some(out) => out,
        None => {
            let name = format!("runs/pumua_{}_{}.deb", env!("CARGO_PKG_VERSION"), program.needs.architecture);
            let out: OutputFile = OsString::from(name).into();
            check(Some(&path), &out)?;
            out
        }
    };
    let features = [("wgpu", cfg!(feature = "wgpu")), ("cuda", cfg!(feature = "cuda"))];
    let features: Vec<&str> = features.into_iter().filter(|(_, on)| *on).map(|(name, _)| name).collect();
    let crates = if is_this { bill::crates_of_this_program(&features) } else { None };
    if crates.is_none() {
        base::say!(
            "the crates in the program are not known, and not listed; they are of a program that packages itself in the \
                    repository that it was built from"
        );
    }
    let documents = documents(whole).context("the manual pages cannot be written: run this again")?;
    let packed = pack_for_computer(&program, &documents, crates.as_deref(), &out)?;
    let bill = bill::of_package_for_computer(&packed.digest, &program.bytes, crates.as_deref());
    let bill = bill::write(&out, &bill)?;
    Ok(Made { out, packed, bill, next: "copy it to the computer and run there: sudo apt install ./" })
}
