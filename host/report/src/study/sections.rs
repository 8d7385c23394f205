//! The report's sections.

use learn::study::{Group, Plan, Published};
use measure::statistics::Proportion;

use super::{
    charts::Charts,
    differences::{ComparisonAnswer, Contrast},
    intervals::Spread,
    summary::{Check, ExperimentRow, Run, Summary},
    words::{self, optional, proportion, share, spread},
};
use crate::{
    NOT_A_DEVICE, SYNTHETIC,
    document::{Block, Line, NOTHING, Span, Table},
    plots::PlotError,
};

/// Writes the whole report.
pub(super) fn document(plan: &Plan, summary: &Summary<'_>) -> Result<Vec<Block>, PlotError> {
    let synthetic = summary.synthetic();
    let charts = Charts { synthetic };
    let mut blocks = vec![Block::Notice(NOT_A_DEVICE.to_owned())];
    let mut section = |heading: &str, inside: Vec<Block>| {
        blocks.push(Block::Heading(2, heading.to_owned()));
        // A reader who comes from a link must see it, too.
        blocks.extend(synthetic.then(|| Block::Notice(SYNTHETIC.to_owned())));
        blocks.extend(inside);
    };
    section("What was run", ran(summary));
    section("Answers", answers(summary));
    // What drawings give says nothing about figures from X-rays.
    let beside = if synthetic { Vec::new() } else { published(summary, &charts)? };
    if !beside.is_empty() {
        section("Beside the published figures", beside);
    }
    section("Tables", plan.groups.iter().flat_map(|group| tables(group, summary)).collect());
    let mut inside = Vec::new();
    for answer in &summary.comparisons {
        inside.extend(comparison(answer, summary, &charts)?);
    }
    section("Comparisons", inside);
    let mut inside = Vec::new();
    for group in &plan.groups {
        inside.push(Block::Heading(3, format!("{}: one by one", group.title)));
        for row in summary.experiments.iter().filter(|row| row.group == group.name) {
            inside.extend(experiment(row, &charts)?);
        }
    }
    section("Each experiment", inside);
    section("How the figures are made", vec![Block::List(METHODS.iter().map(|m| vec![(*m).into()]).collect())]);
    Ok(blocks)
}

const METHODS: [&str; 8] = [
    "A run is one training with one seed, which splits the images, starts the network and shuffles the batches. Accuracy \
     and loss are those of the kept weights on the whole training part and the whole test part; losses are mean binary \
     cross-entropies with the L2 term.",
    "The accuracy of an experiment is the mean over its seeds; the 95 % interval is Wilson's (J. Am. Stat. Assoc. 22 \
     (1927) 209) of that mean on the images of one test part: the parts of several seeds overlap, so more seeds are not \
     more images.",
    "Published accuracies have the same interval on the images that they are of. Intervals that overlap do not contradict \
     each other; more is not said. That of a training accuracy holds the chance of images that the network has learnt \
     from, not that of another start.",
    "Runs of the same seed, split and data judge the same test images. Of those, the difference of two experiments is \
     counted over the images that only one of them decides correctly; interval: Bonett and Price, J. Educ. Behav. Stat. 37 \
     (2012) 479, of the mean counts over the common seeds on the images of one test part. The tables give the counts \
     summed over these seeds.",
    "Experiments on other splits judge other images. The interval of their difference comes from their own two \
     intervals: Newcombe, Stat. Med. 17 (1998) 873, method 10.",
    "A difference is claimed only if its interval leaves zero out, at least three seeds were run (of both, and on the same \
     images where they are paired), and every seed agrees: each common seed has the same sign or, on other splits, all \
     runs of one are better than all of the other.",
    "Thin lines of a chart are single seeds. In comparisons a line is the mean over the seeds and its band goes from the \
     lowest to the highest, as far as all its seeds were trained; rings beside an interval are single seeds.",
    "Confusion matrices are summed over the seeds' test parts; each seed has its own characteristic, on which a dot marks \
     the threshold.",
];

