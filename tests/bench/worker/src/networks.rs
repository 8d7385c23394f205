//! The engines that are compiled into these programs.

use std::{cell::RefCell, path::Path};

use engine::Model;
use protocol::{Failure, Network};
use tract_onnx::{
    prelude::*,
    tract_hir::{infer::Factoid, internal::DimLike},
};

/// This engine.
pub(crate) struct Ours(Model);

impl Network for Ours {
    type Input = Vec<u8>;

    fn load(path: &Path) -> Result<Self, Failure> {
        Ok(Self(Model::open(path)?))
    }

    fn input(&self, pixels: &[u8]) -> Result<Vec<u8>, Failure> {
        Ok(pixels.to_vec())
    }

    fn run(&self, input: &Vec<u8>) -> Result<f32, Failure> {
        Ok(self.0.classify(input)?.logit)
    }

    fn pixels(&self) -> usize {
        self.0.card().behaviour.contract.len()
    }
}

/// tract as released, without this engine's importers.
pub(crate) struct Tract {
    // One for all images, because making it takes time and memory for each.
    state: RefCell<TypedSimpleState>,
    side: usize,
}

impl Network for Tract {
    type Input = TValue;

    fn load(path: &Path) -> Result<Self, Failure> {
        let model = tract_onnx::onnx().model_for_path(path)?;
        let shape = model.input_fact(0)?.shape.concretize().ok_or("the input's shape is not fixed")?;
        let side = shape.last().ok_or("the input is a scalar")?.to_usize()?;
        let plan = model.into_optimized()?.into_runnable()?;
        Ok(Self { state: RefCell::new(plan.spawn()?), side })
    }

    fn input(&self, pixels: &[u8]) -> Result<TValue, Failure> {
        let image = Tensor::from_shape(&[1, 1, self.side, self.side], &protocol::values(pixels))?;
        Ok(image.into_tvalue())
    }

    fn run(&self, input: &TValue) -> Result<f32, Failure> {
        let outputs = self.state.try_borrow_mut()?.run(tvec!(input.clone()))?;
        let logit = outputs.first().ok_or("the model has no output")?;
        Ok(logit.cast_to_scalar::<f32>()?)
    }

    fn pixels(&self) -> usize {
        self.side * self.side
    }
}
