//! The measures of all classes over the cases of a data set: medians, and who is where beside whom.

use super::measure::{ClassMeasures, measure_case};
use crate::{Error, Result};
use bipvl_data::{Case, Dataset, Modality};

/// A direction is taken when so large a share of the cases agrees on it.
const AGREEMENT: f64 = 0.75;

/// What was measured in the cases of a data set.
#[derive(Clone, Debug, PartialEq)]
pub struct DatasetStatistics {
    /// What the volumes were taken with.
    pub modality: Modality,
    /// The names of the channels.
    pub channels: Vec<String>,
    /// How many cases were measured.
    pub num_cases: usize,
    /// One for each class of the data set; none where no measured case holds it.
    pub classes: Vec<Option<ClassStatistics>>,
}

/// Medians over the cases that hold a class.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassStatistics {
    /// The name of the class.
    pub class: String,
    /// How many of the measured cases hold it.
    pub num_cases: usize,
    /// Its volume.
    pub volume_ml: f64,
    /// Along its principal axes, longest first: the edges of the box with the same second moments.
    pub axis_lengths_mm: [f64; 3],
    /// The same along x, y, z.
    pub extents_mm: [f64; 3],
    /// Where its center lies between the ends of the body along x, y, z: 0 is left, rear, low; 1 the contrary.
    pub body_position: [f64; 3],
    /// Mean intensity, channel by channel; HU in CT.
    pub mean: Vec<f64>,
    /// By how many standard deviations of the body the mean is above the body's, channel by channel.
    pub z_score: Vec<f64>,
    /// Standard deviation of its intensities in the first channel.
    pub std: f64,
    /// The same as a share of that of the whole body.
    pub relative_std: f64,
    /// By how much its mean is above that of the voxels around it, in the first channel.
    pub contrast: f64,
    /// The area of its outer faces over that of a ball of its volume.
    pub inverse_sphericity: f64,
    /// The share of its voxels in its largest connected part.
    pub largest_component_fraction: f64,
    /// Where the other classes are, nearest first, as far as most cases agree.
    pub neighbors: Vec<RelativePosition>,
}

/// Where a class is as seen from another.
#[derive(Clone, Debug, PartialEq)]
pub struct RelativePosition {
    /// The other class, as an index.
    pub reference: usize,
    /// The axis along which their centers are farthest apart: 0, 1, 2 for x, y, z.
    pub axis: usize,
    /// From the center of the other to the center of this along that axis.
    pub offset_mm: f64,
}

impl DatasetStatistics {
    /// ClassMeasures at most `max_cases` cases with labels, evenly spaced in the list; `on_case` is told of each before it is read.
    ///
    /// # Errors
    ///
    /// When a file cannot be read, the files of a case have different grids, or there is no case with labels.
    pub fn measure(dataset: &Dataset, max_cases: usize, mut on_case: impl FnMut(&Case)) -> Result<Self> {
        let labeled: Vec<&Case> = dataset.cases.iter().filter(|case| case.labels.is_some()).collect();
        let num_cases = labeled.len().min(max_cases);
        if num_cases == 0 {
            return Err(Error::content(&dataset.root, "cases with labels to measure", "none"));
        }
        let chosen = (0..num_cases).map(|index| labeled[index * labeled.len() / num_cases]);
        let measured: Vec<Vec<Option<ClassMeasures>>> = chosen
            .map(|case| {
                on_case(case);
                measure_case(dataset, case)
            })
            .collect::<Result<_>>()?;
        let classes = dataset.label_schema.classes().iter().enumerate();
        let classes =
            classes.map(|(index, class)| ClassStatistics::of(&class.name, index, &measured)).collect();
        Ok(Self { modality: dataset.modality, channels: dataset.channels.clone(), num_cases, classes })
    }
}

impl ClassStatistics {
    fn of(class: &str, index: usize, cases: &[Vec<Option<ClassMeasures>>]) -> Option<Self> {
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

fn neighbors(index: usize, cases: &[Vec<Option<ClassMeasures>>]) -> Vec<RelativePosition> {
    let num_classes = cases.first().map_or(0, Vec::len);
    let mut found: Vec<(f64, RelativePosition)> = (0..num_classes)
        .filter(|other| *other != index)
        .filter_map(|other| {
            let steps: Vec<[f64; 3]> = cases
                .iter()
                .filter_map(|case| {
                    let (own, other) = (case[index].as_ref()?, case[other].as_ref()?);
                    Some(std::array::from_fn(|axis| own.center_mm[axis] - other.center_mm[axis]))
                })
                .collect();
            offset(other, &steps)
        })
        .collect();
    found.sort_by(|(one, _), (other, _)| one.total_cmp(other));
    found.into_iter().map(|(_, offset)| offset).collect()
}

/// The main direction of several steps and their median length, where most of them agree.
fn offset(from: usize, steps: &[[f64; 3]]) -> Option<(f64, RelativePosition)> {
    let along = |axis: usize| median(steps.iter().map(|step| step[axis]).collect());
    if steps.is_empty() {
        return None;
    }
    let middle = [along(0), along(1), along(2)];
    let axis = (0..3).max_by(|one, other| middle[*one].abs().total_cmp(&middle[*other].abs()))?;
    let agree = steps.iter().filter(|step| step[axis] * middle[axis] > 0.0).count();
    let distance = middle.iter().map(|mm| mm * mm).sum::<f64>().sqrt();
    (agree as f64 >= AGREEMENT * steps.len() as f64 && middle[axis] != 0.0)
        .then_some((distance, RelativePosition { reference: from, axis, offset_mm: middle[axis] }))
}

/// The value in the middle, or the mean of the two there.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let half = values.len() / 2;
    if values.len() % 2 == 1 { values[half] } else { f64::midpoint(values[half - 1], values[half]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_lies_between_the_middle_two() {
        assert_eq!(median(vec![9.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![9.0, 1.0, 2.0, 3.0]), 2.5);
    }

    #[test]
    fn a_direction_needs_three_cases_of_four() {
        let [left, right] = [[-5.0, 1.0, 0.0], [5.0, 1.0, 0.0]];
        let (distance, found) = offset(7, &[right, right, left, right]).unwrap();
        assert_eq!(found, RelativePosition { reference: 7, axis: 0, offset_mm: 5.0 });
        assert!((distance - 26.0_f64.sqrt()).abs() < 1e-12);
        assert_eq!(offset(7, &[right, right, right, left, left]), None);
    }
}
