//! Test-time mirroring: the mean of the logits over flips of a patch.
//!
//! Logits are averaged, not probabilities, over flips and over the members of an ensemble, as in nnU-Net
//! (`nnunetv2/inference/predict_from_raw_data.py`: `_internal_maybe_mirror_and_predict`,
//! `predict_logits_from_preprocessed_data`). Overlapping patches are blended in logits too, so the mean of a patch
//! can be taken at once, and memory does not grow with the number of members.

use std::{fmt, str::FromStr};

use ndarray::{ArrayBase, Axis, Ix4, RawData};
use serde::{Deserialize, Serialize};

use super::constant_patch_cache::Logits;
use bipvl_text::{ClassName, Laterality};

const AXES: [&str; 3] = ["x", "y", "z"];

/// The axes of test-time mirroring, such as `x,z`; every combination of them is one flip.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TestTimeMirroring([bool; 3]);

/// A flip of a patch `[channels, x, y, z]`; its own inverse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flip([bool; 3]);

impl TestTimeMirroring {
    /// Whether it contains an axis; 0 is x.
    pub fn contains(self, axis: usize) -> bool {
        self.0[axis]
    }

    /// Whether it contains no axis.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// All flips, the identity first: 2 to the power of the number of axes.
    pub fn flips(self) -> impl Iterator<Item = Flip> {
        let flips = (0..8_usize).map(|bits| Flip([0, 1, 2].map(|axis| bits >> axis & 1 == 1)));
        flips.filter(move |flip| (0..3).all(|axis| self.0[axis] || !flip.0[axis]))
    }

    /// The names of the contained axes with `filter`, such as `x,z`.
    pub fn axis_names(self, filter: impl Fn(usize) -> bool) -> String {
        let axes = (0..3).filter(|axis| self.0[*axis] && filter(*axis));
        axes.map(|axis| AXES[axis]).collect::<Vec<_>>().join(",")
    }
}

impl Flip {
    /// Flips a patch or its logits; a view, without copying.
    #[must_use]
    pub fn apply<S: RawData>(self, mut patch: ArrayBase<S, Ix4>) -> ArrayBase<S, Ix4> {
        (0..3).filter(|axis| self.0[*axis]).for_each(|axis| patch.invert_axis(Axis(axis + 1)));
        patch
    }
}

impl fmt::Display for TestTimeMirroring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.axis_names(|_| true))
    }
}

impl FromStr for TestTimeMirroring {
    type Err = String;

    fn from_str(names: &str) -> Result<Self, String> {
        let mut mirror = Self::default();
        for name in names.split(',').filter(|name| !name.is_empty()) {
            let axis = AXES.iter().position(|axis| *axis == name);
            let axis = axis.ok_or_else(|| {
                format!("unknown axis \"{name}\"; axes are x, y and z, separated by commas")
            })?;
            mirror.0[axis] = true;
        }
        Ok(mirror)
    }
}

impl TryFrom<String> for TestTimeMirroring {
    type Error = String;

    fn try_from(names: String) -> Result<Self, String> {
        names.parse()
    }
}

impl From<TestTimeMirroring> for String {
    fn from(mirror: TestTimeMirroring) -> Self {
        mirror.to_string()
    }
}

/// The mean of logits of one shape; a single one is returned bit for bit.
///
/// # Panics
///
/// When there are none.
pub fn mean(mut all: impl Iterator<Item = Logits>) -> Logits {
    let mut sum = all.next().expect("a mean of at least one");
    let mut count = 1_u16;
    for logits in all {
        sum += &logits;
        count += 1;
    }
    if count > 1 {
        sum /= f32::from(count);
    }
    sum
}

/// The first two classes whose names differ only in the side, left before right; a flip along x swaps them.
pub fn lateral_pair(classes: &[String]) -> Option<[&str; 2]> {
    let mut lefts =
        classes.iter().filter(|class| ClassName::parse(class).laterality() == Some(Laterality::Left));
    lefts.find_map(|left| {
        let name = ClassName::parse(left);
        let right = classes.iter().find(|class| name.is_contralateral_to(&ClassName::parse(class)))?;
        Some([left.as_str(), right.as_str()])
    })
}

