//! Exit codes, the same for every command.

use std::{fmt::Display, path::Path, process::ExitCode};

use base::{
    Shown,
    interrupt::{self, Interrupted},
};
use engine::ModelError;
use link::LinkError;
use shared::verdict::Fault;
use wire::HostError;

/// How a command ended. The numbers are stable; a verdict (normal, pneumonia, refer) is never an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 0: done.
    Done = 0,
    /// 1: failed for a reason that the message names.
    Failed = 1,
    /// 2: the command line cannot be understood.
    Usage = 2,
    /// 3: at least one image was refused, and the others have their results; or a model was refused.
    Refused = 3,
    /// 4: no serial port or no box answers.
    Unreachable = 4,
    /// 5: protocol mismatch between host and box.
    Protocol = 5,
    /// 6: the box reports a fault of its own.
    Box = 6,
    /// 7: not confirmed: the box may have judged an image, or installed a model, but its answer has not come.
    Unconfirmed = 7,
    /// 130: stopped by Ctrl-C; what was done is kept.
    Interrupted = interrupt::EXIT_CODE as isize,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// An error with the exit code that it leads to.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// What went wrong and what to do about it.
    pub error: anyhow::Error,
}

impl Failure {
    /// That of asking the box.
    pub fn of_link(error: LinkError) -> Self {
        Self { exit: Exit::from(&error), error: error.into() }
    }

    /// The same, with these words before it: what it means for what was to be done.
    pub fn context(self, words: impl Display + Send + Sync + 'static) -> Self {
        let Self { exit, error } = self;
        Self { exit, error: error.context(words) }
    }

    /// That of a request which the box may have carried out, although its answer has not come. `words`: what is not known, and
    /// what to do about it.
    pub fn unconfirmed(error: LinkError, words: String) -> Self {
        let Self { exit, error } = Self::of_link(error).context(words);
        let exit = if exit == Exit::Unreachable { Exit::Unconfirmed } else { exit };
        Self { exit, error }
    }

    /// That of the model in a file: refused, unless it is not the model's fault.
    pub fn of_model(error: ModelError, path: &Path) -> Self {
        let is_refused = !matches!(error, ModelError::Read { .. } | ModelError::Kernels(_));
        let exit = if is_refused { Exit::Refused } else { Exit::Failed };
        let words = format!("the model {} cannot be used", Shown(path.display()));
        Self { exit, error: anyhow::Error::from(error).context(words) }
    }
}

impl From<&LinkError> for Exit {
    fn from(error: &LinkError) -> Self {
        match error {
            LinkError::ConfigRead { .. } | LinkError::Config { .. } => Self::Failed,
            LinkError::Session(HostError::Incompatible { .. } | HostError::Protocol)
            | LinkError::Answer(_)
            | LinkError::Fault(Fault::Protocol) => Self::Protocol,
            LinkError::Fault(_) => Self::Box,
            LinkError::Interrupted => Self::Interrupted,
            _ => Self::Unreachable,
        }
    }
}

/// Any error without a code of its own is [`Exit::Failed`]; only [`Interrupted`] has one, and what it has caused.
impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        let error = error.into();
        let is_stop = error.chain().any(|cause| cause.is::<Interrupted>());
        let exit = if is_stop { Exit::Interrupted } else { Exit::Failed };
        Self { exit, error }
    }
}

/// Gives errors an exit code.
pub trait WithExit<T> {
    /// The same result, its error leading to `exit`.
    fn exit(self, exit: Exit) -> Result<T, Failure>;
}

impl<T, E: Into<anyhow::Error>> WithExit<T> for Result<T, E> {
    fn exit(self, exit: Exit) -> Result<T, Failure> {
        self.map_err(|error| Failure { exit, error: error.into() })
    }
}

#[cfg(test)]
mod tests {
    use std::{io, path::PathBuf};

    use link::AnswerError;

    use super::*;

    #[test]
    fn every_trouble_with_the_box_has_its_exit_code() {
        let path = PathBuf::from("port");
        let unplugged = LinkError::Unplugged { source: io::ErrorKind::BrokenPipe.into() };
        let cases = [
            (LinkError::Config { path: path.clone(), message: String::new() }, Exit::Failed),
            (LinkError::Session(HostError::Protocol), Exit::Protocol),
            (LinkError::Answer(AnswerError::Verdict), Exit::Protocol),
            (LinkError::Fault(Fault::Protocol), Exit::Protocol),
            (LinkError::Fault(Fault::Timeout), Exit::Box),
            (LinkError::Interrupted, Exit::Interrupted),
            (LinkError::NoPort { others: Vec::new() }, Exit::Unreachable),
            (LinkError::NoBox { tried: Vec::new(), others: Vec::new() }, Exit::Unreachable),
            (LinkError::InUse { path }, Exit::Unreachable),
            (LinkError::Session(HostError::NoAnswer), Exit::Unreachable),
            (unplugged, Exit::Unreachable),
        ];
        for (error, exit) in cases {
            assert_eq!(Failure::of_link(error).exit, exit);
        }
    }

    #[test]
    fn what_is_not_confirmed_is_told_from_a_box_that_is_not_reached() {
        let of = |error| Failure::unconfirmed(error, String::new()).exit;
        assert_eq!(of(LinkError::Session(HostError::Timeout)), Exit::Unconfirmed);
        assert_eq!(of(LinkError::Session(HostError::Protocol)), Exit::Protocol);
        assert_eq!(of(LinkError::Interrupted), Exit::Interrupted);
    }

    #[test]
    fn ctrl_c_has_its_exit_code_wherever_it_is_noticed() {
        assert_eq!(Failure::from(Interrupted).exit, Exit::Interrupted);
        assert_eq!(Failure::from(io::Error::other("full")).exit, Exit::Failed);
    }
}
