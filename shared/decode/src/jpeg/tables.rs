//! What the segments of a file define for the scans that follow (T.81, B.2.4).

use shared::verdict::Refusal;

use super::{
    huffman::Table,
    segments::{COMMENT, HUFFMAN_TABLES, RESTART_INTERVAL},
};

#[derive(Clone, Default)]
pub(super) struct Tables {
    pub(super) dc: [Option<Table>; 4],
    pub(super) ac: [Option<Table>; 4],
    /// The divisors of each quantization table, in zigzag order.
    pub(super) quantization: [Option<[u16; 64]>; 4],
    /// MCUs between restart markers; 0 if there are none.
    pub(super) restart_interval: u32,
}

impl Tables {
    /// Reads a segment that may also stand between scans.
    pub(super) fn read_between_scans(&mut self, marker: u8, segment: &[u8]) -> Result<(), Refusal> {
        match marker {
            HUFFMAN_TABLES => self.read_huffman(segment),
            RESTART_INTERVAL => {
                let &interval = segment.as_array().ok_or(Refusal::Corrupt)?;
                self.restart_interval = u16::from_be_bytes(interval).into();
                Ok(())
            }
            0xe0..=0xef | COMMENT => Ok(()),
            // A second frame, or restart markers and starts where there are none.
            0xc0..=0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf | 0x01 | 0xd0..=0xda => Err(Refusal::Corrupt),
            // Quantization tables, of which the decoder takes those that there are at the first scan, arithmetic coding,
            // hierarchical pictures, a height that is told later, and extensions.
            _ => Err(Refusal::UnsupportedKind),
        }
    }

    fn read_huffman(&mut self, mut segment: &[u8]) -> Result<(), Refusal> {
        while let Some((&class, listed)) = segment.split_first() {
            let kind = match class >> 4 {
                0 => &mut self.dc,
                1 => &mut self.ac,
                _ => return Err(Refusal::Corrupt),
            };
            let (table, rest) = Table::read(listed)?;
            *kind.get_mut(usize::from(class & 15)).ok_or(Refusal::Corrupt)? = Some(table);
            segment = rest;
        }
        Ok(())
    }

    pub(super) fn read_quantization(&mut self, mut segment: &[u8]) -> Result<(), Refusal> {
        while let Some((&precision, listed)) = segment.split_first() {
            let bytes = match precision >> 4 {
                0 => 1,
                1 => 2,
                _ => return Err(Refusal::Corrupt),
            };
            let (listed, rest) = listed.split_at_checked(64 * bytes).ok_or(Refusal::Corrupt)?;
            let mut divisors = [0; 64];
            for (divisor, bytes) in divisors.iter_mut().zip(listed.chunks_exact(bytes)) {
                *divisor = bytes.iter().fold(0, |high, &low| high << 8 | u16::from(low));
            }
            if divisors.contains(&0) {
                return Err(Refusal::Corrupt);
            }
            *self.quantization.get_mut(usize::from(precision & 15)).ok_or(Refusal::Corrupt)? = Some(divisors);
            segment = rest;
        }
        Ok(())
    }
}
