//! Help, versions, refused arguments, and which stream gets what.

use serde_json::Value;

use crate::scene::{Scene, new_phantom};

fn empty() -> Scene {
    Scene::with_classes(&[])
}

/// Each command with its flags.
const FLAGS: &[(&str, &str)] = &[
    ("demo", "--ambiguous --channels --kinds --out --seed --steps"),
    ("data", "check"),
    ("describe", "--data --out --source --cases --endpoint --model --key-env --timeout-s --tokenizer lint"),
    (
        "train",
        "--data --recipe --descriptions --out --model-size --config --pretrained-text-encoder --pretrained-backbone \
         --val-fold --folds --steps --seed --memory-budget --max-minutes --resume --device --precision",
    ),
    (
        "ablate",
        "--data --recipe --descriptions --out --rows --seeds --model-size --config --encoder \
         --val-fold --steps --memory-budget --max-minutes --device",
    ),
    (
        "predict",
        "--model --out --shard --each --probabilities --classes --descriptions --synonyms --case-descriptions --overlap --blend-mode \
         --tta-mirror-axes --keep-largest-component --no-skip-constant-patches --device --precision <INPUT>",
    ),
    (
        "probe",
        "--model --data --out --cases --max-cases --perturbations --paraphrases --synonyms --seed --device",
    ),
    ("evaluate", "--pred --ref --json --convention --tolerance-mm --dataset --shard"),
    ("merge", "--shards <OUT>"),
    ("slurm", "train folds ablate predict"),
    ("import", "--out --merging <SOURCE>"),
    ("export", "--out <RUN>"),
    ("info", "--model-size --json"),
    ("bench", "--json --repeat --smoke-test --classes --tokens"),
    ("completions", "bash zsh fish powershell elvish"),
    ("man", "--out"),
];

#[test]
fn the_help_of_every_command_names_its_flags() {
    let scene = empty();
    for (command, flags) in FLAGS {
        let outcome = scene.bipvl(&[command, "--help"]).succeeds();
        assert!(outcome.stderr.is_empty());
        for flag in flags.split(' ').chain(["--threads", "--log-format", "--help"]) {
            assert!(outcome.stdout.contains(flag), "{command}: {flag} in\n{}", outcome.stdout);
        }
    }
}

#[test]
fn the_help_names_every_command() {
    let help = empty().bipvl(&["--help"]).succeeds().stdout;
    for command in [
        "demo",
        "data",
        "describe",
        "train",
        "ablate",
        "predict",
        "evaluate",
        "merge",
        "slurm",
        "probe",
        "import",
        "export",
        "info",
        "bench",
        "completions",
        "man",
        "help",
    ] {
        assert!(help.contains(&format!("\n  {command} ")), "{command} in\n{help}");
    }
}

#[test]
fn every_shell_gets_a_completion_script_with_commands_and_flags() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = empty().bipvl(&["completions", shell]).succeeds().stdout;
        for word in ["predict", "keep-largest-component"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
        // Scripts of PowerShell and Elvish have no values of flags.
        let has_values = ["bash", "zsh", "fish"].contains(&shell);
        assert!(!has_values || script.contains("gaussian"), "{shell}");
    }
}

#[test]
fn every_command_gets_a_man_page() {
    let scene = empty();
    scene.bipvl(&["man", "--out", "man1"]).succeeds();
    let pages = scene.names("man1");
    for page in ["bipvl.1", "bipvl-predict.1", "bipvl-data-check.1", "bipvl-describe-lint.1"] {
        assert!(pages.iter().any(|name| name == page), "{page} in {pages:?}");
    }
    let page = scene.text("man1/bipvl-predict.1");
    assert!(page.starts_with(".ie") && page.contains("blend\\-mode"), "{page}");
}

#[test]
fn no_arguments_print_the_usage() {
    empty().bipvl(&[]).refuses_saying(&["Usage: bipvl", "--help"]);
}

#[test]
fn the_version_is_that_of_the_package() {
    let outcome = empty().bipvl(&["--version"]).succeeds();
    assert_eq!(outcome.stdout, format!("bipvl {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn wrong_arguments_are_usage_errors() {
    let scene = empty();
    for (args, part) in [
        (&["frob"][..], "unrecognized subcommand 'frob'"),
        (&["train", "--data", "d"], "--out <RUN>"),
        (&["train", "--data", "d", "--out", "r"], "--descriptions <FILE>"),
        (&["train", "--out", "r", "--resume"], "--data <DIR>"),
        (&["data", "check"], "<DIR>"),
        (&["predict", "--model", "run", "--out", "o"], "<INPUT>..."),
        (&["info"], "<RUN>"),
        (&["info", "run", "--model-size", "tiny"], "cannot be used with"),
        (&["info", "--model-size", "huge"], "expected one of paper, small, tiny, found \"huge\""),
        (&["info", "--model-size", "tiny", "--threads", "x"], "invalid value 'x'"),
        (&["bench", "--repeat", "0"], "0 is not in 1.."),
        (&["bench", "vision-7-9"], "expected one of vision-48-96, "),
        (&["demo", "--steps", "-3"], "invalid value '-3'"),
    ] {
        scene.bipvl(args).refuses_saying(&[part, "--help"]);
    }
    let resume = ["train", "--data", "d", "--descriptions", "f", "--out", "r", "--resume", "--seed", "1"];
    scene.bipvl(&resume).refuses_saying(&["--resume", "--seed", "cannot be used with"]);
    assert_eq!(scene.names(""), ["config.toml", "descriptions.toml"], "nothing was written");
}

#[test]
fn a_negative_tolerance_is_refused() {
    let args = ["evaluate", "--pred", "p", "--ref", "r", "--json", "s", "--tolerance-mm", "-1"];
    empty().bipvl(&args).fails_saying(&["--tolerance-mm: expected at least 0, found -1"]);
}

#[test]
fn logs_can_be_json_lines_and_only_results_go_to_standard_output() {
    let scene = Scene::new();
    let outcome = scene.train("run", &["--log-format", "json", "--steps", "1"]).succeeds();
    let messages: Vec<Value> =
        outcome.stderr.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(messages.len() >= 2);
    for message in &messages {
        assert!(
            message["message"].is_string() && message["level"] == "INFO" && message["timestamp"].is_string()
        );
    }
    assert!(outcome.stdout.trim_start().starts_with("Class"), "{}", outcome.stdout);
    assert!(!outcome.stdout.contains("INFO"), "{}", outcome.stdout);

    scene.write("scan.nii", &new_phantom().image);
    let outcome = scene.predict("scan.nii").succeeds();
    assert_eq!(outcome.stdout, "");
    assert_eq!(outcome.stderr, " INFO predictions/scan.nii\n");

    let outcome = scene.bipvl(&["info", "nowhere", "--log-format", "json"]);
    assert_eq!(outcome.code, Some(1));
    let message: Value = serde_json::from_str(&outcome.stderr).unwrap();
    assert_eq!(message["level"], "ERROR");
}
