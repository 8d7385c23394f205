//! Stated limits. Whatever comes from outside is held to them before memory is reserved for it.

/// Largest image file that is read, sent or received, in bytes (32 MiB).
pub const MAX_IMAGE_BYTES: u32 = 32 * 1024 * 1024;

/// Largest image that is decoded, in pixels (64 megapixels: width × height).
pub const MAX_IMAGE_PIXELS: u32 = 64 * 1024 * 1024;

/// Most memory for an image, in bytes (192 MiB): 64 megapixels of 8-bit RGB. Turning an image by a quarter, or taking its
/// alpha channel away, takes twice its bytes; a progressive JPEG two more for each sample, until its last scan has come. A JPEG that is
/// decoded at a reduced scale takes less, and is held to what it would take in full.
/// The smallest board of the box has 512 MiB.
pub const MAX_DECODED_BYTES: u64 = 3 * MAX_IMAGE_PIXELS as u64;

/// Most memory for what decoding takes besides, in bytes (16 MiB): rows, tables, what is not picture. So decoding a file
/// never holds more than 208 MiB and the file.
pub const MAX_DECODER_BYTES: u64 = 16 * 1024 * 1024;

/// Most scans of a progressive JPEG. Encoders write 6 to 12, those that search for the smallest file up to 16.
pub const MAX_SCANS: u32 = 20;

/// Most samples that the scans of a JPEG may hold together, each one that repeats a sample counted again (640 Mi): ten
/// times the largest grey image. 12 megapixels of RGB in the usual ten scans have 170 million.
pub const MAX_SCANNED_SAMPLES: u64 = 10 * MAX_IMAGE_PIXELS as u64;

/// Longest side of an image, in pixels. Keeps the sums of [`crate::preprocess`] far from overflow.
pub const MAX_IMAGE_SIDE: u32 = 32_768;

/// Shortest side of an image that can be judged, in pixels.
pub const MIN_IMAGE_SIDE: u32 = 32;

/// Smallest and largest side length of a model's input, in pixels.
pub const MODEL_SIDE: core::ops::RangeInclusive<u16> = 16..=512;

/// Longest side of the preview that accompanies a prepared image, in pixels.
pub const MAX_PREVIEW_SIDE: u16 = 256;

/// Longest exam id, in bytes of ASCII.
pub const MAX_EXAM_ID: usize = 64;

/// Largest model file that is sent to the box, in bytes (4 MiB).
pub const MAX_UPDATE_BYTES: u32 = 4 * 1024 * 1024;

/// Largest bundle of the box's own program that is sent to it, in bytes (64 MiB).
pub const MAX_BUNDLE_BYTES: u64 = 64 * 1024 * 1024;

/// Largest picture of the screen of the box, a PNG file, in bytes (4 MiB).
pub const MAX_SCREEN_BYTES: u32 = 4 * 1024 * 1024;
