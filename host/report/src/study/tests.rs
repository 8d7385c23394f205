use std::ops::Range;

use learn::{
    study::{Measured, Outcome, SetResult},
    training::EpochMetrics,
};
use measure::{figures::Figures, statistics::Scored};
use serde_json::Value;

use super::{differences::Verdict, intervals::Difference, *};
use crate::{NOT_A_DEVICE, SYNTHETIC};

const PLAN: &str = r#"
[[group]]
name = "all"
title = "All of <them>"
text = "What to know of *them*."

[[experiment]]
name = "base"
title = "the base | with a bar"
group = "all"
published = { test_accuracy = 0.85, test_images = 879, train_accuracy = 0.9, train_images = 4098, test_loss = 0.3 }
recipe = { side = 64, split = "study", batch = 20, steps = 6, validation_steps = 2, epochs = 3, network = { architecture = "baseline", channels = 3 }, optimizer = { kind = "sgd", learning_rate = 0.01 } }

[[experiment]]
name = "better"
title = "better"
group = "all"
like = "base"
published = { test_accuracy = 0.5, test_images = 879, note = "They threw a coin." }

[[experiment]]
name = "same"
title = "same"
group = "all"
like = "base"
published = { lower_than = "base" }

[[experiment]]
name = "few"
title = "few"
group = "all"
like = "base"
published = { test_accuracy = 0.75 }

[[experiment]]
name = "unsteady"
title = "unsteady"
group = "all"
like = "base"

[[experiment]]
name = "broken"
title = "broken"
group = "all"
like = "base"

[[experiment]]
name = "missing"
title = "missing"
group = "all"
like = "base"
on_request = true

[[experiment]]
name = "apart"
title = "apart"
group = "all"
like = "base"
recipe = { split = "patient" }

[[comparison]]
name = "question"
question = "Is it better?"
experiments = ["base", "better", "same", "few", "unsteady", "broken", "missing", "apart"]
note = "Nobody knows."

[[comparison]]
name = "nothing"
question = "Is there nothing?"
experiments = ["missing", "broken"]
"#;

fn plan() -> Plan {
    let mut plan = Plan::default();
    plan.extend("test", PLAN).unwrap();
    plan
}

fn about(synthetic: bool) -> About {
    About {
        data: "a <drawer>".to_owned(),
        notes: vec!["Dealt out again.".to_owned()],
        runs: 25,
        images: PartCount { normal: 700, pneumonia: 2100 },
        skipped: 3,
        synthetic,
    }
}

/// A run of `epochs` that is wrong on the images named, out of 400.
fn record(plan: &Plan, name: &str, seed: u64, epochs: usize, wrong: Range<usize>) -> Record {
    let score = |i: usize| {
        let positive = !i.is_multiple_of(4);
        let sure = 0.6 + 0.3 * (i * 7 % 400) as f32 / 400.0;
        Scored { positive, probability: if wrong.contains(&i) == positive { 1.0 - sure } else { sure } }
    };
    let scores: Vec<Scored> = (0..400).map(score).collect();
    let figures = Figures::of(&scores, 0.5);
    let set = SetResult { loss: 0.25, cross_entropy: 0.2, figures };
    let epoch = |epoch: usize| EpochMetrics {
        epoch,
        train_loss: 0.5 / epoch as f64,
        train_accuracy: 0.9,
        validation_loss: 0.6 / epoch as f64,
        validation_accuracy: 0.8,
    };
    let part = PartCount { normal: 100, pneumonia: 300 };
    record_of(
        plan,
        name,
        seed,
        Outcome::Done(Box::new(Measured {
            parameters: 1234,
            parts: [part; 3],
            seconds: 90.0 + seed as f64,
            history: (1..=epochs).map(epoch).collect(),
            kept_epoch: epochs,
            train: set.clone(),
            test: set,
            test_scores: scores,
        })),
    )
}

fn record_of(plan: &Plan, name: &str, seed: u64, outcome: Outcome) -> Record {
    Record {
        experiment: name.to_owned(),
        seed,
        fingerprint: "f".repeat(64),
        version: "0.1.0".to_owned(),
        date: format!("2026-01-01T00:00:0{seed}Z"),
        machine: "a machine".to_owned(),
        threads: 2,
        data_digest: "d".repeat(64),
        synthetic: false,
        recipe: plan.experiment(name).unwrap().recipe.clone(),
        outcome,
    }
}

