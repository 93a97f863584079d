//! Jobs: results, progress, cancellation, and what a kill leaves.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use bipvl_imaging::{phantom, read_labels};
use serde_json::json;

use super::{MODEL, PATIENCE, Served, client::read, run, scene};
use crate::scene::SPACING;

/// Jobs of the kill test, and how often the server is killed while they run.
const JOBS: usize = 12;
const KILLS: u64 = 6;

#[test]
fn a_job_gives_the_label_map_of_predict() {
    let scene = scene();
    let server = Served::start(&scene, &[]);
    let prompts = ["Kidney", "the moon"];
    let job = server.wait(&server.submit(&prompts));
    assert_eq!(job["state"], "done", "{job}");
    let arguments =
        ["predict", "--model", run(), "--out", "masks", "--prompt", prompts[0], "--prompt", prompts[1]];
    scene.bipvl(&[&arguments[..], &["scans/s.nii.gz"]].concat()).succeeds();
    let expected = read_labels(&scene.path("masks/s.nii.gz")).unwrap();
    let findings = scene.json("masks/s.labels.json");
    let result = format!("/api/jobs/{}/result", job["id"].as_str().unwrap());
    for ending in ["nii.gz", "nrrd"] {
        let (status, bytes) = server.client.get(&format!("{result}.{ending}"));
        assert_eq!(status, 200);
        scene.write_bytes(&format!("got.{ending}"), &bytes);
        let found = read_labels(&scene.path(&format!("got.{ending}"))).unwrap();
        assert_eq!(found.voxels(), expected.voxels());
        found.grid().ensure_matches(expected.grid()).unwrap();
    }
    // OHIF copies the voxels as they are in the file.
    let nrrd = scene.bytes("got.nrrd");
    assert!(String::from_utf8_lossy(&nrrd[..300]).contains("encoding: raw"));
    let (_, segments) = server.client.get_json(&format!("{result}.json"));
    assert_eq!(segments, job["segments"]);
    for (segment, finding) in segments.as_array().unwrap().iter().zip(findings["labels"].as_array().unwrap())
    {
        assert_eq!((&segment["name"], &segment["value"]), (&finding["prompt"], &finding["value"]));
        assert_eq!((&segment["volume_ml"], &segment["found"]), (&finding["volume_ml"], &finding["found"]));
    }
    let (status, refusal) = server.client.get_json(&format!("{result}.seg.dcm"));
    assert_eq!(
        (status, refusal["detail"].as_str().unwrap()),
        (409, "scan `s` is not DICOM; results are files alone")
    );
}

