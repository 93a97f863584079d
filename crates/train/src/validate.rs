//! Segments the validation cases with the present weights and scores them on the prepared grid.

use bipvl_imaging::Volume;
use bipvl_metrics::overlaps;
use indexmap::IndexMap;

use super::TrainSetup;
use bipvl_infer::{InferConfig, Predictor, PredictorInput, TestTimeMirroring};
use bipvl_nn::{BiPvlSeg, TextInput};

/// Dice of the validation cases.
#[derive(Clone, Debug, PartialEq)]
pub struct Validation {
    /// Mean over cases whose reference has the class; a missed class counts as 0.
    pub dice: IndexMap<String, f64>,
}

impl Validation {
    /// Mean over classes.
    pub fn mean_dice(&self) -> f64 {
        self.dice.values().sum::<f64>() / self.dice.len().max(1) as f64
    }
}

/// Scores a model without autodiff on the validation cases of a setup.
pub fn validate(model: BiPvlSeg, setup: &TrainSetup) -> Validation {
    let predictor = Predictor::new(PredictorInput {
        model,
        text: &TextInput::new(&setup.texts.shared, &setup.device),
        preprocess: setup.preprocess.clone(),
        channels: setup.model.vision.in_channels(),
        label_schema: setup.label_schema.clone(),
        // Quick: flips are for prediction.
        config: InferConfig { tta_mirror_axes: TestTimeMirroring::default(), ..setup.infer },
        device: setup.device.clone(),
    });
    let classes = setup.label_schema.label_sets();
    let mut sums = vec![(0.0, 0usize); classes.len()];
    for case in &setup.validation_cases {
        let own = setup
            .texts
            .per_case
            .get(case.id())
            .map(|text| predictor.with_prompts(std::slice::from_ref(&text.full)));
        let predictor = own.as_ref().unwrap_or(&predictor);
        let sample = case.crop([0; 3], case.grid().shape());
        let prediction = predictor.segment(sample.image.view(), case.grid(), case.grid(), &mut |_| ());
        let reference = Volume::new(sample.labels.mapv(u16::from), case.grid().clone());
        for ((sum, count), overlap) in sums.iter_mut().zip(overlaps(&prediction, &reference, &classes)) {
            if overlap.reference > 0 {
                *sum += overlap.dice().unwrap_or(0.0);
                *count += 1;
            }
        }
    }
    let means = sums.into_iter().map(|(sum, count)| sum / count.max(1) as f64);
    Validation { dice: setup.classes.iter().cloned().zip(means).collect() }
}
