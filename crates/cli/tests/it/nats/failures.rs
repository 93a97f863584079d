//! Studies that cannot be done, and flags that cannot be meant.

use bipvl_dicom::phantom::write_ct_series;

use super::{MODEL, Queued, run};
use crate::scene::new_phantom;

#[test]
fn studies_that_no_retry_mends_say_why() {
    let Some(queued) = Queued::new() else { return };
    let scene = &queued.scene;
    for name in ["fine", "gone", "cut"] {
        scene.write(&format!("scans/{name}.nii"), &new_phantom().image);
    }
    scene.spoil("scans/cut.nii", |bytes| bytes.truncate(5000));
    scene.write_text("scans/text.nii", "voxels");
    queued.submit(&["scans"]).succeeds();
    std::fs::remove_file(scene.path("scans/gone.nii")).unwrap();
    let other = format!("other={}", run());
    queued.submit_as(&other, &["scans/fine.nii"]).succeeds();
    for (name, flags) in
        [("words", ["--prompt", "liver"]), ("moon", ["--classes", "moon"]), ("report", ["--format", "sr"])]
    {
        let scan = format!("more/{name}.nii");
        scene.write(&scan, &new_phantom().image);
        queued.submit(&[&flags[..], &[&scan]].concat()).succeeds();
    }
    queued.drain(&[]).succeeds();
    let reasons = queued.reasons();
    let expected = [
        ("cut", "truncated"),
        ("gone", "No such file"),
        ("text", "unknown image format"),
        ("words", "the run has fixed classes"),
        ("moon", "unknown class `moon`"),
        ("report", "not DICOM"),
    ];
    assert_eq!(reasons.len(), expected.len(), "{reasons:?}");
    for (name, reason) in expected {
        let is_it = |letter: &&(String, String)| letter.0 == name && letter.1.contains(reason);
        assert_eq!(reasons.iter().filter(is_it).count(), 1, "{name}: {reason} in {reasons:?}");
    }
    // The study of a model that no worker has waits.
    let models = queued.status()["models"].clone();
    assert_eq!((&models[0]["model"], &models[0]["waiting"]), (&"other".into(), &1.into()));
    assert_eq!(scene.names("out"), ["fine.nii", "fine.result.json"]);
}

#[test]
fn two_studies_with_one_place_for_their_results_are_not_mixed() {
    let Some(queued) = Queued::new() else { return };
    let scene = &queued.scene;
    scene.write("a/s.nii", &new_phantom().image);
    scene.write("b/s.nii", &new_phantom().image);
    queued.submit(&["a/s.nii"]).succeeds();
    queued.drain(&[]).succeeds();
    let before = scene.bytes("out/s.result.json");
    queued.submit(&["b/s.nii"]).succeeds();
    queued.drain(&[]).succeeds();
    assert!(queued.reason().contains("s.result.json: the result of another study"), "{}", queued.reason());
    assert!(scene.bytes("out/s.result.json") == before);
}

#[test]
fn other_weights_or_another_modality_than_wanted_are_refused() {
    let Some(queued) = Queued::new() else { return };
    let scene = &queued.scene;
    scene.write("s.nii", &new_phantom().image);
    scene.write("t.nii", &new_phantom().image);
    // The model by its run, and one with other weights.
    queued.submit_as(&format!("{MODEL}={}", run()), &["s.nii"]).succeeds();
    queued.drain(&[]).succeeds();
    let other = crate::scene::Scene::new();
    other.train("run", &["--steps", "2"]).succeeds();
    queued.submit_as(&format!("{MODEL}={}", other.path("run").display()), &["t.nii"]).succeeds();
    queued.drain(&[]).succeeds();
    let reason = queued.reason();
    assert!(reason.contains("model `phantoms` has weights"), "{reason}");
    assert_eq!(scene.names("out"), ["s.nii", "s.result.json"]);

    write_ct_series(&scene.path("mr"), &new_phantom().image, "one").unwrap();
    for entry in std::fs::read_dir(scene.path("mr")).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        // (0008,0060), of two letters.
        let tag = [0x08, 0x00, 0x60, 0x00, b'C', b'S', 2, 0];
        let at = bytes.windows(8).position(|window| window == tag).unwrap() + tag.len();
        let mut bytes = bytes;
        bytes[at..at + 2].copy_from_slice(b"MR");
        std::fs::write(&path, bytes).unwrap();
    }
    queued.submit(&["mr"]).succeeds();
    queued.drain(&[]).succeeds();
    let reasons = queued.reasons();
    assert!(
        reasons.iter().any(|(name, reason)| name == "mr" && reason.contains("trained on CT")),
        "{reasons:?}"
    );
}

#[test]
fn what_cannot_be_submitted_is_said_at_once() {
    let Some(queued) = Queued::new() else { return };
    let scene = &queued.scene;
    scene.write("scans/a.nii", &new_phantom().image);
    scene.write("scans/b.nii", &new_phantom().image);
    queued.submit(&["nowhere.nii"]).fails_saying(&["nowhere.nii: no such file or folder"]);
    queued
        .submit(&["--max-studies", "1", "--no-wait", "scans"])
        .fails_saying(&["queue `bipvl` is full; 1 studies were accepted, 1 were not"]);
    scene.write("other/a.nii", &new_phantom().image);
    queued.submit(&["scans", "other/a.nii"]).fails_saying(&["a.nii", "two"]);
    scene.bipvl(&["submit", "--nats", &queued.server.url(), "scans"]).refuses_saying(&["--model", "--out"]);
    let nowhere = ["submit", "--nats", "nats://127.0.0.1:1", "--status"];
    scene.bipvl(&nowhere).fails_saying(&["nats://127.0.0.1:1: cannot connect"]);
}