/// Where the figures come from.
fn ran(summary: &Summary<'_>) -> Vec<Block> {
    let about = summary.about;
    let distinct = |value: &dyn Fn(&Run<'_>) -> String| {
        let mut values: Vec<String> = summary.runs().map(value).collect();
        values.sort();
        values.dedup();
        if values.is_empty() { NOTHING.to_owned() } else { values.join(", ") }
    };
    let finished = summary.runs().filter(|run| run.figures.is_some()).count();
    let seconds: f64 = summary.runs().filter_map(|run| run.figures.as_ref()).map(|figures| figures.seconds).sum();
    let mut seeds: Vec<u64> = summary.runs().map(|run| run.seed).collect();
    seeds.sort_unstable();
    seeds.dedup();
    let dates = || summary.runs().map(|run| run.date);
    let facts = vec![
        ("Data", about.data.clone()),
        (
            "Images",
            format!(
                "{} ({} normal, {} pneumonia); {} files left out",
                about.images.normal + about.images.pneumonia,
                about.images.normal,
                about.images.pneumonia,
                about.skipped
            ),
        ),
        ("Digest of the data", distinct(&|run| run.data_digest.to_owned())),
        (
            "Runs",
            format!(
                "{finished} of {} finished, {} failed; {} of {} experiments not run",
                about.runs,
                summary.runs().count() - finished,
                summary.experiments.iter().filter(|row| row.runs.is_empty()).count(),
                summary.experiments.len()
            ),
        ),
        ("Seeds", seeds.iter().map(u64::to_string).collect::<Vec<_>>().join(", ")),
        ("Machine", distinct(&|run| format!("{} ({})", run.machine, count(run.threads, "thread")))),
        ("Version of Pumua", distinct(&|run| run.version.to_owned())),
        ("Runs ended", dates().min().zip(dates().max()).map_or(NOTHING.to_owned(), |(a, b)| format!("{a} to {b}"))),
        ("Time of training", words::time(seconds)),
    ];
    let mut blocks = vec![Block::Facts(facts)];
    if !about.notes.is_empty() {
        blocks.push(Block::List(about.notes.iter().map(|note| vec![note.as_str().into()]).collect()));
    }
    blocks.push(Block::Contents);
    blocks
}

fn answers(summary: &Summary<'_>) -> Vec<Block> {
    let intervals = summary.comparisons.iter().flat_map(|a| &a.others).filter(|c| c.evidence.is_some()).count();
    let mut blocks = vec![Block::Text(vec![
        format!(
            "A difference of test accuracy is put into words only where its 95 % interval and every seed bear it out. Even \
             so some may be luck: the interval holds the chance of the images of one test part, not that of a training's \
             start and order, and three seeds agree in sign one time in four by chance. Intervals made: {intervals}; one \
             in twenty may leave zero out by the luck of the images, here about {:.0}.",
            intervals as f64 / 20.0
        )
        .into(),
    ])];
    let (answered, open): (Vec<_>, Vec<_>) =
        summary.comparisons.iter().partition(|answer| answer.others.iter().any(|c| c.evidence.is_some()));
    let answers = answered.into_iter().map(|answer| {
        let question = Block::Text(vec![Span::Link(answer.question.to_owned())]);
        vec![question, Block::List(words::sentences(answer))]
    });
    blocks.push(Block::Beside(answers.collect()));
    if !open.is_empty() {
        blocks.push(Block::Text(vec!["Not answered, because experiments have no finished run:".into()]));
        let questions = open.iter().map(|answer| vec![Span::Link(answer.question.to_owned())]);
        blocks.push(Block::List(questions.collect()));
    }
    blocks
}

