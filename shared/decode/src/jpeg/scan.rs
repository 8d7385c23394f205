//! A walk over the entropy-coded data of a scan (T.81, annexes F and G): whether they hold each block of the picture, and
//! nothing else. The values are not decoded, with the exception of the mean of each block, and of pictures that are decoded here.

use image::GrayImage;
use shared::verdict::Refusal;

use super::{
    bits::Bits,
    coefficients::Coefficients,
    frame::Frame,
    huffman::{MAX_AC_SIZE, Steps, Table},
    reduced::{Block, Reduced},
    segments::{self, FIRST_RESTART},
    tables::Tables,
};

/// The header of a scan (B.2.3).
#[derive(Clone)]
pub(super) struct Scan {
    /// Place in the frame, and destinations of the DC and the AC table.
    components: Vec<(usize, usize, usize)>,
    /// First and last coefficient in zigzag order.
    band: [u8; 2],
    /// Lowest bit that came before, and comes now. 0 before means that there was none.
    bit: [u8; 2],
}

impl Scan {
    /// Up to this length, in bytes, data are passed over code by code.
    const WORTH_A_TABLE: usize = 32 * 1024;

    pub(super) fn read(segment: &[u8], frame: &Frame) -> Result<Self, Refusal> {
        let (&count, rest) = segment.split_first().ok_or(Refusal::Corrupt)?;
        let (listed, parameters) = rest.split_at_checked(2 * usize::from(count)).ok_or(Refusal::Corrupt)?;
        let &[first, last, bits] = parameters else { return Err(Refusal::Corrupt) };
        let mut components: Vec<(usize, usize, usize)> = Vec::with_capacity(4);
        for &[id, tables] in listed.as_chunks().0 {
            let place = frame.components.iter().position(|component| component.id == id).ok_or(Refusal::Corrupt)?;
            if components.iter().any(|&(other, ..)| other == place) || tables >> 4 > 3 || tables & 15 > 3 {
                return Err(Refusal::Corrupt);
            }
            components.push((place, usize::from(tables >> 4), usize::from(tables & 15)));
        }
        let sound = match (first, last) {
            // Means and other coefficients come apart; only means of several components together.
            (0, 0) => true,
            (1..=63, 1..=63) => first <= last && components.len() == 1,
            _ => false,
        };
        if components.is_empty() || frame.progressive && !sound {
            return Err(Refusal::Corrupt);
        }
        Ok(Self { components, band: [first, last], bit: [bits >> 4, bits & 15] })
    }

    /// Whether all components of the picture are in this scan.
    pub(super) fn is_complete(&self, frame: &Frame) -> bool {
        self.components.len() == frame.components.len()
    }

    /// MCUs in the scan, and blocks in each one.
    fn extent(&self, frame: &Frame) -> (u32, u32) {
        if let [(place, ..)] = self.components[..] {
            let [columns, rows] = frame.components[place].blocks;
            return (columns * rows, 1);
        }
        let blocks =
            self.components.iter().map(|&(place, ..)| frame.components[place].sampling.iter().product::<u32>());
        (frame.units.iter().product(), blocks.sum())
    }

    /// Blocks in the scan: what decoding it takes at least.
    pub(super) fn blocks(&self, frame: &Frame) -> u64 {
        let (units, blocks) = self.extent(frame);
        u64::from(units) * u64::from(blocks)
    }

