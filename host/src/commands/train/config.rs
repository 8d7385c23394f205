//! The settings of a run, and what follows from them: its data, its parts, and what its models and its report say.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context, anyhow};
use base::{
    Shown,
    files::{self, write_atomically},
};
use data::{
    Catalogue, Inputs, Label, PartCount,
    machines::{self, MACHINES},
    split::{Split, SplitError},
    synthetic,
};
use engine::{ModelCard, Provenance, SiteRecord};
use learn::{
    device::{DeviceChoice, TrainingDevice},
    study::Plan,
    training::{Checkpoint, Recipe, Steps, Trained},
};
use produce::models::MadeModels;
use report::training::Report;
use serde::{Deserialize, Serialize};
use shared::{
    age::Ages,
    contract::InputContract,
    verdict::{Digest, OperatingPoint},
};

use super::{
    super::{
        sites::{SitesArgs, tell},
        started_as,
    },
    Options,
};
use crate::exit::{Exit, Failure, WithExit};

/// Most bytes of a run's settings.
const MAX_CONFIG: u64 = 1 << 20;

/// Epochs on synthetic radiographs, unless another number is asked for: they are learnt sooner than real ones.
const SYNTHETIC_EPOCHS: usize = 12;

/// The settings of a run, kept in its folder as `config.toml`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Config {
    /// The folders or archives; without any, synthetic radiographs.
    #[serde(flatten)]
    pub(super) radiographs: SitesArgs,
    /// The site that is not learnt from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    leave_out: Option<String>,
    /// For whom the model is meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) ages: Option<Ages>,
    /// Number of synthetic radiographs.
    images: u64,
    pub(super) seed: u64,
    /// What the recipe is called; the options may have changed it.
    pub(super) name: String,
    /// What it is trained on, if that is not the processor.
    #[serde(default, skip_serializing_if = "is_processor")]
    pub(super) device: DeviceChoice,
    /// Where the radiographs of sites are from, by their names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    sources: BTreeMap<String, String>,
    pub(super) recipe: Recipe,
}

fn is_processor(device: &DeviceChoice) -> bool {
    *device == DeviceChoice::Processor
}

impl Config {
    pub(super) const FILE: &'static str = "config.toml";

    pub(super) fn new(options: &Options) -> Result<Self, Failure> {
        let plan = Plan::with_files(&options.recipes)?;
        let experiment = plan.experiment(&options.recipe).with_context(|| {
            format!("there is no recipe `{}`: `{} study --list` names them", Shown(&options.recipe), started_as())
        })?;
        let mut recipe = experiment.recipe.clone();
        recipe.split = options.split;
        recipe.side = options.side.unwrap_or(recipe.side);
        if options.radiographs.is_empty() {
            recipe.epochs = SYNTHETIC_EPOCHS;
        }
        recipe.epochs = options.epochs.unwrap_or(recipe.epochs);
        recipe.steps = options.steps.map_or(recipe.steps, Steps::Number);
        recipe.batch = options.batch.unwrap_or(recipe.batch);
        recipe.optimizer.learning_rate = options.lr.unwrap_or(recipe.optimizer.learning_rate);
        // Before anything is read or written.
        recipe.check().exit(Exit::Usage)?;
        Ok(Self {
            radiographs: options.radiographs.absolute()?,
            leave_out: options.leave_out.clone(),
            ages: options.ages,
            images: options.images,
            seed: options.seed,
            name: experiment.name.clone(),
            device: options.device,
            sources: options.sources.iter().cloned().collect(),
            recipe,
        })
    }

    pub(super) fn load(folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join(Self::FILE);
        let text = files::read_text(&path, MAX_CONFIG).with_context(|| {
            format!("cannot read {}: name the folder of a run that was stopped", Shown(path.display()))
        })?;
        let changed = || format!("{} was changed: start the training again", Shown(path.display()));
        let config: Self = toml::from_str(&text).with_context(changed)?;
        config.recipe.check().with_context(changed)?;
        Ok(config)
    }

    pub(super) fn radiographs(&self) -> anyhow::Result<(Catalogue, Inputs)> {
        let (mut catalogue, inputs) = self.read(&self.recipe.contract())?;
        if self.recipe.wants_machines() {
            machines::find(&mut catalogue, &self.read(&machines::CONTRACT)?, MACHINES)?;
        }
        Ok((catalogue, inputs))
    }

    fn read(&self, contract: &InputContract) -> anyhow::Result<(Catalogue, Inputs)> {
        Ok(if self.radiographs.is_empty() {
            synthetic::radiographs(self.images, self.seed, contract)?
        } else {
            self.radiographs.load(contract)?
        })
    }

    /// Says on stderr what there is to learn from.
    pub(super) fn tell(&self, catalogue: &Catalogue) {
        if self.radiographs.is_empty() {
            let (normal, pneumonia) = (catalogue.count(Label::Normal), catalogue.count(Label::Pneumonia));
            base::say!("{normal} + {pneumonia} synthetic radiographs; for real ones: --data DIR-or-ZIP");
        } else {
            tell(&self.radiographs.words(), catalogue);
        }
        if catalogue.synthetic {
            base::say!("{}", report::SYNTHETIC);
        }
    }

