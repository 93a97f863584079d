//! A DICOM archive: Orthanc with its `DICOMweb` plugin, where `BIPVL_TEST_ORTHANC` names the file of the plugin.
//!
//! Orthanc listens on all interfaces, so the test runs in a network of its own: `unshare --net`.

mod canned;
mod fetch;
mod hostile;
mod proxy;
mod rules;

use std::{
    env, fs,
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use bipvl_dicom::{Study, phantom::write_ct_series};
use serde_json::{Value, json};

use super::{
    PATIENCE, Served,
    client::{Client, read},
    scene,
};
use crate::scene::{Scene, new_phantom};

const PLUGIN: &str = "BIPVL_TEST_ORTHANC";

struct Orthanc {
    child: Child,
    client: Client,
    port: u16,
}

impl Orthanc {
    /// Starts it, where there is one.
    #[allow(clippy::print_stderr, reason = "a skipped test should say that it was")]
    fn start(scene: &Scene) -> Option<Self> {
        let Ok(plugin) = env::var(PLUGIN) else {
            eprintln!("skipped: {PLUGIN} names no plugin of Orthanc");
            return None;
        };
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let store = scene.path("store");
        let configuration = json!({
            "HttpPort": port, "RemoteAccessAllowed": false, "AuthenticationEnabled": false, "DicomServerEnabled": false,
            "StorageDirectory": store, "IndexDirectory": store, "Plugins": [plugin],
            "DicomWeb": { "Enable": true, "Root": "/dicom-web/" },
        });
        scene.write_json("orthanc.json", &configuration);
        let client = Client::new(format!("http://127.0.0.1:{port}"));
        Some(Self { child: Self::spawn(scene, port), client, port })
    }

    fn spawn(scene: &Scene, port: u16) -> Child {
        let mut command = Command::new("Orthanc");
        let command = command.arg(scene.path("orthanc.json")).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().unwrap();
        let began = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(began.elapsed() < PATIENCE, "Orthanc does not start");
            thread::sleep(Duration::from_millis(100));
        }
        child
    }

    fn stop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// With all that it had, at the same address.
    fn start_again(&mut self, scene: &Scene) {
        self.child = Self::spawn(scene, self.port);
    }

    /// The root of its `DICOMweb` service.
    fn root(&self) -> String {
        format!("{}/dicom-web/", self.client.address)
    }

    /// Stores the files of a folder, by STOW-RS.
    fn store(&self, folder: &Path) {
        let mut body = Vec::new();
        for entry in fs::read_dir(folder).unwrap() {
            body.extend(b"--part\r\nContent-Type: application/dicom\r\n\r\n");
            body.extend(fs::read(entry.unwrap().path()).unwrap());
            body.extend(b"\r\n");
        }
        body.extend(b"--part--\r\n");
        let media_type = "multipart/related; type=\"application/dicom\"; boundary=part";
        let (status, answer) =
            read(self.client.send("POST", "/dicom-web/studies", Some((media_type, &body))));
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&answer));
    }

    /// The studies of all series of a modality, by QIDO-RS.
    fn studies(&self, modality: &str) -> Vec<String> {
        let path = format!("/dicom-web/series?Modality={modality}&includefield=0020000D");
        let (status, series) = self.client.get_json(&path);
        assert_eq!(status, 200, "{series}");
        let study = |series: &Value| series["0020000D"]["Value"][0].as_str().unwrap().to_owned();
        series.as_array().unwrap().iter().map(study).collect()
    }
}

impl Drop for Orthanc {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A done job of the DICOM scan.
fn job(server: &Served) -> String {
    let (_, scans) = server.client.get_json("/api/scans?search=ct");
    let request = json!({ "scan": scans[0]["id"], "prompts": ["liver", "Kidney"] });
    let job = server.wait(&server.client.post_json("/api/jobs", &request).1);
    assert_eq!(job["state"], "done", "{job}");
    format!("/api/jobs/{}/send", job["id"].as_str().unwrap())
}

#[test]
fn a_result_is_sent_to_the_archive_as_seg_and_sr() {
    let scene = scene();
    let Some(orthanc) = Orthanc::start(&scene) else { return };
    write_ct_series(&scene.path("scans/study"), &new_phantom().image, "one").unwrap();
    let server = Served::start(&scene, &["--dicomweb", &orthanc.root()]);
    assert_eq!(server.client.get_json("/api/server").1["archive"], true);
    let (status, answer) = server.client.post_json(&job(&server), &json!({}));
    assert_eq!(status, 200, "{answer}");
    let [seg, sr] = ["SEG", "SR"].map(|modality| orthanc.studies(modality));
    assert_eq!((seg.len(), &seg), (1, &sr));
    // They belong to the study of the scan.
    let study = Study::open(&scene.path("scans/study")).unwrap();
    assert_eq!(study.volumes().len(), 1);
    let uploaded = fs::read_dir(scene.path("scans/study")).unwrap().next().unwrap().unwrap();
    let bytes = fs::read(uploaded.path()).unwrap();
    let uid = seg[0].as_bytes();
    assert!(bytes.windows(uid.len()).any(|window| window == uid), "{seg:?}");
}

#[test]
fn what_cannot_be_sent_says_so() {
    let scene = scene();
    write_ct_series(&scene.path("scans/study"), &new_phantom().image, "one").unwrap();
    let server = Served::start(&scene, &[]);
    let (status, answer) = server.client.post_json(&job(&server), &json!({}));
    assert!(status == 409 && answer["detail"].as_str().unwrap().contains("no archive"), "{answer}");
    drop(server);
    // Nothing listens on a port that was just given back.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let server = Served::start(&scene, &["--dicomweb", &format!("http://127.0.0.1:{port}")]);
    let (status, answer) = server.client.post_json(&job(&server), &json!({}));
    assert!(
        status == 502 && answer["detail"].as_str().unwrap().contains("archive http://127.0.0.1"),
        "{answer}"
    );
}
