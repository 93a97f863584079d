//! Dice, HD95 and NSD of two label maps.

use std::path::Path;

use anyhow::Result;
use bipvl::nn::weights::{HostTensor, save};
use bipvl_imaging::{Grid, LabelClass, LabelMap};
use bipvl_metrics::{CaseScores, MetricConfig, score_case};
use ndarray::Array3;

use super::{fixture::CLASSES, inputs::Inputs, workload::Workload};

const SHAPE: [usize; 3] = [256, 256, 160];
const SMOKE_TEST_SHAPE: [usize; 3] = [48, 48, 32];
const SPACING: [f64; 3] = [1.0, 1.0, 2.0];
/// Grid of classes along x and y.
const CELLS: [usize; 2] = [5, 3];
/// Semi-axes of a class as fractions of the shape.
const RADII: [f64; 3] = [0.08, 0.13, 0.35];
/// Offset of the prediction from the reference in voxels.
const SHIFT: [usize; 3] = [2, 1, 1];

/// A pair of label maps and its scores.
pub(super) struct Scoring {
    prediction: LabelMap,
    reference: LabelMap,
    classes: Vec<LabelClass>,
    scores: Option<CaseScores>,
}

impl Scoring {
    pub(super) fn new(inputs: &Inputs, smoke_test: bool) -> Result<Self> {
        let shape = if smoke_test { SMOKE_TEST_SHAPE } else { SHAPE };
        let label_map = |name, shift: [usize; 3]| -> Result<LabelMap> {
            let voxels = match inputs.tensor(name, &shape)? {
                Some(values) => {
                    Array3::from_shape_fn(shape, |(x, y, z)| values[(x * shape[1] + y) * shape[2] + z] as u16)
                }
                None => Array3::from_shape_fn(shape, |(x, y, z)| {
                    class_at(std::array::from_fn(|axis| {
                        ([x, y, z][axis] + shift[axis]) as f64 / shape[axis] as f64
                    }))
                }),
            };
            Ok(LabelMap::new(voxels, Grid::with_spacing(shape, SPACING)))
        };
        let (prediction, reference) = (label_map("prediction", SHIFT)?, label_map("reference", [0; 3])?);
        let class = |label: u16| LabelClass::new(label.to_string(), vec![label]);
        let classes = (1..=CLASSES as u16).map(class).collect();
        Ok(Self { prediction, reference, classes, scores: None })
    }
}

/// Label at a position given as fractions of the shape: one ellipsoid per cell.
fn class_at(place: [f64; 3]) -> u16 {
    let cell: [usize; 2] =
        std::array::from_fn(|axis| ((place[axis] * CELLS[axis] as f64) as usize).min(CELLS[axis] - 1));
    let middle = |axis: usize| cell.get(axis).map_or(0.5, |cell| (*cell as f64 + 0.5) / CELLS[axis] as f64);
    let distance: f64 = (0..3).map(|axis| ((place[axis] - middle(axis)) / RADII[axis]).powi(2)).sum();
    if distance < 1.0 { (1 + cell[0] * CELLS[1] + cell[1]) as u16 } else { 0 }
}

impl Workload for Scoring {
    fn run(&mut self) -> Result<()> {
        let settings = MetricConfig::default();
        self.scores = Some(score_case("pair", &self.prediction, &self.reference, &self.classes, &settings)?);
        Ok(())
    }

    fn save(&self, path: &Path) -> Result<()> {
        let scores = self.scores.iter().flat_map(|scores| scores.classes.values());
        let column = |score: Option<f64>| score.map_or(f32::NAN, |score| score as f32);
        let values = scores.flat_map(|class| [class.dice, class.hd95_mm, class.nsd].map(column)).collect();
        let scores = HostTensor { shape: vec![CLASSES, 3], values };
        Ok(save(path, &[("scores".to_owned(), scores)].into(), &[])?)
    }
}
