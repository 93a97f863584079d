//! Random masks against MONAI, DeepMind's surface-distance, Metrics Reloaded and medpy; the expected scores come from
//! `tests/reference/random_masks.py`.

use bipvl_imaging::LabelMap;
use bipvl_metrics::{Convention, MetricConfig};
use indexmap::IndexMap;
use serde::Deserialize;

use crate::{mask, score_liver};

/// Both sides compute in float64 and add the same terms in another order.
const SUMMATION: f64 = 1e-12;

/// As in the script.
const SPACINGS_MM: [f64; 8] = [0.6, 0.7, 0.8, 1.0, 1.25, 1.5, 2.5, 3.0];

/// Expected scores of one pair of masks.
#[derive(Deserialize)]
struct Expected {
    /// Voxels of prediction and reference.
    voxels: [usize; 2],
    /// Dice, HD95, NSD at 1 and 2 mm, ASSD by the name of the convention.
    scores: IndexMap<String, [Option<f64>; 5]>,
}

#[test]
fn random_masks_match_the_published_implementations() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/reference/random_masks.json");
    let cases: Vec<Expected> = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert_eq!(cases.len(), 200);
    for (number, expected) in cases.iter().enumerate() {
        let (prediction, reference) = draw_case(number);
        let voxels = [&prediction, &reference].map(|mask| mask.voxels().iter().filter(|&&v| v != 0).count());
        assert_eq!(voxels, expected.voxels, "case {number} differs from the script's");
        for convention in Convention::ALL {
            let found = scores(convention, &prediction, &reference);
            let expected = expected.scores[convention.name()];
            for (found, expected) in found.into_iter().zip(expected) {
                let is_close = match (found, expected) {
                    (Some(found), Some(expected)) => (found - expected).abs() <= SUMMATION,
                    (found, expected) => found == expected,
                };
                assert!(is_close, "case {number}, {convention}: expected {expected:?}, found {found:?}");
            }
        }
    }
}

/// Dice, HD95, NSD at 1 and 2 mm, ASSD.
fn scores(convention: Convention, prediction: &LabelMap, reference: &LabelMap) -> [Option<f64>; 5] {
    let [narrow, wide] = [1.0, 2.0].map(|tolerance_mm| {
        score_liver(
            prediction,
            reference,
            &MetricConfig { convention, tolerance_mm, ..MetricConfig::default() },
        )
        .classes["liver"]
    });
    [wide.dice, wide.hd95_mm, narrow.nsd, wide.nsd, wide.assd_mm]
}

/// Steele, Lea and Flood's generator, which is a few lines in any language.
struct SplitMix64(u64);

impl SplitMix64 {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) % limit as u64) as usize
    }
}

/// Prediction and reference; every tenth case lacks one of the masks or both.
fn draw_case(number: usize) -> (LabelMap, LabelMap) {
    let mut random = SplitMix64(number as u64);
    let shape = [(); 3].map(|()| 6 + random.below(9));
    let spacing = [(); 3].map(|()| SPACINGS_MM[random.below(SPACINGS_MM.len())]);
    let [mut prediction, mut reference] = [(); 2].map(|()| draw_mask(&mut random, shape, spacing));
    let lacks = number % 20;
    if lacks == 0 || lacks == 5 {
        prediction.voxels_mut().fill(0);
    }
    if lacks == 0 || lacks == 10 {
        reference.voxels_mut().fill(0);
    }
    (prediction, reference)
}

/// One to three ellipsoids, or noise, or ellipsoids with one of 16 voxels flipped.
fn draw_mask(random: &mut SplitMix64, shape: [usize; 3], spacing: [f64; 3]) -> LabelMap {
    let (kind, density) = (random.below(10), 1 + random.below(7));
    let blobs: Vec<Blob> = (0..=random.below(3)).map(|_| Blob::draw(random, shape)).collect();
    let mut labels = mask(shape, spacing, |_| false);
    for ((x, y, z), label) in labels.voxels_mut().indexed_iter_mut() {
        let is_inside = if kind < 2 {
            random.below(8) < density
        } else {
            let is_turned = kind < 5 && random.below(16) == 0;
            blobs.iter().any(|blob| blob.contains([x, y, z])) != is_turned
        };
        *label = u16::from(is_inside);
    }
    labels
}

struct Blob {
    center: [usize; 3],
    radii: [usize; 3],
}

impl Blob {
    fn draw(random: &mut SplitMix64, shape: [usize; 3]) -> Self {
        let center = shape.map(|length| length / 4 + random.below(length / 2));
        Self { center, radii: [(); 3].map(|()| 1 + random.below(5)) }
    }

    /// In whole numbers, so that no rounding can decide.
    fn contains(&self, voxel: [usize; 3]) -> bool {
        let whole: usize = self.radii.iter().product();
        let offset = |axis: usize| voxel[axis].abs_diff(self.center[axis]) * whole / self.radii[axis];
        (0..3).map(|axis| offset(axis).pow(2)).sum::<usize>() <= whole.pow(2)
    }
}
