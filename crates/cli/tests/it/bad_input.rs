//! Every bad input gives one message that names the file, says what was expected and what was found, and
//! harms nothing that stood before.

use bipvl_imaging::{Grid, Volume, phantom};
use ndarray::Array3;

use crate::scene::{CONFIG, Outcome, SHAPE, SPACING, Scene, new_phantom, placed, repeat_channels, resuming};

/// Bytes of a NIfTI-1 header: the magic word, and the length of the first axis.
const MAGIC_AT: usize = 344;
const FIRST_AXIS_AT: usize = 42;

/// A training on spoiled data.
fn spoiled(spoil: impl FnOnce(&Scene)) -> Outcome {
    let scene = Scene::new();
    spoil(&scene);
    scene.train("run", &[])
}

#[test]
fn a_truncated_gzip_image_is_named() {
    let scene = Scene::new();
    scene.write("data/imagesTr/case_2.nii.gz", &new_phantom().image);
    scene.spoil("data/imagesTr/case_2.nii.gz", |bytes| bytes.truncate(bytes.len() / 2));
    scene.replace("data/dataset.json", "imagesTr/case_2.nii", "imagesTr/case_2.nii.gz");
    let part = "data/imagesTr/case_2.nii.gz: the compressed data is truncated or damaged";
    scene.train("run", &[]).fails_saying(&[part]);
}

#[test]
fn a_truncated_image_is_named_with_both_lengths() {
    let bytes = SHAPE.iter().product::<usize>() * 4;
    spoiled(|scene| scene.spoil("data/imagesTr/case_2.nii", |bytes| bytes.truncate(bytes.len() - 7)))
        .fails_saying(&[&format!(
            "data/imagesTr/case_2.nii: truncated: {} of {bytes} bytes of voxels",
            bytes - 7
        )]);
}

#[test]
fn a_wrong_magic_word_is_named() {
    spoiled(|scene| scene.spoil("data/imagesTr/case_2.nii", |bytes| bytes[MAGIC_AT] = b'x'))
        .fails_saying(&["data/imagesTr/case_2.nii: invalid NIfTI header: magic is \"x+1"]);
}

#[test]
fn an_axis_without_voxels_is_named() {
    let spoil = |bytes: &mut Vec<u8>| bytes[FIRST_AXIS_AT..FIRST_AXIS_AT + 2].fill(0);
    spoiled(|scene| scene.spoil("data/imagesTr/case_2.nii", spoil))
        .fails_saying(&["data/imagesTr/case_2.nii: shape [0, 32, 32] is not supported"]);
}

#[test]
fn voxels_that_are_not_finite_are_counted() {
    spoiled(|scene| {
        let mut image = new_phantom().image;
        image.voxels_mut()[[3, 4, 5]] = f32::NAN;
        scene.write("data/imagesTr/case_2.nii", &image);
    })
    .fails_saying(&["data/imagesTr/case_2.nii: 1 of 32768 intensities are not finite, the first is NaN"]);
}

#[test]
fn a_label_without_a_class_is_named() {
    spoiled(|scene| {
        let mut labels = phantom::draw(2, SHAPE, SPACING).labels;
        labels.voxels_mut()[[3, 4, 5]] = 9;
        scene.write_labels("data/labelsTr/case_2.nii", &labels);
    })
    .fails_saying(&["data/labelsTr/case_2.nii: label 9 ("]);
}

#[test]
fn an_image_and_labels_on_different_grids_are_both_named() {
    spoiled(|scene| {
        let labels = phantom::draw(2, SHAPE, SPACING).labels;
        scene.write_labels("data/labelsTr/case_2.nii", &placed(&labels, Grid::with_spacing(SHAPE, [3.0; 3])));
    })
    .fails_saying(&[
        "data/labelsTr/case_2.nii: not on the grid of data/imagesTr/case_2.nii: ",
        "spacing 3 × 3 × 3 mm instead of ",
    ]);
}

