//! Power cuts at many points of an update of the whole program, from its first piece to the end of its trial, on emulated
//! machines.
//!
//! `PUMUA_TEST_CUTS=200 cargo test -p system-tests --test power_cuts -- --test-threads=1` makes so many, each of which takes
//! minutes; without it none is made, and that is said. `PUMUA_TEST_CUTS_SEED`, a number, chooses other points. It needs what
//! the other tests of emulated machines need (`.ci/box` makes it).
//!
//! The emulator is ended by force: what the machine has in its memory is lost, and what its card has taken is there. A card
//! that loses or tears what it had taken is played in the tests of `device/src/init/software`, at every single write.
//! While the bundle comes in and is stored, the machine is a generic one, whose line is quick; every other start is that of a
//! Raspberry Pi through the boot loader of the card.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use shared::appliance::slots::{BootState, MOST_TRIES, Slot};
use system_tests::{
    code, json_lines,
    line::{Given, Line},
    machine::{Board, Card, Filled, Guest, Machine, boot_state, boot_states, bundle, filled},
    radiographs::{READY, READY_PI, Radiographs, numbers_and_images, tell},
    said, within,
};

/// For so long after a bundle is staged power cuts still belong to that: the box notes it, and tidies up.
const STAGED: Duration = Duration::from_secs(3);
/// For so long after a trial has ended they still belong to that.
const CONFIRMED: Duration = Duration::from_secs(2);
/// Several times what a program takes that dies until the machine restarts no more: the pauses between its starts are most of it.
const DYING: Duration = Duration::from_secs(2400);
/// Longer than the pause after the last of many deaths, and the start after it.
const AFTER_DEATHS: Duration = Duration::from_secs(180);
/// So long a shell within the machine has for reading an order.
const ORDER: Duration = Duration::from_secs(1);
/// From one look at the card to the next.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How far an update is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Stage {
    /// The pieces of the bundle come in.
    Receiving,
    /// All of it is there; it is copied, and its signature is checked.
    Verifying,
    /// It is unpacked into the slot.
    Writing,
    /// The slot is read back, and what is in it is noted.
    Reading,
    /// It is to be tried at the next start.
    Staged,
    /// Boot loader, kernel and program start on trial.
    Starting,
    /// It is READY, and is confirmed after a while.
    Serving,
}

/// Those while the bundle comes over the line and goes to the slot.
const ON_LINE: usize = 5;

impl Stage {
    const ALL: [Self; 7] =
        [Self::Receiving, Self::Verifying, Self::Writing, Self::Reading, Self::Staged, Self::Starting, Self::Serving];

    fn is_on_line(self) -> bool {
        (self as usize) < ON_LINE
    }
}

/// How long each stage takes where nothing is cut.
type Lengths = [Duration; Stage::ALL.len()];

/// When each stage on the line began; `None` of those that have not.
type Begun = [Option<Duration>; ON_LINE];

/// What tells the results of a box apart.
type Results = Vec<(Value, Value)>;

/// A number that a variable holds.
fn number(variable: &str) -> Option<u64> {
    let value = std::env::var(variable).ok().filter(|value| !value.is_empty())?;
    Some(value.parse().unwrap_or_else(|_| panic!("{variable} is to be a number, and is {value}")))
}

/// How many cuts are to be made.
fn wanted() -> usize {
    number("PUMUA_TEST_CUTS").and_then(|count| usize::try_from(count).ok()).unwrap_or_default()
}

/// The next number of a sequence, from 0 to below 1 (SplitMix64).
fn random(state: &mut u64) -> f64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^= mixed >> 31;
    (mixed >> 11) as f64 / (1_u64 << 53) as f64
}

/// Where the power is cut: in which stage, and in which part of it, from 0 to below 1. Each stage gets as many, one in each
/// equal part.
fn points(count: usize, mut seed: u64) -> Vec<(Stage, f64)> {
    let rounds = count.div_ceil(Stage::ALL.len());
    let all = (0..rounds).flat_map(|round| Stage::ALL.map(|stage| (round, stage)));
    all.take(count).map(|(round, stage)| (stage, (round as f64 + random(&mut seed)) / rounds as f64)).collect()
}