    /// Walks over the data of a scan of a sequential picture, and gives what follows them.
    pub(super) fn walk<'a>(&self, frame: &Frame, tables: &Tables, data: &'a [u8]) -> Result<&'a [u8], Refusal> {
        let mut steps = [const { None }; 4];
        for &(.., ac) in &self.components {
            let table = tables.ac[ac].as_ref().ok_or(Refusal::Corrupt)?;
            steps[ac].get_or_insert_with(|| (table, Steps::new(table, data.len() > Self::WORTH_A_TABLE)));
        }
        let means = self.means(frame, tables)?.into_iter().zip(&self.components);
        let mut planes: Vec<_> = means.filter_map(|(mean, &(.., ac))| Some((mean, steps[ac].as_ref()?))).collect();
        let (units, _) = self.extent(frame);
        self.intervals(units, tables, data, |bits, range| {
            planes.iter_mut().for_each(|(mean, ..)| mean.restart());
            for _ in range {
                for (mean, (table, steps)) in &mut planes {
                    for _ in 0..mean.blocks {
                        mean.walk(bits)?;
                        steps.skip_block(table, bits)?;
                    }
                }
            }
            Ok(())
        })
    }

    /// Reads the data of the scan of a sequential picture of one component, and gives what follows them.
    pub(super) fn reduce<'a>(
        &self,
        frame: &Frame,
        tables: &Tables,
        scale: u16,
        data: &'a [u8],
    ) -> Result<(GrayImage, &'a [u8]), Refusal> {
        let (&[(place, _, ac)], [mean]) = (&self.components[..], &mut self.means(frame, tables)?[..]) else {
            return Err(Refusal::Corrupt);
        };
        let divisors = tables.quantization[usize::from(frame.components[place].quantization)].as_ref();
        let coefficients = Coefficients::new(tables.ac[ac].as_ref().ok_or(Refusal::Corrupt)?);
        let mut reduced = Reduced::new(frame, divisors.ok_or(Refusal::Corrupt)?, scale);
        let mut block = Block::new();
        let (units, _) = self.extent(frame);
        let rest = self.intervals(units, tables, data, |bits, range| {
            mean.restart();
            for _ in range {
                mean.walk(bits)?;
                block.clear();
                block.put(0, mean.value as i16);
                let end = coefficients.read(bits, |place, value| block.put(place, value))?;
                reduced.push(&block, end);
            }
            Ok(())
        })?;
        Ok((reduced.image()?, rest))
    }

    /// Walks over the data of a scan of a progressive picture, and gives what follows them.
    pub(super) fn walk_progressive<'a>(
        &self,
        frame: &Frame,
        tables: &Tables,
        progress: &mut Progress,
        data: &'a [u8],
    ) -> Result<&'a [u8], Refusal> {
        for &(place, ..) in &self.components {
            progress.0[place].advance(self.band, self.bit)?;
        }
        let (units, blocks) = self.extent(frame);
        if self.band[0] > 0 {
            let (place, _, ac) = self.components[0];
            let table = tables.ac[ac].as_ref().ok_or(Refusal::Corrupt)?;
            let plane = &mut progress.0[place];
            plane.filled.resize(units as usize, 0);
            let mut band = Band { table, first: self.band[0].into(), last: self.band[1].into(), ended: 0 };
            return self.intervals(units, tables, data, |bits, range| {
                for filled in &mut plane.filled[range.start as usize..range.end as usize] {
                    if self.bit[0] == 0 { band.walk(bits, filled) } else { band.refine(bits, filled) }?;
                }
                if band.ended == 0 { Ok(()) } else { Err(Refusal::Corrupt) }
            });
        }
        if self.bit[0] > 0 {
            return self.intervals(units, tables, data, |bits, range| bits.skip_many(range.len() as u32 * blocks));
        }
        let mut means = self.means(frame, tables)?;
        self.intervals(units, tables, data, |bits, range| {
            means.iter_mut().for_each(Mean::restart);
            for _ in range {
                for mean in &mut means {
                    for _ in 0..mean.blocks {
                        mean.walk(bits)?;
                    }
                }
            }
            Ok(())
        })
    }

    /// Has each restart interval walked over by `walk`, which is told the numbers of its MCUs.
    fn intervals<'a>(
        &self,
        units: u32,
        tables: &Tables,
        mut data: &'a [u8],
        mut walk: impl FnMut(&mut Bits<'a>, std::ops::Range<u32>) -> Result<(), Refusal>,
    ) -> Result<&'a [u8], Refusal> {
        let length = if tables.restart_interval == 0 { units } else { tables.restart_interval };
        let mut start = 0;
        for restart in (0..8).cycle() {
            let end = units.min(start + length);
            let mut bits = Bits::new(data);
            walk(&mut bits, start..end)?;
            data = bits.end()?;
            if end == units {
                break;
            }
            let (marker, rest) = segments::marker(data)?;
            if marker != FIRST_RESTART + restart {
                return Err(Refusal::Corrupt);
            }
            (start, data) = (end, rest);
        }
        Ok(data)
    }

    fn means<'t>(&self, frame: &Frame, tables: &'t Tables) -> Result<Vec<Mean<'t>>, Refusal> {
        let alone = self.components.len() == 1;
        let mean = |&(place, dc, _): &(usize, usize, usize)| {
            let component = &frame.components[place];
            let divisors = tables.quantization[usize::from(component.quantization)].as_ref().ok_or(Refusal::Corrupt)?;
            Ok(Mean {
                table: tables.dc[dc].as_ref().ok_or(Refusal::Corrupt)?,
                blocks: if alone { 1 } else { component.sampling.iter().product() },
                // Progressive pictures may begin with higher bits.
                scale: i32::from(divisors[0]) << if frame.progressive { self.bit[1] } else { 0 },
                value: 0,
            })
        };
        self.components.iter().map(mean).collect()
    }
}

/// The means (DC coefficients) of a component.
struct Mean<'t> {
    table: &'t Table,
    /// Blocks in an MCU.
    blocks: u32,
    /// What a step of the value is in grey values, times eight.
    scale: i32,
    /// That of the block before, or 0.
    value: i32,
}

