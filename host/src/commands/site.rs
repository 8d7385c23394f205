//! `pumua update` of a site file: sends the box settings of the clinic's own.

use std::{
    io::{self, Write},
    path::Path,
};

use link::{Connection, PortOptions};
use serde_json::{Value, json};
use setup::site_file::{SiteFile, SiteFileError};
use shared::verdict::SiteRefusal;
use trust::{PublicKey, Statement};
use wire::ModelFile;

use super::{keys, started_as};
use crate::{
    exit::{Exit, Failure, WithExit},
    output,
};

/// Reads a site file.
pub(super) fn read(path: &Path) -> Result<SiteFile, Failure> {
    SiteFile::read(path).map_err(failure)
}

fn failure(error: SiteFileError) -> Failure {
    let exit = match error {
        SiteFileError::Read { .. } | SiteFileError::Beside(_) => Exit::Failed,
        SiteFileError::OtherKey => Exit::Usage,
        SiteFileError::Text(_)
        | SiteFileError::Toml { .. }
        | SiteFileError::Wired { .. }
        | SiteFileError::Refused(_) => Exit::Refused,
    };
    Failure { exit, error: error.into() }
}

/// Sends a site file, with the key that has signed it if a person at the box is to add that, and says what is to be done next.
pub(super) fn send(path: &Path, port: &PortOptions, add_key: Option<&Path>, json: bool) -> Result<Exit, Failure> {
    let mut site = read(path)?;
    let statement = site.statement().map_err(failure)?;
    let key = add_key.map(keys::public).transpose()?;
    site.bring_key(key).map_err(failure)?;
    if let Some(key) = key {
        base::say!("the key is {}, and its fingerprint {}", key.id, key.fingerprint());
    }
    let file = ModelFile::new(site.package().to_bytes()).exit(Exit::Refused)?;
    let mut connection = Connection::open(port).map_err(Failure::of_link)?;
    let stored = connection.configure(file, statement.digest).map_err(|error| {
        if !connection.sent_whole() {
            return Failure::of_link(error).context("the box keeps the settings that it has");
        }
        let advice =
            format!("ask with `{} info` which settings the box has, then send them again if need be", started_as());
        Failure::unconfirmed(error, format!("it is not confirmed that the settings are stored: {advice}"))
    })?;
    let refusal = stored.err();
    let text = if json {
        output::json(&to_json(refusal, &statement, key.as_ref()))
    } else {
        to_text(refusal, &statement, key.as_ref())
    };
    writeln!(io::stdout(), "{text}")?;
    Ok(exit(refusal))
}

fn exit(refusal: Option<SiteRefusal>) -> Exit {
    match refusal {
        None => Exit::Done,
        Some(SiteRefusal::NotStored) => Exit::Box,
        Some(_) => Exit::Refused,
    }
}

fn to_text(refusal: Option<SiteRefusal>, statement: &Statement, key: Option<&PublicKey>) -> String {
    match (refusal, key) {
        // A name in a statement has letters and digits alone.
        (None, _) => format!(
            "stored: {}, counter {}; switch the box off and on to have it in force; `{} info` then says whether it is",
            statement.name,
            statement.counter,
            started_as()
        ),
        (Some(SiteRefusal::KeyOffered), Some(key)) => format!(
            "REFUSED  {} (code {}); its fingerprint is {}",
            SiteRefusal::KeyOffered,
            SiteRefusal::KeyOffered.code(),
            key.fingerprint()
        ),
        (Some(refusal), _) => {
            format!("REFUSED  {refusal} (code {}); the box continues with the settings that it has", refusal.code())
        }
    }
}

fn to_json(refusal: Option<SiteRefusal>, statement: &Statement, key: Option<&PublicKey>) -> Value {
    let mut object = json!({
        "status": "stored", "name": statement.name, "counter": statement.counter, "site": statement.digest.to_string(),
        "key": key.map(|key| key.id.to_string()), "fingerprint": key.map(PublicKey::fingerprint),
    });
    if let Some(refusal) = refusal {
        output::reject(&mut object, refusal.as_str(), refusal.code(), refusal);
    }
    object
}

#[cfg(test)]
mod tests {
    use shared::verdict::Digest;
    use trust::{KeyId, Kind, LINE, SecretKey, Version};

    use super::*;

    fn statement() -> Statement {
        let (line, made, name) = (LINE.to_owned(), "2026-11-30".to_owned(), "ward-3".to_owned());
        let (kind, least, digest) = (Kind::Site, Version([0, 1, 0]), Digest::of(b"settings"));
        Statement { kind, line, counter: 7, least, made, name, digest }
    }

    #[test]
    fn text_json_and_exit_codes_say_the_same() {
        for (refusal, status, code) in [
            (None, "stored", Exit::Done),
            (Some(SiteRefusal::Older), "rejected", Exit::Refused),
            (Some(SiteRefusal::NotStored), "rejected", Exit::Box),
        ] {
            let value = to_json(refusal, &statement(), None);
            assert_eq!((value["status"].as_str(), exit(refusal)), (Some(status), code));
            assert_eq!(value["code"].as_u64(), refusal.map(|refusal| u64::from(refusal.code())));
        }
        assert!(to_text(None, &statement(), None).contains("switch the box off and on"));
        let key = SecretKey::of_seed(&[7; 32], KeyId([7; 8])).public();
        let text = to_text(Some(SiteRefusal::KeyOffered), &statement(), Some(&key));
        assert!(text.contains("(code 452)") && text.ends_with(&key.fingerprint()), "{text}");
    }
}
