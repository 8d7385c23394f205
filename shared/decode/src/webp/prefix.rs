//! The bits of a lossless picture, and the prefix codes in them.

use shared::verdict::Refusal;

/// Longest code, in bits.
const LONGEST: usize = 15;

/// Bits of a code that are looked up at once: those of most symbols.
const AT_ONCE: u32 = 8;

/// The order in which the lengths of the codes for lengths are written.
const ORDER: [usize; 19] = [17, 18, 0, 1, 2, 3, 4, 5, 16, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

/// Bits, the lowest of each byte first.
pub(super) struct Bits<'a> {
    bytes: &'a [u8],
    buffer: u64,
    /// Bits in the buffer.
    count: u32,
}

impl<'a> Bits<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, buffer: 0, count: 0 }
    }

    /// The next bits, at least 32 unless the data end.
    fn peek(&mut self) -> u64 {
        if self.count <= 32 {
            if let Some((&four, rest)) = self.bytes.split_first_chunk() {
                self.buffer |= u64::from(u32::from_le_bytes(four)) << self.count;
                (self.count, self.bytes) = (self.count + 32, rest);
            }
            while self.count <= 32
                && let Some((&byte, rest)) = self.bytes.split_first()
            {
                self.buffer |= u64::from(byte) << self.count;
                (self.count, self.bytes) = (self.count + 8, rest);
            }
        }
        self.buffer
    }

    /// Takes bits that were looked at.
    fn take(&mut self, count: u32) -> Result<(), Refusal> {
        self.count = self.count.checked_sub(count).ok_or(Refusal::Corrupt)?;
        self.buffer >>= count;
        Ok(())
    }

    /// Up to 24 bits as a number.
    pub(super) fn number(&mut self, count: u32) -> Result<u32, Refusal> {
        let number = self.peek() & ((1 << count) - 1);
        self.take(count)?;
        Ok(number as u32)
    }

    pub(super) fn flag(&mut self) -> Result<bool, Refusal> {
        Ok(self.number(1)? == 1)
    }

    /// Whether nothing follows but the bits that fill a byte, and a few bytes by which some programs fill up a length.
    pub(super) fn at_end(mut self) -> bool {
        self.peek();
        let rest = self.bytes.len() + self.count as usize / 8;
        rest < 8 && self.buffer == 0 && self.bytes.iter().all(|&byte| byte == 0)
    }
}

/// A prefix code.
pub(super) struct Code {
    /// For each value of the next bits, as many as the longest code has, or [`AT_ONCE`]: a symbol and, in the lowest four bits,
    /// the length of its code. 0 for what begins a longer one.
    table: Vec<u16>,
    /// Symbols by code, if there are longer ones.
    symbols: Vec<u16>,
    /// How many symbols have codes of each length.
    counts: [u16; LONGEST + 1],
}

impl Code {
    /// Reads one for so many symbols.
    pub(super) fn read(bits: &mut Bits<'_>, symbols: usize) -> Result<Self, Refusal> {
        let mut lengths = vec![0; symbols];
        if bits.flag()? {
            let two = bits.flag()?;
            let width = if bits.flag()? { 8 } else { 1 };
            *lengths.get_mut(bits.number(width)? as usize).ok_or(Refusal::Corrupt)? = 1;
            if two {
                *lengths.get_mut(bits.number(8)? as usize).ok_or(Refusal::Corrupt)? = 1;
            }
        } else {
            Self::read_lengths(bits, &mut lengths)?;
        }
        Self::new(&lengths)
    }

    /// Reads the lengths of codes, which are coded themselves.
    fn read_lengths(bits: &mut Bits<'_>, lengths: &mut [u8]) -> Result<(), Refusal> {
        let mut of_lengths = [0; ORDER.len()];
        let told = 4 + bits.number(4)? as usize;
        for &place in ORDER.iter().take(told) {
            of_lengths[place] = bits.number(3)? as u8;
        }
        let code = Self::new(&of_lengths)?;
        let mut left = lengths.len();
        if bits.flag()? {
            let width = 2 + 2 * bits.number(3)?;
            left = 2 + bits.number(width)? as usize;
            if left > lengths.len() {
                return Err(Refusal::Corrupt);
            }
        }
        let (mut place, mut before) = (0, 8);
        while place < lengths.len() && left > 0 {
            left -= 1;
            let (length, times) = match code.symbol(bits)? {
                16 => (before, 3 + bits.number(2)?),
                17 => (0, 3 + bits.number(3)?),
                18 => (0, 11 + bits.number(7)?),
                length => {
                    let length = length as u8;
                    if length != 0 {
                        before = length;
                    }
                    (length, 1)
                }
            };
            let end = place + times as usize;
            lengths.get_mut(place..end).ok_or(Refusal::Corrupt)?.fill(length);
            place = end;
        }
        Ok(())
    }

