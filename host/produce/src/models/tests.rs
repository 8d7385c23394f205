use data::{
    Sample, Subtype,
    split::SplitKind,
    synthetic::{self, Drawing},
};
use engine::{Provenance, judge::admit};
use learn::network::{Architecture, Design, Network};
use shared::{
    contract::{Fit, InputContract},
    preprocess::{Channels, Picture, Samples},
};

use super::*;

/// Radiographs of the training.
const SAME: Origin = Origin::Training { familiar: false };

/// Drawings that are seen as learnt from, at most: as many as a guard needs, and a few.
const TRAINED: usize = 210;

/// The models of a network that was never trained, made with `images` drawings.
fn models_of(design: &Design, images: u64, folder: &Path) -> (Catalogue, Inputs, Split, MadeModels) {
    models_with(InputContract::stretched(32), design, images, folder)
}

/// The number in the name of a drawing.
fn number(name: &str) -> u64 {
    name.split('-').nth(1).unwrap().parse().unwrap()
}

/// The same for another contract.
fn models_with(
    contract: InputContract,
    design: &Design,
    images: u64,
    folder: &Path,
) -> (Catalogue, Inputs, Split, MadeModels) {
    let (mut catalogue, inputs) = synthetic::radiographs(images, 3, &contract).unwrap();
    // Drawings have no kinds of pneumonia: these are assigned.
    let kinds = [Subtype::Bacteria, Subtype::Virus].into_iter().cycle();
    let ill = catalogue.samples.iter_mut().filter(|sample| sample.label.positive());
    ill.zip(kinds).for_each(|(sample, kind)| sample.subtype = Some(kind));
    let mut split = Split::new(&catalogue, SplitKind::Patient, 3).unwrap();
    // Operating points need a hundred of each label, drawings take time: more of them than usual are for these.
    let more = split.train.len().saturating_sub(TRAINED);
    split.validation.extend(split.train.drain(..more));
    let layers =
        Network::initialise(design, contract.side.into(), 3, learn::device::TrainingDevice::processor().device())
            .unwrap()
            .layers();
    let mut card = ModelCard::new("synthetic-test", contract);
    card.provenance = Provenance {
        version: String::new(),
        synthetic: true,
        recipe: "none".to_owned(),
        seed: 3,
        split: "patient".to_owned(),
        data_digest: catalogue.digest().to_string(),
        ..Provenance::default()
    };
    let made = make_models(layers, &card, true, &catalogue, &inputs, &split, folder).unwrap();
    (catalogue, inputs, split, made)
}

#[test]
fn models_on_disk_are_those_that_were_measured() {
    let design = Design { architecture: Architecture::Baseline, channels: 1, widths: Vec::new(), batch_norm: false };
    let folder = tempfile::tempdir().unwrap();
    let (_, inputs, split, made) = models_of(&design, 60, folder.path());
    let names: Vec<_> = made.models.iter().map(|m| m.file.as_str()).collect();
    assert_eq!(names, ["synthetic-model-float32.onnx", "synthetic-model-int8.onnx"]);
    for (result, int8) in made.models.iter().zip([false, true]) {
        let model = Model::open(&folder.path().join(&result.file)).unwrap();
        assert_eq!(model.digest().to_string(), result.digest);
        assert_eq!((model.card().behaviour.int8, model.card().behaviour.point), (int8, result.point));
        assert_eq!(model.card().behaviour.points.map(|points| points.balanced), Some(result.point));
        assert_eq!(model.card().metrics.get("test.auroc").copied(), result.figures.auroc);
        assert_eq!(model.card().rates(), Some(result.rates));
        for (&i, scored) in split.test.iter().zip(&result.scored) {
            assert_eq!(model.classify(&inputs.of(i).unwrap()).unwrap().probability, scored.probability);
        }
    }
    let recipe = Model::open(&folder.path().join(names[1])).unwrap().card().provenance.recipe.clone();
    assert!(recipe.contains(&made.models[0].digest), "{recipe}");
}