impl Mean<'_> {
    /// Eight times the farthest that the mean of 64 grey values lies from their middle, and 2 grey values: encoders compute
    /// inexactly.
    const FARTHEST: i32 = 8 * (128 + 2);

    fn restart(&mut self) {
        self.value = 0;
    }

    /// Each mean is told by its difference from the one before, so that after a damage all others are wrong by as much. The
    /// range that they leave then shows it in many a case in which the number of blocks does not.
    #[inline(always)]
    fn walk(&mut self, bits: &mut Bits<'_>) -> Result<(), Refusal> {
        self.value += self.table.difference(bits)?;
        bits.check()?;
        // They round, too, and some then choose a neighbour of the right value.
        let least = (self.value.abs() - 2).saturating_mul(self.scale);
        if least > Self::FARTHEST { Err(Refusal::Corrupt) } else { Ok(()) }
    }
}

/// Some of the coefficients of a component of a progressive picture.
struct Band<'t> {
    table: &'t Table,
    first: u32,
    last: u32,
    /// Following blocks in which this scan has no further coefficient.
    ended: u32,
}

impl Band<'_> {
    /// Walks over the first bits of a block; `filled` has a bit for each coefficient that is not zero.
    fn walk(&mut self, bits: &mut Bits<'_>, filled: &mut u64) -> Result<(), Refusal> {
        if self.ended > 0 {
            self.ended -= 1;
            return Ok(());
        }
        let mut place = self.first;
        while place <= self.last {
            bits.fill();
            let symbol = self.table.symbol(bits)?;
            let (run, size) = (u32::from(symbol >> 4), u32::from(symbol & 15));
            match (run, size) {
                (15, 0) => place += 16,
                (_, 0) => {
                    self.ended = (1 << run) - 1 + bits.take(run);
                    return bits.check();
                }
                _ => {
                    place += run;
                    if place > self.last || size > MAX_AC_SIZE.into() {
                        return Err(Refusal::Corrupt);
                    }
                    bits.skip(size);
                    *filled |= 1 << place;
                    place += 1;
                }
            }
        }
        if place == self.last + 1 { bits.check() } else { Err(Refusal::Corrupt) }
    }

    /// Walks over one more bit of each coefficient of a block (G.1.2.3): one for each that is not zero, between the codes for
    /// those that no longer are.
    fn refine(&mut self, bits: &mut Bits<'_>, filled: &mut u64) -> Result<(), Refusal> {
        let before = *filled;
        let mut place = self.first;
        while self.ended == 0 && place <= self.last {
            bits.fill();
            let symbol = self.table.symbol(bits)?;
            let (mut run, size) = (u32::from(symbol >> 4), u32::from(symbol & 15));
            match (run, size) {
                (0..=14, 0) => {
                    self.ended = (1 << run) + bits.take(run);
                    break;
                }
                (_, 0) => {}
                (_, 1) => bits.skip(1),
                _ => return Err(Refusal::Corrupt),
            }
            let mut corrections = 0;
            loop {
                if place > self.last {
                    return Err(Refusal::Corrupt);
                }
                if before >> place & 1 == 1 {
                    corrections += 1;
                } else if run == 0 {
                    break;
                } else {
                    run -= 1;
                }
                place += 1;
            }
            bits.skip_many(corrections)?;
            *filled |= u64::from(size) << place;
            place += 1;
        }
        if self.ended > 0 {
            self.ended -= 1;
            let rest = before >> place << place;
            bits.skip_many((rest << (63 - self.last)).count_ones())?;
        }
        bits.check()
    }
}

/// How far the components of a progressive picture are.
pub(super) struct Progress(Vec<Plane>);

struct Plane {
    /// For each coefficient the lowest bit that there is so far.
    reached: [Option<u8>; 64],
    /// For each block a bit for each coefficient that is not zero.
    filled: Vec<u64>,
}

impl Progress {
    pub(super) fn new(frame: &Frame) -> Self {
        Self(frame.components.iter().map(|_| Plane { reached: [None; 64], filled: Vec::new() }).collect())
    }

    /// Whether each bit of each coefficient has come.
    pub(super) fn is_complete(&self) -> bool {
        self.0.iter().all(|plane| plane.reached.iter().all(|&lowest| lowest == Some(0)))
    }
}

impl Plane {
    /// Refused unless each bit of the band follows the one above.
    fn advance(&mut self, [first, last]: [u8; 2], [before, now]: [u8; 2]) -> Result<(), Refusal> {
        let wanted = if before == 0 { None } else { Some(before) };
        if now > 13 || before > 0 && before != now + 1 {
            return Err(Refusal::Corrupt);
        }
        for lowest in &mut self.reached[usize::from(first)..=usize::from(last)] {
            if *lowest != wanted {
                return Err(Refusal::Corrupt);
            }
            *lowest = Some(now);
        }
        Ok(())
    }
}
