//! Large grey JPEG files, which are decoded at a reduced scale: each sample against the definition.

#![allow(clippy::unwrap_used, reason = "a test that cannot continue has failed")]

mod common;

use std::{f64::consts::PI, io::Write};

use common::Random;
use decode::{decode, describe};
use image::{
    DynamicImage, ExtendedColorType, GrayImage, ImageEncoder, ImageFormat, Luma, RgbImage, codecs::jpeg::JpegEncoder,
};
use shared::preprocess::Window;

/// Where the coefficients stand in a block, as T.81 (figure A.6) draws it: up and down the diagonals.
fn zigzag() -> Vec<[usize; 2]> {
    let diagonal = |sum: usize| {
        let rows = sum.saturating_sub(7)..=sum.min(7);
        let places: Vec<[usize; 2]> = rows.map(|row| [row, sum - row]).collect();
        if sum.is_multiple_of(2) { places.into_iter().rev().collect() } else { places }
    };
    (0..15).flat_map(diagonal).collect()
}

/// A canonical Huffman code: as many codes of each length as `counts` says, for the symbols in their order.
struct Code {
    counts: [u8; 16],
    symbols: Vec<u8>,
}

impl Code {
    /// Of differences of means: all sizes.
    fn dc() -> Self {
        Self { counts: [0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0], symbols: (0..12).collect() }
    }

    /// Of other coefficients: all runs and sizes, in codes of 2 to 16 bits.
    fn ac() -> Self {
        let mut symbols = vec![0x00, 0x01, 0x11, 0x02, 0x21, 0xf0];
        let all = (0..16).flat_map(|run| (1..=10).map(move |size| run << 4 | size));
        let rest: Vec<u8> = all.filter(|symbol| !symbols.contains(symbol)).collect();
        symbols.extend(rest);
        Self { counts: [0, 1, 1, 1, 1, 2, 2, 2, 4, 8, 10, 0, 0, 0, 0, 130], symbols }
    }

    /// The code of each symbol and its length.
    fn table(&self) -> Vec<(u32, u32)> {
        let mut table = vec![(0, 0); 256];
        let (mut code, mut symbols) = (0, self.symbols.iter());
        for (length, &count) in (1..).zip(&self.counts) {
            for symbol in symbols.by_ref().take(count.into()) {
                table[usize::from(*symbol)] = (code, length);
                code += 1;
            }
            code <<= 1;
        }
        table
    }

    fn segment(&self, class: u8) -> Vec<u8> {
        segment(0xc4, &[&[class][..], &self.counts, &self.symbols].concat())
    }
}

fn segment(marker: u8, data: &[u8]) -> Vec<u8> {
    [&[0xff, marker][..], &(data.len() as u16 + 2).to_be_bytes(), data].concat()
}

#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    word: u64,
    count: u32,
}

impl Bits {
    fn put(&mut self, bits: u32, count: u32) {
        (self.word, self.count) = (self.word << count | u64::from(bits), self.count + count);
        while self.count >= 8 {
            self.count -= 8;
            self.bytes.push((self.word >> self.count) as u8);
            if self.bytes.last() == Some(&0xff) {
                self.bytes.push(0);
            }
        }
    }

    /// A code, and the value behind it.
    fn coded(&mut self, (code, length): (u32, u32), value: i32, size: u32) {
        self.put(code, length);
        self.put((if value < 0 { value - 1 } else { value }) as u32 & ((1 << size) - 1), size);
    }

    fn end(&mut self) {
        let rest = (8 - self.count % 8) % 8;
        self.put((1 << rest) - 1, rest);
    }
}

fn size_of(value: i32) -> u32 {
    32 - value.unsigned_abs().leading_zeros()
}

/// A picture by its coefficients.
struct Picture {
    size: [u16; 2],
    /// In zigzag order, as those of the blocks.
    divisors: [u8; 64],
    blocks: Vec<[i16; 64]>,
    /// Blocks between restart markers; 0 if there are none.
    restart: u16,
}

impl Picture {
    /// All that blocks can look like: one shade; few coefficients, close together or after long runs of zeros; all of them; such
    /// as lead far out of the grey values.
    fn drawn(size: [u16; 2], restart: u16, seed: u64) -> Self {
        let mut random = Random(seed);
        let divisors = std::array::from_fn(|n| if n == 0 { 8 } else { 1 + (n * 7 % 40) as u8 });
        let [columns, rows] = size.map(|side| usize::from(side).div_ceil(8));
        let block = |_| {
            let mut block = [0; 64];
            let (last, share, most) = match random.below(8) {
                0 | 1 => (0, 1, 1),
                2 | 3 => (12, 2, 8),
                4 => (63, 20, 40),
                5 => (63, 1, 3),
                6 => (63, 9, 1023),
                _ => (30, 3, 90),
            };
            block[0] = random.below(256) as i16 - 128;
            for coefficient in &mut block[1..=last] {
                if random.below(share) == 0 {
                    *coefficient = random.below(2 * most + 1) as i16 - most as i16;
                }
            }
            block
        };
        Self { size, divisors, blocks: (0..columns * rows).map(block).collect(), restart }
    }

