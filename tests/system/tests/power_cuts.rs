//! Power cuts at many points of an update of the whole program, from its first piece to the end of its trial, on emulated
//! machines.
//!
//! `PUMUA_TEST_CUTS=200 cargo test -p system-tests --test power_cuts -- --test-threads=1` makes so many, each of which takes
//! a minute or more; without it none is made, and that is said. `PUMUA_TEST_CUTS_SEED`, a number, chooses other points;
//! `PUMUA_TEST_CUTS_PART=2/10` makes the second tenth of them, so that several processes can share them. It needs what the other tests
//! of emulated machines need (`.ci/box` makes it).
//!
//! One update is made while the emulator logs all that the card is written: by a generic machine while the bundle comes in and is
//! stored, for its line is quick, and by a Raspberry Pi through the boot loader of the card while the program is on trial. A cut after
//! one of these writes leaves the card as it was before the update with the writes up to there; of the last one perhaps only a part; and
//! of those that the card was not told to keep perhaps only some. The card of the Raspberry Pi keeps each at once. Such a card is then
//! switched on, as a Raspberry Pi.

use std::{
    collections::{BTreeMap, HashSet},
    ffi::OsStr,
    fs::{self, OpenOptions},
    ops::Range,
    path::{Path, PathBuf},
    process::Output,
    thread::sleep,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use shared::{
    appliance::slots::{BootState, MOST_TRIES, STATE_SECTORS, Slot},
    verdict::Digest,
};
use system_tests::{
    code, json_lines,
    line::{Given, Line},
    machine::{Board, Card, Filled, Guest, Machine, boot_state, boot_states, bundle, filled, sectors},
    radiographs::{READY, Radiographs, numbers_and_images, tell},
    recording::{Left, Recording},
    said, within,
};

/// For so long after a bundle is staged it is written to the card that it is: the box notes it, and tidies up.
const STAGED: Duration = Duration::from_secs(3);
/// The same after a trial has ended.
const CONFIRMED: Duration = Duration::from_secs(3);
/// Many times what a machine takes that has the computer for itself: these cuts may be made beside other work, for hours.
const LIMIT: Duration = Duration::from_secs(3600);
/// After the cuts of every so many rounds the update is given once more, where nothing is left of it.
const GIVEN_AGAIN_EVERY: usize = 5;
/// Several times what a program takes that dies until the machine restarts no more: the pauses between its starts are most of it.
const DYING: Duration = Duration::from_secs(2400);
/// Longer than the pause after the last of many deaths, and the start after it.
const AFTER_DEATHS: Duration = Duration::from_secs(180);
/// So long a shell within the machine has for reading an order.
const ORDER: Duration = Duration::from_secs(1);

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
}

/// What tells the results of a box apart.
type Results = Vec<(Value, Value)>;

/// What a variable says.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// A number that a variable holds.
fn number(name: &str) -> Option<u64> {
    let value = variable(name)?;
    Some(value.parse().unwrap_or_else(|_| panic!("{name} is to be a number, and is {value}")))
}

/// How many cuts are to be made.
fn wanted() -> usize {
    number("PUMUA_TEST_CUTS").and_then(|count| usize::try_from(count).ok()).unwrap_or_default()
}

/// Which of them this process makes: every so many, and with which it begins.
fn share() -> (usize, usize) {
    let Some(part) = variable("PUMUA_TEST_CUTS_PART") else { return (1, 0) };
    let read = part.split_once('/').and_then(|(part, of)| Some((of.parse().ok()?, part.parse::<usize>().ok()?)));
    match read {
        Some((of, part @ 1..)) if part <= of => (of, part - 1),
        _ => panic!("PUMUA_TEST_CUTS_PART is to be as 2/10, and is {part}"),
    }
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

/// A loss of power after so many writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Cut {
    writes: usize,
    left: Left,
}

