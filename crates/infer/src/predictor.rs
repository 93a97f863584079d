//! Segments volumes with one network or an ensemble.

use std::{
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use bipvl_data::{LabelSchema, PreprocessConfig, PreprocessedCase, read_channels};
use bipvl_imaging::{
    Connectivity, Grid, Segment, Segmentation, SegmentationVoxels, Volume, keep_largest_component,
};
use bipvl_nn::{BiPvlSeg, EncodedText, TextInput, TokenBatch};
use bipvl_text::TokenizedTexts;
use burn::tensor::{Device, Tensor, TensorData};
use ndarray::ArrayView4;

use crate::{
    ConstantPatchCache, Error, InferConfig, LabelResampler, LogitSlab, Logits, ProbabilityResampler, Result,
    SlidingWindow, TestTimeMirroring, mean,
};

/// Progress of the segmentation of one case, in patches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InferenceProgress {
    /// Patches with logits.
    pub done: usize,
    /// Patches that reused the logits of an equal constant patch; part of `done`.
    pub reused: usize,
    /// Patches of the case.
    pub total: usize,
}

/// A progress callback that never cancels.
pub fn ignore_progress(_: InferenceProgress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// One network with its encoded prompts, or an ensemble with equal preprocessing. Clones share the weights.
#[derive(Clone, Debug)]
pub struct Predictor {
    networks: Vec<BiPvlSeg>,
    /// Per network the text that it encodes once for all patches.
    prompts: Vec<EncodedText>,
    preprocess: PreprocessConfig,
    num_channels: usize,
    label_schema: LabelSchema,
    window: SlidingWindow,
    mirroring: TestTimeMirroring,
    keep_largest_component: bool,
    skip_constant_patches: bool,
    keep_probabilities: bool,
    device: Device,
}

/// The parts of a [`Predictor`].
#[derive(Debug)]
pub struct PredictorInput<'a> {
    /// The network, on the device and without autodiff.
    pub model: BiPvlSeg,
    /// The tokenized text of the classes.
    pub text: &'a TextInput,
    /// Preprocessing of the training.
    pub preprocess: PreprocessConfig,
    /// Input channels of a case.
    pub channels: usize,
    /// The classes, and their labels in the output.
    pub label_schema: LabelSchema,
    /// Sliding window and post-processing.
    pub config: InferConfig,
    /// The device of the network.
    pub device: Device,
}

impl Predictor {
    /// A predictor of one network.
    pub fn new(input: PredictorInput) -> Self {
        let PredictorInput { model, text, preprocess, channels, label_schema, config, device } = input;
        let window = SlidingWindow::new(preprocess.patch_size, config.overlap, config.blend_mode);
        let predictor = Self {
            networks: Vec::new(),
            prompts: Vec::new(),
            preprocess,
            num_channels: channels,
            label_schema,
            window,
            mirroring: config.tta_mirror_axes,
            keep_largest_component: config.keep_largest_component,
            skip_constant_patches: config.skip_constant_patches,
            keep_probabilities: false,
            device,
        };
        predictor.with_ensemble_member(model, text)
    }

    /// Adds a network with equal preprocessing, classes and channels. Logits are averaged over the networks.
    #[must_use]
    pub fn with_ensemble_member(mut self, model: BiPvlSeg, text: &TextInput) -> Self {
        self.prompts.push(model.encode_text(text, None));
        self.networks.push(model.into_inference());
        self
    }

    /// Replaces the text of the classes; `prompts` as for [`Predictor::encode_prompts`].
    #[must_use]
    pub fn with_prompts(&self, prompts: &[TokenizedTexts]) -> Self {
        Self { prompts: self.encode_prompts(prompts), ..self.clone() }
    }

    /// Sets the output label of each class ([`LabelSchema::with_output_labels`]); a class with label 0 is left out.
    ///
    /// # Panics
    ///
    /// When the numbers of labels and classes differ.
    #[must_use]
    pub fn with_output_labels(self, labels: Vec<u16>) -> Self {
        Self { label_schema: self.label_schema.with_output_labels(&labels), ..self }
    }

    /// Keeps the [probabilities](Segmentation::probabilities) of the classes. They need 4 bytes per class and voxel of the
    /// target grid, and as much for the background if classes exclude each other.
    #[must_use]
    pub fn with_probabilities(self) -> Self {
        Self { keep_probabilities: true, ..self }
    }

