//! What a file is, by its first bytes.

use shared::verdict::Refusal;

use crate::{bmp, dicom, tiff};

/// A kind of file that is found where radiographs are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A DICOM file.
    Dicom,
    /// A JPEG file, or one of its relatives that begin alike.
    Jpeg,
    /// A PNG file.
    Png,
    /// A TIFF file.
    Tiff,
    /// A Windows bitmap.
    Bmp,
    /// A WebP picture.
    Webp,
    /// A GIF picture.
    Gif,
    /// A JPEG 2000 picture.
    Jpeg2000,
    /// A JPEG XL picture.
    JpegXl,
    /// A picture as iPhones take it.
    Heic,
    /// An AVIF picture.
    Avif,
    /// What a camera's sensor has measured.
    CameraRaw,
    /// A PDF document.
    Pdf,
    /// A document of Word, Excel, PowerPoint, or of another office program.
    Office,
    /// A ZIP archive.
    Zip,
    /// Another archive, or something compressed.
    Archive,
    /// A video.
    Video,
    /// Text.
    Text,
}

impl Kind {
    /// The kind of a file, if it is one of these.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        // A DICOM file may begin with another one's mark: its first 128 bytes are anybody's.
        if dicom::is_dicom(bytes) {
            return Some(Self::Dicom);
        }
        if bmp::is_bmp(bytes) {
            return Some(Self::Bmp);
        }
        if let Some(kind) = of_container(bytes) {
            return Some(kind);
        }
        let of_mark = |(mark, kind): &(&[u8], Self)| bytes.starts_with(mark).then_some(*kind);
        MARKS.iter().find_map(of_mark).or_else(|| is_text(bytes).then_some(Self::Text))
    }

    /// Why such a file is refused. `None` of the kinds that are decoded.
    pub const fn refusal(self) -> Option<Refusal> {
        match self {
            Self::Dicom | Self::Jpeg | Self::Png | Self::Tiff | Self::Bmp | Self::Webp => None,
            Self::Gif | Self::Jpeg2000 | Self::JpegXl | Self::Heic | Self::Avif | Self::CameraRaw => {
                Some(Refusal::UnsupportedKind)
            }
            Self::Pdf | Self::Office | Self::Zip | Self::Archive | Self::Video | Self::Text => {
                Some(Refusal::UnknownFormat)
            }
        }
    }

    /// What it is, in words, and what to do to have it judged.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Dicom => "this kind of DICOM file is not supported: send it uncompressed",
            Self::Jpeg => "this kind of JPEG is not supported: export the radiograph as ordinary JPEG, or as PNG",
            Self::Png => "this kind of PNG is not supported: export the radiograph as ordinary PNG",
            Self::Tiff => {
                "this kind of TIFF is not supported: export the radiograph in grey of 8 or 16 bits, uncompressed or with LZW, \
                 or as PNG"
            }
            Self::Bmp => {
                "this kind of BMP is not supported: export the radiograph in 8 or 24 bits, uncompressed, or as PNG"
            }
            Self::Webp => "this kind of WebP is not supported: export the radiograph as PNG",
            Self::Gif => "this is a GIF, which has too few shades of grey: export the radiograph as PNG",
            Self::Jpeg2000 => "this is JPEG 2000: export the radiograph as DICOM or PNG",
            Self::JpegXl => "this is JPEG XL: export the radiograph as PNG",
            Self::Heic => {
                "this is HEIC, as phones take photographs: export the radiograph itself as DICOM, PNG or JPEG"
            }
            Self::Avif => "this is AVIF: export the radiograph as PNG",
            Self::CameraRaw => "this is a camera's raw file: export the radiograph itself as DICOM, PNG or JPEG",
            Self::Pdf => "this is a PDF document: export the radiograph itself as DICOM, PNG or JPEG",
            Self::Office => {
                "this is an office document: save the picture in it as PNG, or export the radiograph itself"
            }
            Self::Zip => "this is a ZIP archive: unpack it, and name the radiographs in it",
            Self::Archive => "this is an archive: unpack it, and name the radiographs in it",
            Self::Video => "this is a video: export the radiograph as DICOM, PNG or JPEG",
            Self::Text => "this is text, not a picture: export the radiograph as DICOM, PNG or JPEG",
        }
    }

    /// The word that programs read.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dicom => "dicom",
            Self::Jpeg => "jpeg",
            Self::Png => "png",
            Self::Tiff => "tiff",
            Self::Bmp => "bmp",
            Self::Webp => "webp",
            Self::Gif => "gif",
            Self::Jpeg2000 => "jpeg-2000",
            Self::JpegXl => "jpeg-xl",
            Self::Heic => "heic",
            Self::Avif => "avif",
            Self::CameraRaw => "camera-raw",
            Self::Pdf => "pdf",
            Self::Office => "office",
            Self::Zip => "zip",
            Self::Archive => "archive",
            Self::Video => "video",
            Self::Text => "text",
        }
    }
}

