use burn::tensor::{Device, Distribution};

use super::*;
use crate::network::portable;

fn close(a: &TensorData, b: &TensorData) {
    a.assert_approx_eq::<f32>(b, burn::tensor::Tolerance::rel_abs(1e-3, 1e-4));
}

const NORMAL: Distribution = Distribution::Normal(0.0, 1.0);

fn operands([n, h, w, c, f]: [usize; 5], device: &Device) -> (Tensor<4>, Tensor<4>, Tensor<1>) {
    (
        Tensor::random([n, h, w, c], NORMAL, device).require_grad(),
        // As large as keeps the sums near 1, where the tolerance is meant to be.
        Tensor::random([f, 3, 3, c], Distribution::Normal(0.0, (9.0 * c as f64).sqrt().recip()), device).require_grad(),
        Tensor::random([f], NORMAL, device).require_grad(),
    )
}

#[test]
fn forward_and_gradients_equal_those_of_burn() {
    let device = Device::flex().autodiff();
    device.seed(7);
    for sizes in [
        [2, 16, 16, 1, 4],
        [3, 13, 10, 5, 3],
        [1, 4, 4, 3, 2],
        [2, 40, 71, 2, 8],
        [3, 20, 19, 1, 32],
        [5, 12, 15, 32, 17],
        [2, 11, 14, 32, 64],
        [1, 6, 7, 64, 32],
        // Kernel rows that do not fill their last vector, up to where the only kernel ends.
        [1, 5, 6, 4, 1],
        [2, 11, 13, 12, 20],
        [1, 8, 7, 20, 40],
        [1, 6, 6, 40, 80],
        // Several bands, the last one shorter.
        [2, 31, 29, 32, 32],
    ] {
        let (x, weight, bias) = operands(sizes, &device);
        let ours = block(x.clone(), weight.clone(), bias.clone());
        let theirs = portable::block(x.clone(), weight.clone(), bias.clone());
        assert_eq!(ours.dims(), theirs.dims());
        close(&ours.to_data(), &theirs.to_data());
        let factor = Tensor::<4>::random(ours.dims(), NORMAL, &device);
        let ours = (ours * factor.clone()).sum().backward();
        let theirs = (theirs * factor).sum().backward();
        close(&x.grad(&ours).unwrap().to_data(), &x.grad(&theirs).unwrap().to_data());
        close(&weight.grad(&ours).unwrap().to_data(), &weight.grad(&theirs).unwrap().to_data());
        close(&bias.grad(&ours).unwrap().to_data(), &bias.grad(&theirs).unwrap().to_data());
    }
}

/// As in the first layer, whose images have no gradients.
#[test]
fn gradients_of_weights_do_not_need_those_of_the_input() {
    let device = Device::flex().autodiff();
    device.seed(5);
    for sizes in [[1, 9, 8, 1, 9], [5, 20, 19, 1, 32], [3, 12, 15, 3, 17], [5, 31, 8, 32, 8]] {
        let (x, weight, bias) = operands(sizes, &device);
        let untracked = Tensor::from_data(x.to_data(), &device);
        let gradients = |x: &Tensor<4>| {
            let out = block(x.clone(), weight.clone(), bias.clone());
            let gradients = (out.clone() * out).sum().backward();
            (weight.grad(&gradients).unwrap().to_data(), bias.grad(&gradients).unwrap().to_data())
        };
        assert_eq!(gradients(&untracked), gradients(&x), "{sizes:?}");
    }
}

#[test]
fn the_first_of_equals_gets_the_gradient_and_zero_gets_none() {
    let device = Device::flex().autodiff();
    let gradient = |bias: f32| {
        let x = Tensor::<4>::ones([1, 4, 4, 1], &device).require_grad();
        let weight = Tensor::<4>::ones([1, KERNEL, KERNEL, 1], &device).require_grad();
        let out = block(x.clone(), weight.clone(), Tensor::from_floats([bias], &device));
        let gradients = out.sum().backward();
        let values = |tensor: &Tensor<4>| tensor.grad(&gradients).unwrap().to_data().iter::<f32>().collect::<Vec<_>>();
        (values(&x), values(&weight))
    };
    let first = [1.0, 1.0, 1.0, 0.0].repeat(3).into_iter().chain([0.0; 4]).collect::<Vec<f32>>();
    assert_eq!(gradient(-8.0), (first, vec![1.0; 9]));
    assert_eq!(gradient(-9.0), (vec![0.0; 16], vec![0.0; 9]));
}

#[test]
fn what_is_no_number_comes_out() {
    let device = Device::flex().autodiff();
    device.seed(6);
    let sizes @ [_, h, w, c, f] = [1, 6, 8, 3, 10];
    let (x, weight, bias) = operands(sizes, &device);
    let data = |tensor: &Tensor<4>| tensor.to_data().iter::<f32>().collect::<Vec<_>>();
    let [x, weight] = [data(&x), data(&weight)];
    let run = |x: &[f32], weight: &[f32], bias: &Tensor<1>| {
        let x = Tensor::from_data(TensorData::new(x.to_vec(), [1, h, w, c]), &device);
        let weight = Tensor::from_data(TensorData::new(weight.to_vec(), [f, KERNEL, KERNEL, c]), &device);
        data(&block(x, weight, bias.clone()))
    };
    assert!(run(&x, &weight, &bias).iter().all(|value| value.is_finite()));
    for fault in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        // Whichever candidate of the first pooled pixel it is in.
        for at in [0, 3 * c, 3 * w * c, (3 * w + 3) * c] {
            let mut x = x.clone();
            x[at] = fault;
            assert!(run(&x, &weight, &bias)[..f].iter().all(|value| value.is_nan()), "{fault} at {at}");
        }
        let mut weight = weight.clone();
        weight[0] = fault;
        assert!(run(&x, &weight, &bias).iter().step_by(f).all(|value| value.is_nan()), "{fault}");
    }
    assert!(run(&x, &weight, &bias.mul_scalar(f32::NAN)).iter().all(|value| value.is_nan()));
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let device = Device::flex().autodiff();
    device.seed(8);
    let (x, weight, bias) = operands([7, 13, 14, 32, 16], &device);
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let out = block(x.clone(), weight.clone(), bias.clone());
            let grads = (out.clone() * out.clone()).sum().backward();
            let [dx, dw] = [&x, &weight].map(|t| t.grad(&grads).unwrap().to_data());
            (out.to_data(), dx, dw, bias.grad(&grads).unwrap().to_data())
        })
    };
    assert_eq!(on(1), on(3));
}
