//! From a CT file to a label file: read, orient, resample, windows, stitch, decide, restore, write.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use bipvl::{
    data::{Modality, PreprocessConfig},
    infer::{Blending, InferConfig, Predictor, PredictorInput},
    nn::Preset,
};
use bipvl_imaging::{
    nifti::{write_image, write_labels},
    phantom,
};
use burn::tensor::Device;
use tempfile::TempDir;

use super::{Work, source::Source, text::Scene};

/// Of the drawn CT.
const SHAPE: [usize; 3] = [256, 256, 160];
const QUICK_SHAPE: [usize; 3] = [64, 64, 40];
const SPACING: [f64; 3] = [1.0, 1.0, 2.0];
const OVERLAP: f64 = 0.25;

/// One CT with the model that segments it, and a folder for both files.
pub(super) struct Segmentation {
    predictor: Predictor,
    ct: PathBuf,
    folder: TempDir,
}

impl Segmentation {
    pub(super) fn new(source: &Source, quick: bool) -> Result<Self> {
        let folder = tempfile::tempdir().context("a temporary folder")?;
        let mut scene = Scene::narrow();
        if quick {
            scene.patch = Preset::Tiny.patch();
        }
        let ct = match &source.input {
            Some(path) => path.clone(),
            None => draw(folder.path(), if quick { QUICK_SHAPE } else { SHAPE })?,
        };
        Ok(Self { predictor: predictor(source, &scene)?, ct, folder })
    }

    fn labels(&self) -> PathBuf {
        self.folder.path().join("labels.nii.gz")
    }
}

fn draw(folder: &Path, shape: [usize; 3]) -> Result<PathBuf> {
    let path = folder.join("ct.nii.gz");
    write_image(&path, &phantom::draw(0, shape, SPACING).image)?;
    Ok(path)
}

fn predictor(source: &Source, scene: &Scene) -> Result<Predictor> {
    let device = Device::flex();
    Ok(Predictor::new(PredictorInput {
        model: scene.network(source, &device)?,
        text: &scene.text(&device),
        recipe: PreprocessConfig::for_modality(Modality::Ct, scene.patch),
        channels: 1,
        labeling: scene.labeling(),
        config: InferConfig { overlap: OVERLAP, blending: Blending::Gaussian, ..InferConfig::default() },
        device,
    }))
}

impl Work for Segmentation {
    fn run(&mut self) -> Result<()> {
        let labels = self.predictor.predict_files(std::slice::from_ref(&self.ct), &mut |_| ())?;
        Ok(write_labels(&self.labels(), &labels)?)
    }

    fn save(&self, path: &Path) -> Result<()> {
        fs::copy(self.labels(), path).with_context(|| path.display().to_string())?;
        Ok(())
    }

    /// A scan is segmented once, by a process that has just started.
    fn warms_up(&self) -> bool {
        false
    }
}
