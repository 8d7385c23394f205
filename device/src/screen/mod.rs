//! The screen: what is shown ([`View`]), in which words ([`mod@language`]), how it is arranged and drawn ([`layout()`],
//! [`draw()`]), and where it goes ([`sink`], [`display`]).
//!
//! A program that has no more than a framebuffer shows a scene with it alone:
//!
//! ```no_run
//! use device::screen::{Identity, Language, Scene, Step, View, draw, sink::Framebuffer};
//!
//! let framebuffer = Framebuffer::open("/dev/fb0".as_ref())?;
//! let scene = Scene { identity: Identity::default(), view: View::Starting { step: Step::Drivers } };
//! framebuffer.write(&draw(&scene, framebuffer.size(), Language::English))?;
//! # Ok::<(), device::screen::sink::SinkError>(())
//! ```

pub mod display;
mod frame;
pub mod layout;
mod mask;
mod rotation;
pub mod sink;
mod size;
mod symbol;
mod text;
mod trouble;

pub use self::{
    display::Display,
    frame::Frame,
    layout::{draw, layout},
    size::{ScreenSize, ScreenSizeError},
    trouble::{ConsoleRefused, Explanation, Trouble},
};
pub use ::language::{self, Console, Step, StickTrouble};
pub use shared::appliance::{Language, Rotation};

use std::sync::Arc;

use engine::ModelCard;
use shared::{
    age::Ages,
    evidence::Evidence,
    preprocess::Window,
    rates::Rates,
    verdict::{Digest, ExamId, Refusal, ResultRecord, Trust},
};
use trust::PublicKey;

use crate::{
    journal::Standing,
    site::Standing as SiteStanding,
    software::WayBack,
    stick::{Bundle, Film},
};

/// What the box is, as every screen shows it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Identity {
    /// Name of the model.
    pub model: String,
    /// Digest of the model file.
    pub digest: Digest,
    /// Whether the model was trained on synthetic radiographs: its answers mean nothing medically.
    pub synthetic: bool,
    /// Whether another model was meant to judge, which is damaged or has failed.
    pub fell_back: bool,
    /// Who says that the model is good; `None` without one.
    pub trust: Option<Trust>,
    /// Whether models are taken that nobody has signed.
    pub takes_unsigned: bool,
    /// Whether another model was installed within a day.
    pub changed: bool,
    /// What is to be said of the box's program.
    pub program: Program,
    /// Version of the box program.
    pub software: String,
    /// What the box says of labelled radiographs by the operating point in force, where the model's card says so.
    pub rates: Option<MeasuredRates>,
    /// The ages that the model is for, if they are known.
    pub ages: Option<Ages>,
    /// How its journal stands.
    pub journal: Standing,
    /// The program that a person may go back to now by holding a key.
    pub way_back: Option<WayBack>,
    /// What is to be said of the clinic's own settings.
    pub settings: SettingsNews,
    /// Whether there is a page about them that a person may turn to.
    pub has_site: bool,
}

/// What is to be said of the clinic's own settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SettingsNews {
    /// Nothing.
    #[default]
    Settled,
    /// Others count from the next start on.
    Staged,
    /// They are in force since a day at most.
    New,
    /// They cannot be used, and those of the card are in force.
    NotUsed,
    /// A person has added a key of the clinic within a day, and no settings were taken since.
    KeyAdded,
}

/// What is to be said of the box's program, besides its version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Program {
    /// Nothing.
    #[default]
    Settled,
    /// Another one is there, and is tried at the next start.
    Staged,
    /// It was another one until a day ago.
    New,
    /// Another one was tried and did not start.
    WentBack,
}

/// What the box says of labelled radiographs by an operating point.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MeasuredRates {
    /// The verdicts and refusals, counted.
    pub rates: Rates,
    /// The hospitals that the radiographs are from, if that is known.
    pub hospitals: Option<u16>,
}

impl MeasuredRates {
    /// Those of a card by its operating point in force. The figures of yes-or-no decisions, which the box never makes, do not
    /// stand in for them.
    pub fn of(card: &ModelCard) -> Option<Self> {
        Some(Self { rates: card.rates()?, hospitals: card.hospitals_measured() })
    }
}

