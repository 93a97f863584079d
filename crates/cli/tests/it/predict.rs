//! `bipvl predict`: which scans it finds, what it writes, and what it never replaces.

use std::fs;

use bipvl_imaging::{LabelMap, PaddingMode, Volume, VoxelType, phantom, probe, read, read_labels, resample};

use crate::{
    regions::with_regions,
    scene::{Outcome, SHAPE, SPACING, Scene, new_phantom},
};

fn predict(scene: &Scene, out: &str, arguments: &[&str]) -> Outcome {
    scene.bipvl(&[&["predict", "--model", "run", "--out", out], arguments].concat())
}

/// The background, 1 less the sum of four classes, against one of them: five times half a step of 1/255.
const ROUNDING: f32 = 2.5 / 255.0;

/// Probabilities on the grid of the label map, from a file of 8 bits that is cropped.
fn probabilities(scene: &Scene, name: &str, labels: &LabelMap) -> Volume<f32> {
    let image = read(&scene.path("out/probabilities").join(name)).unwrap();
    assert_eq!(image.header.voxel_type, VoxelType::U8);
    let [cropped] = &image.channels[..] else { panic!("{} channels", image.channels.len()) };
    resample(cropped, labels.grid(), PaddingMode::Constant(0.0))
}

#[test]
fn a_scan_is_never_replaced_by_its_label_map() {
    let scene = Scene::trained();
    scene.write("scans/s.nii.gz", &new_phantom().image);
    let before = scene.bytes("scans/s.nii.gz");
    for flags in [&["scans"][..], &["--overwrite", "scans"], &["--skip-existing", "scans/s.nii.gz"]] {
        predict(&scene, "scans", flags).fails_saying(&["scans/s.nii.gz", "would replace an input"]);
    }
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(scene.path("scans"), scene.path("link")).unwrap();
        predict(&scene, "link", &["--overwrite", "scans"]).fails_saying(&["would replace an input"]);
    }
    assert!(scene.bytes("scans/s.nii.gz") == before);
}

#[test]
fn label_maps_that_exist_are_kept_unless_they_may_be_replaced_and_a_batch_goes_on() {
    let scene = Scene::trained();
    for seed in [100, 101] {
        scene.write(&format!("scans/s{seed}.nii"), &phantom::draw(seed, SHAPE, SPACING).image);
    }
    scene.write_text("masks/s100.nii", "drawn by hand");
    predict(&scene, "masks", &["scans"]).fails_saying(&["masks/s100.nii", "--overwrite", "--skip-existing"]);
    assert_eq!(scene.names("masks"), ["s100.nii"]);

    let outcome = predict(&scene, "masks", &["--skip-existing", "scans"]).succeeds();
    assert!(outcome.stderr.contains("1 of 2 scans have been segmented already"), "{}", outcome.stderr);
    assert_eq!(scene.text("masks/s100.nii"), "drawn by hand");
    assert_eq!(scene.names("masks"), ["s100.nii", "s101.nii"]);
    predict(&scene, "masks", &["--overwrite", "scans"]).succeeds();
    assert_eq!(read_labels(&scene.path("masks/s100.nii")).unwrap().grid().shape(), SHAPE);
    predict(&scene, "masks", &["--overwrite", "--skip-existing", "scans"])
        .refuses_saying(&["--skip-existing"]);
}

#[test]
fn label_maps_have_the_format_of_their_scans_or_the_requested_one() {
    let scene = Scene::trained();
    scene.write("scans/a.nii", &new_phantom().image);
    scene.write("scans/b.nii.gz", &new_phantom().image);
    fs::rename(scene.path("scans/b.nii.gz"), scene.path("scans/B.NII.GZ")).unwrap();
    predict(&scene, "same", &["scans"]).succeeds();
    assert_eq!(scene.names("same"), ["B.nii.gz", "a.nii"]);
    let grid = probe(&scene.path("scans/a.nii")).unwrap().grid;
    for format in ["nii.gz", ".nii"] {
        predict(&scene, format, &["--format", format, "scans/a.nii"]).succeeds();
        let path = scene.path(&format!("{format}/a.{}", format.trim_start_matches('.')));
        assert_eq!(read_labels(&path).unwrap().grid(), &grid);
    }
    predict(&scene, "other", &["--format", "docx", "scans"]).refuses_saying(&["--format", "nii.gz"]);
}

