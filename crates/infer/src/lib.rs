//! From a volume and a text to a label map.

mod error;
mod columns;
mod mirror;
pub mod probe;
mod restore;
mod ring;
mod sharing;
mod sliding_window;

pub use columns::Column;
pub use error::{Error, Result};
pub use mirror::{Flip, Mirror, mean, twins};
pub use restore::Restorer;
pub use ring::Slab;
pub use sharing::{Logits, Sharing};
pub use sliding_window::{Blending, Coverage, SlidingWindow};

use std::path::PathBuf;

use bipvl_imaging::{Grid, LabelMap, Neighbors, Volume, keep_largest};
use burn::tensor::{Device, Tensor, TensorData};
use ndarray::ArrayView4;
use serde::{Deserialize, Serialize};

use bipvl_data::{Labeling, PreprocessConfig, PreprocessedCase, read_channels};

use bipvl_nn::{BiPvlSeg, EncodedText, TextInput, TokenBatch};
use bipvl_text::Tokens;

/// How a volume is covered with patches.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct InferConfig {
    /// Shared part of neighboring patches, 0 to less than 1.
    pub overlap: f64,
    /// How overlapping logits are weighted.
    pub blending: Blending,
    /// Axes along which patches are flipped too, for a mean of the logits; two passes for each. None unless
    /// asked for.
    #[serde(skip_serializing_if = "Mirror::is_none")]
    pub mirror: Mirror,
    /// Whether of each class only the largest connected component is kept (voxels touch by a face, an edge or a
    /// corner) and all else that was found of it becomes background. For classes that are one piece each and exclude
    /// each other. Not unless asked for.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub keep_largest_component: bool,
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
        Self {
            overlap: 0.5,
            blending: Blending::Gaussian,
            mirror: Mirror::default(),
            keep_largest_component: false,
            passes: Passes::Shared,
        }
    }
}

/// A model with its text and its recipe, ready for volumes; or an ensemble of several, of one recipe; clones
/// share the weights.
#[derive(Clone, Debug)]
pub struct Predictor {
    models: Vec<BiPvlSeg>,
    /// The text as each network has encoded it up to the first exchange; that part is the same for every patch.
    texts: Vec<EncodedText>,
    recipe: PreprocessConfig,
    channels: usize,
    labeling: Labeling,
    window: SlidingWindow,
    mirror: Mirror,
    keep_largest_component: bool,
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
    pub recipe: PreprocessConfig,
    /// Input channels of a case.
    pub channels: usize,
    /// The labels that the classes have in the label maps to make.
    pub labeling: Labeling,
    /// How a volume is covered.
    pub config: InferConfig,
    /// Where the model is.
    pub device: Device,
}

impl Predictor {
    /// Of one network.
    pub fn new(input: PredictorInput) -> Self {
        let PredictorInput { model, text, recipe, channels, labeling, config, device } = input;
        let InferConfig { overlap, blending, mirror, keep_largest_component, passes } = config;
        let window = SlidingWindow::new(recipe.patch_size, overlap, blending);
        let (models, texts) = (Vec::new(), Vec::new());
        Self {
            models,
            texts,
            recipe,
            channels,
            labeling,
            window,
            mirror,
            keep_largest_component,
            passes,
            device,
        }
        .with_ensemble_member(model, text)
    }

    /// The same with one more network of the same recipe, classes and channels, and its text: the logits of
    /// a patch are the mean over all.
    #[must_use]
    pub fn with_ensemble_member(mut self, model: BiPvlSeg, text: &TextInput) -> Self {
        self.texts.push(model.encode_text(text, None));
        self.models.push(model.into_inference());
        self
    }

    /// The same predictor guided by another text, as [`Predictor::encode`] takes it.
    #[must_use]
    pub fn described(&self, full: &[Tokens]) -> Self {
        Self { texts: self.encode(full), ..self.clone() }
    }

    /// The same predictor that writes these labels, one for each class ([`Labeling::writing`]).
    ///
    /// # Panics
    ///
    /// When there are more or fewer labels than classes.
    #[must_use]
    pub fn labeled(self, labels: Vec<u16>) -> Self {
        Self { labeling: self.labeling.writing(&labels), ..self }
    }

    /// Another text for [`Predictor::segment_by`], `[classes, tokens]` as the tokenizer of each network cuts it.
    ///
    /// # Panics
    ///
    /// When there are more or fewer of them than networks.
    pub fn encode(&self, full: &[Tokens]) -> Vec<EncodedText> {
        assert_eq!(full.len(), self.models.len(), "each network reads the text");
        let encode = |(model, full): (&BiPvlSeg, &Tokens)| {
            model.encode_prompt(&TokenBatch::new(full, &self.device), None)
        };
        self.models.iter().zip(full).map(encode).collect()
    }

