//! Text in HTML.

use std::fmt::{self, Display, Write};

use shared::shown::Shown;

/// Text as HTML shows it, in elements and in quoted attributes: what means something there is escaped, what cannot be seen is
/// spelt out, and a number and its unit stay in one line.
pub(crate) struct Text<T>(pub(crate) T);

impl<T: Display> Display for Text<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Escaping(f).write_str(&language::unbroken(&Shown(&self.0).to_string()))
    }
}

/// Text that a field has and sends back: the same without what is only for reading.
pub(crate) struct Field<T>(pub(crate) T);

impl<T: Display> Display for Field<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(Escaping(f), "{}", Shown(&self.0))
    }
}

struct Escaping<'a, 'f>(&'a mut fmt::Formatter<'f>);

impl Write for Escaping<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            match c {
                '&' => self.0.write_str("&amp;")?,
                '<' => self.0.write_str("&lt;")?,
                '>' => self.0.write_str("&gt;")?,
                '"' => self.0.write_str("&quot;")?,
                '\'' => self.0.write_str("&#39;")?,
                c => self.0.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// Text as a value in a query.
pub(crate) struct Query<T>(pub(crate) T);

impl<T: AsRef<str>> Display for Query<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0.as_ref().bytes() {
            if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_') {
                f.write_char(char::from(byte))?;
            } else {
                write!(f, "%{byte:02X}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_from_outside_becomes_markup() {
        let evil = "<script>alert('x')</script>\" onload=\"&\u{202e}\n";
        let text = Text(evil).to_string();
        assert_eq!(text, "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&quot; onload=&quot;&amp;\\u{202e}\\u{a}");
        assert_eq!(Text("From 8 %: REFER").to_string(), "From 8\u{a0}%: REFER");
        assert_eq!(Field("bed 8 h \"").to_string(), "bed 8 h &quot;");
        assert_eq!(Query("a b&c=\"é").to_string(), "a%20b%26c%3D%22%C3%A9");
    }
}
