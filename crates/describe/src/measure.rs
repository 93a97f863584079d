//! Measures the classes of one case: position, size, shape, intensity.

use bipvl_imaging::{BoundingBox, Connectivity, Volume, connected_components, crop_or_pad, into_ras};
use nalgebra::{Matrix3, SymmetricEigen, Vector3};
use ndarray::Array3;

use crate::{Error, Result};
use bipvl_data::{Case, Dataset, Modality, read_channels, read_reference};

/// Body threshold in CT: between fat (-100 HU) and lung (-850 HU) or air (-1000 HU).
const BODY_ABOVE_HU: f64 = -400.0;
/// Body threshold in MR, as a fraction of the mean of the nonzero voxels.
const BODY_ABOVE_FRACTION: f64 = 0.5;
/// Fraction of the body voxels beyond each of its ends, against tables, arms and stray spots.
const TAIL_FRACTION: f64 = 0.01;
const CUBIC_MM_PER_ML: f64 = 1000.0;

/// The measures of one class in one case; units and terms as in `ClassStatistics`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ClassMeasures {
    pub(super) volume_ml: f64,
    pub(super) axis_lengths_mm: [f64; 3],
    pub(super) extents_mm: [f64; 3],
    /// World coordinates of the center.
    pub(super) center_mm: [f64; 3],
    pub(super) body_position: [f64; 3],
    pub(super) mean: Vec<f64>,
    pub(super) z_score: Vec<f64>,
    pub(super) std: f64,
    pub(super) relative_std: f64,
    pub(super) contrast: f64,
    pub(super) inverse_sphericity: f64,
    pub(super) largest_component_fraction: f64,
}

/// Measures every class of a case; `None` for classes that it does not contain.
///
/// # Errors
///
/// If a file cannot be read, the case has no labels, or image and labels have different grids.
pub(super) fn measure_case(dataset: &Dataset, case: &Case) -> Result<Vec<Option<ClassMeasures>>> {
    let channels = read_channels(&case.images)?;
    let Some(path) = &case.labels else {
        return Err(Error::NoLabels { path: case.images[0].clone() });
    };
    let labels = read_reference(path, dataset.label_schema.remap(), channels[0].grid())?;
    if !labels.grid().approx_eq(channels[0].grid()) {
        return Err(Error::GridMismatch { labels: path.clone(), image: case.images[0].clone() });
    }
    let channels: Vec<Volume<f32>> = channels.into_iter().map(into_ras).collect();
    let labels = into_ras(labels);
    let body = Body::new(&channels, dataset.modality);
    let boxes = BoundingBox::of_labels(&labels);
    let measured = labels_of_classes(dataset).into_iter().map(|own| {
        let own_boxes = own.iter().filter_map(|label| boxes.get(label));
        let bounds = own_boxes.copied().reduce(BoundingBox::union)?.dilated(1, labels.grid().shape());
        let mask = crop_or_pad(&labels, &bounds, 0).map(|label| own.contains(label));
        let channels: Vec<Volume<f32>> =
            channels.iter().map(|channel| crop_or_pad(channel, &bounds, 0.0)).collect();
        Some(measure_class(&channels, &mask, bounds.start, &body))
    });
    Ok(measured.collect())
}

/// The labels that belong to each class.
fn labels_of_classes(dataset: &Dataset) -> Vec<Vec<u16>> {
    dataset.label_schema.label_sets().into_iter().map(<[u16]>::to_vec).collect()
}

