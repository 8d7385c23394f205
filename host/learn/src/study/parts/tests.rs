use data::{Label, Sample};

use super::*;
use crate::study::{Experiment, Outcome, Plan, Record};

/// As many radiographs, with names that begin so.
fn radiographs(name: &str, count: usize) -> Catalogue {
    let sample = |i: usize| Sample::new(format!("{name}/{i}.png"), Label::ALL[i % 2], i.to_string());
    Catalogue { samples: (0..count).map(sample).collect(), ..Catalogue::default() }
}

fn plan() -> Plan {
    Plan::builtin().unwrap()
}

/// The runs of some experiments, each seed of all before the next one.
fn runs<'a>(experiments: &[&'a Experiment], seeds: u64) -> Vec<Run<'a>> {
    (1..=seeds).flat_map(|seed| experiments.iter().map(move |&experiment| Run { experiment, seed })).collect()
}

fn part(text: &str) -> StudyPart {
    text.parse().unwrap()
}

#[test]
fn parts_are_named_as_they_are_written() {
    for text in ["1/1", "2/3", "1000/1000"] {
        assert_eq!(part(text).to_string(), text);
        let file = part(text).file(Path::new("out"));
        assert_eq!(StudyPart::of_file(file.file_name().unwrap().to_str().unwrap()), Some(part(text)));
    }
    for text in ["", "1", "0/3", "4/3", "1/0", "1/1001", "-1/3", "a/b", "1/2/3", "/3", "1/"] {
        assert_eq!(text.parse::<StudyPart>(), Err(PartSyntaxError), "{text}");
    }
    for name in [".pumua-x.part", "part-1.toml", "part-4-of-3.toml", "part-1-of-3"] {
        assert_eq!(StudyPart::of_file(name), None, "{name}");
    }
}

#[test]
fn every_run_falls_to_one_part_and_all_have_about_the_same_work() {
    let (plan, catalogue) = (plan(), radiographs("a", 60));
    let all: Vec<&Experiment> = plan.experiments.iter().collect();
    let runs = runs(&all, 3);
    let longest = runs.iter().map(|run| run.pixels(60)).max().unwrap();
    for parts in [1, 2, 3, 7, 30, 1000] {
        let division = Division::new(&runs, &catalogue, parts);
        let mut seen = vec![0; runs.len()];
        let mut loads = Vec::new();
        for number in 1..=parts {
            let mine = division.runs_of(StudyPart { of: parts, number });
            loads.push(mine.iter().map(|run| run.pixels(60)).sum::<u128>());
            let mut before = None;
            for run in mine {
                let is_it = |other: &Run<'_>| other.experiment.name == run.experiment.name && other.seed == run.seed;
                let index = runs.iter().position(is_it).unwrap();
                assert!(before < Some(index), "in the order of the study");
                before = Some(index);
                seen[index] += 1;
            }
        }
        assert!(seen.iter().all(|times| *times == 1), "{parts}: {seen:?}");
        let (most, least) = (loads.iter().max().unwrap(), loads.iter().min().unwrap());
        assert!(most - least <= longest, "{parts}: {loads:?}");
        assert_eq!(Division::new(&runs, &catalogue, parts).manifest, division.manifest);
    }
}

#[test]
fn equal_runs_are_dealt_out_in_turn_and_long_ones_first() {
    assert_eq!(deal(&[5, 5, 5, 5, 5], 2), [1, 2, 1, 2, 1]);
    assert_eq!(deal(&[1, 1, 1, 9], 2), [2, 2, 2, 1]);
    assert_eq!(deal(&[3, 2], 4), [1, 2]);
    assert_eq!(deal(&[], 4), Vec::<u32>::new());
}

