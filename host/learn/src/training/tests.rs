use data::{Label, Sample, augment::Augmentation, split::SplitKind};
use shared::contract::InputContract;

use super::*;
use crate::{
    network::{Architecture, Design},
    study::Plan,
};

/// Pneumonia is bright on the left, normal on the right; the mean is the same.
fn radiographs(count: usize, side: usize) -> (Catalogue, Inputs) {
    let label = |i: usize| Label::ALL[i % 2];
    let input = |i: usize| {
        let pixel = |p: usize| {
            let bright = (p % side < side / 2) == label(i).positive();
            (if bright { 130 } else { 100 }) + ((p * 31 + i * 17) % 50) as u8
        };
        (0..side * side).map(pixel).collect()
    };
    let sample = |i: usize| Sample::new(i.to_string(), label(i), i.to_string());
    let catalogue = Catalogue { samples: (0..count).map(sample).collect(), ..Catalogue::default() };
    (catalogue, Inputs::new(InputContract::stretched(side as u16), (0..count).map(input)))
}

fn recipe(name: &str, epochs: usize) -> Recipe {
    let plan = Plan::builtin().unwrap();
    let recipe = plan.experiment(name).unwrap().recipe.clone();
    let steps = Steps::Number(6);
    Recipe { side: 22, epochs, steps, validation_steps: Steps::Number(2), batch: 8, ..recipe }
}

/// Keeps every checkpoint.
impl Watcher for Vec<Checkpoint> {
    fn epoch(&mut self, checkpoint: &Checkpoint) -> io::Result<()> {
        self.push(checkpoint.clone());
        Ok(())
    }
}

/// Trains; the checkpoints are given back with the outcome.
fn try_run(recipe: &Recipe, from: Option<Checkpoint>, stop: bool) -> (Result<Outcome, TrainingError>, Vec<Checkpoint>) {
    run_at_sites(recipe, from, stop, |_| "")
}

/// The same on radiographs of several sites, by their numbers.
fn run_at_sites(
    recipe: &Recipe,
    from: Option<Checkpoint>,
    stop: bool,
    site: impl Fn(usize) -> &'static str,
) -> (Result<Outcome, TrainingError>, Vec<Checkpoint>) {
    let (mut catalogue, inputs) = radiographs(40, usize::from(recipe.side));
    for (index, sample) in catalogue.samples.iter_mut().enumerate() {
        site(index).clone_into(&mut sample.site);
    }
    run_on(recipe, &catalogue, &inputs, from, stop)
}

/// The same on these radiographs.
fn run_on(
    recipe: &Recipe,
    catalogue: &Catalogue,
    inputs: &Inputs,
    from: Option<Checkpoint>,
    stop: bool,
) -> (Result<Outcome, TrainingError>, Vec<Checkpoint>) {
    let split = Split {
        kind: SplitKind::Study,
        left_out: None,
        train: (0..29).collect(),
        validation: (30..40).collect(),
        test: vec![],
    };
    let device = TrainingDevice::processor();
    let task = Task { recipe, seed: 11, catalogue, inputs, split: &split, device: &device, config: "test".to_owned() };
    let mut saved = Vec::new();
    let outcome = train(&task, from, &AtomicBool::new(stop), &mut saved);
    (outcome, saved)
}

fn run(recipe: &Recipe, from: Option<Checkpoint>) -> (Trained, Vec<Checkpoint>) {
    let (outcome, saved) = try_run(recipe, from, false);
    let Outcome::Done(trained) = outcome.unwrap() else { panic!("stopped") };
    (*trained, saved)
}

#[test]
fn learns_what_the_mean_does_not_show() {
    let mut recipe = recipe("adam", 12);
    recipe.optimizer.learning_rate = 0.003;
    let history = run(&recipe, None).0.history;
    assert_eq!(history.len(), 12);
    assert!(history[11].validation_accuracy >= 0.9, "{history:?}");
    assert!(history[11].train_loss < history[0].train_loss, "{history:?}");
}

