use proptest::prelude::*;
use shared::verdict::Digest;

use super::*;

fn sample(number: usize, label: Label, patient: usize, official: Option<Part>) -> Sample {
    Sample { official, ..Sample::new(format!("{label}/{number:05}.jpeg"), label, format!("{label}/{patient}")) }
}

/// `normal` and `ill` images, up to `most` of a patient.
fn catalogue(normal: usize, ill: usize, most: usize) -> Catalogue {
    let of = |label: Label, count: usize| {
        let (mut patient, mut left) = (0, 0);
        (0..count)
            .map(|i| {
                if left == 0 {
                    (patient, left) = (patient + 1, 1 + i % most);
                }
                left -= 1;
                sample(i, label, patient, None)
            })
            .collect::<Vec<_>>()
    };
    let samples = [of(Label::Normal, normal), of(Label::Pneumonia, ill)].concat();
    Catalogue { samples, ..Catalogue::default() }
}

fn counts(data: &Catalogue, indices: &[usize]) -> (usize, usize) {
    let ill = indices.iter().filter(|&&i| data.samples[i].label.positive()).count();
    (indices.len() - ill, ill)
}

#[test]
fn study_split_has_the_counts_of_the_study() {
    let data = catalogue(1583, 4273, 1);
    let split = Split::new(&data, SplitKind::Study, 7).unwrap();
    assert_eq!(counts(&data, &split.train), (1107, 2991));
    assert_eq!(counts(&data, &split.validation), (238, 641));
    assert_eq!(counts(&data, &split.test), (238, 641));
    assert_ne!(split, Split::new(&data, SplitKind::Study, 8).unwrap());
}

#[test]
fn official_split_keeps_the_folders() {
    let mut samples = Vec::new();
    for label in Label::ALL {
        for i in 0..100 {
            samples.push(sample(i, label, i / 3, Some(Part::Train)));
        }
        samples.push(sample(100, label, 100, Some(Part::Validation)));
        samples.push(sample(101, label, 101, Some(Part::Test)));
    }
    let mut data = Catalogue { samples, ..Catalogue::default() };
    let split = Split::new(&data, SplitKind::Official, 1).unwrap();
    assert_eq!(counts(&data, &split.test), (1, 1));
    let (normal, ill) = counts(&data, &split.validation);
    assert!((11..=13).contains(&normal) && (11..=13).contains(&ill), "{normal} {ill}");
    assert_patients_apart(&data, &split);

    data.samples.retain(|s| s.official != Some(Part::Test));
    assert_eq!(Split::new(&data, SplitKind::Official, 1), Err(SplitError::NoFolder("test")));
}

#[test]
fn too_few_images_are_an_error() {
    let data = catalogue(2, 40, 1);
    let error = SplitError::TooSmall { part: Part::Train, label: Label::Normal };
    assert_eq!(Split::new(&data, SplitKind::Study, 1), Err(error));
}

fn assert_patients_apart(data: &Catalogue, split: &Split) {
    let mut seen: BTreeMap<&str, Part> = BTreeMap::new();
    for part in [Part::Train, Part::Validation, Part::Test] {
        for &i in split.part(part) {
            let before = *seen.entry(&data.samples[i].patient).or_insert(part);
            assert_eq!(before, part, "{}", data.samples[i].patient);
        }
    }
}

fn patients<'a>(data: &'a Catalogue, indices: &[usize]) -> std::collections::BTreeSet<&'a str> {
    indices.iter().map(|&i| data.samples[i].patient.as_str()).collect()
}

