//! What encloses the data set of a file (PS3.10, 7): preamble, file meta information, compression of the whole.

use std::borrow::Cow;

use flate2::{Decompress, FlushDecompress, Status};
use shared::{limits::MAX_DECODED_BYTES, verdict::Refusal};

use super::{
    elements::{Encoding, Head},
    header::text,
    syntax,
};

/// Most bytes that a deflated data set may have: as much is left for the picture that is made of it.
const MAX_INFLATED: u64 = MAX_DECODED_BYTES / 2;

/// How the pixels of a data set are coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    /// As they are.
    Plain,
    /// In one fragment, as they are.
    Encapsulated,
    RunLength,
    /// One of the kinds that begin with a marker of JPEG: what it is stands in its bytes.
    Jpeg,
    /// Nothing says so.
    Unknown,
    /// In none of these ways.
    Other,
}

/// A data set and how it is written.
pub(super) struct File<'a> {
    pub(super) data_set: Cow<'a, [u8]>,
    pub(super) encoding: Encoding,
    pub(super) coding: Coding,
}

/// Whether the bytes begin as a DICOM file: with preamble and mark, with file meta information, or with the data set itself,
/// whose first elements are of the group 8.
pub(crate) fn is_dicom(bytes: &[u8]) -> bool {
    if bytes.get(128..132) == Some(b"DICM") {
        return true;
    }
    let Some(&[g0, g1, e0, e1, a, b, c, d]) = bytes.first_chunk() else { return false };
    let explicit = a.is_ascii_uppercase() && b.is_ascii_uppercase();
    match [g0, g1, e0, e1] {
        [2, 0, _, 0] => explicit || u32::from_le_bytes([a, b, c, d]) < 256,
        [8, 0, 0..=0x18, 0] => explicit || u32::from_le_bytes([a, b, c, d]) < 256,
        [0, 8, 0, 0..=0x18] => explicit,
        _ => false,
    }
}

impl<'a> File<'a> {
    /// Finds the data set, and inflates it if it is deflated.
    pub(super) fn open(bytes: &'a [u8]) -> Result<Self, Refusal> {
        let (named, rest) = meta(behind_preamble(bytes))?;
        let named = named.as_deref();
        let deflated = named == Some(syntax::DEFLATED);
        let encoding = (named == Some(syntax::BIG_ENDIAN)).then_some(Encoding::BIG);
        let coding = named.map_or(Coding::Unknown, syntax::coding);
        let data_set: Cow<'_, [u8]> = if deflated { inflate(rest)?.into() } else { rest.into() };
        // What the bytes show counts more than what the file says of itself: some writers mix both up.
        let encoding = encoding.map_or_else(|| sniff(&data_set), Ok)?;
        Ok(Self { data_set, encoding, coding })
    }

    /// Bytes that are held besides those of the file.
    pub(super) fn held(&self) -> u64 {
        if let Cow::Owned(inflated) = &self.data_set { inflated.len() as u64 } else { 0 }
    }
}

/// The transfer syntax that a file names, if it names one.
pub(super) fn named_syntax(bytes: &[u8]) -> Option<String> {
    meta(behind_preamble(bytes)).ok()?.0
}

fn behind_preamble(bytes: &[u8]) -> &[u8] {
    match bytes.get(128..132) {
        Some(b"DICM") => &bytes[132..],
        _ => bytes,
    }
}

/// The transfer syntax that the file meta information names, if there is any, and what follows it. Its length is not relied
/// on: some writers count it wrongly.
fn meta(mut bytes: &[u8]) -> Result<(Option<String>, &[u8]), Refusal> {
    let mut syntax = None;
    let explicit = bytes.get(4..6).is_some_and(|vr| vr.iter().all(u8::is_ascii_uppercase));
    let encoding = if explicit { Encoding::EXPLICIT } else { Encoding::IMPLICIT };
    while bytes.starts_with(&[2, 0]) {
        let (head, behind) = Head::read(bytes, encoding)?;
        let value;
        (value, bytes) = behind.split_at_checked(head.length as usize).ok_or(Refusal::Corrupt)?;
        if head.tag == 0x0002_0010 {
            syntax = text(value).map(str::to_owned);
        }
    }
    Ok((syntax, bytes))
}

/// How a data set is written, by its first element.
pub(super) fn sniff(bytes: &[u8]) -> Result<Encoding, Refusal> {
    let &[g0, g1, _, _, a, b] = bytes.first_chunk().ok_or(Refusal::Corrupt)?;
    let explicit = a.is_ascii_uppercase() && b.is_ascii_uppercase();
    // Group numbers of the first elements are small.
    Ok(Encoding { explicit, big: g0 == 0 && g1 != 0 })
}

/// Inflates a whole data set. Some writers put the head of zlib before it and its checksum behind it, or only that, or the
/// end of a gzip file; none of it belongs there.
fn inflate(bytes: &[u8]) -> Result<Vec<u8>, Refusal> {
    match inflate_as(bytes, false) {
        Err(Refusal::Corrupt) if has_zlib_head(bytes) => inflate_as(bytes, true),
        inflated => inflated,
    }
}

