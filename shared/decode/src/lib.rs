//! The bytes of a radiograph file → pixels, within the limits of [`shared::limits`].
//!
//! JPEG and PNG, grey and RGB, 8 and 16 bits; an alpha channel is ignored, a palette is resolved, the rotation that Exif
//! data ask for is made. Everything that is not one such picture is refused with a [`Refusal`] that says what to do. A
//! header is held to the limits before its pixels are decoded, so a small file cannot ask for much memory.
#![forbid(unsafe_code)]

mod jpeg;

use std::io::Cursor;

use image::{
    DynamicImage, ExtendedColorType, ImageDecoder, ImageError, ImageFormat, Limits, codecs::jpeg::JpegDecoder,
    codecs::png::PngDecoder, metadata::Orientation,
};
use shared::{
    limits::{MAX_DECODED_BYTES, MAX_IMAGE_BYTES, MAX_IMAGE_PIXELS, MAX_IMAGE_SIDE, MIN_IMAGE_SIDE},
    preprocess::{Channels, Picture, Samples},
    verdict::Refusal,
};

/// A decoded radiograph: grey or RGB, 8 or 16 bits.
#[derive(Clone, Debug)]
pub struct Radiograph(DynamicImage);

impl Radiograph {
    /// Takes an image that is decoded already. Refused as a file of it would be: for its size or its colours.
    pub fn new(image: DynamicImage) -> Result<Self, Refusal> {
        check_size(image.width(), image.height())?;
        Ok(Self(match image {
            DynamicImage::ImageLuma8(_)
            | DynamicImage::ImageRgb8(_)
            | DynamicImage::ImageLuma16(_)
            | DynamicImage::ImageRgb16(_) => image,
            DynamicImage::ImageLumaA8(_) => DynamicImage::ImageLuma8(image.into_luma8()),
            DynamicImage::ImageRgba8(_) => DynamicImage::ImageRgb8(image.into_rgb8()),
            DynamicImage::ImageLumaA16(_) => DynamicImage::ImageLuma16(image.into_luma16()),
            DynamicImage::ImageRgba16(_) => DynamicImage::ImageRgb16(image.into_rgb16()),
            _ => return Err(Refusal::UnsupportedColour),
        }))
    }

    /// The pixels as an image: grey or RGB, 8 or 16 bits.
    pub fn image(&self) -> &DynamicImage {
        &self.0
    }

    /// The pixels, for [`shared::preprocess`].
    pub fn picture(&self) -> Picture<'_> {
        let (samples, channels) = match &self.0 {
            DynamicImage::ImageLuma8(image) => (Samples::U8(image.as_raw()), Channels::Grey),
            DynamicImage::ImageRgb8(image) => (Samples::U8(image.as_raw()), Channels::Rgb),
            DynamicImage::ImageLuma16(image) => (Samples::U16(image.as_raw()), Channels::Grey),
            DynamicImage::ImageRgb16(image) => (Samples::U16(image.as_raw()), Channels::Rgb),
            _ => unreachable!("`new` lets only these four kinds pass"),
        };
        let (width, height) = (self.0.width(), self.0.height());
        match Picture::new(samples, channels, width, height, width as usize * channels.count()) {
            Ok(picture) => picture,
            Err(_) => unreachable!("`new` has held the size to the limits"),
        }
    }
}

/// Decodes a JPEG or PNG file. What it is is read from its bytes, not from its name.
pub fn decode(bytes: &[u8]) -> Result<Radiograph, Refusal> {
    if bytes.is_empty() {
        return Err(Refusal::Empty);
    }
    if bytes.len() > MAX_IMAGE_BYTES as usize {
        return Err(Refusal::TooManyBytes);
    }
    match image::guess_format(bytes) {
        Ok(ImageFormat::Jpeg) => {
            jpeg::check_structure(bytes)?;
            read(JpegDecoder::new(Cursor::new(bytes)).map_err(refusal)?)
        }
        Ok(ImageFormat::Png) => {
            let decoder = PngDecoder::with_limits(Cursor::new(bytes), limits()).map_err(refusal)?;
            if decoder.is_apng().map_err(refusal)? {
                return Err(Refusal::Animated);
            }
            read(decoder)
        }
        _ => Err(Refusal::UnknownFormat),
    }
}

fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_IMAGE_SIDE);
    limits.max_image_height = Some(MAX_IMAGE_SIDE);
    // As much again for the decoder's working.
    limits.max_alloc = Some(2 * MAX_DECODED_BYTES);
    limits
}

fn read(mut decoder: impl ImageDecoder) -> Result<Radiograph, Refusal> {
    let (width, height) = decoder.dimensions();
    check_size(width, height)?;
    if matches!(decoder.original_color_type(), ExtendedColorType::Cmyk8 | ExtendedColorType::Cmyk16) {
        return Err(Refusal::UnsupportedColour);
    }
    decoder.set_limits(limits()).map_err(refusal)?;
    // Photographs of films carry their rotation in the Exif data; an unreadable one is not a reason to refuse.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let copies = 1 + u64::from(is_quarter_turn(orientation) || decoder.color_type().has_alpha());
    if decoder.total_bytes().saturating_mul(copies) > MAX_DECODED_BYTES {
        return Err(Refusal::TooManyPixels);
    }
    let mut image = DynamicImage::from_decoder(decoder).map_err(refusal)?;
    image.apply_orientation(orientation);
    Radiograph::new(image)
}

/// Whether rows become columns, which takes a second image.
fn is_quarter_turn(orientation: Orientation) -> bool {
    use Orientation::{Rotate90, Rotate90FlipH, Rotate270, Rotate270FlipH};
    matches!(orientation, Rotate90 | Rotate270 | Rotate90FlipH | Rotate270FlipH)
}

fn check_size(width: u32, height: u32) -> Result<(), Refusal> {
    if u64::from(width) * u64::from(height) > u64::from(MAX_IMAGE_PIXELS) || width.max(height) > MAX_IMAGE_SIDE {
        return Err(Refusal::TooManyPixels);
    }
    if width.min(height) < MIN_IMAGE_SIDE {
        return Err(Refusal::TooSmall);
    }
    Ok(())
}

fn refusal(error: ImageError) -> Refusal {
    match error {
        ImageError::Limits(_) => Refusal::TooManyPixels,
        ImageError::Unsupported(_) => Refusal::UnsupportedColour,
        _ => Refusal::Corrupt,
    }
}
