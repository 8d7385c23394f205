//! What networks are trained on: the processor, or a graphics processor. It is chosen when the program runs.
//!
//! Every build has the processor. The feature `wgpu` adds graphics processors through Vulkan, Metal or DirectX 12, the
//! feature `cuda` those of NVIDIA through CUDA.

#[cfg(any(feature = "wgpu", feature = "cuda", test))]
mod trial;

use std::{fmt, fs, str::FromStr, thread};

use base::Shown;
use burn::tensor::Device;
use serde::{Deserialize, Serialize};

/// An environment variable and the value that a program gives it before it does anything else.
///
/// burn reads a stored optimizer onto its default device before it brings it to where the training is. With graphics
/// processors in the program that would be one of them, which need not be there. This makes it the processor.
#[cfg(any(feature = "wgpu", feature = "cuda"))]
pub const DEFAULT: (&str, &str) = ("BURN_DEVICE", "flex");

/// Longest name of a graphics processor, and longest reason of its driver, that is passed on, in characters.
#[cfg(any(feature = "wgpu", feature = "cuda"))]
const MAX_WORDS: usize = 300;

/// What is asked for to train on: `processor`, `graphics`, `graphics:1`, `cuda`, `cuda:1`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum DeviceChoice {
    /// The processor.
    #[default]
    Processor,
    /// A graphics processor through Vulkan, Metal or DirectX 12: by its number, from 0, or without one a card before a
    /// part of the processor, and that before a program that plays one.
    Graphics(Option<u8>),
    /// A graphics processor of NVIDIA through CUDA, by its number, from 0.
    Cuda(u8),
}

/// A text that names no device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("give processor, graphics, cuda, or one of several such as graphics:1, of 0 to 255")]
pub struct DeviceSyntaxError;

/// A device that cannot be trained on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    /// this program has been built without it
    #[error(
        "this program was built without `{choice}`: build it with `cargo build -p host --features {feature}`, or train with \
         `--device processor`"
    )]
    NotBuilt {
        /// What was asked for.
        choice: DeviceChoice,
        /// The feature that it takes.
        feature: &'static str,
    },
    /// this computer has none
    #[error(
        "no device for `{choice}` is found: install the driver of the graphics processor (on Linux also its part for Vulkan or \
         CUDA), or train with `--device processor`"
    )]
    NoneFound {
        /// What was asked for.
        choice: DeviceChoice,
    },
    /// this computer has others
    #[error("there is no `{choice}`: give a number from 0 to {most}")]
    NoSuch {
        /// What was asked for.
        choice: DeviceChoice,
        /// The last one.
        most: usize,
    },
    /// it does not work, or computes something else than the processor
    #[error(
        "`{choice}` cannot be trained on ({reason}): bring its driver up to date, or train with `--device processor`",
        reason = Shown(reason)
    )]
    Fails {
        /// What was asked for.
        choice: DeviceChoice,
        /// Why, in the words of the driver where it is one of those.
        reason: String,
    },
}

/// A device that is there and has been tried out.
#[derive(Clone, Debug)]
pub struct TrainingDevice {
    choice: DeviceChoice,
    device: Device,
    name: String,
}

impl TrainingDevice {
    /// The processor.
    pub fn processor() -> Self {
        Self { choice: DeviceChoice::Processor, device: Device::flex(), name: computer() }
    }

    /// As what it was asked for.
    pub fn choice(&self) -> DeviceChoice {
        self.choice
    }

    /// What it is called in reports: the computer, and before it the graphics processor if it is one.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// For burn.
    pub fn device(&self) -> &Device {
        &self.device
    }
}

impl DeviceChoice {
    /// The device, after a step of training on it that has come to what the processor comes to.
    pub fn open(self) -> Result<TrainingDevice, DeviceError> {
        match self {
            Self::Processor => Ok(TrainingDevice::processor()),
            Self::Graphics(number) => self.open_graphics(number),
            Self::Cuda(number) => self.open_cuda(number),
        }
    }

    #[cfg(feature = "wgpu")]
    fn open_graphics(self, number: Option<u8>) -> Result<TrainingDevice, DeviceError> {
        use burn::tensor::{DeviceKind, DeviceType};
        self.open_of(DeviceType::Wgpu, |found| match number {
            Some(number) => found.get(usize::from(number)).cloned(),
            None => Some(Device::wgpu(DeviceKind::DefaultDevice)),
        })
    }

    #[cfg(not(feature = "wgpu"))]
    fn open_graphics(self, _: Option<u8>) -> Result<TrainingDevice, DeviceError> {
        Err(DeviceError::NotBuilt { choice: self, feature: "wgpu" })
    }

    #[cfg(feature = "cuda")]
    fn open_cuda(self, number: u8) -> Result<TrainingDevice, DeviceError> {
        use burn::tensor::DeviceType;
        self.open_of(DeviceType::Cuda, |found| found.get(usize::from(number)).cloned())
    }

    #[cfg(not(feature = "cuda"))]
    fn open_cuda(self, _: u8) -> Result<TrainingDevice, DeviceError> {
        Err(DeviceError::NotBuilt { choice: self, feature: "cuda" })
    }

