//! ClassMeasures the classes of one case: where they are, how large, of what form, how bright.

use bipvl_imaging::{BoundingBox, Connectivity, Volume, connected_components, crop_or_pad, into_ras};
use nalgebra::{Matrix3, SymmetricEigen, Vector3};
use ndarray::Array3;

use crate::{Error, Result};
use bipvl_data::{Case, Dataset, Modality, read_channels, read_reference};

/// In CT the body is all that is denser: between fat (-100) and the air around and inside (-1000, lung -850).
const BODY_ABOVE_HU: f64 = -400.0;
/// In MR it is all that is brighter than this share of the mean of the voxels that are not zero.
const BODY_ABOVE_SHARE: f64 = 0.5;
/// The ends of the body leave out this share of its voxels: a table, an arm, a stray spot.
const TAIL: f64 = 0.01;
const CUBIC_MM_PER_ML: f64 = 1000.0;

/// The measures of one class in one case.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ClassMeasures {
    pub(super) volume_ml: f64,
    /// Longest first: the edges of the box that has the same second moments, along its principal axes.
    pub(super) axis_lengths_mm: [f64; 3],
    /// The same along the axes of the body: x, y, z.
    pub(super) extents_mm: [f64; 3],
    /// Its center in the world.
    pub(super) center_mm: [f64; 3],
    /// Where its center is between the left and the right end of the body, the rear and the front, the lower and
    /// the upper, from 0 to 1.
    pub(super) body_position: [f64; 3],
    /// Mean intensity, channel by channel.
    pub(super) mean: Vec<f64>,
    /// By how many standard deviations of the body the mean is above that of the body, channel by channel.
    pub(super) z_score: Vec<f64>,
    /// Standard deviation of the intensities of the first channel.
    pub(super) std: f64,
    /// The same as a share of that of the whole body.
    pub(super) relative_std: f64,
    /// By how much its mean is above that of the voxels that touch it, in the first channel.
    pub(super) contrast: f64,
    /// The area of its outer faces over that of a ball of its volume: 1 for a ball, more for what is long, flat,
    /// branched or in pieces.
    pub(super) inverse_sphericity: f64,
    /// The share of its voxels in its largest connected part.
    pub(super) largest_component_fraction: f64,
}

/// ClassMeasures every class of a case; nothing where the case does not hold it.
///
/// # Errors
///
/// When a file cannot be read, the case has no labels, or its files have different grids.
pub(super) fn measure_case(dataset: &Dataset, case: &Case) -> Result<Vec<Option<ClassMeasures>>> {
    let channels = read_channels(&case.images)?;
    let Some(path) = &case.labels else {
        return Err(Error::content(&case.images[0], "labels to measure", "none"));
    };
    let labels = read_reference(path, dataset.label_schema.remap())?;
    if !labels.grid().approx_eq(channels[0].grid()) {
        let expected = format!("the grid of {}", case.images[0].display());
        return Err(Error::content(path, expected, "another one"));
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

/// ClassMeasures what a mask shows of the channels. All were cut out of the volume at the voxel `start`.
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

/// What the voxels of a class say without their intensities.
struct MaskGeometry {
    volume_mm3: f64,
    /// Index of the voxel, with fractions.
    center: Vector3<f64>,
    /// Of world positions, in mm²; each voxel counts as the box that it is, not as a point.
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

    /// The faces of voxels overstate a curved surface: those of a ball have half as much again as the ball.
    fn inverse_sphericity(&self) -> f64 {
        let radius = (self.volume_mm3 * 3.0 / (4.0 * std::f64::consts::PI)).cbrt();
        self.faces_mm2 / (1.5 * 4.0 * std::f64::consts::PI * radius.powi(2))
    }
}

/// The edge of a box whose points have this variance along it.
fn box_edge(variance: f64) -> f64 {
    (12.0 * variance.max(0.0)).sqrt()
}

/// The part of a scan that is not air.
struct Body {
    /// Voxel indices.
    low: [f64; 3],
    high: [f64; 3],
    /// Mean and standard deviation, channel by channel.
    moments: Vec<[f64; 2]>,
}

impl Body {
    fn new(channels: &[Volume<f32>], modality: Modality) -> Self {
        let first = &channels[0];
        let threshold = match modality {
            Modality::Ct => BODY_ABOVE_HU,
            Modality::Mr => BODY_ABOVE_SHARE * mean_of_nonzero(first.voxels()),
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

/// The indices along an axis between which a mask lies, but for its tails.
fn ends(mask: &Array3<bool>, axis: usize) -> [f64; 2] {
    let mut counts = vec![0_usize; mask.shape()[axis]];
    for ((x, y, z), _) in mask.indexed_iter().filter(|(_, is_inside)| **is_inside) {
        counts[[x, y, z][axis]] += 1;
    }
    let tail = TAIL * counts.iter().sum::<usize>() as f64;
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

/// Mean and population standard deviation of the intensities inside a mask.
fn moments(channel: &Volume<f32>, mask: &Volume<bool>) -> [f64; 2] {
    let values = || inside(mask).map(|voxel| f64::from(channel.voxels()[voxel]));
    let count = values().count().max(1) as f64;
    let mean = values().sum::<f64>() / count;
    let variance = values().map(|intensity| (intensity - mean).powi(2)).sum::<f64>() / count;
    [mean, variance.sqrt()]
}

/// The mean intensity across the outer faces of a mask; none where it fills the volume.
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

/// The six voxels that share a face with one, each with the axis across that face; none beyond the volume.
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
