//! Sensitivity of a trained network to its text: the same cases, segmented with one prompt after another.
//!
//! A case is read and preprocessed once, a prompt is encoded once. Every result is stored at once, so that an
//! interrupted measurement can be continued.

mod class_matching;
mod concept_occlusion;
mod result_cache;
mod summary;

pub use class_matching::match_classes;
pub use concept_occlusion::{ConceptAttribution, ConceptOcclusion};
pub use result_cache::{CaseMeasurement, PromptResult, ResultCache};
pub use summary::{ClassResult, PairedComparison, PerturbationRow, SensitivitySummary, SkippedPerturbation};

use std::ops::ControlFlow;

use bipvl_data::{Case, LabelRemap, PreprocessedCase, ensure_same_grid, file_fingerprint, read_reference};
use bipvl_imaging::{Grid, LabelMap};
use bipvl_metrics::overlaps;
use bipvl_nn::EncodedText;
use bipvl_text::{TokenizedTexts, perturbations::PerturbedText};

use crate::{Error, InferenceProgress, Predictor, Result};

/// A network with the prompts to compare.
#[derive(Debug)]
pub struct TextSensitivity<'a> {
    predictor: &'a Predictor,
    labels: &'a [Vec<u16>],
    remap: &'a [LabelRemap],
    prompts: Vec<EncodedPrompts<'a>>,
    fingerprint: String,
}

/// One perturbation, encoded for all classes.
#[derive(Debug)]
struct EncodedPrompts<'a> {
    variant: &'a PerturbedText,
    encoded: Vec<EncodedText>,
}

/// The parts of a [`TextSensitivity`].
#[derive(Debug)]
pub struct TextSensitivityInput<'a> {
    /// The network; it writes the first of `labels` for each class.
    pub predictor: &'a Predictor,
    /// The labels of each class in references: one, or those of a region.
    pub labels: &'a [Vec<u16>],
    /// Labels of references that are replaced by others.
    pub remap: &'a [LabelRemap],
    /// The text of the training, then its perturbations.
    pub variants: &'a [PerturbedText],
    /// The tokens of each variant, `[classes, tokens]`.
    pub tokens: &'a [TokenizedTexts],
    /// Everything else that a result depends on, such as the weights; cached results of another fingerprint are
    /// ignored.
    pub fingerprint: String,
}

/// Progress of the evaluation of one case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeProgress {
    /// A patch of the current prompt.
    Patch(InferenceProgress),
    /// A prompt is done.
    Prompt,
}

impl<'a> TextSensitivity<'a> {
    /// Encodes all prompts.
    pub fn new(input: TextSensitivityInput<'a>) -> Self {
        let TextSensitivityInput { predictor, labels, remap, variants, tokens, fingerprint } = input;
        let texts = variants.iter().zip(tokens);
        let encode = |(variant, tokens)| EncodedPrompts {
            variant,
            encoded: predictor.encode_prompts(std::slice::from_ref(tokens)),
        };
        Self { predictor, labels, remap, prompts: texts.map(encode).collect(), fingerprint }
    }

    /// The result of each prompt for one case, from `cache` if it is there; new ones are added to it.
    ///
    /// # Errors
    ///
    /// When a file of the case cannot be read, the case has no reference, a result cannot be written, and
    /// [`Error::Cancelled`].
    pub fn evaluate(
        &self,
        case: &Case,
        cache: &mut ResultCache,
        on_progress: &mut dyn FnMut(ProbeProgress) -> ControlFlow<()>,
    ) -> Result<Vec<PromptResult>> {
        let keys = self.keys(case)?;
        if keys.iter().any(|key| cache.get(key).is_none()) {
            self.measure(case, &keys, cache, on_progress)?;
        }
        Ok(keys.iter().filter_map(|key| cache.get(key).cloned()).collect())
    }

    /// The results of all cases, `[cases][prompts]`. `on_progress` gets the index of the case.
    ///
    /// # Errors
    ///
    /// As [`Self::evaluate`].
    pub fn evaluate_all(
        &self,
        cases: &[Case],
        cache: &mut ResultCache,
        on_progress: &mut dyn FnMut(usize, ProbeProgress) -> ControlFlow<()>,
    ) -> Result<Vec<Vec<PromptResult>>> {
        let evaluate = |(index, case): (usize, &Case)| {
            self.evaluate(case, cache, &mut |progress| on_progress(index, progress))
        };
        cases.iter().enumerate().map(evaluate).collect()
    }

