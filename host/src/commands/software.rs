//! `pumua update` of a bundle: sends the box another program.

use std::{
    io::{self, Write},
    path::Path,
    time::{Duration, Instant},
};

use anyhow::Context;
use base::{Shown, files::read_up_to};
use indicatif::{HumanBytes, ProgressBar};
use link::{Delivered, Delivering, LinkError, Patience, PortOptions, deliver};
use serde_json::{Value, json};
use serve::{Contents, NotSent};
use setup::bundle::{Bundle, BundleError};
use shared::{
    limits::MAX_BUNDLE_BYTES,
    verdict::{Digest, SoftwareRefusal},
};
use trust::{Kind, Signature, Statement};
use wire::SoftwareStage;

use super::{send::style, sign::read_bundle, started_as};
use crate::{
    exit::{Exit, Failure, WithExit},
    output,
};

/// What a file says of itself.
struct Said {
    version: String,
    kernel: String,
    /// Digest of what is signed.
    payload: Digest,
    /// What its signer says, if anybody has signed it.
    statement: Option<Statement>,
}

/// How much was sent, and in what time.
#[derive(Default)]
struct Sent {
    /// Bytes that the box had before.
    first: Option<u32>,
    done: u32,
    took: Duration,
}

impl Sent {
    fn bytes(&self) -> u64 {
        u64::from(self.done.saturating_sub(self.first.unwrap_or(self.done)))
    }

    fn report(&self) {
        let seconds = self.took.as_secs_f64();
        if self.bytes() > 0 && seconds > 0.0 {
            let rate = self.bytes() as f64 / seconds;
            base::say!("{} sent in {seconds:.0} s: {rate:.0} bytes/s", HumanBytes(self.bytes()));
        }
    }
}

/// Sends a bundle, from where it was cut off before, and says what is to be done next.
pub(super) fn send(path: &Path, port: &PortOptions, json: bool) -> Result<Exit, Failure> {
    let said = look(&read_bundle(path)?)?;
    let name = Shown(path.file_name().unwrap_or(path.as_os_str()).display()).to_string();
    base::say!(
        "the bundle has the version {} of the box's program; a research aid, not a medical device",
        Shown(&said.version)
    );
    if said.statement.is_none() {
        base::say!("the bundle is not signed: only a box for development takes it");
    }
    let file = read_up_to(path, MAX_BUNDLE_BYTES).with_context(|| format!("cannot read {name}: copy it again"))?;
    let start = Instant::now();
    // Draws on a terminal only.
    let bar = ProgressBar::new(file.len() as u64).with_style(style()).with_message(name);
    let (mut sent, mut told) = (Sent::default(), String::new());
    let delivered = deliver(port, &file, &said.version, Patience::default(), |delivering| match delivering {
        Delivering::Sent { done, .. } => {
            if sent.first.is_none() && done > 0 {
                bar.suspend(|| base::say!("the box has {} of it already", HumanBytes(done.into())));
            }
            sent.first.get_or_insert(done);
            // A piece that was cut off counts once.
            sent.done = sent.done.max(done);
            bar.set_prefix("");
            bar.set_position(done.into());
        }
        Delivering::Installing => bar.set_prefix("installing"),
        Delivering::Waiting(error) => {
            let now = error.to_string();
            if told != now {
                bar.suspend(|| base::say!("{now}; trying again, from where it was cut off"));
                told = now;
            }
        }
    });
    bar.finish_and_clear();
    sent.took = start.elapsed();
    sent.report();
    let delivered = delivered.map_err(|error| stopped(error, sent.done > 0))?;
    let text = if json {
        output::json(&to_json(delivered, &said, Digest::of(&file), &sent))
    } else {
        to_text(delivered, &said)
    };
    writeln!(io::stdout(), "{text}")?;
    Ok(exit(delivered))
}

/// What a bundle says of itself, as far as it can be seen here: what was signed must be what is there.
fn look(bundle: &Bundle) -> Result<Said, Failure> {
    let statement = match bundle.head().signature {
        None => None,
        Some(text) => {
            let signature = Signature::of_file(text).exit(Exit::Refused)?;
            let statement = signature.comment.parse::<Statement>().exit(Exit::Refused)?;
            if statement.kind != Kind::Software {
                return Err(SoftwareRefusal::OtherKind).exit(Exit::Refused);
            }
            if statement.digest != bundle.digests.sha256 {
                return Err(SoftwareRefusal::WrongSignature).exit(Exit::Refused);
            }
            Some(statement)
        }
    };
    let (version, kernel) = (bundle.version.clone(), bundle.kernel.clone());
    Ok(Said { version, kernel, payload: bundle.digests.sha256, statement })
}