    pub(super) fn split(&self, catalogue: &Catalogue) -> Result<Split, Failure> {
        match &self.leave_out {
            Some(_) if self.radiographs.sites.is_empty() => Err(SplitError::NothingLeft).exit(Exit::Usage),
            out => Ok(Split::leaving_out(catalogue, self.recipe.split, self.seed, out.as_deref())?),
        }
    }

    /// What the card says of the hospitals; nothing of drawings.
    pub(super) fn sites(&self, catalogue: &Catalogue, split: &Split) -> Result<Vec<SiteRecord>, Failure> {
        let mut records = if self.radiographs.is_empty() { Vec::new() } else { split.records(catalogue) };
        for (name, source) in &self.sources {
            let Some(record) = records.iter_mut().find(|record| record.name == *name) else {
                return Err(anyhow!("none of the sites is called `{}`: see `--source`", Shown(name))).exit(Exit::Usage);
            };
            record.source.clone_from(source);
        }
        Ok(records)
    }

    /// What a checkpoint must agree with: all but ages and sources, which only the card says, and epochs, where more of them may
    /// follow. Of earlier versions with the epochs.
    fn digest(&self, data: Digest, with_epochs: bool) -> anyhow::Result<String> {
        let mut config = Self { ages: None, sources: BTreeMap::new(), ..self.clone() };
        if !with_epochs && config.recipe.is_open_ended() {
            config.recipe.epochs = 0;
        }
        Ok(Digest::of(format!("{}{data}", toml::to_string(&config)?).as_bytes()).to_string())
    }

    /// The digest that the checkpoint has, if it is of this training, also if an earlier version made it; else that of now.
    pub(super) fn digest_for(&self, checkpoint: Option<&Checkpoint>, catalogue: &Catalogue) -> anyhow::Result<String> {
        if let Some(checkpoint) = checkpoint {
            for data in [Some(catalogue.digest()), catalogue.former_digest()].into_iter().flatten() {
                for with_epochs in [false, true] {
                    let digest = self.digest(data, with_epochs)?;
                    if digest == checkpoint.config {
                        return Ok(digest);
                    }
                }
            }
        }
        self.digest(catalogue.digest(), false)
    }

    /// The same training of more epochs, if any are asked for.
    pub(super) fn lengthened(mut self, epochs: Option<usize>) -> Result<Self, Failure> {
        let had = self.recipe.epochs;
        self.recipe.epochs = epochs.unwrap_or(had);
        self.recipe.check().exit(Exit::Usage)?;
        let refused = match self.recipe.epochs {
            epochs if epochs < had => format!("the run is one of {had} epochs: name as many or more with `--epochs`"),
            epochs if epochs > had && !self.recipe.is_open_ended() => format!(
                "the run cannot go on beyond its {had} epochs, because learning rate or teachers of its recipe depend on their \
                 number from the first step on: start another training with `--epochs {epochs}`"
            ),
            _ => return Ok(self),
        };
        Err(anyhow!(refused)).exit(Exit::Usage)
    }

    /// Makes the folder that of this longer training, and gives the digest of its checkpoints.
    pub(super) fn take_over(
        &self,
        checkpoint: Option<&mut Checkpoint>,
        catalogue: &Catalogue,
        folder: &Path,
    ) -> anyhow::Result<String> {
        let advice =
            || format!("cannot write into {}: free some space, then do the same again", Shown(folder.display()));
        let digest = self.digest(catalogue.digest(), false)?;
        // First the checkpoint, which with this digest goes with the settings of before as well: nothing is lost in between.
        if let Some(checkpoint) = checkpoint
            && checkpoint.config != digest
        {
            checkpoint.config.clone_from(&digest);
            checkpoint.save(&folder.join(Checkpoint::FILE)).with_context(advice)?;
        }
        write_atomically(&folder.join(Self::FILE), toml::to_string(self)?.as_bytes()).with_context(advice)?;
        Ok(digest)
    }

    /// Takes the data from where they are now.
    pub(super) fn moved(mut self, radiographs: &SitesArgs) -> Result<Self, Failure> {
        if radiographs.is_empty() {
            return Ok(self);
        }
        if self.radiographs.is_empty() {
            return Err(anyhow!("the run learns from drawings: leave out `--data` and `--site`")).exit(Exit::Usage);
        }
        self.radiographs = radiographs.absolute()?;
        Ok(self)
    }

    /// What the float model is called.
    pub(super) fn model_name(&self, synthetic: bool) -> String {
        let synthetic = if synthetic { "synthetic-" } else { "" };
        format!("{synthetic}{}-{}px-seed{}", self.name, self.recipe.side, self.seed)
    }

