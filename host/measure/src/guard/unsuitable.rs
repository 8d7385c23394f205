//! Kinds of images that should be refused: radiographs that were spoilt, and drawings of other things.

use data::synthetic;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use shared::{
    contract::InputContract,
    preprocess::{Channels, Picture, Samples},
};

use super::{
    cut,
    scene::{self, HEIGHT, WIDTH},
};

/// A kind of image that should be refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsuitable {
    /// A radiograph turned by a quarter, to the left or to the right.
    Quarter,
    /// A radiograph turned by a half.
    Half,
    /// A radiograph of dark bones.
    Negative,
    /// A radiograph with left and right exchanged.
    Mirrored,
    /// A quarter of a radiograph, at one of its corners.
    Corner,
    /// The quarter of a radiograph in its middle.
    Middle,
    /// The left or the right half of a radiograph.
    Side,
    /// The upper half of a radiograph.
    Upper,
    /// The lower half of a radiograph.
    Lower,
    /// A radiograph whose shades were divided by four.
    Dark,
    /// A radiograph whose shades were brought into the upper quarter.
    Bright,
    /// A radiograph with a twelfth of its contrast.
    Flat,
    /// One grey.
    Blank,
    /// Pixels without any order.
    Noise,
    /// Smooth shapes.
    Clouds,
    /// From one shade to another.
    Gradient,
    /// Squares.
    Checkerboard,
    /// Stripes.
    Stripes,
    /// Letters, black on white or white on black.
    Page,
    /// A landscape in colours.
    Landscape,
    /// The same landscapes in grey.
    GreyLandscape,
    /// A drawn radiograph of dark bones.
    DrawnNegative,
    /// A drawn radiograph turned by a half.
    DrawnHalf,
}

/// A picture in memory.
pub(super) struct Made {
    channels: Channels,
    width: usize,
    height: usize,
    pixels: Vec<u8>,
}

impl Made {
    pub(super) fn picture(&self) -> Picture<'_> {
        let stride = self.width * self.channels.count();
        match Picture::new(Samples::U8(&self.pixels), self.channels, self.width as u32, self.height as u32, stride) {
            Ok(picture) => picture,
            Err(_) => unreachable!("the pixels fill the picture"),
        }
    }
}

impl Unsuitable {
    /// All kinds, those made of radiographs first.
    pub const ALL: [Self; 23] = [
        Self::Quarter,
        Self::Half,
        Self::Negative,
        Self::Mirrored,
        Self::Corner,
        Self::Middle,
        Self::Side,
        Self::Upper,
        Self::Lower,
        Self::Dark,
        Self::Bright,
        Self::Flat,
        Self::Blank,
        Self::Noise,
        Self::Clouds,
        Self::Gradient,
        Self::Checkerboard,
        Self::Stripes,
        Self::Page,
        Self::Landscape,
        Self::GreyLandscape,
        Self::DrawnNegative,
        Self::DrawnHalf,
    ];

