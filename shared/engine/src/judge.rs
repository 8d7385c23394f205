//! From a picture to an answer: the one sequence that the box and every command of the host follow.
//!
//! 1. The **picture** is checked: [`guard::check_picture`] refuses what cannot be a radiograph. Of a picture in a frame that
//!    is what the model's contract takes of it, here and later: [`Picture::judged`]. What its file says of it is checked,
//!    too: [`Prepared::of_age`] refuses patients for whom the model is not meant, unless they
//!    are to be judged all the same ([`Prepared::of_any_age`]).
//! 2. It is **prepared**: [`Picture::prepare`] turns it into pixels by the model's input contract. The result is
//!    [`Prepared`].
//! 3. The **input** is checked: [`guard::check_input`], with the guard of the model's card. The result is [`Input`].
//! 4. The **network** runs: [`Model::examine`].
//! 5. The **features** that it computed are checked, and with them the style of the input: [`guard::check_familiar`].
//! 6. The **verdict** follows from the probability and the operating point in force. The result is [`Judgement`].
//! 7. The **evidence map** is placed on the picture, if it is asked for: [`Judgement::evidence`].
//!
//! [`admit`] takes steps 1 to 3 and [`Model::judge`] takes steps 4 to 6. A new check belongs in one of the two, and then
//! every caller makes it. The first refusal counts, and no later step is taken. Some callers enter or leave elsewhere:
//!
//! - the box may receive an input that the host has prepared: [`Prepared::received`] stands for steps 1 and 2, and
//!   [`Prepared::admit`] continues with step 3; the host's small picture stands for the picture, and both must show the same;
//! - the host that prepares it takes steps 1 to 3 without the card, which is on the box;
//! - anyone who measures models wants the answer to a refused radiograph as well: [`Prepared::of_any`] and
//!   [`Prepared::admit_any`] note the first refusal, the [`Judgement`] reports it, and the score is there anyway.
//!   What was prepared once can be shown to several models;
//! - anyone who compares answers with the truth wants them for every radiograph of a data set, whatever a guard says:
//!   [`Input::unguarded`].

use std::borrow::Cow;

use shared::{
    age::{Age, AgeNote},
    contract::InputContract,
    evidence::Evidence,
    guard,
    preprocess::{Picture, Window},
    verdict::{Refusal, Verdict},
};

use crate::{
    card::{Behaviour, ModelCard},
    model::{Examination, Model, ModelError},
};

/// Checks a picture, prepares it for the model with this card, and checks what the model would see.
/// `age` is the patient's, if the file says it.
pub fn admit(picture: &Picture<'_>, age: Option<Age>, card: &ModelCard) -> Result<Input<'static>, Refusal> {
    Prepared::of(picture, &card.behaviour.contract)?.of_age(age).admit(Some(card))
}

/// A picture in the form that a model's contract asks for. No model's guard has seen it yet.
#[derive(Clone, Debug, PartialEq)]
pub struct Prepared<'a> {
    pixels: Cow<'a, [u8]>,
    contract: InputContract,
    /// The part that was prepared, unless it is the whole.
    window: Option<Window>,
    /// What speaks against the picture itself.
    refused: Option<Refusal>,
    /// Age of the patient, if it is known.
    age: Option<Age>,
    /// Whether it does not speak against the image.
    any_age: bool,
}

impl Prepared<'static> {
    /// Checks a picture and prepares it: `contract.len()` pixels. `contract` must have been checked
    /// ([`InputContract::check`]).
    pub fn of(picture: &Picture<'_>, contract: &InputContract) -> Result<Self, Refusal> {
        let prepared = Self::of_any(picture, contract);
        match prepared.refused {
            Some(refusal) => Err(refusal),
            None => Ok(prepared),
        }
    }

    /// Prepares any picture; [`Judgement::verdict`] is its refusal in the end, if it should be refused.
    pub fn of_any(picture: &Picture<'_>, contract: &InputContract) -> Self {
        let window = picture.judged(contract);
        let refused = refusal_of(picture, &window);
        let pixels = picture.prepare_part(&window, contract).into();
        let window = Some(window).filter(|window| !window.is_whole());
        Self { pixels, contract: *contract, window, refused, age: None, any_age: false }
    }
}

impl<'a> Prepared<'a> {
    /// Pixels that the host has prepared with [`Prepared::of`] for the contract `theirs`, for a model with the contract
    /// `ours`, and its preview of the same picture, of which they were prepared from what lies in a window. Refused if the contracts differ, as the model was replaced in between; if
    /// no radiograph has the preview's shape; or if the preview shows something else.
    pub fn received(
        pixels: &'a [u8],
        theirs: &InputContract,
        ours: &InputContract,
        preview: &Picture<'_>,
        window: &Window,
    ) -> Result<Self, Refusal> {
        if theirs != ours || pixels.len() != ours.len() {
            return Err(Refusal::ContractMismatch);
        }
        if let Some(refusal) = refusal_of(preview, window) {
            return Err(refusal);
        }
        guard::check_preview(pixels, ours, preview, window)?;
        let window = Some(*window).filter(|window| !window.is_whole());
        Ok(Self { pixels: pixels.into(), contract: *ours, window, refused: None, age: None, any_age: false })
    }

    /// Pixels that this program itself has prepared with [`Prepared::of`] for a contract, earlier or in another process, and
    /// their [`Prepared::window`], if it is wanted again. They must be `contract.len()`.
    pub fn decoded(pixels: &'a [u8], contract: &InputContract, window: Option<Window>) -> Self {
        Self { pixels: pixels.into(), contract: *contract, window, refused: None, age: None, any_age: false }
    }

    /// The part of the picture that they show; `None` if it is the whole.
    pub fn window(&self) -> Option<Window> {
        self.window
    }

