//! From a volume and prompts to masks.

use std::ops::ControlFlow;

use bipvl_data::{COORDINATE_CHANNELS, PreprocessConfig, PreprocessedCase, patch_coordinates};
use bipvl_imaging::{Grid, Header, Volume};
use bipvl_infer::{
    BlendMode, InferenceProgress, LabelResampler, LogitSlab, Logits, MAX_OVERLAPPING_CLASSES,
    ProbabilityResampler, SlidingWindow,
};
use bipvl_nn::{
    TokenBatch,
    prompts::{EncodedPrompts, PromptSeg},
};
use bipvl_text::Tokenizer;
use burn::tensor::{Device, Tensor, TensorData};
use ndarray::{Array1, ArrayView4, Axis, s};

use crate::{PromptSegmentation, Result, code_book::code_book};

const _: () = assert!(
    bipvl_nn::prompts::COORDINATE_CHANNELS == COORDINATE_CHANNELS,
    "the network reads the channels that the data have"
);

/// A prompted network with its tokenizer, ready for preprocessed volumes; clones share the weights.
#[derive(Clone, Debug)]
pub struct PromptPredictor {
    model: PromptSeg,
    tokenizer: Tokenizer,
    code_book: Option<u64>,
    window: SlidingWindow,
    keep_probabilities: bool,
    device: Device,
}

/// Prompts as the network reads them.
#[derive(Clone, Debug)]
pub struct EncodedTexts {
    texts: Vec<String>,
    encoded: EncodedPrompts,
}

/// How masks that overlap become one label map.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overlap {
    /// Every prompt decides for itself; the masks may share voxels.
    #[default]
    Allowed,
    /// A voxel belongs to the prompt with the largest logit.
    Exclusive,
}

impl PromptPredictor {
    /// Weights on the device, without autodiff.
    pub fn new(
        model: PromptSeg,
        tokenizer: Tokenizer,
        patch_size: [usize; 3],
        overlap: f64,
        blend_mode: BlendMode,
        device: &Device,
    ) -> Self {
        let window = SlidingWindow::new(patch_size, overlap, blend_mode);
        Self { model, tokenizer, code_book: None, window, keep_probabilities: false, device: device.clone() }
    }

    /// For a network that was trained in code: replaces the texts of all prompts by those of the code book of a seed.
    #[must_use]
    pub fn with_code_book(self, seed: u64) -> Self {
        Self { code_book: Some(seed), ..self }
    }

    /// Keeps the [probabilities](PromptSegmentation::probabilities) of the prompts. They need 4 bytes per prompt and voxel
    /// of the scan.
    #[must_use]
    pub fn with_probabilities(self) -> Self {
        Self { keep_probabilities: true, ..self }
    }

    /// The first text stage of these prompts: once per run, not per window.
    pub fn encode(&self, prompts: &[String]) -> EncodedTexts {
        let texts = match self.code_book {
            Some(seed) => prompts.iter().map(|prompt| code_book(prompt, seed)).collect(),
            None => prompts.to_vec(),
        };
        let tokens = TokenBatch::new(&self.tokenizer.encode(&texts), &self.device);
        let encoded = self.model.encode_prompts(&tokens, prompts.len(), None);
        EncodedTexts { texts: prompts.to_vec(), encoded }
    }

