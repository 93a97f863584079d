//! Every recipe on a miniature copy of its data set: checked, and trained for two steps.

use serde_json::{Value, json};
use toml::{Table, Value as Toml};

use crate::{
    layouts::{self, BOX_VOXELS},
    scene::Scene,
};

/// Overrides of the recipe that make a training last two seconds.
const TINY: &str = concat!(
    include_str!("../../../bipvl/examples/support/tiny_model.toml"),
    r#"
[preprocess]
spacing = [3.5, 3.5, 4.0]
patch_size = [32, 32, 32]

[train]
max_steps = 2
batch_size = 1
warmup_steps = 0
val_every_n_steps = 2
checkpoint_every_n_steps = 2

[infer]
overlap = 0.0
"#
);

fn empty() -> Scene {
    Scene::with_classes(&[])
}

/// What `bipvl data check` says of a folder, one report for each recipe that fits it.
fn check(scene: &Scene, folder: &str) -> Vec<Value> {
    let outcome = scene.bipvl(&["data", "check", folder, "--json"]).succeeds();
    serde_json::from_str(&outcome.stdout).unwrap()
}

/// Text of a file of the repository.
fn repository(folder: &str, recipe: &str) -> String {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    std::fs::read_to_string(format!("{root}/{folder}/{recipe}.toml")).unwrap()
}

fn put_over(table: &mut Table, values: Table) {
    for (key, value) in values {
        match (table.get_mut(&key), value) {
            (Some(Toml::Table(old)), Toml::Table(new)) => put_over(old, new),
            (_, new) => {
                table.insert(key, new);
            }
        }
    }
}

/// Trains a recipe for two steps with a tiny network, and gives back the configuration of the run.
#[track_caller]
fn train_recipe(scene: &Scene, folder: &str, recipe: &str, more: &str) -> Table {
    let mut config: Table = repository("configs", recipe).parse().unwrap();
    put_over(&mut config, TINY.parse().unwrap());
    put_over(&mut config, more.parse().unwrap());
    scene.write_text("configs/tiny.toml", &config.to_string());
    scene.write_text("descriptions/tiny.toml", &repository("descriptions", recipe));
    let run = format!("run-{recipe}");
    let outcome = scene
        .bipvl(&[
            "train",
            "--data",
            folder,
            "--config",
            "configs/tiny.toml",
            "--descriptions",
            "descriptions/tiny.toml",
            "--out",
            &run,
        ])
        .succeeds();
    assert!(outcome.stdout.contains("mean Dice"), "{}", outcome.stdout);
    let log = scene.text(&format!("{run}/log.jsonl"));
    assert_eq!(log.lines().filter(|line| line.contains("\"event\":\"step\"")).count(), 2, "{log}");
    scene.text(&format!("{run}/config.toml")).parse().unwrap()
}

/// The evaluation cases of a run.
fn evaluated(scene: &Scene, recipe: &str) -> Vec<String> {
    let names = scene.names(&format!("run-{recipe}/predictions"));
    names.into_iter().map(|name| name.trim_end_matches(".nii.gz").to_owned()).collect()
}

/// How many cases train, validate and test.
fn split(report: &Value) -> [u64; 3] {
    let counts = report["split"].as_array().unwrap();
    std::array::from_fn(|part| counts[part].as_u64().unwrap())
}

fn voxels_of(report: &Value, class: &str) -> u64 {
    let classes = report["classes"].as_array().unwrap();
    let class = classes.iter().find(|known| known["name"] == class).unwrap();
    class["voxels"].as_u64().unwrap()
}