    /// Segments a case with every prompt that has no result yet.
    fn measure(
        &self,
        case: &Case,
        keys: &[String],
        cache: &mut ResultCache,
        on_progress: &mut dyn FnMut(ProbeProgress) -> ControlFlow<()>,
    ) -> Result<()> {
        let (prepared, target_grid) = self.predictor.prepare_files(&case.images)?;
        let path = case.labels.as_ref().ok_or_else(|| Error::MissingReference { case: case.id.clone() })?;
        let reference = read_reference(path, self.remap, &target_grid)?;
        ensure_same_grid(path, reference.grid(), &case.images[0], &target_grid)?;
        let trained = self.segment(&self.prompts[0].encoded, &prepared, &target_grid, on_progress)?;
        for (place, (prompt, key)) in self.prompts.iter().zip(keys).enumerate() {
            if cache.get(key).is_none() {
                let other = (place > 0)
                    .then(|| self.segment(&prompt.encoded, &prepared, &target_grid, on_progress))
                    .transpose()?;
                let labels = other.as_ref().unwrap_or(&trained);
                let result = PromptResult {
                    case: case.id.clone(),
                    variant: prompt.variant.name.clone(),
                    changed_ml: voxel_ml(&target_grid) * count_changed(labels, &trained) as f64,
                    classes: measure_classes(labels, &reference, self.labels),
                };
                cache.add(key.clone(), result)?;
            }
            if on_progress(ProbeProgress::Prompt).is_break() {
                return Err(Error::Cancelled);
            }
        }
        Ok(())
    }

    fn segment(
        &self,
        prompts: &[EncodedText],
        case: &PreprocessedCase,
        target_grid: &Grid,
        on_progress: &mut dyn FnMut(ProbeProgress) -> ControlFlow<()>,
    ) -> Result<LabelMap> {
        let on_patch = &mut |progress| on_progress(ProbeProgress::Patch(progress));
        let (image, grid) = (case.image.view(), &case.grid);
        let segmentation =
            self.predictor.segment_with_prompts(prompts, image, grid, target_grid, on_patch)?;
        Ok(segmentation.into_label_map())
    }

    /// The cache key of each prompt: a hash of everything that its result depends on.
    fn keys(&self, case: &Case) -> Result<Vec<String>> {
        let mut inputs = vec![self.fingerprint.clone(), format!("{:?}", self.labels)];
        for path in case.images.iter().chain(&case.labels) {
            inputs.push(file_fingerprint(path)?);
        }
        let key = |prompt: &EncodedPrompts| {
            let texts = prompt.variant.texts.iter().map(String::as_str);
            result_cache::key(inputs.iter().map(String::as_str).chain(texts))
        };
        Ok(self.prompts.iter().map(key).collect())
    }
}

fn measure_classes(labels: &LabelMap, reference: &LabelMap, classes: &[Vec<u16>]) -> Vec<CaseMeasurement> {
    let voxel_ml = voxel_ml(reference.grid());
    let classes: Vec<&[u16]> = classes.iter().map(Vec::as_slice).collect();
    let measure = |overlap: bipvl_metrics::Overlap| CaseMeasurement {
        dice: (overlap.reference > 0).then(|| overlap.dice()).flatten(),
        predicted_ml: voxel_ml * overlap.prediction as f64,
        reference_ml: voxel_ml * overlap.reference as f64,
    };
    overlaps(labels, reference, &classes).into_iter().map(measure).collect()
}

fn count_changed(a: &LabelMap, b: &LabelMap) -> usize {
    a.voxels().iter().zip(b.voxels()).filter(|(a, b)| a != b).count()
}

/// The volume of a voxel in milliliters, also of sheared grids.
fn voxel_ml(grid: &Grid) -> f64 {
    const MM3_PER_ML: f64 = 1000.0;
    grid.affine().fixed_view::<3, 3>(0, 0).determinant().abs() / MM3_PER_ML
}
