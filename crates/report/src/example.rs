//! Drawn cases, their scores and a training log, for tests that look at a report.

use std::sync::LazyLock;

use bipvl_imaging::{Grid, LabelClass, LabelMap, Volume};
use bipvl_metrics::{CaseScores, ClassScores, MaskPresence, MetricConfig, Scores};
use indexmap::IndexMap;
use ndarray::Array3;

use crate::Report;
use crate::history::{History, LossRecord, StepRecord, ValidationRecord};
use crate::overlay::{Overlay, OverlayCase};

/// A case in RAS.
pub(crate) struct Example {
    pub(crate) image: Volume<f32>,
    pub(crate) prediction: LabelMap,
    pub(crate) reference: LabelMap,
}

const SHAPE: [usize; 3] = [64, 48, 20];
const SPACING: [f64; 3] = [5.0, 5.0, 9.0];

/// Center and radii in shares of the shape, and intensity, of each class.
const ORGANS: [(&str, [f64; 3], [f64; 3], f32); 4] = [
    ("Liver", [0.66, 0.55, 0.60], [0.17, 0.24, 0.25], 110.0),
    ("Spleen", [0.24, 0.42, 0.66], [0.08, 0.13, 0.17], 125.0),
    ("Right kidney", [0.66, 0.26, 0.32], [0.07, 0.09, 0.2], 180.0),
    ("Gallbladder", [0.54, 0.70, 0.40], [0.05, 0.07, 0.12], 10.0),
];

/// Drawn once; the tests run in one process.
static OVERLAYS: LazyLock<Vec<Overlay>> = LazyLock::new(|| {
    let overlay = |name: &str, shift| {
        let Example { image, prediction, reference } = case(shift);
        let (image, prediction, reference) = (&image, &prediction, &reference);
        Overlay::draw(&OverlayCase { case: name, image, prediction, reference, classes: &classes() }).unwrap()
    };
    vec![overlay("abdomen_001", 1), overlay("abdomen_002", 3)]
});

pub(crate) fn class_names() -> Vec<String> {
    ORGANS.map(|organ| organ.0.to_owned()).to_vec()
}

pub(crate) fn classes() -> Vec<LabelClass> {
    (1..).zip(class_names()).map(|(label, name)| LabelClass::new(name, vec![label])).collect()
}

/// A body with four organs; the prediction is off by `shift` voxels along x and y.
pub(crate) fn case(shift: usize) -> Example {
    let grid = Grid::with_spacing(SHAPE, SPACING);
    let reference = labels(0.0);
    let prediction = labels(shift as f64);
    let body = |at| is_inside(at, [0.5, 0.5, 0.5], [0.46, 0.46, 2.0]);
    let spine = |at| is_inside(at, [0.5, 0.2, 0.5], [0.06, 0.08, 2.0]);
    let image = Array3::from_shape_fn(SHAPE, |(x, y, z)| {
        let at = [x, y, z].map(|index| index as f64);
        let texture = ((x * 7919 + y * 104_729 + z * 1_299_709) % 97) as f32 / 97.0 * 30.0 - 15.0;
        texture
            + match reference[[x, y, z]] {
                0 if !body(at) => -1000.0,
                0 if spine(at) => 350.0,
                0 => 40.0,
                label => ORGANS[usize::from(label) - 1].3,
            }
    });
    Example {
        image: Volume::new(image, grid.clone()),
        prediction: Volume::new(prediction, grid.clone()),
        reference: Volume::new(reference, grid),
    }
}

