//! From a volume and a text to a label map.

mod error;
mod tiling;
mod mirroring;
pub mod probe;
mod label_resampler;
mod rolling_buffer;
mod constant_patch_cache;
mod sliding_window;

pub use constant_patch_cache::{ConstantPatchCache, Logits};
pub use error::{Error, Result};
pub use label_resampler::LabelResampler;
pub use mirroring::{Flip, TestTimeMirroring, lateral_pair, mean};
pub use rolling_buffer::LogitSlab;
pub use sliding_window::{BlendMode, SlidingWindow, TilingPlan};
pub use tiling::TileColumn;

use std::path::PathBuf;

use bipvl_imaging::{Connectivity, Grid, LabelMap, Volume, keep_largest_component};
use burn::tensor::{Device, Tensor, TensorData};
use ndarray::ArrayView4;
use serde::{Deserialize, Serialize};

use bipvl_data::{LabelSchema, PreprocessConfig, PreprocessedCase, read_channels};

use bipvl_nn::{BiPvlSeg, EncodedText, TextInput, TokenBatch};
use bipvl_text::Tokens;

/// How a volume is covered with patches.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct InferConfig {
    /// Shared part of neighboring patches, 0 to less than 1.
    pub overlap: f64,
    /// How overlapping logits are weighted.
    pub blend_mode: BlendMode,
    /// Axes along which patches are flipped too, for a mean of the logits; two passes for each. None unless
    /// asked for.
    #[serde(skip_serializing_if = "TestTimeMirroring::is_empty")]
    pub tta_mirror_axes: TestTimeMirroring,
    /// Whether of each class only the largest connected component is kept (voxels touch by a face, an edge or a
    /// corner) and all else that was found of it becomes background. For classes that are one piece each and exclude
    /// each other. Not unless asked for.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub keep_largest_component: bool,
    /// Whether a constant patch, such as air, reuses the logits of an equal one ([`ConstantPatchCache`]). No result
    /// depends on it, so it is not part of a configuration file.
    #[serde(skip, default = "yes")]
    pub skip_constant_patches: bool,
}

fn yes() -> bool {
    true
}

/// How far the segmentation of a case has come, in patches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InferenceProgress {
    /// Patches whose logits are there.
    pub done: usize,
    /// Those that needed no pass through the network of their own.
    pub reused: usize,
    /// All patches of the case.
    pub total: usize,
}

impl Default for InferConfig {
    fn default() -> Self {
        Self {
            overlap: 0.5,
            blend_mode: BlendMode::Gaussian,
            tta_mirror_axes: TestTimeMirroring::default(),
            keep_largest_component: false,
            skip_constant_patches: true,
        }
    }
}

/// A model with its text and its preprocess, ready for volumes; or an ensemble of several, of one preprocess; clones
/// share the weights.
#[derive(Clone, Debug)]
pub struct Predictor {
    models: Vec<BiPvlSeg>,
    /// The text as each network has encoded it up to the first exchange; that part is the same for every patch.
    texts: Vec<EncodedText>,
    preprocess: PreprocessConfig,
    channels: usize,
    label_schema: LabelSchema,
    window: SlidingWindow,
    mirroring: TestTimeMirroring,
    keep_largest_component: bool,
    skip_constant_patches: bool,
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
    pub preprocess: PreprocessConfig,
    /// Input channels of a case.
    pub channels: usize,
    /// The labels that the classes have in the label maps to make.
    pub label_schema: LabelSchema,
    /// How a volume is covered.
    pub config: InferConfig,
    /// Where the model is.
    pub device: Device,
}

impl Predictor {
    /// Of one network.
    pub fn new(input: PredictorInput) -> Self {
        let PredictorInput { model, text, preprocess, channels, label_schema, config, device } = input;
        let InferConfig {
            overlap,
            blend_mode,
            tta_mirror_axes,
            keep_largest_component,
            skip_constant_patches,
        } = config;
        let window = SlidingWindow::new(preprocess.patch_size, overlap, blend_mode);
        let (models, texts) = (Vec::new(), Vec::new());
        Self {
            models,
            texts,
            preprocess,
            channels,
            label_schema,
            window,
            mirroring: tta_mirror_axes,
            keep_largest_component,
            skip_constant_patches,
            device,
        }
        .with_ensemble_member(model, text)
    }

    /// The same with one more network of the same preprocess, classes and channels, and its text: the logits of
    /// a patch are the mean over all.
    #[must_use]
    pub fn with_ensemble_member(mut self, model: BiPvlSeg, text: &TextInput) -> Self {
        self.texts.push(model.encode_text(text, None));
        self.models.push(model.into_inference());
        self
    }

    /// The same predictor guided by another text, as [`Predictor::encode`] takes it.
    #[must_use]
    pub fn with_prompts(&self, full: &[Tokens]) -> Self {
        Self { texts: self.encode(full), ..self.clone() }
    }

    /// The same predictor that writes these labels, one for each class ([`LabelSchema::with_output_labels`]).
    ///
    /// # Panics
    ///
    /// When there are more or fewer labels than classes.
    #[must_use]
    pub fn with_output_labels(self, labels: Vec<u16>) -> Self {
        Self { label_schema: self.label_schema.clone().with_output_labels(&labels), ..self }
    }

