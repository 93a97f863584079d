//! The protocol of MONAI Label with the bytes that the client of 3D Slicer and the extension of OHIF 3 send.

use bipvl_dicom::phantom::write_ct_series;
use bipvl_imaging::{phantom, read_labels};
use serde_json::{Value, json};

use super::{MODEL, Part, Served, scene};
use crate::scene::{SHAPE, new_phantom};

/// The parts of an answer of `/infer`, taken apart as Python's `cgi` does: by the boundary of the header.
fn parts(media_type: &str, body: &[u8]) -> Vec<(String, Vec<u8>)> {
    let boundary = media_type.strip_prefix("multipart/form-data; boundary=").unwrap();
    let limit = format!("--{boundary}").into_bytes();
    let starts: Vec<usize> =
        (0..=body.len() - limit.len()).filter(|place| body[*place..].starts_with(&limit)).collect();
    assert!(body[*starts.last().unwrap() + limit.len()..].starts_with(b"--\r\n"));
    let part = |ends: &[usize]| {
        let part = &body[ends[0] + limit.len() + 2..ends[1] - 2];
        let blank = part.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap();
        (String::from_utf8(part[..blank].to_vec()).unwrap(), part[blank + 4..].to_vec())
    };
    starts.windows(2).map(part).collect()
}

#[test]
fn slicer_asks_for_a_scan_and_its_segmentation() {
    let scene = scene();
    let server = Served::start(&scene, &[]);
    let client = &server.client;
    assert_eq!(client.get_json("/auth/").1, json!({ "enabled": false }));
    let (_, info) = client.get_json("/info/");
    assert!(info.get("config").is_none(), "Slicer takes a server with this key for an old one");
    assert!(info["labels"].is_array());
    let model = &info["models"][MODEL];
    assert_eq!((&model["type"], &model["dimension"]), (&json!("segmentation"), &json!(3)));
    assert_eq!(model["config"], json!({ "prompts": "", "exclusive": false }));
    assert_eq!(info["datastore"]["total"], 1);
    // FastAPI redirects the form without the final slash; both are answered here.
    assert_eq!(client.get("/info").0, 200);
    let (_, sample) = client.post_json("/activelearning/random", &json!({ "client_id": "user-xyz" }));
    assert_eq!(sample["id"], "s");
    let (status, image) = client.get("/datastore/image?image=s");
    assert_eq!((status, image), (200, scene.bytes("scans/s.nii.gz")));

    let params =
        json!({ "prompts": "Kidney; the moon", "result_extension": ".nrrd", "result_dtype": "uint8" });
    let path = format!("/infer/{MODEL}?image=s");
    let form = [Part::Text("params", &params.to_string())];
    let answer = client.send_form("POST", &path, &form);
    let media_type = answer.headers()["content-type"].to_str().unwrap().to_owned();
    let (status, body) = super::client::read(answer);
    assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
    let parts = parts(&media_type, &body);
    let [(head, result), (file_head, voxels)] = &parts[..] else { panic!("{} parts", parts.len()) };
    assert!(
        head.contains("name=\"params\"") && head.contains("application/json") && !head.contains("filename")
    );
    assert!(file_head.contains("name=\"image\"; filename=\"s.nrrd\""), "{file_head}");
    let result: Value = serde_json::from_slice(result).unwrap();
    assert_eq!(result["label_names"], json!({ "Kidney": 1, "the moon": 2 }));
    scene.write_bytes("got.nrrd", voxels);
    let found = read_labels(&scene.path("got.nrrd")).unwrap();
    found.grid().ensure_matches(new_phantom().labels.grid()).unwrap();

    // The same, as a file and as text alone.
    let (_, nifti) = client.form(
        "POST",
        &format!("{path}&output=image"),
        &[Part::Text("params", "{\"prompts\": [\"Kidney\", \"the moon\"]}")],
    );
    scene.write_bytes("got.nii.gz", &nifti);
    assert_eq!(read_labels(&scene.path("got.nii.gz")).unwrap().voxels(), found.voxels());
    let (_, text) = client.form_json("POST", &format!("{path}&output=json"), &form);
    assert_eq!(text["label_names"], result["label_names"]);
}

