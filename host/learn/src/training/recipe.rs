//! Recipes: how a network is trained, as data.

use std::collections::BTreeMap;

use data::{
    Catalogue, Sample,
    augment::{Augmentation, AugmentationError},
    split::SplitKind,
};
use serde::{Deserialize, Serialize};
use shared::{
    contract::{Fit, InputContract},
    limits::MODEL_SIDE,
};

use crate::network::{Design, SideError};

/// How a network is trained. In TOML, as a table; `host/learn/recipes` has examples.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Side of the input in pixels.
    pub side: u16,
    /// How radiographs are fitted into the square: stretched, unless it says otherwise.
    #[serde(default = "stretch", skip_serializing_if = "is_stretch")]
    pub fit: Fit,
    /// How the radiographs are split.
    pub split: SplitKind,
    /// Images of a step.
    pub batch: usize,
    /// Steps of an epoch, on images drawn from the shuffled training part.
    pub steps: Steps,
    /// Batches of an epoch's validation, drawn likewise.
    pub validation_steps: Steps,
    /// Epochs at most.
    pub epochs: usize,
    /// Another number starts, shuffles, drops and augments differently, on the parts that the seed gives all the same.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub start: u32,
    /// Stop when the validation loss has not fallen for this many epochs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patience: Option<usize>,
    /// Which epoch's weights are kept.
    #[serde(default)]
    pub keep: Keep,
    /// Factor of the sum of squared weights in the loss; 0 for none.
    #[serde(default)]
    pub l2: f64,
    /// Share of the values that are dropped after each pooling and each hidden dense layer; 0 for none.
    #[serde(default)]
    pub dropout: f64,
    /// How much each class counts in the loss.
    #[serde(default)]
    pub class_weights: ClassWeights,
    /// How much each hospital counts in the loss, if there are several.
    #[serde(default, skip_serializing_if = "SiteWeights::is_by_images")]
    pub site_weights: SiteWeights,
    /// How far the truth that is learnt lies from 0 and 1 (C. Szegedy et al., CVPR 2016, halved: with 0.1 it is 0.05 and
    /// 0.95); 0 for none.
    #[serde(default, skip_serializing_if = "is_none")]
    pub label_smoothing: f64,
    /// Each step's share of the weights so far in their moving average, which then takes the place of the weights (B.
    /// Polyak, A. Juditsky, SIAM J. Control Optim. 30 (1992) 838, exponential); 0 for none.
    #[serde(default, skip_serializing_if = "is_none")]
    pub weight_average: f64,
    /// Probability at or above which the decision is pneumonia.
    #[serde(default = "half")]
    pub threshold: f32,
    /// Whether `pumua train` calibrates the finished network on the validation part; then the thresholds are chosen there, too, and
    /// `threshold` counts while it learns.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub calibrate: bool,
    /// Teachers whose answers are learnt beside the truth.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distillation: Option<Distillation>,
    /// The network.
    pub network: Design,
    /// The rule by which gradients change weights.
    pub optimizer: Optimizer,
    /// How training images are varied.
    #[serde(default, skip_serializing_if = "Augmentation::is_identity")]
    pub augmentation: Augmentation,
}

/// Teachers (G. Hinton et al., arXiv:1503.02531) that are of the same kind as the network (T. Furlanello et al., ICML
/// 2018) and judge the very images that it sees, as they were varied (L. Beyer et al., CVPR 2022).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Distillation {
    /// Networks that are trained before by this recipe, without teachers, each started differently; 1 to 9.
    pub teachers: u32,
    /// How much the mean of their probabilities counts in what is learnt, above 0 and up to 1; the truth counts the rest.
    pub weight: f64,
}

/// How many batches an epoch has: a number, or `"whole"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "a number of steps or \"whole\"")]
pub enum Steps {
    /// So many.
    Number(usize),
    /// As many as the part holds.
    Whole(Whole),
}

/// The word for all there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Whole {
    /// `"whole"`.
    Whole,
}

impl Steps {
    /// As many as the part holds.
    pub const WHOLE: Self = Self::Whole(Whole::Whole);
}

/// The rule by which gradients change weights.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Optimizer {
    /// Its name.
    pub kind: OptimizerKind,
    /// Its learning rate.
    pub learning_rate: f64,
    /// How the learning rate changes over the steps.
    #[serde(default)]
    pub schedule: Schedule,
    /// SGD: share of the last update that is added to the next one; none without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub momentum: Option<f64>,
    /// AdamW: share of the weights, times the learning rate, that each step takes away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight_decay: Option<f64>,
    /// Adam: decay of the mean of the gradients; Keras' 0.9 without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beta_1: Option<f64>,
    /// Adam: decay of the mean of the squared gradients; Keras' 0.999 without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beta_2: Option<f64>,
    /// Adam: what keeps its quotient finite; Keras' 1e-7 without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epsilon: Option<f64>,
}