    /// Encodes a text for [`Predictor::segment_with_prompts`]: `[classes, tokens]` per network, from its own
    /// tokenizer.
    ///
    /// # Panics
    ///
    /// When the numbers of prompts and networks differ.
    pub fn encode_prompts(&self, prompts: &[TokenizedTexts]) -> Vec<EncodedText> {
        assert_eq!(prompts.len(), self.networks.len(), "one tokenized text per network");
        let encode = |(network, tokens): (&BiPvlSeg, &TokenizedTexts)| {
            network.encode_prompt(&TokenBatch::new(tokens, &self.device), None)
        };
        self.networks.iter().zip(prompts).map(encode).collect()
    }

    /// Segments one case on the grid of its first channel.
    ///
    /// `on_progress` is called after every patch; a break cancels. The channels are taken by value, so that they can
    /// be freed after preprocessing.
    ///
    /// # Errors
    ///
    /// [`Error::Cancelled`].
    pub fn predict(
        &self,
        channels: Vec<Volume<f32>>,
        on_progress: &mut dyn FnMut(InferenceProgress) -> ControlFlow<()>,
    ) -> Result<Segmentation> {
        let target_grid = channels[0].grid().clone();
        let PreprocessedCase { image, grid } = self.preprocess.prepare(channels);
        self.segment(image.view(), &grid, &target_grid, on_progress)
    }

    /// Reads and segments one case: one file with all channels, or one file per channel.
    ///
    /// # Errors
    ///
    /// When a file cannot be read, the number of channels is not that of the training, and as [`Self::predict`].
    pub fn predict_files(
        &self,
        images: &[PathBuf],
        on_progress: &mut dyn FnMut(InferenceProgress) -> ControlFlow<()>,
    ) -> Result<Segmentation> {
        let header = bipvl_imaging::probe(&images[0])?;
        Ok(self.predict(self.read(images)?, on_progress)?.with_reference(&header))
    }

    /// Reads and preprocesses one case; also returns the grid of its files.
    ///
    /// # Errors
    ///
    /// When a file cannot be read, or the number of channels is not that of the training.
    pub fn prepare_files(&self, images: &[PathBuf]) -> Result<(PreprocessedCase, Grid)> {
        let channels = self.read(images)?;
        let target_grid = channels[0].grid().clone();
        Ok((self.preprocess.prepare(channels), target_grid))
    }

    fn read(&self, images: &[PathBuf]) -> Result<Vec<Volume<f32>>> {
        let channels = read_channels(images)?;
        self.ensure_readable(&images[0], &channels)?;
        Ok(channels)
    }

    /// Checks that a case can be segmented; `path` is for the message.
    ///
    /// # Errors
    ///
    /// When the number of channels is not that of the training, or the case is too large after resampling.
    pub fn ensure_readable(&self, path: &Path, channels: &[Volume<f32>]) -> Result<()> {
        if channels.len() != self.num_channels {
            let (path, found, expected) = (path.to_owned(), channels.len(), self.num_channels);
            return Err(Error::ChannelCount { path, found, expected });
        }
        Ok(self.preprocess.ensure_size(path, channels[0].grid())?)
    }

    /// Segments a preprocessed image `[channels, x, y, z]` on `grid`; the result is on `target_grid`.
    ///
    /// # Errors
    ///
    /// [`Error::Cancelled`].
    pub fn segment(
        &self,
        image: ArrayView4<f32>,
        grid: &Grid,
        target_grid: &Grid,
        on_progress: &mut dyn FnMut(InferenceProgress) -> ControlFlow<()>,
    ) -> Result<Segmentation> {
        self.segment_with_prompts(&self.prompts, image, grid, target_grid, on_progress)
    }

