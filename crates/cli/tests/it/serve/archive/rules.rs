//! New studies of an archive are segmented by themselves.

use std::{
    thread,
    time::{Duration, Instant},
};

use bipvl_dicom::{Study, phantom::write_ct_series};
use bipvl_imaging::phantom;
use serde_json::{Value, json};

use super::{Orthanc, PATIENCE};
use crate::{
    scene::{SPACING, Scene, new_phantom},
    serve::{MODEL, Served, run, scene},
};

/// Studies of phantoms are of 2026-01-01.
const RULES: &str = r#"
days = 36500

[[rule]]
name = "bodies"
model = "phantoms"
prompts = ["liver", "Kidney"]
modality = "CT"
body_part = "abdo*"
study_description = ["phantom", "other"]
min_slices = 20

[[rule]]
name = "elsewhere"
model = "phantoms"
modality = "CT"
series_description = "head*"
"#;

fn serve(scene: &Scene, orthanc: &Orthanc) -> Served {
    Served::start(scene, &["--dicomweb", &orthanc.root(), "--rules", "rules.toml", "--poll", "1"])
}

/// Stores a phantom, of which all UIDs follow from the name.
fn store(scene: &Scene, orthanc: &Orthanc, name: &str, slices: usize) {
    let image = match slices {
        32 => new_phantom().image,
        slices => phantom::draw(1, [32, 32, slices], SPACING).image,
    };
    write_ct_series(&scene.path(name), &image, name).unwrap();
    orthanc.store(&scene.path(name));
}

/// Waits until the archive has so many series of each kind of result.
fn wait_for(orthanc: &Orthanc, count: usize) {
    let began = Instant::now();
    while ["SEG", "SR"].iter().any(|modality| orthanc.studies(modality).len() < count) {
        assert!(began.elapsed() < PATIENCE, "{:?}", orthanc.studies("SEG"));
        thread::sleep(Duration::from_millis(100));
    }
}

/// The runs, once none is open any more.
fn runs(server: &Served) -> Value {
    let began = Instant::now();
    loop {
        let (status, runs) = server.client.get_json("/api/archive/runs");
        assert_eq!(status, 200, "{runs}");
        let is_open = |run: &Value| run["state"] == "found" || run["state"] == "segmenting";
        if !runs.as_array().unwrap().iter().any(is_open) {
            return runs;
        }
        assert!(began.elapsed() < PATIENCE, "{runs}");
        thread::sleep(Duration::from_millis(50));
    }
}

fn jobs(server: &Served) -> usize {
    server.client.get_json("/api/jobs").1.as_array().unwrap().len()
}

#[test]
fn a_new_study_gets_its_results_and_a_restart_repeats_nothing() {
    let scene = scene();
    let Some(orthanc) = Orthanc::start(&scene) else { return };
    scene.write_text("rules.toml", RULES);
    store(&scene, &orthanc, "one", 32);
    store(&scene, &orthanc, "thin", 12);
    let server = serve(&scene, &orthanc);
    wait_for(&orthanc, 1);
    let found = runs(&server);
    assert_eq!(found.as_array().unwrap().len(), 1, "{found}");
    let run = &found[0];
    assert_eq!(
        (&run["rule"], &run["state"], &run["error"]),
        (&json!("bodies"), &json!("done"), &Value::Null)
    );
    let study = Study::open(&scene.path("one")).unwrap();
    assert_eq!(run["series"], study.volumes()[0].series_uid);
    let (_, job) = server.client.get_json(&format!("/api/jobs/{}", run["job"].as_str().unwrap()));
    assert_eq!((&job["model"], &job["prompts"]), (&json!(MODEL), &json!(["liver", "Kidney"])));
    assert_eq!([orthanc.studies("SEG"), orthanc.studies("SR")], [[run["study"].as_str().unwrap()]; 2]);
    drop(server);
    // When the results of what came later are there, the archive has been looked at.
    let server = serve(&scene, &orthanc);
    store(&scene, &orthanc, "late", 32);
    wait_for(&orthanc, 2);
    assert_eq!((runs(&server).as_array().unwrap().len(), jobs(&server)), (2, 2));
    assert_eq!((orthanc.studies("SEG").len(), orthanc.studies("SR").len()), (2, 2));
    // A run that is forgotten is done again, and its results take the place of the first.
    let forget = format!("/api/archive/runs?rule=bodies&series={}", run["series"].as_str().unwrap());
    assert_eq!((server.client.delete(&forget), server.client.delete(&forget)), (204, 404));
}

