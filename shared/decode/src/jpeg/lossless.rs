//! Lossless JPEG (T.81, annex H): each sample is told by its difference from what its neighbours let expect. The only kind of
//! JPEG that radiographs of more than 8 bits come in; found within DICOM files.
//!
//! The walk over the codes, which finds what is missing or too much, is the decoder itself.

use shared::verdict::Refusal;

use super::{
    bits::Bits,
    segments::{self, END_OF_IMAGE, FIRST_RESTART, START_OF_IMAGE, START_OF_SCAN},
    tables::Tables,
};

/// The marker of a frame of this kind, with Huffman codes.
const FRAME: u8 = 0xc3;

/// The samples of a picture.
pub(crate) struct Lossless<'a> {
    /// Bits of a sample, 2 to 16.
    pub(crate) precision: u32,
    /// Row by row, the components of a pixel one after the other.
    pub(crate) samples: Vec<u16>,
    /// What follows the end of the picture.
    pub(crate) rest: &'a [u8],
}

/// Decodes a whole file of a picture of this size and so many components.
pub(crate) fn decode(bytes: &[u8], [width, height]: [u32; 2], components: usize) -> Result<Lossless<'_>, Refusal> {
    let (START_OF_IMAGE, mut rest) = segments::marker(bytes)? else { return Err(Refusal::Corrupt) };
    let mut tables = Tables::default();
    let mut frame = None;
    loop {
        let (marker, behind) = segments::marker(rest)?;
        let segment;
        (segment, rest) = segments::payload(behind)?;
        match marker {
            FRAME if frame.is_none() => {
                let [precision, h1, h0, w1, w0, count, listed @ ..] = segment else { return Err(Refusal::Corrupt) };
                let size = [[*w1, *w0], [*h1, *h0]].map(|side| u32::from(u16::from_be_bytes(side)));
                let (listed, surplus) = listed.as_chunks::<3>();
                let counts = [usize::from(*count), listed.len()];
                if size != [width, height] || counts != [components; 2] || !surplus.is_empty() {
                    return Err(Refusal::Corrupt);
                }
                if !matches!(precision, 2..=16) {
                    return Err(Refusal::Corrupt);
                }
                // Components of other sizes than the picture's are allowed, and written by nobody.
                if components > 1 && listed.iter().any(|[_, sampling, _]| *sampling != 0x11) {
                    return Err(Refusal::UnsupportedKind);
                }
                frame = Some((u32::from(*precision), listed.iter().map(|[id, ..]| *id).collect::<Vec<_>>()));
            }
            START_OF_SCAN => {
                let (precision, ids) = frame.ok_or(Refusal::Corrupt)?;
                let scan = Scan::read(segment, &ids, precision)?;
                let mut samples = vec![0; width as usize * height as usize * components];
                let rest = scan.decode(&tables, rest, width as usize, &mut samples)?;
                return match segments::marker(rest)? {
                    (END_OF_IMAGE, rest) => Ok(Lossless { precision, samples, rest }),
                    _ => Err(Refusal::Corrupt),
                };
            }
            _ => tables.read_between_scans(marker, segment)?,
        }
    }
}

struct Scan {
    /// The destination of the table of each component.
    tables: Vec<usize>,
    /// Which neighbours a sample is expected from: 1 to 7.
    predictor: u8,
    /// Lowest bits that are left out.
    transform: u32,
    precision: u32,
}

impl Scan {
    fn read(segment: &[u8], ids: &[u8], precision: u32) -> Result<Self, Refusal> {
        let (&count, rest) = segment.split_first().ok_or(Refusal::Corrupt)?;
        let (listed, parameters) = rest.split_at_checked(2 * usize::from(count)).ok_or(Refusal::Corrupt)?;
        let &[predictor, _, transform] = parameters else { return Err(Refusal::Corrupt) };
        let listed = listed.as_chunks::<2>().0;
        // One component a scan is allowed, and hardly ever written.
        if listed.len() != ids.len() {
            return Err(Refusal::UnsupportedKind);
        }
        if !listed.iter().map(|[id, _]| id).eq(ids) || !matches!(predictor, 1..=7) {
            return Err(Refusal::Corrupt);
        }
        let transform = u32::from(transform & 15);
        if transform >= precision || listed.iter().any(|[_, table]| table >> 4 > 3) {
            return Err(Refusal::Corrupt);
        }
        let tables = listed.iter().map(|[_, table]| usize::from(table >> 4)).collect();
        Ok(Self { tables, predictor, transform, precision })
    }

    /// Decodes all samples, and gives what follows their data.
    fn decode<'a>(
        &self,
        tables: &Tables,
        mut data: &'a [u8],
        width: usize,
        samples: &mut [u16],
    ) -> Result<&'a [u8], Refusal> {
        let components = self.tables.len();
        let row = width * components;
        let interval = tables.restart_interval as usize;
        // Intervals are whole rows (H.1.1).
        if !interval.is_multiple_of(width) {
            return Err(Refusal::Corrupt);
        }
        let codes = self.tables.iter().map(|&place| tables.dc[place].as_ref().ok_or(Refusal::Corrupt));
        let codes = codes.collect::<Result<Vec<_>, _>>()?;
        let interval = if interval == 0 { samples.len() } else { interval * components };
        let last = samples.len().div_ceil(interval) - 1;
        for (number, part) in samples.chunks_mut(interval).enumerate() {
            let mut bits = Bits::new(data);
            for at in 0..part.len() {
                let difference = codes[at % components].lossless_difference(&mut bits)?;
                let sample = self.expected(part, at, row, components).wrapping_add(difference);
                if u32::from(sample) >> (self.precision - self.transform) != 0 {
                    return Err(Refusal::Corrupt);
                }
                part[at] = sample;
            }
            data = bits.end()?;
            if number < last {
                let (marker, rest) = segments::marker(data)?;
                if marker != FIRST_RESTART + (number % 8) as u8 {
                    return Err(Refusal::Corrupt);
                }
                data = rest;
            }
        }
        samples.iter_mut().for_each(|sample| *sample <<= self.transform);
        Ok(data)
    }

    /// What the neighbours of a sample let expect (table H.1), in a part that begins with a row.
    #[inline]
    fn expected(&self, part: &[u16], at: usize, row: usize, components: usize) -> u16 {
        let first = at % row < components;
        if at < row {
            return if first { 1 << (self.precision - self.transform - 1) } else { part[at - components] };
        }
        let above = i32::from(part[at - row]);
        if first {
            return above as u16;
        }
        let [left, corner] = [at - components, at - row - components].map(|place| i32::from(part[place]));
        let expected = match self.predictor {
            1 => left,
            2 => above,
            3 => corner,
            4 => left + above - corner,
            5 => left + ((above - corner) >> 1),
            6 => above + ((left - corner) >> 1),
            _ => (left + above) >> 1,
        };
        // Modulo 65,536.
        expected as u16
    }
}
