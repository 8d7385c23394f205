//! What a DICOM file says of itself, in words of our own lists.

use shared::limits::MAX_IMAGE_BYTES;

use super::{
    elements::{self, PIXEL_DATA, Value},
    file::{self, File},
    header::{Header, text},
    pixels::{self, Decoded},
    shades,
    suitable::{Statements, words},
    syntax,
};
use crate::{DicomDescription, Shades};

/// The word for what is in no list.
const ANOTHER: &str = "another";

/// Defined terms of the modality (PS3.3, C.7.3.1.1.1) that are met with films.
const MODALITIES: [&str; 19] =
    ["CR", "DX", "DR", "RG", "SC", "OT", "HC", "CT", "MR", "US", "MG", "RF", "XA", "NM", "PT", "ES", "IO", "PX", "SR"];

/// Parts of the body (PS3.16, annex L), and what others write for a chest.
const BODY_PARTS: [&str; 37] = [
    "CHEST",
    "THORAX",
    "TORAX",
    "LUNG",
    "ABDOMEN",
    "ANKLE",
    "ARM",
    "BREAST",
    "CERVICAL",
    "CLAVICLE",
    "CSPINE",
    "ELBOW",
    "EXTREMITY",
    "FEMUR",
    "FINGER",
    "FOOT",
    "HAND",
    "HEAD",
    "HIP",
    "HUMERUS",
    "KNEE",
    "LEG",
    "LSPINE",
    "LUMBAR",
    "NECK",
    "PELVIS",
    "RIB",
    "RIBS",
    "SHOULDER",
    "SKULL",
    "SPINE",
    "STERNUM",
    "TOE",
    "TSPINE",
    "UNKNOWN",
    "WHOLEBODY",
    "WRIST",
];

/// Views (PS3.3, C.8.11.5.1.2), and what others write for them.
const VIEWS: [&str; 13] =
    ["PA", "AP", "LL", "RL", "LLD", "RLD", "LLO", "RLO", "LAO", "RAO", "LAT", "LATERAL", "OBLIQUE"];

const PHOTOMETRIC: [&str; 8] =
    ["MONOCHROME1", "MONOCHROME2", "PALETTE COLOR", "RGB", "YBR_FULL", "YBR_FULL_422", "YBR_RCT", "YBR_ICT"];

/// Columns and rows, bits that belong to the picture, and the rest.
pub(crate) fn describe(bytes: &[u8]) -> (Option<[u32; 2]>, Option<u32>, DicomDescription) {
    let mut found = DicomDescription::default();
    if bytes.len() > MAX_IMAGE_BYTES as usize {
        return (None, None, found);
    }
    found.transfer_syntax = file::named_syntax(bytes).map(|uid| syntax::name(&uid).unwrap_or(ANOTHER));
    let Ok(file) = File::open(bytes) else { return (None, None, found) };
    let mut statements = Statements::default();
    let [mut columns, mut rows, mut allocated, mut stored] = [None; 4];
    let mut behind = false;
    // What was found before the walk breaks off counts as well; what comes behind the pixels says nothing of them.
    let _ = elements::walk(&file.data_set, file.encoding, |element| {
        behind |= (element.within, element.tag) == (None, PIXEL_DATA);
        let (None, Value::Bytes(value), false) = (element.within, element.value, behind) else { return Ok(()) };
        let number = || value.first_chunk().map(|&two| u32::from(file.encoding.u16(two)));
        match element.tag {
            0x0008_0060 => found.modality = known(value, &MODALITIES),
            0x0018_0015 => found.body_part = known(value, &BODY_PARTS),
            0x0018_5101 => found.view = known(value, &VIEWS),
            0x0028_0004 => {
                found.photometric =
                    text(value).map(|text| PHOTOMETRIC.into_iter().find(|&known| known == text).unwrap_or(ANOTHER));
            }
            0x0028_0010 => rows = number(),
            0x0028_0011 => columns = number(),
            0x0028_0100 => allocated = number(),
            0x0028_0101 => stored = number(),
            _ => {}
        }
        statements.take(element.tag, value)
    });
    found.age = statements.age();
    found.shown = shown(&file);
    (columns.zip(rows).map(<[u32; 2]>::from), stored.or(allocated), found)
}

/// The first word of a value that is in a list.
fn known(value: &[u8], list: &[&'static str]) -> Option<&'static str> {
    let words = words(Some(value.get(..64).unwrap_or(value)));
    let found = words.iter().find_map(|word| list.iter().copied().find(|known| known == word));
    found.or_else(|| (!words.is_empty()).then_some(ANOTHER))
}

fn shown(file: &File<'_>) -> Option<Shades> {
    let (mut header, _) = Header::read(&file.data_set, file.encoding).ok()?;
    let held = file.held();
    match pixels::decode(&mut header, file.coding, held).ok()? {
        Decoded::Samples(samples) if header.is_grey() => {
            Some(shades::way(&header, &shades::measured(&header), &shades::counts(&samples, &header)))
        }
        _ => None,
    }
}
