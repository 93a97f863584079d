//! The table of what each part of the method is good for, on phantoms: rows, resuming, refusals.

use std::{fs, path::Path};

use serde_json::Value;

use crate::scene::{CHECKPOINTS, Outcome, Scene};

fn ablate(scene: &Scene, more: &[&str]) -> Outcome {
    let common =
        ["ablate", "--data", "data", "--descriptions", "descriptions.toml", "--config", "config.toml"];
    scene.bipvl(&[&common[..], &["--out", "table", "--seeds", "1"], more].concat())
}

/// Mean over the cases of a run of the mean Dice over their classes, a missed class and a false alarm at 0.
fn mean_dice(scene: &Scene, run: &str) -> f64 {
    let scores = scene.json(&format!("{run}/scores.json"));
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let of_case = |case: &Value| {
        let classes = case["classes"].as_object().unwrap().values();
        let present = classes.filter(|class| class["presence"] != "neither");
        let dice: Vec<f64> = present.map(|class| class["dice"].as_f64().unwrap_or(0.0)).collect();
        mean(&dice)
    };
    let cases: Vec<f64> = scores["cases"].as_array().unwrap().iter().map(of_case).collect();
    mean(&cases)
}

#[test]
fn two_rows_are_trained_and_compared_once_and_a_third_names_its_missing_requirement() {
    let scene = Scene::new();
    let rows = ["--rows", "full,vision-only,other-cases", "--steps", "2"];
    let outcome = ablate(&scene, &rows).succeeds();
    let report = |row: &str| scene.text(&format!("table/{row}/seed-42/report.html"));
    let pictures = "alt=\"left twin: location\"";
    assert!(report("full").contains(pictures), "a picture for each sentence");
    assert!(!report("vision-only").contains(pictures));
    assert!(
        report("vision-only").contains("Not available: the logits of this run do not depend on the text")
    );
    assert!(
        outcome.stderr.contains("other-cases: skipped, requires two cases with per-case descriptions"),
        "{}",
        outcome.stderr
    );
    assert_eq!(outcome.stdout, scene.text("table/ablation.md"));
    assert!(
        scene.text("table/ablation.html").contains("not run: requires two cases with per-case descriptions")
    );

    let table = scene.json("table/ablation.json");
    let names: Vec<&str> =
        table["rows"].as_array().unwrap().iter().map(|row| row["row"].as_str().unwrap()).collect();
    assert_eq!(names, ["full", "vision-only", "other-cases"]);
    let [full, vision, skipped] = [0, 1, 2].map(|index| &table["rows"][index]);
    assert_eq!(skipped["note"], "not run: requires two cases with per-case descriptions");
    assert!(skipped["dice"].is_null() && skipped["cost"].is_null() && full["difference"].is_null());
    let [of_full, of_vision] =
        ["full", "vision-only"].map(|row| mean_dice(&scene, &format!("table/{row}/seed-42")));
    let close = |found: &Value, expected: f64| (found.as_f64().unwrap() - expected).abs() < 1e-9;
    assert!(close(&full["dice"]["mean"], of_full) && close(&vision["dice"]["mean"], of_vision));
    let difference = &vision["difference"];
    assert!(close(&difference["mean"], of_vision - of_full) && difference["cases"] == 2, "{difference}");
    let number = |row: &Value, name: &str| row["cost"][name].as_f64().unwrap();
    for name in ["parameters", "gflop_per_patch"] {
        assert!(number(vision, name) < number(full, name), "{name}");
    }
    assert_eq!(number(vision, "text_share"), 0.0);
    assert!(number(full, "seconds_per_step") > 0.0 && number(full, "seconds_per_patch") > 0.0);

    // Every run is an ordinary one, and both share the prepared cases.
    assert!(scene.path("table/cache").is_dir() && !scene.path("table/full/seed-42/cache").exists());
    scene.bipvl(&["info", "table/vision-only/seed-42"]).succeeds();
    let log = scene.bytes("table/full/seed-42/log.jsonl");
    ablate(&scene, &rows).succeeds();
    assert_eq!(scene.bytes("table/full/seed-42/log.jsonl"), log);
    assert_eq!(scene.json("table/ablation.json"), table);

    ablate(&scene, &["--rows", "full", "--steps", "3"]).fails_saying(&[
        "config.toml: this run was created with `max_steps = 2`, requested `max_steps = 3`",
        "use another --out",
    ]);
}

