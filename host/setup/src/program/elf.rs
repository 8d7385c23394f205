//! Whether a file can be the first program of the box.

/// The program is not a static one for aarch64; says what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the program of the box is not a static one for aarch64 ({0}): build it with --target aarch64-unknown-linux-gnu"
)]
pub struct NotForTheBox(&'static str);

const AARCH64: [u8; 2] = 183_u16.to_le_bytes();
/// Program header type of a file that another one must load.
const INTERPRETER: u32 = 3;

/// Checks that a program is a static one for aarch64: the card has no libraries. Offsets and numbers are those of the
/// 64-bit ELF format (System V ABI, chapter 4 and 5).
///
/// # Errors
/// [`NotForTheBox`]: it needs what the card does not have, or another processor.
pub fn check(program: &[u8]) -> Result<(), NotForTheBox> {
    let wrong = |reason| Err(NotForTheBox(reason));
    if !program.starts_with(b"\x7fELF\x02\x01") {
        return wrong("it is not a 64-bit ELF file");
    }
    if program.get(18..20) != Some(&AARCH64) {
        return wrong("it is for another processor");
    }
    let number = |at: usize, length: usize| {
        let bytes = program.get(at..at.checked_add(length)?)?;
        Some(bytes.iter().rev().fold(0_usize, |number, &byte| number << 8 | usize::from(byte)))
    };
    let kind = |n: usize| {
        let (table, size) = (number(32, 8)?, number(54, 2)?);
        number(table.checked_add(n * size)?, 4)
    };
    match number(56, 2) {
        None => wrong("it is cut short"),
        Some(headers) if (0..headers).any(|n| kind(n).is_none()) => wrong("it is cut short"),
        Some(headers) if (0..headers).any(|n| kind(n) == Some(INTERPRETER as usize)) => wrong("it needs libraries"),
        Some(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header and a table of program headers of these kinds.
    fn elf(machine: u16, kinds: &[u32]) -> Vec<u8> {
        let mut bytes = b"\x7fELF\x02\x01".to_vec();
        bytes.resize(64, 0);
        bytes[18..20].copy_from_slice(&machine.to_le_bytes());
        bytes[32] = 64;
        bytes[54] = 56;
        bytes[56] = kinds.len() as u8;
        for kind in kinds {
            bytes.extend(kind.to_le_bytes());
            bytes.extend([0; 52]);
        }
        bytes
    }

    #[test]
    fn only_static_programs_for_the_box_are_taken() {
        assert!(check(&elf(183, &[1, 1, 7])).is_ok());
        assert_eq!(check(&elf(62, &[1])), Err(NotForTheBox("it is for another processor")));
        assert_eq!(check(&elf(183, &[1, 3])), Err(NotForTheBox("it needs libraries")));
        assert!(matches!(check(&elf(183, &[1])[..70]), Ok(())), "its headers are there");
        assert_eq!(check(&elf(183, &[1])[..66]), Err(NotForTheBox("it is cut short")));
        assert_eq!(check(b"#!/bin/sh"), Err(NotForTheBox("it is not a 64-bit ELF file")));
        let mut far = elf(183, &[1]);
        far[32..40].fill(0xff);
        assert_eq!(check(&far), Err(NotForTheBox("it is cut short")));
    }
}
