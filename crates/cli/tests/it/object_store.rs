//! Paths that are URLs, on the servers that `BIPVL_TEST_S3` (an S3 endpoint) and `BIPVL_TEST_WEBDAV` name.

#![allow(clippy::print_stderr, reason = "says what was skipped")]

use std::{
    env,
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
};

use crate::scene::{Outcome, Scene, assert_same_weights, new_phantom};

const ABSENT: &str = "is not set: skipped";
/// Without it, what others have put is private; the server of the tests checks no signature.
const AUTHORIZATION: &str = "AWS bipvl:signature";
/// Any key will do for the server of the tests.
const KEYS: [(&str, &str); 4] = [
    ("AWS_ACCESS_KEY_ID", "bipvl"),
    ("AWS_SECRET_ACCESS_KEY", "secret"),
    ("AWS_REGION", "us-east-1"),
    ("AWS_ALLOW_HTTP", "true"),
];

/// A data set in files, and a bucket of its own.
pub(crate) struct Remote {
    pub(crate) scene: Scene,
    endpoint: String,
    bucket: String,
}

impl Remote {
    pub(crate) fn new(scene: fn() -> Scene) -> Option<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let Ok(endpoint) = env::var("BIPVL_TEST_S3") else {
            eprintln!("BIPVL_TEST_S3 {ABSENT}");
            return None;
        };
        let bucket = format!("test-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        ureq::put(format!("{endpoint}/{bucket}")).send_empty().unwrap();
        Some(Self { scene: scene(), endpoint, bucket })
    }

    pub(crate) fn url(&self, key: &str) -> String {
        format!("s3://{}/{key}", self.bucket)
    }

    pub(crate) fn object(&self, key: &str) -> Option<Vec<u8>> {
        let url = format!("{}/{}/{key}", self.endpoint, self.bucket);
        let request = ureq::get(url).header("authorization", AUTHORIZATION);
        request.call().ok().map(|mut response| response.body_mut().read_to_vec().unwrap())
    }

    pub(crate) fn put(&self, key: &str, bytes: &[u8]) {
        let request = ureq::put(format!("{}/{}/{key}", self.endpoint, self.bucket));
        request.header("authorization", AUTHORIZATION).send(bytes).unwrap();
    }

    /// Puts the files of a folder below a key.
    fn put_folder(&self, folder: &str, key: &str) {
        for name in self.scene.names(folder) {
            let path = format!("{folder}/{name}");
            if self.scene.path(&path).is_dir() {
                self.put_folder(&path, &format!("{key}/{name}"));
            } else {
                self.put(&format!("{key}/{name}"), &self.scene.bytes(&path));
            }
        }
    }

    fn command(&self) -> Command {
        let mut command = self.scene.command();
        command
            .envs(KEYS)
            .env("AWS_ENDPOINT_URL", &self.endpoint)
            .env("BIPVL_CACHE", self.scene.path("cache"));
        command.env("TMPDIR", self.scene.path("")).env_remove("http_proxy");
        command
    }

    pub(crate) fn bipvl(&self, args: &[&str]) -> Outcome {
        Outcome::of(self.command().args(args).output().unwrap())
    }
}

#[test]
fn model_scan_and_label_map_in_a_bucket_give_what_local_files_give() {
    let Some(remote) = Remote::new(Scene::trained) else { return };
    let Remote { scene, .. } = &remote;
    scene.write("scans/a.nii.gz", &new_phantom().image);
    scene.write("scans/b.nii.gz", &new_phantom().image);
    scene.bipvl(&["predict", "--model", "run", "--out", "local", "scans"]).succeeds();
    remote.put_folder("scans", "scans");
    remote.put_folder("run", "models/run");
    let [model, scans, out] = ["models/run", "scans/", "results"].map(|key| remote.url(key));
    let predict = ["predict", "--model", &model, "--out", &out, &scans];
    remote.bipvl(&predict).succeeds();
    for name in ["a.nii.gz", "b.nii.gz"] {
        assert_eq!(remote.object(&format!("results/{name}")), Some(scene.bytes(&format!("local/{name}"))));
    }
    // As with a local folder: what is there is not replaced unless that is wanted.
    remote.bipvl(&predict).fails_saying(&["a.nii.gz", "--overwrite", "--skip-existing"]);
    remote.put("results/a.nii.gz", b"drawn by hand");
    let outcome = remote.bipvl(&[&predict[..], &["--skip-existing"]].concat()).succeeds();
    assert!(outcome.stderr.contains("2 of 2 scans have been segmented already"), "{}", outcome.stderr);
    assert_eq!(remote.object("results/a.nii.gz").unwrap(), b"drawn by hand");
    remote.bipvl(&[&predict[..], &["--overwrite"]].concat()).succeeds();
    assert_eq!(remote.object("results/a.nii.gz"), Some(scene.bytes("local/a.nii.gz")));
    let left: Vec<_> = scene.names("").into_iter().filter(|name| name.starts_with("bipvl-")).collect();
    assert!(left.is_empty(), "no local copy of the results remains: {left:?}");
}

