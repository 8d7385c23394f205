use data::synthetic;
use engine::{
    Grid, ModelCard,
    onnx::write::{self, f32_tensor, integer, integers, node},
};
use prost::Message;
use shared::contract::InputContract;

use super::*;

const CONTRACT: InputContract = InputContract::stretched(32);

/// A network whose log-odds are the mean over 4 × 4 squares, each its brightest 3 × 3 pixels, less a constant.
fn brightness(pooled: bool) -> Model {
    let card = ModelCard::new("brightness", CONTRACT);
    let pool = vec![integers("kernel_shape", &[2, 2]), integers("strides", &[2, 2])];
    let (end, inputs) = if pooled { ("GlobalAveragePool", 1) } else { ("Identity", 225) };
    let nodes = vec![
        node("Conv", &["image", "w"], "c", vec![]),
        node("MaxPool", &["c"], "p", pool),
        node(end, &["p"], "g", vec![]),
        node("Flatten", &["g"], "f", vec![]),
        node("Gemm", &["f", "dw", "db"], "logit", vec![integer("transB", 1)]),
        node("Sigmoid", &["logit"], "probability", vec![]),
    ];
    let constants = vec![
        f32_tensor("w", &[1, 1, 3, 3], &[1.0 / 9.0; 9]),
        f32_tensor("dw", &[1, inputs], &vec![50.0; inputs]),
        f32_tensor("db", &[1], &[-2.0]),
    ];
    let file = write::model(nodes, constants, &card).unwrap();
    Model::from_bytes(&file.encode_to_vec()).unwrap()
}

/// Dark, but for a bright square at a place.
fn spot(top: usize, left: usize) -> Vec<u8> {
    let bright = |at: usize| (top..top + 8).contains(&(at / 32)) && (left..left + 8).contains(&(at % 32));
    (0..32 * 32).map(|at| if bright(at) { 250 } else { 10 }).collect()
}

#[test]
fn covering_what_the_answer_rests_on_weighs_more() {
    let model = brightness(true);
    let inputs = Inputs::new(CONTRACT, [spot(2, 3), spot(20, 9), spot(12, 24), vec![0; 1024]]);
    let all = [0, 1, 2, 3];
    let found = measure(&model, &inputs, &all, 1).unwrap();
    // The dark one is not called pneumonia.
    assert_eq!((found.images, found.side), (3, 4));
    let Falls { hottest, random, difference } = found.log_odds.unwrap();
    assert!(hottest.value > 2.0 * random.value.max(0.01) && difference.low > 0.0, "{found:?}");
    assert_eq!(found.hottest_wins, Proportion::of(3, 3));
    assert!(found.probability.unwrap().difference.value > 0.0);
    assert_eq!(measure(&model, &inputs, &all, 1).unwrap(), found);
    // The same radiographs have the same places whatever others there are.
    assert_eq!(measure(&model, &inputs, &all[..3], 1).unwrap(), found);
    let none = measure(&model, &inputs, &all[3..], 1).unwrap();
    assert_eq!((none.images, none.log_odds, none.hottest_wins), (0, None, None));
}

#[test]
fn a_model_without_a_map_is_refused() {
    let (_, inputs) = synthetic::radiographs(2, 1, &CONTRACT).unwrap();
    let error = measure(&brightness(false), &inputs, &[0, 1], 1).unwrap_err();
    assert!(matches!(error, OcclusionError::NoMap), "{error}");
}

#[test]
fn places_lie_in_the_input_and_apart() {
    let grid = Grid { first: [3.0; 2], step: [8.0; 2], reach: [20.0; 2] };
    let map = |hot: usize| {
        let values = (0..9).map(|cell| if cell == hot { 1.0 } else { -1.0 }).collect();
        ActivationMap { rows: 3, columns: 3, values, bias: 0.0, grid }
    };
    // Twice the step, but no more than a quarter of the input; centred, and moved inside.
    assert_eq!(hottest(&map(4), 64), (16, [3, 3]));
    assert_eq!(hottest(&map(0), 64), (16, [0, 0]));
    assert_eq!(hottest(&map(5), 32), (8, [7, 15]));
    assert_eq!(hottest(&map(8), 20), (5, [15, 15]));
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    for _ in 0..1000 {
        let [row, column] = apart([24, 24], 16, 64, &mut rng);
        assert!(row <= 48 && column <= 48 && (row.abs_diff(24) >= 16 || column.abs_diff(24) >= 16));
    }
}

#[test]
fn a_square_of_the_mean_covers() {
    let pixels = [0, 0, 0, 0, 90, 90, 0, 0, 90];
    assert_eq!(covered(&pixels, [1, 1], 2, 3), [0, 0, 0, 0, 30, 30, 0, 30, 30]);
}

#[test]
fn means_have_intervals() {
    let mean = Mean::of(&[1.0, 2.0, 3.0, 4.0]).unwrap();
    // Standard deviation 1.290994, standard error 0.645497.
    assert!((mean.value - 2.5).abs() < 1e-12 && (mean.high - 3.765_151).abs() < 1e-5, "{mean:?}");
    assert_eq!(Mean::of(&[]), None);
    assert_eq!(Mean::of(&[2.0]), Some(Mean { value: 2.0, low: 2.0, high: 2.0 }));
}
