//! Scores a label map against a reference: `cargo run --example metrics`.

#![allow(clippy::print_stdout, reason = "an example prints")]

use bipvl::{imaging::phantom, prelude::*};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> Result<()> {
    // Two similar phantoms stand for a prediction and a reference.
    let reference = phantom::draw(1, [48; 3], [2.0; 3]).labels;
    let prediction = LabelMap::new(shift(&reference), reference.grid().clone());

    let classes: Vec<LabelClass> =
        phantom::CLASSES.iter().map(|(name, label)| LabelClass::new(*name, vec![*label])).collect();
    let config = MetricConfig { tolerance_mm: 2.0, ..MetricConfig::default() };
    let case = score_case("case", &prediction, &reference, &classes, &config)?;
    for (class, scores) in &case.classes {
        println!("{class}: Dice {:?}, HD95 {:?} mm, NSD {:?}", scores.dice, scores.hd95_mm, scores.nsd);
    }
    Ok(())
}

/// The labels, one voxel further along x.
fn shift(labels: &LabelMap) -> ndarray::Array3<u16> {
    let mut shifted = ndarray::Array3::zeros(labels.voxels().dim());
    let last = labels.voxels().dim().0 - 1;
    shifted.slice_mut(ndarray::s![1.., .., ..]).assign(&labels.voxels().slice(ndarray::s![..last, .., ..]));
    shifted
}
