//! Samples of 16 bits that hold fewer: 8, 10, 12 or 14.
//!
//! Detectors measure 10 to 14 bits, and many programs write what they measured into samples of 16 as it is, so that white is
//! 4,095 and the picture seems black. Neither PNG nor TIFF has a mark for it that programs set. How many bits are meant is told
//! by the range that the samples use: the fewest of 8, 10, 12, 14 and 16 that hold all samples but one in 1,000. So a hot pixel
//! or a burned-in letter decides nothing. Grey values are spread over all shades, 65,535 times the value by the largest
//! one of so many bits, halves up; the few above are white.
//!
//! A film that has more than one sample in 1,000 in its upper three quarters stays as it is. So does a dark picture of 8 bits
//! that was widened to 16: all samples but one in 1,000 are multiples of 257, or of 256.

use image::DynamicImage;

/// One in so many samples may contradict the others.
const BEYOND: usize = 1000;

/// Takes the alpha channel of a picture of 16 bits away, and spreads the samples over all shades.
pub(crate) fn spread(image: DynamicImage) -> DynamicImage {
    match image {
        DynamicImage::ImageLuma16(_) | DynamicImage::ImageLumaA16(_) => {
            let mut image = image.into_luma16();
            spread_samples(&mut image);
            DynamicImage::ImageLuma16(image)
        }
        DynamicImage::ImageRgb16(_) | DynamicImage::ImageRgba16(_) => {
            let mut image = image.into_rgb16();
            spread_samples(&mut image);
            DynamicImage::ImageRgb16(image)
        }
        image => image,
    }
}

fn spread_samples(samples: &mut [u16]) {
    let most = [8, 10, 12, 14].map(|bits| (1_u16 << bits) - 1);
    let Some(most) = most.into_iter().find(|&most| holds(samples, |sample| sample <= most)) else { return };
    if holds(samples, |sample| sample % 257 == 0) || holds(samples, |sample| sample % 256 == 0) {
        return;
    }
    let largest = u32::from(most);
    for sample in samples {
        *sample = ((u32::from((*sample).min(most)) * 65_535 + largest / 2) / largest) as u16;
    }
}

/// Whether something is true of all samples but one in [`BEYOND`].
fn holds(samples: &[u16], of: impl Fn(u16) -> bool) -> bool {
    samples.iter().filter(|&&sample| !of(sample)).count() * BEYOND <= samples.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A ramp over so many bits, each value several times.
    fn ramp(bits: u32) -> Vec<u16> {
        (0..1_u32 << 16).map(|n| (n >> (16 - bits)) as u16).collect()
    }

    #[test]
    fn fewer_bits_are_spread_over_all_shades() {
        for bits in [8, 10, 12, 14] {
            let (mut samples, most) = (ramp(bits), (1_u32 << bits) - 1);
            let expected: Vec<u16> =
                samples.iter().map(|&v| ((2 * u32::from(v) * 65_535 + most) / (2 * most)) as u16).collect();
            spread_samples(&mut samples);
            assert_eq!(samples, expected, "{bits}");
            assert_eq!((samples[0], samples[65_535]), (0, 65_535));
        }
    }

    #[test]
    fn hot_pixels_change_nothing_but_themselves() {
        let mut clean = ramp(12);
        let mut hot = clean.clone();
        for pixel in 0..65 {
            hot[pixel * 1000] = u16::MAX;
        }
        spread_samples(&mut clean);
        spread_samples(&mut hot);
        for (place, (clean, hot)) in clean.into_iter().zip(hot).enumerate() {
            assert_eq!(hot, if place % 1000 == 0 && place < 65_000 { u16::MAX } else { clean });
        }
        // One more, and the film has 16 bits.
        let mut film = ramp(12);
        film[..66].fill(u16::MAX);
        let before = film.clone();
        spread_samples(&mut film);
        assert_eq!(film, before);
    }

    #[test]
    fn films_of_16_bits_stay_as_they_are() {
        let widened = |factor: u16| (0..60_000).map(|n| n % 60 * factor).collect();
        let shades: [Vec<u16>; 4] = [ramp(16), ramp(15), widened(257), widened(256)];
        for before in shades {
            let mut after = before.clone();
            spread_samples(&mut after);
            assert!(after == before);
        }
    }
}