#[test]
fn resumed_is_as_if_never_stopped_to_the_bit() {
    let mut best = recipe("adam-strong-bn", 3);
    best.keep = Keep::Best;
    best.class_weights = ClassWeights::Balanced;
    let mut heavy = recipe("sgd", 3);
    heavy.optimizer.momentum = Some(0.9);
    heavy.optimizer.schedule = Schedule::Cosine;
    let mut taught = recipe("adam", 3);
    taught.optimizer = Optimizer { kind: OptimizerKind::AdamW, weight_decay: Some(0.1), ..taught.optimizer };
    taught.weight_average = 0.9;
    taught.distillation = Some(Distillation { teachers: 2, weight: 0.5 });
    for recipe in [recipe("adam", 3), recipe("sgd-l2", 3), recipe("sgd-dropout", 3), heavy, best, taught] {
        let (straight, saved) = run(&recipe, None);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(Checkpoint::FILE);
        // In the first network, and between and in those that follow.
        for checkpoint in saved.iter().skip(1).step_by(3) {
            checkpoint.save(&path).unwrap();
            let (resumed, _) = run(&recipe, Some(Checkpoint::load(&path).unwrap()));
            assert_eq!(resumed.network.state(), straight.network.state(), "{recipe:?}");
            assert_eq!(resumed.history, straight.history);
            assert_eq!(resumed.kept_epoch, straight.kept_epoch);
        }
        assert_eq!(saved.len(), (1 + recipe.teachers()) * 4);
    }
}

#[test]
fn a_longer_training_goes_on_where_a_shorter_one_ended_to_the_bit() {
    let mut best = recipe("adam-strong-bn", 5);
    best.keep = Keep::Best;
    best.class_weights = ClassWeights::Balanced;
    let mut averaged = recipe("sgd-dropout", 5);
    averaged.optimizer.momentum = Some(0.9);
    averaged.weight_average = 0.9;
    // One that has lost its patience has lost it, however many epochs follow.
    let mut impatient = Recipe { patience: Some(1), ..recipe("adam", 5) };
    impatient.optimizer.learning_rate = 0.05;
    for long in [recipe("adam", 5), recipe("sgd-l2", 5), best, averaged, impatient] {
        assert!(long.is_open_ended(), "{long:?}");
        let (at_once, whole) = run(&long, None);
        for epochs in [1, 3] {
            let (_, mut saved) = run(&Recipe { epochs, ..long.clone() }, None);
            // As it comes from the disk.
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join(Checkpoint::FILE);
            saved.pop().unwrap().save(&path).unwrap();
            let (longer, after) = run(&long, Some(Checkpoint::load(&path).unwrap()));
            assert_eq!(longer.network.state(), at_once.network.state(), "{long:?}");
            assert_eq!((longer.history, longer.kept_epoch), (at_once.history.clone(), at_once.kept_epoch));
            if let (Some(one), Some(other)) = (after.last(), whole.last()) {
                let kept =
                    |checkpoint: &Checkpoint| Checkpoint { seconds: 0.0, optimizer: Vec::new(), ..checkpoint.clone() };
                assert!(kept(one) == kept(other));
            }
        }
    }
}

#[test]
fn recipes_that_look_at_the_whole_length_are_not_open_ended() {
    let mut cosine = recipe("adam", 4);
    cosine.optimizer.schedule = Schedule::Cosine;
    let taught = Recipe { distillation: Some(Distillation { teachers: 1, weight: 0.5 }), ..recipe("adam", 4) };
    for long in [cosine, taught] {
        assert!(!long.is_open_ended());
        // That they cannot be continued is so: the shorter one has learnt something else.
        let (_, short) = run(&Recipe { epochs: 2, ..long.clone() }, None);
        let (_, whole) = run(&long, None);
        let short = short.last().unwrap();
        let same_epoch = |other: &&Checkpoint| other.history.len() == 2 && other.teachers.len() == short.teachers.len();
        assert_ne!(whole.iter().find(same_epoch).unwrap().weights, short.weights);
    }
}