#[test]
fn amos22_holds_two_recipes() {
    let scene = empty();
    layouts::amos22(&scene);
    let [ct, mr] = &check(&scene, "amos22")[..] else { panic!("one report for each modality") };
    // Numbers from 500 on are MR; of 24 CT 20 validate as in the paper, of 6 MR 4.
    assert_eq!((&ct["cases"], &ct["test_cases"], split(ct)), (&24.into(), &1.into(), [4, 20, 1]));
    assert_eq!((&mr["cases"], &mr["test_cases"], split(mr)), (&6.into(), &1.into(), [2, 4, 1]));
    assert_eq!(ct["command"], "bipvl train --data amos22 --recipe amos22-ct --out runs/amos22-ct");
    assert_eq!(mr["command"], "bipvl train --data amos22 --recipe amos22-mr --out runs/amos22-mr");
    assert_eq!(voxels_of(ct, "prostate or uterus"), 25 * BOX_VOXELS);
    assert_eq!(ct["orientations"]["RAS"], 25);
    assert_eq!(ct["spacing_mm"].to_string(), "[[3.0,3.0],[3.5,3.5],[4.0,4.0]]");
    for (recipe, case) in [("amos22-ct", "amos_0042"), ("amos22-mr", "amos_0518")] {
        let config = train_recipe(&scene, "amos22", recipe, "data.split.val = 2");
        assert_eq!(config["data"]["label_schema"]["classes"]["aorta"].as_integer(), Some(8));
        assert_eq!(evaluated(&scene, recipe), [case]);
    }
}

#[test]
fn mmwhs_is_split_by_name_and_its_stray_label_counts_as_left_atrium() {
    let scene = empty();
    layouts::mmwhs(&scene);
    let [ct, mr] = &check(&scene, "mmwhs")[..] else { panic!("one report for each modality") };
    assert_eq!((split(ct), split(mr)), ([2, 2, 4], [2, 2, 4]));
    assert_eq!(ct["remapped_labels"].as_array().unwrap().len(), 0);
    let stray = &mr["remapped_labels"][0];
    assert_eq!((&stray["label"], &stray["counts_as"]), (&421.into(), &"left atrium".into()));
    assert_eq!(
        (&stray["voxels"], stray["cases"].to_string()),
        (&BOX_VOXELS.into(), "[\"mr_train_1010\"]".into())
    );
    assert_eq!(voxels_of(mr, "left atrium"), 9 * BOX_VOXELS);
    assert_eq!(voxels_of(ct, "left atrium"), 8 * BOX_VOXELS);
    for modality in ["ct", "mr"] {
        let recipe = format!("mmwhs-{modality}");
        let config = train_recipe(&scene, "mmwhs", &recipe, "");
        let classes = config["data"]["label_schema"]["classes"].as_table().unwrap();
        let labels: Vec<i64> = classes.values().filter_map(Toml::as_integer).collect();
        // The order of the paper's descriptions: LV, RV, LA, RA, myocardium, aorta, pulmonary artery.
        assert_eq!(labels, [500, 600, 420, 550, 205, 820, 850]);
        let test = [1001, 1002, 1016, 1018].map(|number| format!("{modality}_train_{number}"));
        assert_eq!(evaluated(&scene, &recipe), test);
    }
}

#[test]
fn acdc_keeps_both_phases_of_a_patient_together() {
    let scene = empty();
    layouts::acdc(&scene);
    let [report] = &check(&scene, "acdc")[..] else { panic!("one report") };
    assert_eq!((&report["cases"], &report["test_cases"], split(report)), (&40.into(), &2.into(), [4, 36, 2]));
    assert_eq!(report["command"], "bipvl train --data acdc --recipe acdc --out runs/acdc");
    train_recipe(&scene, "acdc", "acdc", "data.split.val = 1");
    assert_eq!(evaluated(&scene, "acdc"), ["patient101_frame01", "patient101_frame12"]);
}