    /// One of the devices of a kind, tried out. Listing them opens none, and lists nothing where there is no driver.
    #[cfg(any(feature = "wgpu", feature = "cuda"))]
    fn open_of(
        self,
        kind: burn::tensor::DeviceType,
        choose: impl FnOnce(&[Device]) -> Option<Device>,
    ) -> Result<TrainingDevice, DeviceError> {
        let fails = |reason: String| DeviceError::Fails { choice: self, reason: shortened(&reason) };
        let found = trial::attempt(|| Device::enumerate(kind).into_vec()).map_err(fails)?;
        let Some(most) = found.len().checked_sub(1) else {
            return Err(DeviceError::NoneFound { choice: self });
        };
        let device = choose(&found).ok_or(DeviceError::NoSuch { choice: self, most })?;
        let identity = trial::attempt(|| device.identity()).map_err(fails)?;
        trial::compare(&device).map_err(fails)?;
        let part = identity.map_or_else(|| "of no name".to_owned(), |identity| shortened(&identity.name));
        Ok(TrainingDevice { choice: self, device, name: format!("{self}: {} in {}", Shown(part), computer()) })
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Processor => f.write_str("processor"),
            Self::Graphics(None) => f.write_str("graphics"),
            Self::Graphics(Some(number)) => write!(f, "graphics:{number}"),
            Self::Cuda(0) => f.write_str("cuda"),
            Self::Cuda(number) => write!(f, "cuda:{number}"),
        }
    }
}

impl FromStr for DeviceChoice {
    type Err = DeviceSyntaxError;

    fn from_str(text: &str) -> Result<Self, DeviceSyntaxError> {
        let (kind, number) = match text.split_once(':') {
            Some((kind, number)) => (kind, Some(number.parse::<u8>().map_err(|_| DeviceSyntaxError)?)),
            None => (text, None),
        };
        match kind {
            "processor" if number.is_none() => Ok(Self::Processor),
            "graphics" => Ok(Self::Graphics(number)),
            "cuda" => Ok(Self::Cuda(number.unwrap_or(0))),
            _ => Err(DeviceSyntaxError),
        }
    }
}

impl TryFrom<String> for DeviceChoice {
    type Error = DeviceSyntaxError;

    fn try_from(text: String) -> Result<Self, DeviceSyntaxError> {
        text.parse()
    }
}

impl From<DeviceChoice> for String {
    fn from(choice: DeviceChoice) -> Self {
        choice.to_string()
    }
}

#[cfg(any(feature = "wgpu", feature = "cuda"))]
fn shortened(words: &str) -> String {
    words.chars().take(MAX_WORDS).collect()
}

/// The processor's name, as Linux reports it, or its kind; how many cores, and the system.
fn computer() -> String {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    let name = name.map_or(std::env::consts::ARCH, |(_, name)| name.trim());
    format!("{name}, {cores} cores, {}", std::env::consts::OS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_named_as_they_are_written() {
        for (text, choice) in [
            ("processor", DeviceChoice::Processor),
            ("graphics", DeviceChoice::Graphics(None)),
            ("graphics:0", DeviceChoice::Graphics(Some(0))),
            ("graphics:12", DeviceChoice::Graphics(Some(12))),
            ("cuda", DeviceChoice::Cuda(0)),
            ("cuda:3", DeviceChoice::Cuda(3)),
        ] {
            assert_eq!(text.parse::<DeviceChoice>(), Ok(choice));
            assert_eq!(choice.to_string(), text);
            let json = serde_json::to_string(&choice).unwrap();
            assert_eq!(json, format!("\"{text}\""));
            assert_eq!(serde_json::from_str::<DeviceChoice>(&json).unwrap(), choice);
        }
        for text in
            ["", "gpu", "Graphics", "processor:0", "graphics:", "graphics:-1", "graphics:256", "cuda:x", "cuda:1:2"]
        {
            assert_eq!(text.parse::<DeviceChoice>(), Err(DeviceSyntaxError), "{text}");
        }
        assert!(serde_json::from_str::<DeviceChoice>("\"gpu\"").is_err());
    }

    #[test]
    fn the_processor_is_always_there() {
        let device = DeviceChoice::default().open().unwrap();
        assert_eq!((device.choice(), device.device()), (DeviceChoice::Processor, &Device::flex()));
        assert!(device.name().contains("cores"), "{}", device.name());
    }

    #[cfg(not(any(feature = "wgpu", feature = "cuda")))]
    #[test]
    fn a_program_without_graphics_says_how_it_is_built_with_them() {
        for (text, feature) in [("graphics", "wgpu"), ("graphics:1", "wgpu"), ("cuda", "cuda")] {
            let choice: DeviceChoice = text.parse().unwrap();
            let error = choice.open().unwrap_err();
            assert_eq!(error, DeviceError::NotBuilt { choice, feature });
            let said = error.to_string();
            assert!(said.contains(&format!("`{text}`")) && said.contains(&format!("--features {feature}")), "{said}");
        }
    }

    /// Whatever this computer has, it is said in words or trained on.
    #[cfg(feature = "wgpu")]
    #[test]
    fn a_graphics_processor_that_is_not_there_is_an_error() {
        let error = DeviceChoice::Graphics(Some(255)).open().unwrap_err();
        assert!(matches!(error, DeviceError::NoneFound { .. } | DeviceError::NoSuch { .. }), "{error}");
    }
}