/// The cut in this part of a stage, whose last writes are these: every one is cut at in each way, one after the other.
fn cut_at(part: f64, last_writes: &Range<usize>, ways: &[Left]) -> Cut {
    let number = (part * (last_writes.len() * ways.len()) as f64) as usize;
    Cut { writes: last_writes.start + number / ways.len() + 1, left: ways[number % ways.len()] }
}

#[test]
fn the_parts_of_a_stage_are_all_of_its_writes_cut_in_every_way() {
    use Left::{Torn, Whole};
    let cuts: Vec<Cut> = (0..6).map(|sixth| cut_at((f64::from(sixth) + 0.5) / 6.0, &(4..7), &[Whole, Torn])).collect();
    let expected = [5, 6, 7].map(|writes| [Whole, Torn].map(|left| Cut { writes, left }));
    assert_eq!(cuts, expected.concat());
}

/// A part of an update that one machine makes.
struct Half {
    /// The card before the machine was switched on.
    before: PathBuf,
    recording: Recording,
    /// How the writes that come last can be cut.
    ways: &'static [Left],
}

/// An update, and what every cut begins with.
struct Update {
    card: Card,
    results: Results,
    bundle: PathBuf,
    on_line: Half,
    on_trial: Half,
    /// The writes of each stage, among those of its half.
    stages: [Range<usize>; Stage::ALL.len()],
}

/// What a cut led to.
struct Outcome {
    /// What the card had at the cut, and its digest.
    state: BootState,
    second: Filled,
    content: Digest,
    /// How often the machine was switched on until it was READY, and what ran then.
    starts: u8,
    runs: Slot,
    /// Whether the update was given once more.
    is_given_again: bool,
}

/// The output of a command of `pumua` on the line that ends well, at once or after some attempts.
fn output(machine: &Machine, subcommand: &str, arguments: &[&OsStr]) -> Result<Output> {
    let mut output = machine.host(subcommand, arguments);
    let is_done = within(LIMIT, || {
        if code(&output) != 0 {
            output = machine.host(subcommand, arguments);
        }
        code(&output) == 0
    });
    ensure!(is_done, "{subcommand} fails: {}\n{}", said(&output), machine.log());
    Ok(output)
}

