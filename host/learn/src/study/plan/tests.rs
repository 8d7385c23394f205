use data::split::SplitKind;

use super::*;
use crate::{
    network::Architecture,
    training::{OptimizerKind, Steps},
};

fn recipe(name: &str) -> Recipe {
    Plan::builtin().unwrap().experiment(name).unwrap_or_else(|| panic!("no {name}")).recipe.clone()
}

#[test]
fn rows_are_those_of_the_study() {
    let sgd = recipe("sgd");
    assert_eq!((sgd.side, sgd.split, sgd.network.channels), (64, SplitKind::Study, 3));
    assert_eq!((sgd.batch, sgd.steps, sgd.validation_steps), (20, Steps::Number(48), Steps::Number(16)));
    assert_eq!((sgd.epochs, sgd.optimizer.kind, sgd.optimizer.learning_rate), (30, OptimizerKind::Sgd, 0.01));
    assert_eq!(recipe("sgd-l2"), Recipe { l2: 0.005, ..sgd.clone() });
    assert_eq!(recipe("sgd-dropout"), Recipe { dropout: 0.3, ..sgd.clone() });

    let mut adam = sgd.clone();
    (adam.optimizer.kind, adam.optimizer.learning_rate) = (OptimizerKind::Adam, 0.001);
    assert_eq!(recipe("adam"), adam);
    let mut deeper = adam.clone();
    deeper.network.architecture = Architecture::Deeper;
    assert_eq!(recipe("deeper"), deeper);
    let whole = Recipe { steps: Steps::WHOLE, validation_steps: Steps::WHOLE, ..adam.clone() };
    assert_eq!(recipe("adam-whole"), whole);
    assert_eq!(recipe("adam-whole-l2"), Recipe { l2: 0.005, ..whole });
    let batch =
        Recipe { batch: 32, steps: Steps::Number(30), validation_steps: Steps::Number(10), epochs: 50, ..adam.clone() };
    assert_eq!(recipe("adam-batch-32"), batch);

    let sweep = Recipe { epochs: 10, ..sgd };
    assert_eq!(recipe("sweep-none"), sweep);
    let swept: Vec<String> = Plan::builtin()
        .unwrap()
        .experiments
        .iter()
        .filter(|e| e.group == "sweep")
        .map(|e| {
            assert_eq!(Recipe { augmentation: Default::default(), ..e.recipe.clone() }, sweep);
            let lowered = e.published.as_ref().is_some_and(|p| p.lower_than.as_deref() == Some("sweep-none"));
            format!("{}{}", e.recipe.augmentation, if lowered { ", lowered" } else { "" })
        })
        .collect();
    assert_eq!(
        swept,
        [
            "none",
            "horizontal flip, lowered",
            "brightness 0.5 to 2, lowered",
            "brightness 0.3 to 3, lowered",
            "brightness 0.5 to 1.5, lowered",
            "width shift ±0.2, lowered",
            "height shift ±0.2, lowered",
            "rotation ±40°, lowered",
            "rotation ±90°, lowered",
            "rotation ±360°, lowered",
            "zoom 1 ± 0.1, lowered",
            "zoom 1 ± 0.2, lowered",
            "shear ±0.2°, lowered",
            "shear ±0.3°",
            "shear ±0.4°, lowered",
        ]
    );
}

#[test]
fn figures_are_those_that_were_published() {
    let plan = Plan::builtin().unwrap();
    let published: Vec<(&str, Option<f64>, Option<f64>)> = plan
        .experiments
        .iter()
        .filter_map(|e| Some((e.name.as_str(), e.published.as_ref()?)))
        .filter(|(_, p)| p.lower_than.is_none())
        .map(|(name, p)| (name, p.train_accuracy, p.test_accuracy))
        .collect();
    assert_eq!(
        published,
        [
            ("sgd", Some(0.9370), Some(0.9295)),
            ("sgd-l2", Some(0.9212), Some(0.8976)),
            ("sgd-dropout", Some(0.8694), Some(0.8464)),
            ("sgd-shear", Some(0.9356), Some(0.9295)),
            ("adam", Some(0.9736), Some(0.9545)),
            ("deeper", Some(0.9678), Some(0.9522)),
            ("adam-whole", Some(1.0), Some(0.9590)),
            ("adam-whole-l2", Some(0.9432), Some(0.9352)),
        ]
    );
}

