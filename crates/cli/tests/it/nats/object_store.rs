//! Scans and results in an object store: messages hold URLs, and workers fetch and store.

use super::{MODEL, Queued, run};
use crate::{object_store::Remote, scene::Outcome, scene::Scene, scene::new_phantom};

#[test]
fn a_worker_fetches_a_scan_and_stores_its_result() {
    let Some(queued) = Queued::new() else { return };
    let Some(remote) = Remote::new(|| Scene::with_classes(&[])) else { return };
    let scene = &remote.scene;
    scene.write("s.nii.gz", &new_phantom().image);
    remote.put("scans/s.nii.gz", &scene.bytes("s.nii.gz"));
    let (url, out) = (queued.server.url(), remote.url("masks"));
    let submit = |name: &str| {
        let scan = remote.url(&format!("scans/{name}"));
        remote.bipvl(&["submit", "--nats", &url, "--model", MODEL, "--out", &out, &scan]).succeeds();
    };
    submit("s.nii.gz");
    submit("missing.nii.gz");
    let model = format!("{MODEL}={}", run());
    let work = |queue: &str| {
        let flags = ["--queue", queue, "--model", &model, "--max-idle", "0"];
        let outcome: Outcome = remote.bipvl(&[&["worker", "--nats", &url][..], &flags].concat());
        outcome.succeeds().stderr
    };
    let said = work("bipvl");
    assert!(said.contains("left: 1 done") && said.contains("1 given up"), "{said}");
    assert!(queued.reason().contains("missing.nii.gz: no such object"), "{}", queued.reason());
    scene.bipvl(&["predict", "--model", run(), "--out", "expected", "s.nii.gz"]).succeeds();
    assert!(remote.object("masks/s.nii.gz").unwrap() == scene.bytes("expected/s.nii.gz"));
    assert!(remote.object("masks/s.result.json").is_some());

    // Another queue does not know the study, but finds the result.
    let scan = remote.url("scans/s.nii.gz");
    let again = ["submit", "--nats", &url, "--queue", "other", "--model", MODEL, "--out", &out, &scan];
    remote.bipvl(&again).succeeds();
    let said = work("other");
    assert!(said.contains("left: 0 done, 1 found done"), "{said}");
}
