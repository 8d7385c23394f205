//! JPEG files (ITU-T T.81): baseline, extended sequential and progressive, with Huffman codes and 8 bits, in grey, colour or,
//! by Adobe's mark, printing inks.
//!
//! A decoder makes a picture of whatever it gets: it fills what is missing with grey, which would be judged as if it were
//! lung, passes over what does not fit, and reports neither. So a file is walked over before it is decoded, or beside, down to
//! its Huffman codes. A large grey picture is decoded in this very walk, at a reduced scale ([`reduced`]): baseline or extended
//! sequential, in a file of its own. All others are decoded in full. A file is refused as [`Refusal::Corrupt`] unless
//!
//! - its segments follow each other without a gap, from the first marker to that of the end;
//! - each scan holds each of its blocks, with its restart markers in order, and then nothing but the bits that fill a byte;
//! - the scans hold each component, and of a progressive picture each bit of each coefficient;
//! - each code is in its table, each coefficient within its block and its range, and the mean of each block within that of
//!   grey values.
//!
//! So no file passes that has been cut, of which a part was lost, or whose end is another's, unless what is left decodes to
//! exactly the number of blocks. Changed bits that make other valid codes cannot be noticed: the format has no checksum.
//! How often either happens is measured in `tests/damage.rs`.

mod bits;
mod coefficients;
mod frame;
mod huffman;
mod lossless;
mod reduced;
mod scan;
mod segments;
mod tables;

use std::thread;

use image::{DynamicImage, GrayImage, RgbImage, metadata::Orientation};
use shared::{
    limits::{MAX_DECODER_BYTES, MAX_SCANNED_SAMPLES, MAX_SCANS},
    verdict::Refusal,
};
use zune_jpeg::{
    JpegDecoder,
    zune_core::{bytestream::ZCursor, colorspace::ColorSpace, options::DecoderOptions},
};

pub(crate) use self::lossless::decode as decode_lossless;
use self::{
    frame::Frame,
    scan::{Progress, Scan},
    segments::{ADOBE, END_OF_IMAGE, EXIF, JFIF, QUANTIZATION_TABLES, START_OF_IMAGE, START_OF_SCAN},
    tables::Tables,
};

/// Length of a file, in bytes, up to which walking over it takes less time than starting a thread for that.
const WORTH_A_THREAD: usize = 64 * 1024;

/// What the components of a picture stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Colours {
    /// What the file's own marks say; brightness and differences of colours where there are none.
    Marked,
    /// The same; four components may be printing inks, as Adobe's mark says: cyan, magenta, yellow and black, inverted, or
    /// the first three as brightness and differences.
    MarkedOrInks,
    /// The same; RGB where there are none.
    MarkedOrRgb,
}

/// A picture of which nothing is missing, as a file of its own shows it.
pub(crate) struct Shown {
    pub(crate) image: DynamicImage,
    pub(crate) orientation: Orientation,
    /// Columns and rows of the file that one of the image stands for: 1, 2, 4 or 8.
    pub(crate) scale: u16,
}

/// A picture of which nothing is missing, at its full size.
pub(crate) struct Whole<'a> {
    pub(crate) image: DynamicImage,
    /// What follows its end.
    pub(crate) rest: &'a [u8],
}

/// Decodes a whole JPEG file, a large one at a reduced scale. What follows its end is ignored.
pub(crate) fn decode(bytes: &[u8]) -> Result<Shown, Refusal> {
    let head = Head::read(bytes)?;
    let (image, scale) = match reduced::scale(&head.frame) {
        Some(scale) => {
            // It refuses some more of what a header may say.
            decoder(bytes)?;
            (head.reduce(scale)?.0.into(), scale)
        }
        None => (head.decode(bytes, Colours::MarkedOrInks)?.image, 1),
    };
    Ok(Shown { image, orientation: head.orientation, scale })
}

