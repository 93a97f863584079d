//! Cases with descriptions of their own: training takes their words, prediction reads them, mistakes are named.

use crate::scene::{Scene, new_phantom};

/// A rod as one case has it.
const OWN: &str = "[[class]]\nname = \"rod\"\ntitle = \"Zigzag rod\"\n\n[class.concepts]\n\
                   shape = \"Bent.\"\nlocation = \"Elsewhere.\"\n";

#[test]
fn a_case_may_have_descriptions_of_its_own() {
    let scene = Scene::new();
    scene.write_text("data/descriptionsTr/case_0.toml", OWN);
    let outcome = scene.train("run", &["--steps", "1"]).succeeds();
    assert!(outcome.stderr.contains("1 of 6 cases have their own descriptions"), "{}", outcome.stderr);
    assert!(scene.text("run/tokenizer.json").contains("\"zigzag\""));
    assert!(!scene.text("run/descriptions.toml").contains("Zigzag"));

    scene.write("imagesTs/new.nii", &new_phantom().image);
    let is_logged = |outcome: &str| outcome.contains("1 of 1 scans have per-case descriptions");
    assert!(!is_logged(&scene.predict("imagesTs").succeeds().stderr));
    scene.write_text("descriptionsTs/new.toml", OWN);
    assert!(is_logged(&scene.predict("imagesTs").succeeds().stderr));
    // Descriptions given for all scans replace those of single scans, with a warning.
    let predict = ["predict", "--model", "run", "--out", "predictions", "--overwrite", "imagesTs"];
    let given = [&predict[..], &["--descriptions", "descriptions.toml"]].concat();
    let stderr = scene.bipvl(&given).succeeds().stderr;
    assert!(!is_logged(&stderr) && stderr.contains("ignoring the per-case descriptions of new"), "{stderr}");
    scene
        .bipvl(&[&given[..], &["--case-descriptions", "descriptionsTs"]].concat())
        .refuses_saying(&["--descriptions", "--case-descriptions"]);
    scene.write_text("others/new.toml", &OWN.replace("rod", "bar"));
    let with = |folder: &str| scene.bipvl(&[&predict[..], &["--case-descriptions", folder]].concat());
    with("others").fails_saying(&["others/new.toml: `bar` is not a class"]);
    with("data").fails_saying(&["data: no file CASE.toml for any of the scans, such as new.toml"]);
}

#[test]
fn descriptions_of_a_case_that_is_not_there_are_refused() {
    let scene = Scene::new();
    scene.write_text("data/descriptionsTr/case_00.toml", OWN);
    scene.train("run", &[]).fails_saying(&["case_00.toml: no case has the id \"case_00\""]);
}