/// The rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OptimizerKind {
    /// Stochastic gradient descent.
    Sgd,
    /// Adam (Kingma, Ba, ICLR 2015).
    Adam,
    /// Adam with decoupled weight decay (Loshchilov, Hutter, ICLR 2019).
    AdamW,
}

/// How the learning rate changes over the steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Schedule {
    /// Not at all.
    #[default]
    Constant,
    /// Half a cosine from the whole rate to nothing (Loshchilov, Hutter, ICLR 2017, without restarts).
    Cosine,
}

/// Which epoch's weights are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Keep {
    /// The last one's.
    #[default]
    Last,
    /// Those of the lowest validation loss.
    Best,
}

/// How much each class counts in the loss.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClassWeights {
    /// Every image counts 1.
    #[default]
    None,
    /// An image counts `images / (2 × images of its class)` of the training part, so that both classes count the same: at
    /// every site of its own, or the model would learn where an image is from.
    Balanced,
    /// The same within each X-ray machine, up to 10: a machine that made most films of one class says nothing of the class,
    /// as far as there are films of the other one to show it.
    #[serde(rename = "balanced-by-machine")]
    BalancedByMachine,
}

/// How much each hospital counts in the loss, if there are several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SiteWeights {
    /// As much as it has images.
    #[default]
    ByImages,
    /// All the same: its images count `images / (sites × images of the site)` times as much.
    Equal,
}

impl SiteWeights {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
    fn is_by_images(&self) -> bool {
        *self == Self::ByImages
    }
}

/// Most that an image counts by [`ClassWeights::BalancedByMachine`]: a few films must not stand for thousands.
const MOST_BY_MACHINE: f32 = 10.0;

