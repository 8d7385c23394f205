//! The part of labelled radiographs that a command measures on.

use anyhow::{Context, anyhow, ensure};
use clap::ValueEnum;
use data::{
    Catalogue, Part,
    machines::{self, MACHINES},
    split::{Split, SplitKind, left_out},
};
use engine::ModelCard;

use super::sites::SitesArgs;

/// Options that choose the part.
#[derive(Debug, clap::Args)]
pub(super) struct SubsetArgs {
    /// How the radiographs are split [default: as in the model's training]
    #[arg(long, value_enum)]
    split: Option<SplitKind>,
    /// The part to measure on
    #[arg(long, value_enum, default_value_t = PartArg::Test)]
    part: PartArg,
    /// Seed of the split [default: the model's]
    #[arg(long)]
    seed: Option<u64>,
}

/// What to measure on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum PartArg {
    /// What the model has learnt from
    Train,
    /// What its training was monitored on
    Validation,
    /// What was held back
    Test,
    /// Everything, whatever the split
    All,
}

/// What has been chosen.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Subset {
    /// The part and the split that it is of; `None` for everything.
    pub(super) part: Option<(Part, SplitKind)>,
    /// Seed of the split.
    pub(super) seed: u64,
    /// Indices into [`Catalogue::samples`].
    pub(super) indices: Vec<usize>,
}

impl SubsetArgs {
    /// Looks for the machines behind the radiographs, if the split wants them, or it is wanted anyway.
    pub(super) fn find_machines(
        &self,
        wanted: bool,
        card: &ModelCard,
        radiographs: &SitesArgs,
        catalogue: &mut Catalogue,
    ) -> anyhow::Result<()> {
        let kind = self.split.or_else(|| SplitKind::of_card(card)).filter(|_| self.part != PartArg::All);
        if wanted {
            machines_of(radiographs, catalogue)
        } else {
            kind.map_or(Ok(()), |kind| find_machines(kind, radiographs, catalogue))
        }
    }

    /// The radiographs chosen; what the options leave open is as in the training of the model.
    pub(super) fn of(&self, card: &ModelCard, catalogue: &Catalogue) -> anyhow::Result<Subset> {
        let seed = self.seed.unwrap_or(card.provenance.seed);
        let part = match self.part {
            PartArg::Train => Some(Part::Train),
            PartArg::Validation => Some(Part::Validation),
            PartArg::Test => Some(Part::Test),
            PartArg::All => None,
        };
        let part = match part {
            Some(part) => Some((part, self.split.map_or_else(|| split_of(card), Ok)?)),
            None => None,
        };
        let indices = match part {
            // The publishers' test folder is whole in itself: it may come without the others.
            Some((Part::Test, SplitKind::Official)) if left_out(card, catalogue).is_none() => {
                let tested = |&i: &usize| catalogue.samples[i].official == Some(Part::Test);
                let indices: Vec<usize> = (0..catalogue.samples.len()).filter(tested).collect();
                if indices.is_empty() {
                    return Err(anyhow!("the data have no test/ folder: use another split, or `--part all`"));
                }
                indices
            }
            Some((part, kind)) => {
                let split = Split::of_training(card, catalogue, kind, seed);
                let split = split.context("the radiographs cannot be split (`--part all` measures on all of them)")?;
                ensure!(
                    !split.part(part).is_empty(),
                    "the model has learnt from none of these data: leave out `--part`"
                );
                split.part(part).to_vec()
            }
            None => (0..catalogue.samples.len()).collect(),
        };
        Ok(Subset { part, seed, indices })
    }
}

/// Looks for the machines behind the radiographs, if the split wants them.
pub(super) fn find_machines(kind: SplitKind, radiographs: &SitesArgs, catalogue: &mut Catalogue) -> anyhow::Result<()> {
    if kind == SplitKind::MachineFold { machines_of(radiographs, catalogue) } else { Ok(()) }
}

fn machines_of(radiographs: &SitesArgs, catalogue: &mut Catalogue) -> anyhow::Result<()> {
    machines::find(catalogue, &radiographs.load(&machines::CONTRACT)?, MACHINES)?;
    Ok(())
}

/// The split of the training, as the card names it.
pub(super) fn split_of(card: &ModelCard) -> anyhow::Result<SplitKind> {
    SplitKind::of_card(card).with_context(|| {
        format!("the model's card names an unknown split (`{}`): name one with `--split`", card.provenance.split)
    })
}
