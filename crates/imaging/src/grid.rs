//! Shape and affine of a volume: the position of every voxel in the world.

use nalgebra::{Matrix4, Vector4};

use crate::Orientation;

/// Voxel index → world millimeters in RAS+, homogeneous.
pub type Affine = Matrix4<f64>;

/// Grids are equal when no corner moves by more than this fraction of a voxel; scanners and converters round
/// affines to float32.
const TOLERANCE_VOXELS: f64 = 1e-2;

/// Most voxels of a volume that this crate reads or creates: 8 GiB in float32.
pub const MAX_VOXELS: usize = 1 << 31;

/// Shape and affine of a volume.
#[derive(Clone, Debug, PartialEq)]
pub struct Grid {
    shape: [usize; 3],
    affine: Affine,
}

impl Grid {
    /// A grid of `shape` voxels placed by `affine`.
    pub fn new(shape: [usize; 3], affine: Affine) -> Self {
        Self { shape, affine }
    }

    /// An axis-aligned RAS grid with its first voxel at the world origin.
    pub fn with_spacing(shape: [usize; 3], spacing: [f64; 3]) -> Self {
        let [x, y, z] = spacing;
        Self::new(shape, Matrix4::from_diagonal(&Vector4::new(x, y, z, 1.0)))
    }

    /// Voxels per axis.
    pub fn shape(&self) -> [usize; 3] {
        self.shape
    }

    /// Voxel index → world mm.
    pub fn affine(&self) -> &Affine {
        &self.affine
    }

    /// Millimeters per voxel, per axis.
    pub fn spacing(&self) -> [f64; 3] {
        std::array::from_fn(|axis| self.affine.column(axis).xyz().norm())
    }

    /// World position in mm of a (fractional) voxel index.
    pub fn voxel_to_world(&self, voxel: [f64; 3]) -> [f64; 3] {
        let [x, y, z] = voxel;
        let world = self.affine * Vector4::new(x, y, z, 1.0);
        [world.x, world.y, world.z]
    }

    /// Voxel index of this grid → (fractional) voxel index of `other`, homogeneous.
    ///
    /// # Panics
    ///
    /// When the affine of `other` cannot be inverted.
    pub fn voxel_to_voxel(&self, other: &Self) -> Affine {
        other.affine.try_inverse().expect("the affine of a grid can be inverted") * self.affine
    }

    /// The grid of the same field of view with `spacing` in mm, as MONAI's `Spacing` computes it.
    ///
    /// Axis directions (made orthogonal if sheared) and the position of the first voxel are kept. Each axis
    /// gets `round(extent / spacing + 1)` voxels, where `extent` is the distance in mm between the centers of
    /// its first and last voxel; ties round to even. For sheared grids the extents are those of the bounding box of
    /// the eight corner voxels, and the first voxel is at its lowest corner.
    ///
    /// Untrusted spacings: [`Grid::checked_resampled_to`].
    ///
    /// # Panics
    ///
    /// When a spacing is not positive or the affine cannot be inverted.
    #[must_use]
    pub fn resampled_to(&self, spacing: [f64; 3]) -> Self {
        assert!(spacing.iter().all(|&mm| mm > 0.0), "expected positive spacings, found {spacing:?}");
        let (directions, upper) = self.affine.fixed_view::<3, 3>(0, 0).into_owned().qr().unpack();
        let mut affine = self.affine;
        for (axis, mm) in spacing.into_iter().enumerate() {
            // QR may flip axes; the sign on the diagonal of R says which.
            let direction = directions.column(axis) * upper[(axis, axis)].signum();
            affine.fixed_view_mut::<3, 1>(0, axis).copy_from(&(direction * mm));
        }

        let to_new = self.voxel_to_voxel(&Self::new(self.shape, affine));
        let mut shape = [0; 3];
        let mut lowest = Vector4::new(0.0, 0.0, 0.0, 1.0);
        for axis in 0..3 {
            let offsets = (0..3).map(|old| to_new[(axis, old)] * self.shape[old].saturating_sub(1) as f64);
            let (below, above) = offsets.fold((0.0, 0.0), |(below, above), offset| {
                (below + offset.min(0.0), above + offset.max(0.0))
            });
            shape[axis] = (above - below + 1.0).round_ties_even() as usize;
            lowest[axis] = below;
        }
        let origin = affine * lowest;
        affine.set_column(3, &origin);
        Self::new(shape, affine)
    }

    /// [`Grid::resampled_to`] for a spacing or a grid that comes from a file.
    ///
    /// # Errors
    ///
    /// When a spacing is not positive, or the new grid has more than [`MAX_VOXELS`] voxels.
    pub fn checked_resampled_to(&self, spacing: [f64; 3]) -> Result<Self, InvalidResampling> {
        let error = |shape| InvalidResampling { from: self.spacing(), to: spacing, shape };
        // No axis of the new grid is longer than all axes of this one together.
        let extent: f64 = self.spacing().iter().zip(self.shape).map(|(mm, length)| mm * length as f64).sum();
        let is_valid = |&mm: &f64| mm.is_finite() && mm > 0.0 && extent / mm < MAX_VOXELS as f64;
        if !spacing.iter().all(is_valid) {
            return Err(error(spacing.map(|mm| (extent / mm) as usize)));
        }
        let grid = self.resampled_to(spacing);
        if grid.num_voxels().is_none_or(|count| count > MAX_VOXELS) {
            return Err(error(grid.shape));
        }
        Ok(grid)
    }