#[test]
fn teachers_are_trainings_of_their_own_and_are_learnt_from() {
    let plain = recipe("adam", 2);
    let taught = |weight| Recipe { distillation: Some(Distillation { teachers: 2, weight }), ..plain.clone() };
    let (half, saved) = run(&taught(0.5), None);
    for teacher in 1..=2 {
        let alone = run(&Recipe { start: teacher, ..plain.clone() }, None).0;
        assert!(saved[8].teachers[teacher as usize - 1] == alone.network.state(), "{teacher}");
    }
    assert_eq!(half.history.len(), 2);
    assert_ne!(half.network.state(), run(&plain, None).0.network.state());
    assert_ne!(half.network.state(), run(&taught(1.0), None).0.network.state());
}

#[test]
fn what_is_learnt_from_a_disk_is_what_is_learnt_from_memory_to_the_bit() {
    for recipe in [recipe("adam", 2), recipe("adam-strong-bn", 2)] {
        let (catalogue, in_memory) = radiographs(40, usize::from(recipe.side));
        let folder = tempfile::tempdir().unwrap();
        let make = |index: usize, input: &mut [u8]| input.copy_from_slice(&in_memory.of(index).unwrap());
        let on_disk = Inputs::made(*in_memory.contract(), 40, "test", folder.path(), 0, make).unwrap();
        let learnt = |inputs: &Inputs| {
            let Ok(Outcome::Done(trained)) = run_on(&recipe, &catalogue, inputs, None, false).0 else {
                panic!("not done")
            };
            (trained.network.state(), trained.history)
        };
        assert!(learnt(&on_disk) == learnt(&in_memory), "{recipe:?}");

        // A disk that fails ends it, and nothing is learnt from what was not read.
        let shard = std::fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
        std::fs::File::options().write(true).open(shard).unwrap().set_len(2000).unwrap();
        assert!(matches!(run_on(&recipe, &catalogue, &on_disk, None, false).0, Err(TrainingError::Input(_))));
    }
}

#[test]
fn decay_shrinks_weights() {
    let decayed = |weight_decay| {
        let mut recipe = recipe("adam", 2);
        recipe.optimizer =
            Optimizer { kind: OptimizerKind::AdamW, weight_decay: Some(weight_decay), ..recipe.optimizer };
        run(&recipe, None).0.network.state().iter().map(|w| f64::from(*w).powi(2)).sum::<f64>()
    };
    assert!(decayed(20.0) < 0.9 * decayed(0.0));
}

#[test]
fn every_setting_changes_what_is_learnt() {
    let sgd = recipe("sgd", 2);
    let momentum = Optimizer { momentum: Some(0.9), ..sgd.optimizer };
    let cosine = Optimizer { schedule: Schedule::Cosine, ..sgd.optimizer };
    let state = |recipe: &Recipe| run(recipe, None).0.network.state();
    let plain = state(&sgd);
    for other in [
        Recipe { start: 1, ..sgd.clone() },
        Recipe { l2: 0.005, ..sgd.clone() },
        Recipe { dropout: 0.3, ..sgd.clone() },
        Recipe { class_weights: ClassWeights::Balanced, ..sgd.clone() },
        Recipe { optimizer: momentum, ..sgd.clone() },
        Recipe { optimizer: cosine, ..sgd.clone() },
        Recipe { augmentation: Augmentation { horizontal_flip: true, ..Augmentation::default() }, ..sgd.clone() },
        Recipe { label_smoothing: 0.1, ..sgd.clone() },
        Recipe { weight_average: 0.9, ..sgd.clone() },
        recipe("adam", 2),
    ] {
        assert_ne!(state(&other), plain, "{other:?}");
    }
}

