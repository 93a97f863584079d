//! A folder with phantoms, their descriptions and a very small network, and the program run inside it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use bipvl_imaging::{
    Grid, LabelMap, Volume,
    phantom::{self, Phantom},
};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Cases of the data set; of five folds, the first validates on two of them.
pub(crate) const CASES: u64 = 6;
pub(crate) const SHAPE: [usize; 3] = [32; 3];
pub(crate) const SPACING: [f64; 3] = [4.0; 3];
/// Of the training; [`CONFIG`] says so.
pub(crate) const STEPS: usize = 4;

/// A network and a training that take a second or two.
pub(crate) const CONFIG: &str = concat!(
    include_str!("../../../bipvl/examples/support/tiny_model.toml"),
    r#"
[preprocess]
spacing = [4.0, 4.0, 4.0]
intensity = { clip_and_scale = { a_min = -100.0, a_max = 300.0 } }
patch_size = [32, 32, 32]

[train]
max_steps = 4
batch_size = 1
warmup_steps = 0
val_every_n_steps = 4
checkpoint_every_n_steps = 2
augment = { affine_probability = 0.5 }
"#
);

/// A data set, `descriptions.toml` and `config.toml` in a temporary folder. The program runs in that
/// folder, so that messages name files as the arguments do.
pub(crate) struct Scene {
    folder: TempDir,
}

impl Scene {
    /// With six phantoms in `data`.
    pub(crate) fn new() -> Self {
        let scene = Self::with_classes(&phantom::CLASSES.map(|(name, _)| name));
        let cases: Vec<Value> = (0..CASES)
            .map(|seed| {
                let (image, labels) =
                    (format!("imagesTr/case_{seed}.nii"), format!("labelsTr/case_{seed}.nii"));
                let phantom = phantom::draw(seed, SHAPE, SPACING);
                scene.write(&format!("data/{image}"), &phantom.image);
                scene.write_labels(&format!("data/{labels}"), &phantom.labels);
                json!({ "image": image, "label": labels })
            })
            .collect();
        scene.write_json("data/dataset.json", &decathlon(&json!({ "0": "CT" }), &cases));
        scene
    }

    /// Without data.
    pub(crate) fn with_classes(classes: &[&str]) -> Self {
        let scene = Self { folder: tempfile::tempdir().unwrap() };
        scene.describe(classes);
        scene.write_text("config.toml", CONFIG);
        scene
    }