    /// This grid, with as many more slices along its last axis as the other reaches beyond it.
    #[must_use]
    pub fn union_along_slices(&self, other: &Self) -> Self {
        let to_own = other.voxel_to_voxel(self);
        let last = other.shape[2].saturating_sub(1) as f64;
        let slice = |z: f64| (to_own * Vector4::new(0.0, 0.0, z, 1.0)).z.round();
        let (first, end) = (slice(0.0).min(slice(last)).min(0.0), slice(0.0).max(slice(last)) + 1.0);
        let mut affine = self.affine;
        affine.set_column(3, &(self.affine * Vector4::new(0.0, 0.0, first, 1.0)));
        let slices = end.max(self.shape[2] as f64) - first;
        Self::new([self.shape[0], self.shape[1], slices as usize], affine)
    }

    /// The number of voxels; `None` if it overflows.
    pub fn num_voxels(&self) -> Option<usize> {
        self.shape.into_iter().try_fold(1, usize::checked_mul)
    }

    /// Whether shapes are equal and all corner voxels agree within 1 % of the smallest spacing.
    pub fn approx_eq(&self, other: &Self) -> bool {
        let tolerance = TOLERANCE_VOXELS * self.spacing().into_iter().fold(f64::INFINITY, f64::min);
        self.shape == other.shape
            && self
                .corners()
                .iter()
                .zip(other.corners())
                .all(|(a, b)| (0..3).all(|axis| (a[axis] - b[axis]).abs() <= tolerance))
    }

    /// Compares the grid of a file with the one it should have.
    ///
    /// # Errors
    ///
    /// When they are not [approximately equal](Self::approx_eq).
    pub fn ensure_matches(&self, expected: &Self) -> Result<(), GridMismatch> {
        if self.approx_eq(expected) {
            return Ok(());
        }
        Err(GridMismatch { found: Box::new(self.clone()), expected: Box::new(expected.clone()) })
    }

    /// World positions of the eight corner voxels.
    fn corners(&self) -> [[f64; 3]; 8] {
        std::array::from_fn(|corner| {
            self.voxel_to_world(std::array::from_fn(|axis| {
                ((corner >> axis) & 1) as f64 * self.shape[axis].saturating_sub(1) as f64
            }))
        })
    }
}

/// A resampling that is not possible: a spacing that is not positive, or too many voxels.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
#[error("cannot resample from a spacing of {} mm to {} mm: {} voxels, the limit is {MAX_VOXELS}", by(.from), by(.to), by(.shape))]
pub struct InvalidResampling {
    /// Spacing of the source in mm.
    pub from: [f64; 3],
    /// Requested spacing in mm.
    pub to: [f64; 3],
    /// Shape of the result, or an upper bound of it.
    pub shape: [usize; 3],
}

/// Two grids that should be equal and are not.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
#[error("{}", self.differences())]
pub struct GridMismatch {
    /// The grid at hand.
    pub found: Box<Grid>,
    /// The grid it should equal.
    pub expected: Box<Grid>,
}

impl GridMismatch {
    /// The largest distance in mm between corresponding corner voxels.
    pub fn max_corner_distance(&self) -> f64 {
        let distance =
            |(a, b): ([f64; 3], [f64; 3])| (0..3).map(|axis| (a[axis] - b[axis]).powi(2)).sum::<f64>().sqrt();
        self.found.corners().into_iter().zip(self.expected.corners()).map(distance).fold(0.0, f64::max)
    }

    /// The largest angle in degrees between corresponding voxel axes.
    pub fn max_axis_angle(&self) -> f64 {
        let angle = |axis: usize| {
            let [a, b] = [&*self.found, &*self.expected].map(|grid| grid.affine.column(axis).xyz());
            a.angle(&b).to_degrees()
        };
        (0..3).map(angle).fold(0.0, f64::max)
    }

    /// Every property that differs, and the largest corner distance.
    fn differences(&self) -> String {
        let (found, expected) = (&*self.found, &*self.expected);
        let mut parts = Vec::new();
        if found.shape != expected.shape {
            parts.push(format!("shape {} instead of {}", by(&found.shape), by(&expected.shape)));
        }
        let [spacing, expected_spacing] = [found, expected].map(|grid| by(&grid.spacing().map(rounded)));
        if spacing != expected_spacing {
            parts.push(format!("spacing {spacing} mm instead of {expected_spacing} mm"));
        }
        let [orientation, expected_orientation] = [found, expected].map(Orientation::of);
        let angle = self.max_axis_angle();
        if orientation != expected_orientation {
            parts.push(format!("orientation {orientation} instead of {expected_orientation}"));
        } else if angle > MIN_ANGLE_DEGREES {
            parts.push(format!("axes rotated by {angle:.2} degrees"));
        }
        let [origin, expected_origin] =
            [found, expected].map(|grid| grid.voxel_to_world([0.0; 3]).map(rounded));
        if origin != expected_origin {
            parts.push(format!("origin {origin:?} instead of {expected_origin:?}"));
        }
        let distance = self.max_corner_distance();
        format!("{} (corner voxels up to {distance:.3} mm apart)", parts.join(", "))
    }
}

/// Smaller angles are not worth a mention.
const MIN_ANGLE_DEGREES: f64 = 5e-3;

fn rounded(mm: f64) -> f64 {
    (mm * 1e3).round() / 1e3
}

fn by<T: std::fmt::Display>(values: &[T; 3]) -> String {
    let [x, y, z] = values;
    format!("{x} × {y} × {z}")
}
