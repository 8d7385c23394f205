//! Where the picture of the screen goes: a PNG file, a Linux framebuffer.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use image::{
    ExtendedColorType, ImageEncoder,
    codecs::png::{CompressionType, FilterType, PngEncoder},
};

use rustix::fs::OFlags;

use super::{Rotation, ScreenSize, ScreenSizeError, frame::Frame, rotation};

/// Why a picture cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// the picture cannot be written
    #[error("cannot write the screen to {path}: {source}")]
    Write {
        /// File or device.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// the geometry of the framebuffer cannot be read
    #[error("cannot read the geometry of the framebuffer from {path}: {source}; name another with --framebuffer")]
    Geometry {
        /// The file in /sys.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// the framebuffer has another format
    #[error("the framebuffer has {0} bits a pixel; 16 (RGB565) and 32 (XRGB8888) are supported: change its mode")]
    Depth(u32),
    /// the framebuffer is smaller than the layout is made for
    #[error("the framebuffer has {width}x{height} pixels; at least 480x320 or 320x480 are needed: use a larger screen")]
    Size {
        /// Pixels in a row.
        width: u32,
        /// Rows.
        height: u32,
    },
    /// the picture cannot be encoded
    #[error("cannot encode the picture of the screen: {0}")]
    Encode(#[from] image::ImageError),
}

/// The PNG file of a frame.
pub fn png(frame: &Frame) -> Result<Vec<u8>, SinkError> {
    let mut bytes = Vec::new();
    let encoder = PngEncoder::new_with_quality(&mut bytes, CompressionType::Fast, FilterType::Adaptive);
    encoder.write_image(frame.rgb(), frame.width(), frame.height(), ExtendedColorType::Rgb8)?;
    Ok(bytes)
}

/// A folder whose `screen.png` is always the whole current picture.
#[derive(Debug, Clone)]
pub struct Folder {
    file: PathBuf,
}

impl Folder {
    /// Makes the folder if need be.
    pub fn create(folder: &Path) -> Result<Self, SinkError> {
        let failed = |source| SinkError::Write { path: folder.to_owned(), source };
        std::fs::create_dir_all(folder).map_err(failed)?;
        Ok(Self { file: folder.join("screen.png") })
    }

    /// The file.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Replaces the file in one step.
    pub fn write(&self, png: &[u8]) -> Result<(), SinkError> {
        let fresh = self.file.with_extension("png.new");
        // A link that somebody has put there is neither followed nor a reason to show nothing.
        if fresh.is_symlink() {
            let _ = std::fs::remove_file(&fresh);
        }
        let mut options = File::options();
        options.write(true).create(true).truncate(true).mode(0o600).custom_flags(OFlags::NOFOLLOW.bits().cast_signed());
        let written = options.open(&fresh).and_then(|mut file| file.write_all(png));
        let written = written.and_then(|()| std::fs::rename(&fresh, &self.file));
        written.map_err(|source| SinkError::Write { path: self.file.clone(), source })
    }
}

/// A Linux framebuffer device, written as a file.
#[derive(Debug)]
pub struct Framebuffer {
    path: PathBuf,
    file: File,
    panel: Panel,
    rotation: Rotation,
    /// Bytes from one row to the next.
    stride: usize,
    format: PixelFormat,
}

/// How the picture lies on a panel: on one that is larger than a picture may be, each of its pixels becomes a square, and
/// the few pixels that are left over stay black around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Panel {
    /// Pixels in a row, and rows.
    width: u32,
    height: u32,
    /// The picture, before it is turned.
    picture: ScreenSize,
    /// Side of the square.
    scale: u32,
}

impl Panel {
    fn new(width: u32, height: u32) -> Result<Self, ScreenSizeError> {
        let (long, short) = ScreenSize::LONGEST;
        let scale = width.max(height).div_ceil(long).max(width.min(height).div_ceil(short)).max(1);
        let picture = ScreenSize::new(width / scale, height / scale)?;
        Ok(Self { width, height, picture, scale })
    }

    /// How many columns or rows of the panel stay black before those of the picture.
    fn margin(self, of_panel: u32, of_picture: u32) -> u32 {
        (of_panel - of_picture * self.scale) / 2
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PixelFormat {
    /// 16 bits, red in the upper five.
    Rgb565,
    /// 32 bits, blue in the lowest byte.
    Xrgb8888,
}

impl PixelFormat {
    fn bytes(self) -> usize {
        match self {
            Self::Rgb565 => 2,
            Self::Xrgb8888 => 4,
        }
    }
}

impl Framebuffer {
    /// Opens a device such as `/dev/fb0`; its geometry is read from `/sys/class/graphics`.
    pub fn open(device: &Path) -> Result<Self, SinkError> {
        let name = device.file_name().unwrap_or(device.as_os_str());
        Self::open_with(device, &Path::new("/sys/class/graphics").join(name))
    }

    fn open_with(device: &Path, geometry: &Path) -> Result<Self, SinkError> {
        let attribute = |name: &str| {
            let path = geometry.join(name);
            let numbers = std::fs::read_to_string(&path).and_then(|text| {
                let parsed: Result<Vec<u32>, _> = text.trim().split(',').map(str::parse).collect();
                parsed.map_err(|_| io::Error::new(io::ErrorKind::InvalidData, format!("`{}`", text.trim())))
            });
            numbers.map_err(|source| SinkError::Geometry { path, source })
        };
        let single = |name: &str| attribute(name).map(|numbers| numbers.first().copied().unwrap_or(0));
        let [width, height] = attribute("virtual_size")?[..] else {
            let source = io::Error::new(io::ErrorKind::InvalidData, "two numbers are expected");
            return Err(SinkError::Geometry { path: geometry.join("virtual_size"), source });
        };
        let format = match single("bits_per_pixel")? {
            16 => PixelFormat::Rgb565,
            32 => PixelFormat::Xrgb8888,
            other => return Err(SinkError::Depth(other)),
        };
        let stride = single("stride")? as usize;
        let panel = Panel::new(width, height).map_err(|_| SinkError::Size { width, height })?;
        if stride < width as usize * format.bytes() {
            let source = io::Error::new(io::ErrorKind::InvalidData, format!("a stride of {stride} bytes is too short"));
            return Err(SinkError::Geometry { path: geometry.join("stride"), source });
        }
        // Some drivers (virtio-gpu) show nothing until their mode is set, even to the same one.
        let _ = std::fs::write(geometry.join("bits_per_pixel"), (8 * format.bytes()).to_string());
        let file = OpenOptions::new().write(true).open(device);
        let file = file.map_err(|source| SinkError::Write { path: device.to_owned(), source })?;
        Ok(Self { path: device.to_owned(), file, panel, rotation: Rotation::None, stride, format })
    }

    /// The same for a panel that is mounted turned.
    pub fn turned(self, rotation: Rotation) -> Self {
        Self { rotation, ..self }
    }

    /// Width and height of the picture that it shows.
    pub fn size(&self) -> ScreenSize {
        rotation::picture_size(self.rotation, self.panel.picture)
    }

    /// Shows a frame of [`Self::size`]. A part of the rows at a time, for memory is scarce.
    pub fn write(&self, frame: &Frame) -> Result<(), SinkError> {
        const ROWS: usize = 64;
        let mut bytes = Vec::new();
        for first in (0..self.panel.height).step_by(ROWS) {
            let rows = (self.panel.height - first).min(ROWS as u32);
            bytes.clear();
            bytes.resize(self.stride * rows as usize, 0);
            for (y, line) in (first..).zip(bytes.chunks_exact_mut(self.stride)) {
                self.write_row(frame, y, line);
            }
            let written = self.file.write_all_at(&bytes, u64::from(first) * self.stride as u64);
            written.map_err(|source| SinkError::Write { path: self.path.clone(), source })?;
        }
        Ok(())
    }

    /// The bytes of a row of the panel, which are zero before.
    fn write_row(&self, frame: &Frame, y: u32, line: &mut [u8]) {
        let Panel { width, height, picture, scale } = self.panel;
        let Some(below) = y.checked_sub(self.panel.margin(height, picture.height)) else { return };
        let y = below / scale;
        if y >= picture.height {
            return;
        }
        let bytes = self.format.bytes();
        let left = self.panel.margin(width, picture.width) as usize * bytes;
        // A row of a square at a time.
        for (x, pixels) in (0..picture.width).zip(line[left..].chunks_exact_mut(scale as usize * bytes)) {
            let (x, y) = rotation::source(self.rotation, [x, y], picture);
            let Some(&[r, g, b]) = frame.at(x, y) else { continue };
            for pixel in pixels.chunks_exact_mut(bytes) {
                match self.format {
                    PixelFormat::Rgb565 => {
                        let value = u16::from(r >> 3) << 11 | u16::from(g >> 2) << 5 | u16::from(b >> 3);
                        pixel.copy_from_slice(&value.to_le_bytes());
                    }
                    PixelFormat::Xrgb8888 => pixel.copy_from_slice(&[b, g, r, 0xff]),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