#[test]
fn a_missing_image_is_named() {
    spoiled(|scene| std::fs::remove_file(scene.path("data/imagesTr/case_2.nii")).unwrap())
        .fails_saying(&["data/imagesTr/case_2.nii: no such file (data/dataset.json)"]);
}

#[test]
fn a_class_without_a_description_is_named() {
    let scene = Scene::new();
    scene.replace("descriptions.toml", "name = \"rod\"", "name = \"stick\"");
    scene.train("run", &[]).fails_saying(&[
        "descriptions.toml: class `rod` is not described, only: right twin, left twin, stick, ball",
    ]);
    assert!(!scene.path("run").exists());
}

#[test]
fn a_description_without_a_class_is_named() {
    let scene = Scene::new();
    let more =
        "[[class]]\nname = \"cube\"\ntitle = \"Cube\"\n[class.concepts]\nshape = \"A\"\nlocation = \"B\"\n";
    scene.write_text("descriptions.toml", &(scene.text("descriptions.toml") + more));
    scene.train("run", &[]).fails_saying(&[
        "descriptions.toml: `cube` is not a class, the classes are: right twin, left twin, rod, ball",
    ]);
    assert!(!scene.path("run").exists());
}

/// A training with one text of the configuration replaced leaves no run behind.
#[track_caller]
fn is_refused(old: &str, new: &str, parts: &[&str]) {
    let scene = Scene::new();
    scene.replace("config.toml", old, new);
    scene.train("run", &[]).fails_saying(parts);
    assert!(!scene.path("run").exists());
}

#[test]
fn an_unknown_key_is_named_with_its_table() {
    let parts = ["config.toml: invalid configuration: unknown field `stepz`", "`max_steps`", "`train`"];
    is_refused("max_steps = 4", "stepz = 4", &parts);
}

#[test]
fn a_value_of_another_type_is_named_with_its_key() {
    is_refused("max_steps = 4", "max_steps = \"four\"", &["config.toml: ", "\"four\"", "`train.max_steps`"]);
}

#[test]
fn a_config_that_is_not_toml_is_named_with_its_line() {
    let line = 1 + CONFIG[..CONFIG.find("[train]").unwrap()].matches('\n').count();
    is_refused("[train]", "[train", &[&format!("config.toml: invalid configuration: line {line}: ")]);
}

#[test]
fn a_patch_that_is_no_multiple_of_32_is_refused() {
    let parts = ["config.toml: `preprocess.patch_size` is [48, 32, 32], but must be multiples of 32"];
    is_refused("patch_size = [32, 32, 32]", "patch_size = [48, 32, 32]", &parts);
}

#[test]
fn sizes_of_zero_are_refused_by_name() {
    for (old, name) in [
        ("feature_size = 4", "model.vision.feature_size"),
        ("window_size = 2", "model.vision.window_size"),
        ("hidden_size = 16", "model.text.hidden_size"),
        ("mlp_size = 16", "model.fusion.mlp_size"),
        ("projection_dim = 8", "model.projection_dim"),
        ("max_steps = 4", "train.max_steps"),
        ("batch_size = 1", "train.batch_size"),
    ] {
        let new = format!("{} = 0", old.split(' ').next().unwrap());
        is_refused(old, &new, &[&format!("config.toml: `{name}` is 0, but must be at least 1")]);
    }
}

#[test]
fn a_learning_rate_below_zero_is_refused() {
    let parts = ["config.toml: `train.learning_rate` is -1, but must be above 0"];
    is_refused("max_steps = 4", "max_steps = 4\nlearning_rate = -1.0", &parts);
}

#[test]
fn an_unknown_model_size_is_refused_with_the_known_ones() {
    let parts = ["config.toml: `model_size` is \"huge\", but must be one of paper, small, tiny"];
    is_refused("model_size = \"tiny\"", "model_size = \"huge\"", &parts);
}

#[test]
fn a_fold_beyond_the_last_is_refused() {
    let scene = Scene::new();
    for fold in ["5/5", "0/1", "one"] {
        let expected = format!("--val-fold: `data.fold` is \"{fold}\", but must be K/N");
        scene.train("run", &["--val-fold", fold]).fails_saying(&[&expected]);
    }
    assert!(!scene.path("run").exists());
}