/// A grey picture for the eye, rows without gaps.
#[derive(Clone, PartialEq, Eq)]
pub struct Preview {
    /// Pixels in a row.
    pub width: u16,
    /// Rows.
    pub height: u16,
    /// `width * height` grey values, 0 black.
    pub pixels: Arc<[u8]>,
    /// What of it was judged; `None` for all.
    pub judged: Option<Window>,
}

impl std::fmt::Debug for Preview {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Preview({}x{})", self.width, self.height)
    }
}

/// An image that a host has announced, as screens name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announced {
    /// The host's name for the examination; empty if it gave none.
    pub exam: ExamId,
    /// Which image of that examination it is, from 1: one more than there are results of it, as far as the box remembers.
    pub nth: usize,
}

/// What the screen shows.
#[derive(Debug, Clone, PartialEq)]
pub enum View {
    /// The box is not ready yet.
    Starting {
        /// What is being done.
        step: Step,
    },
    /// The program has ended.
    Stopped,
    /// An image may be sent.
    Ready {
        /// Number of the last result: how many there have been, of which the journal may have deleted the oldest.
        results: u64,
    },
    /// An image comes in.
    Receiving {
        /// Which one.
        image: Announced,
        /// Bytes received.
        done: u32,
        /// Bytes in all.
        total: u32,
    },
    /// An image is being judged.
    Analysing(Announced),
    /// An update comes in; it is being installed once `done` is `total`.
    Updating {
        /// Bytes received.
        done: u32,
        /// Bytes in all.
        total: u32,
    },
    /// Another program comes in, while nothing else happens; it is being installed once `done` is `total`.
    Program {
        /// Bytes received.
        done: u32,
        /// Bytes in all.
        total: u32,
    },
    /// The verdict on an image.
    Result {
        /// The image.
        preview: Preview,
        /// What the answer rests on, where the model reports it.
        evidence: Option<Box<Evidence>>,
        /// The result as it is in the journal.
        record: ResultRecord,
        /// What the box was when it judged: the model is the record's, whatever has been installed since.
        identity: Box<Identity>,
        /// Which image of its examination it is, as in [`Announced`].
        nth: usize,
        /// Whole minutes since it was judged, from an hour on whole hours in minutes. From [`PAST_AFTER`] on it is marked as
        /// past.
        minutes: u64,
    },
    /// An image is not judged.
    Refused {
        /// Which one.
        image: Option<Announced>,
        /// Why.
        refusal: Refusal,
    },
    /// The box could not do what was asked, or its line is gone.
    Error {
        /// The image that has no result because of it, if there is one.
        image: Option<Announced>,
        /// What is wrong.
        trouble: Trouble,
    },
    /// A page of past results.
    History {
        /// At most [`PAGE`] of them, the newest first. Those that cannot be read are missing.
        results: Vec<ResultRecord>,
        /// Number of the page, from 1 for the newest results.
        page: u64,
        /// Number of pages for all results kept; 0 if there is none.
        pages: u64,
    },
    /// What the box is.
    About,
    /// The clinic's own settings and keys.
    Site(Box<SiteStanding>),
    /// What a person wants that is not to be done by mistake: the same key is to be held once more.
    Confirm(Confirm),
    /// The same as ready, after a result that is shown no longer: whoever passes by has no business with it.
    Blanked {
        /// Number of the last result.
        results: u64,
    },
    /// The films on a memory stick and what else can be done with it, of which one is chosen.
    Films {
        /// The newest first; one at least, unless something else can be done.
        films: Arc<[Film]>,
        /// What else can be done: rows below the films.
        offers: Offers,
        /// Which row is chosen, from 0.
        chosen: usize,
        /// What happens next.
        prompt: Prompt,
    },
    /// Results are being written onto a memory stick.
    Writing {
        /// How many, as far as that can be said.
        done: u64,
        /// How many there are.
        total: u64,
    },
    /// They are on it.
    Written {
        /// The name of the files.
        name: String,
    },
    /// A code that is to be typed on the computer which wants to read results.
    Code(
        /// Six digits, as a number.
        u32,
    ),
}

