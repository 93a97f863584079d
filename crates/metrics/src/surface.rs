//! Distances between the surfaces of two masks, computed once for all surface metrics.

use rayon::prelude::*;

use crate::class_index::ClassIndex;
use crate::distance_transform::Voxel;
use crate::edge_voxels::edge_voxels;
use crate::labels::{Labels, Spacing};
use crate::nearest::nearest_distances;
use crate::planes::visit_planes;
use crate::surfels::{SurfelAreas, surfels};

/// Relative slack of the tolerance, for the float32 rounding of affines in files.
const TOLERANCE_SLACK: f64 = 1e-6;

/// How a surface is discretized.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Discretization {
    /// Voxels with a face neighbor outside the mask, all of weight 1 (MONAI).
    EdgeVoxels,
    /// Corners between voxels inside and outside the mask, weighted by the area of the surface in mm² (DeepMind).
    Surfels,
}

/// The surface of one mask; elements are in row-major order.
#[derive(Clone, Default)]
pub(crate) struct Surface {
    /// Index of each element, `[x, y, z]`.
    pub(crate) indices: Vec<Voxel>,
    /// Area of each element in mm², or 1 for a voxel.
    pub(crate) weights: Vec<f64>,
}

/// A surface element of one of several classes.
pub(crate) struct SurfaceElement {
    /// Index of the class.
    pub(crate) class_index: u16,
    /// Index of the voxel or corner, `[x, y, z]`.
    pub(crate) index: Voxel,
    /// Area in mm², or 1 for a voxel.
    pub(crate) weight: f64,
}

/// Distances from each surface element of one mask to the nearest of the other, infinite if that has none.
#[derive(Clone, Debug, Default)]
pub struct DirectedDistances {
    /// Distances in mm.
    pub distances_mm: Vec<f64>,
    /// Weight of the element that each distance starts from: its area in mm², or 1 for a voxel.
    pub weights: Vec<f64>,
}

/// The distances of one class in both directions; the list of an empty mask is empty.
#[derive(Clone, Debug, Default)]
pub struct SurfaceDistances {
    /// From the prediction's surface to the reference's.
    pub from_prediction: DirectedDistances,
    /// From the reference's surface to the prediction's.
    pub from_reference: DirectedDistances,
}

/// The distances between the surfaces of prediction and reference for each of `labels`, in mm.
pub fn surface_distances(
    discretization: Discretization,
    prediction: &dyn Labels,
    reference: &dyn Labels,
    labels: &[u16],
    spacing: Spacing,
) -> Vec<SurfaceDistances> {
    let predicted = surfaces(discretization, prediction, labels, spacing);
    let expected = surfaces(discretization, reference, labels, spacing);
    let spacing = spacing.per_axis();
    predicted
        .into_par_iter()
        .zip(expected)
        .map(|(prediction, reference)| {
            let forward = nearest_distances(&prediction.indices, &reference.indices, spacing);
            let backward = nearest_distances(&reference.indices, &prediction.indices, spacing);
            SurfaceDistances {
                from_prediction: DirectedDistances { distances_mm: forward, weights: prediction.weights },
                from_reference: DirectedDistances { distances_mm: backward, weights: reference.weights },
            }
        })
        .collect()
}

/// The surface of each of `labels`; outside the grid is background.
pub(crate) fn surfaces(
    discretization: Discretization,
    label_map: &dyn Labels,
    labels: &[u16],
    spacing: Spacing,
) -> Vec<Surface> {
    let classes = ClassIndex::new(labels);
    let elements: Vec<Vec<SurfaceElement>> = match discretization {
        Discretization::EdgeVoxels => {
            visit_planes(label_map, spacing, false, |planes| edge_voxels(planes, &classes))
        }
        Discretization::Surfels => {
            let areas = SurfelAreas::new(spacing.per_axis());
            visit_planes(label_map, spacing, true, |planes| surfels(planes, &classes, &areas))
        }
    };
    let mut surfaces = vec![Surface::default(); labels.len()];
    for SurfaceElement { class_index, index, weight } in elements.into_iter().flatten() {
        let surface = &mut surfaces[usize::from(class_index)];
        surface.indices.push(index);
        surface.weights.push(weight);
    }
    surfaces
}

