//! Draws answers for an archive.

use report::capture;
use serve::{Drawing, Sheet};

/// Draws the answer to a film: pictures and words.
pub(super) fn draw(sheet: &Sheet<'_>) -> Option<Drawing> {
    match capture::draw(sheet.film, sheet.evidence, sheet.words) {
        Ok(picture) => {
            let [width, height] = [picture.width(), picture.height()].map(u16::try_from);
            Some(Drawing { width: width.ok()?, height: height.ok()?, rgb: picture.into_raw() })
        }
        Err(error) => {
            base::say!("an answer was not drawn: {error}");
            None
        }
    }
}
