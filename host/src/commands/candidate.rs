//! A model that a box is to judge by.

use std::path::Path;

use anyhow::anyhow;
use base::files::read_a_little_over;
use engine::{DEFAULT_MODEL, Model, ModelError};
use report::SYNTHETIC_MODEL;

use crate::exit::{Exit, Failure, WithExit};

/// Reads a model of at most `limit` bytes, or takes the one that ships, and tries it as the box will, so that what is wrong
/// with it shows before the box has it. One that was trained on synthetic radiographs is taken only if that is allowed.
pub(super) fn load(path: Option<&Path>, limit: u64, allow_synthetic: bool) -> Result<(Vec<u8>, Model), Failure> {
    let Some(path) = path else {
        return Ok((DEFAULT_MODEL.to_vec(), Model::from_bytes(DEFAULT_MODEL)?));
    };
    let name = path.display();
    let bytes = read_a_little_over(path, limit)
        .map_err(|error| anyhow!("cannot read the model {name}: {error}: name a file that you may read"))?;
    if bytes.len() as u64 > limit {
        let message = anyhow!("the model {name} is larger than {} MiB: use a smaller network", limit >> 20);
        return Err(message).exit(Exit::Refused);
    }
    let tried = || -> Result<Model, ModelError> {
        let model = Model::from_bytes(&bytes)?;
        model.try_out()?;
        Ok(model)
    };
    let model = tried().map_err(|error| Failure::of_model(error, path))?;
    if model.card().synthetic {
        base::say!("{SYNTHETIC_MODEL}");
        if !allow_synthetic {
            let advice = "name a model trained on radiographs, or add --allow-synthetic to try things with this one";
            return Err(anyhow!("the model {name} is not taken: {advice}")).exit(Exit::Refused);
        }
    }
    Ok((bytes, model))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_file_shows_before_the_box_has_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.onnx");
        let absent = load(Some(&path), 1000, false).err().unwrap();
        assert_eq!(absent.exit, Exit::Failed, "{:#}", absent.error);
        let limit = DEFAULT_MODEL.len() as u64;
        for (bytes, cause) in [
            (vec![], "pumua.card"),
            (DEFAULT_MODEL[..DEFAULT_MODEL.len() / 2].to_vec(), "damaged"),
            (vec![0; DEFAULT_MODEL.len() + 1], "larger than 0 MiB"),
        ] {
            std::fs::write(&path, bytes).unwrap();
            let Failure { exit, error } = load(Some(&path), limit, false).err().unwrap();
            let text = format!("{error:#}");
            assert_eq!(exit, Exit::Refused, "{text}");
            assert!(text.contains(cause) && text.contains("model.onnx"), "{text}");
        }
        // It goes on for ever.
        let endless = load(Some("/dev/zero".as_ref()), limit, false).err().unwrap();
        assert_eq!(endless.exit, Exit::Refused, "{:#}", endless.error);
        std::fs::write(&path, DEFAULT_MODEL).unwrap();
        assert!(load(Some(&path), limit, false).ok().unwrap().0 == DEFAULT_MODEL);
    }

    #[test]
    fn a_model_that_has_learnt_from_drawings_is_taken_only_if_that_is_allowed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.onnx");
        // The card is JSON, in which blanks between its parts mean nothing.
        let key = DEFAULT_MODEL.windows(17).position(|bytes| bytes == b"\"synthetic\":false").unwrap();
        let mut bytes = DEFAULT_MODEL.to_vec();
        bytes[key..key + 17].copy_from_slice(b"\"synthetic\": true");
        std::fs::write(&path, bytes).unwrap();
        let Failure { exit, error } = load(Some(&path), 1 << 22, false).err().unwrap();
        assert_eq!(exit, Exit::Refused, "{error:#}");
        assert!(format!("{error:#}").contains("--allow-synthetic"), "{error:#}");
        assert!(load(Some(&path), 1 << 22, true).ok().unwrap().1.card().synthetic);
    }
}
