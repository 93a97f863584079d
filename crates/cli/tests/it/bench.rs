//! `bipvl bench` at small sizes: what it prints, and what it refuses.

use serde_json::Value;

use crate::scene::Scene;

fn empty() -> Scene {
    Scene::with_classes(&[])
}

#[test]
fn every_benchmark_reports_times_and_memory() {
    let args = [
        "bench",
        "score",
        "vision-12-64",
        "text-window",
        "--smoke-test",
        "--repeat",
        "2",
        "--threads",
        "2",
        "--json",
    ];
    let outcome = empty().bipvl(&args).succeeds();
    let results: Vec<Value> = serde_json::from_str(&outcome.stdout).unwrap();
    let names: Vec<&Value> = results.iter().map(|result| &result["benchmark"]).collect();
    assert_eq!(names, ["score", "vision-12-64", "text-window"]);
    for result in &results {
        let seconds = |key: &str| result[key].as_f64().unwrap();
        assert_eq!(result["seconds"].as_array().unwrap().len(), 2);
        assert!(seconds("min_seconds") > 0.0, "{result}");
        assert!(seconds("min_seconds") <= seconds("median_seconds"), "{result}");
        assert!(seconds("median_seconds") <= seconds("max_seconds"), "{result}");
        assert_eq!((&result["threads"], &result["smoke_test"]), (&Value::from(2), &Value::from(true)));
        assert_eq!(result.get("peak_mib").is_some(), cfg!(target_os = "linux"));
    }
    assert!(results[1]["gflop"].as_f64().unwrap() > 0.0);
}

#[test]
fn without_json_results_are_rows_of_a_table() {
    let outcome = empty().bipvl(&["bench", "text-train", "file", "--smoke-test", "--repeat", "1"]).succeeds();
    let lines: Vec<&str> = outcome.stdout.lines().collect();
    assert_eq!(lines.len(), 3, "{}", outcome.stdout);
    for (line, start) in lines.iter().zip(["benchmark ", "text-train ", "file "]) {
        assert!(line.starts_with(start), "{line}");
    }
}

#[test]
fn files_for_a_comparison_require_one_benchmark_in_process() {
    let scene = empty();
    scene.bipvl(&["bench", "score", "--weights", "w"]).refuses_saying(&["--in-process"]);
    scene
        .bipvl(&["bench", "score", "file", "--in-process"])
        .fails_saying(&["--in-process takes exactly one benchmark, not 2"]);
    let weights = ["bench", "vision-12-64", "--smoke-test", "--in-process", "--weights", "config.toml"];
    scene.bipvl(&weights).fails_saying(&["config.toml: not a valid safetensors file"]);
}
