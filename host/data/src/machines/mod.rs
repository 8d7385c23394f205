//! Which X-ray machine made which radiograph, found from the pixels alone.
//!
//! A model can learn the machine in place of the disease, where one machine made most films of the ill and another those of
//! the well. Nobody notes the machine in most collections, but it leaves traces that do not come from the patient: the letter
//! that marks a side, how strongly fine detail is enhanced, how black the edges are. Films with like traces are put together
//! by k-means (`clusters.rs`); neither labels nor names are looked at.
//!
//! What comes out are *machines* in the sense of films that were made and processed alike: two alike machines are one, and a
//! machine whose settings were changed is two. They are groups of these radiographs: another collection has others.

mod clusters;
mod letter;
mod traces;

use base::progress;
use rayon::prelude::*;
use shared::contract::InputContract;

pub use self::{letter::Letter, traces::Traces};
use crate::{Catalogue, InputError, Inputs};

/// What machines are found on, whatever a model wants.
pub const CONTRACT: InputContract = InputContract::stretched(traces::SIDE as u16);

/// Machines that are looked for, unless another number is asked for.
pub const MACHINES: u16 = 4;

/// Radiographs that there must be for each machine that is looked for.
const LEAST: usize = 10;

/// Machines that cannot be found.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum MachineError {
    /// the files are not those of the catalogue any more
    #[error("the data were changed while they were read: run the command again")]
    Changed,
    /// there are too few radiographs
    #[error(
        "{found} radiographs are too few to find {machines} machines in: give at least {wanted}, or do without machines",
        wanted = LEAST * usize::from(*machines)
    )]
    TooFew {
        /// How many there are.
        found: usize,
        /// What was looked for.
        machines: u16,
    },
    /// a radiograph cannot be read any more
    #[error("{0}")]
    Input(String),
    /// one of several sites has no machines
    #[error("site {site}: {error}")]
    AtSite {
        /// The site.
        site: String,
        /// Why.
        error: Box<MachineError>,
    },
}

/// Finds the machines behind the radiographs of `catalogue`, those of each site on their own, and notes them in its samples:
/// from 1, which made most of a site's, to `machines` at most. `again` are the same radiographs, at the size of [`CONTRACT`].
/// The same files give the same machines. Gives what was found on each radiograph, in the order of the catalogue.
pub fn find(
    catalogue: &mut Catalogue,
    again: &(Catalogue, Inputs),
    machines: u16,
) -> Result<Vec<Traces>, MachineError> {
    let (same, inputs) = again;
    if same.digest() != catalogue.digest() || *inputs.contract() != CONTRACT {
        return Err(MachineError::Changed);
    }
    let mut found = vec![None; catalogue.samples.len()];
    let bar = progress::bar(found.len(), "looking for machines");
    for (site, indices) in catalogue.by_site() {
        if indices.len() < LEAST * usize::from(machines) {
            let error = MachineError::TooFew { found: indices.len(), machines };
            return Err(match site {
                "" => error,
                site => MachineError::AtSite { site: site.to_owned(), error: Box::new(error) },
            });
        }
        let traces: Vec<Traces> = indices
            .par_iter()
            .map(|&i| {
                bar.inc(1);
                inputs.of(i).map(|input| Traces::of(&input))
            })
            .collect::<Result<_, InputError>>()
            .map_err(|error| MachineError::Input(error.to_string()))?;
        let clusters = clusters::find(&traces::features(&traces), usize::from(machines));
        for (index, (traces, cluster)) in indices.into_iter().zip(traces.into_iter().zip(clusters)) {
            found[index] = Some((traces, cluster as u16 + 1));
        }
    }
    bar.finish_and_clear();
    let (traces, numbers): (Vec<Traces>, Vec<u16>) = found.into_iter().flatten().unzip();
    for (sample, number) in catalogue.samples.iter_mut().zip(numbers) {
        sample.machine = Some(number);
    }
    Ok(traces)
}

#[cfg(test)]
mod tests;
