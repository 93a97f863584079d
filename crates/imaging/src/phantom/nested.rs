//! Phantoms with nested regions, of which each channel shows only some.

use ndarray::Array3;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{BODY_RADII, jitter, noise};
use crate::{Grid, LabelMap, Volume};

/// Names and labels of the regions of [`draw_nested`]; each is inside the previous one.
pub const REGIONS: [(&str, &[u16]); 3] = [("whole", &[1, 2, 3]), ("core", &[2, 3]), ("seed", &[3])];

/// Radii of the regions, as fractions of the shape.
const NESTED_RADII: [f64; 3] = [0.32, 0.22, 0.12];
/// Intensities of the body and the labels 1, 2, 3 per channel: the first shows only the whole, the second only its
/// interior.
const NESTED_INTENSITIES: [[f64; 4]; 2] = [[100.0, 200.0, 200.0, 200.0], [100.0, 100.0, 50.0, 250.0]];

/// A synthetic MR of two channels and its reference, on one RAS grid.
#[derive(Clone, Debug, PartialEq)]
pub struct NestedPhantom {
    /// Unitless intensities: background 0, an elliptic cylinder along z, nested balls in it.
    pub channels: [Volume<f32>; 2],
    /// The labels of [`REGIONS`]; 0 is background.
    pub labels: LabelMap,
}

/// Draws the nested phantom of `seed` with `shape` voxels of `spacing` mm.
///
/// From 32 voxels per axis on, the surfaces of two regions are at least one voxel apart.
pub fn draw_nested(seed: u64, shape: [usize; 3], spacing: [f64; 3]) -> NestedPhantom {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let radii = NESTED_RADII.map(|radius| radius * jitter(&mut random, 0.05));
    let mut center = [0.0; 3];
    let mut balls = Vec::with_capacity(radii.len());
    for (index, radius) in radii.into_iter().enumerate() {
        // At most a third of the radial margin off the center of the enclosing ball, also along a diagonal.
        let margin = index.checked_sub(1).map_or(0.05, |outer| (radii[outer] - radius) / 3.0 / 3f64.sqrt());
        center = center.map(|at: f64| at + random.random_range(-margin..margin));
        balls.push((center, radius));
    }
    let depth = |place: [f64; 3]| {
        let contains = |(center, radius): &&([f64; 3], f64)| {
            (0..3).map(|axis| (place[axis] - center[axis]).powi(2)).sum::<f64>() <= radius.powi(2)
        };
        balls.iter().take_while(contains).count()
    };
    let place_of =
        |voxel: [usize; 3]| std::array::from_fn(|axis| (voxel[axis] as f64 + 0.5) / shape[axis] as f64 - 0.5);
    let labels = Array3::from_shape_fn(shape, |(x, y, z)| depth(place_of([x, y, z])) as u16);
    let grid = Grid::with_spacing(shape, spacing);
    let channels = NESTED_INTENSITIES.map(|intensities| {
        let voxels = Array3::from_shape_fn(shape, |(x, y, z)| {
            let [px, py, _]: [f64; 3] = place_of([x, y, z]);
            if (px / BODY_RADII[0]).powi(2) + (py / BODY_RADII[1]).powi(2) > 1.0 {
                return 0.0;
            }
            (intensities[usize::from(labels[[x, y, z]])] + noise(&mut random)) as f32
        });
        Volume::new(voxels, grid.clone())
    });
    NestedPhantom { channels, labels: Volume::new(labels, grid) }
}
