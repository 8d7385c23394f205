use super::*;
use crate::contract::Fit;

fn contract(fit: Fit) -> InputContract {
    InputContract { fit, ..InputContract::stretched(100) }
}

impl Evidence {
    /// Local log-odds at a place, in parts of the picture's height and width.
    fn at(&self, down: f32, right: f32) -> f32 {
        self.value(&self.down(down), &self.right(right))
    }

    fn paint(&self, grey: u8, [x, y]: [u32; 2], size: [u32; 2]) -> [u8; 3] {
        self.painter(size).row(y).paint(grey, x)
    }
}

/// Two by two cells whose centres lie at 25 and 75 of 100 pixels.
fn evidence(local: [f32; 4], fit: Fit, picture: [u32; 2]) -> Evidence {
    let [first, step] = [25.0, 50.0].map(|pixels| Place { down: pixels, right: pixels });
    let cells = Cells { rows: 2, columns: 2, local: local.to_vec(), first, step };
    Evidence::new(cells, &contract(fit), picture).expect("evidence")
}

#[test]
fn values_are_interpolated_between_centres_and_fade_beyond() {
    let evidence = evidence([0.0, 4.0, 8.0, 12.0], Fit::Stretch, [200, 100]);
    assert_eq!(evidence.at(0.25, 0.25), 0.0);
    assert_eq!(evidence.at(0.25, 0.75), 4.0);
    assert_eq!(evidence.at(0.75, 0.25), 8.0);
    assert_eq!(evidence.at(0.5, 0.5), 6.0);
    assert_eq!(evidence.at(0.5, 0.25), 4.0);
    // Half a step, a quarter of the picture, beyond the centre: along one axis, along both.
    assert_eq!([evidence.at(0.75, 1.0), evidence.at(1.0, 1.0)], [6.0, 3.0]);
    let against = self::evidence([-4.0; 4], Fit::Stretch, [200, 100]);
    assert_eq!(against.at(1.0, 0.0), -4.0);
}

#[test]
fn rows_and_columns_have_places_of_their_own() {
    let (first, step) = (Place { down: 50.0, right: 10.0 }, Place { down: 1.0, right: 40.0 });
    let cells = Cells { rows: 1, columns: 3, local: vec![1.0, 2.0, 3.0], first, step };
    let evidence = Evidence::new(cells, &contract(Fit::Stretch), [200, 100]).expect("evidence");
    assert_eq!([0.125, 0.5, 0.875].map(|right| evidence.at(0.5, right).round()), [1.0, 2.0, 3.0]);
    assert_eq!(evidence.at(0.25, 0.5), 0.0);
}

#[test]
fn a_letterbox_is_taken_off() {
    // 200 × 100 pixels fill rows 25 to 75 of the input: its first centres lie on the upper edge.
    let evidence = evidence([0.0, 4.0, 8.0, 12.0], Fit::Letterbox, [200, 100]);
    assert_eq!([evidence.at(0.0, 0.25), evidence.at(1.0, 0.25)], [0.0, 8.0]);
    assert_eq!([evidence.at(0.5, 0.25), evidence.at(0.0, 0.75)], [4.0, 4.0]);
}

#[test]
fn only_evidence_for_pneumonia_is_drawn() {
    for local in [[5.9, -3.0, 0.0, -9.0], [f32::NAN; 4], [f32::NEG_INFINITY; 4]] {
        let evidence = evidence(local, Fit::Stretch, [64, 64]);
        assert!(!evidence.is_shown());
        let plain = (0..64).all(|y| (0..64).all(|x| evidence.paint(90, [x, y], [64, 64]) == [90; 3]));
        assert!(plain, "{local:?}");
    }
    let weak = evidence([-20.0; 4], Fit::Stretch, [64, 64]);
    assert_eq!(weak.paint(0, [3, 4], [64, 64]), [0; 3]);
}

#[test]
fn stronger_evidence_has_more_colour_and_lines_tell_it_without() {
    let colours = [6.0, 7.0, 9.0, 30.0].map(|value| {
        let evidence = evidence([value; 4], Fit::Stretch, [64, 64]);
        assert!(evidence.is_shown());
        evidence.paint(100, [32, 32], [64, 64])
    });
    let redder = colours.map(|[red, _, blue]| i16::from(red) - i16::from(blue));
    assert!(redder[0] > 0 && redder[0] < redder[1] && redder[1] < redder[2] && redder[2] == redder[3], "{colours:?}");

    // From nothing on the left to much on the right: two lines are crossed, each lighter than what is beside it.
    let evidence = evidence([-2.0, 14.0, -2.0, 14.0], Fit::Stretch, [200, 200]);
    let green = |x: u32| evidence.paint(60, [x, 100], [200, 200])[1];
    let lines: Vec<u32> =
        (1..150).filter(|&x| green(x) > 110 && green(x - 1) < green(x) && green(x) >= green(x + 1)).collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    // 6 is half of the way from −2 to 14, between 50 and 150, and 9 eleven sixteenths.
    assert!((98..102).contains(&lines[0]) && (115..122).contains(&lines[1]), "{lines:?}");
}

