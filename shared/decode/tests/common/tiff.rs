//! TIFF files to decode and to damage.

use std::io::Write;

use flate2::{Compression, write::ZlibEncoder};
use weezl::{BitOrder, encode::Encoder};

pub(crate) const LONG: u16 = 4;
pub(crate) const SHORT: u16 = 3;

/// What becomes a file.
#[derive(Clone)]
pub(crate) struct Tiff {
    pub(crate) size: [usize; 2],
    pub(crate) bits: usize,
    /// Samples of a pixel.
    pub(crate) count: usize,
    /// Those of a pixel one after the other.
    pub(crate) samples: Vec<u16>,
    pub(crate) photometric: u32,
    pub(crate) compression: u32,
    pub(crate) predictor: u32,
    pub(crate) planar: bool,
    pub(crate) tile: Option<[usize; 2]>,
    /// Rows of a strip.
    pub(crate) rows: usize,
    pub(crate) big_endian: bool,
    /// Whether the directory comes before the pixels.
    pub(crate) directory_first: bool,
    /// Fields besides, and those that are to be others: tag, type, numbers.
    pub(crate) fields: Vec<(u16, u16, Vec<u32>)>,
    /// Directories that follow: of the same strips, with these fields besides.
    pub(crate) others: Vec<Vec<(u16, u16, Vec<u32>)>>,
}

impl Tiff {
    pub(crate) fn grey(size: [usize; 2], bits: usize, samples: Vec<u16>) -> Self {
        Self {
            size,
            bits,
            count: 1,
            samples,
            photometric: 1,
            compression: 1,
            predictor: 1,
            planar: false,
            tile: None,
            rows: 16,
            big_endian: false,
            directory_first: false,
            fields: Vec::new(),
            others: Vec::new(),
        }
    }

    fn u16(&self, value: u16) -> [u8; 2] {
        if self.big_endian { value.to_be_bytes() } else { value.to_le_bytes() }
    }

    fn u32(&self, value: u32) -> [u8; 4] {
        if self.big_endian { value.to_be_bytes() } else { value.to_le_bytes() }
    }

    /// Each strip or tile, compressed.
    pub(crate) fn parts(&self) -> Vec<Vec<u8>> {
        let [width, height] = self.size;
        let [columns, rows] = self.tile.unwrap_or([width, self.rows.min(height)]);
        let planes = if self.planar { self.count } else { 1 };
        let mut parts = Vec::new();
        for plane in 0..planes {
            for top in (0..height).step_by(rows) {
                for left in (0..width).step_by(columns) {
                    let rows = if self.tile.is_some() { rows } else { rows.min(height - top) };
                    let bytes: Vec<u8> =
                        (top..top + rows).flat_map(|y| self.row(plane, left..left + columns, y)).collect();
                    parts.push(self.compressed(&bytes));
                }
            }
        }
        parts
    }

    fn row(&self, plane: usize, columns: std::ops::Range<usize>, y: usize) -> Vec<u8> {
        let [width, height] = self.size;
        let channels = if self.planar { plane..plane + 1 } else { 0..self.count };
        let at = |x: usize, channel: usize| match x < width && y < height {
            true => self.samples[(y * width + x) * self.count + channel],
            // What fills up a tile.
            false => 77,
        };
        let start = columns.start;
        let samples = columns.flat_map(|x| channels.clone().map(move |channel| (x, channel)));
        let values = samples.map(|(x, channel)| match self.predictor == 2 && x > start {
            true => at(x, channel).wrapping_sub(at(x - 1, channel)),
            false => at(x, channel),
        });
        // Without an allocation for each sample: there are pictures of 67 million.
        let bytes = values.flat_map(|value| {
            let (bytes, count) = if self.bits == 8 { ([value as u8, 0], 1) } else { (self.u16(value), 2) };
            bytes.into_iter().take(count)
        });
        bytes.collect()
    }

    fn compressed(&self, bytes: &[u8]) -> Vec<u8> {
        match self.compression {
            5 => Encoder::with_tiff_size_switch(BitOrder::Msb, 8).encode(bytes).unwrap(),
            8 | 32_946 => {
                let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
                encoder.write_all(bytes).unwrap();
                encoder.finish().unwrap()
            }
            32_773 => pack(bytes),
            _ => bytes.to_vec(),
        }
    }