fn stretch() -> Fit {
    Fit::Stretch
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_stretch(fit: &Fit) -> bool {
    *fit == Fit::Stretch
}

fn half() -> f32 {
    0.5
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_none(share: &f64) -> bool {
    *share == 0.0
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// A recipe that cannot be followed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum RecipeError {
    /// a number is out of its range
    #[error("`{field}` is {value}; it must be {range}")]
    Range {
        /// The field.
        field: &'static str,
        /// What it is.
        value: f64,
        /// What it may be.
        range: &'static str,
    },
    /// the input is too small for the network
    #[error(transparent)]
    Side(#[from] SideError),
    /// the augmentation is out of its range
    #[error(transparent)]
    Augmentation(#[from] AugmentationError),
}

impl Recipe {
    /// Checks every range.
    pub fn check(&self) -> Result<(), RecipeError> {
        let range = |field, value: f64, within: bool, range| {
            if within { Ok(()) } else { Err(RecipeError::Range { field, value, range }) }
        };
        let count = |field, value: usize| {
            range(field, value as f64, (1..=1_000_000).contains(&value), "a whole number from 1 to 1000000")
        };
        range("side", f64::from(self.side), MODEL_SIDE.contains(&self.side), "from 16 to 512 pixels")?;
        range("batch", self.batch as f64, (1..=4096).contains(&self.batch), "a whole number from 1 to 4096")?;
        for (field, steps) in [("steps", self.steps), ("validation_steps", self.validation_steps)] {
            if let Steps::Number(number) = steps {
                count(field, number)?;
            }
        }
        count("epochs", self.epochs)?;
        count("patience", self.patience.unwrap_or(1))?;
        let channels = self.network.channels;
        range("channels", channels as f64, matches!(channels, 1 | 3), "1 or 3")?;
        if let Err(wanted) = self.network.check_widths() {
            range("widths", self.network.widths.len() as f64, false, wanted)?;
        }
        let rate = self.optimizer.learning_rate;
        range("learning_rate", rate, rate > 0.0 && rate <= 10.0, "above 0 and up to 10")?;
        let Optimizer { kind, momentum, weight_decay, beta_1, beta_2, epsilon, .. } = self.optimizer;
        let (sgd, adam_w) = (kind == OptimizerKind::Sgd, kind == OptimizerKind::AdamW);
        for (field, value, fits) in [
            ("momentum", momentum, sgd),
            ("weight_decay", weight_decay, adam_w),
            ("beta_1", beta_1, !sgd),
            ("beta_2", beta_2, !sgd),
            ("epsilon", epsilon, !sgd),
        ] {
            if let Some(value) = value {
                range(field, value, fits, "left out: this optimizer does not have it")?;
                // The optimizers compute in f32, where more becomes 1.
                range(field, value, (0.0..=0.999_999).contains(&value), "from 0 to 0.999999")?;
            }
        }
        let epsilon = epsilon.unwrap_or(1e-7);
        range("epsilon", epsilon, epsilon >= 1e-30, "at least 1e-30")?;
        range("l2", self.l2, (0.0..=10.0).contains(&self.l2), "from 0 to 10")?;
        let smoothing = self.label_smoothing;
        range("label_smoothing", smoothing, (0.0..1.0).contains(&smoothing), "from 0 to below 1")?;
        let average = self.weight_average;
        range("weight_average", average, (0.0..=0.999_999).contains(&average), "from 0 to 0.999999")?;
        if let Some(Distillation { teachers, weight }) = self.distillation {
            range("teachers", f64::from(teachers), (1..=9).contains(&teachers), "a whole number from 1 to 9")?;
            range("weight", weight, weight > 0.0 && weight <= 1.0, "above 0 and up to 1")?;
        }
        range("dropout", self.dropout, (0.0..1.0).contains(&self.dropout), "from 0 to below 1")?;
        let threshold = f64::from(self.threshold);
        range("threshold", threshold, threshold > 0.0 && threshold < 1.0, "between 0 and 1")?;
        self.augmentation.check()?;
        Ok(self.network.check(usize::from(self.side))?)
    }

    /// The input of the network.
    pub fn contract(&self) -> InputContract {
        InputContract { fit: self.fit, ..InputContract::stretched(self.side) }
    }

    /// Networks that are trained before the one that is wanted.
    pub fn teachers(&self) -> usize {
        self.distillation.map_or(0, |distillation| distillation.teachers as usize)
    }

    /// What starts every random stream of the training with `seed` of teacher `teacher`, from 1, or 0 for the network
    /// that is wanted.
    pub fn stream_seed(&self, seed: u64, teacher: usize) -> u64 {
        seed ^ ((u64::from(self.start) + teacher as u64) << 32)
    }

    /// Steps of an epoch on `images` training images; the whole is as many as there are whole batches.
    pub fn steps_of(&self, images: usize) -> usize {
        match self.steps {
            Steps::Number(steps) => steps,
            Steps::Whole(_) => (images / self.batch).max(1),
        }
    }

    /// Validation images of an epoch, out of `images`.
    pub fn validation_of(&self, images: usize) -> usize {
        match self.validation_steps {
            Steps::Number(steps) => (steps * self.batch).min(images),
            Steps::Whole(_) => images,
        }
    }

    /// Learning rate of step `step`, counted from 0, of `steps` in all.
    pub fn learning_rate(&self, step: u64, steps: u64) -> f64 {
        let done = step as f64 / steps.max(1) as f64;
        self.optimizer.learning_rate
            * match self.optimizer.schedule {
                Schedule::Constant => 1.0,
                Schedule::Cosine => (1.0 + (std::f64::consts::PI * done).cos()) / 2.0,
            }
    }

    /// Whether a training of more epochs begins with the very steps of one of fewer, so that it can go on where the other ended.
    /// It does not where the learning rate follows the whole length, nor where teachers come first, which are trained as long.
    pub fn is_open_ended(&self) -> bool {
        self.optimizer.schedule == Schedule::Constant && self.distillation.is_none()
    }

    /// Whether the machines behind the radiographs must be known: [`data::machines::find`].
    pub fn wants_machines(&self) -> bool {
        self.split == SplitKind::MachineFold || self.class_weights == ClassWeights::BalancedByMachine
    }

    /// How much each radiograph counts in the loss, in the order of the catalogue, where these are learnt from. They are 1 in
    /// the mean, or less where classes are balanced by machine and the bound holds.
    pub fn weights(&self, catalogue: &Catalogue, train: &[usize]) -> Vec<f32> {
        let by_machine = self.class_weights == ClassWeights::BalancedByMachine;
        let place = |i: usize| {
            let Sample { site, machine, label, .. } = &catalogue.samples[i];
            ((&**site, machine.filter(|_| by_machine)), usize::from(label.positive()))
        };
        let mut sites: BTreeMap<&str, usize> = BTreeMap::new();
        let mut counts: BTreeMap<(&str, Option<u16>), [usize; 2]> = BTreeMap::new();
        for &i in train {
            let (group, class) = place(i);
            *sites.entry(group.0).or_default() += 1;
            counts.entry(group).or_default()[class] += 1;
        }
        let mut weights = vec![0.0; catalogue.samples.len()];
        for &i in train {
            let (group, class) = place(i);
            let of_classes = counts[&group];
            let balanced = (of_classes[0] + of_classes[1]) as f32 / (2 * of_classes[class]) as f32;
            let by_class = match self.class_weights {
                ClassWeights::None => 1.0,
                ClassWeights::Balanced => balanced,
                ClassWeights::BalancedByMachine => balanced.min(MOST_BY_MACHINE),
            };
            let by_site = match self.site_weights {
                SiteWeights::ByImages => 1.0,
                SiteWeights::Equal => train.len() as f32 / (sites.len() * sites[group.0]) as f32,
            };
            weights[i] = by_class * by_site;
        }
        weights
    }
}

#[cfg(test)]
mod tests {
    use data::{Label, Sample};

    use super::*;
    use crate::study::Plan;

    fn adam() -> Recipe {
        Plan::builtin().unwrap().experiment("adam").unwrap().recipe.clone()
    }

    #[test]
    fn counts_are_those_of_the_study() {
        assert_eq!((adam().steps_of(4098), adam().validation_of(879)), (48, 320));
        let whole = Recipe { steps: Steps::WHOLE, validation_steps: Steps::WHOLE, ..adam() };
        assert_eq!((whole.steps_of(4098), whole.validation_of(879)), (204, 879));
    }

    #[test]
    fn rates_and_weights_follow_their_formulas() {
        let mut recipe = adam();
        assert_eq!(recipe.learning_rate(500, 1000), 0.001);
        recipe.optimizer.schedule = Schedule::Cosine;
        assert_eq!(recipe.learning_rate(0, 1000), 0.001);
        assert!((recipe.learning_rate(500, 1000) - 0.0005).abs() < 1e-12);
        assert!(recipe.learning_rate(999, 1000) < 1e-8);
    }

    /// Radiographs of sites, so many normal ones and so many with pneumonia.
    fn catalogue(sites: &[(&str, [usize; 2])]) -> Catalogue {
        let mut data = Catalogue::default();
        for (site, counts) in sites {
            for (label, count) in Label::ALL.into_iter().zip(counts) {
                let sample = |i| Sample { site: (*site).to_owned(), ..Sample::new(format!("{site}/{i}"), label, "") };
                data.samples.extend((0..*count).map(sample));
            }
        }
        data
    }

    #[test]
    fn of_one_site_both_classes_count_the_same() {
        let mut recipe = adam();
        for [normal, pneumonia] in [[100, 300], [939, 2712], [7, 1]] {
            let of = |recipe: &Recipe, site: &str| {
                let data = catalogue(&[(site, [normal, pneumonia])]);
                recipe.weights(&data, &(0..data.samples.len()).collect::<Vec<_>>())
            };
            recipe.class_weights = ClassWeights::None;
            assert!(of(&recipe, "").iter().all(|weight| *weight == 1.0));
            recipe.class_weights = ClassWeights::Balanced;
            let by_class = [normal, pneumonia].map(|n| (normal + pneumonia) as f32 / (2 * n) as f32);
            let expected = [vec![by_class[0]; normal], vec![by_class[1]; pneumonia]].concat();
            // To the bit, also where one site is named or weighted.
            for (site, site_weights) in
                [("", SiteWeights::ByImages), ("home", SiteWeights::ByImages), ("", SiteWeights::Equal)]
            {
                assert_eq!(of(&Recipe { site_weights, ..recipe.clone() }, site), expected);
            }
        }
    }

    #[test]
    fn classes_count_the_same_within_each_site() {
        let data = catalogue(&[("clinic", [30, 10]), ("home", [100, 300])]);
        // Not all are learnt from.
        let train: Vec<usize> = (0..440).filter(|i| i % 2 == 0).collect();
        for (site_weights, shares) in [(SiteWeights::ByImages, [20.0, 200.0]), (SiteWeights::Equal, [110.0, 110.0])] {
            let recipe = Recipe { class_weights: ClassWeights::Balanced, site_weights, ..adam() };
            let weights = recipe.weights(&data, &train);
            let sum = |site: &str, label: Label| -> f32 {
                let here = |i: &usize| data.samples[*i].site == site && data.samples[*i].label == label;
                (0..440).filter(here).map(|i| weights[i]).sum()
            };
            for (site, share) in ["clinic", "home"].into_iter().zip(shares) {
                for label in Label::ALL {
                    assert!((sum(site, label) - share / 2.0).abs() < 1e-3, "{site} {label} {}", sum(site, label));
                }
            }
            let unused = |i: &usize| i % 2 == 1;
            assert!((0..440).filter(unused).all(|i| weights[i] == 0.0));
        }
    }

    #[test]
    fn classes_count_the_same_within_each_machine_up_to_a_bound() {
        // Of machine 1: 10 normal, 30 with pneumonia; of machine 2: 1 and 99.
        let groups =
            [(1, Label::Normal, 10), (1, Label::Pneumonia, 30), (2, Label::Normal, 1), (2, Label::Pneumonia, 99)];
        let mut data = Catalogue::default();
        for (machine, label, count) in groups {
            let sample =
                |i| Sample { machine: Some(machine), ..Sample::new(format!("{machine}-{label}-{i}"), label, "") };
            data.samples.extend((0..count).map(sample));
        }
        let all: Vec<usize> = (0..140).collect();
        let of = |data: &Catalogue, class_weights: ClassWeights, train: &[usize]| {
            let weights = Recipe { class_weights, ..adam() }.weights(data, train);
            [0, 10, 40, 41].map(|first| weights[first])
        };
        assert_eq!(of(&data, ClassWeights::None, &all), [1.0; 4]);
        let [normal, pneumonia] = [140.0 / 22.0, 140.0 / 258.0];
        assert_eq!(of(&data, ClassWeights::Balanced, &all), [normal, pneumonia, normal, pneumonia]);
        assert_eq!(of(&data, ClassWeights::BalancedByMachine, &all), [2.0, 2.0 / 3.0, MOST_BY_MACHINE, 100.0 / 198.0]);
        // What is not learnt from neither counts nor is counted.
        assert_eq!(of(&data, ClassWeights::BalancedByMachine, &all[..20]), [1.0, 1.0, 0.0, 0.0]);
        // Machines of another site are others, of whatever number.
        let away = data.samples.iter().map(|sample| Sample { site: "clinic".to_owned(), ..sample.clone() });
        let samples = [data.samples[..40].to_vec(), away.skip(40).collect()].concat();
        data.samples = samples.into_iter().map(|sample| Sample { machine: Some(1), ..sample }).collect();
        assert_eq!(of(&data, ClassWeights::BalancedByMachine, &all), [2.0, 2.0 / 3.0, MOST_BY_MACHINE, 100.0 / 198.0]);
        let recipe =
            Recipe { class_weights: ClassWeights::BalancedByMachine, site_weights: SiteWeights::Equal, ..adam() };
        assert_eq!(recipe.weights(&data, &all)[0], 2.0 * 140.0 / 80.0);
    }

    #[test]
    fn what_is_out_of_range_is_named() {
        assert_eq!(adam().check(), Ok(()));
        let wrong = Recipe { dropout: 1.0, ..adam() };
        assert_eq!(wrong.check().unwrap_err().to_string(), "`dropout` is 1; it must be from 0 to below 1");
        assert!(Recipe { batch: 0, ..adam() }.check().is_err());
        assert!(Recipe { l2: f64::NAN, ..adam() }.check().is_err());
        assert!(matches!(Recipe { side: 16, ..adam() }.check(), Err(RecipeError::Side(_))));
        // What would be 1 or 0 in f32.
        let optimizer = adam().optimizer;
        for optimizer in [
            Optimizer { beta_1: Some(0.999_999_99), ..optimizer },
            Optimizer { beta_2: Some(0.999_999_99), ..optimizer },
            Optimizer { epsilon: Some(1e-50), ..optimizer },
        ] {
            assert!(Recipe { optimizer, ..adam() }.check().is_err(), "{optimizer:?}");
        }
    }

    #[test]
    fn recipes_are_read_as_they_were_written() {
        let mut recipe = adam();
        recipe.augmentation.rotation = 12.0;
        recipe.patience = Some(5);
        assert_eq!(toml::from_str::<Recipe>(&toml::to_string(&recipe).unwrap()).unwrap(), recipe);
        let text = toml::to_string(&recipe).unwrap();
        assert!(toml::from_str::<Recipe>(&format!("sorcery = 1\n{text}")).is_err());
        let wrong = toml::from_str::<Recipe>(&text.replace("steps = 48", "steps = \"all\"")).unwrap_err().to_string();
        assert!(wrong.contains("a number of steps or \"whole\""), "{wrong}");
    }
}