    /// What it is, in a few words.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Quarter => "turned by a quarter",
            Self::Half => "upside down",
            Self::Negative => "negative",
            Self::Mirrored => "mirrored",
            Self::Corner => "a quarter at a corner",
            Self::Middle => "the middle quarter",
            Self::Side => "left or right half",
            Self::Upper => "upper half",
            Self::Lower => "lower half",
            Self::Dark => "a quarter as bright",
            Self::Bright => "a quarter as dark",
            Self::Flat => "a twelfth of the contrast",
            Self::Blank => "one grey",
            Self::Noise => "noise",
            Self::Clouds => "clouds",
            Self::Gradient => "gradient",
            Self::Checkerboard => "checkerboard",
            Self::Stripes => "stripes",
            Self::Page => "page of text",
            Self::Landscape => "landscape in colour",
            Self::GreyLandscape => "landscape in grey",
            Self::DrawnNegative => "drawn X-ray, negative",
            Self::DrawnHalf => "drawn X-ray, upside down",
        }
    }

    /// True if it is drawn, false if it is made of the radiographs at hand.
    pub const fn drawn(self) -> bool {
        !matches!(
            self,
            Self::Quarter
                | Self::Half
                | Self::Negative
                | Self::Mirrored
                | Self::Corner
                | Self::Middle
                | Self::Side
                | Self::Upper
                | Self::Lower
                | Self::Dark
                | Self::Bright
                | Self::Flat
        )
    }

    /// Number `number` of the series `seed`: made of a radiograph, a square of `side`, unless the kind is drawn.
    pub(super) fn make(self, radiograph: &[u8], side: usize, seed: u64, number: u64) -> Made {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(number);
        let rng = &mut rng;
        let drawing = |pixels| Made { channels: Channels::Grey, width: WIDTH, height: HEIGHT, pixels };
        let square = |pixels| Made { channels: Channels::Grey, width: side, height: side, pixels };
        let shades = |shade: fn(u8) -> u8| square(radiograph.iter().map(|&value| shade(value)).collect());
        let part = |part| {
            let contract = InputContract::stretched(side as u16);
            square(cut(radiograph, side, part).prepare(&contract))
        };
        match self {
            Self::Quarter => square(turned(radiograph, side, if number.is_multiple_of(2) { 1 } else { 3 })),
            Self::Half => square(turned(radiograph, side, 2)),
            Self::Negative => shades(|value| 255 - value),
            Self::Mirrored => square(radiograph.chunks_exact(side).flat_map(|row| row.iter().rev()).copied().collect()),
            Self::Corner => part([(number % 2) as f64 / 2.0, (number / 2 % 2) as f64 / 2.0, 0.5, 0.5]),
            Self::Middle => part([0.25, 0.25, 0.5, 0.5]),
            Self::Side => part([(number % 2) as f64 / 2.0, 0.0, 0.5, 1.0]),
            Self::Upper => part([0.0, 0.0, 1.0, 0.5]),
            Self::Lower => part([0.0, 0.5, 1.0, 0.5]),
            Self::Dark => shades(|value| value / 4),
            Self::Bright => shades(|value| 255 - (255 - value) / 4),
            Self::Flat => shades(|value| 100 + value / 12),
            Self::Blank => drawing(vec![rng.random(); WIDTH * HEIGHT]),
            Self::Noise => drawing((0..WIDTH * HEIGHT).map(|_| rng.random()).collect()),
            Self::Clouds => drawing(scene::clouds(rng)),
            Self::Gradient => {
                let (sin, cos) = rng.random_range(0.0..std::f64::consts::TAU).sin_cos();
                drawing(scene::grey(|x, y| 0.5 + (x - 0.5) * cos + (y - 0.5) * sin))
            }
            Self::Checkerboard | Self::Stripes => {
                let (often, from) = (rng.random_range(2.0..20.0), rng.random::<f64>());
                let squares = self == Self::Checkerboard || rng.random();
                let across = self == Self::Checkerboard || !squares;
                let odd = |x: f64, wanted: bool| wanted && (x * often + from).fract() < 0.5;
                drawing(scene::grey(|x, y| if odd(x, across) == odd(y, squares) { 0.2 } else { 0.8 }))
            }
            Self::Page => {
                let page = scene::page(rng);
                drawing(if rng.random() { page } else { page.into_iter().map(|value| 255 - value).collect() })
            }
            Self::Landscape => Made { channels: Channels::Rgb, ..drawing(scene::landscape(rng)) },
            Self::GreyLandscape => {
                let coloured = scene::landscape(rng);
                let grey = coloured
                    .as_chunks::<3>()
                    .0
                    .iter()
                    .map(|[r, g, b]| ((u32::from(*r) * 3 + u32::from(*g) * 6 + u32::from(*b)) / 10) as u8);
                drawing(grey.collect())
            }
            Self::DrawnNegative | Self::DrawnHalf => {
                let synthetic::Drawing { width, height, mut pixels, .. } = synthetic::draw(seed, number);
                if self == Self::DrawnHalf {
                    pixels.reverse();
                } else {
                    pixels.iter_mut().for_each(|value| *value = 255 - *value);
                }
                Made { channels: Channels::Grey, width: width as usize, height: height as usize, pixels }
            }
        }
    }
}

/// A square turned clockwise by quarters of a turn.
fn turned(image: &[u8], side: usize, quarters: usize) -> Vec<u8> {
    let mut turned = image.to_vec();
    for _ in 0..quarters {
        turned = (0..side * side).map(|i| turned[(side - 1 - i % side) * side + i / side]).collect();
    }
    turned
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_drawn_alike_every_time_and_differ() {
        let radiograph: Vec<u8> = (0..32 * 32).map(|i| (i % 200) as u8).collect();
        for (i, kind) in Unsuitable::ALL.into_iter().enumerate() {
            let (one, two) = (kind.make(&radiograph, 32, 1, 5), kind.make(&radiograph, 32, 1, 5));
            assert_eq!(one.pixels, two.pixels, "{}", kind.name());
            assert_eq!(kind.drawn(), i >= 12, "{}", kind.name());
            let picture = one.picture();
            assert!(picture.width() >= 32 && picture.height() >= 32);
            assert!(Unsuitable::ALL.iter().filter(|other| other.name() == kind.name()).count() == 1);
        }
        assert_eq!(turned(&[1, 2, 3, 4], 2, 1), [3, 1, 4, 2]);
        assert_eq!(turned(&[1, 2, 3, 4], 2, 3), [2, 4, 1, 3]);
    }
}
