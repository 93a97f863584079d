//! From a volume and a text to a label map.

mod columns;
mod restore;
mod ring;
mod sharing;
mod sliding_window;

pub use columns::Column;
pub use restore::Restorer;
pub use ring::Slab;
pub use sharing::{Logits, Sharing};
pub use sliding_window::{Blending, Coverage, SlidingWindow};

use std::path::PathBuf;

use bipvl_volume::{Grid, LabelMap, Volume};
use burn::tensor::{Device, Tensor, TensorData};
use ndarray::ArrayView4;
use serde::{Deserialize, Serialize};

use crate::{
    data::{Prepared, Recipe, read_channels},
    error::{Error, Result},
    model::{BiPvlSeg, EncodedText, TextInput},
    text::ClassText,
};

/// How a volume is covered with patches.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct InferConfig {
    /// Shared part of neighboring patches, 0 to less than 1.
    pub overlap: f64,
    /// How overlapping logits are weighted.
    pub blending: Blending,
    /// Which patches pass through the network; no part of a configuration file, since no result depends on
    /// it.
    #[serde(skip)]
    pub passes: Passes,
}

/// Which patches pass through the network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Passes {
    /// Of patches that are one and the same constant, such as air, only the first ([`Sharing`]).
    #[default]
    Shared,
    /// Every one.
    Every,
}

/// How far the segmentation of a case has come, in patches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Patches whose logits are there.
    pub done: usize,
    /// Those that needed no pass through the network of their own.
    pub shared: usize,
    /// All patches of the case.
    pub total: usize,
}

impl Default for InferConfig {
    fn default() -> Self {
        Self { overlap: 0.5, blending: Blending::Gaussian, passes: Passes::Shared }
    }
}

/// A model with its text and its recipe, ready for volumes; clones share the weights.
#[derive(Clone, Debug)]
pub struct Predictor {
    model: BiPvlSeg,
    text: EncodedText,
    recipe: Recipe,
    channels: usize,
    labels: Vec<u16>,
    window: SlidingWindow,
    passes: Passes,
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
        Self { model, text: encoded, recipe, channels, labels, window, passes: config.passes, device }
    }

    /// The same model for a case that has a text of its own.
    #[must_use]
    pub fn with_text(&self, text: &ClassText) -> Self {
        let text = self.model.encode_text(&TextInput::new(text, &self.device), None);
        Self { text, ..self.clone() }
    }

    /// Segments one case; the label map is on the grid of its first channel. `progress` hears of every patch.
    ///
    /// The channels are given away: only what the network sees of them stays in memory.
    pub fn predict(&self, channels: Vec<Volume<f32>>, progress: &mut dyn FnMut(Progress)) -> LabelMap {
        let onto = channels[0].grid().clone();
        let Prepared { image, grid } = self.recipe.prepare(channels);
        self.segment(image.view(), &grid, &onto, progress)
    }

    /// Reads and segments one case: one file with all channels, or one file each.
    ///
    /// # Errors
    ///
    /// When a file cannot be read or the case has not the channels that the model was trained on.
    pub fn predict_files(&self, images: &[PathBuf], progress: &mut dyn FnMut(Progress)) -> Result<LabelMap> {
        let channels = read_channels(images)?;
        if channels.len() != self.channels {
            let expected = format!("{} channels, as the model was trained on", self.channels);
            return Err(Error::content(&images[0], expected, channels.len().to_string()));
        }
        Ok(self.predict(channels, progress))
    }

    /// Segments a prepared image `[channels, x, y, z]` on `grid`; the label map is on the grid `onto`.
    ///
    /// Logits are there for a part of the volume at a time: added up in a [`SlidingWindow`], decided in a
    /// [`Restorer`], forgotten.
    pub fn segment(
        &self,
        image: ArrayView4<f32>,
        grid: &Grid,
        onto: &Grid,
        progress: &mut dyn FnMut(Progress),
    ) -> LabelMap {
        let coverage = self.window.plan(grid.shape(), self.labels.len() + 1);
        let mut restorer = Restorer::new(grid, onto, &self.labels);
        let mut sharing = Sharing::new(|patch| self.logits(patch));
        let mut state = Progress { total: coverage.patches(), ..Progress::default() };
        let segment = |patch: ArrayView4<f32>| {
            let logits = match self.passes {
                Passes::Shared => sharing.logits(patch),
                Passes::Every => self.logits(patch),
            };
            state = Progress { done: state.done + 1, shared: sharing.shared(), ..state };
            progress(state);
            logits
        };
        coverage.run(image, segment, |slab| restorer.receive(slab));
        restorer.into_labels()
    }

    /// Logits of one patch `[channels, x, y, z]` → `[classes + 1, x, y, z]`.
    fn logits(&self, patch: ArrayView4<f32>) -> Logits {
        let (channels, x, y, z) = patch.dim();
        let values: Vec<f32> = patch.iter().copied().collect();
        let data = TensorData::new(values, [1, channels, x, y, z]);
        let logits = self.model.segment(Tensor::from_data(data, &self.device), &self.text);
        let [_, outputs, ..] = logits.dims();
        let values = logits.into_data().try_to_vec().expect("logits are float32");
        Logits::from_shape_vec((outputs, x, y, z), values).expect("one logit per voxel and class")
    }
}