    /// Segments one case; the label map is on the grid of its first channel. `progress` hears of every patch.
    ///
    /// The channels are given away: only what the network sees of them stays in memory.
    pub fn predict(&self, channels: Vec<Volume<f32>>, progress: &mut dyn FnMut(Progress)) -> LabelMap {
        let onto = channels[0].grid().clone();
        let PreprocessedCase { image, grid } = self.recipe.prepare(channels);
        self.segment(image.view(), &grid, &onto, progress)
    }

    /// Reads and segments one case: one file with all channels, or one file each.
    ///
    /// # Errors
    ///
    /// When a file cannot be read or the case has not the channels that the model was trained on.
    pub fn predict_files(&self, images: &[PathBuf], progress: &mut dyn FnMut(Progress)) -> Result<LabelMap> {
        Ok(self.predict(self.read(images)?, progress))
    }

    /// Reads and prepares one case, and says on which grid its files are.
    ///
    /// # Errors
    ///
    /// When a file cannot be read or the case has not the channels that the model was trained on.
    pub fn prepare_files(&self, images: &[PathBuf]) -> Result<(PreprocessedCase, Grid)> {
        let channels = self.read(images)?;
        let onto = channels[0].grid().clone();
        Ok((self.recipe.prepare(channels), onto))
    }

    fn read(&self, images: &[PathBuf]) -> Result<Vec<Volume<f32>>> {
        let channels = read_channels(images)?;
        if channels.len() != self.channels {
            let expected = format!("{} channels, as the model was trained on", self.channels);
            return Err(Error::content(&images[0], expected, channels.len().to_string()));
        }
        Ok(channels)
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
        self.segment_by(&self.texts, image, grid, onto, progress)
    }

    /// As [`Predictor::segment`], guided by another text than the predictor's own.
    pub fn segment_by(
        &self,
        texts: &[EncodedText],
        image: ArrayView4<f32>,
        grid: &Grid,
        onto: &Grid,
        progress: &mut dyn FnMut(Progress),
    ) -> LabelMap {
        let coverage = self.window.plan(grid.shape(), self.labeling.outputs());
        let mut restorer = Restorer::new(grid, onto, &self.labeling);
        let mut sharing = Sharing::new(|patch| self.segment_patch(texts, patch));
        let mut state = Progress { total: coverage.patches(), ..Progress::default() };
        let segment = |patch: ArrayView4<f32>| {
            let logits = match self.passes {
                Passes::Shared => sharing.logits(patch),
                Passes::Every => self.segment_patch(texts, patch),
            };
            state = Progress { done: state.done + 1, shared: sharing.shared(), ..state };
            progress(state);
            logits
        };
        coverage.run(image, segment, |slab| restorer.receive(slab));
        let mut labels = restorer.into_labels();
        if self.keep_largest_component {
            keep_largest(&mut labels, Neighbors::TwentySix);
        }
        labels
    }

    /// Whether any logits depend on the text.
    pub fn uses_text(&self) -> bool {
        self.texts.iter().any(EncodedText::is_read)
    }

    /// The predictor's own text, as each network has encoded it.
    pub fn texts(&self) -> &[EncodedText] {
        &self.texts
    }

    /// Voxels that the network sees at once.
    pub fn patch(&self) -> [usize; 3] {
        self.recipe.patch_size
    }

    /// Logits of one patch `[channels, x, y, z]` → `[outputs, x, y, z]`: the mean over the networks, each with
    /// its text, and over the flips.
    pub fn segment_patch(&self, texts: &[EncodedText], patch: ArrayView4<f32>) -> Logits {
        let members = self.models.iter().zip(texts);
        let passes = members.flat_map(|member| self.mirror.flips().map(move |flip| (member, flip)));
        mean(passes.map(|((model, text), flip)| flip.of(self.pass(model, text, flip.of(patch)))))
    }

    /// One pass through one network.
    fn pass(&self, model: &BiPvlSeg, text: &EncodedText, patch: ArrayView4<f32>) -> Logits {
        let (channels, x, y, z) = patch.dim();
        let values: Vec<f32> = patch.iter().copied().collect();
        let data = TensorData::new(values, [1, channels, x, y, z]);
        let logits = model.segment(Tensor::from_data(data, &self.device), text);
        let [_, outputs, ..] = logits.dims();
        assert_eq!(outputs, self.labeling.outputs(), "the network is one for these classes");
        let values = logits.into_data().try_to_vec().expect("logits are float32");
        Logits::from_shape_vec((outputs, x, y, z), values).expect("one logit per voxel and output")
    }
}