/// Measures a mask and the channels below it, all cropped from the volume at voxel `start`.
fn measure_class(
    channels: &[Volume<f32>],
    mask: &Volume<bool>,
    start: [isize; 3],
    body: &Body,
) -> ClassMeasures {
    let grid = mask.grid();
    let shape = MaskGeometry::new(mask);
    let moments: Vec<[f64; 2]> = channels.iter().map(|channel| moments(channel, mask)).collect();
    let [mean, std] = moments[0];
    let z_score =
        moments.iter().zip(&body.moments).map(|([mean, _], [body, deviation])| (mean - body) / deviation);
    let parts = connected_components(mask, Connectivity::Full).voxel_counts;
    ClassMeasures {
        volume_ml: shape.volume_mm3 / CUBIC_MM_PER_ML,
        axis_lengths_mm: shape.axis_lengths_mm(),
        extents_mm: std::array::from_fn(|axis| box_edge(shape.covariance[(axis, axis)])),
        center_mm: grid.voxel_to_world(shape.center.into()),
        body_position: body
            .relative_position(std::array::from_fn(|axis| shape.center[axis] + start[axis] as f64)),
        z_score: z_score.collect(),
        std,
        relative_std: std / body.moments[0][1],
        contrast: neighbors(&channels[0], mask).map_or(0.0, |around| mean - around),
        mean: moments.iter().map(|[mean, _]| *mean).collect(),
        inverse_sphericity: shape.inverse_sphericity(),
        largest_component_fraction: *parts.iter().max().unwrap_or(&0) as f64
            / parts.iter().sum::<usize>().max(1) as f64,
    }
}

/// Geometry of a mask, without intensities.
struct MaskGeometry {
    volume_mm3: f64,
    /// Centroid in voxel coordinates.
    center: Vector3<f64>,
    /// Covariance of world positions in mm², with each voxel as a cuboid.
    covariance: Matrix3<f64>,
    faces_mm2: f64,
}

impl MaskGeometry {
    fn new(mask: &Volume<bool>) -> Self {
        let voxels = mask.voxels();
        let axes: Matrix3<f64> = mask.grid().affine().fixed_view::<3, 3>(0, 0).into_owned();
        let face_mm2: [f64; 3] = std::array::from_fn(|axis| {
            axes.column((axis + 1) % 3).cross(&axes.column((axis + 2) % 3)).norm()
        });
        let (mut count, mut sum, mut squares, mut faces_mm2) = (0.0, Vector3::zeros(), Matrix3::zeros(), 0.0);
        for voxel in inside(mask) {
            let position = Vector3::from(voxel.map(|index| index as f64));
            count += 1.0;
            sum += position;
            squares += position * position.transpose();
            for (axis, neighbor) in around(voxel, mask.grid().shape()) {
                faces_mm2 += if neighbor.is_some_and(|index| voxels[index]) { 0.0 } else { face_mm2[axis] };
            }
        }
        let center = sum / count;
        let covariance = squares / count - center * center.transpose() + Matrix3::identity() / 12.0;
        Self {
            volume_mm3: count * axes.determinant().abs(),
            center,
            covariance: axes * covariance * axes.transpose(),
            faces_mm2,
        }
    }

    fn axis_lengths_mm(&self) -> [f64; 3] {
        let mut lengths: [f64; 3] = SymmetricEigen::new(self.covariance).eigenvalues.map(box_edge).into();
        lengths.sort_by(|one, other| other.total_cmp(one));
        lengths
    }

    /// Surface area over that of a ball of equal volume. Voxel faces overestimate a ball's surface by half, hence 1.5.
    fn inverse_sphericity(&self) -> f64 {
        let radius = (self.volume_mm3 * 3.0 / (4.0 * std::f64::consts::PI)).cbrt();
        self.faces_mm2 / (1.5 * 4.0 * std::f64::consts::PI * radius.powi(2))
    }
}

/// The edge length of a cuboid with this variance along the edge.
fn box_edge(variance: f64) -> f64 {
    (12.0 * variance.max(0.0)).sqrt()
}

/// The non-air region of a scan.
struct Body {
    /// Bounds in voxel indices.
    low: [f64; 3],
    high: [f64; 3],
    /// Mean and standard deviation per channel.
    moments: Vec<[f64; 2]>,
}

