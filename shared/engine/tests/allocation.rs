//! After its first image a fused network allocates nothing.

mod common;

use common::{Random, bytes, network::Builder};
use engine::{DEFAULT_MODEL, Execution, Kernels, Model};

#[test]
fn images_after_the_first_allocate_nothing() {
    for file in [DEFAULT_MODEL, &bytes(&Builder::separable(1).onnx()), &bytes(&Builder::pooled(1).onnx())] {
        for kernels in Kernels::available() {
            let mut loaded = None;
            let used = allocation_counter::measure(|| loaded = Model::from_bytes_with(file, kernels).ok());
            assert!(used.count_total > 0, "the counter counts nothing");
            let model = loaded.expect("a model");
            assert!(matches!(model.execution(), Execution::Fused { .. }));
            let mut random = Random(3);
            for image in 0..10 {
                let pixels: Vec<u8> = (0..model.card().behaviour.contract.len()).map(|_| random.next() as u8).collect();
                let used = allocation_counter::measure(|| {
                    model.classify(&pixels).expect("a score");
                });
                assert!(image == 0 || used.count_total == 0, "image {image} with {kernels}: {used:?}");
            }
        }
    }
}