#[test]
fn the_test_part_belongs_to_names_alone() {
    // The first two digits of `printf normal/1 | sha256sum` and so on; 15 % ends at 26 66….
    let digits = |patient: &str| format!("{:.2}", Digest::of(patient.as_bytes()));
    for number in 1..100 {
        let patient = format!("normal/{number}");
        match digits(&patient).as_str() {
            "26" => {}
            digits => assert_eq!(in_test_part(&patient), digits < "26", "{patient}"),
        }
    }
    let mut data = catalogue(600, 1200, 3);
    let of = |data: &Catalogue, seed| Split::new(data, SplitKind::Patient, seed).unwrap();
    let (one, two) = (of(&data, 1), of(&data, 2));
    assert_eq!(one.test, two.test);
    assert_ne!(one.validation, two.validation);
    assert_patients_apart(&data, &one);
    let share = |part: &[usize]| part.len() as f64 / data.samples.len() as f64;
    assert!((0.11..0.19).contains(&share(&one.test)), "{}", share(&one.test));
    assert!((0.13..0.18).contains(&share(&one.validation)), "{}", share(&one.validation));
    let before = patients(&data, &one.test).into_iter().map(str::to_owned).collect::<Vec<_>>();
    // More radiographs move nobody, and the publishers' test folder is in no part.
    data.samples.extend((0..50).map(|i| sample(i, Label::Normal, 5000 + i, Some(Part::Test))));
    data.samples.extend((0..50).map(|i| sample(i, Label::Normal, 9000 + i, Some(Part::Train))));
    let more = of(&data, 1);
    assert!(before.iter().all(|patient| patients(&data, &more.test).contains(patient.as_str())));
    let all = [more.train, more.validation, more.test].concat();
    assert!(all.iter().all(|&i| data.samples[i].official != Some(Part::Test)));
    assert_eq!(all.len(), data.samples.len() - 50);
}

#[test]
fn folds_share_no_patient_and_cover_all_but_the_test_part() {
    let mut data = catalogue(600, 1200, 4);
    for (i, sample) in data.samples.iter_mut().enumerate().skip(600) {
        sample.subtype = Some(if i % 3 == 0 { Subtype::Virus } else { Subtype::Bacteria });
    }
    let held = Split::new(&data, SplitKind::Patient, 1).unwrap().test;
    let mut measured = Vec::new();
    for seed in 1..=FOLDS {
        let split = Split::new(&data, SplitKind::PatientFold, seed).unwrap();
        assert_patients_apart(&data, &split);
        assert!(held.iter().all(|i| ![&split.train, &split.validation, &split.test].iter().any(|p| p.contains(i))));
        let share = |part: &[usize], kind: Option<Subtype>| {
            part.iter().filter(|&&i| data.samples[i].subtype == kind).count() as f64 / part.len() as f64
        };
        let known = [split.train.as_slice(), &split.validation, &split.test].concat();
        for kind in [None, Some(Subtype::Bacteria), Some(Subtype::Virus)] {
            let (here, all) = (share(&split.test, kind), share(&known, kind));
            assert!((here - all).abs() < 0.03, "{kind:?} {here} {all}");
        }
        measured.extend(split.test);
    }
    measured.sort_unstable();
    let known: Vec<usize> = (0..data.samples.len()).filter(|i| !held.contains(i)).collect();
    assert_eq!(measured, known);
}

/// Of a second site, with patients of the same names.
fn at_site(data: &Catalogue, site: &str) -> Catalogue {
    let samples = data.samples.iter().map(|sample| Sample {
        name: format!("{site}/{}", sample.name),
        site: site.to_owned(),
        patient: format!("{site}/{}", sample.patient),
        ..sample.clone()
    });
    Catalogue { samples: samples.collect(), ..Catalogue::default() }
}

#[test]
fn a_site_that_is_too_small_is_named() {
    let (home, clinic) = (at_site(&catalogue(100, 100, 2), "home"), at_site(&catalogue(2, 100, 2), "clinic"));
    let data = Catalogue { samples: [clinic.samples, home.samples].concat(), ..Catalogue::default() };
    let error = Split::new(&data, SplitKind::Study, 1).unwrap_err();
    assert!(matches!(&error, SplitError::AtSite { site, .. } if site == "clinic"), "{error}");
}

fn two_sites() -> (Catalogue, Catalogue, Catalogue) {
    let (clinic, home) = (catalogue(80, 100, 2), catalogue(120, 200, 3));
    let samples = [at_site(&clinic, "clinic").samples, at_site(&home, "home").samples].concat();
    // Other files than those of the other site.
    let samples = samples.into_iter().map(|s| Sample { digest: Digest::of(s.name.as_bytes()), ..s }).collect();
    let alone = |all: &Catalogue, site: &str| {
        let here = all.samples.iter().filter(|sample| sample.site == site);
        let plain = |sample: &Sample| Sample {
            name: sample.name_at_site().to_owned(),
            patient: sample.patient_at_site().to_owned(),
            site: String::new(),
            ..sample.clone()
        };
        Catalogue { samples: here.map(plain).collect(), ..Catalogue::default() }
    };
    let all = Catalogue { samples, ..Catalogue::default() };
    let (clinic, home) = (alone(&all, "clinic"), alone(&all, "home"));
    (all, clinic, home)
}