fn records(plan: &Plan) -> Vec<Record> {
    let mut records = Vec::new();
    for seed in [3, 1, 2] {
        records.push(record(plan, "base", seed, 3, 0..60));
        records.push(record(plan, "better", seed, 3, 0..20));
        records.push(record(plan, "same", seed, 3, 1..61));
        records.push(record(plan, "unsteady", seed, 3, if seed == 3 { 0..61 } else { 0..10 }));
        records.push(record(plan, "apart", seed, 3, 0..100 + seed as usize));
    }
    records.extend([1, 2].map(|seed| record(plan, "few", seed, 3, 0..20)));
    records.push(record_of(plan, "broken", 1, Outcome::Failed("it <broke>".to_owned())));
    records
}

fn verdicts(plan: &Plan, records: &[Record]) -> Vec<Verdict> {
    let about = about(false);
    let summary = Summary::new(plan, records, &about);
    summary.comparisons[0].others.iter().map(|contrast| contrast.verdict).collect()
}

#[test]
fn claims_are_made_only_where_the_intervals_allow_them() {
    use Verdict::*;
    let plan = plan();
    let mut records = records(&plan);
    assert_eq!(verdicts(&plan, &records), [Higher, Open, FewSeeds, SeedsDisagree, Missing, Missing, Lower]);
    // One run of other images that is as good as the base: nothing can be claimed of it any more.
    records.iter_mut().filter(|r| r.experiment == "apart" && r.seed == 2).for_each(|r| {
        *r = record(&plan, "apart", 2, 3, 0..60);
    });
    assert_eq!(verdicts(&plan, &records)[6], SeedsDisagree);
    // The same decisions on other data are of other images.
    records.iter_mut().filter(|r| r.experiment == "better").for_each(|r| r.data_digest = "e".repeat(64));
    let about = about(false);
    let summary = Summary::new(&plan, &records, &about);
    let evidence = summary.comparisons[0].others[0].evidence.as_ref().unwrap();
    assert_eq!((evidence.pairs, evidence.seeds), (None, 3));
}

#[test]
fn figures_are_of_all_seeds() {
    let (plan, about) = (plan(), about(false));
    let records = records(&plan);
    let summary = Summary::new(&plan, &records, &about);
    let row = summary.row("apart").unwrap();
    let figures = row.figures.as_ref().unwrap();
    assert!((figures.test_accuracy.spread.mean - 298.0 / 400.0).abs() < 1e-12);
    assert_eq!((figures.test_accuracy.spread.min, figures.test_accuracy.spread.max), (0.7425, 0.7475));
    assert_eq!((figures.test_accuracy.images, figures.seconds.mean), (400, 92.0));
    let confusion = figures.confusion;
    assert_eq!(confusion.positives() + confusion.negatives(), 1200);
    assert_eq!(row.runs.iter().map(|run| run.seed).collect::<Vec<_>>(), [1, 2, 3]);
    let evidence = summary.comparisons[0].others[0].evidence.as_ref().unwrap();
    let pairs = evidence.pairs.unwrap();
    assert_eq!((pairs.images, pairs.gained, pairs.lost), (1200, 120, 0));
    // Of the images of one seed.
    assert_eq!((evidence.difference, &evidence.by_seed[..]), (Difference::paired(40.0, 0.0, 400.0), &[0.1; 3][..]));
    assert_eq!(
        ["broken", "missing", "few"].map(|name| summary.row(name).unwrap().state()),
        ["failed", "not run (only on request)", "2"]
    );
}

