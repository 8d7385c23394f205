//! Text files as the editors of people save them.

use alloc::{string::String, vec::Vec};

/// What UTF-8 begins with where an editor of Windows says that it is.
const MARK: &[u8] = b"\xef\xbb\xbf";
/// The same of UTF-16.
const MARKS_OF_UTF16: [&[u8]; 2] = [b"\xff\xfe", b"\xfe\xff"];

/// A file is not a text in UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OtherEncoding {
    /// Each character has two bytes: "Unicode" in Windows, or what `>` of PowerShell writes.
    #[error("it is in UTF-16: save it as UTF-8")]
    Utf16,
    /// As a disk leaves them where something was never written, or those of another kind of file.
    #[error("it has NUL bytes, so it is damaged or not a text: write it anew")]
    Nul,
    /// Perhaps Latin-1 or Windows-1252.
    #[error("it is not in UTF-8: save it as UTF-8")]
    Unknown,
}

/// The text of a file in UTF-8, with or without a mark that says so.
pub fn decoded(mut bytes: Vec<u8>) -> Result<String, OtherEncoding> {
    let marked = bytes.len() - unmarked(&bytes)?.len();
    bytes.drain(..marked);
    String::from_utf8(bytes).map_err(|_| OtherEncoding::Unknown)
}

/// The bytes of a text without the mark, unless they are of UTF-16, or have NULs, which no other text has.
pub fn unmarked(bytes: &[u8]) -> Result<&[u8], OtherEncoding> {
    if MARKS_OF_UTF16.iter().any(|mark| bytes.starts_with(mark)) || is_unmarked_utf16(bytes) {
        return Err(OtherEncoding::Utf16);
    }
    if bytes.contains(&0) {
        return Err(OtherEncoding::Nul);
    }
    Ok(bytes.strip_prefix(MARK).unwrap_or(bytes))
}

/// True if in most pairs of bytes the same one, and that alone, is NUL, as in Latin letters.
fn is_unmarked_utf16(bytes: &[u8]) -> bool {
    let (pairs, _) = bytes.as_chunks::<2>();
    let first = pairs.iter().filter(|pair| matches!(pair, [0, 1..=255])).count();
    let second = pairs.iter().filter(|pair| matches!(pair, [1..=255, 0])).count();
    first.max(second) > pairs.len() / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_utf_8_is_read_with_or_without_its_mark() {
        for bytes in [&b"port = 1"[..], b"\xef\xbb\xbfport = 1"] {
            assert_eq!(decoded(bytes.to_vec()).as_deref(), Ok("port = 1"));
        }
        assert_eq!(decoded("é".into()).as_deref(), Ok("é"));
        assert_eq!(decoded(Vec::new()).as_deref(), Ok(""));
        for bytes in [&b"\xff\xfep\0"[..], b"\xfe\xff\0p", b"p\0o\0", b"\0p"] {
            assert_eq!(decoded(bytes.to_vec()), Err(OtherEncoding::Utf16));
        }
        assert_eq!(decoded(b"caf\xe9".to_vec()), Err(OtherEncoding::Unknown));
    }

    #[test]
    fn nuls_that_are_not_of_utf_16_are_damage() {
        for bytes in
            [&b"port = \0 1"[..], b"\0", b"\0\0\0\0", b"port = 1\n\0\0\0\0\0\0\0\0\0\0\0\0", b"\xef\xbb\xbfa\0b"]
        {
            assert_eq!(decoded(bytes.to_vec()), Err(OtherEncoding::Nul), "{bytes:?}");
        }
        // Letters of other scripts have no NUL, those among them do.
        let mixed = "path,label\né.png,NORMAL\nजन.png,NORMAL\n";
        for order in [u16::to_le_bytes, u16::to_be_bytes] {
            let bytes: Vec<u8> = mixed.encode_utf16().flat_map(order).collect();
            assert_eq!(decoded(bytes), Err(OtherEncoding::Utf16));
        }
    }
}
