//! Text from outside, made harmless where people read it: on a terminal, in a log, in HTML, in a table.
//!
//! A name in a model's card, in an answer of the box or on a memory card may hold whatever its author likes: escape sequences
//! that rewrite the screen, a line break that forges a second line, marks that turn the direction of writing.

use core::fmt::{self, Write};

/// Text from outside as one line that looks like what it is: control characters, line breaks and marks of the direction of
/// writing become `\u{…}`. All else is as it was.
#[derive(Clone, Copy, Debug)]
pub struct Shown<T>(pub T);

/// The same for a message of this program's own, whose lines and tabs stay.
#[derive(Clone, Copy, Debug)]
pub struct ShownLines<T>(pub T);

/// Whether a character does something else than to be seen.
pub fn is_hidden(c: char) -> bool {
    // U+2028 and U+2029 separate lines and paragraphs; the others are the marks of the direction of writing.
    let marks = matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || marks
}

impl<T: fmt::Display> fmt::Display for Shown<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(Escaping { out: f, hides: is_hidden }, "{}", self.0)
    }
}

impl<T: fmt::Display> fmt::Display for ShownLines<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hides = |c| !matches!(c, '\n' | '\t') && is_hidden(c);
        write!(Escaping { out: f, hides }, "{}", self.0)
    }
}

struct Escaping<'a, 'f> {
    out: &'a mut fmt::Formatter<'f>,
    hides: fn(char) -> bool,
}

impl Write for Escaping<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some((at, c)) = rest.char_indices().find(|&(_, c)| (self.hides)(c)) {
            write!(self.out, "{}{}", &rest[..at], c.escape_unicode())?;
            rest = &rest[at + c.len_utf8()..];
        }
        self.out.write_str(rest)
    }
}

#[cfg(test)]
mod tests {
    use alloc::{format, string::ToString};

    use super::*;

    #[test]
    fn what_does_something_else_than_to_be_seen_is_spelt_out() {
        let evil = "a\u{1b}[31mb\r\nc\u{9b}2Jd\u{202e}gpj\u{2066}\u{200f}\u{7f}\u{2028}";
        let shown = Shown(evil).to_string();
        assert_eq!(shown, "a\\u{1b}[31mb\\u{d}\\u{a}c\\u{9b}2Jd\\u{202e}gpj\\u{2066}\\u{200f}\\u{7f}\\u{2028}");
        assert!(!shown.chars().any(is_hidden));
        assert_eq!(format!("{}", Shown(format_args!("{}|{}", "\u{7}", 1))), "\\u{7}|1");
    }

    #[test]
    fn other_text_stays_as_it_is() {
        for text in ["", "ward-3/Müller 北京 عربي 'x' \\ <b>.png", "=1+1", "🫁"] {
            assert_eq!(Shown(text).to_string(), text);
        }
    }

    #[test]
    fn messages_keep_their_own_lines() {
        assert_eq!(
            ShownLines("no box answers. Tried:\n\t/dev/x\u{1b}c\r").to_string(),
            "no box answers. Tried:\n\t/dev/x\\u{1b}c\\u{d}"
        );
    }
}
