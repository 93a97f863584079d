//! From a volume and a text to a label map.

mod restore;
mod sliding_window;

pub use restore::restore;
pub use sliding_window::{Blending, SlidingWindow};

use std::path::PathBuf;

use bipvl_volume::{LabelMap, Volume};
use burn::tensor::{Device, Tensor, TensorData};
use ndarray::{Array4, ArrayView4};
use serde::{Deserialize, Serialize};

use crate::{
    data::{Prepared, Recipe, read_channels},
    error::{Error, Result},
    model::{BiPvlSeg, EncodedText, TextInput},
};

/// How a volume is covered with patches.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct InferConfig {
    /// Shared part of neighboring patches, 0 to less than 1.
    pub overlap: f64,
    /// How overlapping logits are weighted.
    pub blending: Blending,
}

impl Default for InferConfig {
    fn default() -> Self {
        Self { overlap: 0.5, blending: Blending::Gaussian }
    }
}

/// A model with its text and its recipe, ready for volumes.
#[derive(Debug)]
pub struct Predictor {
    model: BiPvlSeg,
    text: EncodedText,
    recipe: Recipe,
    channels: usize,
    labels: Vec<u16>,
    window: SlidingWindow,
    device: Device,
}

/// What a predictor is made of.
#[derive(Debug)]
pub struct PredictorInput<'a> {
    /// Weights on the device, without autodiff.
    pub model: BiPvlSeg,
    /// The classes' texts.
    pub text: &'a TextInput,
    /// How volumes are prepared.
    pub recipe: Recipe,
    /// Input channels of a case.
    pub channels: usize,
    /// The label of each class in files.
    pub labels: Vec<u16>,
    /// How a volume is covered.
    pub config: InferConfig,
    /// Where the model is.
    pub device: Device,
}

impl Predictor {
    /// Encodes the text up to the first exchange; that part is the same for every patch.
    pub fn new(input: PredictorInput) -> Self {
        let PredictorInput { model, text, recipe, channels, labels, config, device } = input;
        let encoded = model.encode_text(text, None);
        let window = SlidingWindow::new(recipe.patch, config.overlap, config.blending);
        Self { model, text: encoded, recipe, channels, labels, window, device }
    }

    /// Segments one case; the label map is on the grid of its first channel.
    pub fn predict(&self, channels: &[Volume<f32>]) -> LabelMap {
        let prepared = self.recipe.prepare(channels);
        let logits = self.logits(prepared.image.view());
        let Prepared { grid, .. } = prepared;
        restore(logits, &grid, channels[0].grid(), &self.labels)
    }

    /// Reads and segments one case: one file with all channels, or one file each.
    ///
    /// # Errors
    ///
    /// When a file cannot be read or the case has not the channels that the model was trained on.
    pub fn predict_files(&self, images: &[PathBuf]) -> Result<LabelMap> {
        let channels = read_channels(images)?;
        if channels.len() != self.channels {
            let expected = format!("{} channels, as the model was trained on", self.channels);
            return Err(Error::content(&images[0], expected, channels.len().to_string()));
        }
        Ok(self.predict(&channels))
    }

    /// Logits of a prepared volume `[channels, x, y, z]` → `[classes + 1, x, y, z]`.
    pub fn logits(&self, image: ArrayView4<f32>) -> Array4<f32> {
        self.window.cover(image, self.labels.len() + 1, |patch| {
            let (channels, x, y, z) = patch.dim();
            let values: Vec<f32> = patch.iter().copied().collect();
            let data = TensorData::new(values, [1, channels, x, y, z]);
            let logits = self.model.segment(Tensor::from_data(data, &self.device), &self.text);
            let [_, outputs, ..] = logits.dims();
            let values = logits.into_data().try_to_vec().expect("logits are float32");
            Array4::from_shape_vec((outputs, x, y, z), values).expect("one logit per voxel and class")
        })
    }
}
