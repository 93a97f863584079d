//! The scripts of `bipvl slurm`, run by bash with stand-ins for `srun` and `scontrol`. `.ci/cluster/slurm.sh` submits them
//! to a real Slurm.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::{Command, Output},
};

use bipvl_imaging::phantom;

use crate::scene::{Outcome, SHAPE, SPACING, Scene, assert_same_weights, training};

/// Runs its command as srun does, and says which options it got.
const SRUN: &str = r#"#!/bin/bash
while [[ "$1" == --* ]]; do echo "srun $1"; shift; done
echo "program $*"
exec "$@"
"#;
/// Says what it was asked for.
const SCONTROL: &str = "#!/bin/bash\necho \"scontrol $*\"\n";

fn scene() -> Scene {
    let scene = Scene::new();
    for (name, text) in [("srun", SRUN), ("scontrol", SCONTROL)] {
        executable(&scene, name, text);
    }
    scene
}

fn executable(scene: &Scene, name: &str, text: &str) {
    scene.write_text(&format!("bin/{name}"), text);
    fs::set_permissions(scene.path(&format!("bin/{name}")), fs::Permissions::from_mode(0o755)).unwrap();
}

/// The script that `bipvl slurm` prints.
fn script(scene: &Scene, args: &[&str]) -> String {
    let script = scene.bipvl(&[&["slurm"][..], args].concat()).succeeds().stdout;
    scene.write_text("job.sh", &script);
    let checked = Command::new("bash").args(["-n", "job.sh"]).current_dir(scene.path("")).output().unwrap();
    assert!(checked.status.success(), "{checked:?}\n{script}");
    script
}

/// Runs the script as a task.
fn submit(scene: &Scene, task: &str) -> Output {
    let path = std::env::join_paths([scene.path("bin"), PathBuf::from("/usr/bin"), PathBuf::from("/bin")]);
    let mut command = Command::new("bash");
    command.arg("job.sh").current_dir(scene.path("")).env("PATH", path.unwrap());
    command
        .env("SLURM_CPUS_PER_TASK", "2")
        .env("SLURM_JOB_ID", "99")
        .env("SLURM_ARRAY_JOB_ID", "77")
        .env("SLURM_ARRAY_TASK_ID", task);
    command.output().unwrap()
}

#[test]
fn a_script_of_shards_asks_for_what_a_task_needs_and_runs_it() {
    let scene = scene();
    scene.train("run", &["--steps", "1"]).succeeds();
    // Names that a shell would split or expand.
    for seed in 0..3 {
        scene.write(&format!("my $scans/it's {seed}.nii"), &phantom::draw(seed, SHAPE, SPACING).image);
    }
    let args =
        ["predict", "--shards", "3", "--cpus-per-task", "4", "--time", "10:00", "--sbatch=--partition=long"];
    let more = ["--setup", "echo set up", "--model", "run", "--out", "out", "--overlap", "0.25", "my $scans"];
    let text = script(&scene, &[&args[..], &more].concat());
    for line in [
        "#SBATCH --job-name=bipvl-out",
        "#SBATCH --array=0-2",
        "#SBATCH --ntasks=1",
        "#SBATCH --cpus-per-task=4",
        "#SBATCH --mem=16G",
        "#SBATCH --time=10:00",
        "#SBATCH --signal=TERM@120",
        "#SBATCH --requeue",
        "#SBATCH --open-mode=append",
        "#SBATCH --output=%x-%A_%a.log",
        "#SBATCH --partition=long",
        "    'my $scans'",
        "    --shard \"$SLURM_ARRAY_TASK_ID/3\"",
    ] {
        assert!(text.lines().any(|other| other == line), "{line} in\n{text}");
    }
    for task in ["0", "1", "2"] {
        let outcome = Outcome::of(submit(&scene, task));
        assert!(outcome.stdout.starts_with("set up\nsrun --cpus-per-task=2\nprogram "), "{}", outcome.stdout);
        assert!(outcome.stdout.contains("--threads 2 predict my $scans --model run"), "{}", outcome.stdout);
        assert_eq!(outcome.code, Some(0), "{outcome:#?}");
        assert!(!outcome.stdout.contains("scontrol"));
    }
    scene.bipvl(&["merge", "out"]).succeeds();
    assert!(scene.path("out/it's 2.nii").exists());
}

#[test]
fn an_interrupted_task_is_queued_again_and_a_failed_one_is_not() {
    let scene = scene();
    scene.train("run", &["--steps", "1"]).succeeds();
    scene.write_text("scans/s.nii", "broken");
    script(&scene, &["predict", "--shards", "1", "--model", "run", "--out", "out", "scans"]);
    let failed = Outcome::of(submit(&scene, "0"));
    assert!(failed.code == Some(1) && !failed.stdout.contains("scontrol"), "{failed:#?}");
    // As the program ends when a signal has arrived.
    executable(&scene, "srun", "#!/bin/bash\nexit 130\n");
    let interrupted = Outcome::of(submit(&scene, "0"));
    assert_eq!((interrupted.code, interrupted.stdout.as_str()), (Some(130), "scontrol requeue 77_0\n"));
}