#[test]
fn kills_at_any_moment_double_nothing() {
    let scene = scene();
    let Some(orthanc) = Orthanc::start(&scene) else { return };
    scene.write_text("rules.toml", &RULES.replace("min_slices = 20", "keep_scan = false"));
    let names = ["a", "b", "c", "d"];
    for name in names {
        store(&scene, &orthanc, name, 32);
    }
    let mut server = serve(&scene, &orthanc);
    // Two looks at the archive come first.
    for kill in 0..6 {
        thread::sleep(Duration::from_millis(1300 + 170 * kill));
        server.kill();
        server = serve(&scene, &orthanc);
    }
    wait_for(&orthanc, names.len());
    let found = runs(&server);
    let is_done = |run: &Value| run["state"] == "done";
    assert!(
        found.as_array().unwrap().len() == names.len() && found.as_array().unwrap().iter().all(is_done),
        "{found}"
    );
    assert_eq!(jobs(&server), names.len());
    for modality in ["SEG", "SR"] {
        let mut studies = orthanc.studies(modality);
        studies.sort();
        studies.dedup();
        assert_eq!(
            (studies.len(), orthanc.studies(modality).len()),
            (names.len(), names.len()),
            "{modality}"
        );
    }
    // What rules have fetched is gone, and what was there before is not.
    let (_, scans) = server.client.get_json("/api/scans");
    assert_eq!((scans.as_array().unwrap().len(), &scans[0]["id"]), (1, &json!("s")));
}

#[test]
fn an_archive_that_is_away_is_asked_again() {
    let scene = scene();
    let Some(mut orthanc) = Orthanc::start(&scene) else { return };
    scene.write_text("rules.toml", RULES);
    store(&scene, &orthanc, "one", 32);
    orthanc.stop();
    let mut server = serve(&scene, &orthanc);
    let began = Instant::now();
    let metrics = || String::from_utf8(server.client.get("/metrics").1).unwrap();
    while !metrics().contains("bipvl_archive_polls_total{outcome=\"failed\"}") {
        assert!(began.elapsed() < PATIENCE, "{}", metrics());
        thread::sleep(Duration::from_millis(50));
    }
    // What needs no archive goes on.
    let job = server.wait(&server.submit(&["liver"]));
    assert_eq!(job["state"], "done");
    orthanc.start_again(&scene);
    wait_for(&orthanc, 1);
    runs(&server);
    assert!(metrics().contains("bipvl_rule_runs_stored{state=\"done\"} 1"), "{}", metrics());
    let said = server.kill();
    assert!(said.contains("rules: archive") && said.contains("answers again"), "{said}");
}

#[test]
fn a_server_with_wrong_rules_does_not_start() {
    let scene = scene();
    let model = format!("{MODEL}={}", run());
    let arguments =
        ["serve", "--model", &model, "--data", "scans", "--listen", "127.0.0.1:0", "--rules", "rules.toml"];
    scene.bipvl(&arguments).refuses_saying(&["--dicomweb"]);
    let with_archive = [&arguments[..], &["--dicomweb", "http://127.0.0.1:1"]].concat();
    scene.bipvl(&with_archive).fails_saying(&["rules.toml", "No such file"]);
    for (from, to, said) in [
        ("\"phantoms\"", "\"moon\"", "rules.toml: rule `bodies`: no model `moon`; there are phantoms"),
        ("body_part", "bodypart", "rules.toml: rule `bodies`: unknown field `bodypart`, expected one of"),
        ("\"Kidney\"", "\" \"", "rules.toml: rule `bodies`: prompt 2 has no word"),
        ("elsewhere", "bodies", "rules.toml: rule `bodies`: another rule has this name"),
        ("days", "day", "rules.toml: line 2: unknown field `day`"),
    ] {
        scene.write_text("rules.toml", &RULES.replacen(from, to, 1));
        scene.bipvl(&with_archive).fails_saying(&[said]);
    }
}