#[test]
fn more_folds_than_cases_are_refused() {
    let parts = ["data: only 6 labeled cases for 7 folds; at most 6 are possible"];
    Scene::new().train("run", &["--val-fold", "0/7"]).fails_saying(&parts);
}

const HALF_PRECISE: [&str; 8] =
    ["predict", "--model", "run", "--out", "out", "scan.nii", "--precision", "bf16"];

#[test]
fn refused_flags_leave_no_run_behind() {
    let scene = Scene::new();
    scene.train("run", &["--max-minutes", "-1"]).fails_saying(&["--max-minutes: must be above 0, not -1"]);
    #[cfg(not(feature = "vulkan"))]
    scene
        .train("run", &["--device", "vulkan"])
        .fails_saying(&["no support for vulkan devices in this build; compile with feature `vulkan`"]);
    for run in [scene.train("run", &["--precision", "bf16"]), scene.bipvl(&HALF_PRECISE)] {
        run.fails_saying(&["device cpu does not support precision bf16, only float32"]);
    }
    assert!(!scene.path("run").exists());
}

#[test]
fn a_class_renamed_in_the_data_set_is_refused_by_resume_and_probe() {
    let scene = Scene::trained();
    scene.replace("data/dataset.json", "\"rod\"", "\"bar\"");
    let parts = ["data/dataset.json: classes are", "\"bar\"", "but the run was created with", "\"rod\""];
    scene.resume("run").fails_saying(&parts);
    scene.bipvl(&["probe", "--model", "run", "--data", "data"]).fails_saying(&parts);
}

#[test]
fn a_folder_that_is_missing_or_a_file_is_named() {
    let scene = Scene::new();
    let train = |data: &str, out: &str| {
        scene.bipvl(&["train", "--data", data, "--descriptions", "descriptions.toml", "--out", out])
    };
    train("nowhere", "run").fails_saying(&["nowhere: no such folder"]);
    train("config.toml", "run").fails_saying(&["config.toml: is a file; a data set is a folder"]);
    train("data/imagesTr", "run").fails_saying(&["data/imagesTr: no known data set layout"]);
    train("data", "config.toml").fails_saying(&["config.toml is a file, not a directory"]);
    assert_eq!(scene.text("config.toml"), CONFIG);
    scene.bipvl(&["info", "nowhere"]).fails_saying(&["nowhere is not a run directory: no such directory"]);
    scene
        .bipvl(&["evaluate", "--pred", "nowhere", "--ref", "data/labelsTr", "--json", "s.json"])
        .fails_saying(&["nowhere: "]);
}

#[test]
fn resuming_an_empty_folder_is_refused() {
    let scene = Scene::new();
    std::fs::create_dir(scene.path("run")).unwrap();
    scene.resume("run").fails_saying(&["run is not a run directory: it has no config.toml"]);
    assert!(scene.names("run").is_empty());
}

#[test]
fn a_folder_that_holds_a_run_is_left_alone() {
    let scene = Scene::trained();
    let (names, config, last) =
        (scene.names("run"), scene.bytes("run/config.toml"), scene.bytes("run/last.safetensors"));
    scene.train("run", &["--seed", "7"]).fails_saying(&["run already contains a run", "--resume"]);
    assert_eq!(scene.names("run"), names);
    assert!(scene.bytes("run/config.toml") == config && scene.bytes("run/last.safetensors") == last);
}

#[test]
fn a_checkpoint_of_another_architecture_is_named_with_the_tensor() {
    let scene = Scene::trained();
    scene.replace(
        "config.toml",
        "feature_size = 4, heads = [1, 1, 2, 4]",
        "feature_size = 2, heads = [1, 1, 1, 1]",
    );
    scene.train("other", &["--steps", "1"]).succeeds();
    std::fs::copy(scene.path("other/best.safetensors"), scene.path("run/best.safetensors")).unwrap();
    scene.write("scan.nii", &new_phantom().image);
    scene.predict("scan.nii").fails_saying(&[
        "run/best.safetensors: tensor `",
        " has shape [",
        "the model needs [",
    ]);
    assert!(!scene.path("predictions/scan.nii").exists());
}

