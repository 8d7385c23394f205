//! What the kernel says of a framebuffer: where in its memory the picture lies that is seen, and how a pixel is written.
//!
//! The memory may hold more than is seen (`virtual_size`): two pictures one below the other, to show one while the other is
//! drawn, or what another program has left.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
};

use rustix::{
    io::Errno,
    ioctl::{Getter, ioctl},
};

use super::SinkError;

/// `FBIOGET_VSCREENINFO` and `FBIOGET_FSCREENINFO` of `linux/fb.h`.
const VARIABLE: u32 = 0x4600;
const FIXED: u32 = 0x4602;
/// `FB_TYPE_PACKED_PIXELS`: the bits of a pixel are together.
const PACKED: u32 = 0;
/// `FB_VISUAL_TRUECOLOR` and `FB_VISUAL_DIRECTCOLOR`: each pixel says its colour.
const COLOURS: [u32; 2] = [2, 4];

/// `struct fb_bitfield`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Bits {
    pub(super) offset: u32,
    pub(super) length: u32,
    pub(super) msb_right: u32,
}

/// `struct fb_var_screeninfo`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Variable {
    pub(super) visible: [u32; 2],
    pub(super) memory: [u32; 2],
    pub(super) offset: [u32; 2],
    pub(super) bits_per_pixel: u32,
    pub(super) grayscale: u32,
    pub(super) colours: [Bits; 3],
    pub(super) transparency: Bits,
    pub(super) nonstandard: u32,
    pub(super) timing: [u32; 15],
    pub(super) reserved: [u32; 4],
}

/// `struct fb_fix_screeninfo`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Fixed {
    pub(super) id: [u8; 16],
    pub(super) memory: usize,
    pub(super) length: u32,
    pub(super) kind: u32,
    pub(super) kind_more: u32,
    pub(super) visual: u32,
    pub(super) steps: [u16; 3],
    pub(super) stride: u32,
    pub(super) registers: usize,
    pub(super) registers_length: u32,
    pub(super) accelerator: u32,
    pub(super) capabilities: u16,
    pub(super) reserved: [u16; 2],
}

/// Where the picture that is seen lies, and how its pixels are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Geometry {
    /// Pixels in a row that is seen, and rows.
    pub(super) width: u32,
    pub(super) height: u32,
    /// Pixels before them, and rows above.
    left: u32,
    top: u32,
    /// Bytes from one row to the next.
    stride: u32,
    pub(super) format: PixelFormat,
}

impl Geometry {
    /// Of an open device, or, where it does not answer, as a folder of `/sys/class/graphics` has it.
    pub(super) fn of(device: &File, sys: &Path) -> Result<Self, SinkError> {
        match ask(device) {
            Ok((variable, fixed)) => Self::of_kernel(&variable, &fixed),
            Err(Errno::NOTTY | Errno::INVAL) => Self::of_files(sys),
            Err(error) => Err(SinkError::Geometry { path: sys.to_owned(), source: error.into() }),
        }
    }

    pub(super) fn of_kernel(variable: &Variable, fixed: &Fixed) -> Result<Self, SinkError> {
        let Variable { visible: [width, height], offset: [left, top], bits_per_pixel, colours, .. } = *variable;
        if fixed.kind != PACKED || variable.nonstandard != 0 {
            return Err(SinkError::Format("bits of a pixel that lie apart"));
        }
        if !COLOURS.contains(&fixed.visual) || variable.grayscale != 0 {
            return Err(SinkError::Format("a palette or shades of grey"));
        }
        let standard = PixelFormat::of(bits_per_pixel)?;
        // A driver that says nothing of them has the usual ones.
        let format = if colours.iter().all(|bits| bits.length == 0) { standard } else { standard.with(colours)? };
        Ok(Self { width, height, left, top, stride: fixed.stride, format })
    }