    /// The pixels, row by row.
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// The same, of a patient of this age, if it is known.
    pub fn of_age(self, age: Option<Age>) -> Self {
        Self { age, ..self }
    }

    /// The same, and if `any` whatever the age: it is noted in the place of a refusal.
    pub fn of_any_age(self, any: bool) -> Self {
        Self { any_age: any, ..self }
    }

    /// True if a model with this contract would be shown the same pixels.
    pub fn suits(&self, contract: &InputContract) -> bool {
        (self.contract.side, self.contract.fit) == (contract.side, contract.fit)
    }

    /// Checks what the model with this card would see. Without a card, the checks are those that need no model's guard.
    pub fn admit(self, card: Option<&ModelCard>) -> Result<Input<'a>, Refusal> {
        let (age, refusal) = self.examined(card);
        match refusal {
            Some(refusal) => Err(refusal),
            None => Ok(Input { pixels: self.pixels, window: self.window, refused: None, age }),
        }
    }

    /// The same for any input; [`Judgement::verdict`] is its refusal in the end, if it should be refused.
    pub fn admit_any(&self, card: &ModelCard) -> Input<'_> {
        let (age, refused) = self.examined(Some(card));
        Input { pixels: Cow::Borrowed(&self.pixels), window: self.window, refused, age }
    }

    /// Steps 1 and 3: what is to be noted of the age, and the first thing that speaks against the image.
    fn examined(&self, card: Option<&ModelCard>) -> (AgeNote, Option<Refusal>) {
        let guard = card.and_then(|card| card.behaviour.guard.as_ref());
        let (age, refused) = match self.age.map(|age| (age, check_age(age, card))) {
            None => (AgeNote::Unknown, None),
            Some((age, Ok(()))) => (AgeNote::Meant(age), None),
            Some((age, Err(refusal))) => (AgeNote::Overridden(age), Some(refusal).filter(|_| !self.any_age)),
        };
        let input = || guard::check_input(&self.pixels, &self.contract, guard).err();
        (age, self.refused.or(refused).or_else(input))
    }
}

/// Refuses patients younger or older than those whom the model is for; of two ages that contradict each other neither must be.
/// Of a model for whom that is not known, and where there is no card yet, younger than one year: none has learnt from such.
fn check_age(age: Age, card: Option<&ModelCard>) -> Result<(), Refusal> {
    let ages = card.and_then(ModelCard::ages);
    let [from, to] = ages.map_or([1, u16::MAX], |ages| [ages.from, ages.to].map(u16::from));
    // Children are as old as they were on their last birthday.
    let [younger, older] = age.bounds().map(|months| months / 12);
    if younger < from {
        return Err(Refusal::TooYoung);
    }
    if older > to { Err(Refusal::TooOld) } else { Ok(()) }
}

/// Step 1, of what lies in a window.
fn refusal_of(picture: &Picture<'_>, window: &Window) -> Option<Refusal> {
    guard::check_picture(&picture.part(window).unwrap_or(*picture)).err()
}

/// The pixels that a model is asked about.
#[derive(Clone, Debug, PartialEq)]
pub struct Input<'a> {
    pixels: Cow<'a, [u8]>,
    /// The part of the picture that they show, unless it is the whole.
    window: Option<Window>,
    /// Why the model should not have been asked.
    refused: Option<Refusal>,
    /// What is to be noted of the patient's age.
    age: AgeNote,
}

impl<'a> Input<'a> {
    /// Prepared pixels that no guard looks at.
    pub fn unguarded(pixels: &'a [u8]) -> Self {
        Self { pixels: pixels.into(), window: None, refused: None, age: AgeNote::Unknown }
    }

    /// The pixels, row by row.
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// The part of the picture that they show; `None` if it is the whole, or not known.
    pub fn window(&self) -> Option<Window> {
        self.window
    }

    /// The pixels, row by row.
    pub fn into_pixels(self) -> Vec<u8> {
        self.pixels.into_owned()
    }
}

/// The answer of a model to an input, and what it is worth.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    /// What the network gave, also where the verdict is a refusal.
    pub examination: Examination,
    /// What may be said by the operating point in force, or why nothing may.
    pub verdict: Result<Verdict, Refusal>,
    /// The part of the picture that was judged; `None` if it is the whole, or not known.
    pub window: Option<Window>,
    /// What is to be noted of the patient's age.
    pub age: AgeNote,
}

impl Judgement {
    /// Steps 5 and 6, after the network of the model with this card has examined the input.
    pub fn of(examination: Examination, input: &Input<'_>, card: &ModelCard) -> Self {
        let Behaviour { contract, guard, .. } = &card.behaviour;
        let strange = || guard::check_familiar(&examination.features, &input.pixels, contract, guard.as_ref()).err();
        let verdict = match input.refused.or_else(strange) {
            Some(refusal) => Err(refusal),
            None => Ok(card.behaviour.point.verdict(examination.score.probability)),
        };
        Self { examination, verdict, window: input.window, age: input.age }
    }

    /// What is drawn over the radiograph at `width × height` pixels, for the model with this card. `None` if the network does
    /// not say what its answer rests on.
    pub fn evidence(&self, card: &ModelCard, size: [u32; 2]) -> Option<Evidence> {
        let evidence = self.examination.map.as_ref()?.evidence(&card.behaviour, size)?;
        Some(match &self.window {
            Some(window) => evidence.within(window),
            None => evidence,
        })
    }
}

impl Model {
    /// Judges an input that was made for this model's contract; another one's is an error.
    pub fn judge(&self, input: &Input<'_>) -> Result<Judgement, ModelError> {
        Ok(Judgement::of(self.examine(input.pixels())?, input, self.card()))
    }
}