#[test]
fn points_lie_in_every_part_of_every_stage_and_come_again_with_their_seed() {
    let made = points(70, 1);
    for stage in Stage::ALL {
        let mut parts: Vec<f64> = made.iter().filter(|point| point.0 == stage).map(|point| point.1).collect();
        parts.sort_by(f64::total_cmp);
        let tenths: Vec<usize> = parts.iter().map(|part| (part * 10.0) as usize).collect();
        assert_eq!(tenths, (0..10).collect::<Vec<_>>(), "{stage:?}: {parts:?}");
    }
    assert_eq!(made, points(70, 1));
    assert_ne!(made, points(70, 2));
    assert_eq!(points(3, 1).len(), 3);
    assert!(points(0, 1).is_empty());
}

/// How far the card shows that an update on the line has come.
fn on_the_card(disk: &Path, given: Given) -> Result<Stage> {
    if boot_state(disk)?.tries > 0 {
        return Ok(Stage::Staged);
    }
    Ok(match (filled(disk, Slot::B)?, given) {
        (Filled::Whole, _) => Stage::Reading,
        (Filled::Part, _) => Stage::Writing,
        (Filled::Nothing, Given::Whole) => Stage::Verifying,
        (Filled::Nothing, Given::Part) => Stage::Receiving,
    })
}

/// Takes note of the stages that have begun by now. True if the time has come that is waited for.
fn look(
    disk: &Path,
    given: Given,
    passed: Duration,
    begun: &mut Begun,
    until: Option<(Stage, Duration)>,
) -> Result<bool> {
    let now = on_the_card(disk, given)?;
    // One that is soon over may never be seen.
    for stage in begun.iter_mut().take(now as usize + 1) {
        stage.get_or_insert(passed);
    }
    let Some((stage, after)) = until else { return Ok(false) };
    Ok(begun.get(stage as usize).copied().flatten().is_some_and(|at| passed >= at + after))
}

/// Gives a bundle to a machine that is READY, until so much of a stage has passed, or until it is staged.
fn give(machine: &Machine, disk: &Path, bundle: &[u8], until: Option<(Stage, Duration)>) -> Result<Begun> {
    let start = Instant::now();
    let (mut begun, mut trouble) = (Begun::default(), Ok(()));
    let mut is_time = |given| look(disk, given, start.elapsed(), &mut begun, until);
    let stop = |given| {
        is_time(given).unwrap_or_else(|error| {
            trouble = Err(error);
            true
        })
    };
    let is_staged = Line::connect(&machine.port)?.give(bundle, stop)?;
    trouble?;
    if is_staged {
        while !is_time(Given::Whole)? && until.is_some() {
            sleep(LOOK_EVERY);
        }
    }
    Ok(begun)
}

/// The results that the box has.
fn results(machine: &Machine) -> Result<Results> {
    let output = machine.host("results", ["--json"]);
    ensure!(code(&output) == 0, "the results are not handed out: {}", said(&output));
    let records = json_lines(&output);
    Ok(records.into_iter().map(|record| (record["number"].clone(), record["image"].clone())).collect())
}

/// Whether both copies of the boot state say that the second slot is started from now on.
fn stays(disk: &Path) -> bool {
    boot_states(disk).is_ok_and(|states| states == [Some(BootState { good: Slot::B, tries: 0 }); 2])
}

/// The slot that runs.
fn slot(info: &Value) -> Result<Slot> {
    info["slot"].as_str().and_then(Slot::of_name).with_context(|| format!("no slot runs: {info}"))
}

/// What every cut begins with.
struct Update {
    card: Card,
    /// A card with some results, and an empty second slot.
    prepared: PathBuf,
    results: Results,
    bundle: PathBuf,
    bytes: Vec<u8>,
}

/// What a cut led to.
struct Outcome {
    /// From the first piece, or from when the machine was switched on, to the cut.
    passed: Duration,
    /// What the card had at the cut.
    state: BootState,
    second: Filled,
    /// How often the machine was switched on until it was READY, and what ran then.
    starts: u8,
    runs: Slot,
}