    fn of_files(sys: &Path) -> Result<Self, SinkError> {
        let bits = numbers::<1>(sys, "bits_per_pixel")?[0];
        // `U:800x480p-60`: what is set, or, where none was set, what the driver began with.
        let mode = |name: &str| {
            let text = std::fs::read_to_string(sys.join(name)).ok()?;
            let size = text.lines().next()?.split_once(':')?.1;
            let (width, rest) = size.split_once('x')?;
            let height = rest.split(|c: char| !c.is_ascii_digit()).next()?;
            Some([width.parse().ok()?, height.parse().ok()?])
        };
        let Some([width, height]) = mode("mode").or_else(|| mode("modes")) else {
            return Err(unreadable(sys.join("mode"), "it says no size"));
        };
        let [left, top] = numbers::<2>(sys, "pan").unwrap_or_default();
        let stride = numbers::<1>(sys, "stride")?[0];
        Ok(Self { width, height, left, top, stride, format: PixelFormat::of(bits)? })
    }

    /// Where the pixels of a row that is seen begin in the memory.
    pub(super) fn at(&self, y: u32) -> u64 {
        (u64::from(self.top) + u64::from(y)) * u64::from(self.stride) + u64::from(self.left) * self.format.bytes as u64
    }

    /// Whether a row has room for all that is seen of it.
    pub(super) fn is_sound(&self) -> bool {
        (u64::from(self.left) + u64::from(self.width)) * self.format.bytes as u64 <= u64::from(self.stride)
    }

    /// The bytes of one row to the next, for the message that they are too few.
    pub(super) fn stride(&self) -> u32 {
        self.stride
    }
}

fn unreadable(path: PathBuf, why: impl Into<String>) -> SinkError {
    SinkError::Geometry { path, source: io::Error::new(io::ErrorKind::InvalidData, why.into()) }
}

/// The numbers of a file in /sys.
fn numbers<const N: usize>(sys: &Path, name: &str) -> Result<[u32; N], SinkError> {
    let path = sys.join(name);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(source) => return Err(SinkError::Geometry { path, source }),
    };
    let parsed: Option<Vec<u32>> = text.trim().split(',').map(|number| number.parse().ok()).collect();
    let fitting = parsed.and_then(|numbers| numbers.try_into().ok());
    fitting.ok_or_else(|| unreadable(path, format!("`{}`", text.trim())))
}

/// How the bits of a pixel, the lowest byte first, say its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PixelFormat {
    /// Bytes of a pixel.
    pub(super) bytes: usize,
    /// Lowest bit and number of bits of red, green and blue.
    colours: [(u32, u32); 3],
}

impl PixelFormat {
    /// The usual one of so many bits: RGB565, RGB888 or XRGB8888.
    fn of(bits: u32) -> Result<Self, SinkError> {
        match bits {
            16 => Ok(Self { bytes: 2, colours: [(11, 5), (5, 6), (0, 5)] }),
            24 | 32 => Ok(Self { bytes: bits as usize / 8, colours: [(16, 8), (8, 8), (0, 8)] }),
            _ => Err(SinkError::Depth(bits)),
        }
    }

    /// The same with the colours where the kernel says.
    fn with(self, colours: [Bits; 3]) -> Result<Self, SinkError> {
        let bits = 8 * self.bytes as u32;
        let fits = |&Bits { offset, length, msb_right }: &Bits| {
            msb_right == 0 && (1..=8).contains(&length) && offset.checked_add(length).is_some_and(|end| end <= bits)
        };
        if !colours.iter().all(fits) {
            return Err(SinkError::Format("colours of another number of bits"));
        }
        Ok(Self { colours: colours.map(|bits| (bits.offset, bits.length)), ..self })
    }

    /// What each shade of red, green and blue sets in a pixel, of whose value the lowest [`Self::bytes`] count. Bits that are of
    /// no colour are set: they may be an opacity.
    pub(super) fn shades(self) -> [[u32; 256]; 3] {
        let colours = self.colours.iter().map(|(offset, length)| ((1 << length) - 1) << offset);
        let others: u32 = !colours.fold(0, |all: u32, colour: u32| all | colour);
        self.colours
            .map(|(offset, length)| std::array::from_fn(|shade| others | (shade as u32 >> (8 - length)) << offset))
    }
}

/// Asks the kernel.
#[expect(unsafe_code, reason = "the kernel writes what it knows into structures of ours")]
fn ask(device: &File) -> rustix::io::Result<(Variable, Fixed)> {
    // SAFETY: each request writes one structure, which has the kernel's layout (`linux/fb.h`), and any bits are a value of it.
    unsafe {
        let variable = ioctl(device, Getter::<VARIABLE, Variable>::new())?;
        let fixed = ioctl(device, Getter::<FIXED, Fixed>::new())?;
        Ok((variable, fixed))
    }
}