impl Body {
    fn new(channels: &[Volume<f32>], modality: Modality) -> Self {
        let first = &channels[0];
        let threshold = match modality {
            Modality::Ct => BODY_ABOVE_HU,
            Modality::Mr => BODY_ABOVE_FRACTION * mean_of_nonzero(first.voxels()),
        };
        let mask = first.map(|intensity| f64::from(*intensity) > threshold);
        let is_empty = !mask.voxels().iter().any(|is_inside| *is_inside);
        let mask = if is_empty { mask.map(|_| true) } else { mask };
        let ends: [[f64; 2]; 3] = std::array::from_fn(|axis| ends(mask.voxels(), axis));
        let moments = channels.iter().map(|channel| {
            let [mean, deviation] = moments(channel, &mask);
            [mean, if deviation > 0.0 { deviation } else { 1.0 }]
        });
        Self { low: ends.map(|[low, _]| low), high: ends.map(|[_, high]| high), moments: moments.collect() }
    }

    fn relative_position(&self, voxel: [f64; 3]) -> [f64; 3] {
        std::array::from_fn(|axis| {
            let length = self.high[axis] - self.low[axis];
            if length > 0.0 { ((voxel[axis] - self.low[axis]) / length).clamp(0.0, 1.0) } else { 0.5 }
        })
    }
}

fn mean_of_nonzero(voxels: &Array3<f32>) -> f64 {
    let (sum, count) = voxels
        .iter()
        .filter(|intensity| **intensity != 0.0)
        .fold((0.0, 0.0), |(sum, count), intensity| (sum + f64::from(*intensity), count + 1.0));
    sum / f64::max(count, 1.0)
}

/// The bounds of a mask along an axis, without its tails.
fn ends(mask: &Array3<bool>, axis: usize) -> [f64; 2] {
    let mut counts = vec![0_usize; mask.shape()[axis]];
    for ((x, y, z), _) in mask.indexed_iter().filter(|(_, is_inside)| **is_inside) {
        counts[[x, y, z][axis]] += 1;
    }
    let tail = TAIL_FRACTION * counts.iter().sum::<usize>() as f64;
    let beyond = |counts: &mut dyn Iterator<Item = usize>| {
        let mut total = 0;
        counts
            .take_while(|count| {
                total += count;
                total as f64 <= tail
            })
            .count()
    };
    let low = beyond(&mut counts.iter().copied());
    let high = counts.len() - 1 - beyond(&mut counts.iter().rev().copied());
    [low as f64, high as f64]
}

/// Mean and population standard deviation of the intensities in a mask.
fn moments(channel: &Volume<f32>, mask: &Volume<bool>) -> [f64; 2] {
    let values = || inside(mask).map(|voxel| f64::from(channel.voxels()[voxel]));
    let count = values().count().max(1) as f64;
    let mean = values().sum::<f64>() / count;
    let variance = values().map(|intensity| (intensity - mean).powi(2)).sum::<f64>() / count;
    [mean, variance.sqrt()]
}

/// Mean intensity across the outer faces of a mask; `None` if it fills the volume.
fn neighbors(channel: &Volume<f32>, mask: &Volume<bool>) -> Option<f64> {
    let voxels = mask.voxels();
    let (mut sum, mut count) = (0.0, 0.0);
    for voxel in inside(mask) {
        let outside = around(voxel, mask.grid().shape()).filter_map(|(_, neighbor)| neighbor);
        for neighbor in outside.filter(|neighbor| !voxels[*neighbor]) {
            sum += f64::from(channel.voxels()[neighbor]);
            count += 1.0;
        }
    }
    (count > 0.0).then(|| sum / count)
}

/// The voxels of a mask.
fn inside(mask: &Volume<bool>) -> impl Iterator<Item = [usize; 3]> {
    mask.voxels().indexed_iter().filter(|(_, is_inside)| **is_inside).map(|((x, y, z), _)| [x, y, z])
}

/// The six face neighbors of a voxel with the axis across the face; `None` beyond the volume.
fn around(voxel: [usize; 3], shape: [usize; 3]) -> impl Iterator<Item = (usize, Option<[usize; 3]>)> {
    (0..6).map(move |face| {
        let (axis, step) = (face / 2, if face % 2 == 0 { -1 } else { 1 });
        let index = voxel[axis].checked_add_signed(step).filter(|index| *index < shape[axis]);
        let neighbor = index.map(|index| {
            let mut neighbor = voxel;
            neighbor[axis] = index;
            neighbor
        });
        (axis, neighbor)
    })
}
