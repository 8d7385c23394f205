//! The bytes of a strip or tile, in the ways that they are compressed.

use std::borrow::Cow;

use flate2::{Decompress, FlushDecompress, Status};
use shared::verdict::Refusal;
use weezl::{BitOrder, LzwStatus, decode::Configuration};

use crate::packbits;

/// How strips and tiles are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compression {
    None,
    Lzw,
    Deflate,
    PackBits,
}

impl Compression {
    pub(super) fn of(number: u32) -> Result<Self, Refusal> {
        match number {
            1 => Ok(Self::None),
            5 => Ok(Self::Lzw),
            // Adobe's number, and that of before.
            8 | 32_946 => Ok(Self::Deflate),
            32_773 => Ok(Self::PackBits),
            // Fax, JPEG, JPEG 2000, WebP, Zstandard, LZMA and others.
            _ => Err(Refusal::UnsupportedKind),
        }
    }

    /// Unpacks what has so many bytes. Refused if there are fewer, or more but for zeros behind their end.
    pub(super) fn unpack(self, data: &[u8], length: usize) -> Result<Cow<'_, [u8]>, Refusal> {
        match self {
            Self::None => {
                let (bytes, surplus) = data.split_at_checked(length).ok_or(Refusal::Corrupt)?;
                if surplus.iter().all(|&byte| byte == 0) { Ok(bytes.into()) } else { Err(Refusal::Corrupt) }
            }
            Self::PackBits => {
                let mut bytes = vec![0; length];
                packbits::unpack(data, bytes.iter_mut(), |place: &mut u8, byte| *place = byte)?;
                Ok(bytes.into())
            }
            Self::Lzw => {
                let mut decoder = Configuration::with_tiff_size_switch(BitOrder::Msb, 8).build();
                unpack_to_end(data, length, |data, room| {
                    let step = decoder.decode_bytes(data, room);
                    Some((step.consumed_in, step.consumed_out, matches!(step.status.ok()?, LzwStatus::Done)))
                })
            }
            Self::Deflate => {
                let mut inflate = Decompress::new(true);
                unpack_to_end(data, length, |data, room| {
                    let before = (inflate.total_in(), inflate.total_out());
                    let status = inflate.decompress(data, room, FlushDecompress::None).ok()?;
                    let (taken, written) = (inflate.total_in() - before.0, inflate.total_out() - before.1);
                    Some((taken as usize, written as usize, status == Status::StreamEnd))
                })
            }
        }
    }
}

/// Unpacks data that have a mark of their end. A step tells how many bytes it has taken and written, and whether it has come
/// to the end; nothing if it cannot go on.
fn unpack_to_end(
    data: &[u8],
    length: usize,
    mut step: impl FnMut(&[u8], &mut [u8]) -> Option<(usize, usize, bool)>,
) -> Result<Cow<'static, [u8]>, Refusal> {
    let mut bytes = vec![0; length];
    let (mut taken, mut written) = (0, 0);
    loop {
        // When all has come there should be nothing more; whether there is shows where there is room for it.
        let mut beyond = [0];
        let room = if written < length { &mut bytes[written..] } else { &mut beyond[..] };
        let (more_taken, more_written, ended) = step(&data[taken..], room).ok_or(Refusal::Corrupt)?;
        taken += more_taken;
        written += more_written;
        if written > length || more_taken == 0 && more_written == 0 && !ended {
            return Err(Refusal::Corrupt);
        }
        if ended {
            let rest = data[taken..].iter().all(|&byte| byte == 0);
            return if rest && written == length { Ok(bytes.into()) } else { Err(Refusal::Corrupt) };
        }
    }
}