    /// By the length of each symbol's code. Every bits have to begin with one; a single symbol takes none.
    fn new(lengths: &[u8]) -> Result<Self, Refusal> {
        let mut counts = [0_u16; LONGEST + 1];
        for &length in lengths {
            counts[usize::from(length)] += 1;
        }
        counts[0] = 0;
        let longest = counts.iter().rposition(|&count| count > 0).ok_or(Refusal::Corrupt)?;
        if counts.iter().sum::<u16>() == 1 {
            let symbol = lengths.iter().position(|&length| length > 0).unwrap_or_default() as u16;
            return Ok(Self { table: vec![symbol << 4], symbols: Vec::new(), counts: [0; LONGEST + 1] });
        }
        let shares: u32 = (1..=LONGEST).map(|length| u32::from(counts[length]) << (LONGEST - length)).sum();
        if shares != 1 << LONGEST {
            return Err(Refusal::Corrupt);
        }
        // Where the symbols of each length begin, and their first code.
        let (mut places, mut codes) = ([0_u16; LONGEST + 2], [0_u32; LONGEST + 2]);
        for length in 1..=LONGEST {
            places[length + 1] = places[length] + counts[length];
            codes[length + 1] = (codes[length] + u32::from(counts[length])) << 1;
        }
        let at_once = AT_ONCE.min(longest as u32);
        let mut table = vec![0; 1 << at_once];
        let mut symbols = vec![0; if longest as u32 > at_once { usize::from(places[LONGEST + 1]) } else { 0 }];
        for (symbol, &length) in lengths.iter().enumerate().filter(|&(_, &length)| length > 0) {
            let wide = u32::from(length);
            let length = usize::from(length);
            if let Some(place) = symbols.get_mut(usize::from(places[length])) {
                *place = symbol as u16;
            }
            places[length] += 1;
            if wide <= at_once {
                // The first bit of a code is the lowest one of those that follow.
                let start = codes[length].reverse_bits() >> (32 - wide);
                for place in (start as usize..table.len()).step_by(1 << wide) {
                    table[place] = (symbol as u16) << 4 | wide as u16;
                }
            }
            codes[length] += 1;
        }
        Ok(Self { table, symbols, counts })
    }

    /// Bytes that it takes, in a list that grows by doubling.
    pub(super) fn held(&self) -> u64 {
        (3 * size_of::<Self>() + 2 * (self.table.len() + self.symbols.len())) as u64
    }

    /// The symbol that the next bits stand for.
    pub(super) fn symbol(&self, bits: &mut Bits<'_>) -> Result<u16, Refusal> {
        let ahead = bits.peek();
        let found = self.table[ahead as usize & (self.table.len() - 1)];
        if found != 0 || self.symbols.is_empty() {
            bits.take(u32::from(found & 15))?;
            return Ok(found >> 4);
        }
        // Bit by bit: codes of one length are numbers that follow each other, and so are those of the next one.
        let (mut code, mut first, mut place) = (0, 0, 0);
        for length in 1..=LONGEST {
            code |= (ahead >> (length - 1)) as usize & 1;
            let count = usize::from(self.counts[length]);
            if code < first + count {
                bits.take(length as u32)?;
                return self.symbols.get(place + code - first).copied().ok_or(Refusal::Corrupt);
            }
            place += count;
            first = (first + count) << 1;
            code <<= 1;
        }
        Err(Refusal::Corrupt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_read_bit_by_bit_and_at_once() {
        // 0, 10, 110, … and two of 12 bits.
        let lengths = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 12];
        let code = Code::new(&lengths).unwrap();
        for symbol in 0..13_u16 {
            let ones = u32::from(symbol.min(12));
            let bits = ((1_u32 << ones) - 1).to_le_bytes();
            let mut bits = Bits::new(&bits);
            assert_eq!(code.symbol(&mut bits), Ok(symbol));
            assert_eq!(bits.count, 32 - u32::from(lengths[usize::from(symbol)]));
        }
        assert_eq!(code.symbol(&mut Bits::new(&[])), Err(Refusal::Corrupt), "the data end");
    }

    #[test]
    fn one_symbol_takes_no_bits_and_codes_are_complete() {
        let one = Code::new(&[0, 0, 5]).unwrap();
        assert_eq!(one.symbol(&mut Bits::new(&[])), Ok(2));
        for lengths in [&[0, 0][..], &[1, 2], &[1, 1, 1], &[2, 2, 2]] {
            assert!(Code::new(lengths).is_err(), "{lengths:?}");
        }
    }
}
