//! Parts of a study on several computers, and the report of them all.

use anyhow::anyhow;
use base::Shown;
use data::Inputs;
use learn::study::{Division, Missing, Record, StudyPart};
use report::study::ReportError;

use super::{Study, again::command, print_records};
use crate::{
    commands::or_continue,
    exit::{Exit, Failure},
};

impl Study<'_> {
    /// One part of it, without the report.
    pub(super) fn part(&self, part: StudyPart, inputs: Inputs) -> Result<Exit, Failure> {
        let division = Division::new(self.wanted, &self.catalogue, part.of());
        let runs = division.runs_of(part);
        self.announce(&format!("part {part}: {} of {} runs", runs.len(), self.wanted.len()));
        self.catalogue.require_both_labels()?;
        division.enter(part, self.out)?;
        let again = command(&format!("--part {part}"));
        or_continue(self.train(&runs, inputs)?, |_| true, &again)?;
        if self.options.json {
            let records: Vec<Record> = runs.iter().filter_map(|run| run.record(self.out, &self.catalogue)).collect();
            print_records(&records)?;
        }
        let merge = command("--merge");
        let exit = self.end(&runs, &again, &format!("the report will say why, and this tries them again: {again}"));
        if exit == Exit::Done {
            base::say!("part {part} is done; when all parts are, this writes the report: {merge}");
        }
        Ok(exit)
    }

    /// The report of all parts, if they are there.
    pub(super) fn merge(&self, parts: u32) -> Result<Exit, Failure> {
        let division = Division::new(self.wanted, &self.catalogue, parts);
        self.announce(&format!("{} runs of {parts} parts", self.wanted.len()));
        division.check(self.out)?;
        let missing = division.missing(self.out, &self.catalogue);
        if !missing.is_empty() {
            let lines = missing.iter().map(|Missing { part, absent, runs }| {
                let what =
                    if *absent == 0 { "is not begun".to_owned() } else { format!("lacks {absent} of {runs} runs") };
                format!("\npart {part} {what}: {}", command(&format!("--part {part}")))
            });
            let lines: String = lines.collect();
            return Err(anyhow!(
                "{} of {parts} parts in {} are not finished: wait for them, or start them again, and then merge{lines}",
                missing.len(),
                Shown(self.out.display())
            )
            .into());
        }
        let (records, written) = self.report();
        let again = command("--merge");
        or_continue(written, |error| matches!(error, ReportError::Write(_)), &again)?;
        self.print(&records)?;
        Ok(self.end(self.wanted, &again, "the report says why"))
    }
}