#[test]
fn pixels_with_nothing_near_are_as_if_they_were_painted() {
    let (first, step) = (Place { down: 8.0, right: 3.0 }, Place { down: 11.0, right: 9.0 });
    let noise = |index: usize| (index * 37 % 29) as f32 / 2.0 - 5.0;
    let specials = [(5, f32::NAN), (40, f32::INFINITY), (77, f32::NEG_INFINITY)];
    let cell = |index| specials.iter().find(|(at, _)| *at == index).map_or(noise(index), |(_, value)| *value);
    let cells = Cells { rows: 9, columns: 11, local: (0..99).map(cell).collect(), first, step };
    let evidence = Evidence::new(cells, &contract(Fit::Stretch), [100, 100]).expect("evidence");
    for size in [[61, 43], [43, 61], [300, 290], [7, 5], [1, 1]] {
        let painter = evidence.painter(size);
        for y in 0..size[1] {
            let row = painter.row(y);
            let whole = PaintedRow { highest: vec![f32::INFINITY; 11], ..painter.row(y) };
            assert!((0..size[0]).all(|x| row.paint(90, x) == whole.paint(90, x)), "row {y} of {size:?}");
        }
        assert_eq!(painter.row(0).paint(90, size[0]), [90; 3], "a column beyond the last one");
    }
}

#[test]
fn outlines_begin_where_they_are_told() {
    let evidence = evidence([7.0; 4], Fit::Stretch, [64, 64]);
    assert!(evidence.is_shown());
    let outlines = Outlines { shown: 7.5, strong: 10.0 };
    let silent = evidence.clone().outlined(outlines);
    assert!(!silent.is_shown());
    assert_eq!(silent.paint(90, [32, 32], [64, 64]), [90; 3]);
    assert_ne!(evidence.paint(90, [32, 32], [64, 64]), [90; 3]);
    assert_eq!(outlines.check(), Ok(()));
    for wrong in [[0.0, 1.0], [2.0, 2.0], [f32::NAN, 1.0], [1.0, f32::INFINITY]] {
        let [shown, strong] = wrong;
        assert_eq!(Outlines { shown, strong }.check(), Err(OutlinesError), "{wrong:?}");
    }
}

#[test]
fn what_is_no_map_is_refused() {
    let new = |[rows, columns]: [usize; 2], count, first, step, size| {
        let [first, step] = [first, step].map(|pixels| Place { down: pixels, right: pixels });
        let cells = Cells { rows, columns, local: vec![0.0; count], first, step };
        Evidence::new(cells, &contract(Fit::Stretch), size).is_some()
    };
    assert!(new([2, 3], 6, 1.0, 1.0, [10, 10]));
    assert!(!new([2, 3], 5, 1.0, 1.0, [10, 10]));
    assert!(!new([0, 3], 0, 1.0, 1.0, [10, 10]));
    assert!(!new([usize::MAX, 2], 2, 1.0, 1.0, [10, 10]));
    assert!(!new([2, 3], 6, f32::NAN, 1.0, [10, 10]));
    assert!(!new([2, 3], 6, 1.0, 0.0, [10, 10]));
    assert!(!new([2, 3], 6, 1.0, 1.0, [10, 0]));
}

#[test]
fn a_window_moves_the_cells_into_it() {
    let whole = evidence([0.0, 4.0, 8.0, 12.0], Fit::Stretch, [200, 100]);
    let within = whole.clone().within(&Window { left: 100, top: 0, width: 100, height: 50, of: [200, 100] });
    for (down, right) in [(0.25, 0.25), (0.5, 0.5), (0.6, 0.9)] {
        assert!((whole.at(down, right) - within.at(down / 2.0, 0.5 + right / 2.0)).abs() < 1e-4);
    }
    assert_eq!(whole.clone().within(&Window::whole(200, 100)), whole);
}

#[test]
fn what_was_left_out_is_darker_with_a_line_around_what_was_judged() {
    let judged = [10..20, 5..30];
    let at = |x, y| left_out(200, [x, y], &judged, 2);
    assert_eq!([at(10, 5), at(19, 29)], [None; 2]);
    assert_eq!([at(8, 10), at(21, 10), at(12, 31), at(8, 3)], [Some(AROUND); 4]);
    assert_eq!([at(7, 10), at(22, 10), at(12, 32), at(0, 0)], [Some([80; 3]); 4]);
}
