//! `bipvl serve` from outside, over HTTP.

mod archive;
mod client;
mod jobs;
mod monai_label;
#[cfg(feature = "nats")]
mod nats;
mod scans;
mod security;

use std::{
    env,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    sync::OnceLock,
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::scene::{Scene, new_phantom};
use client::{Client, Part};

/// A job of a phantom takes a second or two; machines may be slow and busy.
const PATIENCE: Duration = Duration::from_mins(4);
/// What the model of the tests is called.
const MODEL: &str = "phantoms";

/// A server with a prompted model and the data folder `scans`.
struct Served {
    child: Child,
    client: Client,
    messages: Option<thread::JoinHandle<String>>,
}

/// A prompted run that was trained for a step; all tests read it.
fn run() -> &'static str {
    static RUN: OnceLock<(Scene, String)> = OnceLock::new();
    let (_, path) = RUN.get_or_init(|| {
        let scene = Scene::new();
        let text = scene.text("config.toml").replace("[model]\n", "[model]\nhead = \"prompts\"\n");
        scene.write_text("config.toml", &text);
        let arguments =
            ["train", "--config", "config.toml", "--data", "data", "--out", "run", "--steps", "1"];
        scene.bipvl(&arguments).succeeds();
        let path = scene.path("run").display().to_string();
        (scene, path)
    });
    path
}

/// The server whose databases the jobs are stored in instead of a file, such as `postgres://user@127.0.0.1:5433`.
const POSTGRES: &str = "BIPVL_TEST_POSTGRES";

/// Flags for the database of a scene, which is created at its first use.
fn database(scene: &Scene) -> Vec<String> {
    let Ok(server) = env::var(POSTGRES) else { return Vec::new() };
    let folder = scene.path("").display().to_string().to_lowercase();
    let name: String = folder.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    // It exists already when a server is started again.
    let create = format!("CREATE DATABASE \"{name}\"");
    let _ = Command::new("psql").args([&format!("{server}/postgres"), "-qc", &create]).output().unwrap();
    vec!["--database".to_owned(), format!("{server}/{name}")]
}

impl Served {
    /// Starts a server in a folder.
    fn start(scene: &Scene, more: &[&str]) -> Self {
        Self::start_with(scene, more, &[])
    }

    /// The same with environment variables.
    fn start_with(scene: &Scene, more: &[&str], variables: &[(&str, &str)]) -> Self {
        let model = format!("{MODEL}={}", run());
        let arguments = ["serve", "--model", &model, "--data", "scans", "--listen", "127.0.0.1:0"];
        let mut child = scene
            .command()
            .args(arguments)
            .args(database(scene))
            .args(more)
            .envs(variables.iter().copied())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut said = String::new();
        let address = loop {
            let mut line = String::new();
            assert!(stderr.read_line(&mut line).unwrap() > 0, "the server did not start: {said}");
            if let Some((_, address)) = line.trim().split_once("listening on ") {
                break address.to_owned();
            }
            said.push_str(&line);
        };
        let messages = thread::spawn(move || {
            let lines = stderr.lines().map(|line| line.unwrap_or_default() + "\n");
            lines.fold(said, |all, line| all + &line)
        });
        Self { child, client: Client::new(address), messages: Some(messages) }
    }

    /// Submits a job for the scan `s`.
    fn submit(&self, prompts: &[&str]) -> Value {
        let (status, job) =
            self.client.post_json("/api/jobs", &json!({ "scan": "s", "model": MODEL, "prompts": prompts }));
        assert_eq!(status, 202, "{job}");
        job
    }

    /// Waits until a job has ended.
    fn wait(&self, job: &Value) -> Value {
        let path = format!("/api/jobs/{}", job["id"].as_str().unwrap());
        let began = Instant::now();
        loop {
            let (status, now) = self.client.get_json(&path);
            assert_eq!(status, 200, "{now}");
            if !["queued", "running"].contains(&now["state"].as_str().unwrap()) {
                return now;
            }
            assert!(began.elapsed() < PATIENCE, "{now}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Ends the process without any warning.
    fn kill(&mut self) -> String {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.messages.take().unwrap().join().unwrap()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A folder with the scan `s` in `scans`.
fn scene() -> Scene {
    let scene = Scene::with_classes(&[]);
    scene.write("scans/s.nii.gz", &new_phantom().image);
    scene
}
