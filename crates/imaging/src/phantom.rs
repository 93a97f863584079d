//! Synthetic phantoms with known labels, for tests, examples and the demo.

mod ambiguous;
pub mod attributes;
mod nested;

use std::f64::consts::TAU;

use ndarray::Array3;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

use crate::{Grid, LabelMap, Volume};

pub use ambiguous::{AMBIGUOUS_CLASSES, Laterality, draw_ambiguous};
pub use nested::{NestedPhantom, REGIONS, draw_nested};

/// Names and labels of the classes of a phantom.
///
/// The twins have the same density and mirrored shapes; they differ in position only (the right twin is at
/// larger x, RAS+). Rod and ball share another density on the midline, one anterior and one posterior in random
/// order; they differ in shape only.
pub const CLASSES: [(&str, u16); 4] =
    [("right twin", RIGHT_TWIN), ("left twin", LEFT_TWIN), ("rod", ROD), ("ball", BALL)];

const RIGHT_TWIN: u16 = 1;
const LEFT_TWIN: u16 = 2;
const ROD: u16 = 3;
const BALL: u16 = 4;

const AIR_HU: f64 = -1000.0;
const BODY_HU: f64 = 20.0;
const TWIN_HU: f64 = 120.0;
const MIDLINE_HU: f64 = 220.0;
/// Standard deviation of the noise per voxel.
const NOISE_HU: f64 = 10.0;
/// Amplitude of the smooth noise.
const SMOOTH_NOISE_HU: f64 = 15.0;
const WAVES: usize = 5;

/// Half axes of the body along x and y, as fractions of the shape.
const BODY_RADII: [f64; 2] = [0.46, 0.42];
/// Minimum radius of an organ on each axis, as a fraction of the shape.
const THINNEST: f64 = 0.07;

/// Radius of a ring's middle line and of its tube, as shares of its outer radius.
const RING_MIDDLE: f64 = 1.0 - RING_TUBE;
const RING_TUBE: f64 = 0.35;

/// A synthetic CT and its reference, on one RAS grid.
#[derive(Clone, Debug, PartialEq)]
pub struct Phantom {
    /// Hounsfield units: air, an elliptic cylinder along z as the body, its organs.
    pub image: Volume<f32>,
    /// The labels of [`CLASSES`] or [`AMBIGUOUS_CLASSES`]; 0 is background.
    pub labels: LabelMap,
}

/// Draws the phantom of `seed` with `shape` voxels of `spacing` mm.
///
/// Positions and sizes are fractions of the shape with a random jitter. Use at least 32 voxels per axis, so that
/// no organ gets too small to be learned.
pub fn draw(seed: u64, shape: [usize; 3], spacing: [f64; 3]) -> Phantom {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let extents = std::array::from_fn(|axis| shape[axis] as f64 * spacing[axis]);
    let body = draw_body(&mut random);
    let organs = organs(&mut random, extents);
    paint(&mut random, body, &organs, shape, spacing)
}

/// Random half axes of the body.
fn draw_body(random: &mut ChaCha8Rng) -> [f64; 2] {
    BODY_RADII.map(|radius| radius * jitter(random, 0.05))
}

/// Renders air, body and organs with both kinds of noise.
fn paint(
    random: &mut ChaCha8Rng,
    body: [f64; 2],
    organs: &[Organ],
    shape: [usize; 3],
    spacing: [f64; 3],
) -> Phantom {
    let waves: [Wave; WAVES] = std::array::from_fn(|_| Wave::draw(random));
    let mut labels = Array3::zeros(shape);
    let image = Array3::from_shape_fn(shape, |(x, y, z)| {
        let voxel = [x, y, z];
        let place = std::array::from_fn(|axis| (voxel[axis] as f64 + 0.5) / shape[axis] as f64 - 0.5);
        if (place[0] / body[0]).powi(2) + (place[1] / body[1]).powi(2) > 1.0 {
            return AIR_HU as f32;
        }
        let organ = organs.iter().find(|organ| organ.contains(place));
        labels[voxel] = organ.map_or(0, |organ| organ.label);
        let smooth: f64 = waves.iter().map(|wave| wave.at(place)).sum::<f64>() / WAVES as f64;
        let hu = organ.map_or(BODY_HU, |organ| organ.hu);
        (hu + SMOOTH_NOISE_HU * smooth + noise(random)) as f32
    });
    let grid = Grid::with_spacing(shape, spacing);
    Phantom { image: Volume::new(image, grid.clone()), labels: Volume::new(labels, grid) }
}