#[test]
fn tasks_of_the_decathlon_are_known_by_name() {
    let scene = empty();
    let glioma = ["background", "edema", "non-enhancing tumor", "enhancing tumour"];
    layouts::decathlon(&scene, "BRATS", &["FLAIR", "T1w", "t1gd", "T2w"], &glioma, 140);
    let [report] = &check(&scene, "BRATS")[..] else { panic!("one report") };
    assert_eq!(report["command"], "bipvl train --data BRATS --recipe msd-brain --out runs/msd-brain");
    assert_eq!((report["channels"].as_array().unwrap().len(), split(report)), (4, [5, 39, 96]));
    let regions =
        [("whole tumor", json!([1, 2, 3])), ("tumor core", json!([2, 3])), ("enhancing tumor", json!([3]))];
    for (class, (name, labels)) in report["classes"].as_array().unwrap()[1..].iter().zip(regions) {
        let voxels = labels.as_array().unwrap().len() as u64 * 140 * BOX_VOXELS;
        assert_eq!(
            (&class["name"], &class["labels"], &class["voxels"]),
            (&json!(name), &labels, &json!(voxels))
        );
    }
    let words = scene.bipvl(&["data", "check", "BRATS"]).succeeds().stdout;
    assert!(words.contains("whole tumor      1, 2, 3 ") && words.contains("classes overlap"), "{words}");
    layouts::decathlon(&scene, "BRATS", &["FLAIR", "T1w", "t1gd", "T2w"], &glioma, 3);
    let config = train_recipe(&scene, "BRATS", "msd-brain", "data.split = { val = 1, test = 1 }");
    // The order in which a label map is written.
    let regions = config["data"]["label_schema"]["regions"].as_table().unwrap();
    assert!(regions.keys().eq(["whole tumor", "tumor core", "enhancing tumor"]), "{regions:?}");
    assert_eq!(evaluated(&scene, "msd-brain").len(), 1);

    let hippocampus = ["background", "Anterior", "Posterior"];
    layouts::decathlon(&scene, "Hippocampus", &["MRI"], &hippocampus, 5);
    let [report] = &check(&scene, "Hippocampus")[..] else { panic!("one report") };
    assert_eq!(
        report["command"],
        "bipvl train --data Hippocampus --recipe hippocampus --out runs/hippocampus"
    );
    train_recipe(&scene, "Hippocampus", "hippocampus", "");
    assert_eq!(evaluated(&scene, "hippocampus").len(), 1, "one of five folds of five cases");
}

#[test]
fn a_built_in_recipe_needs_no_files_but_the_data() {
    let scene = empty();
    let classes = ["background", "right twin", "left twin", "rod", "ball"];
    layouts::decathlon(&scene, "Phantoms", &["CT"], &classes, 5);
    let args = ["train", "--data", "Phantoms", "--recipe", "phantom", "--out", "run", "--steps", "2"];
    scene.bipvl(&args).succeeds();
    assert!(scene.text("run/descriptions.toml").contains("A long thin cylinder"));
    assert!(
        scene.text("run/config.toml").contains("spacing = [\n    4.0"),
        "{}",
        scene.text("run/config.toml")
    );
    let args = ["train", "--data", "Phantoms", "--recipe", "phantom", "--out", "run"];
    scene.bipvl(&[&args[..], &["--config", "x.toml"]].concat()).refuses_saying(&["--config", "--recipe"]);
    let args = ["train", "--data", "Phantoms", "--recipe", "ghost", "--out", "run"];
    scene.bipvl(&args).refuses_saying(&["ghost", "expected one of", "amos22-ct", "phantom"]);
}

#[test]
fn every_configuration_is_built_in() {
    let names: Vec<String> = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../../configs"))
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    // The ambiguous phantoms have per-case texts, which only the demo writes.
    for name in names.into_iter().filter(|name| name != "ambiguous") {
        // The folder is not there, which is said only once the name is known.
        let args = ["train", "--data", "none", "--recipe", &name, "--out", "run"];
        empty().bipvl(&args).fails_saying(&["none: no such folder"]);
    }
}

