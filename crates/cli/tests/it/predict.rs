//! `bipvl predict`: which scans it finds, what it writes, and what it never replaces.

use std::fs;

use bipvl_imaging::{phantom, probe, read_labels};

use crate::scene::{Outcome, SHAPE, SPACING, Scene, new_phantom};

fn predict(scene: &Scene, out: &str, arguments: &[&str]) -> Outcome {
    scene.bipvl(&[&["predict", "--model", "run", "--out", out], arguments].concat())
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