impl Update {
    /// A whole update without a cut: how long its stages take, and a copy of the card when it was staged.
    fn uncut(&self) -> Result<(Lengths, PathBuf)> {
        let disk = self.card.copy_of(&self.prepared, "uncut");
        let mut machine = self.card.start_slot(&disk)?;
        machine.ready(READY)?;
        let begun = give(&machine, &disk, &self.bytes, None)?;
        sleep(STAGED);
        machine.cut_power();
        let staged = self.card.copy_of(&disk, "staged");

        let start = Instant::now();
        let mut machine = self.card.start(&disk, Board::Pi3)?;
        let info = machine.ready(READY_PI)?;
        let starting = start.elapsed();
        ensure!(slot(&info)? == Slot::B, "the new program is not tried: {info}");
        ensure!(within(READY_PI, || stays(&disk)), "the new program does not stay: {:?}", boot_states(&disk)?);
        let serving = start.elapsed().saturating_sub(starting);
        ensure!(results(&machine)? == self.results, "results are lost without any power cut");
        machine.cut_power();

        let mut lengths = Lengths::default();
        for (length, pair) in lengths.iter_mut().zip(begun.windows(2)) {
            if let [Some(from), Some(to)] = pair {
                *length = to.saturating_sub(*from);
            }
        }
        lengths[Stage::Staged as usize] = STAGED;
        lengths[Stage::Starting as usize] = starting;
        lengths[Stage::Serving as usize] = serving + CONFIRMED;
        Ok((lengths, staged))
    }

    /// Cuts the power when so much of a stage has passed, and looks what the box makes of it.
    fn cut(&self, staged: &Path, stage: Stage, after: Duration) -> Result<Outcome> {
        let from = if stage.is_on_line() { self.prepared.as_path() } else { staged };
        let disk = self.card.copy_of(from, "cut");
        let passed = if stage.is_on_line() {
            let mut machine = self.card.start_slot(&disk)?;
            machine.ready(READY)?;
            let start = Instant::now();
            give(&machine, &disk, &self.bytes, Some((stage, after)))?;
            let passed = start.elapsed();
            machine.cut_power();
            passed
        } else {
            let start = Instant::now();
            let mut machine = self.card.start(&disk, Board::Pi3)?;
            if stage == Stage::Serving {
                machine.ready(READY_PI)?;
            }
            sleep(after);
            let passed = start.elapsed();
            machine.cut_power();
            passed
        };
        let (state, second) = (boot_state(&disk)?, filled(&disk, Slot::B)?);
        let words = || format!("after {} ms, with {state:?} and the second slot {second:?}", passed.as_millis());
        let (starts, runs) = self.recover(&disk, state, second).with_context(words)?;
        self.give_again(&disk).with_context(words)?;
        Ok(Outcome { passed, state, second, starts, runs })
    }

    /// Switches the box on again, through its boot loader: it must serve, with all results. Returns how often that took, and what
    /// runs.
    fn recover(&self, disk: &Path, state: BootState, second: Filled) -> Result<(u8, Slot)> {
        let mut starts = 1;
        let (machine, runs) = loop {
            let mut machine = self.card.start(disk, Board::Pi3)?;
            match machine.ready(READY_PI) {
                Ok(info) => break (machine, slot(&info)?),
                // One that gives way is switched off and on.
                Err(_) if state.tries > 0 && starts < MOST_TRIES => starts += 1,
                Err(error) => return Err(error),
            }
        };
        let kept = results(&machine)?;
        ensure!(kept == self.results, "there were the results {:?}, and now {kept:?}", self.results);
        ensure!(state.tries > 0 || runs == state.good, "slot {} runs, which nothing points to", runs.name());
        if runs == Slot::B {
            ensure!(within(READY_PI, || stays(disk)), "the new program does not stay: {:?}", boot_states(disk)?);
        } else if state.tries == 0 && second != Filled::Nothing {
            // The first process has had all of the bundle, and needs nobody to go on.
            let is_staged = || boot_state(disk).is_ok_and(|state| state.tries == MOST_TRIES);
            ensure!(within(READY_PI, is_staged), "what is left of the bundle is not stored: {:?}", boot_states(disk)?);
        }
        machine.cut_power();
        Ok((starts, runs))
    }

    /// Gives the update once more where there is nothing left of it that would be tried.
    fn give_again(&self, disk: &Path) -> Result<()> {
        if boot_state(disk)? != (BootState { good: Slot::A, tries: 0 }) {
            return Ok(());
        }
        let mut machine = self.card.start_slot(disk)?;
        machine.ready(READY)?;
        let mut output = machine.host("update", [&self.bundle]);
        if code(&output) != 0 {
            // The box may have been at work at what was left over, for the third time, and may have refused that.
            output = machine.host("update", [&self.bundle]);
        }
        ensure!(code(&output) == 0, "it is not taken again: {}\n{}", said(&output), machine.log());
        let state = boot_state(disk)?;
        machine.cut_power();
        ensure!(state == (BootState { good: Slot::A, tries: MOST_TRIES }), "it is not tried: {state:?}");
        Ok(())
    }
}

