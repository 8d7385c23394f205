//! What commands write on stdout: JSON objects that a terminal may show.

use std::fmt::Write;

use base::shown::is_hidden;
use serde_json::Value;
use shared::age::Age;

/// A JSON value in one line. What cannot be seen in its texts is escaped as JSON does it, also where JSON need not: the value
/// is the same, and a terminal does nothing but show it.
pub(crate) fn json(value: &Value) -> String {
    escaped(&value.to_string())
}

/// The same for JSON that has been written already.
pub(crate) fn escaped(plain: &str) -> String {
    let mut text = String::with_capacity(plain.len());
    for c in plain.chars() {
        if is_hidden(c) {
            // All of them lie below U+10000. Writing into a `String` cannot fail.
            let _ = write!(text, "\\u{:04x}", u32::from(c));
        } else {
            text.push(c);
        }
    }
    text
}

/// Says in the answer to an update that the box has refused it: the word, the code and the text of why.
pub(crate) fn reject(answer: &mut Value, word: &str, code: u16, text: impl ToString) {
    answer["status"] = "rejected".into();
    answer["rejection"] = word.into();
    answer["code"] = code.into();
    answer["message"] = text.to_string().into();
}

/// An age in months, for programs: a number, two that contradict each other, or `null` if it is not known.
pub(crate) fn age_months(age: Option<Age>) -> Value {
    let months: Vec<u16> = age.into_iter().flat_map(Age::each).collect();
    match months[..] {
        [] => Value::Null,
        [months] => months.into(),
        _ => months.into(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn json_says_the_same_and_only_shows_it() {
        let value = json!({ "path": "a\u{1b}[2J\u{9b}31m\u{202e}\n\"ü" });
        let text = json(&value);
        assert_eq!(text, r#"{"path":"a\u001b[2J\u009b31m\u202e\n\"ü"}"#);
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
    }
}
