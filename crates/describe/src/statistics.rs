//! Label statistics of a data set: medians of the class measures over cases, and relative positions.

use std::ops::ControlFlow;

use super::measure::{ClassMeasures, measure_case};
use crate::{Error, Result};
use bipvl_data::{Case, Dataset, Modality};

/// Share of the cases that must agree on the direction of a relative position.
const AGREEMENT: f64 = 0.75;

/// Statistics of the labeled cases of a data set.
#[derive(Clone, Debug, PartialEq)]
pub struct DatasetStatistics {
    /// Imaging modality.
    pub modality: Modality,
    /// Names of the channels.
    pub channels: Vec<String>,
    /// Number of measured cases.
    pub num_cases: usize,
    /// By class; `None` if no measured case contains the class.
    pub classes: Vec<Option<ClassStatistics>>,
}

/// Medians over the cases that contain a class. Terms follow the IBSI reference manual.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassStatistics {
    /// The class name.
    pub class: String,
    /// Number of measured cases that contain the class.
    pub num_cases: usize,
    /// Volume.
    pub volume_ml: f64,
    /// Edges, longest first, of the cuboid with the same second moments along the principal axes.
    pub axis_lengths_mm: [f64; 3],
    /// The same along x, y, z.
    pub extents_mm: [f64; 3],
    /// Center relative to the body along x, y, z, from 0 (left, posterior, inferior) to 1.
    pub body_position: [f64; 3],
    /// Mean intensity per channel, in HU for CT.
    pub mean: Vec<f64>,
    /// Mean intensity per channel as a z-score with respect to the body.
    pub z_score: Vec<f64>,
    /// Standard deviation of the intensity in the first channel.
    pub std: f64,
    /// [`Self::std`] as a fraction of that of the body.
    pub relative_std: f64,
    /// Difference of the means of the class and of the adjacent voxels, in the first channel.
    pub contrast: f64,
    /// 1 / sphericity: surface area over that of a ball of equal volume; 1 for a ball.
    pub inverse_sphericity: f64,
    /// Fraction of the voxels in the largest connected component.
    pub largest_component_fraction: f64,
    /// Positions relative to other classes, nearest first, where most cases agree.
    pub neighbors: Vec<RelativePosition>,
}

/// The position of a class relative to another.
#[derive(Clone, Debug, PartialEq)]
pub struct RelativePosition {
    /// Index of the other class.
    pub reference: usize,
    /// Axis with the largest distance of the centers: 0, 1, 2 for x, y, z.
    pub axis: usize,
    /// Signed distance along that axis, from the center of the other class to that of this one.
    pub offset_mm: f64,
}

impl DatasetStatistics {
    /// Measures at most `max_cases` labeled cases, evenly spaced in the list. `on_case` is called before each one and
    /// can cancel.
    ///
    /// # Errors
    ///
    /// If a file cannot be read, image and labels of a case have different grids, no case has labels, or
    /// [`Error::Cancelled`].
    pub fn measure(
        dataset: &Dataset,
        max_cases: usize,
        mut on_case: impl FnMut(&Case) -> ControlFlow<()>,
    ) -> Result<Self> {
        let labeled: Vec<&Case> = dataset.cases.iter().filter(|case| case.labels.is_some()).collect();
        let num_cases = labeled.len().min(max_cases);
        if num_cases == 0 {
            return Err(Error::NoLabels { path: dataset.root.clone() });
        }
        let selected = (0..num_cases).map(|index| labeled[index * labeled.len() / num_cases]);
        let measured: Vec<Vec<Option<ClassMeasures>>> = selected
            .map(|case| match on_case(case) {
                ControlFlow::Continue(()) => measure_case(dataset, case),
                ControlFlow::Break(()) => Err(Error::Cancelled),
            })
            .collect::<Result<_>>()?;
        let classes = dataset.label_schema.classes().iter().enumerate();
        let classes =
            classes.map(|(index, class)| ClassStatistics::new(&class.name, index, &measured)).collect();
        Ok(Self { modality: dataset.modality, channels: dataset.channels.clone(), num_cases, classes })
    }
}

