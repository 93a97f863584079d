//! `bipvl demo`: draws phantoms, trains `tiny`, predicts new phantoms, evaluates, writes the report.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use bipvl::device::DeviceKind;
use bipvl_metrics::Convention;
use bipvl_volume::{
    nifti::{write_image, write_labels},
    phantom, replace_file,
};
use serde_json::json;

use super::{evaluate, predict, train};
use crate::{
    args::{DemoArgs, EvaluateArgs, PredictArgs, TrainArgs},
    experiments::PHANTOM,
};

/// Phantoms to learn from; a sixth of them validate.
const PHANTOMS: u64 = 24;
/// New phantoms to segment at the end.
const NEW_PHANTOMS: u64 = 4;
const SHAPE: [usize; 3] = [48, 48, 32];
const SPACING: [f64; 3] = [4.0, 4.0, 5.0];

/// The whole story on drawn bodies.
pub(crate) fn run(args: &DemoArgs) -> Result<()> {
    let path = |name: &str| args.out.join(name);
    tracing::info!("1 of 4: drawing {} phantoms in {}", PHANTOMS + NEW_PHANTOMS, args.out.display());
    draw_dataset(&path("data"))?;
    replace_file(&path("descriptions.toml"), PHANTOM.descriptions.as_bytes())?;
    replace_file(&path("config.toml"), PHANTOM.config.as_bytes())?;

    tracing::info!(
        "2 of 4: training on organs that differ only in what the text says of them, place and shape"
    );
    let run_folder = path("run");
    if run_folder.exists() {
        fs::remove_dir_all(&run_folder).with_context(|| run_folder.display().to_string())?;
    }
    train::run(&TrainArgs {
        data: path("data"),
        experiment: None,
        descriptions: Some(path("descriptions.toml")),
        out: run_folder.clone(),
        preset: None,
        config: Some(path("config.toml")),
        text_encoder: None,
        weights: None,
        val_fold: Some("0/6".to_owned()),
        folds: None,
        steps: Some(args.steps),
        seed: None,
        max_minutes: None,
        resume: false,
        device: DeviceKind::Cpu,
    })?;

    tracing::info!("3 of 4: segmenting {NEW_PHANTOMS} phantoms that training never saw");
    let predictions = path("predictions");
    predict::run(&PredictArgs {
        model: vec![run_folder.clone()],
        out: predictions.clone(),
        inputs: vec![path("data/imagesTs")],
        classes: Vec::new(),
        descriptions: None,
        synonyms: None,
        overlap: None,
        blending: None,
        mirror: None,
        every_patch: false,
        device: DeviceKind::Cpu,
    })?;

    tracing::info!("4 of 4: scoring them");
    evaluate::run(&EvaluateArgs {
        pred: predictions,
        reference: path("data/labelsTs"),
        json: path("scores.json"),
        convention: Convention::Monai,
        tolerance_mm: 2.0,
        dataset: None,
    })?;
    tracing::info!("open {} in a browser", run_folder.join("report.html").display());
    Ok(())
}

/// Writes phantoms in the layout of the Medical Segmentation Decathlon.
fn draw_dataset(folder: &Path) -> Result<()> {
    let subfolders = ["imagesTr", "labelsTr", "imagesTs", "labelsTs"].map(|name| folder.join(name));
    for subfolder in &subfolders {
        fs::create_dir_all(subfolder).with_context(|| subfolder.display().to_string())?;
    }
    let [images, labels, new_images, new_labels] = &subfolders;
    for seed in 0..PHANTOMS + NEW_PHANTOMS {
        let phantom = phantom::draw(seed, SHAPE, SPACING);
        let (images, labels) = if seed < PHANTOMS { (images, labels) } else { (new_images, new_labels) };
        let name = file_name(seed);
        write_image(&images.join(&name), &phantom.image)?;
        write_labels(&labels.join(&name), &phantom.labels)?;
    }
    let classes = phantom::CLASSES.iter().map(|(name, label)| (label.to_string(), json!(name)));
    let labels: serde_json::Map<_, _> =
        std::iter::once(("0".to_owned(), json!("background"))).chain(classes).collect();
    let cases: Vec<_> = (0..PHANTOMS)
        .map(|seed| {
            let name = file_name(seed);
            json!({ "image": format!("imagesTr/{name}"), "label": format!("labelsTr/{name}") })
        })
        .collect();
    let description = json!({
        "name": "Phantoms",
        "modality": { "0": "CT" },
        "labels": labels,
        "numTraining": cases.len(),
        "training": cases,
    });
    let text = serde_json::to_string_pretty(&description)?;
    Ok(replace_file(&folder.join("dataset.json"), text.as_bytes())?)
}

fn file_name(seed: u64) -> String {
    format!("phantom_{seed:03}.nii.gz")
}
