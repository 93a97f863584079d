//! From a CT file to a label file: read, reorient, resample, sliding window, argmax, restore, write.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use bipvl::{
    data::{Modality, PreprocessConfig},
    infer::{BlendMode, InferConfig, Predictor, PredictorInput, ignore_progress},
    nn::ModelSize,
};
use bipvl_imaging::phantom;
use burn::tensor::Device;
use tempfile::TempDir;

use super::{fixture::Fixture, inputs::Inputs, text_training::label_schema, workload::Workload};

/// Shape of the synthetic CT.
const SHAPE: [usize; 3] = [256, 256, 160];
const SMOKE_TEST_SHAPE: [usize; 3] = [64, 64, 40];
const SPACING: [f64; 3] = [1.0, 1.0, 2.0];
const OVERLAP: f64 = 0.25;

/// A predictor, its CT file, and a folder for the files.
pub(super) struct SegmentFile {
    predictor: Predictor,
    ct: PathBuf,
    folder: TempDir,
}

impl SegmentFile {
    pub(super) fn new(inputs: &Inputs, smoke_test: bool) -> Result<Self> {
        let folder = tempfile::tempdir().context("a temporary folder")?;
        let mut fixture = Fixture::narrow();
        if smoke_test {
            fixture.patch = ModelSize::Tiny.patch();
        }
        let ct = match &inputs.input {
            Some(path) => path.clone(),
            None => write_phantom(folder.path(), if smoke_test { SMOKE_TEST_SHAPE } else { SHAPE })?,
        };
        Ok(Self { predictor: predictor(inputs, &fixture)?, ct, folder })
    }

    fn labels(&self) -> PathBuf {
        self.folder.path().join("labels.nii.gz")
    }
}

fn write_phantom(folder: &Path, shape: [usize; 3]) -> Result<PathBuf> {
    let path = folder.join("ct.nii.gz");
    bipvl_imaging::write(&path, &phantom::draw(0, shape, SPACING).image)?;
    Ok(path)
}

fn predictor(inputs: &Inputs, fixture: &Fixture) -> Result<Predictor> {
    let device = Device::flex();
    Ok(Predictor::new(PredictorInput {
        model: fixture.network(inputs, &device)?,
        text: &fixture.text(&device),
        preprocess: PreprocessConfig::for_modality(Modality::Ct, fixture.patch),
        channels: 1,
        label_schema: label_schema(fixture.classes),
        config: InferConfig { overlap: OVERLAP, blend_mode: BlendMode::Gaussian, ..InferConfig::default() },
        device,
    }))
}

impl Workload for SegmentFile {
    fn run(&mut self) -> Result<()> {
        let image = std::slice::from_ref(&self.ct);
        let segmentation = self.predictor.predict_files(image, &mut ignore_progress)?;
        Ok(segmentation.write(&self.labels())?)
    }

    fn save(&self, path: &Path) -> Result<()> {
        fs::copy(self.labels(), path).with_context(|| path.display().to_string())?;
        Ok(())
    }

    /// In practice a freshly started process segments one scan.
    fn needs_warm_up(&self) -> bool {
        false
    }
}
