//! The archive through the server, as OHIF asks for it.

use std::fs;

use bipvl_dicom::phantom::write_ct_series;
use serde_json::json;

use super::{
    Orthanc,
    canned::{Canned, answer},
};
use crate::{
    scene::{SHAPE, new_phantom},
    serve::{Client, Served, client::read, scene, security::token},
};

const STORED: &str = "multipart/related; type=\"application/dicom\"; boundary=part";

#[test]
fn a_viewer_searches_retrieves_and_stores() {
    let scene = scene();
    let Some(orthanc) = Orthanc::start(&scene) else { return };
    write_ct_series(&scene.path("archived"), &new_phantom().image, "one").unwrap();
    let [reader, writer] = ["read", "write"].map(|role| token(&scene, role, role));
    let server = Served::start(&scene, &["--dicomweb", &orthanc.root(), "--tokens", "tokens"]);
    let (reader, writer) = (server.client.with_token(&reader), server.client.with_token(&writer));
    let mut body = Vec::new();
    for entry in fs::read_dir(scene.path("archived")).unwrap() {
        body.extend(b"--part\r\nContent-Type: application/dicom\r\n\r\n");
        body.extend(fs::read(entry.unwrap().path()).unwrap());
        body.extend(b"\r\n");
    }
    body.extend(b"--part--\r\n");
    let store = "/proxy/dicom/stow/studies";
    let status = |client: &Client, body: &[u8]| read(client.send("POST", store, Some((STORED, body)))).0;
    assert_eq!((status(&server.client, b""), status(&reader, b"")), (401, 403));
    assert_eq!(status(&writer, &body), 200);
    // As OHIF asks, in this order.
    let (found, studies) =
        reader.get_json("/proxy/dicom/qido/studies?PatientName=*phantom*&includefield=all");
    assert_eq!((found, studies.as_array().unwrap().len()), (200, 1));
    let study = studies[0]["0020000D"]["Value"][0].as_str().unwrap();
    let series = format!("/proxy/dicom/wado/studies/{study}/series");
    let (_, list) = reader.get_json(&series);
    let uid = list[0]["0020000E"]["Value"][0].as_str().unwrap();
    let (_, instances) = reader.get_json(&format!("{series}/{uid}/metadata"));
    assert_eq!(instances.as_array().unwrap().len(), SHAPE[2]);
    let instance = instances[0]["00080018"]["Value"][0].as_str().unwrap();
    let frame = reader.send("GET", &format!("{series}/{uid}/instances/{instance}/frames/1"), None);
    assert!(frame.headers()["content-type"].to_str().unwrap().starts_with("multipart/related"));
    let (found, bytes) = read(frame);
    assert!(found == 200 && bytes.len() > SHAPE[0] * SHAPE[1] * 2);
    assert_eq!(reader.get("/proxy/dicom/studies/1.2.3/metadata").0, 404);
    let messages = { server }.kill();
    assert!(!messages.contains(study), "{messages}");
}