/// Our figures beside the published ones, and why some differ.
fn published(summary: &Summary<'_>, charts: &Charts) -> Result<Vec<Block>, PlotError> {
    let rows: Vec<(&ExperimentRow<'_>, &Check<'_>)> =
        summary.experiments.iter().filter_map(|row| Some((row, row.published.as_ref()?))).collect();
    let mut blocks = Vec::new();
    let mut reasons = Vec::new();
    for (part, overlaps) in [
        ("test", (|check: &Check<'_>| check.test_overlaps) as fn(&Check<'_>) -> Option<bool>),
        ("training", |check| check.train_overlaps),
    ] {
        let judged: Vec<_> = rows.iter().filter_map(|(row, check)| Some((row, check, overlaps(check)?))).collect();
        if judged.is_empty() {
            continue;
        }
        let agreeing = judged.iter().filter(|(.., overlaps)| *overlaps).count();
        blocks.push(Block::Text(vec![
            format!(
                "The 95 % intervals of the {part} accuracy, here and published, overlap in {agreeing} of {} rows.",
                judged.len()
            )
            .into(),
        ]));
        for (row, check, overlaps) in judged {
            if !overlaps {
                reasons.push(disagreement(row, check, part));
            }
        }
    }
    if !reasons.is_empty() {
        blocks.push(Block::Text(vec!["Where they do not overlap:".into()]));
        blocks.push(Block::List(reasons));
    }
    let lowered: Vec<&Contrast<'_>> = rows
        .iter()
        .filter_map(|(row, check)| {
            let without = check.published.lower_than.as_deref()?;
            let mut contrasts = summary.comparisons.iter().filter(|a| a.baseline == without).flat_map(|a| &a.others);
            contrasts.find(|contrast| contrast.experiment == row.name && contrast.evidence.is_some())
        })
        .collect();
    if !lowered.is_empty() {
        let mut others: Vec<&str> = rows.iter().filter_map(|(_, c)| c.published.lower_than.as_deref()).collect();
        others.sort_unstable();
        others.dedup();
        let experiments = count(lowered.len(), "experiment");
        let mut words =
            vec![format!("Of {experiments} it was published only that the accuracy was lower than that of ").into()];
        for (i, other) in others.into_iter().enumerate() {
            words.extend((i > 0).then(|| " or ".into()));
            words.push(Span::Link(other.to_owned()));
        }
        words.push(". Here:".into());
        blocks.push(Block::Text(words));
        blocks.push(Block::List(words::by_verdict(&lowered)));
    }
    let shown: Vec<_> = rows.iter().filter(|(_, check)| check.test_overlaps.is_some()).map(|(row, _)| *row).collect();
    if !shown.is_empty() {
        blocks.push(Block::Figures(vec![charts.published(&shown)?]));
    }
    Ok(blocks)
}

fn disagreement(row: &ExperimentRow<'_>, check: &Check<'_>, part: &str) -> Line {
    let estimate = |test| row.figures.as_ref().map(|f| if test { &f.test_accuracy } else { &f.train_accuracy });
    let (ours, theirs) = match part {
        "test" => (estimate(true), check.test_accuracy),
        _ => (estimate(false), check.train_accuracy),
    };
    let share = |p: Option<Proportion>| {
        p.map_or_else(String::new, |p| format!("{} ({})", share(p.value), words::range(p.low, p.high)))
    };
    vec![
        Span::Link(row.name.to_owned()),
        format!(", {part}: here {}, published {}. ", share(ours.map(|e| e.interval)), share(theirs)).into(),
        check.published.note.as_deref().unwrap_or("The plan names no reason.").into(),
    ]
}

/// The tables of a group.
fn tables(group: &Group, summary: &Summary<'_>) -> Vec<Block> {
    let rows: Vec<_> = summary.experiments.iter().filter(|row| row.group == group.name).collect();
    let mut blocks = vec![Block::Heading(3, group.title.clone()), Block::Text(vec![group.text.trim().into()])];
    if rows.is_empty() {
        return blocks;
    }
    let published = |is_published: fn(&Published) -> bool| {
        rows.iter().any(|row| row.published.as_ref().is_some_and(|check| is_published(check.published)))
    };
    let test = published(|p| p.test_accuracy.is_some());
    let train = published(|p| p.train_accuracy.is_some());
    let accuracies: [Column; 9] = [
        ("experiment", true, named),
        ("runs", true, |row| vec![row.state().into()]),
        ("test accuracy", true, |row| proportion(row.figures.as_ref().map(|f| f.test_accuracy.interval))),
        ("over seeds", true, over_seeds),
        ("published", test || published(|p| p.lower_than.is_some()), |row| match &row.published {
            Some(Check { published: Published { test_accuracy: None, lower_than: Some(_), .. }, .. }) => {
                vec!["lower".into()]
            }
            check => as_published(check.as_ref(), |c| (c.test_accuracy, c.published.test_accuracy)),
        }),
        ("overlap", test, |row| yes_or_no(row.published.as_ref().and_then(|c| c.test_overlaps))),
        ("training accuracy", true, |row| proportion(row.figures.as_ref().map(|f| f.train_accuracy.interval))),
        ("published", train, |row| {
            as_published(row.published.as_ref(), |c| (c.train_accuracy, c.published.train_accuracy))
        }),
        ("overlap", train, |row| yes_or_no(row.published.as_ref().and_then(|c| c.train_overlaps))),
    ];
    let others: [Column; 10] = [
        ("experiment", true, named),
        ("test loss", true, |row| spread(row.figures.as_ref().map(|f| f.test_loss))),
        ("published", published(|p| p.test_loss.is_some()), |row| {
            optional(row.published.as_ref().and_then(|c| c.published.test_loss))
        }),
        ("training loss", true, |row| spread(row.figures.as_ref().map(|f| f.train_loss))),
        ("published", published(|p| p.train_loss.is_some()), |row| {
            optional(row.published.as_ref().and_then(|c| c.published.train_loss))
        }),
        ("AUROC", true, |row| spread(row.figures.as_ref().and_then(|f| f.auroc))),
        ("sensitivity", true, |row| spread(row.figures.as_ref().and_then(|f| f.sensitivity))),
        ("specificity", true, |row| spread(row.figures.as_ref().and_then(|f| f.specificity))),
        ("parameters", true, |row| cell(row.figures.as_ref().map(|f| f.parameters.to_string()))),
        ("time of a run", true, |row| cell(row.figures.as_ref().map(|f| words::time(f.seconds.mean)))),
    ];
    let measured: Vec<_> = rows.iter().copied().filter(|row| row.figures.is_some()).collect();
    blocks.push(of_columns(&accuracies, &rows));
    if !measured.is_empty() {
        blocks.push(of_columns(&others, &measured));
    }
    blocks
}

