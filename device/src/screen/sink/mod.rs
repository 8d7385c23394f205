//! Where the picture of the screen goes: a PNG file, a Linux framebuffer.

mod geometry;

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
use shared::shown::Shown;

use self::geometry::Geometry;
use super::{Rotation, ScreenSize, ScreenSizeError, frame::Frame, rotation};

/// Why a picture cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// the picture cannot be written
    #[error("cannot write the screen to {path}: {source}", path = Shown(path.display()))]
    Write {
        /// File or device.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// the geometry of the framebuffer cannot be read
    #[error("cannot read the geometry of the framebuffer from {path}: {source}; name another with --framebuffer", path = Shown(path.display()))]
    Geometry {
        /// The file in /sys.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// the framebuffer has another format
    #[error("the framebuffer has {0} bits a pixel; 16, 24 and 32 are supported: change its mode")]
    Depth(u32),
    /// its pixels say their colour in another way
    #[error(
        "the framebuffer has {0}, which cannot be drawn: change its mode to 16, 24 or 32 bits of red, green and blue"
    )]
    Format(&'static str),
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
    geometry: Geometry,
}

/// How the picture lies on a panel: on one that is larger than a picture may be, each of its pixels becomes a square, and
/// the few pixels that are left over stay black around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Panel {
    /// Pixels in a row that are seen, and rows.
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

impl Framebuffer {
    /// Opens a device such as `/dev/fb0`. The picture lies on what is seen of it, which may be less than its memory holds.
    pub fn open(device: &Path) -> Result<Self, SinkError> {
        let name = device.file_name().unwrap_or(device.as_os_str());
        Self::open_with(device, &Path::new("/sys/class/graphics").join(name))
    }

    fn open_with(device: &Path, sys: &Path) -> Result<Self, SinkError> {
        let file = OpenOptions::new().write(true).open(device);
        let file = file.map_err(|source| SinkError::Write { path: device.to_owned(), source })?;
        let before = Geometry::of(&file, sys)?;
        // Some drivers (virtio-gpu) show nothing until their mode is set, even to the same one.
        let _ = std::fs::write(sys.join("bits_per_pixel"), (8 * before.format.bytes).to_string());
        let geometry = Geometry::of(&file, sys)?;
        Self::over(device, file, geometry)
    }

    fn over(device: &Path, file: File, geometry: Geometry) -> Result<Self, SinkError> {
        let Geometry { width, height, .. } = geometry;
        let panel = Panel::new(width, height).map_err(|_| SinkError::Size { width, height })?;
        if !geometry.is_sound() {
            let why = format!("a stride of {} bytes is too short", geometry.stride());
            let source = io::Error::new(io::ErrorKind::InvalidData, why);
            return Err(SinkError::Geometry { path: device.to_owned(), source });
        }
        Ok(Self { path: device.to_owned(), file, panel, rotation: Rotation::None, geometry })
    }

    /// The same for a panel that is mounted turned.
    pub fn turned(self, rotation: Rotation) -> Self {
        Self { rotation, ..self }
    }

    /// Width and height of the picture that it shows.
    pub fn size(&self) -> ScreenSize {
        rotation::picture_size(self.rotation, self.panel.picture)
    }

    /// Shows a frame of [`Self::size`], in one write: of a write that is one whole row Linux 6.1 shows nothing, because it
    /// takes its end for the beginning of the row (`drm_fb_helper_memory_range_to_clip`). What lies between the rows that are
    /// seen becomes zero.
    pub fn write(&self, frame: &Frame) -> Result<(), SinkError> {
        let bytes = self.geometry.format.bytes;
        let (row, stride) = (self.panel.width as usize * bytes, self.geometry.stride() as usize);
        let mut seen = vec![0; stride * (self.panel.height as usize - 1) + row];
        match bytes {
            2 => self.paint::<2>(frame, &mut seen),
            3 => self.paint::<3>(frame, &mut seen),
            _ => self.paint::<4>(frame, &mut seen),
        }
        let written = self.file.write_all_at(&seen, self.geometry.at(0));
        written.map_err(|source| SinkError::Write { path: self.path.clone(), source })
    }

    /// The rows of the panel, which are zero before. A pixel has `N` bytes: the compiler knows how many, and stores them at once.
    fn paint<const N: usize>(&self, frame: &Frame, seen: &mut [u8]) {
        let Panel { width, height, picture, scale } = self.panel;
        let (left, top) = (self.panel.margin(width, picture.width), self.panel.margin(height, picture.height));
        let (left, top, scale) = (left as usize * N, top as usize, scale as usize);
        let (right, stride) = (left + picture.width as usize * scale * N, self.geometry.stride() as usize);
        let [red, green, blue] = self.geometry.format.shades();
        let pixels = frame.rgb().as_chunks().0;
        let place = |x: u32, y: u32| {
            let (x, y) = rotation::source(self.rotation, [x, y], picture);
            y as usize * frame.width() as usize + x as usize
        };
        // A row of squares at a time.
        for (y, lines) in (0..picture.height).zip(seen[top * stride..].chunks_mut(scale * stride)) {
            // From one pixel to the next it is always as far, forwards or backwards.
            let mut at = place(0, y);
            let step = place(1, y).wrapping_sub(at);
            for square in lines[left..right].as_chunks_mut::<N>().0.chunks_exact_mut(scale) {
                if let Some(&[r, g, b]) = pixels.get(at) {
                    let bytes = (red[usize::from(r)] | green[usize::from(g)] | blue[usize::from(b)]).to_le_bytes();
                    square.fill(std::array::from_fn(|byte| bytes[byte]));
                }
                at = at.wrapping_add(step);
            }
            for line in 1..scale {
                lines.copy_within(left..right, line * stride + left);
            }
        }
    }
}

#[cfg(test)]
mod tests;
