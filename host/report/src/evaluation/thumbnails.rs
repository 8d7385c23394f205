//! Small pictures of radiographs within a document.

use image::{ColorType, ImageFormat};

use crate::plots::{PlotError, escape};

/// A square radiograph, `side * side` grey values in rows, as a picture that needs no file beside it; `words` say what it
/// is to anyone who cannot see it.
pub(super) fn picture(pixels: &[u8], side: u16, words: &str) -> Result<String, PlotError> {
    let length = u32::from(side);
    if pixels.len() != usize::from(side).pow(2) {
        return Err(PlotError::because("a radiograph has another size than the model's input"));
    }
    let mut png = std::io::Cursor::new(Vec::new());
    image::write_buffer_with_format(&mut png, pixels, length, length, ColorType::L8, ImageFormat::Png)
        .map_err(PlotError::because)?;
    Ok(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" aria-label=\"{}\" viewBox=\"0 0 {side} {side}\">\
         <image width=\"{side}\" height=\"{side}\" href=\"data:image/png;base64,{}\"/></svg>",
        escape(words),
        base64(&png.into_inner())
    ))
}

/// RFC 4648, chapter 4.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |i: usize| u32::from(chunk.get(i).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..4 {
            let shown = digit <= chunk.len();
            let at = (bits >> (18 - 6 * digit)) as usize & 63;
            text.push(if shown { char::from(DIGITS[at]) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_of_the_standard() {
        // RFC 4648, chapter 10.
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
        assert_eq!(base64(&[0xff, 0xfb, 0xef]), "//vv");
    }

    #[test]
    fn pictures_say_what_they_are() {
        let svg = picture(&[7; 16], 4, "a <b>").unwrap();
        assert!(svg.contains("aria-label=\"a &lt;b&gt;\"") && svg.contains("base64,iVBORw0KGgo"), "{svg}");
        assert!(picture(&[7; 15], 4, "").is_err(), "a row too short");
    }
}
