//! One piece of each class: as a flag of a prediction, and as a choice of the run.

use bipvl_imaging::{Connectivity, LabelMap, connected_components, keep_largest_component, read_labels};

use crate::scene::{CONFIG, Scene, new_phantom};

/// The labels of the scan under these flags.
fn predict(scene: &Scene, out: &str, flags: &[&str]) -> LabelMap {
    let args = ["predict", "--model", "run", "--out", out, "scan.nii"];
    scene.bipvl(&[&args[..], flags].concat()).succeeds();
    read_labels(&scene.path(&format!("{out}/scan.nii"))).unwrap()
}

/// Connected parts of the voxels that have a label.
fn parts(labels: &LabelMap, label: u16) -> usize {
    connected_components(&labels.map(|found| *found == label), Connectivity::Full).voxel_counts.len()
}

#[test]
fn only_the_largest_component_of_each_class_is_kept_with_the_flag() {
    let scene = Scene::trained();
    scene.write("scan.nii", &new_phantom().image);
    let all = predict(&scene, "all", &[]);
    let largest = predict(&scene, "largest", &["--keep-largest-component"]);
    // A network of one step sees every class in many places.
    assert!((1..=4).any(|label| parts(&all, label) > 1));
    assert!((1..=4).all(|label| parts(&largest, label) == parts(&all, label).min(1)));
    let mut expected = all.clone();
    keep_largest_component(&mut expected, Connectivity::Full);
    assert_eq!(largest, expected);

    scene.write_text(
        "run/config.toml",
        &scene.text("run/config.toml").replace("[infer]", "[infer]\nkeep_largest_component = true"),
    );
    assert_eq!(predict(&scene, "as-the-run", &[]), largest);
    assert_eq!(predict(&scene, "not-so", &["--keep-largest-component=false"]), all);
}

#[test]
fn the_largest_component_is_refused_where_classes_overlap() {
    let scene = crate::regions::with_regions();
    scene.write_text("config.toml", &format!("{CONFIG}\n[infer]\nkeep_largest_component = true\n"));
    scene.train("run", &[]).fails_saying(&["config.toml: `infer.keep_largest_component` is true", "overlap"]);
    assert!(!scene.path("run").exists());
    scene.write_text("config.toml", CONFIG);
    scene.train("run", &["--steps", "1"]).succeeds();
    scene
        .bipvl(&["predict", "--model", "run", "--out", "out", "--keep-largest-component", "data/imagesTr"])
        .fails_saying(&["--keep-largest-component: the largest component of each class is only defined for"]);
}