#[test]
fn a_checkpoint_that_was_cut_off_is_named() {
    let scene = Scene::trained();
    let halve = |bytes: &mut Vec<u8>| bytes.truncate(bytes.len() / 2);
    scene.spoil("run/best.safetensors", halve);
    scene.write("scan.nii", &new_phantom().image);
    scene.predict("scan.nii").fails_saying(&["run/best.safetensors: not a valid safetensors file"]);
    scene.spoil("run/last.safetensors", halve);
    let cut = scene.bytes("run/last.safetensors");
    scene.resume("run").fails_saying(&["run/last.safetensors: not a valid safetensors file"]);
    assert!(scene.bytes("run/last.safetensors") == cut);
}

#[test]
fn a_scan_with_another_number_of_channels_is_named_and_others_go_on() {
    let scene = Scene::trained();
    scene.write("scans/good.nii", &new_phantom().image);
    scene.write("scans/two.nii", &new_phantom().image);
    scene.spoil("scans/two.nii", |bytes| repeat_channels(bytes, 2));
    scene.predict("scans").fails_saying(&["scans/two.nii: 2 channels, but the model was trained on 1"]);
    assert_eq!(scene.names("predictions"), ["good.nii"]);
}

#[test]
fn a_scan_that_is_missing_or_damaged_is_named() {
    let scene = Scene::trained();
    scene.predict("nowhere.nii").fails_saying(&["nowhere.nii: no such file or folder"]);
    scene.predict("config.toml").fails_saying(&["config.toml: not an image; known endings are .nii.gz"]);
    scene.predict("run").fails_saying(&["run: no image series in DICOM"]);
    scene.write_text("short.nii", "too short");
    scene.predict("short.nii").fails_saying(&["short.nii: unknown image format"]);
}

#[test]
fn scores_need_a_folder_to_be_written_to() {
    let scene = Scene::new();
    let labels = Volume::new(Array3::from_elem([4; 3], 1), Grid::with_spacing([4; 3], [1.0; 3]));
    scene.write_labels("labels/a.nii", &labels);
    scene
        .bipvl(&["evaluate", "--pred", "labels", "--ref", "labels", "--json", "nowhere/scores.json"])
        .fails_saying(&["nowhere/scores.json: directory nowhere does not exist"]);
}

/// Two mebibytes in blocks of 512 bytes, as POSIX counts: more than any file of the run but checkpoints.
#[cfg(unix)]
const LIMIT_BLOCKS: usize = (2 << 20) / 512;

/// The limit on the size of files stands for a full disk: writing fails in the middle of the file.
#[cfg(unix)]
#[test]
fn a_disk_that_fills_up_while_a_checkpoint_is_written_leaves_the_old_one() {
    let scene = Scene::new();
    scene.train("run", &["--max-minutes", "1e-9"]).succeeds();
    let names = scene.names("run");
    let old = scene.bytes("run/last.safetensors");
    let script = format!("trap '' XFSZ; ulimit -f {LIMIT_BLOCKS}; exec \"$0\" \"$@\"");
    let program = scene.command().get_program().to_owned();
    let limited = std::process::Command::new("sh")
        .current_dir(scene.path(""))
        .args(["-c", &script])
        .arg(program)
        .args(resuming("run"))
        .output()
        .unwrap();
    Outcome::of(limited).fails_saying(&["run/last.safetensors: ", "File too large"]);
    assert!(scene.bytes("run/last.safetensors") == old);
    let without_events = |names: Vec<String>| -> Vec<String> {
        names.into_iter().filter(|name| !name.starts_with("events.")).collect()
    };
    assert_eq!(without_events(scene.names("run")), without_events(names), "no partial file is left");

    scene.resume("run").succeeds();
}