#[test]
fn an_interrupted_row_resumes_to_the_same_bytes() {
    let scene = Scene::new();
    let row = ["--rows", "shuffled"];
    ablate(&scene, &row).succeeds();
    fs::rename(scene.path("table"), scene.path("whole")).unwrap();

    // One step, then what a kill leaves: a checkpoint, and nothing that says the run is done.
    ablate(&scene, &[&row[..], &["--max-minutes", "1e-9"]].concat()).succeeds();
    for name in ["cost.json", "scores.json", "report.html"] {
        fs::remove_file(scene.path("table/shuffled/seed-42").join(name)).unwrap();
    }
    ablate(&scene, &row).succeeds();
    for name in CHECKPOINTS {
        let of = |out: &str| scene.bytes(&format!("{out}/shuffled/seed-42/{name}"));
        assert!(of("table") == of("whole"), "{name} differs");
    }
}

/// Two of the cases say of the ball what the others do not.
#[test]
fn text_rows_change_per_case_descriptions_too() {
    let scene = Scene::new();
    let own = |case: &str, words: &str| {
        let text = format!(
            "[[class]]\nname = \"ball\"\ntitle = \"A ball\"\n\n[class.concepts]\n\
             shape = \"Round.\"\nlocation = \"{words}\"\n"
        );
        scene.write_text(&format!("data/descriptionsTr/{case}.toml"), &text);
    };
    own("case_0", "Seen above.");
    own("case_3", "Seen below.");
    let outcome = ablate(&scene, &["--rows", "full,names,other-cases", "--steps", "1"]).succeeds();
    assert!(!outcome.stderr.contains("skipped"), "{}", outcome.stderr);
    assert!(!scene.path("table/full/seed-42/descriptions").exists());
    for row in ["names", "other-cases"] {
        let folder = format!("table/{row}/seed-42/descriptions");
        assert_eq!(scene.names(&folder), ["case_0.toml", "case_3.toml"]);
    }
    let text = |row: &str, case: &str| scene.text(&format!("table/{row}/seed-42/descriptions/{case}.toml"));
    let names = text("names", "case_0");
    assert!(names.contains("name = \"ball\"") && !names.contains("Seen"), "{names}");
    let [above, below] = ["Seen above.", "Seen below."];
    assert!(text("other-cases", "case_0").contains(below) && text("other-cases", "case_3").contains(above));
    let vocabulary = |row: &str, word: &str| {
        scene.text(&format!("table/{row}/seed-42/tokenizer.json")).contains(&format!("\"{word}\""))
    };
    assert!(vocabulary("other-cases", "below") && !vocabulary("names", "below"));
}

#[test]
#[allow(clippy::print_stderr, reason = "a skipped test should say that it was")]
fn a_pretrained_text_encoder_is_a_row() {
    let Some(data) = std::env::var_os("BIPVL_DATA") else {
        return eprintln!("skipped: BIPVL_DATA is not set");
    };
    let (scene, data) = (Scene::new(), Path::new(&data).join("bert"));
    for (file, name) in [
        ("bert12-tiny-random/config.json", "config.json"),
        ("bert12-tiny-random/model.safetensors", "model.safetensors"),
        ("cased-vocab/vocab_cased.txt", "vocab.txt"),
    ] {
        scene.write_bytes(&format!("some-bert/{name}"), &fs::read(data.join(file)).unwrap());
    }
    let row = ["--rows", "some", "--encoder", "some=some-bert", "--steps", "1"];
    ablate(&scene, &row).succeeds();
    assert!(scene.text("table/some/seed-42/config.toml").contains("hidden_size = 32"));
    assert_eq!(scene.json("table/ablation.json")["rows"][0]["runs"], 1);
    // The same command skips the finished run.
    let log = scene.bytes("table/some/seed-42/log.jsonl");
    ablate(&scene, &row).succeeds();
    assert_eq!(scene.bytes("table/some/seed-42/log.jsonl"), log);
}

#[test]
fn unknown_rows_and_duplicate_names_are_usage_errors() {
    let scene = Scene::with_classes(&[]);
    ablate(&scene, &["--rows", "full,early"]).refuses_saying(&["--rows: unknown row `early`", "vision-only"]);
    ablate(&scene, &["--encoder", "late=dir"]).refuses_saying(&["--encoder late=dir: a row `late` exists"]);
    ablate(&scene, &["--encoder", "late"]).refuses_saying(&["--encoder", "NAME=DIR"]);
}
