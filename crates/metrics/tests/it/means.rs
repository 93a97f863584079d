//! Means over cases with missed classes, false alarms and absent classes.

use bipvl_imaging::LabelMap;
use bipvl_metrics::{CaseScores, ClassScores, Convention, MaskPresence, MetricConfig, Scores};

use crate::{assert_close, mask, score_liver};

/// A few f64 operations on numbers below 1000.
const ROUNDING: f64 = 1e-10;

const SHAPE: [usize; 3] = [3, 4, 12];

fn absent() -> LabelMap {
    mask(SHAPE, [1.0; 3], |_| false)
}

fn voxel_at(z: usize) -> LabelMap {
    mask(SHAPE, [1.0; 3], |voxel| voxel == [1, 1, z])
}

/// A match, a voxel 4 mm off, a missed class, a false alarm and an absent class.
fn five_cases(convention: Convention) -> Scores {
    let config = MetricConfig { convention, ..MetricConfig::default() };
    let pairs = [
        (voxel_at(5), voxel_at(5)),
        (voxel_at(9), voxel_at(5)),
        (absent(), voxel_at(5)),
        (voxel_at(5), absent()),
        (absent(), absent()),
    ];
    let cases = pairs.iter().map(|(prediction, reference)| score_liver(prediction, reference, &config));
    Scores::new(&config, cases.collect())
}

#[test]
fn a_missed_class_counts_as_dice_0_and_a_false_alarm_follows_the_convention() {
    // Dice is 1, 0, 0 of the first three cases, then undefined or 0, then undefined or 1.
    let expected = [
        (Convention::Monai, 1.0 / 3.0, 3),
        (Convention::DeepMind, 1.0 / 4.0, 4),
        (Convention::MetricsReloaded, 2.0 / 5.0, 5),
        (Convention::Medpy, 2.0 / 5.0, 5),
    ];
    for (convention, mean, cases) in expected {
        let scores = five_cases(convention);
        let dice = scores.mean["liver"].dice;
        assert_close(dice.mean, mean, ROUNDING);
        assert_eq!((dice.cases, dice.missed, dice.penalized_mean), (cases, 1, None), "{convention}");
        assert_eq!(scores.mean_dice(), dice.mean);
    }
}

#[test]
fn distances_average_measured_cases_and_report_a_penalized_mean() {
    // Measured are 0 mm and 4 mm; the diagonal of 3 x 4 x 12 mm is 13 mm.
    for convention in [Convention::Monai, Convention::Medpy] {
        let summary = five_cases(convention).mean["liver"];
        for mean in [summary.hd95_mm, summary.assd_mm] {
            assert_close(mean.mean, 2.0, ROUNDING);
            assert_close(mean.std, 2.0, ROUNDING);
            assert_close(mean.penalized_mean, 17.0 / 3.0, ROUNDING);
            assert_eq!((mean.cases, mean.missed), (2, 1), "{convention}");
        }
    }
}

#[test]
fn an_absent_class_has_distance_0_under_metrics_reloaded() {
    let hd95_mm = five_cases(Convention::MetricsReloaded).mean["liver"].hd95_mm;
    assert_close(hd95_mm.mean, 4.0 / 3.0, ROUNDING);
    assert_close(hd95_mm.penalized_mean, 17.0 / 4.0, ROUNDING);
}

#[test]
fn nsd_of_a_missed_class_and_of_a_false_alarm_is_0() {
    // 1, 0, 0, 0; then undefined, but 1 under Metrics Reloaded.
    for convention in [Convention::Monai, Convention::Medpy] {
        let nsd = five_cases(convention).mean["liver"].nsd;
        assert_close(nsd.mean, 0.25, ROUNDING);
        assert_eq!((nsd.cases, nsd.missed), (4, 1));
    }
    assert_close(five_cases(Convention::MetricsReloaded).mean["liver"].nsd.mean, 0.4, ROUNDING);
}