/// Decodes a whole JPEG file whose colours may not be marked, at its full size: within DICOM files, whose tables and windows
/// make grey values of single samples, and not of their means.
pub(crate) fn decode_as(bytes: &[u8], colours: Colours) -> Result<Whole<'_>, Refusal> {
    Head::read(bytes)?.decode(bytes, colours)
}

/// The marker of the first frame: which kind of JPEG it is.
pub(crate) fn kind(bytes: &[u8]) -> Result<u8, Refusal> {
    let (START_OF_IMAGE, mut rest) = segments::marker(bytes)? else { return Err(Refusal::Corrupt) };
    loop {
        let (marker, behind) = segments::marker(rest)?;
        match marker {
            frame if is_frame(frame) => return Ok(marker),
            START_OF_SCAN | END_OF_IMAGE => return Err(Refusal::Corrupt),
            _ => rest = segments::payload(behind)?.1,
        }
    }
}

/// Columns and rows, and bits of a sample, that the first frame of any kind of JPEG tells.
pub(crate) fn size(bytes: &[u8]) -> Result<([u32; 2], u32), Refusal> {
    let (START_OF_IMAGE, mut rest) = segments::marker(bytes)? else { return Err(Refusal::Corrupt) };
    loop {
        let (marker, behind) = segments::marker(rest)?;
        let segment;
        (segment, rest) = segments::payload(behind)?;
        match (is_frame(marker), segment) {
            (true, &[bits, h1, h0, w1, w0, ..]) => {
                return Ok(([[w1, w0], [h1, h0]].map(|side| u16::from_be_bytes(side).into()), bits.into()));
            }
            (true, _) => return Err(Refusal::Corrupt),
            _ => {}
        }
    }
}

/// Whether a marker begins a frame: a table of codes, one of arithmetic ones, and an extension lie between them.
fn is_frame(marker: u8) -> bool {
    matches!(marker, 0xc0..=0xcf | 0xf7) && !matches!(marker, 0xc4 | 0xc8 | 0xcc)
}

/// What follows the end of a sequential picture, which follows its only scan.
fn end(rest: &[u8]) -> Result<&[u8], Refusal> {
    match segments::marker(rest)? {
        (END_OF_IMAGE, rest) => Ok(rest),
        // More scans, or what the decoder, which looks ahead, takes for the end of the data.
        _ => Err(Refusal::UnsupportedKind),
    }
}

/// The decoder of whole pictures, with the headers read.
fn decoder(bytes: &[u8]) -> Result<JpegDecoder<ZCursor<&[u8]>>, Refusal> {
    // Strict, should the walk have missed anything.
    let options = DecoderOptions::default()
        .set_strict_mode(true)
        .set_max_width(usize::MAX)
        .set_max_height(usize::MAX)
        .jpeg_set_max_scans(MAX_SCANS as usize);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().map_err(|_| Refusal::Corrupt)?;
    Ok(decoder)
}

fn pixels(bytes: &[u8], head: &Head<'_>, colours: Colours) -> Result<DynamicImage, Refusal> {
    let frame = &head.frame;
    let mut decoder = decoder(bytes)?;
    let grey = decoder.input_colorspace() == Some(ColorSpace::Luma);
    let unmarked = !head.marked && colours == Colours::MarkedOrRgb;
    let output = match decoder.input_colorspace() {
        _ if grey => ColorSpace::Luma,
        // Given out as they are in the file.
        Some(ColorSpace::YCbCr) if unmarked => ColorSpace::YCbCr,
        _ => ColorSpace::RGB,
    };
    decoder.set_options(decoder.options().jpeg_set_out_colorspace(output));
    let mut pixels = vec![0; decoder.output_buffer_size().ok_or(Refusal::Corrupt)?];
    decoder.decode_into(&mut pixels).map_err(|_| Refusal::Corrupt)?;
    let image = if grey {
        GrayImage::from_raw(frame.width, frame.height, pixels).map(DynamicImage::ImageLuma8)
    } else {
        RgbImage::from_raw(frame.width, frame.height, pixels).map(DynamicImage::ImageRgb8)
    };
    image.ok_or(Refusal::Corrupt)
}