#[test]
fn a_training_in_a_bucket_is_resumed_from_it_and_a_changed_scan_is_fetched_again() {
    let Some(remote) = Remote::new(Scene::new) else { return };
    let Remote { scene, .. } = &remote;
    remote.put_folder("data", "data");
    let [data, run] = ["data", "run"].map(|key| remote.url(key));
    let train = |more: &[&str]| {
        let arguments = ["train", "--data", &data, "--descriptions", "descriptions.toml", "--out", &run];
        remote.bipvl(&[&arguments[..], more].concat())
    };
    train(&["--config", "config.toml", "--steps", "2"]).succeeds();
    assert!(remote.object("run/lock").is_none() && remote.object("run/last.safetensors").is_some());
    let config = String::from_utf8(remote.object("run/config.toml").unwrap()).unwrap();
    remote.put("run/config.toml", config.replace("max_steps = 2", "max_steps = 4").as_bytes());
    train(&["--resume"]).succeeds();
    for name in crate::scene::CHECKPOINTS {
        scene.write_bytes(&format!("resumed/{name}"), &remote.object(&format!("run/{name}")).unwrap());
    }
    scene.train("parts", &["--steps", "2"]).succeeds();
    scene.replace("parts/config.toml", "max_steps = 2", "max_steps = 4");
    scene.resume("parts").succeeds();
    assert_same_weights(scene, "parts", "resumed");

    remote.put("data/labelsTr/case_0.nii", b"no image");
    let outcome = remote.bipvl(&["data", "check", &data]);
    assert!(outcome.code == Some(1) && outcome.stdout.contains("case_0"), "{outcome:#?}");
}

#[test]
fn what_is_not_there_is_said() {
    let Some(remote) = Remote::new(Scene::trained) else { return };
    let missing = remote.url("nowhere");
    remote
        .bipvl(&["predict", "--model", "run", "--out", "masks", &missing])
        .fails_saying(&[&missing, "no such object"]);
    let other = "s3://no-such-bucket/scan.nii.gz";
    remote.bipvl(&["predict", "--model", "run", "--out", "masks", other]).fails_saying(&[other]);
    remote
        .bipvl(&["predict", "--model", "run", "--out", "masks", "https://me:secret@host/a.nii.gz"])
        .refuses_saying(&["environment variables"]);
}

#[test]
fn a_web_server_gives_scans_and_with_webdav_folders() {
    let Ok(root) = env::var("BIPVL_TEST_WEBDAV") else {
        eprintln!("BIPVL_TEST_WEBDAV {ABSENT}");
        return;
    };
    let scene = Scene::trained();
    scene.write("scans/a.nii.gz", &new_phantom().image);
    scene.bipvl(&["predict", "--model", "run", "--out", "local", "scans"]).succeeds();
    let folder = format!("{root}/web-{}", std::process::id());
    let request = ureq::http::Request::builder().method("MKCOL").uri(&folder).body(()).unwrap();
    let agent: ureq::Agent = ureq::Agent::config_builder().allow_non_standard_methods(true).build().into();
    agent.run(request).unwrap();
    ureq::put(format!("{folder}/a.nii.gz")).send(&scene.bytes("scans/a.nii.gz")[..]).unwrap();
    for (input, out) in [(format!("{folder}/a.nii.gz"), "file"), (folder, "folder")] {
        let mut command = scene.command();
        command
            .env("BIPVL_CACHE", scene.path("cache"))
            .args(["predict", "--model", "run", "--out", out, &input]);
        Outcome::of(command.output().unwrap()).succeeds();
        assert_eq!(scene.bytes(&format!("{out}/a.nii.gz")), scene.bytes("local/a.nii.gz"));
    }
}