#[test]
fn each_class_has_a_mask_and_probabilities_that_agree_with_the_label_map() {
    let scene = Scene::trained();
    let classes = phantom::CLASSES.map(|(name, _)| name.replace(' ', "_"));
    scene.write("scans/a.nii.gz", &new_phantom().image);
    predict(&scene, "plain", &["scans"]).succeeds();
    let flags = ["--each", "--probabilities"];
    predict(&scene, "out", &[&flags[..], &["scans"]].concat()).succeeds();
    assert_eq!(scene.names("out"), ["a.nii.gz", "masks", "probabilities"]);
    assert!(scene.bytes("out/a.nii.gz") == scene.bytes("plain/a.nii.gz"));
    for folder in ["out/masks", "out/probabilities"] {
        let mut expected = classes.each_ref().map(|class| format!("a_{class}.nii.gz"));
        expected.sort();
        assert_eq!(scene.names(folder), expected);
    }

    let labels = read_labels(&scene.path("out/a.nii.gz")).unwrap();
    let likely = classes.each_ref().map(|class| probabilities(&scene, &format!("a_{class}.nii.gz"), &labels));
    for (class, (_, label)) in classes.iter().zip(phantom::CLASSES) {
        let mask = read_labels(&scene.path(&format!("out/masks/a_{class}.nii.gz"))).unwrap();
        assert_eq!(mask, labels.map(|found| u16::from(*found == label)));
    }
    for (at, label) in labels.voxels().indexed_iter() {
        let values: Vec<f32> = likely.iter().map(|volume| volume.voxels()[at]).collect();
        let background = 1.0 - values.iter().sum::<f32>();
        let largest = values.iter().copied().fold(background, f32::max);
        let own = phantom::CLASSES.iter().position(|(_, class)| class == label);
        let own = own.map_or(background, |class| values[class]);
        assert!(
            (-ROUNDING..=1.0).contains(&background) && own >= largest - ROUNDING,
            "{at:?}: {label} of {values:?}"
        );
    }

    predict(&scene, "out", &[&flags[..], &["--skip-existing", "scans"]].concat()).succeeds();
    fs::remove_file(scene.path("out/a.nii.gz")).unwrap();
    predict(&scene, "out", &["--each", "scans"]).fails_saying(&["out/masks/a_", "--overwrite"]);
    predict(&scene, "plain", &["--each", "--skip-existing", "scans"])
        .fails_saying(&["plain/masks/a_", "does not exist, but plain/a.nii.gz does"]);
    predict(
        &scene,
        "out",
        &["--classes", phantom::CLASSES[1].0, "--each", "--overwrite", "--format", "nrrd", "scans"],
    )
    .succeeds();
    assert!(scene.path(&format!("out/masks/a_{}.nrrd", classes[1])).exists());
    assert!(!scene.path(&format!("out/masks/a_{}.nrrd", classes[0])).exists());
}

