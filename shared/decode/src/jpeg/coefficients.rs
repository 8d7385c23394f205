//! The AC coefficients of sequential blocks, with their values: two codes in a step wherever they are short enough.
//!
//! What is refused is what [`Steps`](super::huffman::Steps) refuses, which passes over the same codes.

use shared::verdict::Refusal;

use super::{
    bits::Bits,
    huffman::{END_OF_BLOCK, LOOKUP, MAX_AC_SIZE, Table, ZEROS},
};

/// Bits that are looked up at once: codes and the values behind them.
const WINDOW: u32 = 11;

/// Windows that may be passed over after one [`Bits::fill`].
const AT_ONCE: usize = 5;

/// What the code that ends a block passes over: more than any others together.
const END: u8 = 128;

/// A table of codes and the values that follow them.
pub(super) struct Coefficients<'t> {
    table: &'t Table,
    steps: Box<[Step; 1 << WINDOW]>,
}

/// The one or two codes at the head of a window that are in it with their values.
#[derive(Clone, Copy)]
struct Step {
    /// 0 for codes without a value, and for a second code that is not there.
    values: [i16; 2],
    /// Coefficients that the first code passes over before its own.
    first: u8,
    /// Coefficients that all codes pass over, their own among them.
    advance: u8,
    /// Bits of all codes and values.
    length: u8,
    /// The last place at which all of them are of one block; 0 if there is no code.
    last: u8,
}

impl Step {
    fn new(table: &Table, window: usize) -> Self {
        let mut step = Self { values: [0; 2], first: 0, advance: 0, length: 0, last: 0 };
        for number in 0..2 {
            let rest = window << step.length & ((1 << WINDOW) - 1);
            let (bits, symbol) = table.short(rest >> (WINDOW - LOOKUP));
            let (run, size) = (symbol >> 4, symbol & 15);
            let length = step.length + bits + size;
            if bits == 0 || u32::from(length) > WINDOW {
                break;
            }
            let passed = match symbol {
                END_OF_BLOCK => END,
                ZEROS => 16,
                _ if size == 0 || size > MAX_AC_SIZE => break,
                _ => run + 1,
            };
            // The lower half of the bits behind a code is negative (figure F.12).
            let value = (window >> (WINDOW - u32::from(length)) & ((1 << size) - 1)) as i16;
            step.values[number] = if 2 * value < 1 << size { value - (1 << size) + 1 } else { value };
            if number == 0 {
                step.first = passed - 1;
            }
            // What ends a block may not stand behind its last coefficient.
            step.last = if passed == END { 63 - step.advance } else { 64 - step.advance - passed };
            step.advance += passed;
            step.length = length;
            if passed == END {
                break;
            }
        }
        step
    }
}

impl<'t> Coefficients<'t> {
    pub(super) fn new(table: &'t Table) -> Self {
        let steps = (0..1 << WINDOW).map(|window| Step::new(table, window)).collect::<Vec<_>>();
        Self { table, steps: steps.try_into().unwrap_or_else(|_| unreachable!("one for each window")) }
    }

    /// Reads the 63 AC coefficients of a block, and has `put` told the place, in zigzag order, and the value of each one that
    /// is not zero; of some that are, as well, and of places from 64 on, which are none. Gives the place behind the last one.
    #[inline]
    pub(super) fn read(&self, from: &mut Bits<'_>, mut put: impl FnMut(u8, i16)) -> Result<u8, Refusal> {
        // A copy that nobody borrows can stay in registers.
        let mut bits = from.clone();
        let mut place = 1_u8;
        while place < 64 {
            bits.fill();
            for _ in 0..AT_ONCE {
                let step = &self.steps[bits.peek(WINDOW)];
                if place > step.last {
                    let value;
                    (bits, place, value) = self.read_one(bits, place)?;
                    put(place.wrapping_sub(1), value);
                    break;
                }
                bits.skip(step.length.into());
                // The second one first: if there is none, its place is that of the first.
                put(place.wrapping_add(step.advance).wrapping_sub(1), step.values[1]);
                put(place.wrapping_add(step.first), step.values[0]);
                place = place.wrapping_add(step.advance);
                if place >= 64 {
                    break;
                }
            }
        }
        *from = bits;
        from.check()?;
        if place == 64 || place >= END { Ok(place % END) } else { Err(Refusal::Corrupt) }
    }

    /// Reads one code, of any length, and its value, and gives the bits and the place behind it.
    #[inline(never)]
    fn read_one<'a>(&self, mut bits: Bits<'a>, place: u8) -> Result<(Bits<'a>, u8, i16), Refusal> {
        bits.fill();
        let symbol = self.table.symbol(&mut bits)?;
        let (run, size) = (symbol >> 4, symbol & 15);
        let behind = match symbol {
            END_OF_BLOCK => END + place,
            ZEROS => place + 16,
            _ if size == 0 || size > MAX_AC_SIZE => return Err(Refusal::Corrupt),
            _ => place + run + 1,
        };
        let value = bits.take_signed(size.into()) as i16;
        Ok((bits, behind, value))
    }
}
