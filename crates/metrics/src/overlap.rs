//! Dice and `IoU` from voxel counts.

use rayon::prelude::*;

use crate::class_index::ClassIndex;
use crate::convention::MaskPresence;
use crate::disjoint::per_disjoint_group;
use crate::labels::Labels;

/// Voxel counts of one class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Overlap {
    /// Voxels of the prediction.
    pub prediction: usize,
    /// Voxels of the reference.
    pub reference: usize,
    /// Voxels of both: true positives.
    pub intersection: usize,
}

impl Overlap {
    /// Dice, 2 |P ∩ R| / (|P| + |R|); `None` if both masks are empty.
    pub fn dice(&self) -> Option<f64> {
        ratio(2 * self.intersection, self.prediction + self.reference)
    }

    /// Intersection over union, |P ∩ R| / |P ∪ R|; `None` if both masks are empty.
    pub fn iou(&self) -> Option<f64> {
        ratio(self.intersection, self.prediction + self.reference - self.intersection)
    }

    /// Which of the two masks are not empty.
    pub fn presence(&self) -> MaskPresence {
        match (self.prediction, self.reference) {
            (0, 0) => MaskPresence::Neither,
            (0, _) => MaskPresence::OnlyReference,
            (_, 0) => MaskPresence::OnlyPrediction,
            _ => MaskPresence::Both,
        }
    }

    fn add(self, other: Self) -> Self {
        Self {
            prediction: self.prediction + other.prediction,
            reference: self.reference + other.reference,
            intersection: self.intersection + other.intersection,
        }
    }
}

/// The overlap of each of `classes`. A class is a set of labels; classes may overlap.
///
/// # Panics
///
/// If the shapes differ or a class has no label.
pub fn overlaps(prediction: &dyn Labels, reference: &dyn Labels, classes: &[&[u16]]) -> Vec<Overlap> {
    per_disjoint_group(prediction, reference, classes, overlaps_of_labels)
}

/// The overlap of each of `labels`.
fn overlaps_of_labels(prediction: &dyn Labels, reference: &dyn Labels, labels: &[u16]) -> Vec<Overlap> {
    assert_eq!(prediction.shape(), reference.shape(), "prediction and reference must have the same shape");
    let classes = ClassIndex::new(labels);
    let zeros = || vec![Overlap::default(); labels.len()];
    (0..prediction.shape()[0])
        .into_par_iter()
        .map(|x| {
            let mut counts = zeros();
            let planes = (prediction.plane(x), reference.plane(x));
            for (&predicted, &referenced) in planes.0.iter().zip(planes.1.iter()) {
                if let Some(class_index) = classes.get(predicted) {
                    counts[class_index].prediction += 1;
                    counts[class_index].intersection += usize::from(predicted == referenced);
                }
                if let Some(class_index) = classes.get(referenced) {
                    counts[class_index].reference += 1;
                }
            }
            counts
        })
        .reduce(zeros, |a, b| a.into_iter().zip(b).map(|(a, b)| a.add(b)).collect())
}

fn ratio(part: usize, whole: usize) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}