#[test]
fn mild_and_strong_are_the_same_everywhere() {
    let plan = Plan::builtin().unwrap();
    for (word, like, count) in [("mild", "adam-mild", 8), ("strong", "adam-strong", 8)] {
        let of_word = plan.experiments.iter().filter(|e| e.name.split('-').any(|part| part == word));
        let augmentations: Vec<_> = of_word.map(|e| &e.recipe.augmentation).collect();
        assert_eq!(augmentations.len(), count);
        assert!(augmentations.iter().all(|a| **a == recipe(like).augmentation && !a.is_identity()));
    }
}

#[test]
fn built_in_recipes_come_back_from_toml() {
    for experiment in Plan::builtin().unwrap().experiments {
        let text = toml::to_string(&experiment.recipe).unwrap();
        assert_eq!(toml::from_str::<Recipe>(&text).unwrap(), experiment.recipe, "{}", experiment.name);
    }
}

#[test]
fn a_file_may_build_on_what_is_there() {
    let mut plan = Plan::builtin().unwrap();
    let text = r#"
        [[group]]
        name = "mine"
        title = "Mine"
        text = ""

        [[experiment]]
        name = "mine-1"
        title = "one"
        group = "mine"
        like = "adam"
        recipe = { optimizer = { beta_1 = 0.5 }, augmentation = { zoom = 0.1 } }

        [[experiment]]
        name = "mine-2"
        title = "two"
        group = "mine"
        like = "mine-1"
        seeds = [7]
        recipe = { augmentation = { rotation = 5.0 } }

        [[comparison]]
        name = "mine"
        question = "?"
        experiments = ["adam", "mine-2"]
    "#;
    plan.extend("mine.toml", text).unwrap();
    let two = plan.experiment("mine-2").unwrap();
    assert_eq!(two.seeds, Some(vec![7]));
    assert_eq!((two.recipe.augmentation.zoom, two.recipe.augmentation.rotation), (0.1, 5.0));
    assert_eq!(two.recipe.optimizer.beta_1, Some(0.5));
    assert_eq!(two.recipe.optimizer.learning_rate, 0.001);

    let yours = text.replace("mine", "yours");
    for (text, expected) in [
        (text.to_owned(), "`mine` is of two groups"),
        (yours.replace("beta_1", "momentum"), "this optimizer does not have it"),
        (yours.replace("seeds = [7]", "seeds = [7, 7]"), "the seeds of `yours-2`"),
        (yours.replace("seeds = [7]", "seeds = []"), "the seeds of `yours-2`"),
        (
            yours.replace("seeds = [7]", "published = { test_accuracy = 95.45 }"),
            "the published `test_accuracy` of `yours-2` is 95.45; it must be a share",
        ),
        (yours.replace("seeds = [7]", "published = { test_loss = inf }"), "the published `test_loss`"),
        (
            yours.replace("seeds = [7]", "published = { lower_than = \"theirs\" }"),
            "the name `theirs` after `lower_than`",
        ),
        (yours.replace("question = \"?\"", "question = \"is adam better than SGD\""), "has already been asked"),
        (yours.replace("\"yours-2\"\n", "\"yours-1\"\n"), "`yours-1` is there already"),
    ] {
        let refused = plan.clone().extend("file.toml", &text).unwrap_err().to_string();
        assert!(refused.contains(expected), "{refused}");
    }
}

#[test]
fn another_optimizer_comes_without_the_settings_of_the_first() {
    let mut plan = Plan::builtin().unwrap();
    let text = r#"
        [[experiment]]
        name = "heavy"
        title = "heavy"
        group = "study"
        like = "sgd"
        recipe = { optimizer = { momentum = 0.9 } }

        [[experiment]]
        name = "light"
        title = "light"
        group = "study"
        like = "heavy"
        recipe = { optimizer = { kind = "adam", learning_rate = 0.001 } }
    "#;
    plan.extend("file.toml", text).unwrap();
    assert_eq!(plan.experiment("heavy").unwrap().recipe.optimizer.learning_rate, 0.01);
    assert_eq!(plan.experiment("light").unwrap().recipe.optimizer.momentum, None);
}
