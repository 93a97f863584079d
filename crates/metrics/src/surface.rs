//! The surfaces of two masks and the distances between them, measured once for all scores.

use bipvl_imaging::LabelMap;
use rayon::prelude::*;

use crate::classes::ClassIndices;
use crate::corners::{Areas, surface_corners};
use crate::edges::edge_voxels;
use crate::nearest::nearest_distances;
use crate::rows::Rows;

/// A distance that is the tolerance but for the float32 rounding of a file's affine is within it.
const ROUNDING: f64 = 1e-6;

/// What a surface is made of.
#[derive(Clone, Copy)]
pub(crate) enum Elements {
    /// Voxels with a face neighbor outside the mask, all of weight 1.
    EdgeVoxels,
    /// Corners where voxels inside and outside the mask meet, weighted by the area in mm² of the surface
    /// that runs between them.
    Corners,
}

/// The surface of one mask; elements are in the order of storage.
#[derive(Clone, Default)]
pub(crate) struct Surface {
    /// Index of each element, `[x, y, z]`.
    pub(crate) elements: Vec<[usize; 3]>,
    /// Area of each element in mm², or 1 for a voxel.
    pub(crate) areas: Vec<f64>,
}

/// A surface element of one of several classes.
pub(crate) struct Surfel {
    /// The place of the class in the list of labels.
    pub(crate) class_index: usize,
    /// Its index, `[x, y, z]`.
    pub(crate) element: [usize; 3],
    /// Its area in mm², or 1 for a voxel.
    pub(crate) area: f64,
}

/// From each surface element of one mask to the nearest of the other.
#[derive(Clone, Default)]
pub(crate) struct DirectedDistances {
    /// Distances in mm.
    pub(crate) distances_mm: Vec<f64>,
    /// The area of the element that each distance starts from.
    pub(crate) areas: Vec<f64>,
}

/// The distances of one class both ways; both lists are empty when either mask is.
#[derive(Clone, Default)]
pub(crate) struct SurfaceDistances {
    /// From the prediction's surface to the reference's.
    pub(crate) from_prediction: DirectedDistances,
    /// From the reference's surface to the prediction's.
    pub(crate) from_reference: DirectedDistances,
}

/// The distances between prediction and reference of each of `labels`, in their order; spacing is the
/// reference's.
pub(crate) fn surface_distances(
    elements: Elements,
    prediction: &LabelMap,
    reference: &LabelMap,
    labels: &[u16],
) -> Vec<SurfaceDistances> {
    let spacing = reference.grid().spacing();
    let predicted = surfaces(elements, prediction, labels, spacing);
    let expected = surfaces(elements, reference, labels, spacing);
    predicted
        .into_par_iter()
        .zip(expected)
        .map(|(prediction, reference)| {
            if prediction.elements.is_empty() || reference.elements.is_empty() {
                return SurfaceDistances::default();
            }
            let there = nearest_distances(&prediction.elements, &reference.elements, spacing);
            let back = nearest_distances(&reference.elements, &prediction.elements, spacing);
            SurfaceDistances {
                from_prediction: DirectedDistances { distances_mm: there, areas: prediction.areas },
                from_reference: DirectedDistances { distances_mm: back, areas: reference.areas },
            }
        })
        .collect()
}

/// The surface of each of `labels`, in their order; beyond the grid there is background.
pub(crate) fn surfaces(
    elements: Elements,
    label_map: &LabelMap,
    labels: &[u16],
    spacing: [f64; 3],
) -> Vec<Surface> {
    let (rows, classes) = (Rows::new(label_map), ClassIndices::new(labels));
    let planes = rows.shape()[0];
    let found: Vec<Vec<Surfel>> = match elements {
        Elements::EdgeVoxels => {
            (0..planes).into_par_iter().map(|x| edge_voxels(x, &rows, &classes)).collect()
        }
        Elements::Corners => {
            let areas = Areas::new(spacing);
            let planes = (0..=planes).into_par_iter();
            planes.map(|x| surface_corners(x, &rows, &classes, &areas)).collect()
        }
    };
    let mut surfaces = vec![Surface::default(); labels.len()];
    for Surfel { class_index, element, area } in found.into_iter().flatten() {
        surfaces[class_index].elements.push(element);
        surfaces[class_index].areas.push(area);
    }
    surfaces
}