#[test]
fn of_a_site_that_is_left_out_nothing_is_learnt() {
    let (all, _, home) = two_sites();
    for kind in [SplitKind::Study, SplitKind::Patient, SplitKind::PatientBySeed, SplitKind::PatientFold] {
        let split = Split::leaving_out(&all, kind, 3, Some("clinic")).unwrap();
        assert_eq!(split.test, (0..180).collect::<Vec<_>>());
        let alone = Split::new(&home, kind, 3).unwrap();
        assert_eq!(split.train, alone.train.iter().map(|i| 180 + i).collect::<Vec<_>>());
        assert_eq!(split.validation, alone.validation.iter().map(|i| 180 + i).collect::<Vec<_>>());
    }
    let error = Split::leaving_out(&all, SplitKind::Patient, 3, Some("other")).unwrap_err();
    assert_eq!(error, SplitError::NoSite("other".to_owned()));
    let only = at_site(&home, "only");
    let error = Split::leaving_out(&only, SplitKind::Patient, 3, Some("only")).unwrap_err();
    assert_eq!(error, SplitError::NothingLeft);
}

#[test]
fn a_card_tells_which_data_a_model_knows_whatever_they_are_called() {
    let (mut all, clinic, home) = two_sites();
    (all.samples[0].age, all.samples[1].age, all.samples[0].view) = (Some(2.5), Some(40.0), Some(View::Ap));
    let split = Split::leaving_out(&all, SplitKind::Patient, 3, Some("clinic")).unwrap();
    let mut card = ModelCard::new("test", shared::contract::InputContract::stretched(16));
    card.provenance.data_digest = all.digest().to_string();
    card.provenance.sites = split.records(&all);
    let [of_clinic, of_home] = card.provenance.sites.as_slice() else { panic!("two sites") };
    assert_eq!(
        (&*of_clinic.name, of_clinic.test, of_clinic.train, of_clinic.left_out),
        ("clinic", [80, 100], [0, 0], true)
    );
    assert_eq!((of_clinic.ages, of_clinic.ages_unknown, of_clinic.views), (Some([2.5, 40.0]), 178, [0, 1, 179]));
    assert_eq!((of_home.test, of_home.ages, of_home.left_out), ([0, 0], None, false));
    assert_eq!(of_home.train.iter().sum::<u32>() as usize, split.train.len());

    let renamed = at_site(&clinic, "elsewhere");
    assert_eq!(left_out(&card, &all), Some("clinic"));
    assert_eq!(left_out(&card, &clinic), Some(""));
    assert_eq!(left_out(&card, &renamed), Some("elsewhere"));
    assert_eq!(left_out(&card, &home), None);
    for (data, trained, learnt) in
        [(&all, true, true), (&home, true, true), (&clinic, true, false), (&renamed, true, false)]
    {
        assert_eq!((trained_on(&card, data), has_learnt_from(&card, data)), (trained, learnt));
    }
    let swapped = at_site(&home, "clinic");
    assert_eq!((left_out(&card, &swapped), has_learnt_from(&card, &swapped)), (None, true), "names prove nothing");
    let mut other = home.clone();
    other.samples.pop();
    assert!(!trained_on(&card, &other) && !has_learnt_from(&card, &other));

    assert_eq!(Split::of_training(&card, &all, SplitKind::Patient, 3).unwrap(), split);
    let alone = Split::of_training(&card, &clinic, SplitKind::Patient, 3).unwrap();
    assert_eq!(alone.test, (0..180).collect::<Vec<_>>());
    assert!(alone.train.is_empty() && alone.validation.is_empty());
}

