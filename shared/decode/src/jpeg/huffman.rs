//! Huffman tables (T.81, annex C and F.2.2.3), and a way over data whose values nobody needs.

use shared::verdict::Refusal;

use super::bits::Bits;

/// Codes up to this length, in bits, are looked up at once.
pub(super) const LOOKUP: u32 = 10;

/// The symbol that ends a block.
pub(super) const END_OF_BLOCK: u8 = 0x00;
/// The symbol of sixteen zeros.
pub(super) const ZEROS: u8 = 0xf0;

/// The greatest size, in bits, of an AC coefficient of an image with 8-bit samples, and of a DC difference.
pub(super) const MAX_AC_SIZE: u8 = 10;
const MAX_DC_SIZE: u32 = 11;

/// A table of codes and their symbols.
#[derive(Clone)]
pub(super) struct Table {
    /// For the next [`LOOKUP`] bits the length of their first code, 0 if it is longer, above its symbol.
    lookup: [u16; 1 << LOOKUP],
    /// For each length the end of its codes, which are put at the head of 16 bits.
    ends: [u32; 17],
    /// For each length what leads from a code to its place in `symbols`.
    offsets: [i32; 17],
    symbols: [u8; 256],
}

impl Table {
    /// Reads one table, behind its class and destination, and gives what follows it.
    pub(super) fn read(bytes: &[u8]) -> Result<(Self, &[u8]), Refusal> {
        let (counts, rest) = bytes.split_first_chunk::<16>().ok_or(Refusal::Corrupt)?;
        let total = counts.iter().map(|&n| usize::from(n)).sum();
        let (listed, rest) = rest.split_at_checked(total).ok_or(Refusal::Corrupt)?;
        let mut table = Self { lookup: [0; 1 << LOOKUP], ends: [0; 17], offsets: [0; 17], symbols: [0; 256] };
        table.symbols.get_mut(..total).ok_or(Refusal::Corrupt)?.copy_from_slice(listed);
        let (mut code, mut place) = (0_u32, 0_usize);
        for (length, &count) in (1_u32..).zip(counts) {
            let slot = length as usize;
            table.offsets[slot] = place as i32 - code as i32;
            for _ in 0..count {
                if length <= LOOKUP {
                    let first = (code as usize) << (LOOKUP - length);
                    let codes = table.lookup.get_mut(first..first + (1 << (LOOKUP - length)));
                    codes.ok_or(Refusal::Corrupt)?.fill((length as u16) << 8 | u16::from(table.symbols[place]));
                }
                code += 1;
                place += 1;
            }
            // No code consists of ones alone.
            if code >= 1 << length {
                return Err(Refusal::Corrupt);
            }
            table.ends[slot] = code << (16 - length);
            code <<= 1;
        }
        Ok((table, rest))
    }

    /// The length, in bits, of the code at the head of [`LOOKUP`] bits, and its symbol. The length is 0 if that is longer.
    pub(super) fn short(&self, head: usize) -> (u8, u8) {
        let [length, symbol] = self.lookup[head].to_be_bytes();
        (length, symbol)
    }

    /// The next symbol. Needs filled bits; whether there were so many, [`Bits::check`] says.
    #[inline]
    pub(super) fn symbol(&self, bits: &mut Bits<'_>) -> Result<u8, Refusal> {
        let entry = self.lookup[bits.peek(LOOKUP)];
        if entry != 0 {
            bits.skip(u32::from(entry >> 8));
            return Ok(entry as u8);
        }
        let head = bits.peek(16) as u32;
        // Counted and not searched: which of them it is, no processor can predict.
        let shorter = &self.ends[LOOKUP as usize + 1..16];
        let length = LOOKUP + 1 + shorter.iter().map(|&end| u32::from(head >= end)).sum::<u32>();
        bits.skip(length);
        let place = (head >> (16 - length)) as i32 + self.offsets[length as usize];
        let symbol = usize::try_from(place).ok().and_then(|place| self.symbols.get(place));
        symbol.copied().filter(|_| head < self.ends[16]).ok_or(Refusal::Corrupt)
    }

    /// The next difference of a lossless picture (T.81, H.1.2.2), modulo 65,536.
    #[inline]
    pub(super) fn lossless_difference(&self, bits: &mut Bits<'_>) -> Result<u16, Refusal> {
        bits.fill();
        match u32::from(self.symbol(bits)?) {
            size @ 0..=15 => {
                let difference = bits.take_signed(size) as u16;
                bits.check()?;
                Ok(difference)
            }
            // The one value of this size has no bits.
            16 => bits.check().and(Ok(1 << 15)),
            _ => Err(Refusal::Corrupt),
        }
    }

