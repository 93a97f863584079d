//! How much a trained network depends on its text: the same cases, segmented under one text after the other.
//!
//! A case is read and prepared once, a text is encoded once. Every answer is written down as it comes, so that a
//! measurement that was stopped goes on where it was.

mod result_cache;
mod concept_occlusion;
mod summary;

pub use concept_occlusion::{ConceptAttribution, ConceptOcclusion};
pub use result_cache::{CaseMeasurement, PromptResult, ResultCache};
pub use summary::{ClassResult, PairedComparison, PerturbationRow, SensitivitySummary, SkippedPerturbation};

use bipvl_imaging::{Grid, LabelMap};
use bipvl_metrics::overlaps;

use crate::Predictor;
use crate::{Error, Result};
use bipvl_data::{Case, LabelRemap, ensure_same_grid, file_fingerprint, read_reference};
use bipvl_nn::EncodedText;
use bipvl_text::{Tokens, perturbations::PerturbedText};

/// A network and the texts that it is asked with.
#[derive(Debug)]
pub struct TextSensitivity<'a> {
    predictor: &'a Predictor,
    labels: &'a [Vec<u16>],
    remap: &'a [LabelRemap],
    prompts: Vec<EncodedPrompts<'a>>,
    network: String,
}

/// One text for all classes.
#[derive(Debug)]
struct EncodedPrompts<'a> {
    variant: &'a PerturbedText,
    encoded: Vec<EncodedText>,
}

/// What a probe is made of.
#[derive(Debug)]
pub struct TextSensitivityInput<'a> {
    /// The network; it writes the first of `labels` for each class.
    pub predictor: &'a Predictor,
    /// The labels of each class in references: one, or those of a region.
    pub labels: &'a [Vec<u16>],
    /// Labels of references that count as others.
    pub remap: &'a [LabelRemap],
    /// The text as trained, then others.
    pub variants: &'a [PerturbedText],
    /// The tokens of each variant, `[classes, tokens]`.
    pub tokens: &'a [Tokens],
    /// All that an answer depends on besides text and case, such as the weights: when it changes, answers
    /// that were written down count no more.
    pub network: String,
}

impl<'a> TextSensitivity<'a> {
    /// Encodes all texts.
    pub fn new(input: TextSensitivityInput<'a>) -> Self {
        let TextSensitivityInput { predictor, labels, remap, variants, tokens, network } = input;
        let texts = variants.iter().zip(tokens);
        let encode = |(variant, tokens)| EncodedPrompts {
            variant,
            encoded: predictor.encode(std::slice::from_ref(tokens)),
        };
        Self { predictor, labels, remap, prompts: texts.map(encode).collect(), network }
    }

    /// The answer to each text about one case: those that `answers` knows, and else what a segmentation gives,
    /// which is written down there. `progress` hears of every text.
    ///
    /// # Errors
    ///
    /// When a file of the case cannot be read, the case has no reference, or an answer cannot be written.
    pub fn evaluate(
        &self,
        case: &Case,
        answers: &mut ResultCache,
        progress: &mut dyn FnMut(),
    ) -> Result<Vec<PromptResult>> {
        let keys = self.keys(case)?;
        if keys.iter().any(|key| answers.get(key).is_none()) {
            self.segment(case, &keys, answers, progress)?;
        }
        Ok(keys.iter().filter_map(|key| answers.get(key).cloned()).collect())
    }

    /// Segments a case under every text that has no answer yet.
    fn segment(
        &self,
        case: &Case,
        keys: &[String],
        answers: &mut ResultCache,
        progress: &mut dyn FnMut(),
    ) -> Result<()> {
        let image = &case.images[0];
        let (prepared, target_grid) = self.predictor.prepare_files(&case.images)?;
        let path = case.labels.as_ref().ok_or_else(|| Error::content(image, "a reference", "none"))?;
        let reference = read_reference(path, self.remap)?;
        ensure_same_grid(path, reference.grid(), image, &target_grid)?;
        let segment = |text| {
            self.predictor.segment_with_prompts(
                text,
                prepared.image.view(),
                &prepared.grid,
                &target_grid,
                &mut |_| (),
            )
        };
        let trained = segment(&self.prompts[0].encoded);
        for (place, (prompt, key)) in self.prompts.iter().zip(keys).enumerate() {
            if answers.get(key).is_none() {
                let other = (place > 0).then(|| segment(&prompt.encoded));
                let labels = other.as_ref().unwrap_or(&trained);
                let answer = PromptResult {
                    case: case.id.clone(),
                    variant: prompt.variant.name.clone(),
                    changed_ml: volume_ml(&target_grid) * count_changed(labels, &trained) as f64,
                    classes: find(labels, &reference, self.labels),
                };
                answers.add(key.clone(), answer)?;
            }
            progress();
        }
        Ok(())
    }

    /// What the answer to each text depends on, in 64 letters.
    fn keys(&self, case: &Case) -> Result<Vec<String>> {
        let mut about = vec![self.network.clone(), format!("{:?}", self.labels)];
        for path in case.images.iter().chain(&case.labels) {
            about.push(file_fingerprint(path)?);
        }
        let key = |prompt: &EncodedPrompts| {
            let texts = prompt.variant.texts.iter().map(String::as_str);
            result_cache::key(about.iter().map(String::as_str).chain(texts))
        };
        Ok(self.prompts.iter().map(key).collect())
    }
}

/// What became of each class.
fn find(labels: &LabelMap, reference: &LabelMap, classes: &[Vec<u16>]) -> Vec<CaseMeasurement> {
    let voxel_ml = volume_ml(reference.grid());
    let classes: Vec<&[u16]> = classes.iter().map(Vec::as_slice).collect();
    let found = overlaps(labels, reference, &classes).into_iter().map(|overlap| CaseMeasurement {
        dice: (overlap.reference > 0).then(|| overlap.dice()).flatten(),
        predicted_ml: voxel_ml * overlap.prediction as f64,
        reference_ml: voxel_ml * overlap.reference as f64,
    });
    found.collect()
}

fn count_changed(one: &LabelMap, other: &LabelMap) -> usize {
    one.voxels().iter().zip(other.voxels()).filter(|(one, other)| one != other).count()
}

/// The volume of a voxel in milliliters, of sheared grids too.
fn volume_ml(grid: &Grid) -> f64 {
    const MM3_PER_ML: f64 = 1000.0;
    grid.affine().fixed_view::<3, 3>(0, 0).determinant().abs() / MM3_PER_ML
}
