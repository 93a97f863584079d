//! DICOM from outside: a series in, objects out, and back.

use std::fs;

use bipvl_dicom::{Study, phantom::write_ct_series, placed_labels};
use bipvl_imaging::{phantom, read_labels};

use crate::scene::{SHAPE, SPACING, Scene, new_phantom};

/// A study with the series of a phantom, and the phantom as a file.
fn scene() -> Scene {
    let scene = Scene::trained();
    write_ct_series(&scene.path("study/ct"), &new_phantom().image, "one").unwrap();
    scene
}

#[test]
fn a_series_gives_what_its_file_gives_and_all_objects_hold_it() {
    let scene = scene();
    // A series has whole HU, so the file is made of it.
    let study = Study::open(&scene.path("study")).unwrap();
    scene.write("scans/file.nii.gz", &study.choose(None).unwrap().read().unwrap());
    scene.bipvl(&["predict", "--model", "run", "--out", "files", "scans"]).succeeds();
    let formats = ["nifti", "dicom-seg", "dicom-labelmap", "rtstruct", "sr"];
    let flags: Vec<&str> = formats.into_iter().flat_map(|format| ["--format", format]).collect();
    let arguments =
        [&["predict", "--model", "run", "--out", "out", "study", "--statistics"], &flags[..]].concat();
    let outcome = scene.bipvl(&arguments).succeeds();
    assert!(
        !outcome.stderr.contains("Phantom^one") && !outcome.stderr.contains("2.25."),
        "{}",
        outcome.stderr
    );
    assert_eq!(
        scene.names("out"),
        [
            "study.labelmap.dcm",
            "study.nii.gz",
            "study.rtstruct.dcm",
            "study.seg.dcm",
            "study.sr.dcm",
            "study.statistics.csv",
            "study.statistics.json",
        ]
    );
    let expected = read_labels(&scene.path("files/file.nii.gz")).unwrap();
    let found = read_labels(&scene.path("out/study.nii.gz")).unwrap();
    assert_eq!(found.voxels(), expected.voxels());
    for name in ["study.seg.dcm", "study.labelmap.dcm"] {
        let read = Study::open(&scene.path(&format!("out/{name}"))).unwrap().read_segmentation().unwrap();
        // Segments have the names of the classes, numbered from 1 as the labels are here.
        assert_eq!(read.segments().len(), phantom::CLASSES.len());
        assert_eq!(placed_labels(&read.to_label_map(), found.grid()).voxels(), found.voxels(), "{name}");
    }
    let statistics = scene.json("out/study.statistics.json");
    let [dx, dy, dz] = SPACING;
    for (index, (name, label)) in phantom::CLASSES.iter().enumerate() {
        let voxels = found.voxels().iter().filter(|voxel| *voxel == label).count();
        assert_eq!(statistics[index]["name"], *name);
        assert_eq!(statistics[index]["voxels"], voxels);
        let volume = statistics[index]["volume_ml"].as_f64().unwrap();
        assert!((volume - voxels as f64 * dx * dy * dz / 1000.0).abs() < 1e-6, "{volume}");
    }
    scene.bipvl(&arguments).fails_saying(&["the output exists already"]);
}

#[test]
fn a_batch_goes_on_and_a_series_is_chosen() {
    let scene = scene();
    write_ct_series(&scene.path("other/ct"), &phantom::draw(5, SHAPE, SPACING).image, "two").unwrap();
    fs::remove_file(scene.path("other/ct/CT00003.dcm")).unwrap();
    scene
        .bipvl(&["predict", "--model", "run", "--out", "out", "other", "study"])
        .fails_saying(&["other", "missing slices: 1"]);
    assert_eq!(scene.names("out"), ["study.seg.dcm"]);

    write_ct_series(&scene.path("study/late"), &new_phantom().image, "late phase").unwrap();
    let predict = |out: &str, more: &[&str]| {
        scene.bipvl(&[&["predict", "--model", "run", "--out", out, "study"], more].concat())
    };
    predict("several", &[]).fails_saying(&["2 image series"]);
    predict("several", &["--series", "LATE"]).succeeds();
    predict("number", &["--series", "7"]).fails_saying(&["`7` matches 0 image series"]);
    let listed = scene.bipvl(&["data", "series", "study"]).succeeds();
    assert!(
        listed.stdout.contains("1  CT  late phase") && listed.stdout.contains("2  CT  one"),
        "{}",
        listed.stdout
    );
}

#[test]
fn segmentations_are_scored_and_imported() {
    let scene = scene();
    let study = scene.path("study");
    let run = |arguments: &[&str]| scene.bipvl(arguments);
    run(&["predict", "--model", "run", "--out", "pred", "study", "--format", "dicom-seg"]).succeeds();
    run(&["predict", "--model", "run", "--out", "ref", "study", "--format", "nifti"]).succeeds();
    run(&["predict", "--model", "run", "--out", "contours", "study", "--format", "rtstruct"]).succeeds();
    for (one, other) in [("pred", "ref"), ("contours", "ref"), ("ref", "contours"), ("contours", "pred")] {
        run(&["evaluate", "--pred", one, "--ref", other, "--json", "scores.json"]).succeeds();
        let scores = scene.json("scores.json");
        // A class that neither has is named where names are known, and has no Dice.
        let means = scores["mean"].as_object().unwrap().values().map(|class| &class["dice"]["mean"]);
        let dice: Vec<&serde_json::Value> = means.filter(|dice| !dice.is_null()).collect();
        assert!(
            !dice.is_empty() && dice.iter().all(|dice| dice.as_f64() == Some(1.0)),
            "{one}, {other}: {dice:?}"
        );
        // Objects have names, a label map has numbers.
        let is_named = scores["mean"].get(phantom::CLASSES[0].0).is_some();
        assert_eq!(is_named, (one, other) == ("contours", "pred"), "{scores}");
    }
    run(&["evaluate", "--pred", "contours", "--ref", "contours", "--json", "none.json"])
        .fails_saying(&["study.rtstruct.dcm", "two structure sets have no grid"]);

    fs::copy(scene.path("contours/study.rtstruct.dcm"), study.join("contours.dcm")).unwrap();
    run(&["data", "import", "study", "--out", "set"]).succeeds();
    let imported = read_labels(&scene.path("set/labelsTr/case.nii.gz")).unwrap();
    let expected = read_labels(&scene.path("ref/study.nii.gz")).unwrap();
    // Only what has contours has a label in the set.
    let labels = scene.json("set/dataset.json")["labels"].clone();
    let number_of = |label: u16| match phantom::CLASSES.get(usize::from(label).wrapping_sub(1)) {
        Some((name, _)) => labels[name].as_u64().unwrap() as u16,
        None => 0,
    };
    assert_eq!(*imported.voxels(), expected.voxels().mapv(number_of));
    let left_out = scene.json("set/left_out.json").to_string();
    assert!(left_out.contains("it has no contours"), "{left_out}");
    run(&["data", "check", "set"]);
    run(&["data", "import", "study", "--out", "set"]).fails_saying(&["set", "not empty"]);
    run(&["data", "import", "study", "--out", "mr", "--modality", "MR"]).fails_saying(&["of modality MR"]);
    // What is left of the last slice: the series must not become shorter.
    fs::write(scene.path("study/ct/CT00000.dcm"), "").unwrap();
    run(&["data", "import", "study", "--out", "short"]).fails_saying(&["CT00000.dcm", "empty"]);
}