/// The results that the box has.
fn results(machine: &Machine) -> Result<Results> {
    let records = json_lines(&output(machine, "results", &["--json".as_ref()])?);
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

impl Update {
    /// Makes an update that nothing disturbs, from a new card with two results on.
    fn record(card: Card, bundle: PathBuf) -> Result<Self> {
        let disk = card.copy("card");
        ensure!(filled(&disk, Slot::B)? == Filled::Nothing, "a new card has nothing in its second slot");
        let (mut machine, log) = card.record(&disk, Board::Virtual)?;
        let radiographs = Radiographs::find();
        radiographs.first_ready(&mut machine, LIMIT);
        radiographs.check(&machine, 2);
        let results = numbers_and_images(&machine);
        ensure!(results.len() == 2, "there are not two results: {results:?}");
        let received_from = log.length()?;
        let (bytes, mut received_at) = (fs::read(&bundle)?, None);
        let given = Line::connect(&machine.port)?.give(&bytes, |given| {
            if given == Given::Whole {
                received_at.get_or_insert_with(|| log.length());
            }
            false
        });
        given.with_context(|| machine.log())?;
        let received_at = received_at.context("the box works at the bundle before it has all of it")??;
        sleep(STAGED);
        let recording = log.end(machine)?;
        let second = sectors(Slot::B);
        let of_second = recording.writes().iter().position(|write| write.touches(&second));
        let staged =
            recording.first(STATE_SECTORS[0], |bytes| BootState::read(bytes).is_some_and(|state| state.tries > 0))?;
        let begins = [
            recording.made_at(received_from),
            recording.made_at(received_at),
            of_second.context("nothing is written to the second slot")?,
            1 + recording
                .first(second.start, |bytes| bytes.iter().any(|&byte| byte != 0))?
                .context("it has no beginning")?,
            staged.context("it is not to be tried")?,
            recording.writes().len(),
        ];
        let on_line = Half { before: log.before, recording, ways: &[Left::Whole, Left::Torn, Left::Scattered] };

        let disk = card.copy_of(&disk, "trial");
        let (mut machine, log) = card.record(&disk, Board::Pi3)?;
        let info = machine.ready(LIMIT)?;
        let ready_at = log.length()?;
        ensure!(slot(&info)? == Slot::B, "the new program is not tried: {info}");
        ensure!(within(LIMIT, || stays(&disk)), "the new program does not stay: {:?}", boot_states(&disk)?);
        sleep(CONFIRMED);
        let kept = self::results(&machine)?;
        ensure!(kept == results, "there were the results {results:?}, and are {kept:?} without any loss of power");
        let recording = log.end(machine)?;
        let stays = recording
            .first(STATE_SECTORS[0], |bytes| BootState::read(bytes).is_some_and(|state| state.good == Slot::B))?;
        // It may be confirmed before the host, which asks again and again, has its answer.
        let serving = recording.made_at(ready_at).min(stays.context("it is not confirmed")?);
        let tried = [0, serving, recording.writes().len()];
        let on_trial = Half { before: log.before, recording, ways: &[Left::Whole, Left::Torn] };

        let of_stages = |begins: &[usize]| begins.windows(2).map(|pair| pair[0]..pair[1]).collect::<Vec<_>>();
        let stages = [of_stages(&begins), of_stages(&tried)].concat();
        ensure!(stages.iter().all(|stage| !stage.is_empty()), "a stage writes nothing: {stages:?}");
        let stages = <[_; Stage::ALL.len()]>::try_from(stages).ok().context("there are other stages")?;
        Ok(Self { card, results, bundle, on_line, on_trial, stages })
    }

    /// The half that a stage belongs to.
    fn half(&self, stage: Stage) -> &Half {
        if (stage as usize) < ON_LINE { &self.on_line } else { &self.on_trial }
    }

    /// The cut in this part of a stage.
    fn cut_at(&self, stage: Stage, part: f64) -> Cut {
        cut_at(part, &self.stages[stage as usize], self.half(stage).ways)
    }

    /// Looks what the box makes of a cut, which `seed` decides on where it leaves anything to chance.
    fn cut(&self, stage: Stage, cut: Cut, mut seed: u64, is_to_be_given_again: bool) -> Result<Outcome> {
        let Half { before, recording, .. } = self.half(stage);
        let disk = self.card.copy_of(before, "cut");
        recording.play(&OpenOptions::new().write(true).open(&disk)?, cut.writes, cut.left, || random(&mut seed))?;
        let (state, second, content) = (boot_state(&disk)?, filled(&disk, Slot::B)?, Digest::of(&fs::read(&disk)?));
        let words = || format!("with {state:?} and the second slot {second:?}");
        let (starts, runs) = self.recover(&disk, state, second).with_context(words)?;
        let is_given_again = is_to_be_given_again && self.give_again(&disk).with_context(words)?;
        Ok(Outcome { state, second, content, starts, runs, is_given_again })
    }

    /// Switches the box on again, through its boot loader: it must serve, with all results. Returns how often that took, and what
    /// runs.
    fn recover(&self, disk: &Path, state: BootState, second: Filled) -> Result<(u8, Slot)> {
        let mut starts = 1;
        let (machine, runs) = loop {
            let mut machine = self.card.start(disk, Board::Pi3)?;
            match machine.ready(LIMIT) {
                Ok(info) => break (machine, slot(&info)?),
                // One that gives way is switched off and on.
                Err(_) if state.tries > 0 && starts < MOST_TRIES => starts += 1,
                Err(error) => return Err(error),
            }
        };
        let kept = results(&machine)?;
        ensure!(kept == self.results, "there were the results {:?}, and now {kept:?}", self.results);
        let expected = if state.tries > 0 { state.good.other() } else { state.good };
        ensure!(runs == expected, "slot {} runs, and not {}", runs.name(), expected.name());
        if runs == Slot::B {
            ensure!(within(LIMIT, || stays(disk)), "the new program does not stay: {:?}", boot_states(disk)?);
        } else if second != Filled::Nothing {
            // The first process has had all of the bundle, and needs nobody to go on.
            let is_staged = || boot_state(disk).is_ok_and(|state| state.tries == MOST_TRIES);
            ensure!(within(LIMIT, is_staged), "what is left of the bundle is not stored: {:?}", boot_states(disk)?);
        }
        machine.cut_power();
        Ok((starts, runs))
    }

    /// Gives the update once more where there is nothing left of it that would be tried. False where there is.
    fn give_again(&self, disk: &Path) -> Result<bool> {
        if boot_state(disk)? != (BootState { good: Slot::A, tries: 0 }) {
            return Ok(false);
        }
        let mut machine = self.card.start_slot(disk)?;
        machine.ready(LIMIT)?;
        // The box may be at work at what is left over, for the third time, and refuse that at first.
        output(&machine, "update", &[self.bundle.as_os_str()])?;
        let state = boot_state(disk)?;
        machine.cut_power();
        ensure!(state == (BootState { good: Slot::A, tries: MOST_TRIES }), "it is not tried: {state:?}");
        Ok(true)
    }
}

#[test]
fn a_power_cut_at_any_point_of_an_update_leaves_a_program_that_serves_and_all_results() {
    let count = wanted();
    if count == 0 {
        return tell(
            "skipped: power cuts of an update; PUMUA_TEST_CUTS says how many, 200 for example, a minute or more each",
        );
    }
    let seed = number("PUMUA_TEST_CUTS_SEED").unwrap_or(1);
    let (every, first) = share();
    let Some(card) = Card::available().map(Card::with_own_clock) else { return };
    let Some(bundle) = bundle() else { return };
    let update = Update::record(card, bundle).unwrap();
    for (stage, writes) in Stage::ALL.iter().zip(&update.stages) {
        tell(&format!("{stage:?} makes {} writes", writes.len()));
    }
    let (mut failures, mut seen, mut contents, mut given_again) =
        (Vec::new(), BTreeMap::<_, u32>::new(), HashSet::new(), 0);
    for (number, (stage, part)) in points(count, seed).into_iter().enumerate().skip(first).step_by(every) {
        let cut = update.cut_at(stage, part);
        let is_to_be_given_again = (number / Stage::ALL.len()).is_multiple_of(GIVEN_AGAIN_EVERY);
        let begins = format!(
            "cut {} of {count}, {stage:?}, after write {} of {}, {:?}",
            number + 1,
            cut.writes - update.stages[stage as usize].start,
            update.stages[stage as usize].len(),
            cut.left
        );
        match update.cut(stage, cut, seed ^ number as u64, is_to_be_given_again) {
            Ok(Outcome { state, second, content, starts, runs, is_given_again }) => {
                let is_new = contents.insert(content);
                tell(&format!(
                    "{begins}: good {}, tries {}, second slot {second:?}, {}; READY at start {starts}, slot {} runs{}",
                    state.good.name(),
                    state.tries,
                    if is_new { "another card" } else { "a card as before" },
                    runs.name(),
                    if is_given_again { "; given again" } else { "" }
                ));
                *seen.entry((stage, cut.left, runs.name())).or_default() += 1;
                given_again += u32::from(is_given_again);
            }
            Err(error) => {
                tell(&format!("{begins}: FAILED: {error:#}"));
                failures.push(begins);
            }
        }
    }
    for ((stage, left, slot), cuts) in seen {
        tell(&format!("{cuts} power cuts while {stage:?}, {left:?}: slot {slot} runs, with all results"));
    }
    tell(&format!("{} cards that differ; the update was given again to {given_again}", contents.len()));
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