/// Whether the bytes begin as zlib's do (RFC 1950, 2.2), without a dictionary of their own.
fn has_zlib_head(bytes: &[u8]) -> bool {
    let Some(&[method, flags]) = bytes.first_chunk() else { return false };
    method & 15 == 8 && method >> 4 <= 7 && flags & 0x20 == 0 && u16::from_be_bytes([method, flags]) % 31 == 0
}

/// The same, with a head or without. It is inflated twice, the first time for its length: so no more memory is held than it
/// has.
fn inflate_as(bytes: &[u8], head: bool) -> Result<Vec<u8>, Refusal> {
    let mut scratch = [0; 1 << 15];
    let mut inflate = Decompress::new(head);
    loop {
        let taken = inflate.total_in();
        let rest = bytes.get(taken as usize..).ok_or(Refusal::Corrupt)?;
        let before = inflate.total_out();
        let status = inflate.decompress(rest, &mut scratch, FlushDecompress::None).map_err(|_| Refusal::Corrupt)?;
        if inflate.total_out() > MAX_INFLATED {
            return Err(Refusal::TooManyPixels);
        }
        if status == Status::StreamEnd {
            break;
        }
        if inflate.total_in() == taken && inflate.total_out() == before {
            return Err(Refusal::Corrupt);
        }
    }
    let mut data_set = vec![0; inflate.total_out() as usize];
    let mut again = Decompress::new(head);
    match again.decompress(bytes, &mut data_set, FlushDecompress::Finish) {
        Ok(Status::StreamEnd) => {}
        _ => return Err(Refusal::Corrupt),
    }
    let behind = &bytes[inflate.total_in() as usize..];
    let checksums = [&adler32(&data_set).to_be_bytes()[..], &gzip_end(&data_set)];
    if fills_up(behind) || checksums.iter().any(|end| behind.strip_prefix(*end).is_some_and(fills_up)) {
        Ok(data_set)
    } else {
        Err(Refusal::Corrupt)
    }
}

/// Whether bytes are none of the data: a byte may fill up the length of a file to an even one, zeros a block of a disk.
fn fills_up(bytes: &[u8]) -> bool {
    bytes.len() <= 1 || bytes.iter().all(|&byte| byte == 0)
}

/// What gzip has behind its data (RFC 1952, 2.3.1): a checksum and the length. So does GDCM.
fn gzip_end(bytes: &[u8]) -> [u8; 8] {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    (u64::from(crc.sum()) | (bytes.len() as u64) << 32).to_le_bytes()
}

/// The checksum of zlib (RFC 1950, 8.2).
fn adler32(bytes: &[u8]) -> u32 {
    /// As many bytes as can be added up before a sum is too large.
    const BLOCK: usize = 5552;
    const MODULUS: u32 = 65_521;
    let (mut low, mut high) = (1_u32, 0_u32);
    for block in bytes.chunks(BLOCK) {
        for &byte in block {
            low += u32::from(byte);
            high += low;
        }
        (low, high) = (low % MODULUS, high % MODULUS);
    }
    high << 16 | low
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::{
        Compression,
        write::{DeflateEncoder, ZlibEncoder},
    };

    use super::*;

    #[test]
    fn deflated_data_sets_are_read_as_writers_write_them() {
        let data: Vec<u8> = (0..20_000_u32).map(|n| (n * n / 7) as u8).collect();
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(&data).unwrap();
        let raw = encoder.finish().unwrap();
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(&data).unwrap();
        let wrapped = encoder.finish().unwrap();
        let checksum = &wrapped[wrapped.len() - 4..];
        assert_eq!(adler32(&data).to_be_bytes(), checksum);
        let mut crc = flate2::Crc::new();
        crc.update(&data);
        let gzip = [&raw[..], &crc.sum().to_le_bytes(), &crc.amount().to_le_bytes()].concat();
        for behind in [&[][..], &[0], b" ", &[0; 512]] {
            for whole in [&raw[..], &wrapped, &[&raw[..], checksum].concat(), &gzip] {
                assert!(inflate(&[whole, behind].concat()).is_ok_and(|inflated| inflated == data), "{behind:?}");
            }
        }
        let [mut other, mut others] = [wrapped.clone(), gzip];
        *other.last_mut().unwrap() ^= 1;
        others[raw.len()] ^= 1;
        for damaged in [other, others, [&raw[..], &[1, 2]].concat(), [&raw[..], &[0, 0, 0, 1]].concat()] {
            assert_eq!(inflate(&damaged), Err(Refusal::Corrupt));
        }
        for whole in [raw, wrapped] {
            for length in (0..whole.len()).step_by(97).chain([whole.len() - 1]) {
                assert!(inflate(&whole[..length]).is_err(), "cut at {length}");
            }
        }
    }
}
