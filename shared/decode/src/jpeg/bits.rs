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
    /// Below 0 if more have been passed over than there were. Then nothing is left but zeros.
    count: i32,
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
            // Never with a `count` below 0: that happens at a marker or at the end alone.
            Some(&next) if !holds_ff(u64::from_be_bytes(next)) => {
                self.word |= u64::from_be_bytes(next).wrapping_shr(self.count as u32);
                // The mask tells the compiler that there are as many.
                let bytes = ((63 ^ self.count) as usize / 8) & 7;
                self.data = &self.data[bytes..];
                self.count |= 56;
            }
            // By value, so that bits that nobody borrows can stay in registers.
            _ => *self = self.clone().filled_by_bytes(),
        }
    }

    #[cold]
    fn filled_by_bytes(mut self) -> Self {
        // Never all 64, so that no shift by what is missing is one by 64.
        while self.count < 56 {
            let byte = match self.data {
                // A zero is stuffed behind each such byte; without it, a marker begins.
                [0xff, 0x00, rest @ ..] => {
                    self.data = rest;
                    0xff
                }
                [0xff, ..] | [] => return self,
                [byte, rest @ ..] => {
                    self.data = rest;
                    *byte
                }
            };
            self.word |= u64::from(byte) << (56 - self.count);
            self.count += 8;
        }
        self
    }

    /// The next `n` bits, 1 to 16, without taking them; what lies behind the last one is undefined.
    #[inline]
    pub(super) fn peek(&self, n: u32) -> usize {
        (self.word >> (64 - n)) as usize
    }

    /// Passes over `n` bits, at most [`ENOUGH`] since the last [`Bits::fill`]. Whether there were so many, [`Bits::check`] says:
    /// asking after each code would take as long as reading it.
    #[inline]
    pub(super) fn skip(&mut self, n: u32) {
        self.word = self.word.wrapping_shl(n);
        self.count = self.count.wrapping_sub(n as i32);
    }

    /// Takes `n` bits, 0 to 15, as a number. Whether there were so many, [`Bits::check`] says.
    #[inline]
    pub(super) fn take(&mut self, n: u32) -> u32 {
        // In two steps, as a shift by 64 is none.
        let value = (self.word >> 1).wrapping_shr(63 ^ n) as u32;
        self.skip(n);
        value
    }

    /// Takes the value of `n` bits behind a code, 0 to 15: the lower half of them is negative (figure F.12). Whether there were so
    /// many, [`Bits::check`] says.
    #[inline]
    pub(super) fn take_signed(&mut self, n: u32) -> i32 {
        // Ones where the first bit is 0: the inverted bits then say how far below 0 the value is.
        let negative = !(self.word as i64 >> 63);
        let size = ((self.word ^ negative as u64) >> 1).wrapping_shr(63 ^ n) as i32;
        self.skip(n);
        (size ^ negative as i32).wrapping_sub(negative as i32)
    }

    /// Refused if more bits have been passed over than there were.
    #[inline]
    pub(super) fn check(&self) -> Result<(), Refusal> {
        if self.count < 0 { Err(Refusal::Corrupt) } else { Ok(()) }
    }

    /// Passes over any number of bits.
    pub(super) fn skip_many(&mut self, mut n: u32) -> Result<(), Refusal> {
        while n > 0 {
            self.fill();
            let step = n.min(ENOUGH);
            self.skip(step);
            self.check()?;
            n -= step;
        }
        Ok(())
    }

    /// What follows the entropy-coded data, from a marker on. Refused unless nothing is left of them but the bits that fill
    /// the last byte: ones by the standard; some encoders write zeros.
    pub(super) fn end(mut self) -> Result<&'a [u8], Refusal> {
        self.fill();
        let count = self.count;
        if !(0..8).contains(&count) || self.data.first() != Some(&0xff) {
            return Err(Refusal::Corrupt);
        }
        let padding = self.take(count as u32);
        if padding == 0 || padding == (1 << count) - 1 { Ok(self.data) } else { Err(Refusal::Corrupt) }
    }
}

/// Whether one of the eight bytes is 0xff.
fn holds_ff(word: u64) -> bool {
    const ONES: u64 = u64::MAX / 255;
    let inverted = !word;
    inverted.wrapping_sub(ONES) & !inverted & (ONES << 7) != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lower_half_of_the_bits_behind_a_code_is_negative() {
        for size in 0..=15 {
            for value in 0..1_i32 << size {
                // Behind three other bits, and in front of ones.
                let word = (value << (29 - size)) as u32 | ((1 << (29 - size)) - 1);
                let bytes = word.to_be_bytes().map(|byte| [byte, 0]);
                let stuffed = bytes.iter().flat_map(|pair| if pair[0] == 0xff { &pair[..] } else { &pair[..1] });
                let data: Vec<u8> = stuffed.copied().chain([0xff, 0xd9]).collect();
                let mut bits = Bits::new(&data);
                bits.fill();
                bits.skip(3);
                let expected = if 2 * value < 1 << size { value - (1 << size) + 1 } else { value };
                assert_eq!(bits.take_signed(size), expected, "{size} bits: {value}");
                assert_eq!(bits.check(), Ok(()));
            }
        }
    }

    #[test]
    fn more_bits_than_there_are_are_refused_at_once_and_later() {
        for data in [&[0x12, 0x34, 0xff, 0xd9][..], &[0x12, 0x34, 0xff, 0x00, 0xff, 0xd9], &[0x12, 0x34], &[]] {
            let all = 8 * data.iter().take_while(|&&byte| byte != 0xff).count() as u32 + 8 * u32::from(data.len() == 6);
            for more in 1..=16 {
                let mut bits = Bits::new(data);
                bits.fill();
                bits.skip(all);
                assert_eq!(bits.check(), Ok(()));
                bits.skip(more);
                assert_eq!(bits.check(), Err(Refusal::Corrupt));
                bits.fill();
                assert_eq!((bits.check(), bits.peek(16)), (Err(Refusal::Corrupt), 0));
                assert_eq!(bits.end(), Err(Refusal::Corrupt));
            }
        }
    }
}