    /// [`Predictor::segment`] with other prompts.
    ///
    /// Logits exist for a part of the volume at a time: summed in a [`SlidingWindow`], decided in a
    /// [`LabelResampler`], then dropped.
    ///
    /// # Errors
    ///
    /// [`Error::Cancelled`].
    pub fn segment_with_prompts(
        &self,
        prompts: &[EncodedText],
        image: ArrayView4<f32>,
        grid: &Grid,
        target_grid: &Grid,
        on_progress: &mut dyn FnMut(InferenceProgress) -> ControlFlow<()>,
    ) -> Result<Segmentation> {
        let plan = self.window.plan(grid.shape(), self.label_schema.num_logit_channels());
        let mut resampler = LabelResampler::new(grid, target_grid, &self.label_schema);
        let mut probabilities =
            self.keep_probabilities.then(|| ProbabilityResampler::new(grid, target_grid, &self.label_schema));
        let mut cache = ConstantPatchCache::new(|patch| self.patch_logits(prompts, patch));
        let mut progress = InferenceProgress { total: plan.patches(), ..InferenceProgress::default() };
        let predict = |_, patch: ArrayView4<f32>| {
            let logits = if self.skip_constant_patches {
                cache.logits(patch)
            } else {
                self.patch_logits(prompts, patch)
            };
            progress = InferenceProgress { done: progress.done + 1, reused: cache.reused(), ..progress };
            on_progress(progress)?;
            ControlFlow::Continue(logits)
        };
        let on_slab = |slab: &LogitSlab| {
            resampler.push_slab(slab);
            if let Some(probabilities) = &mut probabilities {
                probabilities.push_slab(slab);
            }
        };
        if plan.run(image, predict, on_slab).is_break() {
            return Err(Error::Cancelled);
        }
        let segmentation = self.segmentation(resampler.finish(), target_grid);
        Ok(match probabilities {
            Some(probabilities) => {
                segmentation.with_probabilities(self.selected(probabilities.finish()).collect())
            }
            None => segmentation,
        })
    }

    /// Of one value per class those whose class is written.
    fn selected<T>(&self, by_class: Vec<T>) -> impl Iterator<Item = T> {
        let classes = self.label_schema.classes().iter();
        classes.zip(by_class).filter(|(class, _)| class.output_label != 0).map(|(_, value)| value)
    }

    /// Names the segments, and leaves out classes with label 0.
    fn segmentation(&self, voxels: SegmentationVoxels, grid: &Grid) -> Segmentation {
        let segments = self.label_schema.classes().iter().map(|class| Segment {
            name: class.name.clone(),
            label: class.output_label,
            code: class.code.clone(),
        });
        let segments = self.selected(segments.collect()).collect();
        match voxels {
            SegmentationVoxels::Labels(mut labels) => {
                if self.keep_largest_component {
                    keep_largest_component(&mut labels, Connectivity::Full);
                }
                Segmentation::from_labels(labels, segments)
            }
            SegmentationVoxels::Masks(masks) => {
                Segmentation::from_masks(grid.clone(), self.selected(masks).collect(), segments)
            }
        }
    }

    /// Whether the logits depend on the text.
    pub fn uses_text(&self) -> bool {
        self.prompts.iter().any(EncodedText::affects_logits)
    }

    /// The encoded prompts, one per network.
    pub fn prompts(&self) -> &[EncodedText] {
        &self.prompts
    }

    /// Voxels of a patch.
    pub fn patch_size(&self) -> [usize; 3] {
        self.preprocess.patch_size
    }

    /// Logits of one patch, `[channels, x, y, z]` → `[logits, x, y, z]`: the mean over networks and flips.
    pub fn patch_logits(&self, prompts: &[EncodedText], patch: ArrayView4<f32>) -> Logits {
        let members = self.networks.iter().zip(prompts);
        let passes = members.flat_map(|member| self.mirroring.flips().map(move |flip| (member, flip)));
        mean(passes.map(|((network, text), flip)| flip.apply(self.forward(network, text, flip.apply(patch)))))
    }

    fn forward(&self, network: &BiPvlSeg, text: &EncodedText, patch: ArrayView4<f32>) -> Logits {
        let (channels, x, y, z) = patch.dim();
        let values: Vec<f32> = patch.iter().copied().collect();
        let data = TensorData::new(values, [1, channels, x, y, z]);
        let logits = network.segment(Tensor::from_data(data, &self.device), text);
        let [_, num_logits, ..] = logits.dims();
        assert_eq!(num_logits, self.label_schema.num_logit_channels(), "the network has these classes");
        let values = logits.into_data().try_to_vec().expect("logits are float32");
        Logits::from_shape_vec((num_logits, x, y, z), values).expect("one value per channel and voxel")
    }
}
