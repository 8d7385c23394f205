//! The pixels of a data set → samples: as they are, by run lengths, or by one of the kinds of JPEG.
//!
//! Whatever is shorter than the picture, or longer by more than what fills up a length, is refused as
//! [`Refusal::Corrupt`]; JPEG pictures are walked over as JPEG files are.

use std::borrow::Cow;

use image::DynamicImage;
use shared::verdict::Refusal;

use super::{
    elements::Value,
    file::Coding,
    header::{Header, Photometric},
    jpeg2000,
    shades::Samples,
};
use crate::{
    jpeg::{self, Colours, Whole},
    packbits::unpack,
};

/// The first bytes of a picture of JPEG, and of one of JPEG 2000.
const JPEG: &[u8] = &[0xff, 0xd8];
const JPEG_2000: &[u8] = &[0xff, 0x4f, 0xff, 0x51];

/// What became of the pixels.
pub(super) enum Decoded {
    /// As they are stored, those of a pixel one after the other.
    Samples(Samples),
    /// A picture in RGB.
    Rgb(DynamicImage),
}

/// Decodes the pixels. What a picture says of its bits counts more than what the data set says: it is set in `header`.
pub(super) fn decode(header: &mut Header<'_>, coding: Coding, held: u64) -> Result<Decoded, Refusal> {
    let fragments = match (&header.pixels, coding) {
        (Value::Bytes(bytes), Coding::Plain | Coding::Unknown) => {
            let bytes = *bytes;
            check_memory(header, held, 0)?;
            return plain(header, bytes).map(Decoded::Samples);
        }
        (_, Coding::Other) => return Err(Refusal::UnsupportedCompression),
        // They should be in fragments.
        (Value::Bytes(_), _) => return Err(Refusal::Corrupt),
        (Value::Fragments(fragments), _) => fragments,
    };
    let data: Cow<'_, [u8]> = match fragments[..] {
        [fragment] => fragment.into(),
        _ => fragments.concat().into(),
    };
    let held = held + if matches!(data, Cow::Owned(_)) { data.len() as u64 } else { 0 };
    match coding {
        Coding::Encapsulated => {
            check_memory(header, held, 0)?;
            plain(header, &data).map(Decoded::Samples)
        }
        Coding::RunLength => {
            check_memory(header, held, 0)?;
            run_length(header, &data).map(Decoded::Samples)
        }
        _ if data.starts_with(JPEG) => jpeg(header, &data, held),
        _ if data.starts_with(JPEG_2000) => jpeg2000::decode(header, &data, held),
        // JPEG 2000 in the boxes of a file, which DICOM forbids; or video.
        _ => Err(Refusal::UnsupportedCompression),
    }
}

/// Holds to the limit what is held while the samples are made and shown, with so many bytes held besides from the file, and
/// so many by a decoder.
pub(super) fn check_memory(header: &Header<'_>, held: u64, decoder: u64) -> Result<(), Refusal> {
    let (area, bytes) = (header.area() as u64, u64::from(header.allocated / 8));
    let samples = area * header.samples as u64 * bytes;
    // Grey of 16 bits, made in place where the samples are of 16 bits, too; or three colours.
    let picture = match &header.palette {
        Some([red, ..]) => 3 * area * if red.bits == 8 { 1 } else { 2 },
        None if header.samples == 1 && bytes == 1 => 2 * area,
        None => 0,
    };
    crate::check_memory(samples + held, picture.max(decoder), false, image::metadata::Orientation::NoTransforms)
}

/// Samples that are not compressed.
fn plain(header: &Header<'_>, bytes: &[u8]) -> Result<Samples, Refusal> {
    let shared = header.photometric == Photometric::YbrFull422;
    if shared && (header.width % 2 == 1 || header.planar || header.allocated != 8) {
        return Err(Refusal::UnsupportedColour);
    }
    let count = header.area() * if shared { 2 } else { header.samples };
    let width = header.allocated as usize / 8;
    // Bytes in words of the other order: each pair is exchanged.
    let exchanged = width == 1 && header.encoding.big && header.words;
    let bytes: Cow<'_, [u8]> = if exchanged {
        let mut bytes = bytes.to_vec();
        bytes.as_chunks_mut().0.iter_mut().for_each(|pair: &mut [u8; 2]| pair.swap(0, 1));
        bytes.into()
    } else {
        bytes.into()
    };
    let (pixels, surplus) = bytes.split_at_checked(count * width).ok_or(Refusal::Corrupt)?;
    if surplus.iter().any(|&byte| byte != 0) {
        return Err(Refusal::Corrupt);
    }
    if width == 2 {
        let samples = pixels.as_chunks().0;
        let sample = |place: usize| header.encoding.u16(samples[place]);
        return Ok(Samples::U16(interleaved(header, sample)));
    }
    if shared {
        let pairs = pixels.as_chunks().0.iter();
        return Ok(Samples::U8(
            pairs.flat_map(|&[one, other, blue, red]| [one, blue, red, other, blue, red]).collect(),
        ));
    }
    Ok(Samples::U8(interleaved(header, |place| pixels[place])))
}

/// Samples in the order of pixels, of a picture that may have them in planes.
fn interleaved<T>(header: &Header<'_>, sample: impl Fn(usize) -> T) -> Vec<T> {
    let (area, count) = (header.area(), header.samples);
    if header.planar && count > 1 {
        (0..area * count).map(|place| sample(place % count * area + place / count)).collect()
    } else {
        (0..area * count).map(sample).collect()
    }
}