/// What a person is asked once more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Confirm {
    /// Whether to go back to this program.
    GoBack(WayBack),
    /// Whether to take a model that is older than one that the box has had.
    OlderModel,
    /// Whether to believe this key of the clinic.
    AddKey(PublicKey),
    /// Whether to forget the clinic's settings and keys.
    ForgetSite,
}

/// What can be done with a memory stick besides judging its films. Nothing of it is done without a key.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Offers {
    /// The bundle of the box's program on it may be taken.
    pub program: Option<Bundle>,
    /// So many results may be written onto it.
    pub results: Option<u64>,
}

impl Offers {
    /// How many there are.
    pub fn count(&self) -> usize {
        usize::from(self.program.is_some()) + usize::from(self.results.is_some())
    }
}

/// What happens with the films on a memory stick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prompt {
    /// The newest is judged in so many seconds, unless somebody chooses.
    Countdown(u64),
    /// Somebody is to choose.
    Choose,
    /// One is being read.
    Reading,
}

impl View {
    /// An error that is about no image.
    pub fn error(trouble: impl Into<Trouble>) -> Self {
        Self::Error { image: None, trouble: trouble.into() }
    }

    /// Whether it is about a memory stick: there while the stick is in and nothing else happens.
    pub fn is_of_stick(&self) -> bool {
        matches!(self, Self::Films { .. } | Self::Writing { .. } | Self::Written { .. })
    }

    /// Whether an image or a model comes in, or an image is being judged: nothing that a person turns to hides it. A program comes
    /// for too long.
    pub fn is_busy(&self) -> bool {
        matches!(self, Self::Receiving { .. } | Self::Updating { .. } | Self::Analysing(_))
    }
}

/// From this age on, in minutes, a result on the screen is marked as past: it may be the last child's, and not that of the
/// child who is there now.
pub const PAST_AFTER: u64 = 5;

/// Results on a page of the history.
pub const PAGE: u64 = 6;

/// Everything that a picture of the screen is drawn from.
#[derive(Debug, Clone, PartialEq)]
pub struct Scene {
    /// What the box is now.
    pub identity: Identity,
    /// What it shows.
    pub view: View,
}

impl Scene {
    /// What the screen says of the model: with a result, of the one that it is from.
    pub fn shown_identity(&self) -> &Identity {
        match &self.view {
            View::Result { identity, .. } => identity.as_ref(),
            _ => &self.identity,
        }
    }
}

#[cfg(test)]
mod tests {
    use engine::{Measured, PointRates};
    use shared::{
        contract::InputContract,
        rates::Outcomes,
        verdict::{OperatingPoint, OperatingPoints},
    };

    use super::*;

    #[test]
    fn rates_are_those_of_the_three_verdicts_at_the_point_in_force() {
        let mut card = ModelCard::new("tiny", InputContract::stretched(16));
        card.metrics.extend([("test.sensitivity", 0.97), ("test.specificity", 0.95)].map(|(n, v)| (n.to_owned(), v)));
        assert_eq!(MeasuredRates::of(&card), None, "those of yes-or-no decisions are not told");
        let point = OperatingPoint::unbanded;
        let [screening, balanced, confirming] = [0.2, 0.5, 0.9].map(point);
        card.behaviour.points = Some(OperatingPoints { screening, balanced, confirming });
        let rates = |normal| Rates {
            of_normal: Outcomes { normal, refer: 50 - normal, ..Outcomes::default() },
            ..Rates::default()
        };
        card.measured = Some(Measured {
            data_digest: "00ff".to_owned(),
            split: "patient".to_owned(),
            seed: 1,
            fitted_on: 100,
            rates: [(screening, 10), (balanced, 40)].map(|(point, n)| PointRates { point, rates: rates(n) }).to_vec(),
        });
        for (point, told) in [(screening, Some(10)), (balanced, Some(40)), (confirming, None)] {
            card.behaviour.point = point;
            let told = told.map(|normal| MeasuredRates { rates: rates(normal), hospitals: None });
            assert_eq!(MeasuredRates::of(&card), told, "{point:?}");
        }
    }
}
