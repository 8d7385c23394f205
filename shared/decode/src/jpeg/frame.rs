//! What a JPEG file says of its picture before the first scan (T.81, B.2.2).

use shared::verdict::Refusal;

/// A picture and its components.
pub(super) struct Frame {
    pub(super) progressive: bool,
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) components: Vec<Component>,
    /// Columns and rows of MCUs in a scan of several components.
    pub(super) units: [u32; 2],
}

/// One of the one to four planes of a picture.
pub(super) struct Component {
    pub(super) id: u8,
    /// Blocks in a row and a column of an MCU of several components.
    pub(super) sampling: [u32; 2],
    /// Which quantization table is used.
    pub(super) quantization: u8,
    /// Blocks in a row and a column of a scan of this component alone.
    pub(super) blocks: [u32; 2],
}

impl Frame {
    /// Reads the segment behind a marker of a frame.
    pub(super) fn read(marker: u8, segment: &[u8]) -> Result<Self, Refusal> {
        // Baseline, extended sequential, progressive. The others are lossless, hierarchical or arithmetically coded.
        if !matches!(marker, 0xc0..=0xc2) {
            return Err(Refusal::UnsupportedKind);
        }
        let [precision, h1, h0, w1, w0, count, listed @ ..] = segment else { return Err(Refusal::Corrupt) };
        if *precision != 8 {
            return Err(Refusal::UnsupportedKind);
        }
        if !matches!(count, 1 | 3 | 4) {
            return Err(Refusal::UnsupportedColour);
        }
        let (listed, surplus) = listed.as_chunks();
        if listed.len() != usize::from(*count) || !surplus.is_empty() {
            return Err(Refusal::Corrupt);
        }
        let width = u32::from(u16::from_be_bytes([*w1, *w0]));
        let height = u32::from(u16::from_be_bytes([*h1, *h0]));
        match (width, height) {
            (0, _) => return Err(Refusal::Corrupt),
            // The height follows behind the first scan.
            (_, 0) => return Err(Refusal::UnsupportedKind),
            _ => crate::check_size(width, height)?,
        }
        let sampling = |[_, sampling, _]: &[u8; 3]| [u32::from(sampling >> 4), u32::from(sampling & 15)];
        let most = |side: usize| listed.iter().map(|component| sampling(component)[side]).max().unwrap_or(1);
        let most = [most(0), most(1)];
        let sides = [width, height];
        let components = listed.iter().map(|component @ &[id, _, quantization]| {
            let sampling = sampling(component);
            if sampling.iter().any(|n| !matches!(n, 1..=4)) || quantization > 3 {
                return Err(Refusal::Corrupt);
            }
            // Three in four are allowed by the standard, and written by nobody.
            if sampling.contains(&3) {
                return Err(Refusal::UnsupportedKind);
            }
            // One component is never subsampled, whatever it says.
            let blocks = |side: usize| match count {
                1 => sides[side].div_ceil(8),
                _ => (sides[side] * sampling[side]).div_ceil(8 * most[side]),
            };
            Ok(Component { id, sampling, quantization, blocks: [blocks(0), blocks(1)] })
        });
        let components = components.collect::<Result<Vec<_>, _>>()?;
        let units = [width.div_ceil(8 * most[0]), height.div_ceil(8 * most[1])];
        Ok(Self { progressive: marker == 0xc2, width, height, components, units })
    }

    /// Bytes of the pixels: grey or RGB.
    pub(super) fn pixel_bytes(&self) -> u64 {
        u64::from(self.width) * u64::from(self.height) * self.components.len().min(3) as u64
    }

    /// Bytes of the coefficients that must be kept until the last scan.
    pub(super) fn coefficient_bytes(&self) -> u64 {
        let [columns, rows] = self.units;
        let blocks = self.components.iter().map(|component| match self.components.len() {
            1 => u64::from(component.blocks[0]) * u64::from(component.blocks[1]),
            _ => u64::from(columns * component.sampling[0]) * u64::from(rows * component.sampling[1]),
        });
        if self.progressive { 128 * blocks.sum::<u64>() } else { 0 }
    }
}
