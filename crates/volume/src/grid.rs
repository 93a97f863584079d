//! Where voxels are: shape and affine.

use nalgebra::{Matrix4, Vector4};

/// Voxel index → world millimetres in RAS+, homogeneous.
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

    /// Millimetres per voxel, per axis.
    pub fn spacing(&self) -> [f64; 3] {
        std::array::from_fn(|axis| self.affine.column(axis).xyz().norm())
    }

    /// World position of a (fractional) voxel index, in mm.
    pub fn voxel_to_world(&self, voxel: [f64; 3]) -> [f64; 3] {
        let [x, y, z] = voxel;
        let world = self.affine * Vector4::new(x, y, z, 1.0);
        [world.x, world.y, world.z]
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