    /// The prompts with more tokens than the text encoder reads.
    pub fn truncated<'a>(&self, prompts: &'a [String]) -> Vec<&'a str> {
        prompts.iter().filter(|prompt| self.tokenizer.truncates(prompt)).map(String::as_str).collect()
    }

    /// Segments one scan of one channel on its own grid.
    ///
    /// `on_progress` is called after every patch; a break cancels.
    ///
    /// # Errors
    ///
    /// [`bipvl_infer::Error::Cancelled`].
    pub fn segment(
        &self,
        prompts: &EncodedTexts,
        scan: Volume<f32>,
        header: Option<&Header>,
        preprocess: &PreprocessConfig,
        overlap: Overlap,
        on_progress: &mut dyn FnMut(InferenceProgress) -> ControlFlow<()>,
    ) -> Result<PromptSegmentation> {
        let target = scan.grid().clone();
        let PreprocessedCase { image, grid } = preprocess.prepare(vec![scan]);
        let count = prompts.encoded.num_prompts;
        let mut resamplers = MaskResamplers::new(&grid, &target, count, overlap);
        let mut probabilities =
            self.keep_probabilities.then(|| ProbabilityResampler::for_masks(&grid, &target, count));
        let presence = self.run_slabs(prompts, image.view(), on_progress, |slab| {
            resamplers.push_slab(slab);
            if let Some(probabilities) = &mut probabilities {
                probabilities.push_slab(slab);
            }
        });
        let Some(presence) = presence else { return Err(bipvl_infer::Error::Cancelled.into()) };
        let voxels = resamplers.0.into_iter().map(LabelResampler::finish_masks).collect();
        let found = PromptSegmentation::new(voxels, target, prompts.texts.clone(), presence.to_vec(), header);
        Ok(match probabilities {
            Some(probabilities) => found.with_probabilities(probabilities.finish()),
            None => found,
        })
    }

    /// Segments a preprocessed image `[channels, x, y, z]`: gives the blended logits `[K, 1, y, z]` of every row with its first
    /// voxel, and the highest presence logit of each prompt over all windows.
    pub fn run(
        &self,
        prompts: &EncodedTexts,
        image: ArrayView4<f32>,
        mut receive: impl FnMut([usize; 3], ArrayView4<f32>),
    ) -> Array1<f32> {
        let highest = self.run_slabs(prompts, image, &mut |_| ControlFlow::Continue(()), |slab| {
            let [y, z] = [&slab.column.y, &slab.column.z];
            let row = slab.rows[1].slice(s![.., ..y.len(), ..z.len()]).insert_axis(Axis(1));
            receive([slab.x, y.start, z.start], row);
        });
        highest.expect("nothing cancels")
    }

    /// The highest presence logits; `None` when cancelled.
    fn run_slabs(
        &self,
        prompts: &EncodedTexts,
        image: ArrayView4<f32>,
        on_progress: &mut dyn FnMut(InferenceProgress) -> ControlFlow<()>,
        on_slab: impl FnMut(&LogitSlab),
    ) -> Option<Array1<f32>> {
        let (_, x, y, z) = image.dim();
        let count = prompts.encoded.num_prompts;
        let mut highest = Array1::from_elem(count, f32::NEG_INFINITY);
        let plan = self.window.plan([x, y, z], count);
        let mut progress = InferenceProgress { total: plan.patches(), ..InferenceProgress::default() };
        let segment = |start, patch: ArrayView4<f32>| {
            let (logits, presence) = self.segment_patch(prompts, patch, start, [x, y, z]);
            highest.zip_mut_with(&presence, |highest, presence| *highest = highest.max(*presence));
            progress.done += 1;
            on_progress(progress)?;
            ControlFlow::Continue(logits)
        };
        plan.run(image, segment, on_slab).is_continue().then_some(highest)
    }

    /// Logits of one patch at `start` of a scan of this shape, lowered by presence, `[K, x, y, z]`, and the presence logits,
    /// `[K]` (+∞ without a presence head).
    fn segment_patch(
        &self,
        prompts: &EncodedTexts,
        patch: ArrayView4<f32>,
        start: [usize; 3],
        scan: [usize; 3],
    ) -> (Logits, Array1<f32>) {
        let (mut channels, x, y, z) = patch.dim();
        let mut values: Vec<f32> = patch.iter().copied().collect();
        if self.model.reads_coordinates() {
            channels += COORDINATE_CHANNELS;
            values.extend(patch_coordinates(start, [x, y, z], scan));
        }
        let image = Tensor::from_data(TensorData::new(values, [1, channels, x, y, z]), &self.device);
        let (logits, presence) = self.model.segment(image, &prompts.encoded);
        let [_, count, ..] = logits.dims();
        let values = logits.into_data().try_to_vec().expect("logits are float32");
        let logits =
            Logits::from_shape_vec((count, x, y, z), values).expect("one logit per voxel and prompt");
        let presence = match presence {
            Some(presence) => presence.into_data().try_to_vec().expect("logits are float32").into(),
            None => Array1::from_elem(count, f32::INFINITY),
        };
        (logits, presence)
    }
}

/// One resampler per group of masks, or one for all that exclude each other.
struct MaskResamplers(Vec<LabelResampler>);

impl MaskResamplers {
    fn new(grid: &Grid, target: &Grid, count: usize, overlap: Overlap) -> Self {
        if overlap == Overlap::Exclusive {
            return Self(vec![LabelResampler::for_exclusive_masks(grid, target, count)]);
        }
        let groups = (0..count).step_by(MAX_OVERLAPPING_CLASSES);
        let size = |first: usize| (count - first).min(MAX_OVERLAPPING_CLASSES);
        Self(groups.map(|first| LabelResampler::for_masks(grid, target, size(first))).collect())
    }

    fn push_slab(&mut self, slab: &LogitSlab) {
        if let [all] = &mut self.0[..] {
            return all.push_slab(slab);
        }
        for (group, resampler) in self.0.iter_mut().enumerate() {
            let first = group * MAX_OVERLAPPING_CLASSES;
            let last = slab.rows[0].dim().0.min(first + MAX_OVERLAPPING_CLASSES);
            let rows = slab.rows.each_ref().map(|row| row.slice(s![first..last, .., ..]));
            resampler.push_slab(&LogitSlab { x: slab.x, column: slab.column, rows });
        }
    }
}