/// First bytes, and what they stand for. Where one is the beginning of another, the longer one comes first.
const MARKS: &[(&[u8], Kind)] = &[
    (b"\xff\xd8\xff", Kind::Jpeg),
    (b"\x89PNG\r\n\x1a\n", Kind::Png),
    (b"GIF87a", Kind::Gif),
    (b"GIF89a", Kind::Gif),
    (b"\xff\x4f\xff\x51", Kind::Jpeg2000),
    (b"\0\0\0\x0cjP  \r\n\x87\n", Kind::Jpeg2000),
    (b"\xff\x0a", Kind::JpegXl),
    (b"\0\0\0\x0cJXL \r\n\x87\n", Kind::JpegXl),
    (CANON_RAW, Kind::CameraRaw),
    (b"IIRO", Kind::CameraRaw),
    (b"IIU\0", Kind::CameraRaw),
    (b"FUJIFILMCCD-RAW", Kind::CameraRaw),
    (b"%PDF-", Kind::Pdf),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", Kind::Office),
    (b"{\\rtf", Kind::Office),
    (b"PK\x05\x06", Kind::Zip),
    (b"Rar!\x1a\x07", Kind::Archive),
    (b"7z\xbc\xaf\x27\x1c", Kind::Archive),
    (b"\x1f\x8b", Kind::Archive),
    (b"BZh", Kind::Archive),
    (b"\xfd7zXZ\0", Kind::Archive),
    (b"\x28\xb5\x2f\xfd", Kind::Archive),
    (b"\0\0\x01\xba", Kind::Video),
    (b"\x1a\x45\xdf\xa3", Kind::Video),
];

/// A TIFF to look at, but for the two letters behind its head.
const CANON_RAW: &[u8] = b"II*\0\x10\0\0\0CR";

/// Kinds whose marks have something before them.
fn of_container(bytes: &[u8]) -> Option<Kind> {
    match bytes {
        _ if tiff::is_tiff(bytes) && !bytes.starts_with(CANON_RAW) => Some(Kind::Tiff),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some(Kind::Webp),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'A', b'V', b'I', b' ', ..] => Some(Kind::Video),
        // The brand of a file of ISO base media.
        [_, _, _, _, b'f', b't', b'y', b'p', brand @ ..] => match brand.first_chunk() {
            Some(b"avif" | b"avis") => Some(Kind::Avif),
            Some(b"heic" | b"heix" | b"heim" | b"heis" | b"hevc" | b"hevx" | b"mif1" | b"msf1") => Some(Kind::Heic),
            Some(b"crx ") => Some(Kind::CameraRaw),
            _ => Some(Kind::Video),
        },
        [b'P', b'K', 3, 4, ..] => {
            // The first file in an office document has one of these names.
            let name = bytes.get(30..).unwrap_or_default();
            let names: [&[u8]; 4] = [b"[Content_Types].xml", b"_rels/", b"docProps/", b"mimetypeapplication/vnd.oasis"];
            Some(if names.iter().any(|start| name.starts_with(start)) { Kind::Office } else { Kind::Zip })
        }
        _ => None,
    }
}

/// Whether a file begins with nothing but letters.
fn is_text(bytes: &[u8]) -> bool {
    let start = &bytes[..bytes.len().min(512)];
    let letters = match std::str::from_utf8(start) {
        Ok(text) => text,
        // One that was cut through at the end.
        Err(error) if error.error_len().is_none() => std::str::from_utf8(&start[..error.valid_up_to()]).unwrap_or(""),
        Err(_) => return false,
    };
    !letters.is_empty() && letters.chars().all(|letter| !letter.is_control() || matches!(letter, '\n' | '\r' | '\t'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_known_by_their_first_bytes() {
        for (bytes, kind) in [
            (&b"II*\0\x08\0\0\0"[..], Kind::Tiff),
            (b"MM\0*\0\0\0\x08", Kind::Tiff),
            (b"MM\0+\0\x08\0\0", Kind::Tiff),
            (b"II*\0\x10\0\0\0CR\x02\0", Kind::CameraRaw),
            (b"II*\0\x80\0\0\0CR\x02\0", Kind::Tiff),
            (b"RIFF\x24\0\0\0WEBPVP8 ", Kind::Webp),
            (b"\0\0\0\x18ftypheic", Kind::Heic),
            (b"\0\0\0\x1cftypavif", Kind::Avif),
            (b"\0\0\0\x18ftypmp42", Kind::Video),
            (b"\0\0\0\x18ftyp", Kind::Video),
            (b"\xff\x0a\xfa\x1f", Kind::JpegXl),
            (b"GIF89a\x01\0\x01\0\0\0\0;", Kind::Gif),
            (b"%PDF-1.7\n%\xe2\xe3", Kind::Pdf),
            (b"PK\x03\x04\x14\0\x06\0\x08\0\0\0\x21\0abcdefghijkl\x13\0\0\0[Content_Types].xml", Kind::Office),
            (b"PK\x03\x04\x14\0\0\0", Kind::Zip),
            (b"BMW: a car", Kind::Text),
            ("Sehr geehrte Frau Müller".as_bytes(), Kind::Text),
            (b"\xef\xbb\xbfname;age\r\n", Kind::Text),
        ] {
            assert_eq!(Kind::of(bytes), Some(kind), "{bytes:?}");
        }
        assert_eq!(Kind::of(b"\x01\x02\x03\x04\x05"), None);
        assert_eq!(Kind::of(b""), None);
    }

    #[test]
    fn any_mark_that_is_cut_is_another_kind_or_none() {
        for (mark, kind) in MARKS {
            for length in 0..mark.len() {
                let cut = Kind::of(&mark[..length]);
                assert!(cut != Some(*kind) || MARKS.iter().any(|(other, _)| *other == &mark[..length]), "{mark:?}");
            }
        }
    }
}
