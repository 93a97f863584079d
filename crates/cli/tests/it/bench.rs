//! `bipvl bench` at small sizes: what it prints, and what it refuses.

use serde_json::Value;

use crate::scene::Scene;

fn empty() -> Scene {
    Scene::with_classes(&[])
}

#[test]
fn every_measure_asked_for_has_its_times_and_its_memory() {
    let args = [
        "bench",
        "score",
        "vision-12-64",
        "text-window",
        "--quick",
        "--repeat",
        "2",
        "--threads",
        "2",
        "--json",
    ];
    let outcome = empty().bipvl(&args).succeeds();
    let measures: Vec<Value> = serde_json::from_str(&outcome.stdout).unwrap();
    let names: Vec<&Value> = measures.iter().map(|measure| &measure["measure"]).collect();
    assert_eq!(names, ["score", "vision-12-64", "text-window"]);
    for measure in &measures {
        let seconds = |key: &str| measure[key].as_f64().unwrap();
        assert_eq!(measure["seconds"].as_array().unwrap().len(), 2);
        assert!(seconds("least_seconds") > 0.0, "{measure}");
        assert!(seconds("least_seconds") <= seconds("median_seconds"), "{measure}");
        assert!(seconds("median_seconds") <= seconds("largest_seconds"), "{measure}");
        assert_eq!((&measure["threads"], &measure["quick"]), (&Value::from(2), &Value::from(true)));
        assert_eq!(measure.get("peak_mib").is_some(), cfg!(target_os = "linux"));
    }
    assert!(measures[1]["gflop"].as_f64().unwrap() > 0.0);
}

#[test]
fn a_training_and_a_file_are_rows_of_a_table() {
    let outcome = empty().bipvl(&["bench", "text-train", "file", "--quick", "--repeat", "1"]).succeeds();
    let lines: Vec<&str> = outcome.stdout.lines().collect();
    assert_eq!(lines.len(), 3, "{}", outcome.stdout);
    for (line, start) in lines.iter().zip(["measure ", "text-train ", "file "]) {
        assert!(line.starts_with(start), "{line}");
    }
}

#[test]
fn files_of_a_comparison_are_for_one_measure() {
    let scene = empty();
    scene.bipvl(&["bench", "score", "--weights", "w"]).refuses_saying(&["--here"]);
    scene
        .bipvl(&["bench", "score", "file", "--here"])
        .fails_saying(&["--here: expected one measure, found 2"]);
    let weights = ["bench", "vision-12-64", "--quick", "--here", "--weights", "config.toml"];
    scene.bipvl(&weights).fails_saying(&["config.toml: expected a safetensors file, found"]);
}
