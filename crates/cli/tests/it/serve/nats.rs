//! Jobs that the workers of a queue do.

use std::process::{Child, Stdio};

use bipvl_dicom::phantom::write_ct_series;
use bipvl_imaging::read_labels;
use serde_json::json;

use super::{MODEL, Served, run, scene};
use crate::{nats::server::Server, scene::Scene, scene::new_phantom};

/// A worker, which is ended when dropped.
struct Worker(Child);

impl Worker {
    fn start(scene: &Scene, url: &str) -> Self {
        let model = format!("{MODEL}={}", run());
        let arguments = ["worker", "--nats", url, "--model", &model];
        let mut command = scene.command();
        Self(command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_worker_does_the_jobs_of_a_server() {
    let Some(nats) = Server::start() else { return };
    let (scene, url) = (scene(), nats.url());
    write_ct_series(&scene.path("scans/study"), &new_phantom().image, "one").unwrap();
    let mut server = Served::start(&scene, &["--nats", &url]);
    let waiting = server.submit(&["Kidney", "the moon"]);
    let _worker = Worker::start(&scene, &url);
    let job = server.wait(&waiting);
    assert_eq!(job["state"], "done", "{job}");
    let arguments = ["predict", "--model", run(), "--out", "masks", "--prompt", "Kidney"];
    scene.bipvl(&[&arguments[..], &["--prompt", "the moon", "scans/s.nii.gz"]].concat()).succeeds();
    let (status, bytes) =
        server.client.get(&format!("/api/jobs/{}/result.nii.gz", job["id"].as_str().unwrap()));
    assert_eq!(status, 200);
    scene.write_bytes("got.nii.gz", &bytes);
    let [found, expected] =
        ["got.nii.gz", "masks/s.nii.gz"].map(|name| read_labels(&scene.path(name)).unwrap());
    assert_eq!(found.voxels(), expected.voxels());
    let labels = scene.json("masks/s.labels.json");
    assert_eq!(job["segments"][1]["volume_ml"], labels["labels"][1]["volume_ml"]);

    let (_, scans) = server.client.get_json("/api/scans");
    let series = scans.as_array().unwrap().iter().find(|scan| scan["dicom"] == true).unwrap();
    let request = json!({ "scan": series["id"], "model": MODEL, "prompts": ["liver"] });
    let (status, job) = server.client.post_json("/api/jobs", &request);
    assert_eq!(status, 202, "{job}");
    let job = server.wait(&job);
    assert_eq!(job["state"], "done", "{job}");
    for ending in ["seg.dcm", "rtstruct.dcm", "sr.dcm", "json"] {
        let path = format!("/api/jobs/{}/result.{ending}", job["id"].as_str().unwrap());
        assert_eq!(server.client.get(&path).0, 200, "{ending}");
    }

    // A scan that is damaged once the server knows it.
    scene.spoil("scans/s.nii.gz", |bytes| bytes.truncate(300));
    let job = server.wait(&server.submit(&["liver"]));
    assert_eq!(job["state"], "failed", "{job}");
    assert!(job["error"].as_str().unwrap().contains("s.nii.gz"), "{job}");
    server.kill();
}
