//! Captures in colour: palettes, RGB, and brightness with differences of colours (PS3.3, C.7.6.3.1).

use image::{DynamicImage, ImageBuffer, RgbImage};
use shared::verdict::Refusal;

use super::{
    header::{Header, Photometric},
    shades::Samples,
};

/// The picture of samples that are places in tables.
pub(super) fn palette(samples: &Samples, header: &Header<'_>) -> Result<DynamicImage, Refusal> {
    let tables = header.palette.as_ref().ok_or(Refusal::Corrupt)?;
    let (width, height) = (header.width, header.height);
    let colours = (0..=header.mask() as u16).map(|pattern| {
        let value = header.value(pattern << header.shift);
        tables.each_ref().map(|table| table.at(value))
    });
    let colours: Vec<[u16; 3]> = colours.collect();
    let of = |sample: u16| colours[usize::from(sample >> header.shift & header.mask() as u16)];
    let image = if tables[0].bits == 8 {
        let mut pixels = Vec::with_capacity(3 * header.area());
        samples.each(|sample| pixels.extend(of(sample).map(|colour| colour as u8)));
        RgbImage::from_raw(width, height, pixels).map(DynamicImage::ImageRgb8)
    } else {
        let bits = tables[0].bits;
        let mut pixels = Vec::with_capacity(3 * header.area());
        samples.each(|sample| pixels.extend(of(sample).map(|colour| colour << (16 - bits))));
        ImageBuffer::from_raw(width, height, pixels).map(DynamicImage::ImageRgb16)
    };
    image.ok_or(Refusal::Corrupt)
}

/// The picture of interleaved samples: three for each pixel.
pub(super) fn colours(samples: Samples, header: &Header<'_>) -> Result<DynamicImage, Refusal> {
    let (width, height) = (header.width, header.height);
    // Colours are numbers without a sign that fill their bytes. Those that JPEG 2000 makes of RGB come in no other picture.
    if header.signed || header.stored != header.allocated || header.photometric == Photometric::Ybr2000 {
        return Err(Refusal::UnsupportedColour);
    }
    let image = match samples {
        Samples::U8(mut samples) => {
            if matches!(header.photometric, Photometric::YbrFull | Photometric::YbrFull422) {
                samples.as_chunks_mut().0.iter_mut().for_each(|pixel| *pixel = rgb_of(*pixel));
            }
            RgbImage::from_raw(width, height, samples).map(DynamicImage::ImageRgb8)
        }
        Samples::U16(samples) if header.photometric == Photometric::Rgb => {
            ImageBuffer::from_raw(width, height, samples).map(DynamicImage::ImageRgb16)
        }
        Samples::U16(_) => return Err(Refusal::UnsupportedColour),
    };
    image.ok_or(Refusal::Corrupt)
}

/// RGB of brightness and differences, by ITU-R BT.601 with full range, in thousandths and rounded.
fn rgb_of([y, blue, red]: [u8; 3]) -> [u8; 3] {
    let [y, blue, red] = [i32::from(y), i32::from(blue) - 128, i32::from(red) - 128];
    let rounded = |difference: i32, unit: i32| (y + (2 * difference + unit).div_euclid(2 * unit)).clamp(0, 255) as u8;
    [rounded(1402 * red, 1000), rounded(-(114 * 1772 * blue + 299 * 1402 * red), 587_000), rounded(1772 * blue, 1000)]
}