#[test]
fn a_class_missed_in_every_case_has_only_a_penalized_mean() {
    // The diagonal of 240 x 240 x 155 voxels of 1 mm, which BraTS gives for a missed region.
    let case = CaseScores {
        case: "brats".to_owned(),
        classes: [("tumor".to_owned(), missed())].into(),
        diagonal_mm: Some(139_225_f64.sqrt()),
    };
    let scores = Scores::new(&MetricConfig::default(), vec![case]);
    let hd95_mm = scores.mean["tumor"].hd95_mm;
    assert_eq!((hd95_mm.mean, hd95_mm.std, hd95_mm.cases, hd95_mm.missed), (None, None, 0, 1));
    assert_close(hd95_mm.penalized_mean, 373.13, 5e-3);
    assert_eq!(scores.mean_dice(), Some(0.0));
}

#[test]
fn the_diagonal_is_that_of_the_grid_in_millimeters() {
    let empty = mask([3, 2, 6], [1.0, 2.0, 2.0], |_| false);
    assert_eq!(score_liver(&empty, &empty, &MetricConfig::default()).diagonal_mm, Some(13.0));
}

#[test]
fn the_penalized_mean_is_undefined_without_a_known_diagonal() {
    let classes = [("tumor".to_owned(), missed())].into();
    let case = CaseScores { case: "from_json".to_owned(), classes, diagonal_mm: None };
    let hd95_mm = Scores::new(&MetricConfig::default(), vec![case]).mean["tumor"].hd95_mm;
    assert_eq!((hd95_mm.missed, hd95_mm.penalized_mean), (1, None));
}

#[test]
fn the_mean_dice_weights_classes_equally_and_leaves_out_undefined_ones() {
    let with = |dice: Option<f64>| ClassScores { dice, presence: MaskPresence::Both, ..missed() };
    let case = |case: &str, classes: &[(&str, ClassScores)]| CaseScores {
        case: case.to_owned(),
        classes: classes.iter().map(|(name, scores)| ((*name).to_owned(), *scores)).collect(),
        diagonal_mm: None,
    };
    let cases = vec![
        case("a", &[("liver", with(Some(1.0))), ("spleen", with(Some(0.5)))]),
        case("b", &[("liver", missed()), ("bladder", with(None))]),
    ];
    let scores = Scores::new(&MetricConfig::default(), cases);
    // Liver ½, spleen ½ from one case, bladder none.
    assert_eq!(scores.mean_dice(), Some(0.5));
    assert!(scores.mean.keys().eq(["liver", "spleen", "bladder"]));
    assert_eq!(scores.mean["bladder"].dice.mean, None);
    assert_eq!(Scores::new(&MetricConfig::default(), Vec::new()).mean_dice(), None);
}

#[test]
fn the_confidence_interval_is_that_of_the_bootstrap_and_needs_two_cases() {
    let case = |case: &str, dice: f64| CaseScores {
        case: case.to_owned(),
        classes: [(
            "liver".to_owned(),
            ClassScores { dice: Some(dice), presence: MaskPresence::Both, ..missed() },
        )]
        .into(),
        diagonal_mm: None,
    };
    let ci95 = |dice: &[f64]| {
        let cases = dice.iter().map(|dice| case("a", *dice)).collect();
        Scores::new(&MetricConfig::default(), cases).mean["liver"].dice.ci95
    };
    // Two of two cases drawn alike have probability ¼ each, so the central 95 % reach from one case to the other.
    assert_eq!(ci95(&[0.5, 1.0]), Some([0.5, 1.0]));
    assert_eq!(ci95(&[0.75; 4]), Some([0.75; 2]));
    assert_eq!(ci95(&[0.5]), None);
}

fn missed() -> ClassScores {
    ClassScores {
        dice: Some(0.0),
        hd95_mm: None,
        nsd: Some(0.0),
        assd_mm: None,
        presence: MaskPresence::OnlyReference,
    }
}
