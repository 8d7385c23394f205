//! stub
use serde::{Deserialize, Serialize};
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Augmentation {
    pub horizontal_flip: bool,
    pub brightness: Option<[f64; 2]>,
    pub contrast: Option<[f64; 2]>,
    pub width_shift: f64,
    pub height_shift: f64,
    pub rotation: f64,
    pub zoom: f64,
    pub shear: f64,
}
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("")]
pub struct AugmentationError;
pub struct Transform;
impl Augmentation {
    pub fn is_identity(&self) -> bool {
        *self == Self::default()
    }
    pub fn check(&self) -> Result<(), AugmentationError> {
        Ok(())
    }
    pub fn draw(&self, _: &mut impl rand::Rng) -> Transform {
        Transform
    }
}
impl Transform {
    pub fn apply(&self, pixels: &[u8], _: usize, out: &mut [f32]) {
        for (o, p) in out.iter_mut().zip(pixels) {
            *o = f32::from(*p);
        }
    }
}
