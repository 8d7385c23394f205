//! The bits of entropy-coded data (T.81, F.1.2.3), up to the next marker.

use shared::verdict::Refusal;

/// Most bits that may be asked for after one [`Bits::fill`].
const ENOUGH: u32 = 56;

/// Reads bits from the highest of each byte on, and never past a marker.
#[derive(Clone)]
pub(super) struct Bits<'a> {
    /// Bytes that are not in `word` yet.
    data: &'a [u8],
    /// The next bits, the first one highest. Below the first `count` there may be some that are read again from `data`.
    word: u64,
    count: u32,
}

impl<'a> Bits<'a> {
    pub(super) fn new(data: &'a [u8]) -> Self {
        Self { data, word: 0, count: 0 }
    }

    /// Makes [`ENOUGH`] bits available, or all that there are before the next marker.
    #[inline]
    pub(super) fn fill(&mut self) {
        // Always, as whether it is necessary is not predictable.
        match self.data.first_chunk() {
            Some(&next) if !holds_ff(u64::from_be_bytes(next)) => {
                self.word |= u64::from_be_bytes(next) >> self.count;
                let bytes = (63 - self.count) / 8;
                self.data = &self.data[bytes as usize..];
                self.count |= 56;
            }
            _ => self.fill_by_bytes(),
        }
    }

    fn fill_by_bytes(&mut self) {
        // Never all 64, so that no shift by what is missing is one by 64.
        while self.count < 56 {
            let byte = match self.data {
                // A zero is stuffed behind each such byte; without it, a marker begins.
                [0xff, 0x00, rest @ ..] => {
                    self.data = rest;
                    0xff
                }
                [0xff, ..] | [] => return,
                [byte, rest @ ..] => {
                    self.data = rest;
                    *byte
                }
            };
            self.word |= u64::from(byte) << (56 - self.count);
            self.count += 8;
        }
    }

    /// The next `n` bits, 1 to 16, without taking them; what lies behind the last one is undefined.
    #[inline]
    pub(super) fn peek(&self, n: u32) -> usize {
        (self.word >> (64 - n)) as usize
    }

    /// Passes over `n` bits, at most [`ENOUGH`] since the last [`Bits::fill`]. Refused if there are fewer.
    #[inline]
    pub(super) fn skip(&mut self, n: u32) -> Result<(), Refusal> {
        if n > self.count {
            return Err(Refusal::Corrupt);
        }
        self.word <<= n;
        self.count -= n;
        Ok(())
    }

    /// Takes `n` bits, 0 to 15, as a number.
    #[inline]
    pub(super) fn take(&mut self, n: u32) -> Result<u32, Refusal> {
        // In two steps, as a shift by 64 is none.
        let value = (self.word >> 1 >> (63 - n)) as u32;
        self.skip(n)?;
        Ok(value)
    }

    /// Passes over any number of bits.
    pub(super) fn skip_many(&mut self, mut n: u32) -> Result<(), Refusal> {
        while n > 0 {
            self.fill();
            let step = n.min(ENOUGH);
            self.skip(step)?;
            n -= step;
        }
        Ok(())
    }

    /// What follows the entropy-coded data, from a marker on. Refused unless nothing is left of them but the bits that fill
    /// the last byte: ones by the standard; some encoders write zeros.
    pub(super) fn end(mut self) -> Result<&'a [u8], Refusal> {
        self.fill();
        let count = self.count;
        if count >= 8 || self.data.first() != Some(&0xff) {
            return Err(Refusal::Corrupt);
        }
        let padding = self.take(count)?;
        if padding == 0 || padding == (1 << count) - 1 { Ok(self.data) } else { Err(Refusal::Corrupt) }
    }
}

/// Whether one of the eight bytes is 0xff.
fn holds_ff(word: u64) -> bool {
    const ONES: u64 = u64::MAX / 255;
    let inverted = !word;
    inverted.wrapping_sub(ONES) & !inverted & (ONES << 7) != 0
}
