//! Segments a scan with a trained model: `cargo run --example predict -- RUN SCAN OUT`.
//!
//! Without arguments it first trains a tiny network on synthetic phantoms for a few steps.

#![allow(clippy::print_stdout, reason = "an example prints")]

mod support;

use std::{env, path::Path};

use bipvl::prelude::*;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Everything that prediction takes.
fn predict(run: &Path, scan: &Path, out: &Path) -> Result<()> {
    let model = TrainedModel::open(run)?;
    let device = DeviceKind::Cpu.open()?;
    let predictor = model.predictor(model.config.infer, &device)?;
    let segmentation = predictor.predict_files(&[scan.to_owned()], &mut ignore_progress)?;
    segmentation.write(out)?;
    for (index, segment) in segmentation.segments().iter().enumerate() {
        let voxels = segmentation.mask(index).voxels().iter().filter(|is_inside| **is_inside).count();
        println!("{}: {voxels} voxels", segment.name);
    }
    Ok(())
}

fn main() -> Result<()> {
    let args: Vec<String> = env::args().skip(1).collect();
    if let [run, scan, out] = &args[..] {
        return predict(run.as_ref(), scan.as_ref(), out.as_ref());
    }
    let demo = tempfile::tempdir()?;
    let (run, scan) = support::train_tiny_run(demo.path())?;
    predict(&run, &scan, &demo.path().join("segmentation.nii.gz"))
}
