//! Commands that messages advise: the arguments of this one again, since a folder does not remember all of them.

use std::{env, ffi::OsString, path::Path};

use super::Options;
use crate::commands::{quoted, started_as};

/// The command that continues a study of one computer.
pub(super) fn continuing(options: &Options, out: &Path) -> String {
    continued(env::args_os().skip(1), options, out)
}

fn continued(arguments: impl Iterator<Item = OsString>, options: &Options, out: &Path) -> String {
    let mut words = vec![started_as()];
    words.extend(arguments.map(quoted));
    if options.out.is_none() {
        words.extend(["--out".to_owned(), quoted(out)]);
    }
    if !options.resume {
        words.push("--resume".to_owned());
    }
    words.join(" ")
}

/// The command of another step of the same divided study: `instead` takes the place of `--part` or `--merge`.
pub(super) fn command(instead: &str) -> String {
    other(env::args_os().skip(1), instead)
}

fn other(mut arguments: impl Iterator<Item = OsString>, instead: &str) -> String {
    let mut words = vec![started_as()];
    while let Some(word) = arguments.next() {
        if word == "--part" {
            // Its value is the next word.
            arguments.next();
        } else if word != "--merge" && !word.as_encoded_bytes().starts_with(b"--part=") {
            words.push(quoted(word));
        }
    }
    words.push(instead.to_owned());
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        options: Options,
    }

    #[test]
    fn a_study_is_continued_by_its_own_options_in_its_folder() {
        let advised = |line: &[&str]| {
            let options = Line::parse_from(line).options;
            continued(line.iter().map(OsString::from), &options, Path::new("runs/of today"))
        };
        for (line, expected) in [
            (&["study"][..], "study --out 'runs/of today' --resume"),
            (
                &["study", "--data", "my films", "--seeds", "2"],
                "--data 'my films' --seeds 2 --out 'runs/of today' --resume",
            ),
            (
                &["study", "--out", "runs/of today", "--only", "adam"],
                "study --out 'runs/of today' --only adam --resume",
            ),
            (&["study", "--out", "runs/of today", "--resume"], "study --out 'runs/of today' --resume"),
        ] {
            assert!(advised(line).ends_with(expected), "{}", advised(line));
        }
    }

    #[test]
    fn parts_and_their_report_are_of_one_command() {
        for (line, instead, expected) in [
            (&["study", "--part", "2/3", "--out", "of all"][..], "--merge", " study --out 'of all' --merge"),
            (&["study", "--out", "x", "--part=2/3", "--seeds", "2"], "--merge", " study --out x --seeds 2 --merge"),
            (&["study", "--merge", "--out", "x", "--only", "a"], "--part 1/3", " study --out x --only a --part 1/3"),
        ] {
            let advised = other(line.iter().map(OsString::from), instead);
            assert!(advised.ends_with(expected), "{advised}");
        }
    }

    #[test]
    fn what_excludes_each_other_is_not_asked_for_at_once() {
        let parse =
            |line: &str| Line::try_parse_from(["study"].into_iter().chain(line.split(' '))).map(|line| line.options);
        assert_eq!(parse("--out x --part 2/3").unwrap().part, "2/3".parse().ok());
        assert!(parse("--out x --merge").unwrap().merge);
        for line in ["--part 1/3", "--merge", "--out x --part 1/3 --merge", "--out x --part 1/3 --resume"] {
            assert!(parse(line).is_err(), "{line}");
        }
        let said = parse("--out x --part 4/3").unwrap_err().to_string();
        assert!(said.contains("such as 2/3"), "{said}");
    }
}
