//! The directories of a TIFF file: what is said of a page, in fields of a tag and numbers (section 2).

use shared::verdict::Refusal;

/// Most directories behind the first one. Programs write one or two small copies of a picture.
const MAX_OTHERS: usize = 16;

/// The kind of a page, in bits: the first says that it is a small copy of another one.
const NEW_SUBFILE_TYPE: u16 = 254;

/// One directory.
pub(super) struct Directory<'a> {
    pub(super) file: &'a [u8],
    pub(super) big_endian: bool,
    entries: &'a [[u8; 12]],
    /// Where the next one is; 0 if there is none.
    next: u32,
}

impl<'a> Directory<'a> {
    /// The one that the header points to.
    pub(super) fn first(file: &'a [u8]) -> Result<Self, Refusal> {
        let (&[order, _, one, other], rest) = file.split_first_chunk().ok_or(Refusal::Corrupt)?;
        // Offsets of 64 bits are for files of more than 4 GiB.
        if [one, other].contains(&43) {
            return Err(Refusal::UnsupportedKind);
        }
        let big_endian = order == b'M';
        let &offset = rest.first_chunk().ok_or(Refusal::Corrupt)?;
        let directory = Self::read(file, big_endian, u32_of(offset, big_endian))?;
        // The first page is a small copy: cameras' raw files begin with one.
        if directory.is_copy()? { Err(Refusal::UnsupportedKind) } else { Ok(directory) }
    }

    fn read(file: &'a [u8], big_endian: bool, offset: u32) -> Result<Self, Refusal> {
        let bytes = file.get(offset as usize..).ok_or(Refusal::Corrupt)?;
        let (&count, bytes) = bytes.split_first_chunk().ok_or(Refusal::Corrupt)?;
        let count = usize::from(u16_of(count, big_endian));
        let (entries, behind) = bytes.split_at_checked(12 * count).ok_or(Refusal::Corrupt)?;
        let &next = behind.first_chunk().ok_or(Refusal::Corrupt)?;
        let directory = Self { file, big_endian, entries: entries.as_chunks().0, next: u32_of(next, big_endian) };
        let mut tags: Vec<u16> = directory.entries.iter().map(|entry| directory.tag(entry)).collect();
        tags.sort_unstable();
        // Of a field that is there twice nobody knows which one counts.
        if tags.is_empty() || tags.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(Refusal::Corrupt);
        }
        Ok(directory)
    }

    /// Refused as several pages unless each of the other directories is of a small copy.
    pub(super) fn check_others(&self) -> Result<(), Refusal> {
        let mut next = self.next;
        for _ in 0..MAX_OTHERS {
            if next == 0 {
                return Ok(());
            }
            let other = Self::read(self.file, self.big_endian, next)?;
            if !other.is_copy()? {
                break;
            }
            next = other.next;
        }
        Err(Refusal::Animated)
    }

    fn is_copy(&self) -> Result<bool, Refusal> {
        Ok(self.number(NEW_SUBFILE_TYPE)?.unwrap_or(0) & 1 == 1)
    }

    fn tag(&self, &[one, other, ..]: &[u8; 12]) -> u16 {
        u16_of([one, other], self.big_endian)
    }

    /// The one number of a field.
    pub(super) fn number(&self, tag: u16) -> Result<Option<u32>, Refusal> {
        match self.numbers(tag, 1)?.as_deref() {
            None => Ok(None),
            Some(&[number]) => Ok(Some(number)),
            Some(_) => Err(Refusal::Corrupt),
        }
    }

    /// The numbers of a field, of which there may be so many.
    pub(super) fn numbers(&self, tag: u16, most: usize) -> Result<Option<Vec<u32>>, Refusal> {
        let Some(entry) = self.entries.iter().find(|entry| self.tag(entry) == tag) else { return Ok(None) };
        let &[_, _, t0, t1, c0, c1, c2, c3, value @ ..] = entry;
        let size = match u16_of([t0, t1], self.big_endian) {
            // Bytes, short and long ones.
            1 => 1,
            3 => 2,
            4 => 4,
            _ => return Err(Refusal::Corrupt),
        };
        let count = u32_of([c0, c1, c2, c3], self.big_endian) as usize;
        if count > most {
            return Err(Refusal::Corrupt);
        }
        // What fits stands in the entry itself.
        let bytes = if count * size <= value.len() {
            &value[..count * size]
        } else {
            let start = u32_of(value, self.big_endian) as usize;
            self.file.get(start..).and_then(|bytes| bytes.get(..count * size)).ok_or(Refusal::Corrupt)?
        };
        Ok(Some(match size {
            1 => bytes.iter().map(|&byte| byte.into()).collect(),
            2 => bytes.as_chunks().0.iter().map(|&short| u16_of(short, self.big_endian).into()).collect(),
            _ => bytes.as_chunks().0.iter().map(|&long| u32_of(long, self.big_endian)).collect(),
        }))
    }
}

fn u16_of(bytes: [u8; 2], big_endian: bool) -> u16 {
    if big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) }
}

fn u32_of(bytes: [u8; 4], big_endian: bool) -> u32 {
    if big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
}
