//! Recipes: how a network is trained, as data.

use serde::{Deserialize, Serialize};

use crate::network::{Architecture, Design};

/// The rule by which gradients change weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OptimizerKind {
    /// Stochastic gradient descent without momentum.
    Sgd,
    /// Adam with Keras' constants: β₁ 0.9, β₂ 0.999, ε 1e-7.
    Adam,
}

/// How a network is trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recipe {
    /// The word for `--recipe`.
    pub name: String,
    /// The network.
    pub network: Design,
    /// The rule by which gradients change weights.
    pub optimizer: OptimizerKind,
    /// Its learning rate.
    pub learning_rate: f64,
    /// Factor of the sum of squared weights in the loss; 0 for none.
    pub l2: f64,
    /// Share of the values that are dropped after each pooling and each hidden dense layer; 0 for none.
    pub dropout: f64,
    /// Images of a step.
    pub batch: usize,
    /// Steps of an epoch; without it, as many whole batches as the training part holds.
    pub steps: Option<usize>,
    /// Epochs. The weights of the last one are kept.
    pub epochs: usize,
    /// Probability at or above which the decision is pneumonia.
    pub threshold: f32,
}

impl Recipe {
    /// The names of the built-in recipes, the first being the default.
    pub const NAMES: [&'static str; 7] =
        ["adam", "adam-whole", "adam-whole-l2", "deeper", "sgd", "sgd-l2", "sgd-dropout"];

    /// A built-in recipe: the runs of the study under its own settings.
    pub fn named(name: &str) -> Option<Self> {
        let design = |architecture| Design { architecture, channels: 1, batch_norm: false };
        let sgd = || Self {
            name: name.to_owned(),
            network: design(Architecture::Baseline),
            optimizer: OptimizerKind::Sgd,
            learning_rate: 0.01,
            l2: 0.0,
            dropout: 0.0,
            batch: 20,
            steps: Some(48),
            epochs: 30,
            threshold: 0.5,
        };
        let adam = || Self { optimizer: OptimizerKind::Adam, learning_rate: 0.001, ..sgd() };
        Some(match name {
            "sgd" => sgd(),
            "sgd-l2" => Self { l2: 0.005, ..sgd() },
            "sgd-dropout" => Self { dropout: 0.3, ..sgd() },
            "adam" => adam(),
            "deeper" => Self { network: design(Architecture::Deeper), ..adam() },
            "adam-whole" => Self { steps: None, ..adam() },
            "adam-whole-l2" => Self { steps: None, l2: 0.005, ..adam() },
            _ => return None,
        })
    }

    /// Steps of an epoch on `images` training images.
    pub fn steps_of(&self, images: usize) -> usize {
        self.steps.unwrap_or((images / self.batch).max(1))
    }

    /// Validation images of an epoch, out of `images`: a third as many batches as steps where the epoch has a fixed
    /// number of steps (the study's 16 for 48), else all.
    pub fn validation_of(&self, images: usize) -> usize {
        self.steps.map_or(images, |steps| (steps.div_ceil(3) * self.batch).min(images))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recipes_are_those_of_the_study() {
        for name in Recipe::NAMES {
            assert_eq!(Recipe::named(name).unwrap().name, name);
        }
        assert_eq!(Recipe::named("sorcery"), None);
        let adam = Recipe::named("adam").unwrap();
        assert_eq!((adam.steps_of(4098), adam.validation_of(879)), (48, 320));
        let whole = Recipe::named("adam-whole").unwrap();
        assert_eq!((whole.steps_of(4098), whole.validation_of(879)), (204, 879));
    }
}