/// Looks at a file that came in at the page, as [`send`] looks at one that is named.
pub(super) fn examine(path: &Path) -> Result<Contents, NotSent> {
    let bundle = Bundle::read(path).map_err(|error| match error {
        BundleError::Read { source, .. } => NotSent::Read(source),
        BundleError::Unlike { .. } | BundleError::Write { .. } => NotSent::Refused(SoftwareRefusal::NotABundle),
    })?;
    let said = look(&bundle).map_err(|Failure { error, .. }| {
        // What cannot be read as a signature is not that of this bundle.
        NotSent::Refused(error.downcast_ref::<SoftwareRefusal>().copied().unwrap_or(SoftwareRefusal::WrongSignature))
    })?;
    Ok(Contents { version: said.version, signed: said.statement.is_some() })
}

/// What has come is kept, and nothing else has changed.
fn stopped(error: LinkError, has_begun: bool) -> Failure {
    let words = if has_begun {
        format!(
            "the box runs the program that it has, and keeps what has come of the new one: run the same command again to go on, or ask \
             with `{} info` what became of it",
            started_as()
        )
    } else {
        "the box keeps the program that it has".to_owned()
    };
    Failure::of_link(error).context(words)
}

fn exit(delivered: Delivered) -> Exit {
    match delivered {
        Delivered::Staged | Delivered::AlreadyThere(_) => Exit::Done,
        Delivered::Refused(SoftwareRefusal::NotStored) => Exit::Box,
        Delivered::Refused(_) => Exit::Refused,
    }
}

const NEXT: &str = "switch the box off and on to start it";

fn to_text(delivered: Delivered, said: &Said) -> String {
    let version = Shown(&said.version);
    match delivered {
        Delivered::Staged => {
            format!("staged: {version}; {NEXT}; `{} info` then says whether it stays", started_as())
        }
        Delivered::AlreadyThere(SoftwareStage::Confirmed) => format!("unchanged: the box already runs {version}"),
        Delivered::AlreadyThere(_) => format!("unchanged: the box already has {version}; {NEXT}"),
        Delivered::Refused(refusal) => {
            format!("REFUSED  {refusal} (code {}); the box continues with the program that it has", refusal.code())
        }
    }
}

fn to_json(delivered: Delivered, said: &Said, file: Digest, sent: &Sent) -> Value {
    let statement = said.statement.as_ref();
    let mut object = json!({
        "status": "unchanged", "version": said.version, "kernel": said.kernel, "bundle": said.payload.to_string(),
        "file": file.to_string(), "name": statement.map(|it| it.name.as_str()), "counter": statement.map(|it| it.counter),
        "bytes": sent.bytes(), "seconds": (sent.took.as_secs_f64() * 1000.0).round() / 1000.0,
    });
    match delivered {
        Delivered::Staged => object["status"] = "staged".into(),
        Delivered::AlreadyThere(stage) => object["stage"] = stage.as_str().into(),
        Delivered::Refused(refusal) => {
            output::reject(&mut object, refusal.as_str(), refusal.code(), refusal);
        }
    }
    object
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said() -> Said {
        let (version, kernel) = ("0.2.0\u{1b}[2J".to_owned(), "6.1".to_owned());
        Said { version, kernel, payload: Digest::of(b"payload"), statement: None }
    }

    #[test]
    fn what_is_to_be_done_next_is_said() {
        let text = |delivered| to_text(delivered, &said());
        for delivered in [Delivered::Staged, Delivered::AlreadyThere(SoftwareStage::Staged)] {
            assert!(text(delivered).contains("switch the box off and on"), "{}", text(delivered));
        }
        assert!(text(Delivered::AlreadyThere(SoftwareStage::Confirmed)).starts_with("unchanged: the box already runs"));
        assert!(text(Delivered::Refused(SoftwareRefusal::NoSlots)).contains("(code 420)"));
        assert!(!text(Delivered::Staged).contains(base::shown::is_hidden));
    }

    #[test]
    fn json_and_exit_codes_say_the_same() {
        let sent = Sent { first: Some(100), done: 1_100, took: Duration::from_millis(1_500) };
        for (delivered, status, code) in [
            (Delivered::Staged, "staged", Exit::Done),
            (Delivered::AlreadyThere(SoftwareStage::Confirmed), "unchanged", Exit::Done),
            (Delivered::Refused(SoftwareRefusal::Older), "rejected", Exit::Refused),
            (Delivered::Refused(SoftwareRefusal::NotStored), "rejected", Exit::Box),
        ] {
            let value = to_json(delivered, &said(), Digest::of(b"file"), &sent);
            assert_eq!((value["status"].as_str(), exit(delivered)), (Some(status), code));
            assert_eq!((&value["bytes"], &value["seconds"]), (&json!(1_000), &json!(1.5)));
        }
    }
}
