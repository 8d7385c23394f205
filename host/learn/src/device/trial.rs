//! Whether a device can be trained on: one step of a small network on it, held against the same step on the processor.
//!
//! burn panics where a driver fails, on a thread of its own and on the one that has asked. Such a panic is caught here,
//! and its words are kept instead of printed; what failed is not used again. How panics are printed is the whole
//! process's, so this is for when nothing else runs yet. A driver that ends the process would end it in a training as
//! well.

use std::{
    panic::{self, AssertUnwindSafe},
    sync::{Arc, Mutex, PoisonError},
};

use burn::{
    optim::{GradientsParams, SgdConfig},
    tensor::{Device, Tensor, TensorData},
};

use crate::network::{Architecture, Design, Network, SideError, binary_cross_entropy};

/// How far the step may end from that of the processor, as a share of the way that this one goes. Sums in another order
/// differ in their last bits.
const TOLERANCE: f64 = 0.02;

/// Pixels of a side of the images.
const SIDE: usize = 22;

/// Images of the step.
const IMAGES: usize = 4;

/// Held by the one who has the panics of the process: of two at once each would get the other's words.
static PANICS: Mutex<()> = Mutex::new(());

/// The state of a network before and after a step.
struct Step {
    before: Vec<f32>,
    after: Vec<f32>,
}

/// What comes of some work, or the first words of a panic in it, on whatever thread. They are not printed.
pub(super) fn attempt<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    let first: Arc<Mutex<Option<String>>> = Arc::default();
    let kept = Arc::clone(&first);
    let _panics = PANICS.lock().unwrap_or_else(PoisonError::into_inner);
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        let words = info.payload().downcast_ref::<String>().map(String::as_str);
        let words = words.or_else(|| info.payload().downcast_ref::<&str>().copied()).unwrap_or("no reason given");
        kept.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| words.to_owned());
    }));
    let done = panic::catch_unwind(AssertUnwindSafe(work));
    panic::set_hook(usual);
    done.map_err(|_| {
        let mut first = first.lock().unwrap_or_else(PoisonError::into_inner);
        first.take().unwrap_or_else(|| "no reason given".to_owned())
    })
}

/// Whether a step on the device comes to what one on the processor comes to; if not, why.
pub(super) fn compare(device: &Device) -> Result<(), String> {
    let there = attempt(|| step(device))?.map_err(|error| error.to_string())?;
    let here = step(&Device::flex()).map_err(|error| error.to_string())?;
    if agree(&here, &there) { Ok(()) } else { Err("it computes something else than the processor".to_owned()) }
}

fn step(device: &Device) -> Result<Step, SideError> {
    let device = device.clone().autodiff();
    let design = Design { architecture: Architecture::Baseline, channels: 1, widths: Vec::new(), batch_norm: true };
    let network = Network::initialise(&design, SIDE, 1, &device)?;
    let before = network.state();
    let pixels: Vec<f32> = (0..IMAGES * SIDE * SIDE).map(|i| ((i * 37) % 101) as f32 / 100.0).collect();
    let images = Tensor::from_data(TensorData::new(pixels, [IMAGES, 1, SIDE, SIDE]), &device);
    let labels = Tensor::<1>::from_floats([0.0, 1.0, 1.0, 0.0], &device);
    let loss = binary_cross_entropy(network.forward(images), labels, Tensor::ones([IMAGES], &device));
    let gradients = GradientsParams::from_grads(loss.backward(), &network);
    let network = SgdConfig::new().init().step(0.1, network, gradients);
    Ok(Step { before, after: network.state() })
}

/// True if both begin alike and end close to each other, seen from how far the first one goes.
fn agree(here: &Step, there: &Step) -> bool {
    let distance =
        |a: &[f32], b: &[f32]| -> f64 { a.iter().zip(b).map(|(a, b)| (f64::from(*a) - f64::from(*b)).abs()).sum() };
    let way = distance(&here.before, &here.after);
    // What is no number is not close.
    here.before == there.before
        && here.after.len() == there.after.len()
        && distance(&here.after, &there.after) <= TOLERANCE * way
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn a_panic_becomes_its_first_words() {
        assert_eq!(attempt(|| 7), Ok(7));
        let failed: Result<(), String> = attempt(|| {
            let number = 3;
            let _ = thread::spawn(move || panic!("driver {number}")).join();
            panic!("the other side is gone");
        });
        assert_eq!(failed, Err("driver 3".to_owned()));
    }

    #[test]
    fn a_device_that_computes_something_else_is_refused() {
        assert_eq!(compare(&Device::flex()), Ok(()));
        let at = |after: &dyn Fn(f32, f32) -> f32| {
            let Step { before, after: moved } = step(&Device::flex()).unwrap();
            let after = before.iter().zip(&moved).map(|(&before, &moved)| after(before, moved)).collect();
            Step { before, after }
        };
        let right = at(&|_, moved| moved);
        assert!(agree(&right, &at(&|before, moved| moved + (moved - before) * 0.01)));
        for wrong in [
            at(&|before, _| before),
            at(&|before, moved| moved + (moved - before) * 0.1),
            at(&|before, moved| before - (moved - before)),
            at(&|_, _| f32::NAN),
            Step { before: right.before.clone(), after: right.after[1..].to_vec() },
            Step { before: right.after.clone(), after: right.after.clone() },
        ] {
            assert!(!agree(&right, &wrong));
        }
    }
}
