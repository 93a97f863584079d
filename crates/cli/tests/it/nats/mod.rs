//! `bipvl worker` and `bipvl submit` on a real server, which `BIPVL_TEST_NATS` names (a path of `nats-server`).

mod chaos;
mod failures;
#[cfg(feature = "object-store")]
mod object_store;
#[allow(dead_code, reason = "the tests of the crate `worker` do more with it")]
#[path = "../../../../worker/tests/it/nats/server.rs"]
pub(crate) mod server;
mod studies;

use std::{
    process::{Child, Command, Stdio},
    sync::OnceLock,
};

use serde_json::Value;

use crate::scene::{Outcome, Scene};
use server::{Server, wait_for};

/// What the model of the tests is called.
const MODEL: &str = "phantoms";

/// A run with fixed classes that was trained for a step; all tests read it.
fn run() -> &'static str {
    static RUN: OnceLock<(Scene, String)> = OnceLock::new();
    let (_, path) = RUN.get_or_init(|| {
        let scene = Scene::trained();
        let path = scene.path("run").display().to_string();
        (scene, path)
    });
    path
}

/// A folder without scans, and a server.
struct Queued {
    scene: Scene,
    server: Server,
}

impl Queued {
    /// `None`, and a message, if no server is named.
    fn new() -> Option<Self> {
        let server = Server::start()?;
        Some(Self { scene: Scene::with_classes(&[]), server })
    }

    /// `bipvl submit` for the model of the tests, into the folder `out`.
    fn submit(&self, more: &[&str]) -> Outcome {
        self.submit_as(MODEL, more)
    }

    fn submit_as(&self, model: &str, more: &[&str]) -> Outcome {
        let url = self.server.url();
        let arguments = ["submit", "--nats", &url, "--model", model, "--out", "out"];
        self.scene.bipvl(&[&arguments[..], more].concat())
    }

    fn status(&self) -> Value {
        let url = self.server.url();
        let outcome = self.scene.bipvl(&["submit", "--nats", &url, "--status", "--json"]).succeeds();
        serde_json::from_str(&outcome.stdout).unwrap()
    }

    fn worker(&self, more: &[&str]) -> Command {
        let model = format!("{MODEL}={}", run());
        let mut command = self.scene.command();
        command
            .args(["worker", "--nats", &self.server.url(), "--model", &model, "--ack-wait", "1"])
            .args(more);
        command
    }

    /// A worker that leaves once the queue is empty.
    fn drain(&self, more: &[&str]) -> Outcome {
        Outcome::of(self.worker(&["--max-idle", "0"]).args(more).output().unwrap())
    }

    /// A worker that stays, once it has the study that is delivered for the n-th time.
    fn start_with_study(&self, delivery: u64) -> Child {
        let child = self.worker(&[]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        wait_for("a study that runs", || {
            (self.status()["models"][0]["deliveries"] == delivery).then_some(())
        });
        child
    }

    /// Reasons of the dead letters, by name.
    fn reasons(&self) -> Vec<(String, String)> {
        let status = self.status();
        let letters = status["dead"].as_array().unwrap().iter();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        letters.map(|letter| (text(&letter["study"]["name"]), text(&letter["reason"]))).collect()
    }

    /// The reason of the only dead letter.
    fn reason(&self) -> String {
        let mut reasons = self.reasons();
        assert_eq!(reasons.len(), 1, "{reasons:?}");
        reasons.remove(0).1
    }
}