    /// What the model files say of themselves before they are measured.
    pub(super) fn card(&self, catalogue: &Catalogue, sites: &[SiteRecord]) -> ModelCard {
        let mut card = ModelCard::new(self.model_name(catalogue.synthetic), self.recipe.contract());
        card.behaviour.point = OperatingPoint::unbanded(self.recipe.threshold);
        card.provenance = Provenance {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            synthetic: catalogue.synthetic,
            recipe: self.name.clone(),
            seed: self.seed,
            split: self.recipe.split.to_string(),
            data_digest: catalogue.digest().to_string(),
            ages: self.ages,
            sites: sites.to_vec(),
        };
        card
    }

    pub(super) fn report(
        &self,
        catalogue: &Catalogue,
        split: &Split,
        sites: Vec<SiteRecord>,
        device: &TrainingDevice,
        trained: Trained,
        made: MadeModels,
    ) -> Report {
        Report {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            synthetic: catalogue.synthetic,
            data: if self.radiographs.is_empty() {
                format!("{} synthetic radiographs, seed {}", self.images, self.seed)
            } else {
                self.radiographs.words()
            },
            data_digest: catalogue.digest().to_string(),
            skipped: catalogue.files_left_out(),
            train: PartCount::of(catalogue, &split.train),
            validation: PartCount::of(catalogue, &split.validation),
            test: PartCount::of(catalogue, &split.test),
            sites,
            ages: self.ages,
            seed: self.seed,
            name: self.name.clone(),
            recipe: self.recipe.clone(),
            device: device.name().to_owned(),
            parameters: trained.network.parameters(),
            kept_epoch: trained.kept_epoch,
            range_method: made.range_method,
            flips: made.flips,
            models: made.models,
            history: trained.history,
            seconds: trained.seconds,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(plan: &Plan, name: &str) -> Config {
        Config {
            radiographs: SitesArgs { data: None, sites: Vec::new() },
            leave_out: None,
            ages: None,
            images: 20,
            seed: 1,
            name: name.to_owned(),
            device: DeviceChoice::Processor,
            sources: BTreeMap::new(),
            recipe: plan.experiment(name).unwrap().recipe.clone(),
        }
    }

    #[test]
    fn settings_keep_the_device_and_are_as_before_on_the_processor() {
        let processor = config(&Plan::builtin().unwrap(), "adam");
        let graphics = Config { device: DeviceChoice::Graphics(Some(1)), ..processor.clone() };
        let text = |config: &Config| toml::to_string(config).unwrap();
        assert!(!text(&processor).contains("device"), "{}", text(&processor));
        assert!(text(&graphics).contains("device = \"graphics:1\"\n"), "{}", text(&graphics));
        for config in [&processor, &graphics] {
            assert_eq!(&toml::from_str::<Config>(&text(config)).unwrap(), config);
        }
        // A checkpoint of one is not continued on the other.
        let data = Catalogue::default().digest();
        assert_ne!(processor.digest(data, false).unwrap(), graphics.digest(data, false).unwrap());
        assert!(toml::from_str::<Config>(&text(&graphics).replace("graphics:1", "gpu")).is_err());
    }

    #[test]
    fn epochs_are_no_part_of_a_training_that_may_grow() {
        let (plan, catalogue) = (Plan::builtin().unwrap(), Catalogue::default());
        let data = catalogue.digest();
        for (name, grows) in [("adam", true), ("screener", false)] {
            let short = config(&plan, name);
            let mut long = short.clone();
            long.recipe.epochs += 1;
            assert_eq!(short.digest(data, false).unwrap() == long.digest(data, false).unwrap(), grows, "{name}");
            assert_eq!(short.clone().lengthened(Some(long.recipe.epochs)).is_ok(), grows, "{name}");
            assert_eq!(short.clone().lengthened(None).unwrap(), short);
            assert_eq!(short.clone().lengthened(Some(short.recipe.epochs)).unwrap(), short);
            assert_eq!(long.clone().lengthened(Some(short.recipe.epochs)).unwrap_err().exit, Exit::Usage);

            // One of an earlier version, and where the longer training takes its place.
            let folder = tempfile::tempdir().unwrap();
            let mut checkpoint = Checkpoint { config: short.digest(data, true).unwrap(), ..Checkpoint::default() };
            let is_known = |config: &Config, checkpoint: &Checkpoint| {
                config.digest_for(Some(checkpoint), &catalogue).unwrap() == checkpoint.config
            };
            assert!(is_known(&short, &checkpoint) && !is_known(&long, &checkpoint), "{name}");
            if grows {
                long.take_over(Some(&mut checkpoint), &catalogue, folder.path()).unwrap();
                assert!(is_known(&short, &checkpoint) && is_known(&long, &checkpoint));
                assert_eq!(Checkpoint::load(&folder.path().join(Checkpoint::FILE)).unwrap(), checkpoint);
                assert_eq!(Config::load(folder.path()).unwrap(), long);
            }
        }
    }
}
