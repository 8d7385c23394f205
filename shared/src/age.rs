//! The age of a patient at the study: what a file says of it, and what a result notes of it.

use core::fmt;

use postcard_schema::Schema;
use serde::{Deserialize, Serialize};

/// An age in whole months, or two of which one must be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, Schema)]
#[serde(try_from = "[u16; 2]", into = "[u16; 2]")]
pub struct Age {
    younger: u16,
    /// The same unless two statements contradict each other.
    older: u16,
}

/// Two ages out of order, or more months than anybody lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an age is at most {} months, or two in order", Age::MOST)]
pub struct AgeError;

impl Age {
    /// Most months, 130 years: such an age was left out or entered wrongly.
    pub const MOST: u16 = 130 * 12;

    /// An age in months; `None` beyond [`Self::MOST`].
    pub const fn months(months: u16) -> Option<Self> {
        if months <= Self::MOST { Some(Self { younger: months, older: months }) } else { None }
    }

    /// Two ages that contradict each other: nobody knows which of them is wrong.
    pub const fn either(self, other: Self) -> Self {
        let younger = if self.younger < other.younger { self.younger } else { other.younger };
        Self { younger, older: if self.older > other.older { self.older } else { other.older } }
    }

    /// The younger and the older of what it may be, in months.
    pub const fn bounds(self) -> [u16; 2] {
        [self.younger, self.older]
    }

    /// The months that it may be: one, or two.
    pub fn each(self) -> impl Iterator<Item = u16> {
        [self.younger, self.older].into_iter().take(if self.younger == self.older { 1 } else { 2 })
    }
}

impl TryFrom<[u16; 2]> for Age {
    type Error = AgeError;

    fn try_from([younger, older]: [u16; 2]) -> Result<Self, AgeError> {
        if younger <= older && older <= Self::MOST { Ok(Self { younger, older }) } else { Err(AgeError) }
    }
}

impl From<Age> for [u16; 2] {
    fn from(age: Age) -> Self {
        age.bounds()
    }
}

/// Some months as people say them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Span {
    /// Fewer than two years, which are no whole year.
    Months(u16),
    /// Whole years.
    Years(u16),
}

impl Span {
    /// Of so many months.
    pub const fn of(months: u16) -> Self {
        if months >= 24 || months == 12 { Self::Years(months / 12) } else { Self::Months(months) }
    }
}

/// English: `18 months`, `3 years`.
impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Months(1) => f.write_str("1 month"),
            Self::Months(months) => write!(f, "{months} months"),
            Self::Years(1) => f.write_str("1 year"),
            Self::Years(years) => write!(f, "{years} years"),
        }
    }
}

/// English: `3 years`, `4 months or 3 years`.
impl fmt::Display for Age {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Span::of(self.younger).fmt(f)?;
        if self.older > self.younger { write!(f, " or {}", Span::of(self.older)) } else { Ok(()) }
    }
}

/// What a result notes of the age.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub enum AgeNote {
    /// Nothing: it is of an earlier release.
    #[default]
    NotNoted,
    /// The file does not say it: the patient may be older or younger than those whom the model is for.
    Unknown,
    /// As those whom the model is for, or not younger than one year where that is not known.
    Meant(Age),
    /// Older or younger; the host asked to have the image judged all the same, and the box allows it.
    Overridden(Age),
}

impl AgeNote {
    /// The age, if it is known.
    pub const fn age(self) -> Option<Age> {
        match self {
            Self::NotNoted | Self::Unknown => None,
            Self::Meant(age) | Self::Overridden(age) => Some(age),
        }
    }

    /// Whether the patient's age speaks against the answer.
    pub const fn is_overridden(self) -> bool {
        matches!(self, Self::Overridden(_))
    }
}

/// English: `age unknown`, `3 years`, `age overridden: 9 years`.
impl fmt::Display for AgeNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotNoted => f.write_str("age not noted"),
            Self::Unknown => f.write_str("age unknown"),
            Self::Meant(age) => age.fmt(f),
            Self::Overridden(age) => write!(f, "age overridden: {age}"),
        }
    }
}

/// From so many years on nobody is called a child.
pub const ADULT: u8 = 18;

/// The ages that a model is for, in whole years, the youngest and the oldest: children are as old as they were on their last
/// birthday.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
#[serde(try_from = "[u8; 2]", into = "[u8; 2]")]
pub struct Ages {
    /// The youngest.
    pub from: u8,
    /// The oldest.
    pub to: u8,
}

/// Years that are out of order, or more than anybody lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("ages are two numbers of years in order, up to 130, as in 1-5")]
pub struct AgesError;

impl TryFrom<[u8; 2]> for Ages {
    type Error = AgesError;

    fn try_from([from, to]: [u8; 2]) -> Result<Self, AgesError> {
        if from <= to && u16::from(to) * 12 <= Age::MOST { Ok(Self { from, to }) } else { Err(AgesError) }
    }
}

impl From<Ages> for [u8; 2] {
    fn from(ages: Ages) -> Self {
        [ages.from, ages.to]
    }
}

/// As they are typed: `1-5`.
impl core::str::FromStr for Ages {
    type Err = AgesError;

    fn from_str(text: &str) -> Result<Self, AgesError> {
        let (from, to) = text.split_once('-').ok_or(AgesError)?;
        let years = |text: &str| text.parse().map_err(|_| AgesError);
        [years(from)?, years(to)?].try_into()
    }
}

/// English: `children of 1 to 5 years`.
impl fmt::Display for Ages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let who = if self.to < ADULT { "children" } else { "patients" };
        write!(f, "{who} of {} to {} years", self.from, self.to)
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString as _;

    use super::*;

    #[test]
    fn ages_are_said_in_months_or_years() {
        for (months, said) in [
            (0, "0 months"),
            (1, "1 month"),
            (11, "11 months"),
            (12, "1 year"),
            (18, "18 months"),
            (24, "2 years"),
            (47, "3 years"),
            (972, "81 years"),
        ] {
            assert_eq!(Age::months(months).unwrap().to_string(), said);
        }
        let [one, other] = [50, 4].map(|months| Age::months(months).unwrap());
        assert_eq!((one.either(other), one.either(other).bounds()), (other.either(one), [4, 50]));
        assert_eq!(one.either(other).to_string(), "4 months or 4 years");
        assert_eq!(one.either(other).each().count() + one.each().count(), 3);
        assert_eq!(AgeNote::Overridden(one).to_string(), "age overridden: 4 years");
    }

    #[test]
    fn what_is_received_is_checked() {
        assert_eq!(Age::months(1561), None);
        for age in [Age::months(1560).unwrap(), Age::months(2).unwrap().either(Age::months(40).unwrap())] {
            let mut bytes = [0; 8];
            assert_eq!(postcard::from_bytes(postcard::to_slice(&age, &mut bytes).unwrap()), Ok(age));
        }
        for wrong in [[3_u16, 2], [0, 1561]] {
            let mut bytes = [0; 8];
            let bytes = postcard::to_slice(&wrong, &mut bytes).unwrap();
            assert!(postcard::from_bytes::<Age>(bytes).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn ages_of_models_are_read_as_they_are_typed() {
        assert_eq!("1-5".parse(), Ok(Ages { from: 1, to: 5 }));
        assert_eq!(Ages { from: 1, to: 5 }.to_string(), "children of 1 to 5 years");
        for wrong in ["", "5", "5-1", "-1-5", "1-131", "1–5", "a-b", "1-5 years"] {
            assert_eq!(wrong.parse::<Ages>(), Err(AgesError), "{wrong}");
        }
    }
}