#[test]
fn a_power_cut_at_any_point_of_an_update_leaves_a_program_that_serves_and_all_results() {
    let count = wanted();
    if count == 0 {
        return tell(
            "skipped: power cuts of an update; PUMUA_TEST_CUTS says how many, 200 for example, some minutes each",
        );
    }
    let seed = number("PUMUA_TEST_CUTS_SEED").unwrap_or(1);
    let Some(card) = Card::available() else { return };
    let Some(bundle) = bundle() else { return };

    let prepared = card.copy("prepared");
    let radiographs = Radiographs::find();
    let mut machine = card.start_slot(&prepared).unwrap();
    radiographs.first_ready(&mut machine, READY);
    radiographs.check(&machine, 2);
    let results = numbers_and_images(&machine);
    machine.cut_power();
    assert_eq!(results.len(), 2);
    assert_eq!(filled(&prepared, Slot::B).unwrap(), Filled::Nothing, "a new card has nothing in its second slot");

    let bytes = std::fs::read(&bundle).unwrap();
    let update = Update { card, prepared, results, bundle, bytes };
    let (lengths, staged) = update.uncut().unwrap();
    for (stage, length) in Stage::ALL.iter().zip(lengths) {
        tell(&format!("without a cut: {stage:?} takes {} ms", length.as_millis()));
    }
    let (mut failures, mut seen) = (Vec::new(), BTreeMap::<(Stage, &str), u32>::new());
    for (number, (stage, part)) in (1..).zip(points(count, seed)) {
        let begins = format!("cut {number} of {count}, {:.0} % of {stage:?}", part * 100.0);
        match update.cut(&staged, stage, lengths[stage as usize].mul_f64(part)) {
            Ok(Outcome { passed, state, second, starts, runs }) => {
                tell(&format!(
                    "{begins}: after {} ms, good {}, tries {}, second slot {second:?}; READY at start {starts}, slot {} \
                     runs",
                    passed.as_millis(),
                    state.good.name(),
                    state.tries,
                    runs.name()
                ));
                *seen.entry((stage, runs.name())).or_default() += 1;
            }
            Err(error) => {
                tell(&format!("{begins}: FAILED: {error:#}"));
                failures.push(begins);
            }
        }
    }
    for ((stage, slot), cuts) in seen {
        tell(&format!("{cuts} power cuts while {stage:?}: slot {slot} runs, with all results"));
    }
    assert!(failures.is_empty(), "seed {seed}, {} of {count}: {failures:#?}", failures.len());
}

/// The trial is over for a program that serves, so the other slot is no way out: what dies each time that it has got ready ends in safe
/// mode, which hands out the results.
#[test]
fn a_program_that_dies_whenever_it_is_ready_ends_in_safe_mode_and_restarts_no_machine_for_ever() {
    if wanted() == 0 {
        return tell(
            "skipped: a program that dies whenever it is ready takes a quarter of an hour; see PUMUA_TEST_CUTS",
        );
    }
    let Some(card) = Card::available() else { return };
    let Some(mut machine) = card.start_with(Guest::Shell, &card.copy("dying")).unwrap() else { return };
    let radiographs = Radiographs::find();
    radiographs.first_ready(&mut machine, READY);
    radiographs.check(&machine, 1);
    let results = numbers_and_images(&machine);
    let gives_up = within(DYING, || {
        if code(&machine.host("info", ["--json"])) == 0 {
            // The shell reads it while the console is open.
            let _console = machine.order("/guest/busybox kill -KILL $(/guest/busybox pidof exe)").unwrap();
            sleep(ORDER);
        }
        machine.log().contains("3 restarts have not helped; it stays in safe mode")
    });
    assert!(gives_up, "{}", machine.log());
    machine.ready(AFTER_DEATHS).unwrap();
    assert_eq!(machine.log().matches("the machine restarts").count(), 3, "{}", machine.log());
    assert_eq!(numbers_and_images(&machine), results);
}
