//! Text at prediction time: classes and descriptions of a user's own, and what the text is worth.

use bipvl_imaging::read_labels;
use serde_json::json;

use crate::scene::{Outcome, Scene, new_phantom};

fn predict(scene: &Scene, out: &str, flags: &[&str]) -> Outcome {
    scene.bipvl(&[&["predict", "--model", "run", "--out", out, "scan.nii"], flags].concat())
}

fn scene() -> Scene {
    let scene = Scene::new();
    scene.train("run", &[]).succeeds();
    scene.write("scan.nii", &new_phantom().image);
    scene
}

fn described(class: &str) -> String {
    format!(
        "[[class]]\nname = \"{class}\"\ntitle = \"A quite different title\"\n\n[class.concepts]\nnovelty = \"Never seen before.\"\n"
    )
}

#[test]
fn only_the_named_classes_are_written_and_the_others_are_still_decided() {
    let scene = scene();
    predict(&scene, "all", &[]).succeeds();
    let outcome = predict(&scene, "some", &["--classes", "Right_Twin,ball"]).succeeds();
    assert!(outcome.stderr.contains("writing only right twin, ball"), "{}", outcome.stderr);
    let labels = |folder: &str| read_labels(&scene.path(&format!("{folder}/scan.nii"))).unwrap();
    let all = labels("all");
    assert!(all.voxels().iter().any(|label| *label > 0));
    assert_eq!(labels("some"), all.map(|label| if [1, 4].contains(label) { *label } else { 0 }));

    scene.write_text("names.toml", "[single]\n\"rod\" = [\"Stab\"]\n");
    let flags = ["--synonyms", "names.toml", "--classes", "stab"];
    predict(&scene, "named", &flags).succeeds();
    assert_eq!(labels("named"), all.map(|label| if *label == 3 { 3 } else { 0 }));
    predict(&scene, "none", &["--classes", "stab"])
        .fails_saying(&["--classes: unknown class `stab`; the model has right twin, left twin, rod, ball"]);
    assert!(!scene.path("none").exists());
}

#[test]
fn descriptions_of_some_classes_replace_the_trained_ones() {
    let scene = scene();
    scene.write_text("same.toml", &scene.text("run/descriptions.toml"));
    predict(&scene, "trained", &[]).succeeds();
    predict(&scene, "same", &["--descriptions", "same.toml"]).succeeds();
    assert!(scene.bytes("same/scan.nii") == scene.bytes("trained/scan.nii"));

    scene.write_text("new.toml", &described("Rod"));
    let outcome = predict(&scene, "new", &["--descriptions", "new.toml"]).succeeds();
    assert!(outcome.stderr.contains("new.toml: new descriptions for rod"), "{}", outcome.stderr);
    scene.write_text("long.toml", &described("Rod").replace("Never", &"Never ".repeat(600)));
    let outcome = predict(&scene, "long", &["--descriptions", "long.toml"]).succeeds();
    assert!(
        outcome.stderr.contains("long.toml: the prompt of \"rod\" has 3042 tokens, of which the first 512"),
        "{}",
        outcome.stderr
    );

    scene.write_text("wrong.toml", &described("liver"));
    predict(&scene, "wrong", &["--descriptions", "wrong.toml"]).fails_saying(&[
        "wrong.toml: `liver` is not a class, the classes are: right twin, left twin, rod, ball",
    ]);
}

#[test]
fn a_probe_compares_texts_and_resumes_after_a_stop() {
    let scene = scene();
    scene.write_text("other.toml", &described("ball"));
    let args = [
        "probe",
        "--model",
        "run",
        "--data",
        "data",
        "--paraphrases",
        "other.toml",
        "--perturbations",
        "paraphrase,shuffle,empty",
    ];
    let outcome = scene.bipvl(&args).succeeds();
    assert_eq!(scene.names("run/probe"), ["probe.html", "probe.json", "probe.md", "results.jsonl"]);
    let texts = [
        "as trained",
        "concepts in reverse order",
        "other words",
        "paraphrase other",
        "sentences shuffled under the titles",
        "whole texts exchanged between classes",
        "empty text",
    ];
    for place in [&outcome.stdout, &scene.text("run/probe/probe.md"), &scene.text("run/probe/probe.html")] {
        assert!(texts.iter().all(|text| place.contains(text)), "{place}");
    }
    let summary = scene.json("run/probe/probe.json");
    assert_eq!(summary["cases"], 2, "the first of five folds of six cases has two");
    let rows = summary["rows"].as_array().unwrap();
    let names: Vec<&str> = rows.iter().map(|row| row["variant"].as_str().unwrap()).collect();
    assert_eq!(names, texts);
    assert_eq!(rows[0]["mean"]["difference"], json!(null));
    assert_eq!(rows[6]["texts"], json!(["", "", "", ""]));
    for row in rows {
        assert_eq!(row["classes"].as_object().unwrap().len(), 4);
        assert_eq!(row["classes"]["rod"]["reference_ml"], rows[0]["classes"]["rod"]["reference_ml"]);
    }

    let whole = scene.text("run/probe/probe.json");
    let answers = scene.text("run/probe/results.jsonl");
    scene.write_text("run/probe/results.jsonl", &answers[..answers.len() / 2]);
    scene.bipvl(&args).succeeds();
    assert_eq!(scene.text("run/probe/results.jsonl"), answers);
    assert_eq!(scene.text("run/probe/probe.json"), whole);
}

#[test]
fn a_probe_matches_the_classes_of_another_data_set() {
    let scene = scene();
    let json = scene.text("data/dataset.json");
    scene.write_text("data/dataset.json", &json.replace("right twin", "Twin, dexter").replace("rod", "Stab"));
    let args = [
        "probe",
        "--model",
        "run",
        "--data",
        "data",
        "--out",
        "p",
        "--perturbations",
        "class-names",
        "--max-cases",
        "1",
    ];
    let all = [&args[..], &["--cases", "all"]].concat();
    scene.bipvl(&all).fails_saying(&[
        "data/dataset.json: no unique class for \"right twin\" of the run among Twin, dexter, left twin, Stab, ball",
    ]);
    scene.write_text("names.toml", "[single]\n\"rod\" = [\"Stab\"]\n[paired]\n\"twin\" = []\n");
    scene.bipvl(&[&all[..], &["--synonyms", "names.toml"]].concat()).succeeds();
    assert_eq!(scene.json("p/probe.json")["cases"], 1);
}

#[test]
fn invalid_probes_are_errors_that_name_the_reason() {
    let scene = Scene::with_classes(&[]);
    let probe = ["probe", "--model", "run", "--data", "data"];
    scene.bipvl(&probe).fails_saying(&["run is not a run directory"]);
    scene
        .bipvl(&[&probe[..], &["--perturbations", "typo"]].concat())
        .refuses_saying(&["unknown perturbation `typo`", "class-names, paraphrase"]);
    scene.bipvl(&[&probe[..], &["--max-cases", "0"]].concat()).refuses_saying(&["0 is not in 1.."]);
}