#[test]
fn slicer_saves_labels_and_gets_them_back() {
    let scene = scene();
    let server = Served::start(&scene, &[]);
    let client = &server.client;
    scene.write_labels("edited.nrrd", &new_phantom().labels);
    let names: Vec<Value> =
        phantom::CLASSES.iter().map(|(name, value)| json!({ "name": name, "idx": value })).collect();
    let params = json!({ "label_info": names, "client_id": "user-xyz" }).to_string();
    let saved =
        [Part::Text("params", &params), Part::File("label", "edited.nrrd", &scene.bytes("edited.nrrd"))];
    let (status, answer) = client.form_json("PUT", "/datastore/label?image=s&tag=final", &saved);
    assert_eq!((status, answer), (200, json!({ "image": "s", "label": "s" })));
    let answer = client.send("GET", "/datastore/label?label=s&tag=final", None);
    assert_eq!(answer.headers()["content-disposition"], "attachment; filename=\"s.nii.gz\"");
    scene.write_bytes("back.nii.gz", &super::client::read(answer).1);
    assert_eq!(read_labels(&scene.path("back.nii.gz")).unwrap().voxels(), new_phantom().labels.voxels());
    let (_, named) = client.get_json("/datastore/label/info?label=s&tag=final");
    assert_eq!(named["label_info"], Value::from(names));
    let (_, stats) = client.get_json("/datastore/?output=stats");
    assert_eq!(stats["completed"], 1);
    assert_eq!(client.get_json("/datastore/?output=train").1, json!([{ "image": "s", "label": "s" }]));
    let (_, all) = client.get_json("/datastore/?output=all");
    assert_eq!(all["objects"]["s"]["labels"]["final"]["ext"], ".nii.gz");
    // Every scan has labels now.
    assert_eq!(client.post_json("/activelearning/random", &json!({})).1, json!({}));
    // An uploaded scan has the id that Slicer gives it.
    let file = [Part::File("file", "tmp1234.nii.gz", &scene.bytes("scans/s.nii.gz"))];
    assert_eq!(client.form_json("PUT", "/datastore/?image=mine", &file), (200, json!({ "image": "mine" })));
    // No training runs.
    assert_eq!(client.get("/train/?check_if_running=true").0, 404);
}

#[test]
fn a_session_holds_a_scan_that_is_not_kept() {
    let scene = scene();
    let server = Served::start(&scene, &[]);
    let client = &server.client;
    let image = scene.bytes("scans/s.nii.gz");
    let files = [Part::File("files", "mine.nii.gz", &image), Part::Text("client_id", "user-xyz")];
    let (status, session) = client.form_json("PUT", "/session/?expiry=0&uncompress=false", &files);
    assert_eq!(status, 200, "{session}");
    let id = session["session_id"].as_str().unwrap();
    assert_eq!(client.get(&format!("/session/{id}")).0, 200);
    let path = format!("/infer/{MODEL}?image=other&session_id={id}&output=image");
    let form = [Part::Text("params", "{\"prompts\": \"Kidney\"}")];
    let (status, of_session) = client.form("POST", &path, &form);
    assert_eq!(status, 200);
    // A file in the form wins over both.
    let with_file =
        [Part::Text("params", "{\"prompts\": \"Kidney\"}"), Part::File("file", "x.nii.gz", &image)];
    let (status, of_file) = client.form("POST", &path, &with_file);
    assert_eq!(status, 200);
    for (name, bytes) in [("a.nii.gz", &of_session), ("b.nii.gz", &of_file)] {
        scene.write_bytes(name, bytes);
    }
    let read = |name: &str| read_labels(&scene.path(name)).unwrap();
    assert_eq!(read("a.nii.gz").voxels(), read("b.nii.gz").voxels());
    assert_eq!(client.get_json("/api/scans").1.as_array().unwrap().len(), 1);
    assert_eq!(client.delete(&format!("/session/{id}")), 200);
    assert_eq!(client.get(&format!("/session/{id}")).0, 404);
    assert_eq!(client.form("POST", &path, &form).0, 404);
}

