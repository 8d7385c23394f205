//! The study that this product grew from, and the questions that it left open: many trainings, one report.

mod plan;
mod record;

pub use self::{
    plan::{Comparison, Experiment, Group, Plan, PlanError, Published},
    record::{Measured, Outcome, Record, SetResult},
};
