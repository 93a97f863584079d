//! Series of an archive become scans: asked for by the page, or by OHIF.

use bipvl_dicom::{Study, phantom::write_ct_series};
use bipvl_imaging::read;
use serde_json::{Value, json};

use super::Orthanc;
use crate::{
    scene::{SHAPE, new_phantom},
    serve::{MODEL, Part, Served, scene},
};

/// A field of the first series that has a modality, by the server's own search.
fn series<'a>(list: &'a Value, modality: &str) -> &'a Value {
    list.as_array().unwrap().iter().find(|series| series["modality"] == modality).unwrap()
}

#[test]
fn studies_are_found_and_their_series_are_fetched_once() {
    let scene = scene();
    let Some(orthanc) = Orthanc::start(&scene) else { return };
    write_ct_series(&scene.path("archived"), &new_phantom().image, "one").unwrap();
    orthanc.store(&scene.path("archived"));
    let server = Served::start(&scene, &["--dicomweb", &orthanc.root()]);
    let client = &server.client;
    let find = |query: &str| client.get_json(&format!("/api/archive/studies?{query}")).1;
    let studies = find("search=phantom");
    assert_eq!(studies.as_array().unwrap().len(), 1, "{studies}");
    let study = &studies[0];
    assert_eq!(
        (&study["patient_name"], &study["date"], &study["instances"], &study["description"]),
        (&json!("Phantom^one"), &json!("2026-01-01"), &json!(SHAPE[2]), &json!("Phantom"))
    );
    let uid = study["uid"].as_str().unwrap();
    for (query, count) in [
        ("search=PHANTOM-one", 1),
        (&*format!("search={uid}"), 1),
        ("search=nobody", 0),
        ("modality=CT&from=2026-01-01&until=2026-01-01", 1),
        ("modality=MR", 0),
        ("from=2026-01-02", 0),
        ("", 1),
    ] {
        assert_eq!(find(query).as_array().unwrap().len(), count, "{query}");
    }
    let of_study = format!("/api/archive/studies/{uid}/series");
    let (_, list) = client.get_json(&of_study);
    let ct = series(&list, "CT");
    assert_eq!(
        (&ct["description"], &ct["instances"], &ct["body_part"], &ct["in_library"]),
        (&json!("one"), &json!(SHAPE[2]), &json!("ABDOMEN"), &json!(false))
    );
    let fetch = format!("/api/archive/series/{}/fetch", ct["uid"].as_str().unwrap());
    let (status, scans) = client.post_json(&fetch, &json!({}));
    assert_eq!((status, &scans[0]["id"], &scans[0]["shape"]), (201, &ct["uid"], &json!(SHAPE)), "{scans}");
    assert_eq!(client.post_json(&fetch, &json!({})), (200, scans.clone()));
    assert_eq!(series(&client.get_json(&of_study).1, "CT")["in_library"], true);
    // The voxels are those that were stored.
    let (_, bytes) = client.get(&format!("/api/scans/{}/image.nii.gz", scans[0]["id"].as_str().unwrap()));
    scene.write_bytes("fetched.nii.gz", &bytes);
    let stored = Study::open(&scene.path("archived")).unwrap().volumes()[0].read().unwrap();
    let fetched = read(&scene.path("fetched.nii.gz")).unwrap().channels.remove(0);
    assert_eq!(bipvl_imaging::into_ras(fetched).voxels(), bipvl_imaging::into_ras(stored).voxels());
    // A result is no volume, and says so.
    let (_, job) = client.post_json("/api/jobs", &json!({ "scan": scans[0]["id"], "prompts": ["liver"] }));
    let done = server.wait(&job);
    let send = format!("/api/jobs/{}/send", done["id"].as_str().unwrap());
    assert_eq!(client.post_json(&send, &json!({})).0, 200);
    let (_, list) = client.get_json(&of_study);
    let seg = series(&list, "SEG")["uid"].as_str().unwrap();
    let (status, answer) = client.post_json(&format!("/api/archive/series/{seg}/fetch"), &json!({}));
    assert!(status == 422 && answer["detail"].as_str().unwrap().contains("no DICOM series"), "{answer}");
    assert_eq!(std::fs::read_dir(scene.path("scans/.bipvl/uploads")).unwrap().count(), 0);
}

#[test]
fn ohif_asks_for_a_series_that_only_the_archive_has() {
    let scene = scene();
    let Some(orthanc) = Orthanc::start(&scene) else { return };
    for name in ["one", "two"] {
        write_ct_series(&scene.path(name), &new_phantom().image, name).unwrap();
        orthanc.store(&scene.path(name));
    }
    let [one, two] =
        ["one", "two"].map(|name| Study::open(&scene.path(name)).unwrap().volumes()[0].series_uid.clone());
    let server = Served::start(&scene, &["--dicomweb", &orthanc.root()]);
    let client = &server.client;
    let params = json!({ "result_extension": ".nrrd", "prompts": ["liver"] }).to_string();
    let ask = |uid: &str| {
        let path = format!("/infer/{MODEL}?image={uid}&output=image");
        client.form("POST", &path, &[Part::Text("params", &params)])
    };
    let (status, nrrd) = ask(&one);
    let head = nrrd.windows(2).position(|bytes| bytes == b"\n\n").unwrap() + 2;
    assert_eq!((status, nrrd.len() - head), (200, SHAPE.iter().product::<usize>()));
    // Labels of a series that was only looked at.
    let voxels = vec![0_u8; SHAPE.iter().product()];
    let parts = [Part::File("label", "label.bin", &voxels), Part::Text("params", "{}")];
    assert_eq!(client.form("PUT", &format!("/datastore/label?image={two}"), &parts).0, 200);
    assert_eq!(client.get_json("/api/scans?search=ct").1.as_array().unwrap().len(), 2);
    let (status, answer) = ask("1.2.3");
    let said = String::from_utf8_lossy(&answer).into_owned();
    assert!(status == 404 && said.contains("the archive has no series `1.2.3`"), "{said}");
}
