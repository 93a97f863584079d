//! Scores of empty masks under each convention, as in the published implementations.

use bipvl_imaging::LabelMap;
use bipvl_metrics::{ClassScores, Convention, MaskPresence};

use crate::{mask, score};

const PERFECT: [Option<f64>; 4] = [Some(1.0), Some(0.0), Some(1.0), Some(0.0)];
const UNDEFINED: [Option<f64>; 4] = [None; 4];
const ZERO_WITHOUT_DISTANCE: [Option<f64>; 4] = [Some(0.0), None, Some(0.0), None];

fn empty() -> LabelMap {
    mask([5, 4, 3], [1.0, 1.0, 2.0], |_| false)
}

fn block() -> LabelMap {
    mask([5, 4, 3], [1.0, 1.0, 2.0], |[x, y, _]| x < 2 && y > 1)
}

/// Dice, HD95, NSD, ASSD.
fn values(scores: ClassScores) -> [Option<f64>; 4] {
    [scores.dice, scores.hd95_mm, scores.nsd, scores.assd_mm]
}

fn table(convention: Convention) -> [(LabelMap, LabelMap, MaskPresence, [Option<f64>; 4]); 3] {
    let (both_empty, ref_empty) = match convention {
        Convention::Monai => (UNDEFINED, [None, None, Some(0.0), None]),
        Convention::DeepMind => (UNDEFINED, ZERO_WITHOUT_DISTANCE),
        Convention::MetricsReloaded => (PERFECT, ZERO_WITHOUT_DISTANCE),
        Convention::Medpy => ([Some(1.0), None, None, None], ZERO_WITHOUT_DISTANCE),
    };
    [
        (empty(), empty(), MaskPresence::Neither, both_empty),
        (empty(), block(), MaskPresence::OnlyReference, ZERO_WITHOUT_DISTANCE),
        (block(), empty(), MaskPresence::OnlyPrediction, ref_empty),
    ]
}

#[test]
fn empty_masks_follow_the_convention() {
    for convention in Convention::ALL {
        for (prediction, reference, presence, expected) in table(convention) {
            let scores = score(convention, &prediction, &reference);
            assert_eq!(scores.presence, presence, "{convention}");
            assert_eq!(values(scores), expected, "{convention}, {presence:?}");
        }
    }
}

#[test]
fn a_missed_class_has_dice_0_under_every_convention() {
    for convention in Convention::ALL {
        assert_eq!(score(convention, &empty(), &block()).dice, Some(0.0), "{convention}");
    }
}

#[test]
fn a_volume_without_voxels_contains_no_class() {
    let nothing = mask([0, 4, 3], [1.0; 3], |_| true);
    for convention in Convention::ALL {
        assert_eq!(score(convention, &nothing, &nothing).presence, MaskPresence::Neither);
    }
}
