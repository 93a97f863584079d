//! Studies and scores that are shared out to processes, and what `bipvl merge` says of them.

use std::{collections::BTreeSet, fs};

use bipvl_imaging::phantom;
use serde_json::Value;

use crate::scene::{Outcome, SHAPE, SPACING, Scene};

/// A scene with a trained run and so many scans, `s00.nii` and on.
fn scene(scans: u64) -> Scene {
    let scene = Scene::trained();
    for seed in 0..scans {
        scene.write(&format!("scans/s{seed:02}.nii"), &phantom::draw(seed, SHAPE, SPACING).image);
    }
    scene
}

fn predict(scene: &Scene, shard: &str) -> Outcome {
    scene.bipvl(&["predict", "--model", "run", "--out", "out", "scans", "--shard", shard])
}

fn lines(scene: &Scene, name: &str) -> Vec<Value> {
    scene.text(name).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn merge(scene: &Scene) -> Outcome {
    scene.bipvl(&["merge", "out"])
}

#[test]
fn shards_do_each_study_once_and_give_what_one_process_gives() {
    let scene = scene(5);
    scene.bipvl(&["predict", "--model", "run", "--out", "whole", "scans"]).succeeds();
    // In any order.
    for shard in ["2/3", "0/3", "1/3"] {
        predict(&scene, shard).succeeds();
    }
    let mut studies = BTreeSet::new();
    for (index, expected) in [["s00", "s03"].as_slice(), &["s01", "s04"], &["s02"]].into_iter().enumerate() {
        let lines = lines(&scene, &format!("out/studies-{index}-of-3.jsonl"));
        let names: Vec<&str> = lines.iter().map(|line| line["study"].as_str().unwrap()).collect();
        assert_eq!(names, *expected);
        for line in &lines {
            let study = line["study"].as_str().unwrap();
            assert_eq!(line["state"], "done");
            assert_eq!(line["outputs"], serde_json::json!([format!("{study}.nii")]));
            assert_eq!((&line["studies"], &line["shard"]), (&5.into(), &format!("{index}/3").into()));
            assert!(line["seconds"].as_f64().unwrap() > 0.0 && line["host"].is_string());
            assert_eq!(line["model"].as_str().unwrap().len(), 16);
            assert!(studies.insert(study.to_owned()));
            let file = format!("{study}.nii");
            assert!(scene.bytes(&format!("out/{file}")) == scene.bytes(&format!("whole/{file}")));
        }
    }
    assert_eq!(studies.len(), 5);
    let outcome = merge(&scene).succeeds();
    assert!(
        outcome
            .stdout
            .starts_with("5 studies in 3 shards: 5 done, 0 skipped, 0 failed\nseconds per study: mean"),
        "{}",
        outcome.stdout
    );
    assert_eq!(scene.text("out/summary.csv").lines().count(), 6);

    // More processes than studies: one has nothing to do, and says so.
    predict(&scene, "7/8").succeeds();
    assert_eq!(scene.text("out/studies-7-of-8.jsonl"), "");
}

#[test]
fn a_failing_study_and_missing_shards_are_named_and_run_again_alone() {
    let scene = scene(4);
    scene.write_text("scans/s01.nii", "broken");
    predict(&scene, "0/4").succeeds();
    predict(&scene, "1/4").fails_saying(&["s01: scans/s01.nii"]);
    let [line] = &lines(&scene, "out/studies-1-of-4.jsonl")[..] else { panic!("one line") };
    assert_eq!((&line["state"], line.get("outputs")), (&"failed".into(), None));
    assert!(line["error"].as_str().unwrap().contains("scans/s01.nii"));
    let outcome = merge(&scene);
    assert!(
        outcome.stdout.contains("2 studies in 4 shards: 1 done, 0 skipped, 1 failed"),
        "{}",
        outcome.stdout
    );
    assert!(outcome.stdout.contains("failed: s01 (shard 1/4): scans/s01.nii"), "{}", outcome.stdout);
    outcome.fails_saying(&[
        "shards 2, 3 of 4 have no file; 1 study failed; run these again: sbatch --array=1-3 job.sh",
    ]);
    let summary = scene.json("out/summary.json");
    assert_eq!(summary["missing_shards"], serde_json::json!([2, 3]));
    assert_eq!(summary["array"], "--array=1-3");
    assert_eq!(summary["failures"][0]["study"], "s01");

    scene.write("scans/s01.nii", &phantom::draw(1, SHAPE, SPACING).image);
    for shard in ["1/4", "2/4", "3/4"] {
        predict(&scene, shard).succeeds();
    }
    merge(&scene).succeeds();
    let table = scene.text("out/summary.csv");
    assert!(table.lines().any(|row| row.starts_with("s01,done,1/4,2,")), "{table}");
}

#[test]
fn a_shard_goes_on_where_it_ended_and_leaves_the_bytes_that_were_there() {
    let scene = scene(4);
    predict(&scene, "0/2").succeeds();
    let before = scene.bytes("out/s00.nii");
    let whole = scene.text("out/studies-0-of-2.jsonl");
    // As a kill leaves it: the second study without files, and a torn line.
    fs::remove_file(scene.path("out/s02.nii")).unwrap();
    let (first, second) = whole.trim_end().split_once('\n').unwrap();
    scene.write_text("out/studies-0-of-2.jsonl", &format!("{first}\n{}", &second[..20]));
    merge(&scene).fails_saying(&[
        "shard 1 of 2 has no file; shard 0 ended after 1 of 2 studies",
        "--array=0,1 job.sh",
    ]);
    predict(&scene, "0/2").succeeds();
    let found = lines(&scene, "out/studies-0-of-2.jsonl");
    let states: Vec<(&str, &str)> =
        found.iter().map(|line| (line["study"].as_str().unwrap(), line["state"].as_str().unwrap())).collect();
    assert_eq!(states, [("s00", "done"), ("s02", "done")]);
    assert!(scene.bytes("out/s00.nii") == before);

    // Without the file of lines, what is there is skipped, once; a study with half its files is made again.
    fs::remove_file(scene.path("out/studies-0-of-2.jsonl")).unwrap();
    for _ in 0..2 {
        predict(&scene, "0/2").succeeds();
    }
    let states: Vec<Value> =
        lines(&scene, "out/studies-0-of-2.jsonl").iter().map(|line| line["state"].clone()).collect();
    assert_eq!(states, ["skipped", "skipped"]);
    fs::remove_file(scene.path("out/s00.nii")).unwrap();
    scene.write_text("out/s00.statistics.csv", "half");
    let statistics = ["predict", "--model", "run", "--out", "out", "scans", "--statistics", "--shard=0/2"];
    scene.bipvl(&statistics).succeeds();
    assert!(scene.bytes("out/s00.nii") == before && scene.text("out/s00.statistics.csv") != "half");
}

#[test]
fn inputs_that_changed_between_tasks_are_noticed() {
    let scene = scene(3);
    predict(&scene, "0/2").succeeds();
    scene.write("scans/s00a.nii", &phantom::draw(9, SHAPE, SPACING).image);
    predict(&scene, "1/2").succeeds();
    let outcome = merge(&scene);
    assert!(
        outcome.stderr.contains("s02 is in shards 0, 1") || outcome.stderr.contains("s01"),
        "{outcome:?}"
    );
    outcome
        .fails_saying(&["the inputs changed between tasks, which saw 3 and 4 studies", "--array=0,1 job.sh"]);
    for shard in ["0/2", "1/2"] {
        predict(&scene, shard).succeeds();
    }
    merge(&scene).succeeds();
}

#[test]
fn the_task_of_a_job_array_is_its_shard() {
    let scene = scene(3);
    let task = |variables: &[(&str, &str)]| {
        let mut command = scene.command();
        command.args(["predict", "--model", "run", "--out", "out", "scans", "--shard"]);
        Outcome::of(command.envs(variables.iter().copied()).output().unwrap())
    };
    let [id, min, max, count] = ["ID", "MIN", "MAX", "COUNT"].map(|name| format!("SLURM_ARRAY_TASK_{name}"));
    let array = |task_id, first, last, tasks| {
        task(&[(&id, task_id), (&min, first), (&max, last), (&count, tasks), ("SLURM_ARRAY_JOB_ID", "17")])
    };
    array("3", "1", "3", "3").succeeds();
    let [line] = &lines(&scene, "out/studies-2-of-3.jsonl")[..] else { panic!("one line") };
    assert_eq!((&line["study"], &line["job"]), (&"s02".into(), &"17_3".into()));
    array("7", "3", "7", "2").fails_saying(&["the job array has gaps", "give K/N"]);
    task(&[]).fails_saying(&["SLURM_ARRAY_TASK_ID is not set", "such as 0/10"]);
    predict(&scene, "3/3").refuses_saying(&["--shard", "expected K/N with K from 0 to N-1"]);
    let overwrite = ["predict", "--model", "run", "--out", "out", "scans", "--overwrite", "--shard", "0/2"];
    scene.bipvl(&overwrite).refuses_saying(&["cannot be used with"]);
}

#[test]
fn prompts_are_asked_by_shards_too() {
    let scene = Scene::new();
    let text = scene.text("config.toml").replace("[model]\n", "[model]\nhead = \"prompts\"\n");
    scene.write_text("config.toml", &text);
    scene
        .bipvl(&["train", "--config", "config.toml", "--data", "data", "--out", "run", "--steps", "1"])
        .succeeds();
    for seed in 0..2 {
        scene.write(&format!("scans/s{seed}.nii"), &phantom::draw(seed, SHAPE, SPACING).image);
    }
    let ask = |prompt: &str, shard: &str| {
        scene.bipvl(&[
            "predict", "--model", "run", "--out", "out", "--prompt", prompt, "scans", "--shard", shard,
        ])
    };
    ask("liver", "1/2").succeeds();
    assert_eq!(scene.names("out"), ["s1.labels.json", "s1.nii", "studies-1-of-2.jsonl"]);
    ask("spleen", "1/2").fails_saying(&["made with other prompts (liver)"]);
    ask("liver", "0/2").succeeds();
    merge(&scene).succeeds();
}

#[test]
fn scores_of_shards_merge_to_the_bytes_of_one_evaluation() {
    let scene = Scene::new();
    for seed in 0..7 {
        let mut labels = phantom::draw(seed, SHAPE, SPACING).labels;
        scene.write_labels(&format!("references/c{seed}.nii"), &labels);
        // One case misses a class, so that its diagonal counts.
        let (_, first) = phantom::CLASSES[0];
        labels.voxels_mut().indexed_iter_mut().for_each(|((x, y, z), label)| {
            let is_lost = seed == 3 && *label == first;
            let is_noise = (x + 3 * y + 7 * z + seed as usize).is_multiple_of(41);
            if is_lost || is_noise {
                *label = 0;
            }
        });
        scene.write_labels(&format!("predictions/c{seed}.nii"), &labels);
    }
    let evaluate = |json: &str, more: &[&str]| {
        let args = ["evaluate", "--pred", "predictions", "--ref", "references", "--json", json];
        scene.bipvl(&[&args[..], &["--dataset", "data/dataset.json"], more].concat())
    };
    let whole = evaluate("whole.json", &[]).succeeds();
    assert!(scene.text("whole.json").contains("penalized_mean"));
    fs::create_dir(scene.path("out")).unwrap();
    for shard in ["0/3", "2/3"] {
        evaluate("out/scores.json", &["--shard", shard]).succeeds();
    }
    merge(&scene).fails_saying(&["shard 1 of 3 has no file; run these again: sbatch --array=1 job.sh"]);
    assert!(!scene.path("out/scores.json").exists(), "no table of some cases");
    evaluate("out/scores.json", &["--shard", "1/3"]).succeeds();
    let merged = merge(&scene).succeeds();
    assert_eq!(merged.stdout, whole.stdout);
    assert_eq!(scene.text("out/scores.json"), scene.text("whole.json"));

    scene.write_text("predictions/c4.nii", "damaged");
    for shard in ["0/3", "2/3"] {
        evaluate("out/scores.json", &["--shard", shard]).succeeds();
    }
    evaluate("out/scores.json", &["--shard", "1/3"]).fails_saying(&["predictions/c4.nii"]);
    let outcome = merge(&scene);
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.stderr.contains("1 of 7 cases could not be scored; run these again: sbatch --array=1"));
    let args = ["--pred", "predictions", "--ref", "references", "--json", "s.json", "--shard", "0/3"];
    scene.bipvl(&[&["evaluate"][..], &args].concat()).fails_saying(&["name them with --dataset FILE"]);
}

#[test]
fn a_folder_without_shards_has_nothing_to_merge() {
    let scene = scene(0);
    fs::create_dir(scene.path("out")).unwrap();
    merge(&scene).fails_saying(&["out: neither studies-K-of-N.jsonl"]);
    scene.bipvl(&["merge", "nowhere"]).fails_saying(&["nowhere: "]);
}