/// A column of a table of experiments: its name, whether it is shown, and its cells.
type Column = (&'static str, bool, fn(&ExperimentRow<'_>) -> Line);

fn of_columns(columns: &[Column], rows: &[&ExperimentRow<'_>]) -> Block {
    let shown: Vec<_> = columns.iter().filter(|(_, shown, _)| *shown).collect();
    let cells = rows.iter().map(|row| shown.iter().map(|(.., cell)| cell(row)).collect());
    table(shown.iter().map(|(name, ..)| *name).collect(), 1, cells)
}

fn table(columns: Vec<&'static str>, words: usize, rows: impl Iterator<Item = Vec<Line>>) -> Block {
    Block::Table(Table { columns, words, rows: rows.collect() })
}

/// The name of an experiment, which links to it, and its title.
fn named(row: &ExperimentRow<'_>) -> Line {
    vec![Span::Link(row.name.to_owned()), Span::Small(row.title.to_owned())]
}

fn over_seeds(row: &ExperimentRow<'_>) -> Line {
    let Some(Spread { min, max, deviation, .. }) = row.figures.as_ref().map(|f| f.test_accuracy.spread) else {
        return cell(None);
    };
    let deviation = deviation.map(|d| Span::Small(format!("± {d:.4}")));
    [words::range(min, max).into()].into_iter().chain(deviation).collect()
}

/// A published figure with its interval, or without one where the number of images is not published.
fn as_published(check: Option<&Check<'_>>, figure: fn(&Check<'_>) -> (Option<Proportion>, Option<f64>)) -> Line {
    match check.map(figure) {
        Some((None, alone)) => optional(alone),
        figure => proportion(figure.and_then(|(interval, _)| interval)),
    }
}

fn yes_or_no(overlaps: Option<bool>) -> Line {
    vec![match overlaps {
        Some(true) => "yes".into(),
        Some(false) => Span::Strong("no".to_owned()),
        None => NOTHING.into(),
    }]
}

fn cell(text: Option<String>) -> Line {
    vec![text.unwrap_or(NOTHING.to_owned()).into()]
}

