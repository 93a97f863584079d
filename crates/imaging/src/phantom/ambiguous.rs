//! Phantoms with two identical organs that only the per-case text distinguishes.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{Organ, OrganShape, Phantom, TWIN_HU, draw_body, jitter, paint};

/// Names and labels of the two organs; the image does not distinguish them.
pub const AMBIGUOUS_CLASSES: [(&str, u16); 2] = [("first", FIRST), ("second", SECOND)];

const FIRST: u16 = 1;
const SECOND: u16 = 2;

/// A side of the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Laterality {
    /// Larger x (RAS+).
    Right,
    /// Smaller x.
    Left,
}

impl Laterality {
    /// The other side.
    #[must_use]
    pub fn opposite(self) -> Self {
        match self {
            Self::Right => Self::Left,
            Self::Left => Self::Right,
        }
    }

    /// `right` or `left`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Right => "right",
            Self::Left => "left",
        }
    }
}

/// Draws the phantom of `seed` with `shape` voxels of `spacing` mm: two organs of equal shape and density at
/// mirrored positions. The image depends on the seed alone; `first` decides only which organ gets which label.
pub fn draw_ambiguous(seed: u64, first: Laterality, shape: [usize; 3], spacing: [f64; 3]) -> Phantom {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let body = draw_body(&mut random);
    let [x, y, z] =
        [(0.19, 0.25), (-0.08, 0.08), (-0.15, 0.15)].map(|(low, high)| random.random_range(low..high));
    let radii = [0.12, 0.14, 0.2].map(|radius| radius * jitter(&mut random, 0.1));
    let organ = |side, x| {
        let label = if side == first { FIRST } else { SECOND };
        Organ { label, hu: TWIN_HU, shape: OrganShape::Ellipsoid, center: [x, y, z], radii }
    };
    paint(&mut random, body, &[organ(Laterality::Right, x), organ(Laterality::Left, -x)], shape, spacing)
}
