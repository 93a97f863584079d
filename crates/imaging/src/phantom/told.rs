//! Bodies with two equal organs, of which only words can say which one is meant.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{Form, Organ, Phantom, TWIN_HU, draw_body, jitter, paint};

/// Names and labels of two organs that differ in nothing but what is told of them.
pub const AMBIGUOUS_CLASSES: [(&str, u16); 2] = [("first", FIRST), ("second", SECOND)];

const FIRST: u16 = 1;
const SECOND: u16 = 2;

/// A side of the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Larger x, for x grows to the right.
    Right,
    /// Smaller x.
    Left,
}

impl Side {
    /// The other one.
    #[must_use]
    pub fn opposite(self) -> Self {
        match self {
            Self::Right => Self::Left,
            Self::Left => Self::Right,
        }
    }

    /// The side in words.
    pub fn word(self) -> &'static str {
        match self {
            Self::Right => "right",
            Self::Left => "left",
        }
    }
}

/// Draws the body of `seed` with `shape` voxels of `spacing` mm: two organs of one shape and one density at
/// mirrored places. The image follows from the seed alone; only the labels know on which side the first one is.
pub fn draw_ambiguous(seed: u64, first: Side, shape: [usize; 3], spacing: [f64; 3]) -> Phantom {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let body = draw_body(&mut random);
    let [x, y, z] =
        [(0.19, 0.25), (-0.08, 0.08), (-0.15, 0.15)].map(|(low, high)| random.random_range(low..high));
    let radii = [0.12, 0.14, 0.2].map(|radius| radius * jitter(&mut random, 0.1));
    let organ = |side, x| {
        let label = if side == first { FIRST } else { SECOND };
        Organ { label, hu: TWIN_HU, form: Form::Ellipsoid, center: [x, y, z], radii }
    };
    paint(&mut random, body, &[organ(Side::Right, x), organ(Side::Left, -x)], shape, spacing)
}