    fn file(&self) -> Vec<u8> {
        let (dc, ac) = (Code::dc(), Code::ac());
        let tables = [dc.table(), ac.table()];
        let [width, height] = self.size.map(u16::to_be_bytes);
        let mut file = [
            vec![0xff, 0xd8],
            segment(0xdb, &[&[0][..], &self.divisors].concat()),
            segment(0xc0, &[&[8][..], &height, &width, &[1, 1, 0x11, 0]].concat()),
            dc.segment(0),
            ac.segment(0x10),
            if self.restart > 0 { segment(0xdd, &self.restart.to_be_bytes()) } else { vec![] },
            segment(0xda, &[1, 1, 0, 0, 63, 0]),
        ]
        .concat();
        let length = if self.restart > 0 { usize::from(self.restart) } else { self.blocks.len() };
        for (number, blocks) in self.blocks.chunks(length).enumerate() {
            if number > 0 {
                file.extend([0xff, 0xd0 + ((number - 1) % 8) as u8]);
            }
            let (mut bits, mut before) = (Bits::default(), 0);
            for block in blocks {
                let difference = i32::from(block[0]) - before;
                before = block[0].into();
                bits.coded(tables[0][size_of(difference) as usize], difference, size_of(difference));
                let mut run = 0;
                for &value in &block[1..] {
                    run += 1;
                    if value != 0 {
                        (0..(run - 1) / 16).for_each(|_| bits.coded(tables[1][0xf0], 0, 0));
                        let size = size_of(value.into());
                        bits.coded(tables[1][(((run - 1) % 16) << 4) | size as usize], value.into(), size);
                        run = 0;
                    }
                }
                if run > 0 {
                    bits.coded(tables[1][0x00], 0, 0);
                }
            }
            bits.end();
            file.extend(bits.bytes);
        }
        [&file[..], &[0xff, 0xd9]].concat()
    }

    /// Means of `scale × scale` samples, with 128 added: the definition, in the order of blocks.
    fn means(&self, scale: usize) -> Vec<Vec<f64>> {
        let cosine = |x: usize, u: usize| {
            let length = if u == 0 { 0.125_f64.sqrt() } else { 0.5 };
            length * (((2 * x + 1) * u) as f64 * PI / 16.0).cos()
        };
        let side = 8 / scale;
        let mean = |i: usize, u: usize| (0..scale).map(|x| cosine(i * scale + x, u)).sum::<f64>() / scale as f64;
        let means: Vec<[f64; 8]> = (0..side).map(|i| std::array::from_fn(|u| mean(i, u))).collect();
        let places = zigzag();
        let of = |block: &[i16; 64]| {
            let mut coefficients = [[0.0; 8]; 8];
            for ((&[row, column], &value), &divisor) in places.iter().zip(block).zip(&self.divisors) {
                coefficients[row][column] = f64::from(value) * f64::from(divisor);
            }
            let lines =
                coefficients.map(|row| means.iter().map(|mean| (0..8).map(|u| mean[u] * row[u]).sum()).collect());
            let lines: [Vec<f64>; 8] = lines;
            let sample = |n: usize| 128.0 + (0..8).map(|v| means[n / side][v] * lines[v][n % side]).sum::<f64>();
            (0..side * side).map(sample).collect()
        };
        self.blocks.iter().map(of).collect()
    }
}