fn comparison(answer: &ComparisonAnswer<'_>, summary: &Summary<'_>, charts: &Charts) -> Result<Vec<Block>, PlotError> {
    let mut blocks = vec![Block::Heading(3, answer.question.to_owned())];
    blocks.extend(answer.note.map(|note| Block::Text(vec![note.into()])));
    blocks.push(Block::List(words::sentences(answer)));
    let figures: Vec<_> = charts.differences(answer)?.into_iter().chain(charts.courses(answer, summary)?).collect();
    if figures.is_empty() {
        return Ok(blocks);
    }
    blocks.push(Block::Figures(figures));
    let columns = vec![
        "experiment",
        "accuracy",
        "difference, points",
        "each seed",
        "images",
        "only it right",
        "only the other",
        "Δ AUROC",
    ];
    let rows = answer.others.iter().map(|contrast| {
        let evidence = contrast.evidence.as_ref();
        let pairs = evidence.and_then(|e| e.pairs);
        let difference = evidence
            .map(|e| vec![words::points(e.difference.value).into(), Span::Small(words::points_range(&e.difference))]);
        let each = evidence.map(|e| e.by_seed.iter().map(|d| words::points(*d)).collect::<Vec<_>>().join(", "));
        vec![
            vec![Span::Link(contrast.experiment.to_owned())],
            vec![words::verdict(contrast.verdict).into()],
            difference.unwrap_or_else(|| cell(None)),
            cell(each.filter(|each| !each.is_empty())),
            cell(pairs.map(|p| p.images.to_string())),
            cell(pairs.map(|p| p.gained.to_string())),
            cell(pairs.map(|p| p.lost.to_string())),
            cell(evidence.and_then(|e| e.auroc).map(|a| format!("{a:+.4}").replace('-', "−"))),
        ]
    });
    blocks.push(table(columns, 2, rows));
    Ok(blocks)
}

fn experiment(row: &ExperimentRow<'_>, charts: &Charts) -> Result<Vec<Block>, PlotError> {
    let mut blocks = vec![Block::Heading(4, row.name.to_owned())];
    let seeds = row.runs.iter().filter(|run| run.figures.is_some()).map(|run| run.seed.to_string());
    let seeds: Vec<_> = seeds.collect();
    let state = if seeds.is_empty() { row.state() } else { format!("seeds {}", seeds.join(", ")) };
    blocks.push(Block::Text(vec![Span::Strong(row.title.to_owned()), format!(": {state}.").into()]));
    for run in &row.runs {
        if let Some(why) = run.failure {
            blocks.push(Block::Notice(format!("Seed {} failed: {why}", run.seed)));
        }
    }
    if let Some(note) = row.published.as_ref().and_then(|check| check.published.note.as_deref()) {
        blocks.push(Block::Text(vec![note.into()]));
    }
    if row.figures.is_some() {
        blocks.push(Block::Figures(charts.curves(row)?));
        blocks.push(Block::Details(
            "Confusion matrix and receiver operating characteristic",
            vec![Block::Figures(charts.decisions(row)?)],
        ));
    }
    if !row.runs.is_empty() {
        blocks.push(Block::Details("Runs", runs(row)));
    }
    let recipe = toml::to_string(row.recipe).unwrap_or_default();
    blocks.push(Block::Details("Configuration", vec![Block::Code(recipe)]));
    Ok(blocks)
}

/// The figures of each run, and where it comes from.
fn runs(row: &ExperimentRow<'_>) -> Vec<Block> {
    let columns = vec![
        "seed",
        "test accuracy",
        "test loss",
        "training accuracy",
        "training loss",
        "AUROC",
        "sensitivity",
        "specificity",
        "kept epoch",
        "images",
        "time",
    ];
    let figures = row.runs.iter().filter_map(|run| Some((run, run.figures.as_ref()?))).map(|(run, f)| {
        vec![
            vec![run.seed.to_string().into()],
            optional(f.test_accuracy),
            optional(Some(f.test_loss)),
            optional(f.train_accuracy),
            optional(Some(f.train_loss)),
            optional(f.auroc),
            optional(f.sensitivity),
            optional(f.specificity),
            vec![format!("{} of {}", f.kept_epoch, f.epochs).into()],
            vec![f.images.map(|n| n.to_string()).join(" + ").into()],
            vec![words::time(f.seconds).into()],
        ]
    });
    let origin = row.runs.iter().map(|run| {
        let texts = [&run.seed.to_string(), run.date, run.version, run.machine, &run.threads.to_string()];
        let digests = [run.data_digest, run.fingerprint].map(|digest| digest.get(..16).unwrap_or(digest));
        texts.into_iter().chain(digests).map(|text| vec![text.into()]).collect()
    });
    vec![
        table(columns, 1, figures),
        table(vec!["seed", "ended", "version", "machine", "threads", "data", "fingerprint"], 7, origin),
    ]
}

fn count(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}