#[test]
fn rates_are_those_of_the_box_at_every_operating_point() {
    let design =
        Design { architecture: Architecture::Averaged, channels: 1, widths: vec![6, 12, 24], batch_norm: true };
    let folder = tempfile::tempdir().unwrap();
    // Windows are looked for in the whole picture, once.
    let contract = InputContract { fit: Fit::Unframed, ..InputContract::stretched(64) };
    let (catalogue, inputs, split, made) = models_with(contract, &design, 520, folder.path());
    let bytes = std::fs::read(folder.path().join(&made.models[1].file)).unwrap();
    let mut model = Model::from_bytes(&bytes).unwrap();
    let is_whole = |index: usize| {
        let input = inputs.of(index).unwrap();
        let prepared = Picture::new(Samples::U8(&input), Channels::Grey, 64, 64, 64).unwrap();
        prepared.judged(&contract).is_whole()
    };
    let again = split.test.iter().filter(|index| !is_whole(**index)).count();
    assert!(again > 0, "preparing a second time changes nothing");
    for profile in Profile::ALL {
        model.decide_by(profile).unwrap();
        let mut counted = Rates::default();
        for &index in &split.test {
            // The whole picture, as a box is given it.
            let Drawing { width, height, pixels, .. } = synthetic::draw(3, number(&catalogue.samples[index].name));
            let picture = Picture::new(Samples::U8(&pixels), Channels::Grey, width, height, width as usize).unwrap();
            let verdict = match admit(&picture, None, model.card()) {
                Ok(input) => model.judge(&input).unwrap().verdict.ok(),
                Err(_) => None,
            };
            counted.of(catalogue.samples[index].label.positive()).count(verdict, 1);
        }
        assert_eq!(model.card().rates(), Some(counted), "{profile}");
    }
    let measured = model.card().measured.as_ref().unwrap();
    assert_eq!((measured.split.as_str(), measured.seed, measured.rates.len()), ("patient", 3, 3));
    assert_eq!(
        (measured.fitted_on as usize, &measured.data_digest),
        (split.validation.len(), &catalogue.digest().to_string())
    );

    // Fitted again on the same radiographs, the file stays the same.
    assert!(fit_again(&bytes, &catalogue, &inputs, &split, 3, SAME).unwrap() == bytes);
    // What is familiar is found again, too.
    let mut older = engine::decode(&bytes).unwrap();
    let mut card = engine::card(&older).unwrap();
    let guard = card.behaviour.guard.as_mut().unwrap();
    (guard.features, guard.style) = (None, None);
    older.metadata_props.iter_mut().find(|p| p.key == CARD_KEY).unwrap().value = serde_json::to_string(&card).unwrap();
    let anew = Origin::Training { familiar: true };
    assert!(fit_again(&older.encode_to_vec(), &catalogue, &inputs, &split, 3, anew).unwrap() == bytes);
    // Under another split it has learnt from what it would be measured on.
    let other_seed = fit_again(&bytes, &catalogue, &inputs, &split, 4, SAME).unwrap_err();
    assert!(matches!(other_seed, MakeError::OtherSplit), "{other_seed}");
    let other_kind = Split { kind: SplitKind::Study, ..split.clone() };
    let other_kind = fit_again(&bytes, &catalogue, &inputs, &other_kind, 3, SAME).unwrap_err();
    assert!(matches!(other_kind, MakeError::OtherSplit), "{other_kind}");
    let seen = fit_again(&bytes, &catalogue, &inputs, &split, 3, Origin::Unseen).unwrap_err();
    assert!(matches!(seen, MakeError::Seen), "{seen}");
    let few = Split { validation: split.validation[..150].to_vec(), ..split.clone() };
    let few = fit_again(&bytes, &catalogue, &inputs, &few, 3, SAME).unwrap_err();
    assert!(matches!(few, MakeError::TooFew { normal, pneumonia } if normal + pneumonia == 150), "{few}");

    // With one file more they are other data, and what was learnt from is among them.
    let mut more = catalogue.clone();
    more.samples.push(Sample { name: "one-more.png".to_owned(), ..catalogue.samples[0].clone() });
    let inputs = (0..catalogue.samples.len()).chain([0]).map(|index| inputs.of(index).unwrap().into_owned());
    let inputs = Inputs::new(contract, inputs);
    let error = fit_again(&bytes, &more, &inputs, &split, 3, SAME).unwrap_err();
    assert!(matches!(error, MakeError::OtherData), "{error}");
}

