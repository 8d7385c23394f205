//! How far a study has come, on stderr: bars on a terminal, a line now and then elsewhere.

use std::{
    io::IsTerminal,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use indicatif::{HumanDuration, MultiProgress, ProgressBar, ProgressStyle};

use super::{Outcome, Record, run::Run};
use crate::training::Progress;

/// Time between two lines about a run, where there is no terminal.
const QUIET: Duration = Duration::from_secs(60);

/// All experiments.
pub struct Display {
    terminal: bool,
    bars: MultiProgress,
    total: ProgressBar,
    images: usize,
    state: Mutex<State>,
}

struct State {
    start: Instant,
    /// Runs that have ended, those of earlier times included, and all.
    runs: [usize; 2],
    failed: usize,
    /// Work done since the start, and all there was to do.
    work: [f64; 2],
}

/// One run.
pub(super) struct Line<'a> {
    display: &'a Display,
    name: String,
    bar: ProgressBar,
    epochs: usize,
    work_of_epoch: f64,
    /// Epochs to be done.
    left: usize,
    spoken: Instant,
}

impl Display {
    /// A display of `runs` to be done on `images` radiographs, after `done` that are done.
    pub fn new(runs: &[Run<'_>], done: usize, images: usize) -> Self {
        let bars = MultiProgress::new();
        let style = |template| ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        let total = bars.add(ProgressBar::new((done + runs.len()) as u64));
        total.set_style(style("{prefix:>12} [{bar:30}] {pos}/{len} {msg}").progress_chars("=> "));
        total.set_prefix("study");
        total.set_position(done as u64);
        let work = runs.iter().map(|run| run.work(images)).sum();
        Self {
            terminal: std::io::stderr().is_terminal(),
            bars,
            total,
            images,
            state: Mutex::new(State {
                start: Instant::now(),
                runs: [done, done + runs.len()],
                failed: 0,
                work: [0.0, work],
            }),
        }
    }

    /// A run begins.
    pub(super) fn begin(&self, run: &Run<'_>) -> Line<'_> {
        let epochs = run.experiment.recipe.epochs * (1 + run.experiment.recipe.teachers());
        let bar = self.bars.add(ProgressBar::new(epochs as u64));
        let style = ProgressStyle::with_template("{prefix:>12} [{bar:30}] {msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> "));
        let name = format!("{} seed {}", run.experiment.name, run.seed);
        bar.set_prefix("run");
        bar.set_message(name.clone());
        Line {
            display: self,
            name,
            bar,
            epochs,
            work_of_epoch: run.work(self.images) / epochs as f64,
            left: epochs,
            spoken: Instant::now(),
        }
    }

    /// A run has ended, or was stopped.
    pub(super) fn end(&self, run: &Run<'_>, record: Option<&Record>) {
        let Some(record) = record else { return };
        let mut state = self.state();
        state.runs[0] += 1;
        let words = match &record.outcome {
            Outcome::Failed(why) => {
                state.failed += 1;
                format!("FAILED: {why}")
            }
            Outcome::Done(measured) => {
                let accuracy = measured.test.figures.accuracy.map_or(f64::NAN, |p| p.value);
                format!("test accuracy {accuracy:.4} in {:.0} s", measured.seconds)
            }
        };
        let [done, all] = state.runs;
        let how = state.words();
        drop(state);
        self.total.set_position(done as u64);
        let line = format!("{done:>4}/{all} {} seed {}: {words}", run.experiment.name, run.seed);
        if self.terminal {
            self.bars.suspend(|| base::say!("{line}"));
            self.total.set_message(how);
        } else {
            base::say!("{line}; {how}");
        }
    }

    /// Takes the bars away.
    pub fn finish(&self) {
        self.total.finish_and_clear();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// How many failed, and how much time is left, as people say it.
    fn words(&self) -> String {
        let failed = if self.failed > 0 { format!("{} failed, ", self.failed) } else { String::new() };
        let [done, all] = self.work;
        if done <= 0.0 {
            return failed;
        }
        let seconds = self.start.elapsed().as_secs_f64() * (all - done).max(0.0) / done;
        format!("{failed}{} left", HumanDuration(Duration::from_secs_f64(seconds)))
    }
}

impl Line<'_> {
    /// A step is done.
    pub(super) fn step(&mut self, progress: &Progress) {
        let Progress { epoch, step, steps, loss, images_per_second, .. } = progress;
        let words =
            format!("{} epoch {epoch}/{} loss {loss:.4} {images_per_second:.0} images/s", self.name, self.epochs);
        if !self.display.terminal && self.spoken.elapsed() > QUIET {
            self.spoken = Instant::now();
            base::say!("          {words}, step {step}/{steps}; {}", self.display.state().words());
        }
        self.bar.set_message(words);
    }

    /// The run continues after this many epochs, which are not work any more.
    pub(super) fn resumes(&mut self, epochs: usize) {
        self.bar.set_position(epochs as u64);
        self.left -= epochs.min(self.left);
        self.display.state().work[1] -= self.work_of_epoch * epochs as f64;
    }

    /// The run cannot continue where it was, and starts again.
    pub(super) fn restarts(&mut self) {
        let epochs = self.epochs - self.left;
        self.bar.set_position(0);
        self.left = self.epochs;
        self.display.state().work[1] += self.work_of_epoch * epochs as f64;
    }

    /// The run stands after this many epochs, of which one more is done.
    pub(super) fn epoch(&mut self, epochs: usize) {
        self.bar.set_position(epochs as u64);
        self.left = self.left.saturating_sub(1);
        let mut state = self.display.state();
        state.work[0] += self.work_of_epoch;
        let words = state.words();
        drop(state);
        self.display.total.set_message(words);
    }
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
        // Epochs that are not done at all are not work.
        self.display.state().work[1] -= self.work_of_epoch * self.left as f64;
    }
}
