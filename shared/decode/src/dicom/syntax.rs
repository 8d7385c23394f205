//! Transfer syntaxes: how data sets are written and pixels are compressed (PS3.5, annex A). All that is known of them is in one
//! table: what is decoded, what is offered to whoever sends over a network, and what each is called.

use super::file::Coding;

/// One whose numbers have their highest byte first.
pub(super) const BIG_ENDIAN: &str = "1.2.840.10008.1.2.2";
/// One whose data set is deflated as a whole.
pub(super) const DEFLATED: &str = "1.2.840.10008.1.2.1.99";
/// What the names of those begin with that hold a kind of JPEG, or a video.
const JPEGS: &str = "1.2.840.10008.1.2.4.";

/// A transfer syntax.
struct Syntax {
    uid: &'static str,
    /// In words of our own.
    name: &'static str,
    coding: Coding,
    /// Whether every radiograph that is written so is decoded, as far as it is not damaged.
    decoded: bool,
}

const fn syntax(uid: &'static str, name: &'static str, coding: Coding, decoded: bool) -> Syntax {
    Syntax { uid, name, coding, decoded }
}

/// Those that are easiest to read come first.
const ALL: [Syntax; 16] = [
    syntax("1.2.840.10008.1.2.1", "uncompressed", Coding::Plain, true),
    syntax("1.2.840.10008.1.2", "uncompressed, implicit", Coding::Plain, true),
    syntax(BIG_ENDIAN, "uncompressed, big endian", Coding::Plain, true),
    syntax("1.2.840.10008.1.2.1.98", "uncompressed, encapsulated", Coding::Encapsulated, true),
    syntax(DEFLATED, "deflated", Coding::Plain, true),
    syntax("1.2.840.10008.1.2.5", "run lengths", Coding::RunLength, true),
    syntax("1.2.840.10008.1.2.4.70", "lossless JPEG", Coding::Jpeg, true),
    syntax("1.2.840.10008.1.2.4.57", "lossless JPEG", Coding::Jpeg, true),
    syntax("1.2.840.10008.1.2.4.90", "JPEG 2000", Coding::Jpeg, true),
    syntax("1.2.840.10008.1.2.4.91", "JPEG 2000", Coding::Jpeg, true),
    syntax("1.2.840.10008.1.2.4.50", "JPEG, 8 bits", Coding::Jpeg, true),
    // Of 8 bits it is decoded, of 12 it is not.
    syntax("1.2.840.10008.1.2.4.51", "JPEG, 12 bits", Coding::Jpeg, false),
    syntax("1.2.840.10008.1.2.4.80", "JPEG-LS", Coding::Jpeg, false),
    syntax("1.2.840.10008.1.2.4.81", "JPEG-LS", Coding::Jpeg, false),
    syntax("1.2.840.10008.1.2.4.201", "JPEG 2000, high throughput", Coding::Jpeg, false),
    syntax("1.2.840.10008.1.2.4.203", "JPEG 2000, high throughput", Coding::Jpeg, false),
];

/// Transfer syntaxes in which every radiograph can be decoded; those that are easiest to read come first.
pub const TRANSFER_SYNTAXES: [&str; 11] = decoded();

const fn decoded() -> [&'static str; 11] {
    let mut uids = [""; 11];
    let (mut from, mut to) = (0, 0);
    while from < ALL.len() {
        if ALL[from].decoded {
            uids[to] = ALL[from].uid;
            to += 1;
        }
        from += 1;
    }
    assert!(to == uids.len());
    uids
}

fn find(uid: &str) -> Option<&'static Syntax> {
    let all: &'static [Syntax] = &ALL;
    all.iter().find(|syntax| syntax.uid == uid)
}

/// How pixels are coded in a file that names this syntax. Kinds of JPEG that are not in the table may be readable all the same:
/// what they are stands in their bytes.
pub(super) fn coding(uid: &str) -> Coding {
    match find(uid) {
        Some(syntax) => syntax.coding,
        None if uid.starts_with(JPEGS) => Coding::Jpeg,
        None => Coding::Other,
    }
}

/// What it is called, if it is known.
pub(super) fn name(uid: &str) -> Option<&'static str> {
    find(uid).map(|syntax| syntax.name)
}