#[test]
fn points_can_be_fitted_on_other_radiographs_and_the_weights_stay() {
    let design =
        Design { architecture: Architecture::Averaged, channels: 1, widths: vec![6, 12, 24], batch_norm: true };
    let folder = tempfile::tempdir().unwrap();
    let (.., made) = models_of(&design, 300, folder.path());
    let before = std::fs::read(folder.path().join(&made.models[1].file)).unwrap();
    let (others, inputs) = synthetic::radiographs(260, 8, &InputContract::stretched(32)).unwrap();
    let split = Split::new(&others, SplitKind::Study, 5).unwrap();
    let after = fit_again(&before, &others, &inputs, &split, 5, Origin::Unseen).unwrap();
    let [mut old, mut new] = [&before, &after].map(|bytes| engine::decode(bytes).unwrap());
    let [old_card, new_card] = [&old, &new].map(|file| engine::card(file).unwrap());
    let measured = new_card.measured.clone().unwrap();
    assert_eq!((measured.split.as_str(), measured.seed), ("study", 5));
    assert_eq!(measured.data_digest, others.digest().to_string());
    // Nothing was learnt from them: all but the test part may be used.
    assert_eq!(measured.fitted_on as usize, split.train.len() + split.validation.len());
    assert_eq!(new_card.provenance, old_card.provenance);
    assert_eq!(new_card.behaviour.guard, old_card.behaviour.guard);
    for file in [&mut old, &mut new] {
        file.metadata_props.retain(|property| property.key != CARD_KEY);
    }
    assert!(old == new, "all but the card is as it was");
}

#[test]
fn a_model_of_one_threshold_has_no_points_to_fit() {
    let contract = InputContract::stretched(32);
    let design = Design { architecture: Architecture::Baseline, channels: 1, widths: Vec::new(), batch_norm: false };
    let layers =
        Network::initialise(&design, 32, 3, learn::device::TrainingDevice::processor().device()).unwrap().layers();
    let onnx = export::to_onnx(&layers, &ModelCard::new("synthetic-test", contract)).unwrap();
    let (catalogue, inputs) = synthetic::radiographs(60, 3, &contract).unwrap();
    let split = Split::new(&catalogue, SplitKind::Patient, 3).unwrap();
    let error = fit_again(&onnx, &catalogue, &inputs, &split, 3, SAME).unwrap_err();
    assert!(matches!(error, MakeError::NotCalibrated), "{error}");
}

#[test]
fn of_many_training_images_checks_are_fitted_on_some_drawn_by_the_seed() {
    let of = |train: std::ops::Range<usize>| Split {
        kind: SplitKind::Patient,
        left_out: None,
        train: train.collect(),
        validation: Vec::new(),
        test: Vec::new(),
    };
    let few = of(7..7 + FITTED_IMAGES);
    assert_eq!(*fitted_on(&few, 1), few.train);
    let many = of(7..8 + 2 * FITTED_IMAGES);
    let [drawn, again, other] = [1, 1, 2].map(|seed| fitted_on(&many, seed));
    assert_eq!(drawn.len(), FITTED_IMAGES);
    assert!(drawn.is_sorted_by(|a, b| a < b) && drawn.iter().all(|index| (7..8 + 2 * FITTED_IMAGES).contains(index)));
    assert!(drawn == again && drawn != other);
}

#[test]
fn the_card_holds_what_the_box_needs_beside_the_answer() {
    let design =
        Design { architecture: Architecture::Averaged, channels: 1, widths: vec![6, 12, 24], batch_norm: true };
    let folder = tempfile::tempdir().unwrap();
    let (_, inputs, split, made) = models_of(&design, 300, folder.path());
    let [float, int8] = [0, 1].map(|n| Model::open(&folder.path().join(&made.models[n].file)).unwrap());
    for model in [&float, &int8] {
        let card = model.card();
        let guard = card.behaviour.guard.as_ref().unwrap();
        assert_eq!(guard.images as usize, split.train.len());
        let features = guard.features.as_ref().unwrap();
        let held = |&&i: &&usize| features.holds(&model.examine(&inputs.of(i).unwrap()).unwrap().features);
        assert!(split.train.iter().filter(held).count() * 100 >= split.train.len() * 98);
        let contract = &card.behaviour.contract;
        let limit = f64::from(guard.style.as_ref().unwrap().limit);
        let strange = |&&i: &&usize| {
            let features = model.examine(&inputs.of(i).unwrap()).unwrap().features;
            // The limit itself was rounded.
            guard.strangeness(&features, &inputs.of(i).unwrap(), contract).unwrap() > 1.000_001 * limit
        };
        let strange = split.validation.iter().filter(strange).count();
        assert_eq!(strange, 3 * split.validation.len() / 100);
    }
    assert_eq!(float.card().behaviour.points, int8.card().behaviour.points);
    let features = |model: &Model| model.card().behaviour.guard.as_ref().and_then(|guard| guard.features.clone());
    assert_ne!(features(&float), features(&int8), "each has those of its own arithmetic");
    let [kinds, others] = [float.card(), int8.card()].map(|card| card.behaviour.subtypes.clone().unwrap());
    assert_ne!(kinds, others, "and so weighs them in its own way");
}
