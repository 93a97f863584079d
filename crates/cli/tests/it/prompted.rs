//! Prompted runs: training from several data sets, prediction by prompts, the vocabulary, the probe.

use bipvl_imaging::{phantom, read, read_labels};

use crate::scene::{SHAPE, SPACING, Scene, new_phantom};

/// The network and training of the scene, with prompts.
const HEAD: &str = "[model]\nhead = \"prompts\"\n";

/// A scene whose configuration trains a prompted network for `steps` steps.
fn scene() -> Scene {
    let scene = Scene::new();
    let text = scene.text("config.toml").replace("[model]\n", HEAD);
    scene.write_text("config.toml", &text);
    scene
}

fn train<'a>(out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["train", "--config", "config.toml", "--data", "data", "--out", out], more].concat()
}

#[test]
fn a_run_is_trained_and_asked_in_words() {
    let scene = scene();
    let outcome = scene.bipvl(&train("run", &[])).succeeds();
    assert!(outcome.stdout.contains("Kidney") || outcome.stdout.contains("ball"), "{}", outcome.stdout);
    // Every held-out case has a score of every concept.
    let scores = scene.json("run/scores.json");
    let cases = scores["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 2);
    assert!(cases.iter().all(|case| case["classes"].as_object().unwrap().len() == phantom::CLASSES.len()));
    assert!(scene.text("run/report.html").contains("held-out cases"));
    scene.write("scans/s.nii.gz", &new_phantom().image);
    let arguments =
        ["predict", "--model", "run", "--out", "masks", "--prompt", "Kidney", "--prompt", "the moon"];
    scene.bipvl(&[&arguments[..], &["--each", "--probabilities", "scans"]].concat()).succeeds();
    assert_eq!(scene.names("masks"), ["masks", "probabilities", "s.labels.json", "s.nii.gz"]);
    assert_eq!(scene.names("masks/masks"), ["s_Kidney.nii.gz", "s_the_moon.nii.gz"]);
    let labels = scene.json("masks/s.labels.json");
    let found = labels["labels"].as_array().unwrap();
    let map = read_labels(&scene.path("masks/s.nii.gz")).unwrap();
    for (place, finding) in found.iter().enumerate() {
        let mask =
            read_labels(&scene.path(&format!("masks/masks/s_{}.nii.gz", ["Kidney", "the_moon"][place])));
        let voxels = mask.unwrap().voxels().iter().filter(|voxel| **voxel > 0).count();
        assert_eq!(finding["voxels"].as_u64().unwrap() as usize, voxels);
        // A voxel of 4 mm has 0.064 ml.
        assert!((finding["volume_ml"].as_f64().unwrap() - 0.064 * voxels as f64).abs() < 1e-9);
        assert_eq!(finding["value"].as_u64().unwrap() as usize, place + 1);
        assert_eq!(finding["found"].as_bool().unwrap(), voxels >= 8);
        let probabilities =
            scene.path(&format!("masks/probabilities/s_{}.nii.gz", ["Kidney", "the_moon"][place]));
        let probabilities = &read(&probabilities).unwrap().channels[0];
        let inside = probabilities.voxels().iter().filter(|probability| **probability >= 0.5).count();
        assert!(inside == voxels || (voxels == 0 && inside < 8), "{inside} and {voxels} voxels");
    }
    assert!(map.voxels().iter().all(|label| *label <= 2));
    // A batch goes on with the same prompts alone.
    scene.bipvl(&[&arguments[..], &["--skip-existing", "scans"]].concat()).succeeds();
    let other =
        ["predict", "--model", "run", "--out", "masks", "--prompt", "liver", "--skip-existing", "scans"];
    scene.bipvl(&other).fails_saying(&["s.labels.json", "made with other prompts (Kidney, the moon)"]);
    // Other prompts leave nothing of the first ones.
    let other = ["predict", "--model", "run", "--out", "masks", "--prompt", "liver", "--overwrite", "--each"];
    scene.bipvl(&[&other[..], &["scans"]].concat()).succeeds();
    assert_eq!(scene.names("masks/masks"), ["s_liver.nii.gz"]);
    assert!(scene.names("masks/probabilities").is_empty());
    // Without prompts, all classes of the training are asked for.
    scene.bipvl(&["predict", "--model", "run", "--out", "all", "scans"]).succeeds();
    let labels = scene.json("all/s.labels.json");
    assert_eq!(labels["labels"].as_array().unwrap().len(), phantom::CLASSES.len());
}

#[test]
fn bad_prompts_are_refused_before_anything_is_written() {
    let scene = scene();
    scene.bipvl(&train("run", &["--steps", "1"])).succeeds();
    scene.write("scans/s.nii.gz", &new_phantom().image);
    let many: Vec<String> = (0..2000).map(|number| format!("organ {number}")).collect();
    scene.write_text("many.txt", &many.join("\n"));
    scene.write_text("none.txt", "# nothing\n\n");
    let predict = ["predict", "--model", "run", "--out", "masks", "scans"];
    for (flags, message) in [
        (&["--prompt", " "][..], "prompt 1 has no word"),
        (&["--prompt", "liver", "--prompt", "Liver"], "prompts 1 and 2 are the same"),
        (&["--prompts", "many.txt"], "2000 prompts, but at most 1000"),
        (&["--prompts", "none.txt"], "none.txt: it has no prompt"),
        (&["--prompts", "missing.txt"], "missing.txt"),
        (&["--classes", "liver"], "--classes is for runs with model.head = \"channels\""),
        (&["--like", "moon"], "--like: no data set `moon`"),
    ] {
        scene.bipvl(&[&predict[..], flags].concat()).fails_saying(&[message]);
        assert!(!scene.path("masks").exists(), "{flags:?}");
    }
    let outcome = scene.bipvl(&[&predict[..], &["--prompt", "zzyzx"]].concat()).succeeds();
    assert!(outcome.stderr.contains("no training text has the word zzyzx"), "{}", outcome.stderr);
}

#[test]
fn a_run_with_fixed_classes_has_no_prompts() {
    let scene = Scene::trained();
    scene.write("scans/s.nii.gz", &new_phantom().image);
    let predict = ["predict", "--model", "run", "--out", "masks", "--prompt", "liver", "scans"];
    scene.bipvl(&predict).fails_saying(&["fixed classes", "--classes"]);
    scene.bipvl(&["vocabulary", "run"]).fails_saying(&["run", "model.head = \"prompts\""]);
}

#[test]
fn a_resumed_training_gives_the_same_weights() {
    let scene = scene();
    scene.bipvl(&train("whole", &[])).succeeds();
    let mut interrupted = train("parts", &["--max-minutes", "0.000001"]);
    scene.bipvl(&interrupted).succeeds();
    interrupted = vec!["train", "--out", "parts", "--resume", "--threads", "2"];
    scene.bipvl(&interrupted).succeeds();
    assert!(scene.bytes("whole/last.safetensors") == scene.bytes("parts/last.safetensors"));
}

#[test]
fn two_data_sets_become_one_vocabulary() {
    let scene = scene();
    scene.write("other/imagesTr/a.nii", &phantom::draw(70, SHAPE, SPACING).image);
    let names: Vec<&str> = phantom::CLASSES.map(|(name, _)| name).into();
    let cases: Vec<_> = (70..75)
        .map(|seed| {
            let drawn = phantom::draw(seed, SHAPE, SPACING);
            let [image, label] = ["imagesTr", "labelsTr"].map(|folder| format!("{folder}/c{seed}.nii"));
            scene.write(&format!("other/{image}"), &drawn.image);
            // The star of the first case is declared absent below.
            let is_left_out = |class| seed == 70 && class == 4;
            let labels = drawn.labels.map(|class| if is_left_out(*class) { 0 } else { *class });
            scene.write_labels(&format!("other/{label}"), &labels);
            serde_json::json!({ "image": image, "label": label })
        })
        .collect();
    let labels = serde_json::json!({ "0": "background", "1": names[0], "2": "Left moon", "3": "right moon",
        "4": "star" });
    let about = serde_json::json!({ "name": "Other", "modality": { "0": "CT" }, "labels": labels,
        "numTraining": cases.len(), "training": cases });
    scene.write_json("other/dataset.json", &about);
    let all = [names[0], "Left moon", "right moon", "star"];
    let mut contoured: serde_json::Map<_, _> =
        (70..75).map(|seed| (format!("c{seed}"), serde_json::json!(all))).collect();
    contoured["c70"] = serde_json::json!({ "labelled": &all[..3], "absent": ["star"] });
    contoured["c71"] = serde_json::json!(&all[..2]);
    scene.write_json("other/labelled.json", &contoured.clone().into());
    let sets = "\n[[data.set]]\nname = \"one\"\npath = \"data\"\n\n[[data.set]]\nname = \"two\"\npath = \"other\"\n\
                absent = [\"BLACK\"]\n";
    let text = scene.text("config.toml") + sets;
    scene.write_text("config.toml", &text.replace("absent = [\"BLACK\"]\n", ""));
    scene.bipvl(&["train", "--config", "config.toml", "--out", "run"]).succeeds();
    let outcome = scene.bipvl(&["vocabulary", "run"]).succeeds();
    let first = outcome.stdout.lines().find(|line| line.contains(names[0])).unwrap();
    assert_eq!(first.matches("labelled").count(), 2, "{}", outcome.stdout);
    assert!(
        outcome.stdout.contains("Left moon + right moon")
            || outcome.stdout.contains("left moon + right moon")
    );
    let matrix = scene.bipvl(&["data", "check", "--config", "config.toml"]).succeeds().stdout;
    assert!(matrix.contains("one: 5 cases") || matrix.contains("one: 6 cases"), "{matrix}");
    assert!(matrix.contains("  star: contoured in 3 cases\n"), "{matrix}");
    assert!(matrix.contains(first) && matrix.contains("bipvl train --config config.toml"), "{matrix}");
    let outcome = scene.bipvl(&["probe", "--model", "run", "--max-cases", "1"]).succeeds();
    assert!(outcome.stdout.contains("other data set"), "{}", outcome.stdout);
    assert_eq!(scene.names("run/probe"), ["probe.html", "probe.json", "probe.md"]);

    for case in ["c71", "c72", "c73", "c74"] {
        contoured[case] = serde_json::json!({ "labelled": &all[..3], "absent": ["star"] });
    }
    scene.write_json("other/labelled.json", &contoured.into());
    scene.bipvl(&["train", "--config", "config.toml", "--out", "contradicted"]).fails_saying(&[
        "`two`",
        "labelled.json declares `star` absent in case `c7",
        "has voxels of it",
    ]);

    scene.write_text("config.toml", &text);
    scene
        .bipvl(&["train", "--config", "config.toml", "--out", "bad"])
        .fails_saying(&["data set `two`", "`BLACK`"]);
    assert!(!scene.path("bad").exists());
}

#[test]
fn a_training_starts_from_another_run() {
    let scene = scene();
    scene.bipvl(&train("run", &["--steps", "1"])).succeeds();
    let outcome = scene.bipvl(&train("next", &["--steps", "1", "--from", "run"])).succeeds();
    assert!(outcome.stderr.contains("and weights of backbone.decoder"), "{}", outcome.stderr);
    scene.bipvl(&["probe", "--model", "run", "--unseen", "liver"]).fails_saying(&["--unseen liver"]);
    let info = scene.bipvl(&["info", "run"]).succeeds().stdout;
    assert!(info.contains("concepts, patches of 32 × 32 × 32 voxels") && info.contains("fusions"), "{info}");
    assert!(info.contains("labelled"), "{info}");
    let missing = train("other", &["--from", "nowhere"]);
    scene.bipvl(&missing).fails_saying(&["nowhere"]);
    assert!(!scene.path("other").exists());
}

/// Trained on strings instead of words, a network still takes words: they are replaced as in the training.
#[test]
fn a_code_book_replaces_words_in_training_and_prediction() {
    let scene = scene();
    let config = scene.text("config.toml");
    scene.write_text("code.toml", &format!("{config}\n[prompts]\ncode_book = true\n"));
    let train = ["train", "--config", "code.toml", "--data", "data", "--out", "code", "--steps", "1"];
    scene.bipvl(&train).succeeds();
    let outcome = scene.bipvl(&["vocabulary", "code"]).succeeds();
    assert!(phantom::CLASSES.iter().all(|(name, _)| outcome.stdout.contains(name)), "{}", outcome.stdout);
    // No word of a class is in the vocabulary of the tokenizer.
    let tokens = scene.text("code/tokenizer.json");
    assert!(!["ball", "rod", "twin"].iter().any(|word| tokens.contains(&format!("\"{word}\""))), "{tokens}");
    scene.write("scans/s.nii.gz", &new_phantom().image);
    scene.bipvl(&["predict", "--model", "code", "--out", "masks", "--prompt", "ball", "scans"]).succeeds();

    scene.write_text("bad.toml", &format!("{config}\n[prompts]\ncode_book = true\nmirror = 0.5\n"));
    let train = ["train", "--config", "bad.toml", "--data", "data", "--out", "bad"];
    scene.bipvl(&train).fails_saying(&["bad.toml", "`prompts.mirror` is 0.5", "have no sides"]);
}

#[test]
fn a_study_compares_rows_of_the_prompted_form() {
    let scene = scene();
    let ablate = |rows| {
        [
            "ablate",
            "--config",
            "config.toml",
            "--data",
            "data",
            "--out",
            "study",
            "--steps",
            "1",
            "--seeds",
            "1",
        ]
        .into_iter()
        .chain(["--rows", rows])
        .collect::<Vec<_>>()
    };
    let outcome = scene.bipvl(&ablate("full,first-token,code-book")).succeeds();
    for row in ["| full", "| first-token", "| code-book"] {
        assert!(outcome.stdout.contains(row), "{row}: {}", outcome.stdout);
    }
    assert!(scene.text("study/first-token/seed-42/config.toml").contains("pooling = \"first\""));
    // Finished runs are kept.
    let before = scene.bytes("study/full/seed-42/best.safetensors");
    scene.bipvl(&ablate("full")).succeeds();
    assert!(scene.bytes("study/full/seed-42/best.safetensors") == before);
    let longer: Vec<&str> =
        ablate("full").into_iter().map(|flag| if flag == "1" { "2" } else { flag }).collect();
    scene.bipvl(&longer).fails_saying(&["seed-42: trained with other values of train.max_steps"]);
    scene.bipvl(&ablate("none")).fails_saying(&["--rows: unknown row `none`", "first-token"]);
}