    /// With a run in `run` that was trained for one step.
    pub(crate) fn trained() -> Self {
        let scene = Self::new();
        scene.train("run", &["--steps", "1"]).succeeds();
        scene
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn bytes(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    pub(crate) fn text(&self, name: &str) -> String {
        String::from_utf8(self.bytes(name)).unwrap()
    }

    pub(crate) fn json(&self, name: &str) -> Value {
        serde_json::from_str(&self.text(name)).unwrap()
    }

    /// Names in a folder, sorted.
    pub(crate) fn names(&self, folder: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(folder)).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    pub(crate) fn write_text(&self, name: &str, text: &str) {
        self.write_bytes(name, text.as_bytes());
    }

    pub(crate) fn write_json(&self, name: &str, value: &Value) {
        self.write_text(name, &value.to_string());
    }

    pub(crate) fn write_bytes(&self, name: &str, bytes: &[u8]) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    pub(crate) fn write(&self, name: &str, image: &Volume<f32>) {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        bipvl_imaging::write(&self.path(name), image).unwrap();
    }

    pub(crate) fn write_labels(&self, name: &str, labels: &LabelMap) {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        bipvl_imaging::write(&self.path(name), labels).unwrap();
    }

    /// Changes the bytes of a file.
    pub(crate) fn spoil(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = self.bytes(name);
        change(&mut bytes);
        self.write_bytes(name, &bytes);
    }

    /// Changes the text of a file in one place.
    pub(crate) fn replace(&self, name: &str, old: &str, new: &str) {
        let text = self.text(name);
        assert_eq!(text.matches(old).count(), 1, "{name} holds {old:?} once");
        self.write_text(name, &text.replace(old, new));
    }

    /// Writes `descriptions.toml` for these classes.
    pub(crate) fn describe(&self, classes: &[&str]) {
        let class = |name: &&str| {
            format!(
                "[[class]]\nname = \"{name}\"\ntitle = \"The {name} in a CT image\"\n\n[class.concepts]\n\
                 shape = \"As round as a {name} is.\"\nlocation = \"Where the {name} is.\"\n\n"
            )
        };
        self.write_text("descriptions.toml", &classes.iter().map(class).collect::<String>());
    }

    /// The program, ready to run in the folder.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("bipvl"));
        command.current_dir(self.folder.path());
        command
    }

    pub(crate) fn bipvl(&self, args: &[&str]) -> Outcome {
        Outcome::of(self.command().args(args).output().unwrap())
    }

    /// `bipvl train` on the data set into the folder `run`.
    pub(crate) fn train(&self, run: &str, more: &[&str]) -> Outcome {
        self.bipvl(&[&training(run)[..], more].concat())
    }

    /// `bipvl train --resume` of the folder `run`.
    pub(crate) fn resume(&self, run: &str) -> Outcome {
        self.bipvl(&resuming(run))
    }

    /// `bipvl predict --overwrite` of one input into the folder `predictions`.
    pub(crate) fn predict(&self, input: &str) -> Outcome {
        self.bipvl(&["predict", "--model", "run", "--out", "predictions", "--overwrite", input])
    }

    /// `bipvl evaluate` of the folder `predictions` against `references`.
    pub(crate) fn evaluate(&self) -> Outcome {
        self.bipvl(&["evaluate", "--pred", "predictions", "--ref", "references", "--json", "scores.json"])
    }
}

/// The arguments of a new training.
pub(crate) fn training(run: &str) -> [&str; 9] {
    let [data, descriptions, out] = ["--data", "--descriptions", "--out"];
    ["train", data, "data", descriptions, "descriptions.toml", out, run, "--config", "config.toml"]
}

/// The arguments that resume a training.
pub(crate) fn resuming(run: &str) -> [&str; 8] {
    ["train", "--data", "data", "--descriptions", "descriptions.toml", "--out", run, "--resume"]
}

/// The `dataset.json` of the Medical Segmentation Decathlon for the classes of the phantoms.
pub(crate) fn decathlon(channels: &Value, cases: &[Value]) -> Value {
    let classes = phantom::CLASSES.iter().map(|(name, label)| (label.to_string(), json!(name)));
    let labels: serde_json::Map<String, Value> =
        std::iter::once(("0".to_owned(), json!("background"))).chain(classes).collect();
    json!({ "name": "Phantoms", "modality": channels, "labels": labels, "training": cases })
}

/// A phantom of a seed that no training sees.
pub(crate) fn new_phantom() -> Phantom {
    phantom::draw(100, SHAPE, SPACING)
}

/// The volume on another grid of its shape.
pub(crate) fn placed<T: Clone>(volume: &Volume<T>, grid: Grid) -> Volume<T> {
    Volume::new(volume.voxels().clone(), grid)
}

/// Makes a plain file of one volume one that holds it several times, as channels.
pub(crate) fn repeat_channels(bytes: &mut Vec<u8>, count: usize) {
    const HEADER_BYTES: usize = 352;
    bytes[40..42].copy_from_slice(&4_i16.to_le_bytes());
    bytes[48..50].copy_from_slice(&(count as i16).to_le_bytes());
    let voxels = bytes.split_off(HEADER_BYTES);
    bytes.extend(voxels.repeat(count));
}

/// What a run of the program left.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Outcome {
    pub(crate) fn of(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    #[track_caller]
    pub(crate) fn succeeds(self) -> Self {
        assert_eq!(self.code, Some(0), "{self:#?}");
        assert!(!self.stderr.contains("ERROR"), "{}", self.stderr);
        self
    }

    /// Exit code 1, and the first message of an error holds `parts`.
    #[track_caller]
    pub(crate) fn fails_saying(self, parts: &[&str]) {
        assert_eq!(self.code, Some(1), "{self:#?}");
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
        let messages: Vec<&str> = self.stderr.lines().filter(|line| line.contains("ERROR")).collect();
        let message = messages.first().expect("a failure has a message");
        assert!(
            self.stderr.matches("os error").count() <= 1,
            "said twice:
{}",
            self.stderr
        );
        for part in parts {
            assert!(message.contains(part), "{part:?} is not said in:\n{}", self.stderr);
        }
    }

    /// Refused by the parser of the arguments: exit code 2.
    #[track_caller]
    pub(crate) fn refuses_saying(self, parts: &[&str]) {
        assert_eq!(self.code, Some(2), "{self:#?}");
        assert!(self.stdout.is_empty(), "{}", self.stdout);
        for part in parts {
            assert!(self.stderr.contains(part), "{part:?} is not said in:\n{}", self.stderr);
        }
    }
}

/// Names of the checkpoints of a run.
pub(crate) const CHECKPOINTS: [&str; 2] = ["best.safetensors", "last.safetensors"];

/// Whether two runs have the same checkpoints byte for byte.
#[track_caller]
pub(crate) fn assert_same_weights(scene: &Scene, one: &str, other: &str) {
    for name in CHECKPOINTS {
        let [one, other] =
            [one, other].map(|run| scene.bytes(&Path::new(run).join(name).display().to_string()));
        assert!(one == other, "{name} differs");
    }
}
