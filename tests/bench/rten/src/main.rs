//! Runs float models with rten.

use std::{path::Path, sync::Arc};

use protocol::{Failure, Network};
use rten::{ModelOptions, NodeId, RunOptions, ThreadPool};
use rten_tensor::{AsView, NdTensor};

fn main() -> Result<(), Failure> {
    protocol::serve::<Rten>()
}

struct Rten {
    model: rten::Model,
    image: NodeId,
    logit: NodeId,
    side: usize,
    options: RunOptions,
}

impl Network for Rten {
    type Input = NdTensor<f32, 4>;

    fn load(path: &Path) -> Result<Self, Failure> {
        let model = ModelOptions::with_all_ops().prepack_weights(true).load_file(path)?;
        let (image, logit) = (model.node_id("image")?, model.node_id("logit")?);
        let shape = model.node_info(image).and_then(|node| node.shape()).ok_or("the input's shape is not fixed")?;
        let side = match shape.last() {
            Some(rten::Dimension::Fixed(side)) => *side,
            _ => return Err("the input's shape is not fixed".into()),
        };
        let options = RunOptions::default().with_thread_pool(Some(Arc::new(ThreadPool::with_num_threads(1))));
        Ok(Self { model, image, logit, side, options })
    }

    fn input(&self, pixels: &[u8]) -> Result<Self::Input, Failure> {
        Ok(NdTensor::from_data([1, 1, self.side, self.side], protocol::values(pixels)))
    }

    fn run(&self, input: &Self::Input) -> Result<f32, Failure> {
        let inputs = vec![(self.image, input.view().into())];
        let [logit] = self.model.run_n(inputs, [self.logit], Some(self.options.clone()))?;
        let logit: NdTensor<f32, 2> = logit.try_into()?;
        Ok(logit[[0, 0]])
    }

    fn pixels(&self) -> usize {
        self.side * self.side
    }
}