#[test]
fn a_training_begins_once_and_is_resumed_after() {
    let scene = scene();
    scene.train("whole", &[]).succeeds();
    let args = [&["train", "--cpus-per-task", "2"][..], &training("run")[1..]].concat();
    let text = script(&scene, &args);
    assert!(
        text.contains("GB for training steps by estimate") && text.contains("#SBATCH --mem=5G"),
        "{text}"
    );
    assert!(text.contains("#SBATCH --output=%x-%j.log") && !text.contains("--array"), "{text}");
    let first = Outcome::of(submit(&scene, ""));
    assert!(first.code == Some(0) && first.stdout.contains("--config config.toml"), "{first:#?}");
    assert_same_weights(&scene, "run", "whole");
    let again = Outcome::of(submit(&scene, ""));
    assert!(
        again.code == Some(0) && again.stdout.contains("train --data data --out run --resume"),
        "{again:#?}"
    );
    assert_same_weights(&scene, "run", "whole");

    let many = script(&scene, &[&["train", "--ntasks", "4"][..], &training("run")[1..]].concat());
    assert!(many.contains("#SBATCH --ntasks=4") && many.contains("--mem-per-cpu="), "{many}");
    assert!(
        many.contains("srun --cpus-per-task=\"$SLURM_CPUS_PER_TASK\" --mpi=pmix --kill-on-bad-exit=1 "),
        "{many}"
    );
}

#[test]
fn folds_are_trained_by_tasks_as_by_one_process() {
    let scene = scene();
    let args = |out| [&training(out)[..], &["--folds", "2", "--steps", "1"]].concat();
    scene.bipvl(&args("whole")).succeeds();
    let text = script(&scene, &[&["folds"][..], &args("cv")[1..]].concat());
    assert!(text.contains("#SBATCH --array=0-1"), "{text}");
    for task in ["1", "0", "0"] {
        let outcome = Outcome::of(submit(&scene, task));
        assert_eq!(outcome.code, Some(0), "{outcome:#?}");
    }
    for fold in ["fold-0", "fold-1"] {
        assert_same_weights(&scene, &format!("cv/{fold}"), &format!("whole/{fold}"));
    }
    assert_eq!(scene.bytes("cv/scores.json"), scene.bytes("whole/scores.json"));
    assert_eq!(scene.names("cv/cache"), scene.names("whole/cache"));
    scene
        .bipvl(&["slurm", "folds", "--data", "data", "--out", "cv", "--descriptions", "descriptions.toml"])
        .refuses_saying(&["--folds <N>"]);
}

#[test]
fn a_study_has_a_task_for_each_row_and_seed() {
    let scene = scene();
    let common = [
        "--data",
        "data",
        "--descriptions",
        "descriptions.toml",
        "--config",
        "config.toml",
        "--out",
        "table",
    ];
    let rows = ["--rows", "full,vision-only", "--seeds", "2", "--steps", "1"];
    let text = script(&scene, &[&["ablate"][..], &common, &rows].concat());
    assert!(text.contains("#SBATCH --array=0-3"), "{text}");
    for run in ["full/seed-42", "full/seed-43", "vision-only/seed-42", "vision-only/seed-43"] {
        assert!(text.lines().any(|line| line.trim() == run), "{run} in\n{text}");
    }
    let outcome = Outcome::of(submit(&scene, "3"));
    assert_eq!(outcome.code, Some(0), "{outcome:#?}");
    assert!(scene.path("table/vision-only/seed-43/report.html").exists());
    assert!(!scene.path("table/full").exists());
}

#[test]
fn urls_are_left_to_the_tasks() {
    let scene = scene();
    let args =
        ["predict", "--shards", "2", "--model", "s3://models/a", "--out", "s3://results/b", "s3://scans/c"];
    let text = script(&scene, &args);
    for line in ["    s3://scans/c", "    --model s3://models/a", "    --out s3://results/b"] {
        assert!(text.lines().any(|other| other == line), "{line} in\n{text}");
    }
    assert!(text.contains("# Then `bipvl merge s3://results/b`"), "{text}");
}

#[test]
fn arguments_are_checked_when_the_script_is_written() {
    let scene = scene();
    scene
        .bipvl(&["slurm", "predict", "--shards", "2", "--model", "run", "--out", "out"])
        .refuses_saying(&["<INPUT>..."]);
    scene
        .bipvl(&["slurm", "predict", "--model", "run", "--out", "out", "scans"])
        .refuses_saying(&["--shards <N>"]);
    let overwrite =
        ["slurm", "predict", "--shards", "2", "--model", "run", "--out", "out", "--overwrite", "scans"];
    scene.bipvl(&overwrite).fails_saying(&["--overwrite", "skip what is done"]);
    scene
        .bipvl(&["slurm", "train", "--data", "data", "--out", "run", "--steps", "x"])
        .refuses_saying(&["invalid value 'x'"]);
    let elsewhere =
        ["slurm", "train", "--data", "data", "--descriptions", "descriptions.toml", "--out", "s3://runs/a"];
    scene.bipvl(&elsewhere).fails_saying(&["--out: a script cannot see whether there is a run at a URL"]);
    scene.bipvl(&["slurm"]).refuses_saying(&["Usage: bipvl slurm"]);
}
