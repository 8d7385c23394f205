//! No file makes decoding hold more memory, or take more work, than `shared::limits` says.

#![allow(clippy::unwrap_used, reason = "a test that cannot continue has failed")]

mod common;

use std::io::Write;

use common::{Random, chunk, encode, pairs, picture};
use decode::decode;
use flate2::{Compression, write::ZlibEncoder};
use image::{DynamicImage, ImageBuffer, ImageFormat, Rgb};
use shared::{
    limits::{MAX_DECODED_BYTES, MAX_DECODER_BYTES, MAX_IMAGE_BYTES, MAX_SCANS},
    verdict::Refusal,
};

const MEBIBYTE: u64 = 1024 * 1024;

/// What comes of a file, and the most memory that decoding it has held besides, in bytes.
fn outcome(file: &[u8]) -> (Result<(u32, u32), Refusal>, u64) {
    assert!(file.len() <= MAX_IMAGE_BYTES as usize);
    let mut outcome = None;
    let used = allocation_counter::measure(|| outcome = Some(decode(file)));
    let size = outcome.unwrap().map(|radiograph| (radiograph.image().width(), radiograph.image().height()));
    assert!(used.bytes_max <= MAX_DECODED_BYTES + MAX_DECODER_BYTES, "{size:?} took {} MiB", used.bytes_max / MEBIBYTE);
    (size, used.bytes_max)
}

/// A JPEG of one grey value, whose blocks take a bit or two each.
struct Flat {
    size: [u16; 2],
    /// The sampling factors of each component.
    sampling: &'static [u8],
    progressive: bool,
}

impl Flat {
    const ONE: &[u8] = &[0x11];
    const THREE: &[u8] = &[0x11, 0x11, 0x11];
    const SUBSAMPLED: &[u8] = &[0x22, 0x11, 0x11];

    /// Everything before the first scan, with `more` behind the first marker.
    fn head(&self, more: &[u8]) -> Vec<u8> {
        let segment =
            |marker: u8, data: &[u8]| [&[0xff, marker][..], &(data.len() as u16 + 2).to_be_bytes(), data].concat();
        let [width, height] = self.size.map(u16::to_be_bytes);
        let components = self.sampling.iter().zip(1..).flat_map(|(&sampling, id)| [id, sampling, 0]);
        let frame: Vec<u8> =
            [8].into_iter().chain(height).chain(width).chain([self.sampling.len() as u8]).chain(components).collect();
        // One code, 0, in each table: no difference to the mean before; in class 1 the end of a block, or of `1 << 14` ones.
        let table = |class: u8, symbol: u8| [&[class, 1][..], &[0; 15], &[symbol]].concat();
        let end = if self.progressive { 0xe0 } else { 0 };
        [
            &[0xff, 0xd8][..],
            more,
            &segment(0xdb, &[&[0][..], &[16; 64]].concat()),
            &segment(if self.progressive { 0xc2 } else { 0xc0 }, &frame),
            &segment(0xc4, &table(0, 0)),
            &segment(0xc4, &table(0x10, end)),
        ]
        .concat()
    }

    /// The header of a scan of some components, then `bits` zeros.
    fn scan(components: &[u8], band: [u8; 2], bit: u8, bits: usize) -> Vec<u8> {
        let length = 6 + 2 * components.len() as u8;
        let listed: Vec<u8> = components.iter().flat_map(|&id| [id, 0]).collect();
        [&[0xff, 0xda, 0, length, components.len() as u8][..], &listed, &band, &[bit], &vec![0; bits.div_ceil(8)]]
            .concat()
    }

    fn ids(&self) -> Vec<u8> {
        (1..=self.sampling.len() as u8).collect()
    }

    /// Blocks of a component, or of all.
    fn blocks(&self, id: Option<u8>) -> usize {
        let [width, height] = self.size.map(usize::from);
        let most = usize::from(self.sampling[0] & 15);
        let units = width.div_ceil(8 * most) * height.div_ceil(8 * most);
        let of = |sampling: u8| if most == 1 { 1 } else { usize::from(sampling >> 4) * usize::from(sampling & 15) };
        match id {
            Some(id) => units * of(self.sampling[usize::from(id) - 1]),
            None => units * self.sampling.iter().map(|&sampling| of(sampling)).sum::<usize>(),
        }
    }

    /// Codes for all blocks of a component without a coefficient: of 15 bits for up to 32,767 ones. Here of 16,384.
    fn ends(&self, id: u8) -> usize {
        self.blocks(Some(id)).div_ceil(1 << 14) * 15
    }

    /// A baseline file, or the shortest progressive one.
    fn whole(&self, more: &[u8]) -> Vec<u8> {
        let mut file = self.head(more);
        if self.progressive {
            file.extend(Self::scan(&self.ids(), [0, 0], 0, self.blocks(None)));
            for id in self.ids() {
                assert_eq!(self.blocks(Some(id)) % (1 << 14), 0);
                file.extend(Self::scan(&[id], [1, 63], 0, self.ends(id)));
            }
        } else {
            file.extend(Self::scan(&self.ids(), [0, 63], 0, 2 * self.blocks(None)));
        }
        [&file[..], &[0xff, 0xd9]].concat()
    }
}

