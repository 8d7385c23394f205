//! The questions that are asked and answered in one message each.
//!
//! A new one is a row of the table below. The compiler then asks for its two messages, at the ends of [`ToBox`] and
//! [`ToHost`], whose order is the protocol, and for what the box program answers. Images, updates, the listing of results
//! and the screenshot are more than two messages, and are handled by hand in the sessions.

use shared::verdict::{Digest, ResultRecord};

use super::message::{Info, SiteState, SoftwareState, ToBox, ToHost};

/// Makes of rows `Question { fields } => Answer(content: type);` the enums [`Question`] and [`Answer`], and the ways from
/// and to messages: those of the same names and fields.
macro_rules! questions {
    ($(
        $(#[$question_doc:meta])*
        $question:ident $({ $($(#[$field_doc:meta])* $field:ident: $field_type:ty),* })?
        => $(#[$answer_doc:meta])* $answer:ident $(($content:ident: $content_type:ty))?;
    )*) => {
        /// What the host asks; each question leads to the [`Answer`] that is named.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Question {
            $(
                $(#[$question_doc])*
                #[doc = concat!("Leads to [`Answer::", stringify!($answer), "`].")]
                $question $({ $($(#[$field_doc])* $field: $field_type),* })?,
            )*
        }

        /// What the box answers.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Answer {
            $($(#[$answer_doc])* $answer $(($content_type))?,)*
        }

        /// A pattern: the messages that ask a question of the table.
        macro_rules! asking {
            () => { $(ToBox::$question { .. })|* };
        }
        pub(super) use asking;

        impl Question {
            /// The question that a message asks; `None` if it asks none of the table.
            pub(super) fn of(message: ToBox) -> Option<Self> {
                match message {
                    $(ToBox::$question $({ $($field),* })? => Some(Self::$question $({ $($field),* })?),)*
                    _ => None,
                }
            }

            /// The answer in a message; `None` if that is not an answer to this question.
            pub(super) fn answer(self, message: ToHost) -> Option<Answer> {
                match (self, message) {
                    $((Self::$question { .. }, ToHost::$answer $(($content))?) => Some(Answer::$answer $(($content))?),)*
                    _ => None,
                }
            }
        }

        impl From<Question> for ToBox {
            fn from(question: Question) -> Self {
                match question {
                    $(Question::$question $({ $($field),* })? => Self::$question $({ $($field),* })?,)*
                }
            }
        }

        impl From<Answer> for ToHost {
            fn from(answer: Answer) -> Self {
                match answer {
                    $(Answer::$answer $(($content))? => Self::$answer $(($content))?,)*
                }
            }
        }
    };
}

questions! {
    /// What is the box?
    Info =>
        /// What the box is.
        Info(info: Info);

    /// Set the clock.
    SetClock {
        /// Seconds since 1970, UTC.
        unix_seconds: u64
    } =>
        /// The clock is set.
        ClockSet;

    /// Show a code on the screen.
    ShowCode =>
        /// The code is on the screen.
        CodeShown;

    /// Is this the code on the screen?
    Pair {
        /// Six digits, as a number.
        code: u32
    } =>
        /// It is.
        Paired;

    /// What was the result of an image?
    StoredResult {
        /// Digest of the image.
        image: Digest,
        /// First record looked at.
        from: u64
    } =>
        /// The first record of that image, if there is one.
        StoredResult(record: Option<ResultRecord>);

    /// What is there of a bundle, and what became of the last one?
    Software {
        /// Digest of the bundle's file.
        bundle: Digest,
        /// Its length in bytes.
        total: u32
    } =>
        /// That, and which program runs.
        Software(state: SoftwareState);

    /// Which settings has somebody sent?
    Site =>
        /// Those, and the keys that a person has added.
        Site(state: SiteState);
}
