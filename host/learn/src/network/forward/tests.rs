use burn::optim::{AdamConfig, GradientsParams};

use super::*;
use crate::network::Architecture;

/// The same network by the definition of its layers, one value at a time.
fn reference(layers: &Layers, image: &[f32]) -> f32 {
    let (mut channels, mut side, mut values) = (1, layers.side, image.to_vec());
    for layer in &layers.layers {
        match layer {
            Layer::Conv { weight, bias, inputs, outputs, kernel } => {
                let new = side + 1 - kernel;
                let mut out = Vec::new();
                for o in 0..*outputs {
                    for (y, x) in (0..new).flat_map(|y| (0..new).map(move |x| (y, x))) {
                        let mut sum = bias[o];
                        for i in 0..*inputs {
                            for (v, u) in (0..*kernel).flat_map(|v| (0..*kernel).map(move |u| (v, u))) {
                                let w = weight[((o * inputs + i) * kernel + v) * kernel + u];
                                sum += w * values[(i * side + y + v) * side + x + u];
                            }
                        }
                        out.push(sum);
                    }
                }
                (channels, side, values) = (*outputs, new, out);
            }
            Layer::Relu => values.iter_mut().for_each(|v| *v = v.max(0.0)),
            Layer::MaxPool2 => {
                let new = side / 2;
                let at = |c: usize, y: usize, x: usize| values[(c * side + y) * side + x];
                let mut out = Vec::new();
                for c in 0..channels {
                    for (y, x) in (0..new).flat_map(|y| (0..new).map(move |x| (2 * y, 2 * x))) {
                        out.push(at(c, y, x).max(at(c, y, x + 1)).max(at(c, y + 1, x)).max(at(c, y + 1, x + 1)));
                    }
                }
                (side, values) = (new, out);
            }
            Layer::GlobalAverage => {
                let area = side * side;
                values = values.chunks_exact(area).map(|map| map.iter().sum::<f32>() / area as f32).collect();
                side = 1;
            }
            Layer::Flatten => {}
            Layer::Dense { weight, bias, inputs, .. } => {
                let product = |(row, b): (&[f32], &f32)| row.iter().zip(&values).map(|(w, v)| w * v).sum::<f32>() + b;
                values = weight.chunks_exact(*inputs).zip(bias).map(product).collect();
            }
        }
    }
    values[0]
}

fn design(architecture: Architecture, channels: usize, batch_norm: bool) -> Design {
    let widths = if architecture == Architecture::Averaged { vec![8, 12, 20] } else { Vec::new() };
    Design { architecture, channels, widths, batch_norm }
}

fn images(count: usize, side: usize) -> Vec<f32> {
    (0..count * side * side).map(|i| ((i * 37) % 101) as f32 / 100.0).collect()
}

/// A network after a few steps of training, so that no bias is zero and no running statistics are the first ones.
fn trained(design: &Design, side: usize) -> Network {
    let device = Device::flex().autodiff();
    let mut network = Network::initialise(design, side, 3, &device).unwrap();
    let mut optimizer = AdamConfig::new().init();
    for step in 0..4 {
        let data = TensorData::new(images(6, side), [6, 1, side, side]);
        let labels = Tensor::from_floats([0.0, 1.0, 0.0, 1.0, step as f32 % 2.0, 1.0], &device);
        let logits = network.forward(Tensor::from_data(data, &device));
        let loss = binary_cross_entropy(logits, labels, Tensor::ones([6], &device))
            + network.squared_weights().mul_scalar(1e-3);
        let gradients = GradientsParams::from_grads(loss.backward(), &network);
        network = optimizer.step(0.01, network, gradients);
    }
    network
}

