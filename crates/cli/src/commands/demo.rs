//! `bipvl demo`: draws phantoms, trains a small network, predicts new phantoms, evaluates, writes the report.

mod ambiguous;

use std::{fs, path::Path};

use anyhow::{Context, Result};
use bipvl::device::{DeviceKind, Precision};
use bipvl_imaging::phantom::{self, Phantom};
use bipvl_io::atomic_write;
use bipvl_metrics::Convention;
use serde_json::json;

use super::{evaluate, predict, train};
use crate::{
    args::{DemoArgs, EvaluateArgs, PredictArgs, TrainArgs},
    recipes::PHANTOM,
};

/// Phantoms to learn from; a sixth of them validate.
const PHANTOMS: usize = 24;
/// New phantoms to segment at the end.
const NEW_PHANTOMS: usize = 4;
const SHAPE: [usize; 3] = [48, 48, 32];
const SPACING: [f64; 3] = [4.0, 4.0, 5.0];
/// Updates that are enough for [`PHANTOMS`].
const STEPS: usize = 150;

/// The whole story on drawn bodies.
pub(crate) fn run(args: &DemoArgs) -> Result<()> {
    if args.ambiguous {
        return ambiguous::run(args);
    }
    let folder = &args.out;
    tracing::info!("1 of 4: drawing {} phantoms in {}", PHANTOMS + NEW_PHANTOMS, folder.display());
    let set = Set {
        name: "Phantoms",
        classes: &phantom::CLASSES,
        cases: PHANTOMS,
        new_cases: NEW_PHANTOMS,
        id: |case| format!("phantom_{case:03}"),
    };
    set.write(&folder.join("data"), |seed| phantom::draw(seed, SHAPE, SPACING))?;

    tracing::info!("2 of 4: training on organs of equal density that differ in place or shape");
    let steps = Some(args.steps.unwrap_or(STEPS));
    learn(folder, PHANTOM.descriptions, PHANTOM.config, steps, Some("0/6"))?;

    tracing::info!("3 of 4: segmenting {NEW_PHANTOMS} phantoms that training never saw");
    segment(folder, "predictions", None)?;

    tracing::info!("4 of 4: scoring them");
    score(folder, "predictions", "scores.json")?;
    tracing::info!("open {} in a browser", folder.join("run/report.html").display());
    Ok(())
}

/// Trains on `data` into `run`; a run of an earlier demo is replaced.
fn learn(
    folder: &Path,
    descriptions: &str,
    config: &str,
    steps: Option<usize>,
    val_fold: Option<&str>,
) -> Result<()> {
    let path = |name: &str| folder.join(name);
    atomic_write(&path("descriptions.toml"), descriptions.as_bytes())?;
    atomic_write(&path("config.toml"), config.as_bytes())?;
    let run_folder = path("run");
    if run_folder.exists() {
        fs::remove_dir_all(&run_folder).with_context(|| run_folder.display().to_string())?;
    }
    train::run(&TrainArgs {
        data: path("data"),
        recipe: None,
        descriptions: Some(path("descriptions.toml")),
        out: run_folder,
        model_size: None,
        config: Some(path("config.toml")),
        pretrained_text_encoder: None,
        pretrained_backbone: None,
        val_fold: val_fold.map(ToOwned::to_owned),
        folds: None,
        steps,
        seed: None,
        max_minutes: None,
        memory_budget: None,
        resume: false,
        device: DeviceKind::Cpu,
        precision: Precision::Float32,
    })
}

/// Segments the new phantoms into the folder `predictions`.
fn segment(folder: &Path, predictions: &str, case_descriptions: Option<&str>) -> Result<()> {
    predict::run(&PredictArgs {
        model: vec![folder.join("run")],
        out: folder.join(predictions),
        inputs: vec![folder.join("data/imagesTs")],
        classes: Vec::new(),
        descriptions: None,
        synonyms: None,
        case_descriptions: case_descriptions.map(|name| folder.join(name)),
        overlap: None,
        blend_mode: None,
        tta_mirror_axes: None,
        keep_largest_component: None,
        no_skip_constant_patches: false,
        device: DeviceKind::Cpu,
        precision: Precision::Float32,
    })
}

/// Scores the folder `predictions` into the file `scores`.
fn score(folder: &Path, predictions: &str, scores: &str) -> Result<()> {
    evaluate::run(&EvaluateArgs {
        pred: folder.join(predictions),
        reference: folder.join("data/labelsTs"),
        json: folder.join(scores),
        convention: Convention::Monai,
        tolerance_mm: 2.0,
        dataset: None,
    })
}

/// A data set of phantoms: some to learn from, some that are new.
struct Set<'a> {
    name: &'a str,
    classes: &'a [(&'a str, u16)],
    cases: usize,
    new_cases: usize,
    id: fn(usize) -> String,
}

impl Set<'_> {
    /// Writes the phantoms of the seeds from 0 on in the layout of the Medical Segmentation Decathlon.
    fn write(&self, folder: &Path, draw: impl Fn(u64) -> Phantom) -> Result<()> {
        for (part, seeds) in self.parts() {
            let [images, labels] = ["images", "labels"].map(|kind| folder.join(format!("{kind}{part}")));
            for subfolder in [&images, &labels] {
                fs::create_dir_all(subfolder).with_context(|| subfolder.display().to_string())?;
            }
            for seed in seeds {
                let (phantom, name) = (draw(seed as u64), format!("{}.nii.gz", (self.id)(seed)));
                bipvl_imaging::write(&images.join(&name), &phantom.image)?;
                bipvl_imaging::write(&labels.join(&name), &phantom.labels)?;
            }
        }
        let text = serde_json::to_string_pretty(&self.about())?;
        Ok(atomic_write(&folder.join("dataset.json"), text.as_bytes())?)
    }

    /// The end of the names of their folders, and their seeds.
    fn parts(&self) -> [(&'static str, std::ops::Range<usize>); 2] {
        [("Tr", 0..self.cases), ("Ts", self.cases..self.cases + self.new_cases)]
    }

    fn about(&self) -> serde_json::Value {
        let classes = self.classes.iter().map(|(name, label)| (label.to_string(), json!(name)));
        let labels: serde_json::Map<_, _> =
            std::iter::once(("0".to_owned(), json!("background"))).chain(classes).collect();
        let cases = (0..self.cases).map(|seed| {
            let name = format!("{}.nii.gz", (self.id)(seed));
            json!({ "image": format!("imagesTr/{name}"), "label": format!("labelsTr/{name}") })
        });
        json!({
            "name": self.name,
            "modality": { "0": "CT" },
            "labels": labels,
            "numTraining": self.cases,
            "training": cases.collect::<Vec<_>>(),
        })
    }
}