#[test]
fn every_file_is_written_and_says_the_same() {
    let plan = plan();
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("figures")).unwrap();
    for name in ["figures/old.svg", "figures/mine.txt"] {
        fs::write(folder.path().join(name), "").unwrap();
    }
    write(&plan, &records(&plan), &about(true), folder.path()).unwrap();
    assert!(!folder.path().join("figures/old.svg").exists() && folder.path().join("figures/mine.txt").exists());
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    let (html, markdown) = (read("report.html"), read("report.md"));

    for text in [&html, &markdown] {
        assert!(text.contains(NOT_A_DEVICE));
        assert!(text.matches(SYNTHETIC).count() >= 6);
        assert!(text.contains("Seed 1 failed: it &lt;broke"));
        for word in ["They threw a coin.", "not run (only on request)", "Nobody knows.", "Dealt out again."] {
            assert!(text.contains(word), "{word}");
        }
    }
    assert!(markdown.contains("**Higher** test accuracy than [base](#base): [better](#better) by +10.00 points"));
    assert!(markdown.contains("**The data do not show** a difference from [base](#base): [same](#same) between"));
    assert!(markdown.contains("the base \\| with a bar"));

    // Nothing is fetched, every link leads somewhere, every picture is there.
    assert!(html.contains(crate::document::html::POLICY));
    for word in ["<script", "<link", "<img", " src=", "url(", "@import"] {
        assert!(!html.contains(word), "{word}");
    }
    let anchors = anchors(&html);
    for link in html.split("href=\"").skip(1) {
        let link = link.split('"').next().unwrap();
        assert!(anchors.contains(&link.strip_prefix('#').unwrap()), "{link}");
    }
    let pictures: Vec<_> =
        markdown.split("](figures/").skip(1).map(|rest| rest.split(')').next().unwrap().to_owned()).collect();
    assert!(pictures.len() > 20);
    for picture in pictures {
        let svg = read(&format!("figures/{picture}"));
        assert!(html.contains(&svg) && svg.contains("role=\"img\"") && svg.contains("SYNTHETIC"), "{picture}");
    }
}