/// A report on three cases: one good, one with a missed class, one with a false alarm.
pub(crate) fn report() -> Report {
    let ok = |dice: f64| ClassScores {
        dice: Some(dice),
        hd95_mm: Some(30.0 * (1.0 - dice)),
        nsd: Some(dice * 0.9),
        assd_mm: Some(5.0 * (1.0 - dice)),
        presence: MaskPresence::Both,
    };
    let nothing = |presence, dice| ClassScores {
        dice,
        hd95_mm: None,
        nsd: Some(0.0).filter(|_| presence != MaskPresence::Neither),
        assd_mm: None,
        presence,
    };
    let scored = |case: &str, scores: [ClassScores; 4]| CaseScores {
        case: case.to_owned(),
        classes: class_names().into_iter().zip(scores).collect::<IndexMap<_, _>>(),
        diagonal_mm: Some(400.0),
    };
    let cases = vec![
        scored("abdomen_001", [ok(0.96), ok(0.95), ok(0.93), ok(0.82)]),
        scored(
            "abdomen_002",
            [ok(0.91), ok(0.88), ok(0.74), nothing(MaskPresence::OnlyReference, Some(0.0))],
        ),
        scored(
            "abdomen_003",
            [
                ok(0.95),
                ok(0.94),
                nothing(MaskPresence::Neither, None),
                nothing(MaskPresence::OnlyPrediction, None),
            ],
        ),
    ];
    let settings = MetricConfig::default();
    Report {
        title: "Abdomen <CT> & four organs".to_owned(),
        settings: [
            (
                "command",
                "bipvl evaluate --predictions predictions --references references --report report.html",
            ),
            ("preset", "small"),
            ("parameters", "12 345 678"),
            ("seed", "42"),
            ("time", "1 h 12 min"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec(),
        classes: class_names(),
        scores: Scores::new(&settings, cases),
        histories: vec![history()],
        overlays: OVERLAYS.clone(),
        concepts: None,
    }
}

/// Two thousand steps with falling losses, and a validation after every hundred.
fn history() -> History {
    let noise = |step: u64| ((step * 7919) % 101) as f64 / 101.0 - 0.5;
    let fall = |step: u64, rate: f64| (-(step as f64) / rate).exp();
    let loss = |step| {
        let segmentation = 0.15 + 1.4 * fall(step, 400.0) + 0.2 * noise(step);
        let class_embedding = 0.1 + 0.5 * fall(step, 250.0) + 0.05 * noise(step + 5);
        let alignment = 0.6 + 2.0 * fall(step, 700.0) + 0.3 * noise(step + 9);
        LossRecord {
            total: Some(segmentation + class_embedding + 0.5 * alignment),
            segmentation: Some(segmentation),
            class_embedding: Some(class_embedding),
            alignment: Some(alignment),
        }
    };
    let validation = |index: u64| {
        let dice = |class: usize| {
            (0.95 - 0.04 * class as f64) * (1.0 - fall(index * 100, 300.0 + 90.0 * class as f64))
                + 0.02 * noise(index)
        };
        ValidationRecord {
            step: index * 100,
            mean_dice: Some((0..4).map(dice).sum::<f64>() / 4.0),
            dice: class_names().into_iter().zip((0..4).map(|class| Some(dice(class)))).collect(),
        }
    };
    History {
        steps: (1..=2000).map(|step| StepRecord { step, loss: loss(step), seconds: None }).collect(),
        validations: (1..=20).map(validation).collect(),
    }
}

/// All organs, moved by `shift` voxels along x and y.
fn labels(shift: f64) -> Array3<u16> {
    Array3::from_shape_fn(SHAPE, |(x, y, z)| {
        let at = [x as f64 - shift, y as f64 + shift / 2.0, z as f64];
        (1..)
            .zip(ORGANS)
            .find_map(|(label, organ)| is_inside(at, organ.1, organ.2).then_some(label))
            .unwrap_or(0)
    })
}

/// Whether a voxel lies in the ellipsoid, whose center and radii are shares of the shape.
fn is_inside(at: [f64; 3], center: [f64; 3], radii: [f64; 3]) -> bool {
    (0..3).map(|axis| ((at[axis] / SHAPE[axis] as f64 - center[axis]) / radii[axis]).powi(2)).sum::<f64>()
        <= 1.0
}