/// Positions and radii are fractions of the shape; the center of the volume is 0.
struct Organ {
    label: u16,
    hu: f64,
    shape: OrganShape,
    center: [f64; 3],
    radii: [f64; 3],
}

#[derive(Clone, Copy)]
enum OrganShape {
    Ellipsoid,
    /// A cylinder along z.
    Rod,
    /// Edges along the axes.
    Cuboid,
    /// A torus around z, whose outer rim and half height the radii give.
    Ring,
}

impl Organ {
    fn contains(&self, place: [f64; 3]) -> bool {
        let [x, y, z] =
            std::array::from_fn(|axis| ((place[axis] - self.center[axis]) / self.radii[axis]).powi(2));
        match self.shape {
            OrganShape::Ellipsoid => x + y + z <= 1.0,
            OrganShape::Rod => x + y <= 1.0 && z <= 1.0,
            OrganShape::Cuboid => x.max(y).max(z) <= 1.0,
            OrganShape::Ring => {
                ((x + y).sqrt() - RING_MIDDLE).powi(2) + z * RING_TUBE.powi(2) <= RING_TUBE.powi(2)
            }
        }
    }
}

fn organs(random: &mut ChaCha8Rng, extents: [f64; 3]) -> [Organ; 4] {
    let [x, y, z] = [0.25, random.random_range(-0.02..0.02), random.random_range(-0.1..0.1)];
    let radii = [0.09, 0.13, 0.2].map(|radius| radius * jitter(random, 0.1));
    let twin =
        |label, x| Organ { label, hu: TWIN_HU, shape: OrganShape::Ellipsoid, center: [x, y, z], radii };

    // Isotropic in mm where the voxels allow it; otherwise a coarse spacing would stretch the ball into a rod.
    let shortest = extents.into_iter().fold(f64::INFINITY, f64::min);
    let round = |radius: f64| extents.map(|extent| (radius * shortest / extent).max(THINNEST));
    let [rod_x, rod_y, _] = round(0.07 * jitter(random, 0.1));
    let ball = round(0.11 * jitter(random, 0.1));
    let side = if random.random::<bool>() { 1.0 } else { -1.0 };
    let mut on_midline = |label, shape, side: f64, reach: f64, radii| {
        let center = [
            random.random_range(-0.03..0.03),
            side * random.random_range(0.18..0.22),
            random.random_range(-reach..reach),
        ];
        Organ { label, hu: MIDLINE_HU, shape, center, radii }
    };
    [
        twin(RIGHT_TWIN, x),
        twin(LEFT_TWIN, -x),
        on_midline(ROD, OrganShape::Rod, side, 0.1, [rod_x, rod_y, 0.3]),
        on_midline(BALL, OrganShape::Ellipsoid, -side, 0.25, ball),
    ]
}

/// A plane wave of at most three cycles per axis.
struct Wave {
    cycles: [f64; 3],
    phase: f64,
}

impl Wave {
    fn draw(random: &mut ChaCha8Rng) -> Self {
        let cycles = std::array::from_fn(|_| random.random_range(-3.0..3.0));
        Self { cycles, phase: random.random_range(0.0..TAU) }
    }

    fn at(&self, place: [f64; 3]) -> f64 {
        let cycles: f64 = (0..3).map(|axis| self.cycles[axis] * place[axis]).sum();
        (TAU * cycles + self.phase).cos()
    }
}

/// Independent noise of a voxel.
fn noise(random: &mut ChaCha8Rng) -> f64 {
    NOISE_HU * random.sample::<f64, _>(StandardNormal)
}

/// A random factor in 1 ± `range`.
fn jitter(random: &mut ChaCha8Rng, range: f64) -> f64 {
    random.random_range(1.0 - range..1.0 + range)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn organs_do_not_overlap() {
        for (seed, extents) in (0..200).flat_map(|seed| {
            [[1.0, 1.0, 1.0], [48.0, 48.0, 32.0], [1.0, 1.0, 3.0], [3.0, 1.0, 1.0]].map(|e| (seed, e))
        }) {
            let organs = organs(&mut ChaCha8Rng::seed_from_u64(seed), extents);
            for code in 0..30 * 30 * 30 {
                let place = [code / 900, code / 30 % 30, code % 30].map(|step| step as f64 / 29.0 - 0.5);
                let count = organs.iter().filter(|organ| organ.contains(place)).count();
                assert!(count <= 1, "seed {seed}, {extents:?}, {place:?}");
            }
        }
    }
}