    /// Another text for [`Predictor::segment_with_prompts`], `[classes, tokens]` as the tokenizer of each network cuts it.
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
    pub fn predict(
        &self,
        channels: Vec<Volume<f32>>,
        progress: &mut dyn FnMut(InferenceProgress),
    ) -> LabelMap {
        let target_grid = channels[0].grid().clone();
        let PreprocessedCase { image, grid } = self.preprocess.prepare(channels);
        self.segment(image.view(), &grid, &target_grid, progress)
    }

    /// Reads and segments one case: one file with all channels, or one file each.
    ///
    /// # Errors
    ///
    /// When a file cannot be read or the case has not the channels that the model was trained on.
    pub fn predict_files(
        &self,
        images: &[PathBuf],
        progress: &mut dyn FnMut(InferenceProgress),
    ) -> Result<LabelMap> {
        Ok(self.predict(self.read(images)?, progress))
    }

    /// Reads and prepares one case, and says on which grid its files are.
    ///
    /// # Errors
    ///
    /// When a file cannot be read or the case has not the channels that the model was trained on.
    pub fn prepare_files(&self, images: &[PathBuf]) -> Result<(PreprocessedCase, Grid)> {
        let channels = self.read(images)?;
        let target_grid = channels[0].grid().clone();
        Ok((self.preprocess.prepare(channels), target_grid))
    }

    fn read(&self, images: &[PathBuf]) -> Result<Vec<Volume<f32>>> {
        let channels = read_channels(images)?;
        if channels.len() != self.channels {
            let expected = format!("{} channels, as the model was trained on", self.channels);
            return Err(Error::content(&images[0], expected, channels.len().to_string()));
        }
        Ok(channels)
    }

    /// Segments a prepared image `[channels, x, y, z]` on `grid`; the label map is on the grid `target_grid`.
    ///
    /// Logits are there for a part of the volume at a time: added up in a [`SlidingWindow`], decided in a
    /// [`LabelResampler`], forgotten.
    pub fn segment(
        &self,
        image: ArrayView4<f32>,
        grid: &Grid,
        target_grid: &Grid,
        progress: &mut dyn FnMut(InferenceProgress),
    ) -> LabelMap {
        self.segment_with_prompts(&self.texts, image, grid, target_grid, progress)
    }

    /// As [`Predictor::segment`], guided by another text than the predictor's own.
    pub fn segment_with_prompts(
        &self,
        texts: &[EncodedText],
        image: ArrayView4<f32>,
        grid: &Grid,
        target_grid: &Grid,
        progress: &mut dyn FnMut(InferenceProgress),
    ) -> LabelMap {
        let coverage = self.window.plan(grid.shape(), self.label_schema.num_logit_channels());
        let mut resampler = LabelResampler::new(grid, target_grid, &self.label_schema);
        let mut cache = ConstantPatchCache::new(|patch| self.segment_patch(texts, patch));
        let mut state = InferenceProgress { total: coverage.patches(), ..InferenceProgress::default() };
        let segment = |patch: ArrayView4<f32>| {
            let logits = if self.skip_constant_patches {
                cache.logits(patch)
            } else {
                self.segment_patch(texts, patch)
            };
            state = InferenceProgress { done: state.done + 1, reused: cache.reused(), ..state };
            progress(state);
            logits
        };
        coverage.run(image, segment, |slab| resampler.push_slab(slab));
        let mut labels = resampler.finish();
        if self.keep_largest_component {
            keep_largest_component(&mut labels, Connectivity::Full);
        }
        labels
    }

    /// Whether any logits depend on the text.
    pub fn uses_text(&self) -> bool {
        self.texts.iter().any(EncodedText::affects_logits)
    }

    /// The predictor's own text, as each network has encoded it.
    pub fn texts(&self) -> &[EncodedText] {
        &self.texts
    }

    /// Voxels that the network sees at once.
    pub fn patch(&self) -> [usize; 3] {
        self.preprocess.patch_size
    }

    /// Logits of one patch `[channels, x, y, z]` → `[outputs, x, y, z]`: the mean over the networks, each with
    /// its text, and over the flips.
    pub fn segment_patch(&self, texts: &[EncodedText], patch: ArrayView4<f32>) -> Logits {
        let members = self.models.iter().zip(texts);
        let passes = members.flat_map(|member| self.mirroring.flips().map(move |flip| (member, flip)));
        mean(passes.map(|((model, text), flip)| flip.apply(self.pass(model, text, flip.apply(patch)))))
    }

    /// One pass through one network.
    fn pass(&self, model: &BiPvlSeg, text: &EncodedText, patch: ArrayView4<f32>) -> Logits {
        let (channels, x, y, z) = patch.dim();
        let values: Vec<f32> = patch.iter().copied().collect();
        let data = TensorData::new(values, [1, channels, x, y, z]);
        let logits = model.segment(Tensor::from_data(data, &self.device), text);
        let [_, outputs, ..] = logits.dims();
        assert_eq!(outputs, self.label_schema.num_logit_channels(), "the network is one for these classes");
        let values = logits.into_data().try_to_vec().expect("logits are float32");
        Logits::from_shape_vec((outputs, x, y, z), values).expect("one logit per voxel and output")
    }
}