/// Planes of bytes, each coded by run lengths (PS3.5, annex G): of each component, the highest bytes of all its samples
/// first.
fn run_length(header: &Header<'_>, data: &[u8]) -> Result<Samples, Refusal> {
    let width = header.allocated as usize / 8;
    let (head, _) = data.split_first_chunk::<64>().ok_or(Refusal::Corrupt)?;
    let mut numbers = head.as_chunks().0.iter().map(|&number| u32::from_le_bytes(number) as usize);
    let count = numbers.next().ok_or(Refusal::Corrupt)?;
    if count != header.samples * width {
        return Err(Refusal::Corrupt);
    }
    let mut starts: Vec<usize> = numbers.take(count).collect();
    starts.push(data.len());
    if starts[0] != head.len() || !starts.is_sorted() {
        return Err(Refusal::Corrupt);
    }
    let segments = starts.windows(2).map(|ends| &data[ends[0]..ends[1]]);
    let (area, components) = (header.area(), header.samples);
    if width == 1 {
        let mut samples = vec![0; area * components];
        for (component, segment) in segments.enumerate() {
            unpack(segment, samples.chunks_exact_mut(components), |pixel: &mut [u8], byte| pixel[component] = byte)?;
        }
        return Ok(Samples::U8(samples));
    }
    let mut samples = vec![0; area * components];
    for (plane, segment) in segments.enumerate() {
        let (component, shift) = (plane / 2, 8 * (1 - plane % 2));
        let put = |pixel: &mut [u16], byte: u8| pixel[component] |= u16::from(byte) << shift;
        unpack(segment, samples.chunks_exact_mut(components), put)?;
    }
    Ok(Samples::U16(samples))
}

fn jpeg(header: &mut Header<'_>, data: &[u8], held: u64) -> Result<Decoded, Refusal> {
    let size = [header.width, header.height];
    // A DICOM file is no JPEG file: another advice helps.
    let unsupported = |refusal| match refusal {
        Refusal::UnsupportedKind => Refusal::UnsupportedCompression,
        other => other,
    };
    match jpeg::kind(data)? {
        0xc0..=0xc2 => {
            let colours = match header.photometric {
                Photometric::Rgb => Colours::MarkedOrRgb,
                _ => Colours::Marked,
            };
            // Besides what decoding a JPEG file takes, which is held to its own limit: grey of 16 bits.
            check_memory(header, held, 0)?;
            let Whole { image, rest, .. } = jpeg::decode_as(data, colours).map_err(unsupported)?;
            if [image.width(), image.height()] != size || !is_padding(rest) {
                return Err(Refusal::Corrupt);
            }
            match (image, header.samples) {
                (DynamicImage::ImageLuma8(image), 1) => {
                    set_precision(header, 8, Sign::Untold, image.iter().map(|&sample| sample.into()))?;
                    Ok(Decoded::Samples(Samples::U8(image.into_raw())))
                }
                (image @ DynamicImage::ImageRgb8(_), 3) => Ok(Decoded::Rgb(image)),
                _ => Err(Refusal::Corrupt),
            }
        }
        0xc3 => {
            // Two bytes a sample, also where the header says one.
            let samples = header.area() as u64 * header.samples as u64;
            check_memory(header, held, if header.allocated == 8 { 2 * samples } else { 0 })?;
            let decoded = jpeg::decode_lossless(data, size, header.samples).map_err(unsupported)?;
            if !is_padding(decoded.rest) {
                return Err(Refusal::Corrupt);
            }
            set_precision(header, decoded.precision, Sign::Untold, decoded.samples.iter().copied())?;
            Ok(Decoded::Samples(narrowed(header, decoded.samples)))
        }
        _ => Err(Refusal::UnsupportedCompression),
    }
}

/// Whether what follows a picture only fills up a length. Otherwise it may be another frame, of which nothing says that it
/// is one.
fn is_padding(rest: &[u8]) -> bool {
    rest.iter().all(|&byte| byte == 0)
}

/// Samples of a decoder, in bytes where the header says so.
pub(super) fn narrowed(header: &Header<'_>, samples: Vec<u16>) -> Samples {
    if header.allocated == 8 {
        Samples::U8(samples.into_iter().map(|sample| sample as u8).collect())
    } else {
        Samples::U16(samples)
    }
}

/// Whether a compressed picture tells by itself that its samples have a sign or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    /// It does, and the header says the same.
    Told,
    /// It does not: its samples are patterns.
    Untold,
}

/// Sets what the header says of a sample's bits to those that a compressed picture has. Refused if these are more than a
/// sample takes, or if a sample needs more than are stored: without its highest bits white would be shown as black. Refused
/// as well if samples whose bits are fewer or more than those stored could have a sign or not.
pub(super) fn set_precision(
    header: &mut Header<'_>,
    precision: u32,
    sign: Sign,
    mut samples: impl Iterator<Item = u16>,
) -> Result<(), Refusal> {
    if precision > header.allocated {
        return Err(Refusal::Corrupt);
    }
    if precision < header.allocated {
        header.shift = 0;
    }
    let stored = header.stored.min(precision);
    // From the highest bit of the picture on.
    let top = |sample: u16| u32::from(sample) >> (header.shift + stored - 1);
    let ones = (1_u32 << (precision + 1 - header.shift - stored)) - 1;
    let fits = |sample: u16| match (header.signed, sign) {
        (false, _) => top(sample) <= 1,
        (true, Sign::Untold) if precision < header.stored => top(sample) == 0,
        (true, _) if precision == stored => true,
        (true, _) => [0, ones].contains(&top(sample)),
    };
    if !samples.all(fits) {
        return Err(Refusal::Corrupt);
    }
    header.stored = stored;
    header.planar = false;
    Ok(())
}