#[cfg(test)]
mod tests {
    use ndarray::{Array4, ArrayView4, s};
    use proptest::prelude::*;

    use super::*;

    fn mirror(axes: [bool; 3]) -> TestTimeMirroring {
        TestTimeMirroring(axes)
    }

    /// The mean over all flips, as in a predictor.
    fn mirrored(axes: [bool; 3], patch: &Array4<f32>, network: impl Fn(ArrayView4<f32>) -> Logits) -> Logits {
        mean(mirror(axes).flips().map(|flip| flip.apply(network(flip.apply(patch.view())))))
    }

    /// One logit per voxel: the mean of its neighbors along each axis. It commutes with every flip.
    fn symmetric(patch: ArrayView4<f32>) -> Logits {
        let (_, x, y, z) = patch.dim();
        let at = |i: usize, j: usize, k: usize| patch[[0, i, j, k]];
        let both = |i: usize, size: usize| [i.saturating_sub(1), (i + 1).min(size - 1)];
        Array4::from_shape_fn((1, x, y, z), |(_, i, j, k)| {
            both(i, x).map(|i| at(i, j, k)).iter().sum::<f32>()
                + both(j, y).map(|j| at(i, j, k)).iter().sum::<f32>()
                + both(k, z).map(|k| at(i, j, k)).iter().sum::<f32>()
        })
        .into_shared()
    }

    proptest! {
        #[test]
        fn a_symmetric_network_gives_the_same_under_every_mirror(
            axes in any::<[bool; 3]>(),
            shape in prop::array::uniform3(1_usize..6),
            seed in 0_u32..1000,
        ) {
            let [x, y, z] = shape;
            // Small whole numbers, so that sums are exact in any order.
            let patch = Array4::from_shape_fn((1, x, y, z), |(_, i, j, k)| {
                ((seed as usize + 7 * i + 13 * j + 29 * k + i * j * k) % 19) as f32
            });
            prop_assert_eq!(mirrored(axes, &patch, symmetric), symmetric(patch.view()));
        }
    }

    #[test]
    fn the_logits_of_a_flipped_patch_are_flipped_back() {
        // A network that marks the first voxel along x of any input.
        let first = |patch: ArrayView4<f32>| {
            let mut logits = Array4::zeros(patch.dim());
            logits.slice_mut(s![.., 0, .., ..]).fill(1.0);
            logits.into_shared()
        };
        let found = mirrored([true, false, false], &Array4::zeros((1, 3, 1, 1)), first);
        assert_eq!(found.iter().copied().collect::<Vec<_>>(), [0.5, 0.0, 0.5]);
    }

    #[test]
    fn axes_round_trip_through_text() {
        for (text, flips) in [("", 1), ("x", 2), ("y,z", 4), ("x,y,z", 8)] {
            let mirror: TestTimeMirroring = text.parse().unwrap();
            assert_eq!((mirror.to_string().as_str(), mirror.flips().count()), (text, flips));
        }
        assert!("x,w".parse::<TestTimeMirroring>().unwrap_err().contains("unknown axis \"w\""));
    }

    #[test]
    fn lateral_pairs_differ_only_in_the_side() {
        let classes = |names: [&str; 3]| names.map(str::to_owned);
        let kidneys = classes(["Liver", "Right kidney", "left kidney"]);
        assert_eq!(lateral_pair(&kidneys), Some(["left kidney", "Right kidney"]));
        assert_eq!(
            lateral_pair(&classes(["Kidney_R", "spleen", "kidney_L"])),
            Some(["kidney_L", "Kidney_R"])
        );
        assert_eq!(lateral_pair(&classes(["liver", "kidney", "left atrium"])), None);
    }
}