    /// The next DC difference. Whether there were so many bits, [`Bits::check`] says.
    #[inline]
    pub(super) fn difference(&self, bits: &mut Bits<'_>) -> Result<i32, Refusal> {
        bits.fill();
        let size = u32::from(self.symbol(bits)?);
        if size > MAX_DC_SIZE {
            return Err(Refusal::Corrupt);
        }
        Ok(bits.take_signed(size))
    }
}

/// The AC coefficients of a sequential block, in as few steps as possible: this walk is the only cost of the check that an
/// image is whole, and most blocks are short.
pub(super) struct Steps([Step; 1 << LOOKUP]);

/// Whole codes in the next [`LOOKUP`] bits, with the bits of their coefficients, in one word: it is what takes time.
#[derive(Clone, Copy)]
struct Step(u32);

impl Step {
    fn new(length: u8, advance: u8, end: bool, first_length: u8, first_advance: u8) -> Self {
        let [length, advance, first_length, first_advance] =
            [length, advance, first_length, first_advance].map(u32::from);
        Self(length | u32::from(end) << 6 | advance << 8 | first_length << 16 | first_advance << 24)
    }

    /// Bits of all codes and coefficients.
    fn length(self) -> u32 {
        self.0 & 0x3f
    }

    /// Whether the last code ends the block.
    fn ends(self) -> bool {
        self.0 & 0x40 != 0
    }

    /// Coefficients that all codes pass over.
    fn advance(self) -> u32 {
        self.0 >> 8 & 0xff
    }

    /// Bits of the first code and coefficient; 0 if that code is longer than [`LOOKUP`] or invalid.
    fn first_length(self) -> u32 {
        self.0 >> 16 & 0xff
    }

    /// Coefficients that the first code passes over.
    fn first_advance(self) -> u32 {
        self.0 >> 24
    }
}

impl Steps {
    /// Takes longer than a short file is worth, unless no more than one code is to be passed over in a step.
    pub(super) fn new(table: &Table, several: bool) -> Box<Self> {
        let mut steps = Box::new(Self([Step(0); 1 << LOOKUP]));
        for (window, step) in steps.0.iter_mut().enumerate() {
            let (mut length, mut advance, mut end, mut first) = (0, 0, false, (0, 0));
            while u32::from(length) < LOOKUP && !end && advance < 64 && (several || length == 0) {
                let [bits, symbol] = table.lookup[window << length & ((1 << LOOKUP) - 1)].to_be_bytes();
                if bits == 0 || u32::from(length + bits) > LOOKUP {
                    break;
                }
                let (run, size) = (symbol >> 4, symbol & 15);
                match symbol {
                    END_OF_BLOCK => end = true,
                    ZEROS => advance += 16,
                    _ if size == 0 || size > MAX_AC_SIZE => break,
                    _ => advance += run + 1,
                }
                length += bits + size;
                if first.0 == 0 {
                    first = (length, advance);
                }
            }
            *step = Step::new(length, advance, end, first.0, first.1);
        }
        steps
    }

    /// Passes over the 63 AC coefficients of a block.
    #[inline]
    pub(super) fn skip_block(&self, table: &Table, from: &mut Bits<'_>) -> Result<(), Refusal> {
        // A copy can stay in registers.
        let mut bits = from.clone();
        let mut place = 1_u32;
        while place < 64 {
            bits.fill();
            let step = self.0[bits.peek(LOOKUP)];
            let behind = place + step.advance();
            if step.first_length() == 0 {
                let symbol = table.symbol(&mut bits)?;
                let (run, size) = (u32::from(symbol >> 4), symbol & 15);
                match symbol {
                    END_OF_BLOCK => break,
                    ZEROS => place += 16,
                    _ if size == 0 || size > MAX_AC_SIZE => return Err(Refusal::Corrupt),
                    _ => place += run + 1,
                }
                bits.skip(size.into());
            } else if behind + u32::from(step.ends()) <= 64 {
                bits.skip(step.length());
                place = behind;
                if step.ends() {
                    break;
                }
            } else {
                // What follows the last coefficient belongs to another block.
                bits.skip(step.first_length());
                place += step.first_advance();
            }
        }
        *from = bits;
        if place <= 64 { from.check() } else { Err(Refusal::Corrupt) }
    }
}