#[test]
fn a_part_of_another_study_is_refused_and_says_how_it_differs() {
    let plan = plan();
    let mut others = plan.clone();
    for experiment in &mut others.experiments {
        experiment.recipe.epochs += 1;
    }
    let [sgd, adam] = ["sgd", "adam"].map(|name| plan.experiment(name).unwrap());
    let other_adam = others.experiment("adam").unwrap();
    let (data, other_data) = (radiographs("a", 60), radiographs("b", 60));
    let of = |runs: &[Run<'_>], data: &Catalogue, parts: u32| Division::new(runs, data, parts).manifest;
    let both = runs(&[sgd, adam], 2);
    let here = Division::new(&both, &data, 3);
    let out = tempfile::tempdir().unwrap();
    here.enter(part("2/3"), out.path()).unwrap();
    for (there, words) in [
        (of(&both, &data, 4), "in 3 parts, and this one is in 4"),
        (of(&both, &other_data, 3), "on other data (60 radiographs with digest"),
        (of(&both, &radiographs("a", 59), 3), "here 59 radiographs with digest"),
        (of(&runs(&[sgd], 2), &data, 3), "with the run adam seed 1, which this one does not have"),
        (of(&runs(&[sgd, adam], 3), &data, 3), "without the run sgd seed 3, which this one has"),
        (of(&runs(&[sgd, other_adam], 2), &data, 3), "with another recipe of adam"),
        (of(&runs(&[adam, sgd], 2), &data, 3), "in another order"),
        (Manifest { version: "0.0.9".to_owned(), ..here.manifest.clone() }, "and this is Pumua 0.0.9"),
    ] {
        let other = Division { manifest: there, runs: Vec::new() };
        for number in [1, 2] {
            let part = StudyPart { of: other.manifest.parts, number };
            let said = other.enter(part, out.path()).unwrap_err().to_string();
            assert!(said.contains(words) && said.contains("part-2-of-3.toml is of a study"), "{said}");
        }
        let left: Vec<_> = fs::read_dir(out.path().join(StudyPart::FOLDER)).unwrap().collect();
        assert_eq!(left.len(), 1, "nothing is left of a part that is refused");
    }
    // Each as often as anyone likes, in any order.
    for text in ["1/3", "3/3", "2/3", "1/3"] {
        here.enter(part(text), out.path()).unwrap();
    }
    assert_eq!(Division::parts_in(out.path()).unwrap(), 3);
}

#[test]
fn what_a_part_says_is_read_whole_or_not_at_all() {
    let plan = plan();
    let division = Division::new(&runs(&[plan.experiment("sgd").unwrap()], 1), &radiographs("a", 60), 1);
    let out = tempfile::tempdir().unwrap();
    assert!(matches!(Division::parts_in(out.path()), Err(PartsError::NotBegun(_))));
    division.enter(part("1/1"), out.path()).unwrap();
    // A draft of another one is nothing that a part says.
    fs::write(out.path().join("parts/.pumua-x.part"), "half").unwrap();
    division.check(out.path()).unwrap();
    fs::write(part("1/1").file(out.path()), "half").unwrap();
    let said = division.check(out.path()).unwrap_err().to_string();
    assert!(said.contains("was changed") && said.contains("remove the file"), "{said}");
}

#[test]
fn parts_that_are_missing_are_known_by_their_runs() {
    let (plan, data) = (plan(), radiographs("a", 60));
    let experiments = ["sgd", "adam"].map(|name| plan.experiment(name).unwrap());
    let all = runs(&experiments, 2);
    let division = Division::new(&all, &data, 6);
    let out = tempfile::tempdir().unwrap();
    let record = |run: &Run<'_>| {
        let record = Record {
            experiment: run.experiment.name.clone(),
            seed: run.seed,
            fingerprint: run.fingerprint(&data),
            version: String::new(),
            date: String::new(),
            machine: String::new(),
            threads: 1,
            data_digest: data.digest().to_string(),
            synthetic: false,
            recipe: run.experiment.recipe.clone(),
            outcome: Outcome::Failed("the loss became infinite".to_owned()),
        };
        fs::create_dir_all(run.folder(out.path())).unwrap();
        record.save(&run.folder(out.path())).unwrap();
    };
    let missing = |data: &Catalogue| {
        let missing = division.missing(out.path(), data);
        missing.iter().map(|Missing { part, absent, runs }| format!("{part}: {absent} of {runs}")).collect::<Vec<_>>()
    };
    // Of six parts two have nothing to do: they need not begin.
    assert_eq!(missing(&data), ["1/6: 1 of 1", "2/6: 1 of 1", "3/6: 1 of 1", "4/6: 1 of 1"]);
    for number in [1, 2, 4] {
        let part = StudyPart { of: 6, number };
        division.enter(part, out.path()).unwrap();
        division.runs_of(part).iter().for_each(record);
    }
    assert_eq!(missing(&data), ["3/6: 1 of 1"]);
    // Half a record is none.
    let run = division.runs_of(part("2/6"))[0];
    fs::write(run.folder(out.path()).join(Record::FILE), "{\"experiment\":").unwrap();
    assert_eq!(missing(&data), ["2/6: 1 of 1", "3/6: 1 of 1"]);
    record(&run);
    // Its runs are there, but it never said of which study they are.
    division.runs_of(part("3/6")).iter().for_each(record);
    assert_eq!(missing(&data), ["3/6: 0 of 1"]);
    division.enter(part("3/6"), out.path()).unwrap();
    assert!(missing(&data).is_empty());
    assert_eq!(missing(&radiographs("b", 60)).len(), 4, "they are of other data");
}
