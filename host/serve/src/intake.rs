//! The one way in: page, watched folder and whatever else brings films hand them over here.

use std::{
    io::{self, Read, Write},
    sync::Arc,
};

use shared::{accession::ExamNaming, limits::MAX_IMAGE_BYTES, verdict::ExamId};

use crate::{
    record::Source,
    store::{Store, StoreError},
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

impl Intake {
    /// Reads a film to its end and keeps it. When this returns, the film is on the disk, and will be judged.
    ///
    /// # Errors
    /// The film is not kept.
    pub fn take(&self, film: &mut dyn Read, exam: &ExamId, source: Source) -> Result<Receipt, IntakeError> {
        let mut incoming = self.store.begin()?;
        let mut block = vec![0; 64 * 1024];
        let mut total = 0;
        loop {
            let read = match film.read(&mut block) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(IntakeError::Cut(error)),
            };
            total += read as u64;
            if total > u64::from(MAX_IMAGE_BYTES) {
                return Err(IntakeError::TooLarge);
            }
            incoming.write_all(&block[..read]).map_err(StoreError::Write)?;
        }
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
