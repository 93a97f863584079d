//! Scans: listed, uploaded, shown, labeled, deleted.

use std::fs;

use bipvl_dicom::phantom::write_ct_series;
use bipvl_imaging::{phantom, read, read_labels};
use serde_json::{Value, json};

use super::{Part, Served, scene};
use crate::scene::{SHAPE, SPACING, new_phantom};

fn ids(scans: &Value) -> Vec<&str> {
    scans.as_array().unwrap().iter().map(|scan| scan["id"].as_str().unwrap()).collect()
}

#[test]
fn images_and_studies_of_the_folder_are_scans() {
    let scene = scene();
    write_ct_series(&scene.path("scans/study"), &new_phantom().image, "one").unwrap();
    scene.write_text("scans/notes.txt", "no scan");
    let server = Served::start(&scene, &[]);
    let (_, scans) = server.client.get_json("/api/scans");
    let scans = scans.as_array().unwrap();
    assert_eq!(scans.len(), 2);
    let (file, series) =
        if scans[0]["dicom"] == true { (&scans[1], &scans[0]) } else { (&scans[0], &scans[1]) };
    assert_eq!(
        (&file["id"], &file["shape"], &file["spacing"]),
        (&json!("s"), &json!(SHAPE), &json!(SPACING))
    );
    assert_eq!((&series["modality"], &series["shape"]), (&json!("CT"), &json!(SHAPE)));
    let found = server.client.get_json("/api/scans?search=ct").1;
    assert_eq!(ids(&found), [series["id"].as_str().unwrap()]);
    // A result of a series is DICOM, too, and its volume can be shown.
    let id = series["id"].as_str().unwrap();
    let (_, job) =
        server.client.post_json("/api/jobs", &json!({ "scan": id, "prompts": ["liver", "Kidney"] }));
    let job = server.wait(&job);
    assert_eq!(job["state"], "done", "{job}");
    let result = format!("/api/jobs/{}/result", job["id"].as_str().unwrap());
    for ending in ["seg.dcm", "rtstruct.dcm", "sr.dcm"] {
        let (status, bytes) = server.client.get(&format!("{result}.{ending}"));
        assert!(status == 200 && &bytes[128..132] == b"DICM", "{ending}");
    }
    let (status, bytes) = server.client.get(&format!("/api/scans/{id}/image.nii.gz"));
    assert_eq!(status, 200);
    scene.write_bytes("shown.nii.gz", &bytes);
    // A series has whole HU.
    let shown = &read(&scene.path("shown.nii.gz")).unwrap().channels[0];
    let original = new_phantom().image;
    let difference = shown.voxels().iter().sum::<f32>() / original.voxels().iter().sum::<f32>();
    assert!((difference - 1.0).abs() < 0.05, "{difference}");
    let (status, png) = server.client.get(&format!("/api/scans/{id}/thumbnail.png"));
    assert!(status == 200 && png.starts_with(b"\x89PNG"));
}

#[test]
fn uploads_become_scans_or_say_what_is_wrong() {
    let scene = scene();
    write_ct_series(&scene.path("elsewhere"), &new_phantom().image, "two").unwrap();
    let server = Served::start(&scene, &[]);
    let image = scene.bytes("scans/s.nii.gz");
    let upload = |parts: &[Part<'_>]| server.client.form_json("POST", "/api/scans", parts);
    let (status, scans) = upload(&[Part::File("file", "../../evil name.nii.gz", &image)]);
    assert_eq!((status, ids(&scans)), (201, vec!["evil_name"]));
    // A second file of one name keeps the first.
    let (status, scans) = upload(&[Part::File("file", "s.nii.gz", &image)]);
    assert_eq!((status, ids(&scans)), (201, vec!["s-2"]));
    let slices: Vec<Vec<u8>> = fs::read_dir(scene.path("elsewhere"))
        .unwrap()
        .map(|entry| fs::read(entry.unwrap().path()).unwrap())
        .collect();
    let parts: Vec<Part<'_>> = slices.iter().map(|bytes| Part::File("file", "slice", bytes)).collect();
    let (status, scans) = upload(&parts);
    assert_eq!((status, &scans[0]["dicom"], &scans[0]["shape"]), (201, &json!(true), &json!(SHAPE)));
    for (parts, said) in [
        (vec![Part::File("file", "x.nii.gz", b"no image")], "x.nii.gz"),
        (vec![Part::File("file", "x", b"no image")], "no DICOM series that makes a volume"),
        (vec![Part::File("file", "x.zip", b"no archive")], "no DICOM series that makes a volume"),
        (vec![Part::Text("other", "x")], "no file was sent"),
    ] {
        let (status, answer) = upload(&parts);
        let detail = answer["detail"].as_str().unwrap();
        assert!(status == 422 && detail.contains(said), "{status} {detail}");
        assert!(!detail.contains(&*scene.path("").to_string_lossy()), "{detail}");
    }
    // The same series again, and other files of one name, whatever their endings.
    let (status, answer) = upload(&parts);
    assert!(status == 409 && answer["detail"].as_str().unwrap().contains("is here already"), "{answer}");
    scene.write("plain.nii", &new_phantom().image);
    let plain = scene.bytes("plain.nii");
    let (status, scans) = upload(&[Part::File("file", "s.nii", &plain)]);
    assert_eq!((status, ids(&scans)), (201, vec!["s-3"]));
    let (status, answer) = upload(&[Part::File("file", "cut.nii", &plain[..plain.len() / 2])]);
    assert!(status == 422 && answer["detail"].as_str().unwrap().starts_with("cut.nii: "), "{answer}");
    let many: Vec<Part<'_>> = (0..6).map(|_| Part::File("file", "many.nii.gz", &image)).collect();
    assert_eq!(ids(&upload(&many).1).len(), 6);
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| assert_eq!(upload(&[Part::File("file", "many.nii.gz", &image)]).0, 201));
        }
    });
    let (_, scans) = server.client.get_json("/api/scans");
    assert_eq!(scans.as_array().unwrap().len(), 4 + 1 + 12);
    // Nothing is left of refused uploads.
    assert_eq!(fs::read_dir(scene.path("scans/.bipvl/uploads")).unwrap().count(), 0);
}