#[test]
fn each_sample_is_the_mean_of_a_square() {
    // What every processor makes of them.
    let golden = [0xef71_83c9, 0xd840_b578, 0x10bb_5c44];
    let pictures = [(2, [963, 970], 0), (4, [1923, 1930], 100), (8, [3847, 3840], 1000)];
    let digests = pictures.map(|(scale, size, restart)| {
        let picture = Picture::drawn(size, restart, scale as u64);
        let radiograph = decode(&picture.file()).unwrap();
        let image = radiograph.image().as_luma8().unwrap();
        let [width, height] = size.map(|side| usize::from(side) / scale);
        assert_eq!([image.width() as usize, image.height() as usize], [width, height], "padding is left out");
        let (means, side, columns) = (picture.means(scale), 8 / scale, usize::from(size[0]).div_ceil(8));
        let mut others = 0;
        for (x, y, &Luma([found])) in image.enumerate_pixels() {
            let (x, y) = (x as usize, y as usize);
            let mean = means[y / side * columns + x / side][y % side * side + x % side];
            let expected = (mean + 0.5).floor().clamp(0.0, 255.0) as u8;
            if found != expected {
                others += 1;
                let near = (mean.fract().abs() - 0.5).abs() < 1e-3;
                assert!(found.abs_diff(expected) == 1 && near, "1/{scale} at {x}, {y}: {found} for {mean}");
            }
        }
        assert!(10_000 * others < width * height, "1/{scale}: {others} samples are rounded otherwise");
        let _ = writeln!(std::io::stderr(), "1/{scale}: {others} of {} samples are rounded otherwise", width * height);
        crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC).checksum(image.as_raw())
    });
    assert_eq!(digests, golden, "{digests:#010x?}");
}

/// A picture without noise, whose shades no coding error brings out of 0..=255.
fn shades(width: u32, height: u32) -> GrayImage {
    GrayImage::from_fn(width, height, |x, y| {
        Luma([(60 + x * 60 / width + y * 60 / height + (x / 7 % 5) * (y / 11 % 5) * 3) as u8])
    })
}

fn jpeg(image: &GrayImage, exif: Option<&[u8]>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = JpegEncoder::new_with_quality(&mut bytes, 90);
    exif.into_iter().for_each(|exif| encoder.set_exif_metadata(exif.to_vec()).unwrap());
    encoder.write_image(image.as_raw(), image.width(), image.height(), ExtendedColorType::L8).unwrap();
    bytes
}

#[test]
fn it_is_what_another_decoder_makes_of_the_full_picture() {
    let file = jpeg(&shades(1111, 1234), None);
    let radiograph = decode(&file).unwrap();
    let full = image::load_from_memory(&file).unwrap().into_luma8();
    for (x, y, Luma([found])) in radiograph.image().as_luma8().unwrap().enumerate_pixels() {
        let square =
            [[0, 0], [1, 0], [0, 1], [1, 1]].map(|[right, below]| full.get_pixel(2 * x + right, 2 * y + below).0[0]);
        let mean = square.map(f64::from).iter().sum::<f64>() / 4.0;
        assert!((f64::from(*found) - mean).abs() <= 1.0, "{x}, {y}: {found} for {square:?}");
    }
}

#[test]
fn only_large_grey_pictures_are_reduced() {
    let size = |file: &[u8]| [decode(file).unwrap().image().width(), decode(file).unwrap().image().height()];
    for (whole, expected) in [
        ([959, 1300], [959, 1300]),
        ([1300, 959], [1300, 959]),
        ([960, 1301], [480, 650]),
        ([2000, 1919], [1000, 959]),
        ([1920, 2000], [480, 500]),
    ] {
        let file = jpeg(&shades(whole[0], whole[1]), None);
        assert_eq!(size(&file), expected, "{whole:?}");
        assert_eq!(describe(&file).size, Some(whole), "what the file says of itself");
    }
    let colours = DynamicImage::ImageRgb8(RgbImage::new(1200, 1000));
    assert_eq!(size(&common::encode(&colours, ImageFormat::Jpeg)), [1200, 1000]);
    assert_eq!(size(&common::encode(&shades(1200, 1000).into(), ImageFormat::Png)), [1200, 1000]);
}

#[test]
fn a_reduced_picture_is_turned_and_its_parts_are_found_in_the_file() {
    // A TIFF header and one entry: orientation (0x0112) = 6, a quarter turn.
    let exif = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
    let mut image = shades(1200, 1000);
    (0..100).for_each(|y| (0..1200).for_each(|x| image.put_pixel(x, y, Luma([250]))));
    let radiograph = decode(&jpeg(&image, Some(exif))).unwrap();
    let turned = radiograph.image().as_luma8().unwrap();
    assert_eq!(turned.dimensions(), (500, 600));
    // What was above is on the right.
    assert!(turned.get_pixel(480, 300).0[0] > 230 && turned.get_pixel(20, 300).0[0] < 200);
    let part = Window { left: 10, top: 20, width: 400, height: 500, of: [500, 600] };
    let expected = Window { left: 20, top: 40, width: 800, height: 1000, of: [1000, 1200] };
    assert_eq!(radiograph.in_file(part), expected);
    let small = decode(&jpeg(&shades(500, 600), None)).unwrap();
    assert_eq!(small.in_file(part), part);
}