#[test]
fn the_largest_images_fit() {
    for (flat, expected) in [
        (Flat { size: [8192, 8192], sampling: Flat::THREE, progressive: false }, true),
        (Flat { size: [32_768, 2048], sampling: Flat::SUBSAMPLED, progressive: false }, true),
        (Flat { size: [8192, 8192], sampling: Flat::ONE, progressive: true }, true),
        (Flat { size: [8192, 4096], sampling: Flat::SUBSAMPLED, progressive: true }, true),
        (Flat { size: [8192, 2048], sampling: Flat::THREE, progressive: true }, true),
        (Flat { size: [8192, 8192], sampling: Flat::SUBSAMPLED, progressive: true }, false),
        (Flat { size: [8192, 4096], sampling: Flat::THREE, progressive: true }, false),
    ] {
        let [width, height] = flat.size.map(u32::from);
        let wanted = if expected { Ok((width, height)) } else { Err(Refusal::TooManyPixels) };
        let (size, held) = outcome(&flat.whole(&[]));
        assert_eq!(size, wanted, "{:?} {:?}", flat.size, flat.sampling);
        assert!(expected || held < MEBIBYTE, "refused before anything is decoded");
    }
}

#[test]
fn of_a_large_grey_picture_no_more_is_held_than_what_is_made_of_it() {
    for (size, expected) in [([8192, 8192], (1024, 1024)), ([32_768, 1024], (16_384, 512))] {
        let flat = Flat { size, sampling: Flat::ONE, progressive: false };
        let (size, held) = outcome(&flat.whole(&[]));
        assert_eq!(size, Ok(expected));
        assert!(held < u64::from(expected.0 * expected.1) + MEBIBYTE / 2, "{held}");
    }
}

#[test]
fn means_alone_are_not_an_image_and_take_no_memory() {
    let flat = Flat { size: [8192, 8192], sampling: Flat::THREE, progressive: true };
    let means = Flat::scan(&flat.ids(), [0, 0], 0, flat.blocks(None));
    let (refusal, held) = outcome(&[&flat.head(&[])[..], &means, &[0xff, 0xd9]].concat());
    assert_eq!(refusal, Err(Refusal::TooManyPixels));
    assert!(held < MEBIBYTE);
    let flat = Flat { size: [4096, 4096], ..flat };
    let means = Flat::scan(&flat.ids(), [0, 0], 0, flat.blocks(None));
    let (refusal, held) = outcome(&[&flat.head(&[])[..], &means, &[0xff, 0xd9]].concat());
    assert_eq!(refusal, Err(Refusal::Corrupt));
    assert!(held < MEBIBYTE);
}

#[test]
fn one_component_a_scan_is_refused_and_takes_no_memory() {
    let flat = Flat { size: [8192, 8192], sampling: Flat::THREE, progressive: false };
    let scans =
        flat.ids().iter().map(|&id| Flat::scan(&[id], [0, 63], 0, 2 * flat.blocks(Some(id)))).collect::<Vec<_>>();
    let (refusal, held) = outcome(&[&flat.head(&[])[..], &scans.concat(), &[0xff, 0xd9]].concat());
    assert_eq!(refusal, Err(Refusal::UnsupportedKind));
    assert!(held < MEBIBYTE);
}

#[test]
fn what_is_not_picture_counts() {
    // 31 MiB of colour profile in pieces.
    let piece = [&[0xff, 0xe2, 0xff, 0xff][..], b"ICC_PROFILE\0\x01\xff", &[7; 65_519]].concat();
    let profile = piece.repeat(496);
    let small = Flat { size: [1024, 1024], sampling: Flat::THREE, progressive: false };
    assert_eq!(outcome(&small.whole(&profile)).0, Ok((1024, 1024)));
    let large = Flat { size: [8192, 8192], ..small };
    assert_eq!(outcome(&large.whole(&profile)).0, Err(Refusal::TooManyPixels));
    // Between scans as well, where the decoder takes it, too.
    let flat = Flat { size: [8192, 8192], sampling: Flat::ONE, progressive: true };
    let means = Flat::scan(&[1], [0, 0], 0, flat.blocks(None));
    let rest = Flat::scan(&[1], [1, 63], 0, flat.ends(1));
    for (between, expected) in [(&[][..], Ok((8192, 8192))), (&profile, Err(Refusal::TooManyPixels))] {
        let file = [&flat.head(&[])[..], &means, between, &rest, &[0xff, 0xd9]].concat();
        assert_eq!(outcome(&file).0, expected);
    }
}

