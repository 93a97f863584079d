//! Bodies of many small organs that differ in side, form, density and size: the words of a prompt name any subset.
//!
//! 3 sides × 4 forms × 2 densities × 2 sizes are 48 kinds. A body shows up to eight of them, each once, so that a
//! full phrase ("small bright rod on the right") names one organ, and fewer words ("bright rings") name several.

use std::fmt;

use rand::{
    Rng, SeedableRng,
    seq::{IndexedRandom, SliceRandom},
};
use rand_chacha::ChaCha8Rng;

use super::{Organ, OrganShape, Phantom, draw_body, jitter, paint};

/// Organs of one body at most.
pub const MAX_ORGANS: usize = 8;

/// Centers of the nine places along x (left, middle, right) and z, as shares of the shape.
const COLUMNS: [f64; 3] = [-0.27, 0.0, 0.27];
const ROWS: [f64; 3] = [-0.31, 0.0, 0.31];
/// Reach of an organ, small and large, as a share of the shape.
const REACH: [f64; 2] = [0.074, 0.105];
/// Radius and half length of a rod, as shares of its reach.
const ROD: [f64; 2] = [0.55, 1.15];
/// Half a cube's edge, as a share of its reach.
const CUBE: f64 = 0.8;
/// Half a ring's height, as a share of its reach.
const RING_HEIGHT: f64 = 0.45;
/// Hounsfield units, dark and bright, beside 20 of the body.
const DENSITY_HU: [f64; 2] = [-140.0, 200.0];

const SIDES: [&str; 3] = ["on the left", "in the middle", "on the right"];
const FORMS: [&str; 4] = ["ball", "rod", "cube", "ring"];
const DENSITIES: [&str; 2] = ["dark", "bright"];
const SIZES: [&str; 2] = ["small", "large"];

/// What an organ looks like and where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Kind {
    /// 0 left (smaller x), 1 middle, 2 right.
    pub side: usize,
    /// 0 ball, 1 rod (along z), 2 cube, 3 ring (around z).
    pub form: usize,
    /// 0 dark, 1 bright.
    pub density: usize,
    /// 0 small, 1 large.
    pub size: usize,
}

impl Kind {
    /// All 48, in the order of their labels.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..48).map(|code| Self {
            side: code / 16,
            form: code / 4 % 4,
            density: code / 2 % 2,
            size: code % 2,
        })
    }

    /// Its label, 1 to 48.
    pub fn label(self) -> u16 {
        (1 + 16 * self.side + 4 * self.form + 2 * self.density + self.size) as u16
    }

    fn organ(self, random: &mut ChaCha8Rng, row: f64) -> Organ {
        let reach = REACH[self.size] * jitter(random, 0.03);
        let (shape, radii) = match self.form {
            0 => (OrganShape::Ellipsoid, [reach; 3]),
            1 => (OrganShape::Rod, [ROD[0] * reach, ROD[0] * reach, ROD[1] * reach]),
            2 => (OrganShape::Cuboid, [CUBE * reach; 3]),
            _ => (OrganShape::Ring, [reach, reach, RING_HEIGHT * reach]),
        };
        let center = [
            COLUMNS[self.side] + random.random_range(-0.01..0.01),
            random.random_range(-0.08..0.08),
            row + random.random_range(-0.01..0.01),
        ];
        Organ {
            label: self.label(),
            hu: DENSITY_HU[self.density] * jitter(random, 0.1),
            shape,
            center,
            radii,
        }
    }
}

/// The full phrase, such as "small bright rod on the right".
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Attributes::from(*self).fmt(f)
    }
}

/// Some of the four attributes; those that are `None` may be any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Attributes {
    /// As in [`Kind::side`].
    pub side: Option<usize>,
    /// As in [`Kind::form`].
    pub form: Option<usize>,
    /// As in [`Kind::density`].
    pub density: Option<usize>,
    /// As in [`Kind::size`].
    pub size: Option<usize>,
}

impl Attributes {
    /// Every choice of at least one attribute and not of all four: what prompts of fewer words can name.
    pub fn unions() -> impl Iterator<Item = Self> {
        let choices = |count: usize| (0..=count).map(move |choice| choice.checked_sub(1));
        choices(3)
            .flat_map(move |side| {
                choices(4).flat_map(move |form| {
                    choices(2).flat_map(move |density| {
                        choices(2).map(move |size| Self { side, form, density, size })
                    })
                })
            })
            .filter(|attributes| (1..4).contains(&attributes.count()))
    }

    /// How many attributes are given.
    pub fn count(&self) -> usize {
        [self.side, self.form, self.density, self.size].iter().flatten().count()
    }

    /// Whether a kind has all of them.
    pub fn matches(&self, kind: Kind) -> bool {
        let is = |wanted: Option<usize>, value| wanted.is_none_or(|wanted| wanted == value);
        is(self.side, kind.side)
            && is(self.form, kind.form)
            && is(self.density, kind.density)
            && is(self.size, kind.size)
    }
}

impl From<Kind> for Attributes {
    fn from(Kind { side, form, density, size }: Kind) -> Self {
        Self { side: Some(side), form: Some(form), density: Some(density), size: Some(size) }
    }
}

