//! Where voxels are: shape and affine.

use nalgebra::{Matrix4, Vector4};

/// Voxel index → world millimeters in RAS+, homogeneous.
pub type Affine = Matrix4<f64>;

/// Two grids are the same when no corner moves by more than this share of a voxel; scanners and
/// converters round affines to float32.
const SAME_GRID_VOXELS: f64 = 1e-2;

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

    /// An RAS grid whose first voxel is at the world's origin.
    pub fn with_spacing(shape: [usize; 3], spacing: [f64; 3]) -> Self {
        let [x, y, z] = spacing;
        Self::new(shape, Matrix4::from_diagonal(&Vector4::new(x, y, z, 1.0)))
    }

    /// Voxels per axis, `[x, y, z]` in the order of storage.
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

    /// World position of a (fractional) voxel index, in mm.
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

    /// The grid of the same part of the body with `spacing` in mm, by the rule of MONAI's `Spacing`.
    ///
    /// The axes keep their directions (made perpendicular if sheared) and the first voxel keeps its
    /// place. Each axis gets `round(extent / spacing + 1)` voxels, where extent is the distance in mm
    /// from the center of its first voxel to that of its last, and halves round to even. (Sheared:
    /// the extents are those of the box around all eight corner voxels, and the first voxel stands in
    /// its lowest corner.)
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
            // The decomposition is free to mirror an axis; the sign on its diagonal tells.
            let direction = directions.column(axis) * upper[(axis, axis)].signum();
            affine.fixed_view_mut::<3, 1>(0, axis).copy_from(&(direction * mm));
        }

        let to_new = self.voxel_to_voxel(&Self::new(self.shape, affine));
        let mut shape = [0; 3];
        let mut lowest = Vector4::new(0.0, 0.0, 0.0, 1.0);
        for axis in 0..3 {
            let reaches = (0..3).map(|old| to_new[(axis, old)] * self.shape[old].saturating_sub(1) as f64);
            let (below, above) = reaches
                .fold((0.0, 0.0), |(below, above), reach| (below + reach.min(0.0), above + reach.max(0.0)));
            shape[axis] = (above - below + 1.0).round_ties_even() as usize;
            lowest[axis] = below;
        }
        let origin = affine * lowest;
        affine.set_column(3, &origin);
        Self::new(shape, affine)
    }

    /// Whether both grids put the same voxels in the same places, up to rounding.
    pub fn is_same_as(&self, other: &Self) -> bool {
        let tolerance = SAME_GRID_VOXELS * self.spacing().into_iter().fold(f64::INFINITY, f64::min);
        let corners = (0..8).map(|corner| {
            std::array::from_fn(|axis| {
                ((corner >> axis) & 1) as f64 * self.shape[axis].saturating_sub(1) as f64
            })
        });
        self.shape == other.shape
            && corners.into_iter().all(|corner: [f64; 3]| {
                let (a, b) = (self.voxel_to_world(corner), other.voxel_to_world(corner));
                (0..3).all(|axis| (a[axis] - b[axis]).abs() <= tolerance)
            })
    }
}
