//! The study that this product grew from, and the questions that it left open: many trainings, one report.

mod display;
mod parts;
mod plan;
mod record;
mod run;

pub use self::{
    display::Display,
    parts::{Difference, Division, Missing, PartSyntaxError, PartsError, StudyPart},
    plan::{Comparison, Experiment, Group, Plan, PlanError, Published},
    record::{Measured, Outcome, Record, SetResult},
    run::{Common, Run, RunError, Sets, run_all},
};