impl SurfaceDistances {
    /// The larger of the two directed percentiles, linearly interpolated, weights ignored.
    pub(crate) fn max_directed_percentile(&self, percent: f64) -> f64 {
        self.directions()
            .map(|list| percentile(list.distances_mm.clone(), percent))
            .into_iter()
            .fold(0.0, f64::max)
    }

    /// The larger of the two directed weighted percentiles: the smallest distance within which at least `percent` of the
    /// surface area lies.
    pub(crate) fn max_directed_weighted_percentile(&self, percent: f64) -> f64 {
        self.directions().map(|list| list.weighted_percentile(percent)).into_iter().fold(0.0, f64::max)
    }

    /// The percentile of the pooled distances, linearly interpolated.
    pub(crate) fn pooled_percentile(&self, percent: f64) -> f64 {
        let pooled = self.directions().map(|list| list.distances_mm.as_slice()).concat();
        percentile(pooled, percent)
    }

    /// The weighted mean of the pooled distances.
    pub(crate) fn pooled_mean(&self) -> f64 {
        let [a, b] = self.directions();
        (a.weighted_sum() + b.weighted_sum()) / (a.total_weight() + b.total_weight())
    }

    /// The mean of the two directed weighted means.
    pub(crate) fn mean_of_directed_means(&self) -> f64 {
        self.directions().map(DirectedDistances::mean).iter().sum::<f64>() / 2.0
    }

    /// The fraction of both surfaces within `tolerance_mm` of the other, 0 to 1.
    pub(crate) fn fraction_within(&self, tolerance_mm: f64) -> f64 {
        let [a, b] = self.directions();
        (a.weight_within(tolerance_mm) + b.weight_within(tolerance_mm))
            / (a.total_weight() + b.total_weight())
    }

    fn directions(&self) -> [&DirectedDistances; 2] {
        [&self.from_prediction, &self.from_reference]
    }
}

impl DirectedDistances {
    /// The weighted mean.
    pub(crate) fn mean(&self) -> f64 {
        self.weighted_sum() / self.total_weight()
    }

    /// The area of the surface in mm², or its number of edge voxels.
    pub(crate) fn total_weight(&self) -> f64 {
        self.weights.iter().sum()
    }

    fn weighted_sum(&self) -> f64 {
        self.distances_mm.iter().zip(&self.weights).map(|(distance, weight)| distance * weight).sum()
    }

    fn weight_within(&self, tolerance_mm: f64) -> f64 {
        let limit = tolerance_mm * (1.0 + TOLERANCE_SLACK);
        let within = self.distances_mm.iter().zip(&self.weights).filter(|(distance, _)| **distance <= limit);
        // Not `sum`, which is −0 for an empty iterator.
        within.fold(0.0, |sum, (_, weight)| sum + weight)
    }

    fn weighted_percentile(&self, percent: f64) -> f64 {
        let mut sorted: Vec<(f64, f64)> =
            self.distances_mm.iter().copied().zip(self.weights.iter().copied()).collect();
        sorted.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
        let threshold = self.total_weight() * percent / 100.0;
        let mut cumulative = 0.0;
        let reached = sorted.iter().find(|(_, weight)| {
            cumulative += weight;
            cumulative >= threshold
        });
        reached.or(sorted.last()).map_or(0.0, |(distance, _)| *distance)
    }
}

/// Linearly interpolated percentile as `numpy.percentile`: rank (n − 1) · percent / 100; 0 of an empty list.
fn percentile(mut values: Vec<f64>, percent: f64) -> f64 {
    if values.is_empty() {
        return 0.0;
    }
    let rank = (values.len() - 1) as f64 * percent / 100.0;
    let (_, lower, above) = values.select_nth_unstable_by(rank as usize, f64::total_cmp);
    let upper = above.iter().copied().min_by(f64::total_cmp).unwrap_or(*lower);
    *lower + (upper - *lower) * rank.fract()
}
