//! The one way in: page, watched folder and whatever else brings films hand them over here.

use std::{
    io::{self, Read, Write},
    sync::Arc,
};

use shared::{accession::ExamNaming, limits::MAX_IMAGE_BYTES, verdict::ExamId};

use crate::{
    record::Source,
    store::{Incoming, Store, StoreError},
};

/// Takes films in.
#[derive(Clone)]
pub struct Intake {
    pub(crate) store: Arc<Store>,
    pub(crate) naming: ExamNaming,
    pub(crate) site: String,
}

/// A film that is kept: it will be judged, also after a power cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Number of the film.
    pub number: u64,
    /// Whether the same bytes of the same exam were there already.
    pub known: bool,
}

/// Why a film is not taken in.
#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    /// Its bytes could not be read to their end.
    #[error("the film did not come whole: {0}: send it again")]
    Cut(io::Error),
    /// It has more bytes than a film may have.
    #[error("the film is larger than 32 MiB: export it at a smaller size")]
    TooLarge,
    /// It cannot be kept.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Writes what comes to a file of the store, to its end, block by block.
///
/// # Errors
/// It does not come whole, has more than `most` bytes, or cannot be written.
pub(crate) fn pour(from: &mut dyn Read, to: &mut Incoming, most: u64) -> Result<(), IntakeError> {
    let mut block = vec![0; 64 * 1024];
    let mut total = 0;
    loop {
        let read = match from.read(&mut block) {
            Ok(0) => return Ok(()),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(IntakeError::Cut(error)),
        };
        total += read as u64;
        if total > most {
            return Err(IntakeError::TooLarge);
        }
        to.write_all(&block[..read]).map_err(StoreError::Write)?;
    }
}

impl Intake {
    /// Reads a film to its end and keeps it. When this returns, the film is on the disk, and will be judged.
    ///
    /// # Errors
    /// The film is not kept.
    pub fn take(&self, film: &mut dyn Read, exam: &ExamId, source: Source) -> Result<Receipt, IntakeError> {
        let mut incoming = self.store.begin()?;
        pour(film, &mut incoming, u64::from(MAX_IMAGE_BYTES))?;
        let named = if exam.as_str().is_empty() && self.naming.asks() {
            // One at a time: many that come in at once do not take the memory of as many films.
            let _alone = self.store.reads();
            let bytes = incoming.read_back().map_err(StoreError::Write)?;
            self.naming.name(exam, decode::accession(&bytes).as_ref())
        } else {
            exam.clone()
        };
        Ok(self.store.keep(incoming, named, source, &self.site)?)
    }
}
