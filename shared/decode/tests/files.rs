//! Files as clinics send them, and files as nobody should.

#![allow(clippy::unwrap_used, reason = "a test that cannot continue has failed")]

mod common;

use common::{chunk, encode, pairs};
use decode::decode;
use image::{DynamicImage, ExtendedColorType, ImageBuffer, ImageEncoder, ImageFormat, Luma, codecs::jpeg::JpegEncoder};
use proptest::prelude::*;
use shared::{contract::InputContract, limits::MAX_IMAGE_BYTES, verdict::Refusal};

const CONTRACT: InputContract = InputContract::stretched(16);

/// A picture of 48 × 40 pixels whose left half is dark.
fn grey8() -> DynamicImage {
    DynamicImage::ImageLuma8(ImageBuffer::from_fn(48, 40, |x, _| Luma([if x < 24 { 10 } else { 200 }])))
}

fn prepared(bytes: &[u8]) -> Vec<u8> {
    decode(bytes).unwrap().picture().prepare(&CONTRACT)
}

fn refusal(bytes: &[u8]) -> Refusal {
    decode(bytes).map(|_| ()).unwrap_err()
}

#[test]
fn every_kind_of_png_gives_the_same_input() {
    let grey = grey8();
    let expected = prepared(&encode(&grey, ImageFormat::Png));
    assert_eq!((expected[0], expected[15]), (10, 200));
    for image in [
        DynamicImage::ImageRgb8(grey.to_rgb8()),
        DynamicImage::ImageRgba8(grey.to_rgba8()),
        DynamicImage::ImageLuma16(grey.to_luma16()),
        DynamicImage::ImageRgb16(grey.to_rgb16()),
        DynamicImage::ImageLumaA8(grey.to_luma_alpha8()),
    ] {
        assert_eq!(prepared(&encode(&image, ImageFormat::Png)), expected, "{:?}", image.color());
    }
}

#[test]
fn grey_and_rgb_jpeg_are_decoded() {
    for image in [grey8(), DynamicImage::ImageRgb8(grey8().to_rgb8())] {
        let input = prepared(&encode(&image, ImageFormat::Jpeg));
        assert!(input[0].abs_diff(10) <= 3 && input[15].abs_diff(200) <= 3, "{input:?}");
    }
}

#[test]
fn exif_rotation_is_made() {
    let mut bytes = Vec::new();
    let mut encoder = JpegEncoder::new(&mut bytes);
    // A TIFF header and one entry: orientation (0x0112) = 3, upside down.
    let exif = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x03\0\0\0\0\0\0\0".to_vec();
    encoder.set_exif_metadata(exif).unwrap();
    encoder.write_image(grey8().as_bytes(), 48, 40, ExtendedColorType::L8).unwrap();
    let input = prepared(&bytes);
    assert!(input[0] > 190 && input[15] < 20, "{input:?}");
}

#[test]
fn what_is_no_image_is_refused() {
    assert_eq!(refusal(b""), Refusal::Empty);
    assert_eq!(refusal(b"Dear colleague, please find attached"), Refusal::UnknownFormat);
    assert_eq!(refusal(b"%PDF-1.7\n"), Refusal::UnknownFormat);
    assert_eq!(refusal(b"\x89PNG\r\n\x1a\n"), Refusal::Corrupt);
    assert_eq!(refusal(&[0xff, 0xd8, 0xff]), Refusal::Corrupt);
    assert_eq!(refusal(b"RIFF\x24\0\0\0WEBPVP8 "), Refusal::Corrupt);
    assert_eq!(refusal(&vec![0; MAX_IMAGE_BYTES as usize + 1]), Refusal::TooManyBytes);
}

#[test]
fn one_pixel_is_too_small() {
    let pixel = DynamicImage::ImageLuma8(ImageBuffer::from_pixel(1, 1, Luma([9])));
    for format in [ImageFormat::Png, ImageFormat::Jpeg] {
        assert_eq!(refusal(&encode(&pixel, format)), Refusal::TooSmall);
    }
}

