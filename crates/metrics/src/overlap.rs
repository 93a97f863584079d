//! Dice and intersection over union from counts of voxels.

use bipvl_imaging::LabelMap;
use ndarray::{Axis, Zip};
use rayon::prelude::*;

use crate::classes::ClassIndices;
use crate::convention::State;
use crate::layers::per_slice;

/// How many voxels of one class the prediction, the reference and both hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Overlap {
    /// Voxels of the prediction.
    pub prediction: usize,
    /// Voxels of the reference.
    pub reference: usize,
    /// Voxels of both.
    pub both: usize,
}

impl Overlap {
    /// Dice, 2 |P ∩ R| / (|P| + |R|); `None` when both masks are empty.
    pub fn dice(&self) -> Option<f64> {
        share(2 * self.both, self.prediction + self.reference)
    }

    /// Intersection over union, |P ∩ R| / |P ∪ R|; `None` when both masks are empty.
    pub fn iou(&self) -> Option<f64> {
        share(self.both, self.prediction + self.reference - self.both)
    }

    /// Which of the masks are empty.
    pub fn state(&self) -> State {
        match (self.prediction, self.reference) {
            (0, 0) => State::BothEmpty,
            (0, _) => State::PredEmpty,
            (_, 0) => State::RefEmpty,
            _ => State::Ok,
        }
    }

    fn plus(self, other: Self) -> Self {
        Self {
            prediction: self.prediction + other.prediction,
            reference: self.reference + other.reference,
            both: self.both + other.both,
        }
    }
}

/// The overlap of each of `classes`, which are sets of labels, in their order.
///
/// # Panics
///
/// When the shapes differ or a class has no label.
pub fn overlaps(prediction: &LabelMap, reference: &LabelMap, classes: &[&[u16]]) -> Vec<Overlap> {
    per_slice(prediction, reference, classes, overlaps_of_labels)
}

/// The overlap of each of `labels`, in their order.
fn overlaps_of_labels(prediction: &LabelMap, reference: &LabelMap, labels: &[u16]) -> Vec<Overlap> {
    let (prediction, reference) = (prediction.voxels(), reference.voxels());
    assert_eq!(prediction.shape(), reference.shape(), "label maps to compare must have one shape");
    let classes = ClassIndices::new(labels);
    let nothing = || vec![Overlap::default(); labels.len()];
    (0..prediction.len_of(Axis(0)))
        .into_par_iter()
        .map(|x| {
            let mut counts = nothing();
            let planes = (prediction.index_axis(Axis(0), x), reference.index_axis(Axis(0), x));
            Zip::from(planes.0).and(planes.1).for_each(|&predicted, &expected| {
                if let Some(class_index) = classes.of(predicted) {
                    counts[class_index].prediction += 1;
                    counts[class_index].both += usize::from(predicted == expected);
                }
                if let Some(class_index) = classes.of(expected) {
                    counts[class_index].reference += 1;
                }
            });
            counts
        })
        .reduce(nothing, |a, b| a.into_iter().zip(b).map(|(a, b)| a.plus(b)).collect())
}

fn share(part: usize, whole: usize) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}