/// Every anchor of a page; none is there twice.
fn anchors(html: &str) -> Vec<&str> {
    let anchors: Vec<_> = html.split(" id=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert_eq!(anchors.iter().collect::<HashSet<_>>().len(), anchors.len());
    anchors
}

#[test]
fn published_figures_are_beside_those_of_radiographs_only() {
    let (plan, heading) = (plan(), "## Beside the published figures");
    let text = |about: &About| {
        let records = records(&plan);
        let summary = Summary::new(&plan, &records, about);
        markdown::render(TITLE, &sections::document(&plan, &summary).unwrap())
    };
    let real = text(&about(false));
    for words in [
        heading,
        "The 95 % intervals of the test accuracy, here and published, overlap in 1 of 2 rows.",
        "[better](#better), test: here 0.9500 (0.924–0.967), published 0.5000 (0.467–0.533). They threw a coin.",
        "Of 1 experiment it was published only that the accuracy was lower than that of [base](#base). Here:",
        "- **the data do not show**: [same](#same)",
        // Without an interval, for want of the number of images.
        "| 0.7500 | – |",
    ] {
        assert!(real.contains(words), "{words}: {real}");
    }
    assert!(!text(&about(true)).contains(heading));
}

#[test]
fn csv_and_json_are_equal() {
    let plan = plan();
    let folder = tempfile::tempdir().unwrap();
    write(&plan, &records(&plan), &about(false), folder.path()).unwrap();
    let json: Value = serde_json::from_slice(&fs::read(folder.path().join("report.json")).unwrap()).unwrap();
    let compare = |name: &str, rows: Vec<&Value>, columns: &[(&str, &str)]| {
        let mut csv = csv::Reader::from_path(folder.path().join(name)).unwrap();
        let heads = csv.headers().unwrap().clone();
        let lines: Vec<_> = csv.records().map(Result::unwrap).collect();
        assert_eq!(lines.len(), rows.len(), "{name}");
        for (line, row) in lines.iter().zip(rows) {
            for (column, pointer) in columns {
                let text = &line[heads.iter().position(|head| head == *column).unwrap()];
                let value = row.pointer(pointer).unwrap_or(&Value::Null);
                let equal = match value {
                    Value::Null => text.is_empty(),
                    Value::String(words) => text == words,
                    // JSON is not read to the last bit.
                    Value::Number(n) => (text.parse::<f64>().unwrap() - n.as_f64().unwrap()).abs() < 1e-12,
                    Value::Bool(value) => text.parse() == Ok(*value),
                    Value::Array(_) | Value::Object(_) => false,
                };
                assert!(equal, "{name} {column}: {text} {value}");
            }
        }
    };
    let rows = |value: &'_ Value| value.as_array().unwrap().clone();
    let experiments = rows(&json["experiments"]);
    compare(
        "experiments.csv",
        experiments.iter().collect(),
        &[
            ("experiment", "/name"),
            ("title", "/title"),
            ("parameters", "/figures/parameters"),
            ("test_images", "/figures/test_accuracy/images"),
            ("test_accuracy", "/figures/test_accuracy/spread/mean"),
            ("test_accuracy_low", "/figures/test_accuracy/interval/low"),
            ("test_accuracy_high", "/figures/test_accuracy/interval/high"),
            ("test_accuracy_min", "/figures/test_accuracy/spread/min"),
            ("test_accuracy_max", "/figures/test_accuracy/spread/max"),
            ("test_accuracy_deviation", "/figures/test_accuracy/spread/deviation"),
            ("train_accuracy", "/figures/train_accuracy/spread/mean"),
            ("train_accuracy_low", "/figures/train_accuracy/interval/low"),
            ("train_accuracy_high", "/figures/train_accuracy/interval/high"),
            ("test_loss", "/figures/test_loss/mean"),
            ("train_loss", "/figures/train_loss/mean"),
            ("auroc", "/figures/auroc/mean"),
            ("sensitivity", "/figures/sensitivity/mean"),
            ("specificity", "/figures/specificity/mean"),
            ("seconds", "/figures/seconds/mean"),
            ("published_test_accuracy", "/published/published/test_accuracy"),
            ("published_test_accuracy_low", "/published/test_accuracy/low"),
            ("published_test_accuracy_high", "/published/test_accuracy/high"),
            ("published_train_accuracy", "/published/published/train_accuracy"),
            ("published_test_loss", "/published/published/test_loss"),
            ("test_overlaps", "/published/test_overlaps"),
            ("train_overlaps", "/published/train_overlaps"),
        ],
    );
    let runs: Vec<Value> = experiments.iter().flat_map(|row| rows(&row["runs"])).collect();
    compare(
        "runs.csv",
        runs.iter().collect(),
        &[
            ("experiment", "/experiment"),
            ("seed", "/seed"),
            ("failure", "/failure"),
            ("synthetic", "/synthetic"),
            ("test_accuracy", "/figures/test_accuracy"),
            ("train_accuracy", "/figures/train_accuracy"),
            ("test_loss", "/figures/test_loss"),
            ("train_loss", "/figures/train_loss"),
            ("auroc", "/figures/auroc"),
            ("sensitivity", "/figures/sensitivity"),
            ("specificity", "/figures/specificity"),
            ("kept_epoch", "/figures/kept_epoch"),
            ("epochs", "/figures/epochs"),
            ("train_images", "/figures/images/0"),
            ("test_images", "/figures/images/2"),
            ("seconds", "/figures/seconds"),
            ("threads", "/threads"),
            ("data_digest", "/data_digest"),
            ("fingerprint", "/fingerprint"),
        ],
    );
    let contrasts: Vec<Value> = rows(&json["comparisons"]).iter().flat_map(|answer| rows(&answer["others"])).collect();
    compare(
        "comparisons.csv",
        contrasts.iter().collect(),
        &[
            ("experiment", "/experiment"),
            ("seeds", "/evidence/seeds"),
            ("images", "/evidence/pairs/images"),
            ("gained", "/evidence/pairs/gained"),
            ("lost", "/evidence/pairs/lost"),
            ("difference", "/evidence/difference/value"),
            ("difference_low", "/evidence/difference/low"),
            ("difference_high", "/evidence/difference/high"),
            ("auroc_difference", "/evidence/auroc"),
        ],
    );
}

#[test]
fn the_built_in_plan_fits_into_a_page() {
    let (plan, about) = (Plan::builtin().unwrap(), about(false));
    let mut records = Vec::new();
    for (i, experiment) in plan.experiments.iter().enumerate() {
        for seed in 1..=3 {
            records.push(record(&plan, &experiment.name, seed, experiment.recipe.epochs, i..i + 20 + seed as usize));
        }
    }
    let summary = Summary::new(&plan, &records, &about);
    let html = html::render(TITLE, &sections::document(&plan, &summary).unwrap());
    assert!(html.len() < 5_000_000, "{}", html.len());
    anchors(&html);
}

#[test]
fn nothing_run_is_a_report_too() {
    let folder = tempfile::tempdir().unwrap();
    write(&plan(), &[], &about(false), folder.path()).unwrap();
    let markdown = fs::read_to_string(folder.path().join("report.md")).unwrap();
    assert!(markdown.contains("not run") && !markdown.contains(SYNTHETIC));
    write(&Plan::default(), &[], &about(false), folder.path()).unwrap();
}