#[test]
fn a_small_file_cannot_ask_for_much_memory() {
    // Depth and colour as in IHDR: 0 is grey, 2 RGB, 6 RGBA.
    let of_kind = |[depth, colour]: [u8; 2], width: u32, height: u32, more: &[u8]| {
        let size = [width.to_be_bytes(), height.to_be_bytes()].concat();
        let ihdr = chunk(b"IHDR", &[&size[..], &[depth, colour, 0, 0, 0]].concat());
        let data = chunk(b"IDAT", &[0x78, 0x9c, 3, 0, 0, 0, 0, 1]);
        [b"\x89PNG\r\n\x1a\n", &ihdr[..], more, &data, &chunk(b"IEND", &[])].concat()
    };
    let header = |width, height| of_kind([8, 0], width, height, &[]);
    // A TIFF header and one entry: orientation (0x0112) = 6, a quarter turn.
    let turned = chunk(b"eXIf", b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0");
    assert_eq!(refusal(&of_kind([8, 2], 8192, 8192, &[])), Refusal::Corrupt, "192 MiB are allowed");
    assert_eq!(refusal(&of_kind([8, 2], 8192, 8192, &turned)), Refusal::TooManyPixels);
    assert_eq!(refusal(&of_kind([8, 2], 8192, 4096, &turned)), Refusal::Corrupt);
    assert_eq!(refusal(&of_kind([16, 2], 8192, 4097, &[])), Refusal::TooManyPixels);
    assert_eq!(refusal(&of_kind([8, 6], 8192, 4096, &[])), Refusal::TooManyPixels, "the alpha channel is taken away");
    assert_eq!(refusal(&header(60_000, 60_000)), Refusal::TooManyPixels);
    assert_eq!(refusal(&header(40_000, 100)), Refusal::TooManyPixels);
    assert_eq!(refusal(&header(u32::MAX >> 1, u32::MAX >> 1)), Refusal::TooManyPixels);
    let mut jpeg = encode(&grey8(), ImageFormat::Jpeg);
    let frame = jpeg.windows(2).position(|w| w == [0xff, 0xc0]).unwrap();
    jpeg[frame + 5..frame + 9].copy_from_slice(&[0xff; 4]);
    assert_eq!(refusal(&jpeg), Refusal::TooManyPixels);
}

#[test]
fn inks_are_decoded_where_adobe_says_how() {
    let films: Vec<_> = pairs().into_iter().filter(|pair| pair.name.starts_with("inks")).collect();
    assert_eq!(films.len(), 2);
    let grey = pairs().into_iter().find(|pair| pair.name == "baseline-grey").unwrap();
    for (film, grey) in films.iter().flat_map(|film| film.files.iter().zip(&grey.files)) {
        let [inks, grey] = [film, grey].map(|file| decode(file).unwrap().image().to_rgb8());
        let red = |image: &image::RgbImage| image.pixels().map(|pixel| i64::from(pixel.0[0])).collect::<Vec<_>>();
        let difference: i64 = red(&inks).into_iter().zip(red(&grey)).map(|(one, other)| (one - other).abs()).sum();
        assert!(difference < 3 * i64::from(grey.width() * grey.height()), "{difference}");
        // Without the mark nobody knows whether they are inverted.
        let mark = film.windows(5).position(|bytes| bytes == b"Adobe").unwrap();
        let mut unmarked = film.clone();
        unmarked[mark] = b'X';
        assert_eq!(refusal(&unmarked), Refusal::UnsupportedColour);
    }
}

/// A BMP file from the bottom up, of so many bits a pixel, with what stands between the header and the pixels.
fn bmp(bits: u16, compression: u32, between: &[u8], pixels: &[u8]) -> Vec<u8> {
    let start = 54 + between.len() as u32;
    let numbers = [40_u32, 48, 40, u32::from(bits) << 16 | 1, compression, 0, 0, 0, 0, 0];
    let header: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    let length = start + pixels.len() as u32;
    [b"BM", &length.to_le_bytes()[..], &[0; 4], &start.to_le_bytes(), &header, between, pixels].concat()
}

/// The picture of [`grey8`] in bytes of so many a pixel.
fn halves(bytes: usize) -> Vec<u8> {
    (0..40 * 48).flat_map(|n| vec![if n % 48 < 24 { 10 } else { 200 }; bytes]).collect()
}

#[test]
fn every_kind_of_bmp_gives_the_same_input() {
    let expected = prepared(&encode(&grey8(), ImageFormat::Png));
    let palette: Vec<u8> = (0..=255).flat_map(|shade| [shade, shade, shade, 0]).collect();
    let masks: Vec<u8> = [0xff_0000_u32, 0xff00, 0xff].iter().flat_map(|mask| mask.to_le_bytes()).collect();
    for (bits, compression, between) in [(8, 0, &palette[..]), (24, 0, &[]), (32, 0, &[]), (32, 3, &masks)] {
        let file = bmp(bits, compression, between, &halves(usize::from(bits) / 8));
        assert_eq!(prepared(&file), expected, "{bits}");
        for length in 0..file.len() {
            assert!(decode(&file[..length]).is_err(), "{bits} bits, cut at {length}");
        }
        // Its own length is not always told.
        let mut untold = file.clone();
        untold[2..6].fill(0);
        assert_eq!(prepared(&untold), expected);
        for length in 54..file.len() {
            assert!(decode(&untold[..length]).is_err(), "{bits} bits, cut at {length}");
        }
        let down = [&file[..22], &(-40_i32).to_le_bytes(), &file[26..]].concat();
        assert_eq!(prepared(&down), expected, "from the top down");
    }
    assert_eq!(prepared(&encode(&grey8(), ImageFormat::Bmp)), expected);
    let unsupported = [bmp(8, 1, &palette, &[0; 4000]), bmp(4, 2, &palette, &[0; 4000]), bmp(24, 4, &[], &[0; 9000])];
    for file in unsupported {
        assert_eq!(refusal(&file), Refusal::UnsupportedKind, "run lengths, a JPEG file within");
    }
    let mut large = bmp(24, 0, &[], &halves(3));
    for (size, expected) in
        [([8193, 8192], Refusal::TooManyPixels), ([8192, 8192], Refusal::Corrupt), ([8, 40], Refusal::TooSmall)]
    {
        large[18..26].copy_from_slice(&size.map(u32::to_le_bytes).concat());
        assert_eq!(refusal(&large), expected);
    }
}

#[test]
fn twelve_bits_in_sixteen_are_judged_as_eight() {
    let film = |bits: u32| {
        // A ramp of the 8-bit picture's values, with noise below them and a few hot pixels.
        let sample = |x: u32, y: u32| match (x * 7 + y * 13) % 2003 {
            0 => u16::MAX,
            n => (((x * 5) << bits >> 8) + n % (1 << (bits - 8))) as u16,
        };
        let image = ImageBuffer::from_fn(48, 40, |x, y| Luma([sample(x, y)]));
        encode(&DynamicImage::ImageLuma16(image), ImageFormat::Png)
    };
    let expected = prepared(&film(16));
    assert!(expected.iter().max() > Some(&200));
    for bits in [10, 12, 14] {
        for (one, other) in prepared(&film(bits)).iter().zip(&expected) {
            assert!(one.abs_diff(*other) <= 1, "{bits}: {one} {other}");
        }
    }
}

#[test]
fn an_animated_png_is_refused() {
    let png = encode(&grey8(), ImageFormat::Png);
    let after_header = 8 + 25;
    let animation = chunk(b"acTL", &[0, 0, 0, 2, 0, 0, 0, 0]);
    let control = chunk(b"fcTL", &[&[0; 4][..], &48_u32.to_be_bytes(), &40_u32.to_be_bytes(), &[0; 14]].concat());
    let animated = [&png[..after_header], &animation, &control, &png[after_header..]].concat();
    assert_eq!(refusal(&animated), Refusal::Animated);
}

#[test]
fn a_file_that_breaks_off_anywhere_is_refused() {
    for format in [ImageFormat::Png, ImageFormat::Jpeg] {
        let whole = encode(&grey8(), format);
        for length in 0..whole.len() {
            assert!(decode(&whole[..length]).is_err(), "{format:?} cut at {length} of {}", whole.len());
        }
        let more = [&whole[..], &[0; 512]].concat();
        assert!(decode(&more).is_ok(), "what follows the end is not of the picture");
    }
}

#[test]
fn kinds_that_are_not_supported_are_not_called_damaged() {
    let jpeg = encode(&grey8(), ImageFormat::Jpeg);
    let frame = jpeg.windows(2).position(|w| w == [0xff, 0xc0]).unwrap();
    let changed = |at: usize, value: u8| {
        let mut jpeg = jpeg.clone();
        jpeg[frame + at] = value;
        refusal(&jpeg)
    };
    for marker in [0xc3, 0xc5, 0xc6, 0xc7, 0xc9, 0xca, 0xcb, 0xcd, 0xce, 0xcf, 0xf7] {
        assert_eq!(changed(1, marker), Refusal::UnsupportedKind, "lossless, hierarchical, arithmetic coding, JPEG-LS");
    }
    assert_eq!(changed(4, 12), Refusal::UnsupportedKind, "12 bits");
    assert_eq!(changed(6, 0), Refusal::UnsupportedKind, "the height comes later");
    let arithmetic = [&jpeg[..2], &[0xff, 0xcc, 0, 4, 0, 0], &jpeg[2..]].concat();
    assert_eq!(refusal(&arithmetic), Refusal::UnsupportedKind);
    let png = encode(&grey8(), ImageFormat::Png);
    let unknown = [&png[..33], &chunk(b"CgBI", &[0; 4]), &png[33..]].concat();
    assert_eq!(refusal(&unknown), Refusal::UnsupportedKind);
    let note = [&png[..33], &chunk(b"noTe", &[0; 4]), &png[33..]].concat();
    assert!(decode(&note).is_ok());
    for other in [
        &b"GIF89a\x01\0\x01\0\0\0\0;"[..],
        b"\0\0\0\x18ftypheic",
        b"\xff\x0a\xfa\x1f",
        b"\0\0\0\x0cjP  \r\n\x87\n",
        b"MM\0+\0\x08\0\0",
    ] {
        assert_eq!(refusal(other), Refusal::UnsupportedKind, "{other:?}");
    }
}

proptest! {
    #[test]
    fn damaged_files_never_panic(at in 0_usize..4000, value: u8, jpeg: bool) {
        let mut bytes = encode(&grey8(), if jpeg { ImageFormat::Jpeg } else { ImageFormat::Png });
        let at = at % bytes.len();
        bytes[at] = value;
        if let Ok(radiograph) = decode(&bytes) {
            prop_assert_eq!(radiograph.picture().prepare(&CONTRACT).len(), 256);
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..400), start in 0_usize..6) {
        let magics: [&[u8]; 6] = [b"", &[0xff, 0xd8, 0xff], b"\x89PNG\r\n\x1a\n", b"II*\0\x08\0\0\0", b"BM\0\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0", b"RIFF\x80\0\0\0WEBPVP8L\x40\0\0\0/"];
        let magic = magics[start];
        bytes.splice(0..0, magic.iter().copied());
        prop_assert!(decode(&bytes).is_err());
    }
}
