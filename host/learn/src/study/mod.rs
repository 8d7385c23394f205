//! The study that this product grew from, and the questions that it left open: many trainings, one report.

mod display;
mod plan;
mod record;
mod run;

pub use self::{
    display::Display,
    plan::{Comparison, Experiment, Group, Plan, PlanError, Published},
    record::{Measured, Outcome, Record, SetResult},
    run::{Run, RunError, Sets, run_all},
};