#[test]
fn tables_say_what_is_known() {
    let mut data = at_site(&catalogue(40, 40, 2), "clinic");
    (data.samples[0].age, data.samples[0].view) = (Some(1.5), Some(View::Ap));
    let split = Split::new(&data, SplitKind::Study, 1).unwrap();
    let text = String::from_utf8(split.csv(&data).unwrap()).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!((lines.len(), lines[0]), (81, "path,label,subtype,patient,part,site,age,view"));
    assert!(lines[1].starts_with("clinic/normal/00000.jpeg,normal,,clinic/normal/1,"), "{}", lines[1]);
    assert!(lines[1].ends_with(",clinic,1.5,AP") && lines[2].ends_with(",clinic,,"), "{lines:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn each_site_is_split_as_if_it_were_alone(
        sizes in proptest::collection::vec((60..150_usize, 60..150_usize), 1..4), most in 1..6_usize, seed in any::<u64>(),
    ) {
        let alone: Vec<Catalogue> = sizes.iter().map(|&(normal, ill)| catalogue(normal, ill, most)).collect();
        let named = alone.iter().enumerate().map(|(number, data)| at_site(data, &format!("site{number}")).samples);
        let all = Catalogue { samples: named.collect::<Vec<_>>().concat(), ..Catalogue::default() };
        for kind in [SplitKind::Study, SplitKind::Patient, SplitKind::PatientBySeed, SplitKind::PatientFold] {
            let split = Split::new(&all, kind, seed).unwrap();
            for part in [Part::Train, Part::Validation, Part::Test] {
                let mut start = 0;
                let mut expected = Vec::new();
                for data in &alone {
                    let of_site = Split::new(data, kind, seed).unwrap();
                    expected.extend(of_site.part(part).iter().map(|i| start + i));
                    start += data.samples.len();
                }
                prop_assert_eq!(split.part(part), expected);
            }
            if kind != SplitKind::Study {
                assert_patients_apart(&all, &split);
            }
            if kind == SplitKind::Patient {
                prop_assert_eq!(split.test, Split::new(&all, kind, seed ^ 1).unwrap().test);
            }
        }
    }
}

#[test]
fn a_machine_is_measured_on_whose_patients_are_in_no_other_part() {
    let mut data = catalogue(600, 1200, 4);
    assert_eq!(Split::new(&data, SplitKind::MachineFold, 1), Err(SplitError::NoMachines));
    for (i, sample) in data.samples.iter_mut().enumerate() {
        sample.machine = Some([1, 1, 1, 2, 2, 5][i / 7 % 6]);
    }
    let held = Split::new(&data, SplitKind::Patient, 1).unwrap().test;
    for (seed, machines) in
        [(1, &[1][..]), (2, &[2]), (3, &[5]), (4, &[1, 2]), (5, &[1, 5]), (6, &[2, 5]), (7, &[1]), (0, &[2, 5])]
    {
        let split = Split::new(&data, SplitKind::MachineFold, seed).unwrap();
        let measured: Vec<usize> =
            (0..1800).filter(|i| machines.contains(&data.samples[*i].machine.unwrap()) && !held.contains(i)).collect();
        assert_eq!(split.test, measured, "seed {seed}");
        assert_patients_apart(&data, &split);
        let own = patients(&data, &split.test);
        let rest = [split.train.as_slice(), &split.validation].concat();
        let left_out = (0..1800).filter(|i| !held.contains(i) && !rest.contains(i) && !measured.contains(i));
        let shared: Vec<usize> = left_out.collect();
        assert!(!shared.is_empty() && shared.iter().all(|&i| own.contains(data.samples[i].patient.as_str())));
        assert!(rest.iter().all(|i| !held.contains(i)));
    }
}

proptest! {
    #[test]
    fn splits_are_complete_disjoint_and_repeatable(
        normal in 60..300_usize, ill in 60..300_usize, most in 1..6_usize, seed in any::<u64>(),
    ) {
        let data = catalogue(normal, ill, most);
        for kind in [SplitKind::Study, SplitKind::PatientBySeed] {
            let split = Split::new(&data, kind, seed).unwrap();
            let mut all = [split.train.clone(), split.validation.clone(), split.test.clone()].concat();
            all.sort_unstable();
            prop_assert_eq!(all, (0..normal + ill).collect::<Vec<_>>());
            prop_assert_eq!(&split, &Split::new(&data, kind, seed).unwrap());
            for part in [&split.validation, &split.test] {
                let (n, i) = counts(&data, part);
                // Patients are assigned whole, so a part may be over its share by one patient.
                for (got, of) in [(n, normal), (i, ill)] {
                    let share = share_of(of, 15);
                    prop_assert!((share..share + most).contains(&got), "{} of {}", got, of);
                }
            }
            if kind == SplitKind::PatientBySeed {
                assert_patients_apart(&data, &split);
            }
        }
    }
}