#[test]
fn nothing_else_of_the_archive_can_be_reached() {
    let scene = scene();
    let archive = Canned::start(|head| {
        match head {
        head if head.contains("/html") => answer("200 OK", "text/html", b"<script>"),
        head if head.contains("/moved") => {
            b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_vec()
        }
        head if head.contains("/denied") => answer("401 Unauthorized", "text/plain", b""),
        _ => answer("200 OK", "application/dicom+json", b"[]"),
    }
    });
    let server =
        Served::start(&scene, &["--dicomweb", &archive.root(), "--allow-origin", "https://ohif.example"]);
    let client = &server.client;
    for path in [
        "/proxy/dicom/servers/other/stow",
        "/proxy/dicom/studies/..%2F..%2Fsystem",
        "/proxy/dicom/studies/%2e%2e/%2e%2e/system",
        "/proxy/dicom/wado",
        "/proxy/dicom/",
        "/proxy/http://127.0.0.1:1/studies",
    ] {
        assert_eq!(client.get(path).0, 404, "{path}");
    }
    for method in ["PUT", "DELETE", "PATCH"] {
        assert_eq!(read(client.send(method, "/proxy/dicom/studies/1.2", None)).0, 405, "{method}");
    }
    assert_eq!(client.post_json("/proxy/dicom/studies/1.2/series", &json!({})).0, 405);
    assert!(archive.heads.lock().unwrap().is_empty());
    let (_, moved) = client.get_json("/proxy/dicom/studies/moved");
    assert!(moved["detail"].as_str().unwrap().contains("status 302"), "{moved}");
    assert_eq!(client.get("/proxy/dicom/studies/denied").0, 502);
    let page = client.send("GET", "/proxy/dicom/studies/html", None);
    assert_eq!(page.headers()["content-type"], "application/octet-stream");
    assert_eq!(page.headers()["x-content-type-options"], "nosniff");
    // Neither tokens nor cookies of a client go on, and its pages may read the answer if they are allowed to.
    let with = |header| client.status_with("GET", "/proxy/dicom/studies?limit=1", header);
    assert_eq!(with(("cookie", "secret")), 200);
    assert_eq!(client.with_token("secret").get("/proxy/dicom/studies?limit=1").0, 200);
    assert_eq!(
        (with(("origin", "https://ohif.example")), with(("origin", "https://evil.example"))),
        (200, 403)
    );
    let heads = archive.heads.lock().unwrap().join("");
    assert!(
        heads.contains("GET /dicom-web/studies?limit=1 HTTP/1.1") && !heads.contains("secret"),
        "{heads}"
    );
}

#[test]
fn credentials_are_those_of_the_server() {
    let scene = scene();
    let archive = Canned::start(|_| answer("200 OK", "application/dicom+json", b"[]"));
    let server = Served::start_with(
        &scene,
        &["--dicomweb", &archive.root()],
        &[("BIPVL_DICOMWEB_LOGIN", "orthanc:secret word")],
    );
    for path in ["/proxy/dicom/studies", "/api/archive/studies"] {
        assert_eq!(server.client.get(path).0, 200, "{path}");
    }
    drop(server);
    let server =
        Served::start_with(&scene, &["--dicomweb", &archive.root()], &[("BIPVL_DICOMWEB_TOKEN", "abc")]);
    assert_eq!(server.client.get("/proxy/dicom/studies").0, 200);
    let heads = archive.heads.lock().unwrap();
    // base64 of `orthanc:secret word`, by coreutils.
    let expected = ["Basic b3J0aGFuYzpzZWNyZXQgd29yZA==", "Basic b3J0aGFuYzpzZWNyZXQgd29yZA==", "Bearer abc"];
    for (head, expected) in heads.iter().zip(expected) {
        assert!(head.contains(&format!("authorization: {expected}\r\n")), "{head}");
    }
    assert_eq!(heads.len(), 3);
}

#[test]
fn an_answer_or_a_study_that_is_too_large_is_not_passed_on() {
    let scene = scene();
    // It says that two GiB follow.
    let archive = Canned::start(|_| {
        b"HTTP/1.1 200 OK\r\nContent-Type: application/dicom\r\nContent-Length: 2147483648\r\n\r\nx".to_vec()
    });
    let server = Served::start(&scene, &["--dicomweb", &archive.root(), "--max-upload", "1"]);
    let (status, answer) = server.client.get_json("/proxy/dicom/studies/1.2");
    assert!(status == 502 && answer["detail"].as_str().unwrap().contains("2147483648 bytes"), "{answer}");
    let stream = std::net::TcpStream::connect(server.client.address.trim_start_matches("http://")).unwrap();
    let head = format!(
        "POST /proxy/dicom/studies HTTP/1.1\r\nhost: localhost\r\ncontent-type: {STORED}\r\ncontent-length: {}\r\n\r\n",
        (1_u64 << 30) + 1
    );
    std::io::Write::write_all(&mut &stream, head.as_bytes()).unwrap();
    let mut answer = [0; 12];
    std::io::Read::read_exact(&mut &stream, &mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 413");
}
