//! Files to damage, and ways to do it.

#![allow(dead_code, clippy::unwrap_used, reason = "shared by tests; one that cannot continue has failed")]

pub(crate) mod tiff;

use std::{
    fs,
    io::{Cursor, Write},
    ops::Range,
    path::Path,
};

use flate2::{Compression, write::ZlibEncoder};
use image::{DynamicImage, GrayImage, ImageFormat};

/// Two files of a kind, of different drawn radiographs.
pub(crate) struct Pair {
    pub(crate) name: String,
    pub(crate) files: [Vec<u8>; 2],
}

/// JPEG files by libjpeg-turbo and MozJPEG from `tests/drawn`, and PNG files made of two of them.
pub(crate) fn pairs() -> Vec<Pair> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/drawn");
    let mut pairs: Vec<Pair> = fs::read_dir(&folder)
        .unwrap()
        .filter_map(|entry| {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let name = name.strip_suffix("-1.jpg")?.to_owned();
            let files = [1, 2].map(|number| fs::read(folder.join(format!("{name}-{number}.jpg"))).unwrap());
            Some(Pair { name, files })
        })
        .collect();
    pairs.sort_by(|a, b| a.name.cmp(&b.name));
    let find = |name: &str| pairs.iter().find(|pair| pair.name == name).unwrap();
    let images = |pair: &Pair| pair.files.each_ref().map(|file| image::load_from_memory(file).unwrap());
    let [grey, colour] = ["baseline-grey", "baseline-420"].map(|name| images(find(name)));
    let deep = grey.each_ref().map(|image| {
        let mut random = Random(16);
        let mut deep = image.to_luma16();
        deep.iter_mut().for_each(|sample| *sample = *sample & 0xff00 | random.below(256) as u16);
        DynamicImage::ImageLuma16(deep)
    });
    for (name, images) in [("png-grey", &grey), ("png-16-bit", &deep), ("png-rgb", &colour)] {
        let files = images.each_ref().map(|image| encode(image, ImageFormat::Png));
        pairs.push(Pair { name: name.into(), files });
    }
    pairs.push(Pair {
        name: "png-interlaced".into(),
        files: grey.each_ref().map(|image| interlaced(&image.to_luma8())),
    });
    pairs
}

/// A PNG file in seven passes (Adam7), whose pixels are in chunks of 500 bytes.
fn interlaced(image: &GrayImage) -> Vec<u8> {
    let (width, height) = image.dimensions();
    let mut rows = Vec::new();
    for (x, y, across, down) in
        [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
    {
        for y in (y..height).step_by(down) {
            rows.push(0);
            rows.extend((x..width).step_by(across).map(|x| image.get_pixel(x, y).0[0]));
        }
    }
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(&rows).unwrap();
    let pixels: Vec<u8> = encoder.finish().unwrap().chunks(500).flat_map(|data| chunk(b"IDAT", data)).collect();
    let size = [width.to_be_bytes(), height.to_be_bytes()].concat();
    let header = chunk(b"IHDR", &[&size[..], &[8, 0, 0, 0, 1]].concat());
    [b"\x89PNG\r\n\x1a\n", &header[..], &pixels, &chunk(b"IEND", &[])].concat()
}

pub(crate) fn encode(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// A PNG chunk with its length and CRC.
pub(crate) fn chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let body = [kind.as_slice(), data].concat();
    let crc = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC).checksum(&body);
    [&(data.len() as u32).to_be_bytes()[..], &body, &crc.to_be_bytes()].concat()
}

pub(crate) fn is_jpeg(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0xff, 0xd8])
}

/// Where the pixels are: from the first scan or the first chunk of pixels to the last one.
pub(crate) fn picture(bytes: &[u8]) -> Range<usize> {
    let find = |mark: &[u8]| bytes.windows(mark.len()).position(|window| window == mark).unwrap();
    if is_jpeg(bytes) {
        let scan = find(&[0xff, 0xda]);
        scan + 2 + usize::from(bytes[scan + 3])..bytes.len() - 2
    } else {
        find(b"IDAT") + 4..bytes.len() - 16
    }
}

/// What ends a file of the kind.
pub(crate) fn end(bytes: &[u8]) -> &[u8] {
    &bytes[bytes.len() - if is_jpeg(bytes) { 2 } else { 12 }..]
}

/// The file without its bytes from `at` to the end of the picture, but with the mark of its end.
pub(crate) fn cut(bytes: &[u8], at: usize) -> Vec<u8> {
    [&bytes[..at], end(bytes)].concat()
}

/// The file with a part taken out.
pub(crate) fn without(bytes: &[u8], part: Range<usize>) -> Vec<u8> {
    [&bytes[..part.start], &bytes[part.end..]].concat()
}

/// The file with zeros in place of a part, as a damaged memory card or a broken download leaves them.
pub(crate) fn zeroed(bytes: &[u8], part: Range<usize>) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[part].fill(0);
    bytes
}

/// The one file up to a place in its picture, and the other one from a place in its.
pub(crate) fn joined(one: &[u8], at: usize, other: &[u8], from: usize) -> Vec<u8> {
    [&one[..at], &other[from..]].concat()
}

/// SplitMix64.
pub(crate) struct Random(pub u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    pub(crate) fn within(&mut self, range: Range<usize>) -> usize {
        range.start + self.below(range.len())
    }
}