impl SurfaceDistances {
    /// The larger of the two directed percentiles, interpolated linearly.
    pub(crate) fn max_directed_percentile(&self, percent: f64) -> f64 {
        self.directions()
            .map(|list| percentile(list.distances_mm.clone(), percent))
            .into_iter()
            .fold(0.0, f64::max)
    }

    /// The larger of the two directed percentiles of area: the first distance up to which at least `percent`
    /// of the surface lies.
    pub(crate) fn larger_percentile_by_area(&self, percent: f64) -> f64 {
        self.directions().map(|list| list.percentile_by_area(percent)).into_iter().fold(0.0, f64::max)
    }

    /// The percentile of both directions joined, interpolated linearly.
    pub(crate) fn pooled_percentile(&self, percent: f64) -> f64 {
        let joined = self.directions().map(|list| list.distances_mm.as_slice()).concat();
        percentile(joined, percent)
    }

    /// The mean of both directions joined, weighted by area.
    pub(crate) fn pooled_mean(&self) -> f64 {
        let [there, back] = self.directions();
        (there.weighted_sum() + back.weighted_sum()) / (there.area() + back.area())
    }

    /// The mean of the two directed means, weighted by area.
    pub(crate) fn mean_of_means(&self) -> f64 {
        self.directions().map(DirectedDistances::mean).iter().sum::<f64>() / 2.0
    }

    /// The share of both surfaces within `tolerance_mm` of the other, 0 to 1.
    pub(crate) fn fraction_within(&self, tolerance_mm: f64) -> f64 {
        let [there, back] = self.directions();
        (there.area_within(tolerance_mm) + back.area_within(tolerance_mm)) / (there.area() + back.area())
    }

    fn directions(&self) -> [&DirectedDistances; 2] {
        [&self.from_prediction, &self.from_reference]
    }
}

impl DirectedDistances {
    /// The mean, weighted by area.
    pub(crate) fn mean(&self) -> f64 {
        self.weighted_sum() / self.area()
    }

    /// The area of the whole surface.
    pub(crate) fn area(&self) -> f64 {
        self.areas.iter().sum()
    }

    fn weighted_sum(&self) -> f64 {
        self.distances_mm.iter().zip(&self.areas).map(|(distance, area)| distance * area).sum()
    }

    fn area_within(&self, tolerance_mm: f64) -> f64 {
        let limit = tolerance_mm * (1.0 + ROUNDING);
        let within = self.distances_mm.iter().zip(&self.areas).filter(|(distance, _)| **distance <= limit);
        // From a positive zero: the sum of nothing would be a negative one, and be printed as such.
        within.fold(0.0, |sum, (_, area)| sum + area)
    }

    fn percentile_by_area(&self, percent: f64) -> f64 {
        let mut sorted: Vec<(f64, f64)> =
            self.distances_mm.iter().copied().zip(self.areas.iter().copied()).collect();
        sorted.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
        let enough = self.area() * percent / 100.0;
        let mut area = 0.0;
        let reached = sorted.iter().find(|element| {
            area += element.1;
            area >= enough
        });
        reached.or(sorted.last()).map_or(0.0, |element| element.0)
    }
}

/// The value at rank (n − 1) · percent / 100 of n sorted values, linear between two; 0 of none.
fn percentile(mut values: Vec<f64>, percent: f64) -> f64 {
    if values.is_empty() {
        return 0.0;
    }
    let rank = (values.len() - 1) as f64 * percent / 100.0;
    let (_, lower, above) = values.select_nth_unstable_by(rank as usize, f64::total_cmp);
    let upper = above.iter().copied().min_by(f64::total_cmp).unwrap_or(*lower);
    *lower + (upper - *lower) * rank.fract()
}