#[test]
fn computes_what_its_layers_say() {
    for architecture in [Architecture::Baseline, Architecture::Deeper, Architecture::Averaged] {
        for (channels, batch_norm) in [(1, false), (3, false), (1, true), (3, true)] {
            let network = trained(&design(architecture, channels, batch_norm), 49).valid();
            let layers = network.layers();
            let data = TensorData::new(images(2, 49), [2, 1, 49, 49]);
            let logits = values(network.forward(Tensor::from_data(data, &Device::flex())));
            for (logit, image) in logits.iter().zip(images(2, 49).chunks_exact(49 * 49)) {
                let expected = reference(&layers, image);
                let close = (logit - expected).abs() < 1e-4 * expected.abs().max(1.0);
                assert!(close, "{architecture:?} {channels} {batch_norm}: {logit} {expected}");
            }
        }
    }
}

#[test]
fn parameters_are_those_of_the_study() {
    let count = |architecture, channels, batch_norm| {
        let design = design(architecture, channels, batch_norm);
        Network::initialise(&design, 64, 1, &Device::flex()).unwrap().parameters()
    };
    assert_eq!(count(Architecture::Baseline, 3, false), 176_225);
    assert_eq!(count(Architecture::Deeper, 3, false), 115_105);
    // Scale and shift of 32 + 32 + 64 channels; 2 · 32 · 9 weights for two more input channels.
    assert_eq!(count(Architecture::Baseline, 3, true), 176_225 + 2 * 128);
    assert_eq!(count(Architecture::Baseline, 1, false), 176_225 - 576);
}

#[test]
fn a_state_restores_everything() {
    let design = design(Architecture::Baseline, 3, true);
    let network = trained(&design, 30);
    let mut other = Network::initialise(&design, 30, 4, &Device::flex().autodiff()).unwrap();
    assert_ne!(other.layers(), network.layers());
    assert!(other.set_state(&network.state()));
    assert_eq!(other.state(), network.state());
    assert_eq!(other.layers(), network.layers());
    assert!(!other.set_state(&network.state()[1..]));
}

#[test]
fn the_start_does_not_depend_on_the_layout() {
    let network = Network::initialise(&design(Architecture::Baseline, 1, false), 64, 5, &Device::flex()).unwrap();
    let layers = network.layers().layers;
    let mut glorot = Glorot::new(5);
    let Layer::Conv { weight, .. } = &layers[0] else { panic!() };
    assert_eq!(*weight, glorot.draw(32 * 9, 9, 32 * 9));
    let Layer::Conv { weight, .. } = &layers[3] else { panic!() };
    assert_eq!(*weight, glorot.draw(32 * 32 * 9, 32 * 9, 32 * 9));
    let Layer::Conv { weight, .. } = &layers[6] else { panic!() };
    assert_eq!(*weight, glorot.draw(64 * 32 * 9, 32 * 9, 64 * 9));
    let Layer::Dense { weight, bias, inputs: 2304, outputs: 64 } = &layers[10] else { panic!() };
    assert_eq!(*weight, glorot.draw(2304 * 64, 2304, 64));
    assert!(bias.iter().all(|&b| b == 0.0));
}

#[test]
fn sums_of_millions_do_not_depend_on_the_number_of_threads() {
    let network = Network::initialise(&design(Architecture::Baseline, 1, false), 300, 6, &Device::flex()).unwrap();
    let with = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| values(network.squared_weights()))
    };
    assert!(network.parameters() > 1 << 22);
    assert_eq!(with(1), with(3));
}

#[test]
fn cross_entropy_is_stable_and_right() {
    let device = Device::flex();
    let of = |x: f32, y: f32| {
        let one = |v: f32| Tensor::<1>::from_floats([v], &device);
        values(binary_cross_entropy(one(x), one(y), one(1.0)))[0]
    };
    assert!((of(0.0, 1.0) - std::f32::consts::LN_2).abs() < 1e-6);
    assert!((of(2.0, 1.0) - (1.0 + (-2.0_f32).exp()).ln()).abs() < 1e-6);
    assert!((of(2.0, 0.0) - (1.0 + 2.0_f32.exp()).ln()).abs() < 1e-6);
    assert_eq!((of(200.0, 1.0), of(200.0, 0.0), of(-200.0, 1.0)), (0.0, 200.0, 200.0));
}
