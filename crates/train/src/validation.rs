//! Scores the validation cases with the current weights, on the preprocessed grid.

use std::ops::ControlFlow;

use bipvl_imaging::Volume;
use bipvl_infer::{InferConfig, InferenceProgress, Predictor, PredictorInput, TestTimeMirroring};
use bipvl_metrics::overlaps;
use bipvl_nn::{BiPvlSeg, TextInput};
use indexmap::IndexMap;
use ndarray::Zip;

use super::TrainSetup;

/// Dice of the validation cases.
#[derive(Clone, Debug, PartialEq)]
pub struct ValidationScores {
    /// Per class the mean over cases with the class in the reference; a missed class has 0.
    pub dice: IndexMap<String, f64>,
}

impl ValidationScores {
    /// Mean over classes.
    pub fn mean_dice(&self) -> f64 {
        self.dice.values().sum::<f64>() / self.dice.len().max(1) as f64
    }
}

/// Scores a network without autodiff. `on_progress` gets the index of the case; `None` if it breaks.
pub fn score_validation_cases(
    model: BiPvlSeg,
    setup: &TrainSetup,
    on_progress: &mut dyn FnMut(usize, InferenceProgress) -> ControlFlow<()>,
) -> Option<ValidationScores> {
    let predictor = Predictor::new(PredictorInput {
        model,
        text: &TextInput::new(&setup.texts.shared, &setup.device),
        preprocess: setup.preprocess.clone(),
        channels: setup.model.vision.in_channels(),
        label_schema: setup.label_schema.clone(),
        // Without mirroring, for speed.
        config: InferConfig { tta_mirror_axes: TestTimeMirroring::default(), ..setup.infer },
        device: setup.device.clone(),
    });
    let classes = setup.label_schema.label_sets();
    let communicator = &*setup.communicator;
    // Dice and number of cases by class; at the end whether a rank was cancelled.
    let mut sums = vec![0.0; 2 * classes.len() + 1];
    let cases = setup.validation_cases.iter().enumerate();
    // Each rank scores its share.
    for (index, case) in cases.skip(communicator.rank()).step_by(communicator.size()) {
        let own_text = setup.texts.per_case.get(case.id());
        let own = own_text.map(|text| predictor.with_prompts(std::slice::from_ref(&text.prompts)));
        let predictor = own.as_ref().unwrap_or(&predictor);
        let sample = case.crop([0; 3], case.grid().shape());
        let on_patch = &mut |progress| on_progress(index, progress);
        // Only cancellation is an error here.
        let Ok(segmentation) = predictor.segment(sample.image.view(), case.grid(), case.grid(), on_patch)
        else {
            sums[2 * classes.len()] = 1.0;
            break;
        };
        let mut prediction = segmentation.into_label_map();
        let reference = Volume::new(sample.labels.mapv(u16::from), case.grid().clone());
        if let Some(ignore) = setup.label_schema.ignore() {
            Zip::from(prediction.voxels_mut()).and(reference.voxels()).for_each(|label, reference| {
                if *reference == ignore {
                    *label = 0;
                }
            });
        }
        for (sum, overlap) in sums.chunks_exact_mut(2).zip(overlaps(&prediction, &reference, &classes)) {
            if overlap.reference > 0 {
                sum[0] += overlap.dice().unwrap_or(0.0);
                sum[1] += 1.0;
            }
        }
    }
    communicator.sum_f64(&mut sums);
    if sums[2 * classes.len()] > 0.0 {
        return None;
    }
    let means = sums.chunks_exact(2).map(|sum| sum[0] / sum[1].max(1.0));
    Some(ValidationScores { dice: setup.label_schema.names().into_iter().zip(means).collect() })
}