#[cfg(test)]
mod tests {
    use std::mem::{offset_of, size_of};

    use super::*;

    fn rgb565() -> (Variable, Fixed) {
        let bits = |offset, length| Bits { offset, length, msb_right: 0 };
        let variable = Variable {
            visible: [800, 480],
            memory: [800, 960],
            bits_per_pixel: 16,
            colours: [bits(11, 5), bits(5, 6), bits(0, 5)],
            ..Variable::default()
        };
        (variable, Fixed { visual: 2, stride: 1600, ..Fixed::default() })
    }

    #[test]
    fn structures_are_as_large_as_the_kernels() {
        assert_eq!(size_of::<Variable>(), 160);
        assert_eq!((offset_of!(Variable, colours), offset_of!(Variable, nonstandard)), (32, 80));
        if cfg!(target_pointer_width = "64") {
            assert_eq!((size_of::<Fixed>(), offset_of!(Fixed, visual), offset_of!(Fixed, stride)), (80, 36, 48));
        } else {
            assert_eq!((size_of::<Fixed>(), offset_of!(Fixed, visual), offset_of!(Fixed, stride)), (68, 32, 44));
        }
    }

    #[test]
    fn what_is_seen_is_a_part_of_the_memory() {
        let (variable, fixed) = rgb565();
        let first = Geometry::of_kernel(&variable, &fixed).unwrap();
        assert_eq!((first.width, first.height, first.at(0), first.at(479)), (800, 480, 0, 479 * 1600));
        let second = Geometry::of_kernel(&Variable { offset: [0, 480], ..variable }, &fixed).unwrap();
        assert_eq!((second.at(0), second.is_sound()), (480 * 1600, true));
        let beside = Geometry::of_kernel(&Variable { offset: [10, 0], ..variable }, &fixed).unwrap();
        assert_eq!((beside.at(0), beside.is_sound()), (20, false));
    }

    #[test]
    fn colours_are_where_the_kernel_says() {
        let bits = |offset, length| Bits { offset, length, msb_right: 0 };
        let (sixteen, fixed) = rgb565();
        let format = |variable| Geometry::of_kernel(&variable, &fixed).map(|geometry| geometry.format);
        let of = |bits_per_pixel, colours| Variable { bits_per_pixel, colours, ..sixteen };
        for (variable, bytes) in [
            (sixteen, &[0x21, 0xfc][..]),
            (of(16, [bits(10, 5), bits(5, 5), bits(0, 5)]), &[0x01, 0xfe]),
            (of(24, [bits(16, 8), bits(8, 8), bits(0, 8)]), &[0x08, 0x84, 0xff]),
            (of(32, [bits(16, 8), bits(8, 8), bits(0, 8)]), &[0x08, 0x84, 0xff, 0xff]),
            (of(32, [bits(0, 8), bits(8, 8), bits(16, 8)]), &[0xff, 0x84, 0x08, 0xff]),
            (of(32, [Bits::default(); 3]), &[0x08, 0x84, 0xff, 0xff]),
        ] {
            let format = format(variable).unwrap();
            let [red, green, blue] = format.shades();
            let pixel = red[0xff] | green[0x84] | blue[0x08];
            assert_eq!(&pixel.to_le_bytes()[..format.bytes], bytes, "{variable:?}");
        }
        assert!(matches!(format(of(8, sixteen.colours)), Err(SinkError::Depth(8))));
        for colours in [[bits(0, 10); 3], [bits(30, 8); 3], [Bits { msb_right: 1, ..bits(0, 8) }; 3]] {
            assert!(matches!(format(of(32, colours)), Err(SinkError::Format(_))), "{colours:?}");
        }
        for (variable, fixed) in [
            (sixteen, Fixed { visual: 3, ..fixed }),
            (sixteen, Fixed { kind: 1, ..fixed }),
            (Variable { grayscale: 1, ..sixteen }, fixed),
            (Variable { nonstandard: 1, ..sixteen }, fixed),
        ] {
            assert!(matches!(Geometry::of_kernel(&variable, &fixed), Err(SinkError::Format(_))));
        }
    }
}