#[test]
fn all_faults_of_a_folder_are_reported_together() {
    let scene = empty();
    layouts::decathlon(&scene, "Sound", &["MRI"], &["background", "ball", "rod"], 5);
    let sound = scene.bipvl(&["data", "check", "Sound"]).succeeds().stdout;
    for part in [
        "Sound: layout of Decathlon, MR, 1 channel",
        "5 to train",
        "4 train, 1 validate, 0 test",
        "RAS in 5",
        "no error found",
        "DESCRIPTIONS.toml",
    ] {
        assert!(sound.contains(part), "{part:?} is not in\n{sound}");
    }
    assert!(!sound.contains("no case has"), "{sound}");

    let labels = |voxel: u16, spacing: f64| {
        let grid = bipvl_imaging::Grid::with_spacing(layouts::SHAPE, [spacing; 3]);
        bipvl_imaging::LabelMap::new(ndarray::Array3::from_elem(layouts::SHAPE, voxel), grid)
    };
    std::fs::remove_file(scene.path("Sound/imagesTr/Sound_000.nii")).unwrap();
    scene.write_labels("Sound/labelsTr/Sound_001.nii", &labels(1, 9.0));
    scene.write_text("Sound/imagesTr/Sound_002.nii", "no scan");
    scene.write_labels("Sound/labelsTr/Sound_000.nii", &labels(77, 3.0));
    scene.write_labels("Sound/labelsTr/Sound_003.nii", &labels(2, 3.0));
    let outcome = scene.bipvl(&["data", "check", "Sound"]);
    for part in [
        "missing: Sound/imagesTr/Sound_000.nii",
        "Sound/labelsTr/Sound_001.nii: not on the grid of Sound/imagesTr/Sound_001.nii",
        "Sound/imagesTr/Sound_002.nii: unknown image format",
        "Sound/labelsTr/Sound_003.nii: not on the grid of",
        "label 77 is that of no class: 5760 voxels in Sound_000",
    ] {
        assert!(outcome.stdout.contains(part), "{part:?} is not in\n{}", outcome.stdout);
    }
    outcome.fails_saying(&["Sound: 5 errors found"]);
}

#[test]
fn missing_cases_of_a_split_are_reported() {
    let scene = empty();
    layouts::mmwhs(&scene);
    for kind in ["image", "label"] {
        std::fs::remove_file(scene.path(&format!("mmwhs/mr_train/mr_train_1018_{kind}.nii.gz"))).unwrap();
    }
    let outcome = scene.bipvl(&["data", "check", "mmwhs"]);
    let say = "configs/mmwhs-mr.toml: data.split.test names \"mr_train_1018\"";
    assert!(outcome.stdout.contains(say), "{}", outcome.stdout);
    outcome.fails_saying(&["mmwhs: 1 error found"]);
}

#[test]
fn a_class_without_voxels_is_reported() {
    let scene = empty();
    layouts::decathlon(&scene, "Sparse", &["MRI"], &["background", "ball", "rod"], 5);
    scene.replace("Sparse/dataset.json", "\"2\":\"rod\"", "\"2\":\"rod\",\"3\":\"cone\"");
    let outcome = scene.bipvl(&["data", "check", "Sparse"]).succeeds();
    assert!(outcome.stdout.contains("no case has cone"), "{}", outcome.stdout);
}

#[test]
fn a_folder_of_no_known_layout_is_refused() {
    let scene = empty();
    scene.write_text("folder/notes.txt", "");
    let say = ["folder: no known data set layout; it needs dataset.json", "ct_train", "training (ACDC)"];
    scene.bipvl(&["data", "check", "folder"]).fails_saying(&say);
    scene.bipvl(&["data", "check", "nowhere"]).fails_saying(&["nowhere: no such folder"]);
}

#[test]
fn a_configuration_says_how_to_read_a_folder() {
    let scene = empty();
    layouts::decathlon(&scene, "my set", &["MRI"], &["background", "head", "tail"], 5);
    scene.write_text(
        "configs/whole.toml",
        "[data.label_schema]\nclasses = { whole = 1 }\nremap = [{ from = 2, to = 1 }]\n",
    );
    scene.write_text("descriptions/whole.toml", "");
    let outcome = scene.bipvl(&["data", "check", "my set", "--config", "configs/whole.toml"]).succeeds();
    let command = "bipvl train --data 'my set' --config configs/whole.toml --descriptions descriptions/whole.toml \
                   --out runs/whole";
    for part in
        ["label 2 counts as whole: 300 voxels in my set_000, my set_001, my set_002 and 2 more", command]
    {
        assert!(outcome.stdout.contains(part), "{part:?} is not in\n{}", outcome.stdout);
    }
    scene.write_text("configs/whole.toml", "[data.label_schema]\nremap = [{ from = 2, to = 1 }]\n");
    let outcome = scene.bipvl(&["data", "check", "my set", "--config", "configs/whole.toml"]);
    outcome.fails_saying(&["label 2 cannot be remapped"]);
}
