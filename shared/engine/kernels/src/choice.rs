//! Which kernels run.

use std::{fmt, str::FromStr};

/// Environment variable that forces a set of kernels by its name.
pub const VARIABLE: &str = "PUMUA_KERNELS";

/// A set of kernels. All compute the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kernels {
    /// Safe Rust, on every processor.
    Portable,
    /// AVX2, on x86-64 processors since about 2013.
    Avx2,
    /// NEON without dot products: 64-bit Arm, such as Raspberry Pi 3, Zero 2 W and 4.
    Neon,
    /// NEON with the dot products of Armv8.2: such as Raspberry Pi 5.
    DotProduct,
}

/// Kernels that cannot run here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no kernels called {} run on this processor: use one of {names}, or leave {VARIABLE} unset",
    .0.escape_debug(),
    names = Kernels::available().map(Kernels::name).collect::<Vec<_>>().join(", "))]
pub struct KernelsError(String);

impl Kernels {
    const ALL: [Self; 4] = [Self::DotProduct, Self::Neon, Self::Avx2, Self::Portable];

    /// Those that run on this processor, the fastest first.
    pub fn available() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(|kernels| kernels.run_here())
    }

    /// Those that the environment variable `PUMUA_KERNELS` names; the fastest, if it is not set or empty.
    pub fn choose() -> Result<Self, KernelsError> {
        match std::env::var_os(VARIABLE).filter(|name| !name.is_empty()) {
            Some(name) => name.to_string_lossy().parse(),
            None => Ok(Self::available().next().unwrap_or(Self::Portable)),
        }
    }

    /// The name, as `PUMUA_KERNELS` takes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::Avx2 => "avx2",
            Self::Neon => "neon",
            Self::DotProduct => "dotprod",
        }
    }

    /// True if this processor has their instructions.
    pub(crate) fn run_here(self) -> bool {
        match self {
            Self::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => is_x86_feature_detected!("avx2"),
            #[cfg(target_arch = "aarch64")]
            Self::Neon => true,
            #[cfg(target_arch = "aarch64")]
            Self::DotProduct => std::arch::is_aarch64_feature_detected!("dotprod"),
            #[allow(unreachable_patterns, reason = "which kernels there are depends on the processor")]
            _ => false,
        }
    }
}

impl FromStr for Kernels {
    type Err = KernelsError;

    fn from_str(name: &str) -> Result<Self, KernelsError> {
        Self::available().find(|kernels| kernels.name() == name).ok_or_else(|| KernelsError(name.to_owned()))
    }
}

impl fmt::Display for Kernels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn portable_is_always_there() {
        assert_eq!(Kernels::available().last(), Some(Kernels::Portable));
    }

    #[test]
    fn names_of_other_processors_are_refused_with_those_of_this_one() {
        let other = if cfg!(target_arch = "aarch64") { "avx2" } else { "neon" };
        let error = other.parse::<Kernels>().unwrap_err().to_string();
        assert!(error.contains(other) && error.contains("portable"), "{error}");
        let error = "\u{1b}[2J\n\u{202e}".parse::<Kernels>().unwrap_err().to_string();
        assert!(!error.contains(['\u{1b}', '\n', '\u{202e}']), "{error}");
        for kernels in Kernels::available() {
            assert_eq!(kernels.name().parse(), Ok(kernels));
        }
    }
}