/// What comes before the data of the first scan.
struct Head<'a> {
    frame: Frame,
    tables: Tables,
    orientation: Orientation,
    /// Whether a segment of JFIF or of Adobe says what the colours are.
    marked: bool,
    /// Whether it is one of Adobe: without, nobody knows whether inks are inverted.
    adobe: bool,
    /// Bytes of segments that are neither picture nor tables.
    metadata: u64,
    /// The first scan.
    scan: Scan,
    /// Its data, and all that follows.
    data: &'a [u8],
}

impl<'a> Head<'a> {
    /// Reads up to the first scan, and holds what decoding the file would take to the limits.
    fn read(bytes: &'a [u8]) -> Result<Self, Refusal> {
        let (START_OF_IMAGE, mut rest) = segments::marker(bytes)? else { return Err(Refusal::Corrupt) };
        let mut tables = Tables::default();
        let mut frame = None;
        // Photographs of films carry their rotation in the Exif data; an unreadable one is not a reason to refuse.
        let mut orientation = Orientation::NoTransforms;
        let (mut metadata, mut marked, mut adobe) = (0, false, false);
        loop {
            let (marker, behind) = segments::marker(rest)?;
            let segment;
            (segment, rest) = segments::payload(behind)?;
            match marker {
                START_OF_SCAN => {
                    let frame: Frame = frame.ok_or(Refusal::Corrupt)?;
                    let scan = Scan::read(segment, &frame)?;
                    if !frame.progressive && !scan.is_complete(&frame) {
                        // One component a scan: the decoder loses rows of such files.
                        return Err(Refusal::UnsupportedKind);
                    }
                    let head = Self { frame, tables, orientation, marked, adobe, metadata, scan, data: rest };
                    head.check_memory(metadata)?;
                    return Ok(head);
                }
                QUANTIZATION_TABLES => tables.read_quantization(segment)?,
                0xc0..=0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf if frame.is_none() => {
                    frame = Some(Frame::read(marker, segment)?);
                }
                _ => {
                    tables.read_between_scans(marker, segment)?;
                    metadata += segment.len() as u64;
                    adobe |= marker == ADOBE && segment.starts_with(b"Adobe");
                    marked |= adobe || marker == JFIF && segment.starts_with(b"JFIF\0");
                    if let (EXIF, Some(exif)) = (marker, segment.strip_prefix(b"Exif\0\0")) {
                        orientation = Orientation::from_exif_chunk(exif).unwrap_or(Orientation::NoTransforms);
                    }
                }
            }
        }
    }

    /// Holds what decoding takes to the limit, with so many bytes of metadata in the file.
    fn check_memory(&self, metadata: u64) -> Result<(), Refusal> {
        // The decoder keeps copies of what is not picture, some of it twice. A little fits beside its rows.
        let copies = (2 * metadata).saturating_sub(MAX_DECODER_BYTES / 2);
        let (pixels, coefficients) = (self.frame.pixel_bytes(), self.frame.coefficient_bytes());
        crate::check_memory(pixels, coefficients + copies, false, self.orientation)
    }

    /// Decodes the file at a reduced scale in the same pass that walks over it, and gives what follows it.
    fn reduce(&self, scale: u16) -> Result<(GrayImage, &'a [u8]), Refusal> {
        let (image, rest) = self.scan.reduce(&self.frame, &self.tables, scale, self.data)?;
        Ok((image, end(rest)?))
    }