#[test]
fn events_tell_of_a_job_until_it_has_ended() {
    let scene = scene();
    let server = Served::start(&scene, &[]);
    let job = server.submit(&["liver"]);
    let path = format!("/api/jobs/{}/events", job["id"].as_str().unwrap());
    let answer = server.client.send("GET", &path, None);
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    let text = String::from_utf8(read(answer).1).unwrap();
    let states: Vec<String> = text
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .map(|data| {
            serde_json::from_str::<serde_json::Value>(data).unwrap()["state"].as_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!(states.last().unwrap(), "done", "{text}");
    assert!(text.starts_with("event: job\n"), "{text}");
}

#[test]
fn jobs_are_canceled_while_they_wait_and_while_they_run() {
    let scene = scene();
    // Many windows, so that there is time to cancel.
    scene.write("scans/s.nii.gz", &phantom::draw(1, [160; 3], SPACING).image);
    let server = Served::start(&scene, &["--parallel-jobs", "1"]);
    let (running, waiting) = (server.submit(&["liver"]), server.submit(&["Kidney"]));
    let cancel = |job: &serde_json::Value| {
        let path = format!("/api/jobs/{}/cancel", job["id"].as_str().unwrap());
        let (status, job) = server.client.post_json(&path, &json!({}));
        assert_eq!(status, 200, "{job}");
        job
    };
    let began = Instant::now();
    let path = format!("/api/jobs/{}", running["id"].as_str().unwrap());
    while server.client.get_json(&path).1["progress"].is_null() {
        assert!(began.elapsed() < PATIENCE);
        thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(server.client.delete(&path), 409);
    assert_eq!(
        server.client.get_json(&format!("/api/jobs/{}", waiting["id"].as_str().unwrap())).1["position"],
        0
    );
    assert_eq!(cancel(&waiting)["state"], "canceled");
    cancel(&running);
    assert_eq!(server.wait(&running)["state"], "canceled");
    assert_eq!(server.client.get(&format!("{path}/result.nii.gz")).0, 409);
    assert_eq!(server.client.delete(&path), 204);
    assert_eq!(server.client.get(&path).0, 404);
}

#[test]
fn what_cannot_be_is_refused_before_it_is_a_job() {
    let scene = scene();
    let server = Served::start(&scene, &[]);
    for (request, status, detail) in [
        (json!({ "scan": "t" }), 404, "no scan `t`"),
        (json!({ "scan": "../s" }), 404, "no scan `../s`"),
        (json!({ "scan": "s", "model": "moon" }), 404, "no model `moon`; there are phantoms"),
        (json!({ "scan": "s", "prompts": [" "] }), 400, "prompt 1 has no word"),
        (json!({ "scan": "s", "prompts": [] }), 400, ""),
        (json!({ "scan": "s", "prompts": ["a", "A"] }), 400, "prompts 1 and 2 are the same"),
        (json!({ "scan": "s", "like": "moon" }), 400, "no data set `moon`"),
        (json!({ "scan": "s", "prompts": ["x".repeat(20_000)] }), 400, "prompt 1 has 20000 characters"),
        (json!({ "scan": "s", "priority": "high" }), 422, "priority"),
        (json!({ "scam": "s" }), 422, "scam"),
    ] {
        let (found, answer) = server.client.post_json("/api/jobs", &request);
        let said = answer["detail"].as_str().unwrap();
        assert!(found == status && said.contains(detail), "{request}: {found} {said}");
    }
    assert_eq!(server.client.get_json("/api/jobs").1, json!([]));
    // The only model need not be named.
    assert_eq!(server.client.post_json("/api/jobs", &json!({ "scan": "s" })).1["model"], MODEL);
}

#[test]
fn a_kill_loses_no_job_and_runs_none_to_two_results() {
    let scene = scene();
    let mut server = Served::start(&scene, &[]);
    let jobs: Vec<_> = (0..JOBS).map(|number| server.submit(&[format!("organ {number}").as_str()])).collect();
    for kill in 0..KILLS {
        // Moments that are not the same for any two kills.
        thread::sleep(Duration::from_millis(40 + 67 * kill));
        server.kill();
        server = Served::start(&scene, &[]);
    }
    for job in &jobs {
        let ended = server.wait(job);
        // Six kills may hit one job three times, after which it is given up and says so.
        let is_given_up =
            ended["state"] == "failed" && ended["error"].as_str().unwrap().contains("stopped 3 times");
        assert!(ended["state"] == "done" || is_given_up, "{ended}");
    }
    let (_, listed) = server.client.get_json("/api/jobs");
    assert_eq!(listed.as_array().unwrap().len(), JOBS);
    let done = listed.as_array().unwrap().iter().filter(|job| job["state"] == "done").count();
    let folders = fs::read_dir(scene.path("scans/.bipvl/results")).unwrap();
    let results = folders.filter(|folder| folder.as_ref().unwrap().path().join("result.nii.gz").exists());
    assert_eq!(results.count(), done);
}

#[test]
#[cfg(unix)]
fn a_server_that_is_told_to_stop_puts_its_jobs_back() {
    let scene = scene();
    scene.write("scans/s.nii.gz", &phantom::draw(1, [160; 3], SPACING).image);
    let mut server = Served::start(&scene, &[]);
    let job = server.submit(&["liver"]);
    let path = format!("/api/jobs/{}", job["id"].as_str().unwrap());
    while server.client.get_json(&path).1["state"] != "running" {
        thread::sleep(Duration::from_millis(10));
    }
    let id = server.child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    assert!(server.child.wait().unwrap().success());
    let server = Served::start(&scene, &[]);
    let again = server.wait(&job);
    assert_eq!((&again["state"], &again["attempts"]), (&json!("done"), &json!(1)), "{again}");
}
