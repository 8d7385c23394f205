//! `pumua key`: makes a pair of keys.

use std::{
    io::{self, Write},
    path::Path,
};

use anyhow::{Context, bail};
use base::{
    Shown,
    files::{OutputFile, write_new},
};
use rustix::rand::{GetRandomFlags, getrandom};
use trust::{KeyId, SecretKey};

use super::quoted;
use crate::exit::{Exit, Failure};

/// Options of `pumua key`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "No password protects the secret key: keep it off the network. `minisign -G` makes one with a password, and \
    `minisign -S` signs with it."
)]
pub struct Options {
    /// File of the secret key to write; the public key is written beside it, as FILE.pub
    #[arg(value_name = "FILE")]
    out: OutputFile,
}

/// Makes a pair of keys, and prints the public one.
pub fn run(options: Options) -> Result<Exit, Failure> {
    let mut name = options.out.file_name().unwrap_or_default().to_owned();
    name.push(".pub");
    let public = options.out.with_file_name(name);
    super::check_outputs(&[], &[&options.out, &public], &[])?;
    let key = SecretKey::of_seed(&random()?, KeyId(random()?));
    let write = |path: &Path, text: &str| {
        write_new(path, text.as_bytes())
            .with_context(|| format!("cannot write {}: name a file that is not there yet", Shown(path.display())))
    };
    // A secret key beside another one's public half would be taken for it.
    write(&public, &key.public().to_file())?;
    write(&options.out, &key.to_file()).inspect_err(|_| drop(std::fs::remove_file(&public)))?;
    base::say!("keep {} secret, and a copy of it elsewhere; give {} away", quoted(&*options.out), quoted(&public));
    base::say!("its fingerprint is {}", key.public().fingerprint());
    writeln!(io::stdout(), "{}", key.public())?;
    Ok(Exit::Done)
}

/// Bytes that nobody can guess.
fn random<const N: usize>() -> anyhow::Result<[u8; N]> {
    let mut bytes = [0; N];
    // The kernel gives so few at once, or none.
    let count =
        getrandom(&mut bytes, GetRandomFlags::empty()).context("the kernel gives no random numbers: try again")?;
    if count < N {
        bail!("the kernel gives too few random numbers: try again");
    }
    Ok(bytes)
}