    /// Walks over the file and decodes it, at its full size.
    fn decode(&self, bytes: &'a [u8], colours: Colours) -> Result<Whole<'a>, Refusal> {
        if self.frame.components.len() == 4 && !(self.adobe && colours == Colours::MarkedOrInks) {
            return Err(Refusal::UnsupportedColour);
        }
        let before = || self.walk().and_then(|rest| Ok((rest, pixels(bytes, self, colours)?)));
        let whole = if self.frame.progressive || bytes.len() <= WORTH_A_THREAD {
            before()
        } else {
            thread::scope(|scope| match thread::Builder::new().spawn_scoped(scope, || self.walk()) {
                Ok(walk) => {
                    let image = pixels(bytes, self, colours);
                    walk.join().unwrap_or(Err(Refusal::Corrupt)).and_then(|rest| Ok((rest, image?)))
                }
                Err(_) => before(),
            })
        };
        let (rest, image) = whole?;
        Ok(Whole { image, rest })
    }

    /// Walks over the data of all scans, to the end of the picture, and gives what follows it.
    fn walk(&self) -> Result<&'a [u8], Refusal> {
        if self.frame.progressive {
            return self.walk_progressive();
        }
        end(self.scan.walk(&self.frame, &self.tables, self.data)?)
    }

    fn walk_progressive(&self) -> Result<&'a [u8], Refusal> {
        let mut tables = self.tables.clone();
        let mut progress = Progress::new(&self.frame);
        let mut scan = self.scan.clone();
        let mut rest = self.data;
        let (mut scans, mut blocks, mut metadata) = (0, 0, self.metadata);
        loop {
            scans += 1;
            blocks += scan.blocks(&self.frame);
            if scans > MAX_SCANS || 64 * blocks > MAX_SCANNED_SAMPLES {
                return Err(Refusal::TooMuchWork);
            }
            rest = scan.walk_progressive(&self.frame, &tables, &mut progress, rest)?;
            loop {
                let (marker, behind) = segments::marker(rest)?;
                if marker == END_OF_IMAGE {
                    return if progress.is_complete() { Ok(behind) } else { Err(Refusal::Corrupt) };
                }
                let segment;
                (segment, rest) = segments::payload(behind)?;
                if marker == START_OF_SCAN {
                    scan = Scan::read(segment, &self.frame)?;
                    break;
                }
                tables.read_between_scans(marker, segment)?;
                metadata += segment.len() as u64;
                self.check_memory(metadata)?;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// SplitMix64.
    fn random(state: &mut u64) -> usize {
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) as usize
    }

    #[test]
    fn a_reduced_picture_is_refused_as_the_walk_refuses_it() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/drawn");
        let mut state = 1;
        let mut outcomes = [0, 0];
        for name in ["baseline-grey-1", "optimized-grey-1", "restart-grey-1", "restart-grey-2"] {
            let whole = fs::read(format!("{folder}/{name}.jpg")).unwrap();
            for round in 0..3000 {
                let mut file = whole.clone();
                let at = random(&mut state) % file.len();
                match round % 4 {
                    0 => file[at] = random(&mut state) as u8,
                    1 => file[at] ^= 1 << (random(&mut state) % 8),
                    2 => drop(file.drain(at..(at + 1 + random(&mut state) % 40).min(whole.len()))),
                    _ => file.copy_within(at.., at / 2),
                }
                let Ok(head) = Head::read(&file) else { continue };
                if head.frame.progressive || head.frame.components.len() != 1 {
                    continue;
                }
                let walked = head.walk();
                for scale in [2, 4, 8] {
                    let reduced = head.reduce(scale).map(|(image, rest)| {
                        let size = [head.frame.width, head.frame.height].map(|side| side / u32::from(scale));
                        assert_eq!([image.width(), image.height()], size, "{name}, round {round}");
                        rest
                    });
                    assert_eq!(reduced, walked, "{name}, round {round}, 1/{scale}");
                }
                outcomes[usize::from(walked.is_ok())] += 1;
            }
        }
        assert!(outcomes.iter().all(|&count| count > 500), "{outcomes:?}");
    }
}