#[test]
fn ohif_asks_by_series_and_sends_voxels_alone() {
    let scene = scene();
    write_ct_series(&scene.path("scans/study"), &new_phantom().image, "one").unwrap();
    let server = Served::start(&scene, &[]);
    let client = &server.client;
    let (_, scans) = client.get_json("/api/scans?search=ct");
    let series = scans[0]["id"].as_str().unwrap();
    let params = json!({
        "result_extension": ".nrrd", "result_dtype": "uint8", "result_compress": false, "restore_label_idx": false,
        "label_prompt": [1, 2],
    });
    let path = format!("/infer/{MODEL}?image={series}&output=image");
    let (status, nrrd) = client.form("POST", &path, &[Part::Text("params", &params.to_string())]);
    assert_eq!(status, 200);
    let head = nrrd.windows(2).position(|bytes| bytes == b"\n\n").unwrap() + 2;
    let text = String::from_utf8_lossy(&nrrd[..head]);
    assert!(text.contains("encoding: raw") && text.contains("type: uint8"), "{text}");
    // OHIF copies the bytes into its volume.
    assert_eq!(nrrd.len() - head, SHAPE.iter().product::<usize>());
    let mut voxels = vec![0_u8; SHAPE.iter().product()];
    // x is fastest.
    voxels[3 + SHAPE[0] * (4 + SHAPE[1] * 5)] = 1;
    let names = json!({ "label_info": [{ "name": "liver", "idx": 1 }] }).to_string();
    let saved = [Part::File("label", "label.bin", &voxels), Part::Text("params", &names)];
    let (status, answer) =
        client.form_json("PUT", &format!("/datastore/label?image={series}&tag=final"), &saved);
    assert_eq!(status, 200, "{answer}");
    let (_, bytes) = client.get(&format!("/datastore/label?label={series}&tag=final"));
    scene.write_bytes("back.nii.gz", &bytes);
    let back = read_labels(&scene.path("back.nii.gz")).unwrap();
    assert_eq!(
        (back.voxels()[[3, 4, 5]], back.voxels().iter().map(|voxel| usize::from(*voxel)).sum::<usize>()),
        (1, 1)
    );
    let too_few = [Part::File("label", "label.bin", &voxels[1..])];
    let (status, answer) = client.form_json("PUT", &format!("/datastore/label?image={series}"), &too_few);
    assert!(
        status == 422 && answer["detail"].as_str().unwrap().contains("the scan has 32768 voxels"),
        "{answer}"
    );
    // The segmentation as a DICOM object.
    let (status, object) =
        client.form("POST", &format!("/infer/{MODEL}?image={series}&output=dicom_seg"), &[]);
    assert!(status == 200 && &object[128..132] == b"DICM");
    for (path, form, status, said) in [
        ("/infer/moon?image=s", "{}", 404, "no model `moon`"),
        ("/infer/phantoms", "{}", 400, "say what to segment"),
        ("/infer/phantoms?image=s", "{", 400, "params:"),
        ("/infer/phantoms?image=s", "{\"label_prompt\": [99]}", 400, "label_prompt: 99"),
        ("/infer/phantoms?image=s&output=gif", "{\"prompts\": \"liver\"}", 400, "output `gif`"),
    ] {
        let (found, answer) = client.form_json("POST", path, &[Part::Text("params", form)]);
        assert!(
            found == status && answer["detail"].as_str().unwrap().contains(said),
            "{path}: {found} {answer}"
        );
    }
}