/// Such as "bright rings", "everything on the left", "small dark cube in the middle".
impl fmt::Display for Attributes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_full = self.count() == 4;
        let adjectives = [self.size.map(|size| SIZES[size]), self.density.map(|density| DENSITIES[density])];
        let noun = match self.form {
            Some(form) if is_full => FORMS[form].to_owned(),
            Some(form) => format!("{}s", FORMS[form]),
            None => "things".to_owned(),
        };
        let is_bare = self.form.is_none() && adjectives.iter().flatten().next().is_none();
        let noun = if is_bare { "everything".to_owned() } else { noun };
        let words = adjectives.into_iter().flatten().map(str::to_owned).chain([noun]);
        let words = words.chain(self.side.map(|side| SIDES[side].to_owned()));
        f.write_str(&words.collect::<Vec<_>>().join(" "))
    }
}

/// Draws the body of `seed` with `shape` voxels of `spacing` mm from the kinds that `is_allowed`.
///
/// The labels are those of [`Kind::label`]. The image is no function of the kinds that a training names.
pub fn draw_attributes(
    seed: u64,
    is_allowed: impl Fn(Kind) -> bool,
    shape: [usize; 3],
    spacing: [f64; 3],
) -> Phantom {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let body = draw_body(&mut random);
    let mut places: Vec<(usize, f64)> = (0..3).flat_map(|side| ROWS.map(|row| (side, row))).collect();
    places.shuffle(&mut random);
    let count = random.random_range(MAX_ORGANS / 2..=MAX_ORGANS);
    let mut shown: Vec<Kind> = Vec::new();
    let mut organs = Vec::new();
    for (side, row) in places.into_iter().take(count) {
        let free: Vec<Kind> = Kind::all()
            .filter(|kind| kind.side == side && is_allowed(*kind) && !shown.contains(kind))
            .collect();
        if let Some(kind) = free.choose(&mut random) {
            shown.push(*kind);
            organs.push(kind.organ(&mut random, row));
        }
    }
    paint(&mut random, body, &organs, shape, spacing)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: [usize; 3] = [32; 3];

    fn draw(seed: u64) -> Phantom {
        draw_attributes(seed, |_| true, SHAPE, [6.0; 3])
    }

    #[test]
    fn every_kind_has_a_label_and_a_phrase_of_its_own() {
        let kinds: Vec<Kind> = Kind::all().collect();
        assert!(kinds.iter().map(|kind| kind.label()).eq(1..=48));
        let phrases: std::collections::HashSet<String> = kinds.iter().map(Kind::to_string).collect();
        assert_eq!(phrases.len(), 48);
        assert_eq!(kinds[47].to_string(), "large bright ring on the right");
    }

    #[test]
    fn unions_are_all_choices_but_none_and_all() {
        // (3 + 1) · (4 + 1) · (2 + 1) · (2 + 1) choices, less the empty one and the 48 kinds.
        let unions: Vec<Attributes> = Attributes::unions().collect();
        assert_eq!(unions.len(), 180 - 1 - 48);
        let phrases: std::collections::HashSet<String> = unions.iter().map(ToString::to_string).collect();
        assert_eq!(phrases.len(), unions.len());
        for phrase in
            ["bright rings", "everything on the left", "small things", "small dark things in the middle"]
        {
            assert!(phrases.contains(phrase), "{phrase}");
        }
    }

    #[test]
    fn organs_do_not_touch_and_show_their_attributes() {
        let spacing = 1.0 / 32.0;
        for seed in 0..100 {
            let phantom = draw(seed);
            let labels = phantom.labels.voxels();
            for kind in Kind::all() {
                let voxels: Vec<[usize; 3]> = labels
                    .indexed_iter()
                    .filter(|(_, label)| **label == kind.label())
                    .map(|((x, y, z), _)| [x, y, z])
                    .collect();
                if voxels.is_empty() {
                    continue;
                }
                assert!(voxels.len() >= 12, "{kind} has {} voxels", voxels.len());
                let mean_x = voxels.iter().map(|[x, ..]| (*x as f64 + 0.5) * spacing - 0.5).sum::<f64>()
                    / voxels.len() as f64;
                assert!((mean_x - COLUMNS[kind.side]).abs() < 0.05, "{kind} at {mean_x}");
                let mean_hu =
                    voxels.iter().map(|voxel| f64::from(phantom.image.voxels()[*voxel])).sum::<f64>()
                        / voxels.len() as f64;
                assert_eq!(mean_hu > 20.0, kind.density == 1, "{kind} has {mean_hu} HU");
                // Another organ is never a direct neighbor.
                for [x, y, z] in &voxels {
                    for (axis, step) in [(0, 1), (1, 1), (2, 1)] {
                        let mut next = [*x, *y, *z];
                        next[axis] += step;
                        let other = labels.get(next).copied().unwrap_or(0);
                        assert!(other == 0 || other == kind.label(), "{kind} touches {other}, seed {seed}");
                    }
                }
            }
        }
    }

    #[test]
    fn kinds_that_are_not_allowed_are_not_drawn() {
        for seed in 0..20 {
            let phantom = draw_attributes(seed, |kind| kind.form != 3, SHAPE, [6.0; 3]);
            let is_ring = |label: &u16| *label > 0 && (label - 1) / 4 % 4 == 3;
            assert!(!phantom.labels.voxels().iter().any(is_ring));
        }
    }
}
