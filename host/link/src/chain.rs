//! Whether the entries of a journal are linked as they should be.

use shared::verdict::Digest;
use wire::{Info, Linked, Listed};

/// Follows the links of the entries that a box lists, in their order.
#[derive(Clone, Debug, Default)]
pub struct Chain {
    last: Option<(u64, Digest)>,
    unbroken_from: Option<u64>,
    broken: Option<u64>,
    known: Option<Head>,
    found: Option<bool>,
}

/// The head of a chain, as somebody has written it down: it stands for all entries up to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Number of the entry.
    pub entry: u64,
    /// Its digest.
    pub digest: Digest,
}

/// A head that is not written as `N:DIGEST`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("write it as it was printed: N:DIGEST, the digest with 64 digits")]
pub struct HeadError;

/// What is wrong with a journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// An entry is not linked to the one before.
    #[error(
        "the chain of the journal is broken before entry {0}: an entry was changed or lost; compare with the results that you have, and check the box's memory card"
    )]
    Broken(u64),
    /// What is listed ends in another entry than the box says.
    #[error(
        "the journal does not end with the entry that the box names: read it again, and check the box's memory card"
    )]
    End,
    /// The head that is known is not that of the journal.
    #[error(
        "entry {0} is not the one that you know: the journal was made anew since then; compare with the results that you have"
    )]
    Other(u64),
    /// The head that is known is not among the entries.
    #[error("entry {0} is not among those that were read: read more with --from, or the journal has lost it")]
    Missing(u64),
}

impl std::str::FromStr for Head {
    type Err = HeadError;

    fn from_str(text: &str) -> Result<Self, HeadError> {
        let (entry, hex) = text.split_once(':').ok_or(HeadError)?;
        let entry = entry.parse().map_err(|_| HeadError)?;
        if hex.len() != 64 || !hex.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(HeadError);
        }
        let mut digest = Digest::default();
        for (byte, at) in digest.0.iter_mut().zip((0..64).step_by(2)) {
            *byte = u8::from_str_radix(&hex[at..at + 2], 16).map_err(|_| HeadError)?;
        }
        Ok(Self { entry, digest })
    }
}

impl Chain {
    /// The same; one of the entries must be this one.
    pub fn with_known(known: Option<Head>) -> Self {
        Self { known, ..Self::default() }
    }

    /// Takes the next entry.
    pub fn follow(&mut self, entry: &Listed) {
        let Listed::Linked(linked) = entry else { return };
        let Linked { sequence, before, .. } = *linked;
        match self.last {
            Some((_, digest)) if digest == before => {}
            None => self.unbroken_from = Some(sequence),
            Some(_) => {
                self.unbroken_from = Some(sequence);
                self.broken = self.broken.or(Some(sequence));
            }
        }
        let digest = linked.digest();
        self.last = Some((sequence, digest));
        if let Some(known) = self.known.filter(|known| known.entry == sequence) {
            self.found = Some(known.digest == digest);
        }
    }

    /// From which entry on all of them are linked; `None` if none has a link.
    pub fn unbroken_from(&self) -> Option<u64> {
        self.unbroken_from
    }

    /// The last entry.
    pub fn head(&self) -> Option<Head> {
        self.last.map(|(entry, digest)| Head { entry, digest })
    }

    /// Whether all that was read is one chain, the known entry is in it, and it ends as the box says, where it was read to
    /// that end.
    pub fn check(&self, info: &Info) -> Result<(), ChainError> {
        if let Some(at) = self.broken {
            return Err(ChainError::Broken(at));
        }
        match (self.known, self.found) {
            (Some(known), None) => return Err(ChainError::Missing(known.entry)),
            (Some(known), Some(false)) => return Err(ChainError::Other(known.entry)),
            _ => {}
        }
        match self.head() {
            Some(Head { entry, .. }) if entry > info.entries => Err(ChainError::End),
            Some(Head { entry, digest }) if entry == info.entries && digest != info.head => Err(ChainError::End),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use wire::{Content, Event, EventKind};

    use super::*;
    use crate::{sample::record, tests::info};

    fn entries() -> Vec<Linked> {
        let mut before = Digest::default();
        let link = |sequence| {
            let kind = EventKind::ClockSet { before: None, after: sequence };
            let event = Event { boot: 1, unix_seconds: None, missed: 0, kind };
            let content = if sequence % 2 == 0 { Content::Event(event) } else { Content::Result(record(sequence)) };
            let linked = Linked { sequence, before, content };
            before = linked.digest();
            linked
        };
        (1..=9).map(link).collect()
    }

    fn followed(entries: &[Linked], known: Option<Head>) -> Chain {
        let mut chain = Chain::with_known(known);
        chain.follow(&Listed::Unlinked(record(1)));
        entries.iter().for_each(|linked| chain.follow(&Listed::Linked(linked.clone())));
        chain
    }

    #[test]
    fn every_entry_that_is_changed_left_out_or_exchanged_is_noticed() {
        let whole = entries();
        let head = whole[8].digest();
        let info = wire::Info { entries: 9, head, ..info() };
        let chain = followed(&whole, None);
        assert_eq!((chain.check(&info), chain.unbroken_from()), (Ok(()), Some(1)));
        assert_eq!(followed(&whole[3..], None).unbroken_from(), Some(4));
        for at in 0..9 {
            let mut changed = whole.clone();
            match &mut changed[at].content {
                Content::Result(record) => record.probability = 0.75,
                Content::Event(event) => event.missed = 9,
            }
            let error = if at == 8 { ChainError::End } else { ChainError::Broken(at as u64 + 2) };
            assert_eq!(followed(&changed, None).check(&info), Err(error), "{at}");
            let mut shorter = whole.clone();
            shorter.remove(at);
            if (1..8).contains(&at) {
                assert_eq!(followed(&shorter, None).check(&info), Err(ChainError::Broken(at as u64 + 2)), "{at}");
            }
        }
    }

    #[test]
    fn a_head_that_was_written_down_shows_a_journal_that_was_made_anew() {
        let whole = entries();
        let info = wire::Info { entries: 9, head: whole[8].digest(), ..info() };
        let known: Head = format!("4:{}", whole[3].digest()).parse().unwrap();
        assert_eq!(followed(&whole, Some(known)).check(&info), Ok(()));
        let other = Head { digest: Digest::of(b"x"), ..known };
        assert_eq!(followed(&whole, Some(other)).check(&info), Err(ChainError::Other(4)));
        assert_eq!(followed(&whole[5..], Some(known)).check(&info), Err(ChainError::Missing(4)));
        for text in ["", "4", "4:", "x:00", &format!("4:{:.63}", Digest::default())] {
            assert_eq!(text.parse::<Head>(), Err(HeadError), "{text}");
        }
    }
}