    pub(crate) fn write(&self) -> Vec<u8> {
        let parts = self.parts();
        let lengths: Vec<u32> = parts.iter().map(|part| part.len() as u32).collect();
        let all: u32 = lengths.iter().sum();
        let directories = |pixels: u32, start: u32| {
            let offsets: Vec<u32> =
                lengths.iter().scan(pixels, |at, length| Some(std::mem::replace(at, *at + length))).collect();
            self.directories(&offsets, &lengths, start)
        };
        let mark: &[u8] = if self.big_endian { b"MM\0*" } else { b"II*\0" };
        if self.directory_first {
            let length = directories(0, 8).len() as u32;
            [mark, &self.u32(8), &directories(8 + length, 8), &parts.concat()].concat()
        } else {
            [mark, &self.u32(8 + all), &parts.concat(), &directories(8, 8 + all)].concat()
        }
    }

    fn directories(&self, offsets: &[u32], lengths: &[u32], start: u32) -> Vec<u8> {
        let [width, height] = self.size.map(|side| side as u32);
        let mut fields = vec![
            (256, LONG, vec![width]),
            (257, LONG, vec![height]),
            (258, SHORT, vec![self.bits as u32; self.count]),
            (259, SHORT, vec![self.compression]),
            (262, SHORT, vec![self.photometric]),
            (277, SHORT, vec![self.count as u32]),
            (284, SHORT, vec![if self.planar { 2 } else { 1 }]),
            (317, SHORT, vec![self.predictor]),
        ];
        match self.tile {
            Some([columns, rows]) => fields.extend([
                (322, LONG, vec![columns as u32]),
                (323, LONG, vec![rows as u32]),
                (324, LONG, offsets.to_vec()),
                (325, LONG, lengths.to_vec()),
            ]),
            None => fields.extend([
                (273, LONG, offsets.to_vec()),
                (278, LONG, vec![self.rows as u32]),
                (279, LONG, lengths.to_vec()),
            ]),
        }
        let mut bytes = Vec::new();
        for (number, more) in std::iter::once(&self.fields).chain(&self.others).enumerate() {
            let mut fields = fields.clone();
            for field in more {
                fields.retain(|(tag, ..)| *tag != field.0);
                // A field without numbers is left out.
                if !field.2.is_empty() {
                    fields.push(field.clone());
                }
            }
            fields.sort_by_key(|(tag, ..)| *tag);
            let at = start + bytes.len() as u32;
            bytes.extend(self.directory(&fields, at, number < self.others.len()));
        }
        bytes
    }

    fn directory(&self, fields: &[(u16, u16, Vec<u32>)], start: u32, more: bool) -> Vec<u8> {
        let mut entries = self.u16(fields.len() as u16).to_vec();
        let beyond = start + 2 + 12 * fields.len() as u32 + 4;
        let mut values = Vec::new();
        for (tag, kind, numbers) in fields {
            entries.extend([self.u16(*tag), self.u16(*kind)].concat());
            entries.extend(self.u32(numbers.len() as u32));
            let mut bytes: Vec<u8> = numbers
                .iter()
                .flat_map(|&number| match *kind {
                    SHORT => self.u16(number as u16).to_vec(),
                    _ => self.u32(number).to_vec(),
                })
                .collect();
            if bytes.len() <= 4 {
                bytes.resize(4, 0);
                entries.extend(bytes);
            } else {
                entries.extend(self.u32(beyond + values.len() as u32));
                values.extend(bytes);
            }
        }
        let next = if more { beyond + values.len() as u32 } else { 0 };
        [&entries[..], &self.u32(next), &values].concat()
    }
}

/// Run lengths: runs of three and more, and what lies between.
fn pack(bytes: &[u8]) -> Vec<u8> {
    let mut packed = Vec::new();
    let mut literal: Vec<u8> = Vec::new();
    let mut rest = bytes;
    let flush = |literal: &mut Vec<u8>, packed: &mut Vec<u8>| {
        for part in literal.chunks(128) {
            packed.push(part.len() as u8 - 1);
            packed.extend(part);
        }
        literal.clear();
    };
    while let Some(&first) = rest.first() {
        let run = rest.iter().take(128).take_while(|&&byte| byte == first).count();
        if run >= 3 {
            flush(&mut literal, &mut packed);
            packed.extend([(257 - run) as u8, first]);
        } else {
            literal.extend(&rest[..run]);
        }
        rest = &rest[run..];
    }
    flush(&mut literal, &mut packed);
    packed
}
