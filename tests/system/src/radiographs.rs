//! What emulated machines are sent, and what they keep of it.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::{
    ffi::OsStr,
    io::{self, Write as _},
    path::PathBuf,
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;

use crate::{
    PLAIN_MODEL, assert_same_answers, files, json_lines, machine::Machine, predicted, real_data, synthetic_radiographs,
};

/// Longest time to READY that is waited for on a generic machine: several times what it takes, for the computer that emulates
/// it may be busy.
pub const READY: Duration = Duration::from_secs(180);
/// The same on a Raspberry Pi with its boot loader.
pub const READY_PI: Duration = Duration::from_secs(400);

/// Prints a figure in the log of the tests, past the harness, which keeps to itself what a passing test says.
pub fn tell(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// What is sent: three radiographs, real ones where they are. A drawing is judged by another model than the one that ships,
/// which refuses it.
pub struct Radiographs {
    /// Their files.
    pub images: Vec<PathBuf>,
    /// The model that judges them, if it is not the one that ships.
    pub model: Option<&'static str>,
    _folder: TempDir,
}

impl Radiographs {
    /// Real ones, or else drawn ones.
    pub fn find() -> Self {
        let folder = TempDir::new().unwrap();
        let (images, model) = match real_data() {
            Some(data) => (files(&data.join("originals")).into_iter().step_by(11).take(3).collect(), None),
            None => (synthetic_radiographs(folder.path(), 3), Some(PLAIN_MODEL)),
        };
        Self { images, model, _folder: folder }
    }

    /// Waits until a machine that has just been switched on for the first time is READY, and gives it the model.
    pub fn first_ready(&self, machine: &mut Machine, limit: Duration) -> Value {
        let info = machine.ready(limit).unwrap();
        if let Some(model) = self.model {
            machine.done("update", [model]);
        }
        info
    }

    /// Sends the first `count` and checks that the box says of them what `pumua predict` says.
    pub fn check(&self, machine: &Machine, count: usize) {
        let images = &self.images[..count];
        assert_same_answers(&predicted(images, self.model), &sent(machine, images));
    }
}

/// Sends images; what the box says of each.
pub fn sent(machine: &Machine, images: &[PathBuf]) -> Vec<Value> {
    json_lines(&machine.done("send", [OsStr::new("--json")].into_iter().chain(images.iter().map(|i| i.as_os_str()))))
}

/// The results that the box has.
pub fn records(machine: &Machine) -> Vec<Value> {
    json_lines(&machine.done("results", ["--json"]))
}

/// What tells the results of a box apart.
pub fn numbers_and_images(machine: &Machine) -> Vec<(Value, Value)> {
    records(machine).into_iter().map(|record| (record["number"].clone(), record["image"].clone())).collect()
}