/// A PNG file of zeros, 8 bits a sample, with `more` chunks in front of the pixels.
fn png(colour: u8, samples: usize, [width, height]: [usize; 2], more: &[u8]) -> Vec<u8> {
    let size = [(width as u32).to_be_bytes(), (height as u32).to_be_bytes()].concat();
    let header = chunk(b"IHDR", &[&size[..], &[8, colour, 0, 0, 0]].concat());
    let pixels = chunk(b"IDAT", &deflated(height * (1 + width * samples)));
    [b"\x89PNG\r\n\x1a\n", &header[..], more, &pixels, &chunk(b"IEND", &[])].concat()
}

fn deflated(zeros: usize) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    let block = vec![0; 1 << 16];
    for start in (0..zeros).step_by(block.len()) {
        encoder.write_all(&block[..block.len().min(zeros - start)]).unwrap();
    }
    encoder.finish().unwrap()
}

#[test]
fn the_largest_png_fits_and_nothing_else_is_inflated() {
    assert_eq!(outcome(&png(2, 3, [8192, 8192], &[])).0, Ok((8192, 8192)));
    assert_eq!(outcome(&png(6, 4, [8192, 3072], &[])).0, Ok((8192, 3072)));
    assert_eq!(outcome(&png(6, 4, [8192, 4096], &[])).0, Err(Refusal::TooManyPixels));
    let bomb = deflated(300 << 20);
    let profile = chunk(b"iCCP", &[b"bomb\0\0", &bomb[..]].concat());
    let text = chunk(b"zTXt", &[b"bomb\0\0", &bomb[..]].concat());
    let unicode = chunk(b"iTXt", &[b"bomb\0\x01\0\0\0", &bomb[..]].concat());
    let known = chunk(b"eXIf", &vec![0; 20 << 20]);
    for more in [profile, text, unicode, known] {
        let (size, held) = outcome(&png(0, 1, [1024, 1024], &more));
        assert_eq!(size, Ok((1024, 1024)));
        assert!(held < 2 * MEBIBYTE, "{held}");
    }
}

#[test]
fn a_quarter_turn_takes_a_second_image() {
    let exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
    let turn = [&[0xff, 0xe1][..], &(exif.len() as u16 + 2).to_be_bytes(), exif].concat();
    let flat = Flat { size: [8192, 4096], sampling: Flat::THREE, progressive: false };
    assert_eq!(outcome(&flat.whole(&turn)).0, Ok((4096, 8192)));
    let flat = Flat { size: [8192, 4104], ..flat };
    assert_eq!(outcome(&flat.whole(&turn)).0, Err(Refusal::TooManyPixels));
}

/// A progressive file that sends each coefficient bit by bit, from bit `bit` on.
fn bit_by_bit(size: [u16; 2], bit: u8) -> Vec<u8> {
    let flat = Flat { size, sampling: Flat::ONE, progressive: true };
    let mut file = flat.head(&[]);
    for now in (0..=bit).rev() {
        let before = if now == bit { 0 } else { now + 1 };
        file.extend(Flat::scan(&[1], [0, 0], before << 4 | now, flat.blocks(None)));
        file.extend(Flat::scan(&[1], [1, 63], before << 4 | now, flat.ends(1)));
    }
    [&file[..], &[0xff, 0xd9]].concat()
}

#[test]
fn scans_are_limited_and_so_is_what_they_hold() {
    assert_eq!(MAX_SCANS, 20);
    assert_eq!(outcome(&bit_by_bit([1024, 1024], 9)).0, Ok((1024, 1024)), "20 scans");
    assert_eq!(outcome(&bit_by_bit([1024, 1024], 10)).0, Err(Refusal::TooMuchWork), "22 scans");
    assert_eq!(outcome(&bit_by_bit([8192, 8192], 4)).0, Ok((8192, 8192)), "10 scans of 64 megapixels");
    assert_eq!(outcome(&bit_by_bit([8192, 8192], 5)).0, Err(Refusal::TooMuchWork), "12 scans of 64 megapixels");
}

#[test]
fn an_ordinary_image_takes_its_pixels_and_a_little_more() {
    let image = DynamicImage::ImageRgb8(ImageBuffer::from_fn(2000, 1500, |x, y| Rgb([(x ^ y) as u8; 3])));
    for format in [ImageFormat::Jpeg, ImageFormat::Png] {
        let (size, held) = outcome(&encode(&image, format));
        assert_eq!(size, Ok((2000, 1500)));
        assert!(held < 9_000_000 + 2 * MEBIBYTE, "{format:?}: {held}");
    }
}

#[test]
fn changed_files_neither_panic_nor_hold_more() {
    let mut random = Random(5);
    for pair in pairs() {
        for round in 0..400 {
            let mut file = pair.files[round % 2].clone();
            // Mostly what comes before the pixels: it says how large they are, and how they are coded.
            let end = if round % 4 == 0 { file.len() } else { picture(&file).start };
            for _ in 0..=random.below(4) {
                let at = random.below(end);
                file[at] = match random.below(3) {
                    0 => random.next() as u8,
                    1 => file[at] ^ 1 << random.below(8),
                    _ => [0, 1, 0x7f, 0x80, 0xff][random.below(5)],
                };
            }
            let _ = outcome(&file).0;
        }
    }
}