#[test]
fn sites_are_learnt_from_by_their_weights() {
    let recipe = recipe("sgd", 2);
    let state = |site_weights, site: fn(usize) -> &'static str| {
        let recipe = Recipe { site_weights, ..recipe.clone() };
        let Ok(Outcome::Done(trained)) = run_at_sites(&recipe, None, false, site).0 else { panic!("not done") };
        trained.network.state()
    };
    let small = |i: usize| if i < 4 { "clinic" } else { "home" };
    let plain = state(SiteWeights::ByImages, |_| "");
    assert_eq!(state(SiteWeights::Equal, |_| "home"), plain, "one site counts as ever");
    assert_eq!(state(SiteWeights::ByImages, small), plain);
    assert_ne!(state(SiteWeights::Equal, small), plain);
}

#[test]
fn the_l2_term_is_part_of_the_loss() {
    let one_step = |l2| Recipe { steps: Steps::Number(1), l2, ..recipe("sgd", 1) };
    let loss = |l2| run(&one_step(l2), None).0.history[0].train_loss;
    let network = Network::initialise(&one_step(0.0).network, 22, 11, TrainingDevice::processor().device()).unwrap();
    let term = l2_term(&network, &one_step(0.5));
    assert!(term > 1.0);
    assert!((loss(0.5) - loss(0.0) - term).abs() < 1e-4 * term);
}

#[test]
fn the_number_of_threads_does_not_matter() {
    let small = recipe("adam-strong-bn", 2);
    // Large enough for the library to use several threads, too.
    let large = Recipe { side: 128, batch: 20, steps: Steps::Number(1), l2: 0.01, ..recipe("adam", 1) };
    let network =
        Design { architecture: Architecture::Averaged, channels: 1, widths: vec![8, 16, 64], batch_norm: true };
    let averaged = Recipe { side: 96, batch: 20, steps: Steps::Number(2), network, ..recipe("adam", 1) };
    for recipe in [small, large, averaged] {
        let with = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let trained = run(&recipe, None).0;
                (trained.network.state(), trained.history)
            })
        };
        assert_eq!(with(1), with(3));
    }
}

#[test]
fn stopping_keeps_the_last_checkpoint() {
    let recipe = recipe("adam", 2);
    let (outcome, saved) = try_run(&recipe, None, true);
    assert!(matches!(outcome, Ok(Outcome::Stopped)));
    assert_eq!(saved.len(), 1);
    let resumed = run(&recipe, Some(saved[0].clone())).0;
    assert_eq!(resumed.network.state(), run(&recipe, None).0.network.state());
}

#[test]
fn patience_ends_a_training_and_the_best_weights_are_kept() {
    let mut recipe = Recipe { patience: Some(2), keep: Keep::Best, ..recipe("adam", 200) };
    // Large steps make the validation loss rise soon.
    recipe.optimizer.learning_rate = 0.05;
    let (trained, saved) = run(&recipe, None);
    let best = trained.history.iter().min_by(|a, b| a.validation_loss.total_cmp(&b.validation_loss)).unwrap();
    assert_eq!(trained.kept_epoch, best.epoch);
    assert_eq!(trained.history.len(), best.epoch + 2);
    assert_eq!(trained.network.state(), saved[best.epoch].weights);
}

#[test]
fn checkpoints_of_other_trainings_are_refused() {
    let recipe = recipe("adam", 1);
    let (_, saved) = run(&recipe, None);
    for other in [
        Checkpoint { config: "other".to_owned(), ..saved[0].clone() },
        Checkpoint { weights: vec![0.0; 3], ..saved[0].clone() },
        Checkpoint { best: vec![0.0; 3], ..saved[0].clone() },
        Checkpoint { step: u64::MAX, ..saved[0].clone() },
    ] {
        assert!(matches!(try_run(&recipe, Some(other), false).0, Err(TrainingError::OtherTraining)));
    }
}
