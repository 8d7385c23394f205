//! The model that a box is to judge by, as the options name it.

use std::path::Path;

use report::SYNTHETIC_MODEL;
use setup::model_for_box::{ModelForBox, ModelForBoxError};

use crate::exit::{Exit, Failure, WithExit};

/// Reads a model of at most `limit` bytes, or takes the one that ships. One that was trained on synthetic radiographs is taken
/// only if that is allowed.
pub(super) fn load(path: Option<&Path>, limit: u64, allow_synthetic: bool) -> Result<ModelForBox, Failure> {
    let Some(path) = path else { return Ok(ModelForBox::shipped()?) };
    let found = ModelForBox::read(path, limit).map_err(failure)?;
    if found.model.card().provenance.synthetic {
        base::say!("{SYNTHETIC_MODEL}");
        if !allow_synthetic {
            return Err(ModelForBoxError::Synthetic { path: path.to_owned() }).exit(Exit::Refused);
        }
    }
    Ok(found)
}

fn failure(error: ModelForBoxError) -> Failure {
    match error {
        ModelForBoxError::Unusable { path, source } => Failure::of_model(source, &path),
        ModelForBoxError::TooLarge { .. } | ModelForBoxError::Synthetic { .. } => {
            Failure { exit: Exit::Refused, error: error.into() }
        }
        ModelForBoxError::Read { .. }
        | ModelForBoxError::Beside { .. }
        | ModelForBoxError::HalfAList { .. }
        | ModelForBoxError::Shipped(_) => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use engine::DEFAULT_MODEL;

    use super::*;

    #[test]
    fn a_model_that_a_box_would_not_take_is_refused_and_a_file_that_cannot_be_read_is_a_failure() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.onnx");
        let limit = DEFAULT_MODEL.len() as u64;
        let absent = load(Some(&path), limit, false).err().unwrap();
        assert_eq!(absent.exit, Exit::Failed, "{:#}", absent.error);
        for bytes in [&DEFAULT_MODEL[..100], &[DEFAULT_MODEL, &[0]].concat()] {
            std::fs::write(&path, bytes).unwrap();
            let Failure { exit, error } = load(Some(&path), limit, false).err().unwrap();
            assert_eq!(exit, Exit::Refused, "{error:#}");
            assert!(format!("{error:#}").contains("model.onnx"), "{error:#}");
        }
        assert!(load(None, limit, false).ok().unwrap().bytes == DEFAULT_MODEL);
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
        assert!(load(Some(&path), 1 << 22, true).ok().unwrap().model.card().provenance.synthetic);
    }
}