#[test]
fn a_study_that_grows_is_seen_anew() {
    let scene = scene();
    write_ct_series(&scene.path("whole"), &new_phantom().image, "one").unwrap();
    let slices: Vec<_> =
        fs::read_dir(scene.path("whole")).unwrap().map(|entry| entry.unwrap().path()).collect();
    fs::create_dir_all(scene.path("scans/study/series")).unwrap();
    let server = Served::start(&scene, &[]);
    let count = || server.client.get_json("/api/scans?search=ct").1.as_array().unwrap().len();
    assert_eq!(count(), 0);
    for slice in &slices {
        fs::copy(slice, scene.path("scans/study/series").join(slice.file_name().unwrap())).unwrap();
    }
    assert_eq!(count(), 1);
}

#[test]
fn labels_are_saved_on_the_grid_of_their_scan_alone() {
    let scene = scene();
    let server = Served::start(&scene, &[]);
    let labels = new_phantom().labels;
    scene.write_labels("good.nii.gz", &labels);
    scene.write_labels("bad.nii.gz", &phantom::draw(1, [40, 32, 32], SPACING).labels);
    let names: Vec<Value> =
        phantom::CLASSES.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect();
    let names = Value::from(names).to_string();
    let save = |tag: &str, file: &str, segments: &str| {
        let parts = [Part::File("label", "l.nii.gz", &scene.bytes(file)), Part::Text("segments", segments)];
        server.client.form_json("PUT", &format!("/api/scans/s/labels/{tag}"), &parts)
    };
    let (status, scan) = save("final", "good.nii.gz", &names);
    assert_eq!((status, &scan["labels"]), (200, &json!(["final"])), "{scan}");
    let (_, bytes) = server.client.get("/api/scans/s/labels/final.nii.gz");
    scene.write_bytes("back.nii.gz", &bytes);
    assert_eq!(read_labels(&scene.path("back.nii.gz")).unwrap().voxels(), labels.voxels());
    let (_, segments) = server.client.get_json("/api/scans/s/labels/final.json");
    assert_eq!(segments.to_string(), names);
    for (tag, file, segments, said) in [
        ("final", "bad.nii.gz", "[]", "not on the grid of the scan"),
        ("a.b", "good.nii.gz", "[]", "letters, digits, - and _"),
        ("final", "good.nii.gz", r#"[{"name": "a", "value": 99}]"#, "which no segment names"),
        ("final", "good.nii.gz", "{", "segments:"),
        ("final", "config.toml", "[]", "l.nii.gz"),
    ] {
        let (status, answer) = save(tag, file, segments);
        assert!(status == 422 && answer["detail"].as_str().unwrap().contains(said), "{status} {answer}");
    }
    assert_eq!(server.client.delete("/api/scans/s"), 204);
    assert_eq!(server.client.get("/api/scans/s/labels/final.nii.gz").0, 404);
    assert!(!scene.path("scans/labels/final/s.nii.gz").exists() && !scene.path("scans/s.nii.gz").exists());
}
