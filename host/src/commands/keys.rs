//! `pumua keys`: makes the list of the keys that may sign models, bundles, images and settings.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use anyhow::Context;
use base::{
    Shown,
    files::{OutputFile, read_text, write_atomically},
};
use setup::model_for_box::beside;
use trust::{KeyId, KeyList, MAX_LIST_BYTES, PublicKey, Roots, SecretKey, Signature};

use super::quoted;
use crate::exit::{Exit, Failure, WithExit};

/// Options of `pumua keys`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The list counts when enough of the roots have signed it. Whoever has a root elsewhere signs the file with \
    `minisign -S -m keys.txt`; the signatures are put one behind the other in keys.txt.minisig."
)]
pub struct Options {
    /// Number of the list: greater than that of the list before
    #[arg(long, value_name = "N")]
    counter: u64,
    /// Public key that may sign; repeat it for more. Without any, nobody may
    #[arg(long = "key", value_name = "FILE")]
    public: Vec<PathBuf>,
    /// Name of a key that may not any more, as in its file, up to 16 digits; repeat it for more
    #[arg(long, value_name = "ID")]
    revoke: Vec<KeyId>,
    /// Secret key of a root that signs the list; repeat it for more
    #[arg(long, value_name = "FILE")]
    root: Vec<PathBuf>,
    /// List to write; its signatures are written beside it
    #[arg(long, value_name = "FILE", default_value = "keys.txt")]
    out: OutputFile,
}

/// Writes a list and its signatures.
pub fn run(options: Options) -> Result<Exit, Failure> {
    let signatures = beside(&options.out);
    let read: Vec<&Path> = options.public.iter().chain(&options.root).map(PathBuf::as_path).collect();
    super::check_outputs(&read, &[&options.out, &signatures], &[])?;
    let keys = options.public.iter().map(|path| public(path)).collect::<anyhow::Result<Vec<_>>>()?;
    let roots = options.root.iter().map(|path| secret(path)).collect::<anyhow::Result<Vec<_>>>()?;
    let list = KeyList { counter: options.counter, keys, revoked: options.revoke }.to_file();
    KeyList::read(&list)
        .context("a list names each key once, at most 64, and revokes none of them: correct the options")?;
    let sign = |root| Signature::new(root, list.as_bytes(), format!("counter {}", options.counter)).to_file();
    let signed: String = roots.iter().map(sign).collect();
    let write = |path: &Path, text: &str| {
        write_atomically(path, text.as_bytes())
            .with_context(|| format!("cannot write {}: name another file with --out", Shown(path.display())))
    };
    write(&options.out, &list)?;
    if roots.is_empty() {
        // Those of a list before are not this one's.
        match fs::remove_file(&signatures) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => base::say!("nobody has signed the list yet: {} is to hold the signatures", quoted(&signatures)),
        }
    } else {
        write(&signatures, &signed)?;
        base::say!("signed by {} of the roots: {}", roots.len(), quoted(&signatures));
    }
    write!(io::stdout(), "{list}")?;
    Ok(Exit::Done)
}

/// The roots that options name, of which so many must have signed, or all; `None` where they name none.
pub(super) fn roots(files: &[PathBuf], needed: Option<u8>) -> Result<Option<Roots>, Failure> {
    if files.is_empty() {
        return Ok(None);
    }
    let roots = files.iter().map(|path| public(path)).collect::<anyhow::Result<Vec<_>>>()?;
    let needed = needed.map_or(roots.len(), usize::from);
    Ok(Some(Roots::new(roots, needed).exit(Exit::Usage)?))
}

/// Reads a public key.
pub(super) fn public(path: &Path) -> anyhow::Result<PublicKey> {
    PublicKey::of_file(&text(path)?).with_context(|| format!("the key {} cannot be used", Shown(path.display())))
}

/// Reads a secret key.
pub(super) fn secret(path: &Path) -> anyhow::Result<SecretKey> {
    SecretKey::of_file(&text(path)?).with_context(|| format!("the key {} cannot be used", Shown(path.display())))
}

fn text(path: &Path) -> anyhow::Result<String> {
    read_text(path, MAX_LIST_BYTES as u64)
        .with_context(|| format!("cannot read the key {}: name a file that you may read", Shown(path.display())))
}
