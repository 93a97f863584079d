//! A tiny run on synthetic phantoms, for the examples.

use std::{
    fs,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use bipvl::{imaging::phantom, prelude::*};
use serde_json::json;

const SHAPE: [usize; 3] = [32; 3];
const SPACING: [f64; 3] = [4.0; 3];
const CASES: u64 = 4;
const CONFIG: &str = concat!(
    include_str!("tiny_model.toml"),
    r#"
[data]
fold = "0/2"

[preprocess]
spacing = [4.0, 4.0, 4.0]
patch_size = [32, 32, 32]

[train]
max_steps = 4
batch_size = 1
warmup_steps = 0
val_every_n_steps = 4
checkpoint_every_n_steps = 4
"#
);

/// Writes a data set, trains for four steps, and returns the run directory and a scan.
pub(crate) fn train_tiny_run(dir: &Path) -> Result<(PathBuf, PathBuf), Box<dyn std::error::Error>> {
    let data = dir.join("data");
    write_dataset(&data)?;
    let dataset = Dataset::open(&data)?;
    let descriptions: String = dataset.label_schema.names().iter().map(|name| description(name)).collect();
    let config = Config::from_toml(CONFIG, Path::new("config.toml"), &dataset)?;
    let descriptions = Descriptions::parse(&descriptions, Path::new("descriptions.toml"))?;
    let spec = RunSpec::new(config, descriptions, &dataset)?;
    let run = RunDir::create(&dir.join("run"), &spec, &dataset)?;
    let split = run.split(&dataset)?;
    let options = TrainOptions::new(DeviceKind::Cpu.open()?);
    let setup = run.train_setup(&dataset, &split, options, &|_| ControlFlow::Continue(()))?;
    train(&setup, run.start(), &mut |event| {
        if let TrainEvent::Step { step, loss, .. } = event {
            println!("step {step}: loss {:.3}", loss.total);
        }
        ControlFlow::Continue(())
    })?;
    Ok((run.dir().to_owned(), split.val[0].images[0].clone()))
}

/// A data set in the layout of the Medical Segmentation Decathlon.
fn write_dataset(dir: &Path) -> Result<(), Box<dyn std::error::Error>> {
    for folder in ["imagesTr", "labelsTr"] {
        fs::create_dir_all(dir.join(folder))?;
    }
    let mut cases = Vec::new();
    for seed in 0..CASES {
        let phantom = phantom::draw(seed, SHAPE, SPACING);
        let (image, label) = (format!("imagesTr/case_{seed}.nii"), format!("labelsTr/case_{seed}.nii"));
        write(&dir.join(&image), &phantom.image)?;
        write(&dir.join(&label), &phantom.labels)?;
        cases.push(json!({ "image": image, "label": label }));
    }
    let classes = phantom::CLASSES.iter().map(|(name, label)| (label.to_string(), json!(name)));
    let labels: serde_json::Map<_, _> =
        std::iter::once(("0".to_owned(), json!("background"))).chain(classes).collect();
    let manifest =
        json!({ "name": "Phantoms", "modality": { "0": "CT" }, "labels": labels, "training": cases });
    Ok(fs::write(dir.join("dataset.json"), manifest.to_string())?)
}

fn description(name: &str) -> String {
    format!(
        "[[class]]\nname = \"{name}\"\ntitle = \"The {name} in a CT image\"\n\n[class.concepts]\n\
         shape = \"A {name}.\"\nlocation = \"Where the {name} is.\"\n\n"
    )
}
