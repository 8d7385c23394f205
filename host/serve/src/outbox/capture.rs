//! The answer to a film as an image of the film's study: Secondary Capture (PS3.3, A.8), in colours, uncompressed.

use decode::MAKER;
use shared::appliance::Language;

use super::{
    Drawing,
    document::{Document, Filed, MOST_SHORT_TEXT, MOST_STRING, ascii, lines, model},
    format::Format,
};
use crate::record::Record;

/// Longest comments (PS3.5, 6.2), in characters.
const MOST_COMMENTS: usize = 10_240;

/// Makes the image; `None` of a film that was not judged, or where nothing is drawn. `store`: the letters by which the store is
/// told from others.
pub(super) fn capture(store: &str, record: &Record, filed: &Filed, drawing: Drawing) -> Option<Document> {
    let Drawing { width, height, rgb } = drawing;
    if rgb.len() != usize::from(width) * usize::from(height) * 3 || rgb.is_empty() {
        return None;
    }
    let said = lines(record, Language::English)?.join("\r\n");
    let by = record.answer.as_ref()?.by.as_ref();
    let drawn = by.map_or_else(String::new, |by| format!(" with the model {}", model(by)));
    let drawn = format!(
        "Drawn by Pumua {} from one film of this study{drawn}. Research aid, not a medical device. No clinician has made or \
         checked it",
        env!("CARGO_PKG_VERSION")
    );
    let mut document = Document::begin(Format::Capture, store, record, filed)?;
    let elements = &mut document.elements;
    for (tag, vr, text) in [
        (0x0008_0008, b"CS", "DERIVED\\SECONDARY"),
        (0x0008_0064, b"CS", "WSD"),
        (0x0008_2111, b"ST", ascii(&drawn, MOST_SHORT_TEXT).as_str()),
        (0x0018_1016, b"LO", MAKER),
        (0x0018_1018, b"LO", "pumua serve"),
        (0x0018_1019, b"LO", ascii(env!("CARGO_PKG_VERSION"), MOST_STRING).as_str()),
        (0x0020_0020, b"CS", ""),
        (0x0020_4000, b"LT", ascii(&said, MOST_COMMENTS).as_str()),
        (0x0028_0004, b"CS", "RGB"),
        (0x0028_0301, b"CS", "YES"),
    ] {
        elements.put(tag, vr, text);
    }
    for (tag, number) in [
        (0x0028_0002, 3),
        (0x0028_0006, 0),
        (0x0028_0010, height),
        (0x0028_0011, width),
        (0x0028_0100, 8),
        (0x0028_0101, 8),
        (0x0028_0102, 7),
        (0x0028_0103, 0),
    ] {
        elements.put(tag, b"US", number.to_le_bytes());
    }
    elements.put(0x7fe0_0010, b"OB", rgb);
    if let Some(film) = filed.film() {
        elements.put_items(0x0008_2112, vec![film.reference()]);
    }
    Some(document)
}