#[test]
fn masks_of_overlapping_classes_hold_what_the_label_map_cannot() {
    let scene = with_regions();
    scene.train("run", &["--steps", "2"]).succeeds();
    let nested = phantom::draw_nested(100, SHAPE, SPACING);
    for (channel, volume) in nested.channels.iter().enumerate() {
        scene.write(&format!("scans/a_{channel:04}.nii"), volume);
    }
    predict(&scene, "out", &["--each", "--probabilities", "scans"]).succeeds();
    let labels = read_labels(&scene.path("out/a.nii")).unwrap();
    let mut expected = labels.map(|_| 0);
    for (class, own) in phantom::REGIONS {
        let mask = read_labels(&scene.path(&format!("out/masks/a_{class}.nii"))).unwrap();
        let likely = probabilities(&scene, &format!("a_{class}.nii"), &labels);
        for ((at, is_inside), label) in mask.voxels().indexed_iter().zip(expected.voxels_mut()) {
            assert_eq!(*is_inside == 1, likely.voxels()[at] >= 0.5);
            if *is_inside == 1 {
                *label = own[0];
            }
        }
    }
    assert_eq!(labels, expected);
}

#[test]
fn what_is_no_image_is_listed() {
    let scene = Scene::trained();
    scene.write("scans/a.nii", &new_phantom().image);
    scene.write_text("scans/list.csv", "a");
    scene.write_text("scans/d.dcm", "x");
    scene.write_text("scans/sub/b.nii", "x");
    let outcome = predict(&scene, "out", &["scans"]).succeeds();
    assert!(
        outcome.stderr.contains("scans: skipped") && outcome.stderr.contains("d.dcm, list.csv, sub/"),
        "{}",
        outcome.stderr
    );
    assert_eq!(scene.names("out"), ["a.nii"]);
}

#[cfg(target_os = "linux")]
#[test]
fn names_that_are_not_utf_8_are_read() {
    use std::os::unix::ffi::OsStrExt;

    let scene = Scene::trained();
    scene.write("scans/a.nii", &new_phantom().image);
    let name = std::ffi::OsStr::from_bytes(b"M\xfcller.nii");
    fs::rename(scene.path("scans/a.nii"), scene.path("scans").join(name)).unwrap();
    predict(&scene, "out", &["scans"]).succeeds();
    assert_eq!(scene.names("out"), ["M\u{fffd}ller.nii"]);
}

#[test]
fn numbered_patients_keep_their_numbers_and_equal_names_are_refused() {
    let scene = Scene::trained();
    for number in [0, 1] {
        scene.write(&format!("scans/p_{number:04}.nii"), &new_phantom().image);
        scene.write(&format!("p{number}/ct.nii"), &new_phantom().image);
    }
    let outcome = predict(&scene, "out", &["scans"]).succeeds();
    assert_eq!(scene.names("out"), ["p_0000.nii", "p_0001.nii"]);
    assert!(outcome.stderr.contains("as 2 scans, because the model has 1 channel"), "{}", outcome.stderr);
    predict(&scene, "same", &["p0", "p1"]).fails_saying(&["p1/ct.nii", "ct"]);
    assert!(!scene.path("same").exists());
}

#[test]
fn a_bad_case_description_fails_its_scan_alone() {
    let scene = Scene::trained();
    for name in ["a", "b"] {
        scene.write(&format!("scans/{name}.nii"), &new_phantom().image);
    }
    scene.write_text(
        "texts/a.toml",
        "[[class]]\nname = \"rod\"\ntitle = \"Rod\"\n\n[class.concepts]\nshape = \"Bent.\"\n",
    );
    let outcome = predict(&scene, "out", &["--case-descriptions", "texts", "scans"]);
    assert_eq!(scene.names("out"), ["b.nii"]);
    outcome.fails_saying(&["a: texts/a.toml", "rod", "location"]);
}

#[test]
fn a_scan_with_an_absurd_spacing_fails_alone() {
    let scene = Scene::trained();
    let image = new_phantom().image;
    scene.write("scans/a.nii", &image);
    let spacing = bipvl_imaging::Grid::with_spacing(SHAPE, [40_000.0; 3]);
    scene.write("scans/b.nii", &crate::scene::placed(&image, spacing));
    let outcome = predict(&scene, "out", &["scans"]);
    assert_eq!(scene.names("out"), ["a.nii"]);
    outcome.fails_saying(&["b"]);
}