impl ClassStatistics {
    fn new(class: &str, index: usize, cases: &[Vec<Option<ClassMeasures>>]) -> Option<Self> {
        let own: Vec<&ClassMeasures> = cases.iter().filter_map(|case| case[index].as_ref()).collect();
        if own.is_empty() {
            return None;
        }
        let over = |value: &dyn Fn(&ClassMeasures) -> f64| median(own.iter().map(|one| value(one)).collect());
        let num_channels = own[0].mean.len();
        Some(Self {
            class: class.to_owned(),
            num_cases: own.len(),
            volume_ml: over(&|one| one.volume_ml),
            axis_lengths_mm: std::array::from_fn(|axis| over(&|one| one.axis_lengths_mm[axis])),
            extents_mm: std::array::from_fn(|axis| over(&|one| one.extents_mm[axis])),
            body_position: std::array::from_fn(|axis| over(&|one| one.body_position[axis])),
            mean: (0..num_channels).map(|channel| over(&|one| one.mean[channel])).collect(),
            z_score: (0..num_channels).map(|channel| over(&|one| one.z_score[channel])).collect(),
            std: over(&|one| one.std),
            relative_std: over(&|one| one.relative_std),
            contrast: over(&|one| one.contrast),
            inverse_sphericity: over(&|one| one.inverse_sphericity),
            largest_component_fraction: over(&|one| one.largest_component_fraction),
            neighbors: neighbors(index, cases),
        })
    }
}

/// The positions of a class relative to all others, nearest first.
fn neighbors(index: usize, cases: &[Vec<Option<ClassMeasures>>]) -> Vec<RelativePosition> {
    let num_classes = cases.first().map_or(0, Vec::len);
    let mut positions: Vec<(f64, RelativePosition)> = (0..num_classes)
        .filter(|other| *other != index)
        .filter_map(|other| {
            let offsets: Vec<[f64; 3]> = cases
                .iter()
                .filter_map(|case| {
                    let (own, other) = (case[index].as_ref()?, case[other].as_ref()?);
                    Some(std::array::from_fn(|axis| own.center_mm[axis] - other.center_mm[axis]))
                })
                .collect();
            relative_position(other, &offsets)
        })
        .collect();
    positions.sort_by(|(one, _), (other, _)| one.total_cmp(other));
    positions.into_iter().map(|(_, position)| position).collect()
}

/// Median distance and dominant direction of offsets, if enough cases agree on the direction.
fn relative_position(reference: usize, offsets: &[[f64; 3]]) -> Option<(f64, RelativePosition)> {
    let along = |axis: usize| median(offsets.iter().map(|offset| offset[axis]).collect());
    if offsets.is_empty() {
        return None;
    }
    let medians = [along(0), along(1), along(2)];
    let axis = (0..3).max_by(|one, other| medians[*one].abs().total_cmp(&medians[*other].abs()))?;
    let agree = offsets.iter().filter(|offset| offset[axis] * medians[axis] > 0.0).count();
    let distance = medians.iter().map(|mm| mm * mm).sum::<f64>().sqrt();
    (agree as f64 >= AGREEMENT * offsets.len() as f64 && medians[axis] != 0.0)
        .then_some((distance, RelativePosition { reference, axis, offset_mm: medians[axis] }))
}

/// The median; of an even count the mean of the middle two.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let half = values.len() / 2;
    if values.len() % 2 == 1 { values[half] } else { f64::midpoint(values[half - 1], values[half]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_count_is_the_mean_of_the_middle_two() {
        assert_eq!(median(vec![9.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![9.0, 1.0, 2.0, 3.0]), 2.5);
    }

    #[test]
    fn a_direction_needs_agreement_of_three_quarters() {
        let [left, right] = [[-5.0, 1.0, 0.0], [5.0, 1.0, 0.0]];
        let (distance, found) = relative_position(7, &[right, right, left, right]).unwrap();
        assert_eq!(found, RelativePosition { reference: 7, axis: 0, offset_mm: 5.0 });
        assert!((distance - 26.0_f64.sqrt()).abs() < 1e-12);
        assert_eq!(relative_position(7, &[right, right, right, left, left]), None);
    }
}
