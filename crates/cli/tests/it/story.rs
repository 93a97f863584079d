//! The whole story through the program: train, predict, evaluate, inform.

use bipvl_imaging::{Affine, Grid, Orientation, Volume, phantom, probe, read, read_labels, reorient};
use ndarray::{Array3, s};
use serde_json::{Value, json};

use crate::scene::{CASES, SHAPE, SPACING, Scene, decathlon, new_phantom, placed, repeat_channels};

/// Trainable parameters of Swin UNETR version 2 with one input and 16 output channels, counted from the
/// published architecture (encoder and decoder).
const SWIN_UNETR_V2_PARAMETERS: u64 = 72_762_754;

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[track_caller]
pub(crate) fn assert_keys(value: &Value, expected: &[&str]) {
    let (mut found, mut expected) = (keys(value), expected.to_vec());
    found.sort_unstable();
    expected.sort_unstable();
    assert_eq!(found, expected);
}

#[test]
fn a_training_leaves_every_file_of_a_run() {
    let scene = Scene::new();
    let outcome = scene.train("run", &[]).succeeds();
    assert!(outcome.stdout.contains("right twin") && outcome.stdout.contains("Dice"), "{}", outcome.stdout);
    for name in [
        "config.toml",
        "descriptions.toml",
        "tokenizer.json",
        "log.jsonl",
        "best.safetensors",
        "last.safetensors",
        "scores.json",
        "scores.md",
        "dice.svg",
        "loss-total.svg",
        "report.html",
    ] {
        assert!(!scene.bytes(&format!("run/{name}")).is_empty(), "{name}");
    }
    let names = scene.names("run");
    assert_eq!(names.iter().filter(|name| name.starts_with("events.out.tfevents.")).count(), 1, "{names:?}");
    assert!(!names.iter().any(|name| name.contains("partial")), "{names:?}");
    assert_eq!(scene.names("run/cache").len() as u64, CASES);
    assert_eq!(scene.names("run/predictions").len(), 2, "the first of five folds of six cases has two");
    let log = scene.text("run/log.jsonl");
    let events: Vec<String> = log
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["event"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(events, ["step", "step", "checkpoint", "step", "step", "validation", "checkpoint"]);
    assert!(scene.text("run/report.html").contains("right twin"));
}

#[test]
fn scores_have_their_exact_form() {
    let scene = Scene::trained();
    let scores = scene.json("run/scores.json");
    assert_keys(&scores, &["convention", "tolerance_mm", "cases", "mean"]);
    assert_eq!(scores["convention"], "monai");
    assert_eq!(scores["tolerance_mm"], 2.0);
    let names = phantom::CLASSES.map(|(name, _)| name);
    let cases = scores["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 2);
    for case in cases {
        assert_keys(case, &["case", "classes"]);
        assert!(case["case"].as_str().unwrap().starts_with("case_"));
        assert_keys(&case["classes"], &names);
        for class in names {
            assert_keys(&case["classes"][class], &["dice", "hd95_mm", "nsd", "assd_mm", "presence"]);
            assert!(case["classes"][class]["presence"].is_string());
        }
    }
    assert_keys(&scores["mean"], &names);
    for class in names {
        assert_keys(&scores["mean"][class], &["dice", "hd95_mm", "nsd", "assd_mm"]);
        assert_keys(&scores["mean"][class]["dice"], &["mean", "std", "ci95", "cases", "missed"]);
    }
    assert!(!scene.text("run/scores.json").contains("-0.0"), "no share is a negative zero");
}

#[test]
fn a_file_and_a_folder_give_the_same_predictions_again_and_again() {
    let scene = Scene::trained();
    scene.write("scans/one.nii.gz", &new_phantom().image);
    scene.write("scans/two.nii", &phantom::draw(101, SHAPE, SPACING).image);
    let folder = scene.predict("scans").succeeds();
    assert!(folder.stdout.is_empty(), "{}", folder.stdout);
    assert_eq!(scene.names("predictions"), ["one.nii.gz", "two.nii"]);
    let first = scene.bytes("predictions/one.nii.gz");
    scene.predict("scans/one.nii.gz").succeeds();
    assert!(scene.bytes("predictions/one.nii.gz") == first);
    let labels = read_labels(&scene.path("predictions/one.nii.gz")).unwrap();
    assert!(labels.voxels().iter().all(|label| *label <= 4));
}

#[test]
fn air_is_seen_once_and_the_label_map_stays_the_same() {
    let scene = Scene::trained();
    // Something at both ends, so that the air between them is not cropped away.
    let mut voxels = Array3::from_elem([128, 32, 32], -1000.0);
    for x in [2, 125] {
        voxels.slice_mut(s![x, 4..28, 4..28]).fill(50.0);
    }
    scene.write("long.nii", &Volume::new(voxels, Grid::with_spacing([128, 32, 32], SPACING)));
    let outcome = scene.predict("long.nii").succeeds();
    assert!(outcome.stderr.contains("patches are constant and were computed once"), "{}", outcome.stderr);
    let shared = scene.bytes("predictions/long.nii");
    let arguments = [
        "predict",
        "--model",
        "run",
        "--out",
        "predictions",
        "--overwrite",
        "--no-skip-constant-patches",
        "long.nii",
    ];
    let outcome = scene.bipvl(&arguments).succeeds();
    assert_eq!(outcome.stderr, " INFO predictions/long.nii\n");
    assert!(scene.bytes("predictions/long.nii") == shared);
}

#[test]
fn a_prediction_lies_on_the_grid_of_its_scan_however_it_is_stored() {
    let scene = Scene::trained();
    let phantom = phantom::draw(100, [20, 24, 28], [6.5, 5.25, 4.75]).image;
    for orientation in ["RAS", "LPS", "PIR"] {
        let stored = reorient(&phantom, orientation.parse::<Orientation>().unwrap());
        // An origin of its own, so that no part of the affine is zero by chance.
        let mut affine: Affine = *stored.grid().affine();
        affine[(0, 3)] += 7.25;
        affine[(1, 3)] -= 3.5;
        let stored = placed(&stored, Grid::new(stored.grid().shape(), affine));
        scene.write(&format!("scans/{orientation}.nii.gz"), &stored);
    }
    scene.predict("scans").succeeds();
    for orientation in ["RAS", "LPS", "PIR"] {
        let scan = probe(&scene.path(&format!("scans/{orientation}.nii.gz"))).unwrap().grid;
        assert_eq!(Orientation::of(&scan).to_string(), orientation);
        let prediction = read_labels(&scene.path(&format!("predictions/{orientation}.nii.gz"))).unwrap();
        // Bit for bit: `Grid` compares its numbers without tolerance.
        assert_eq!(prediction.grid(), &scan, "{orientation}");
    }
}

/// Trains two steps on what `scene` holds and predicts `input`.
#[track_caller]
fn trains_and_predicts(scene: &Scene, inputs: &[&str]) {
    scene.train("run", &["--steps", "2"]).succeeds();
    scene.bipvl(&[&["predict", "--model", "run", "--out", "predictions"][..], inputs].concat()).succeeds();
    let [name] = &scene.names("predictions")[..] else { panic!("one label map") };
    assert!(name.starts_with("new.nii"), "{name}");
    let prediction = read_labels(&scene.path(&format!("predictions/{name}"))).unwrap();
    assert_eq!(prediction.grid().shape(), SHAPE);
    assert!(scene.text("run/config.toml").contains("channels = 2"));
}

/// A second channel that is not the first.
fn second_channel(image: &Volume<f32>) -> Volume<f32> {
    image.map(|intensity| 1000.0 - intensity)
}

#[test]
fn two_channels_are_learned_in_the_layout_of_nnunet() {
    let scene = Scene::with_classes(&phantom::CLASSES.map(|(name, _)| name));
    for seed in 0..CASES {
        let phantom = phantom::draw(seed, SHAPE, SPACING);
        scene.write(&format!("data/imagesTr/case_{seed}_0000.nii.gz"), &phantom.image);
        scene.write(&format!("data/imagesTr/case_{seed}_0001.nii.gz"), &second_channel(&phantom.image));
        scene.write_labels(&format!("data/labelsTr/case_{seed}.nii.gz"), &phantom.labels);
    }
    let classes = phantom::CLASSES.iter().map(|(name, label)| ((*name).to_owned(), json!(label)));
    let labels: serde_json::Map<String, Value> =
        std::iter::once(("background".to_owned(), json!(0))).chain(classes).collect();
    let channels = json!({ "0": "T1", "1": "T2" });
    let about = json!({ "channel_names": channels, "labels": labels, "file_ending": ".nii.gz" });
    scene.write_json("data/dataset.json", &about);
    let image = new_phantom().image;
    scene.write("scans/new_0000.nii.gz", &image);
    scene.write("scans/new_0001.nii.gz", &second_channel(&image));
    trains_and_predicts(&scene, &["scans"]);
    scene
        .predict("scans/new_0000.nii.gz")
        .fails_saying(&["scans/new_0000.nii.gz: case \"new\" has the channels [0]; it needs 0 to 1"]);
}

#[test]
fn two_channels_are_learned_from_files_of_four_axes() {
    let scene = Scene::new();
    let names: Vec<String> = (0..CASES).map(|seed| format!("imagesTr/case_{seed}.nii")).collect();
    for name in &names {
        scene.spoil(&format!("data/{name}"), |bytes| repeat_channels(bytes, 2));
    }
    let cases: Vec<Value> = names
        .iter()
        .map(|name| json!({ "image": name, "label": name.replace("images", "labels") }))
        .collect();
    scene.write_json("data/dataset.json", &decathlon(&json!({ "0": "CT", "1": "CT again" }), &cases));
    scene.write("new.nii", &new_phantom().image);
    scene.spoil("new.nii", |bytes| repeat_channels(bytes, 2));
    assert_eq!(read(&scene.path("new.nii")).unwrap().channels.len(), 2, "the made file is sound");
    trains_and_predicts(&scene, &["new.nii"]);
}

#[test]
fn parameters_of_a_run_add_up() {
    let scene = Scene::trained();
    let outcome = scene.bipvl(&["info", "run", "--json"]).succeeds();
    let info: Value = serde_json::from_str(&outcome.stdout).unwrap();
    let parameters = info["parameters"].as_object().unwrap();
    let sum: u64 = parameters.values().map(|count| count.as_u64().unwrap()).sum();
    assert_eq!(info["total_parameters"], sum);
    // Four bytes each, and a header.
    let file = scene.bytes("run/best.safetensors").len() as u64;
    assert!((4 * sum..4 * sum + sum).contains(&file), "{sum} parameters in {file} bytes");
    assert_eq!(info["classes"], 4);
    assert_eq!(info["patch"], json!([32, 32, 32]));
    assert_eq!(info["config"]["train"]["max_steps"], 1);
    assert_eq!(info["descriptions"]["class"][2]["name"], "rod");
    let words = scene.bipvl(&["info", "run"]).succeeds().stdout;
    assert!(words.contains("Phantoms, 1 channels: CT") && words.contains("As round as a rod is."), "{words}");
}

#[test]
fn the_vision_side_of_the_paper_has_its_published_size() {
    let scene = Scene::with_classes(&[]);
    let outcome = scene.bipvl(&["info", "--model-size", "paper", "--json"]).succeeds();
    let info: Value = serde_json::from_str(&outcome.stdout).unwrap();
    let count = |module: &str| info["parameters"][module].as_u64().unwrap();
    assert_eq!(info["classes"], 15);
    assert_eq!(count("encoder") + count("decoder") + count("segmentation"), SWIN_UNETR_V2_PARAMETERS);
}

#[test]
fn the_vision_side_goes_out_to_monai_and_comes_back_to_train_on() {
    let scene = Scene::trained();
    scene.bipvl(&["export", "run", "--out", "monai.safetensors"]).succeeds();
    let report = scene.bipvl(&["import", "monai.safetensors", "--out", "ours.safetensors"]).succeeds().stdout;
    let last = report.lines().last().unwrap();
    assert!(last.ends_with(" used, 0 missing, 0 unused"), "{last}");
    assert!(report.contains("used     swinViT.patch_embed.proj.weight"), "{report}");
    for (args, path) in [
        (["import", "monai.safetensors", "--out", "monai.safetensors"], "monai.safetensors"),
        (["export", "run", "--out", "run/best.safetensors"], "run/best.safetensors"),
    ] {
        let before = scene.bytes(path);
        scene.bipvl(&args).fails_saying(&[path, "the output would replace its source"]);
        assert!(scene.bytes(path) == before);
    }
    scene.train("again", &["--steps", "1", "--pretrained-backbone", "ours.safetensors"]).succeeds();
    let refused = scene.train("other", &["--steps", "1", "--pretrained-backbone", "run/best.safetensors"]);
    refused.fails_saying(&["run/best.safetensors", "weights without their model configuration"]);
}
