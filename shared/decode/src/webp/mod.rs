//! WebP files (RFC 9649): one still picture, lossy or lossless, with the rotation that Exif data ask for. An alpha channel is
//! ignored.
//!
//! The container has lengths but no checksum. It is walked over to the end that it names: a file that was cut, or that lost a
//! part, does not add up and is refused as [`Refusal::Corrupt`]. What the picture is coded with must take all of its bytes, no
//! fewer and no more, so that most other damage is noticed as well; changed bits that leave as many cannot be.

mod lossless;
mod lossy;
mod prefix;
mod transform;

use image::{DynamicImage, RgbImage, metadata::Orientation};
use shared::verdict::Refusal;

/// Bytes of a chunk before its data: four letters and a length.
const CHUNK_HEAD: usize = 8;

/// In the flags of an extended file: several frames.
const ANIMATION: u8 = 0x02;

/// Decodes a whole WebP file. What follows its end is ignored.
pub(crate) fn decode(bytes: &[u8]) -> Result<(DynamicImage, Orientation), Refusal> {
    let Parts { picture, orientation } = Parts::read(bytes)?;
    let size @ [width, height] = picture.size()?;
    crate::check_size(width, height)?;
    let pixels = match picture {
        Coded::Lossy(frame) => lossy::decode(frame, size, orientation)?,
        Coded::Lossless(stream) => lossless::decode(stream, size, orientation)?,
    };
    let image = RgbImage::from_raw(width, height, pixels).ok_or(Refusal::Corrupt)?;
    Ok((DynamicImage::ImageRgb8(image), orientation))
}

/// Columns and rows, and bits of a sample, that the first chunk tells.
pub(crate) fn size(bytes: &[u8]) -> Option<([u32; 2], u32)> {
    let data = bytes.get(12 + CHUNK_HEAD..)?;
    let size = match bytes.get(12..16)? {
        b"VP8 " => Coded::Lossy(data).size().ok()?,
        b"VP8L" => Coded::Lossless(data).size().ok()?,
        b"VP8X" => canvas(data)?,
        _ => return None,
    };
    Some((size, 8))
}

/// What is needed of a file.
struct Parts<'a> {
    picture: Coded<'a>,
    orientation: Orientation,
}

/// The data of a picture.
#[derive(Clone, Copy)]
enum Coded<'a> {
    /// A key frame of VP8 (RFC 6386).
    Lossy(&'a [u8]),
    Lossless(&'a [u8]),
}

impl<'a> Parts<'a> {
    /// Walks over all chunks, to the end that the file names.
    fn read(bytes: &'a [u8]) -> Result<Self, Refusal> {
        let &length = bytes.get(4..).and_then(<[u8]>::first_chunk).ok_or(Refusal::Corrupt)?;
        let whole = bytes.get(8..).and_then(|body| body.get(..u32::from_le_bytes(length) as usize));
        let mut rest = whole.and_then(|body| body.strip_prefix(b"WEBP")).ok_or(Refusal::Corrupt)?;
        let mut picture = None;
        let mut canvas_size = None;
        let mut orientation = Orientation::NoTransforms;
        while !rest.is_empty() {
            let (name, data);
            (name, data, rest) = chunk(rest)?;
            let coded = match &name {
                b"VP8 " => Coded::Lossy(data),
                b"VP8L" => Coded::Lossless(data),
                b"VP8X" if canvas_size.is_none() && picture.is_none() => {
                    if data.first().is_some_and(|flags| flags & ANIMATION != 0) {
                        return Err(Refusal::Animated);
                    }
                    canvas_size = Some(canvas(data).ok_or(Refusal::Corrupt)?);
                    continue;
                }
                b"VP8X" => return Err(Refusal::Corrupt),
                b"ANIM" | b"ANMF" => return Err(Refusal::Animated),
                b"EXIF" => {
                    // Some programs leave the head on that JPEG files have before it.
                    let exif = data.strip_prefix(b"Exif\0\0").unwrap_or(data);
                    orientation = Orientation::from_exif_chunk(exif).unwrap_or(Orientation::NoTransforms);
                    continue;
                }
                _ => continue,
            };
            if picture.replace(coded).is_some() {
                return Err(Refusal::Corrupt);
            }
        }
        let picture = picture.ok_or(Refusal::Corrupt)?;
        if canvas_size.is_some_and(|canvas| picture.size() != Ok(canvas)) {
            return Err(Refusal::Corrupt);
        }
        Ok(Self { picture, orientation })
    }
}

impl Coded<'_> {
    /// Columns and rows.
    fn size(self) -> Result<[u32; 2], Refusal> {
        match self {
            Self::Lossy(frame) => match frame {
                // What only begins a picture that others complete is of a video.
                &[first, _, _, 0x9d, 0x01, 0x2a, w0, w1, h0, h1, ..] if first & 1 == 0 => {
                    // Two bits above say how large to show it, which nobody does.
                    Ok([[w0, w1], [h0, h1]].map(|side| u32::from(u16::from_le_bytes(side) & 0x3fff)))
                }
                _ => Err(Refusal::Corrupt),
            },
            Self::Lossless(stream) => {
                let &[0x2f, b0, b1, b2, b3, ..] = stream else { return Err(Refusal::Corrupt) };
                let bits = u32::from_le_bytes([b0, b1, b2, b3]);
                if bits >> 29 != 0 {
                    return Err(Refusal::UnsupportedKind);
                }
                Ok([bits, bits >> 14].map(|side| (side & 0x3fff) + 1))
            }
        }
    }
}

/// Columns and rows of an extended file.
fn canvas(data: &[u8]) -> Option<[u32; 2]> {
    let &[_, _, _, _, w0, w1, w2, h0, h1, h2] = data.first_chunk()?;
    Some([[w0, w1, w2, 0], [h0, h1, h2, 0]].map(|side| u32::from_le_bytes(side) + 1))
}

/// Name and data of a chunk, and what follows it.
type Chunk<'a> = ([u8; 4], &'a [u8], &'a [u8]);

/// The first chunk.
fn chunk(bytes: &[u8]) -> Result<Chunk<'_>, Refusal> {
    let (&[n0, n1, n2, n3, l0, l1, l2, l3], rest) = bytes.split_first_chunk().ok_or(Refusal::Corrupt)?;
    let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
    let (data, rest) = rest.split_at_checked(length).ok_or(Refusal::Corrupt)?;
    // A byte fills up an odd length; behind the last chunk some programs leave it out.
    Ok(([n0, n1, n2, n3], data, rest.get(length % 2..).unwrap_or_default()))
}
