use image::{GrayImage, Luma};

use super::*;
use crate::{Label, Sample, lettering};

/// A film of one of two machines: large letters, fine detail and black edges; or small letters, no detail and grey edges.
fn film(number: u32, sharp: bool) -> Vec<u8> {
    let side = traces::SIDE as u32;
    let edge = if sharp { 0 } else { 40 };
    let mut film = GrayImage::from_fn(side, side, |x, y| {
        let chest = (20..204).contains(&x) && y > 10;
        let detail = if sharp { (x / 2 * 7 + y / 2 * 11 + number) % 31 } else { (x + y) / 20 };
        Luma([if chest { 100 + detail as u8 } else { edge }])
    });
    if sharp {
        // Twice the size that letters have.
        let mut small = GrayImage::new(9, 15);
        lettering::write(&mut small, "R", [0, 0], Luma([255]));
        let large = image::imageops::resize(&small, 18, 30, image::imageops::FilterType::Triangle);
        image::imageops::overlay(&mut film, &large, 1, i64::from(20 + number % 90));
    } else {
        lettering::write(&mut film, "R", [4, (8 + number % 90) as i32], Luma([150]));
    }
    film.into_raw()
}

/// Films of both machines in turn, of a site.
fn films(site: &str, count: u32) -> (Catalogue, Inputs) {
    let sample = |number: u32| Sample {
        site: site.to_owned(),
        digest: shared::verdict::Digest::of(format!("{site}{number}").as_bytes()),
        ..Sample::new(format!("{site}/{number:03}.png"), Label::ALL[usize::from(number % 4 < 2)], format!("p{number}"))
    };
    let catalogue = Catalogue { samples: (0..count).map(sample).collect(), ..Catalogue::default() };
    let inputs = Inputs::new(CONTRACT, (0..count).map(|number| film(number, number % 2 == 0)));
    (catalogue, inputs)
}

#[test]
fn letters_are_found_with_their_size_and_ink() {
    let [large, small] = [true, false].map(|sharp| Traces::of(&film(12, sharp)).letter.unwrap());
    assert!(large.height >= 17 && small.height <= 11, "{large:?} {small:?}");
    assert!((i32::abs_diff(large.top, 38) <= 2) && (i32::abs_diff(small.top, 23) <= 2), "{large:?} {small:?}");
    assert!(large.ink > 180 && large.ground < 10, "{large:?}");
    assert!((130..=150).contains(&small.ink) && (30..=45).contains(&small.ground), "{small:?}");
    assert_eq!(Traces::of(&vec![90; traces::SIDE * traces::SIDE]).letter, None);
    let noise: Vec<u8> =
        (0..(traces::SIDE * traces::SIDE) as u64).map(|i| ((i * i * 2_654_435_761) >> 9) as u8).collect();
    assert_eq!(Traces::of(&noise).letter, None);
}

#[test]
fn sharp_films_are_sharp() {
    let [sharp, soft] = [true, false].map(|sharp| Traces::of(&film(3, sharp)));
    assert!(sharp.sharpness() > soft.sharpness() + 0.5, "{sharp:?} {soft:?}");
    assert_eq!((sharp.edge, soft.edge), (0.0, 40.0));
}

#[test]
fn machines_are_found_from_the_pixels_alone() {
    let (mut catalogue, inputs) = films("", 40);
    let again = (catalogue.clone(), inputs);
    let traces = find(&mut catalogue, &again, 2).unwrap();
    assert_eq!(traces.len(), 40);
    let machines: Vec<u16> = catalogue.samples.iter().map(|sample| sample.machine.unwrap()).collect();
    assert!(machines.iter().enumerate().all(|(i, machine)| *machine == machines[i % 2]), "{machines:?}");
    assert_ne!(machines[0], machines[1]);
    assert_eq!(catalogue.samples[0].groups(), [("machine", machines[0].to_string())]);
    // Labels have no say.
    let (mut relabelled, _) = films("", 40);
    relabelled.samples.iter_mut().for_each(|sample| sample.label = Label::Normal);
    find(&mut relabelled, &again, 2).unwrap();
    assert!(relabelled.samples.iter().zip(&catalogue.samples).all(|(a, b)| a.machine == b.machine));
}

#[test]
fn machines_of_a_site_are_its_own() {
    let of = |sites: &[(&str, u32)]| {
        let (mut all, mut pixels) = (Catalogue::default(), Vec::new());
        for &(site, count) in sites {
            let (one, inputs) = films(site, count);
            all.samples.extend(one.samples);
            pixels.extend((0..count as usize).map(|i| inputs.of(i).unwrap().into_owned()));
        }
        let again = (all.clone(), Inputs::new(CONTRACT, pixels));
        find(&mut all, &again, 2).map(|_| all)
    };
    // Of an odd number the sharp ones, which come first, are more.
    let alone = of(&[("clinic", 21)]).unwrap();
    let both = of(&[("clinic", 21), ("home", 40)]).unwrap();
    let machines = |data: &Catalogue| data.samples.iter().map(|sample| sample.machine).collect::<Vec<_>>();
    assert_eq!(machines(&both)[..21], machines(&alone));
    assert_eq!(both.samples[0].groups(), [("site", "clinic".to_owned()), ("machine", "clinic/1".to_owned())]);
    let error = of(&[("clinic", 19), ("home", 40)]).unwrap_err();
    assert_eq!(
        error,
        MachineError::AtSite {
            site: "clinic".to_owned(),
            error: Box::new(MachineError::TooFew { found: 19, machines: 2 })
        }
    );
}

#[test]
fn other_radiographs_than_those_of_the_catalogue_are_refused() {
    let (mut catalogue, _) = films("", 40);
    assert_eq!(find(&mut catalogue, &films("", 42), 2), Err(MachineError::Changed));
    assert!(catalogue.samples.iter().all(|sample| sample.machine.is_none()));
}

#[test]
fn groups_are_the_nearest_and_numbered_by_size() {
    let points: Vec<Vec<f64>> = [0.0, 0.1, 5.0, 5.1, 5.2, 9.0].into_iter().map(|x| vec![x, 1.0]).collect();
    assert_eq!(clusters::find(&points, 3), [1, 1, 0, 0, 0, 2]);
    // As many groups as there are different points, and no more.
    assert_eq!(clusters::find(&vec![vec![1.0]; 4], 3), [0; 4]);
}
