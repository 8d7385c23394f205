//! The code on the screen of the box, without which it hands out neither results nor its picture.

use std::{
    io::{self, IsTerminal, Write},
    thread,
};

use anyhow::anyhow;
use link::{Connection, LinkError};
use shared::verdict::Fault;

use super::started_as;
use crate::exit::{Exit, Failure};

/// Codes that may be typed; the box hears no more either.
const ATTEMPTS: u32 = 3;

/// The code as an option.
#[derive(Debug, clap::Args)]
pub(super) struct Pairing {
    /// The six digits that the screen of the box shows. Without it they are asked for, if the box wants them
    #[arg(long, value_name = "CODE", value_parser = code)]
    code: Option<u32>,
}

/// Six digits, with or without a space in the middle.
fn code(typed: &str) -> Result<u32, String> {
    let digits: String = typed.chars().filter(|character| !character.is_whitespace()).collect();
    let is_code = digits.len() == 6 && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| is_code).ok_or_else(|| "a code has six digits".to_owned())
}

/// Whether the box wants a code first.
pub(super) fn is_wanted(error: &LinkError) -> bool {
    matches!(error, LinkError::Fault(Fault::NotPaired))
}

impl Pairing {
    /// Says the code that was given with the command.
    pub(super) fn begin(&self, connection: &mut Connection) -> Result<(), Failure> {
        let Some(code) = self.code else { return Ok(()) };
        connection.pair(code).map_err(|error| {
            let wrong = is_wanted(&error);
            let Failure { exit, error } = Failure::of_link(error);
            let words = "this is not the code on the screen of the box: run the command without --code for a new one";
            Failure { exit, error: if wrong { anyhow!(words) } else { error } }
        })
    }

    /// Has the box show a code, and asks for it on a terminal.
    pub(super) fn ask(&self, connection: &mut Connection) -> Result<(), Failure> {
        let failed = |words: String| Failure { exit: Exit::Box, error: anyhow!(words) };
        connection.show_code().map_err(|error| {
            if !is_wanted(&error) {
                return Failure::of_link(error);
            }
            failed(
                "the box gives no code: `share` is \"off\" in its settings, or a code was shown just now: try again in ten \
                 seconds; or wrong codes were typed: wait, up to an hour, or switch the box off and on"
                    .to_owned(),
            )
        })?;
        if !io::stdin().is_terminal() {
            let command = started_as();
            return Err(failed(format!(
                "the screen of the box shows a code for two minutes: run `{command}` again with --code and its six digits"
            )));
        }
        for _ in 0..ATTEMPTS {
            let Some(code) = type_in(connection).map_err(Failure::of_link)? else { continue };
            match connection.pair(code) {
                Err(error) if is_wanted(&error) => base::say!("this is not the code on the screen"),
                paired => return paired.map_err(Failure::of_link),
            }
        }
        Err(failed("the code was wrong: the box gives another one in a minute, later if that happens again".to_owned()))
    }
}

/// A line from the terminal, while the session is kept alive; `None` if it is not a code.
fn type_in(connection: &mut Connection) -> Result<Option<u32>, LinkError> {
    // Nobody may see the question: stderr may be closed. The answer is what matters.
    let _ = io::stderr().write_all(b"Code on the screen of the box: ");
    // It is left behind if Ctrl-C is pressed, and ends with the program.
    let typing = thread::spawn(|| {
        let mut line = String::new();
        io::stdin().read_line(&mut line).map(|_| line)
    });
    connection.wait_while(|| !typing.is_finished())?;
    let line = typing.join().ok().and_then(Result::ok).unwrap_or_default();
    Ok(code(line.trim()).inspect_err(|words| base::say!("{words}")).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_six_digits() {
        assert_eq!((code("040721"), code("040 721\n")), (Ok(40_721), Ok(40_721)));
        for wrong in ["", "40721", "0407211", "+40721", "04072x"] {
            assert!(code(wrong).is_err(), "{wrong}");
        }
    }
}
