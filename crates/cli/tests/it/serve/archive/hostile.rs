//! What a broken or hostile archive does to the server: nothing.

use serde_json::json;

use super::canned::{Canned, answer};
use crate::serve::{Served, scene};

const JSON: &str = "application/dicom+json";
const RELATED: &str = "multipart/related; type=\"application/dicom\"; boundary=b";

/// An archive with one series, whose retrieval gives `body`.
fn with_series(media_type: &'static str, body: &'static [u8]) -> Canned {
    Canned::start(move |head| {
        if head.starts_with("GET /dicom-web/series?") {
            let series = json!([{
                "0020000D": { "vr": "UI", "Value": ["1.2"] }, "0020000E": { "vr": "UI", "Value": ["1.2.3"] },
            }]);
            return answer("200 OK", JSON, series.to_string().as_bytes());
        }
        answer("200 OK", media_type, body)
    })
}

#[test]
fn a_broken_answer_becomes_an_error_that_says_so() {
    let scene = scene();
    for (archive, status, said) in [
        (with_series("text/html", b"<p>"), 502, "no multipart/related answer"),
        (with_series("multipart/related", b"--b--\r\n"), 502, "no multipart/related answer with a boundary"),
        (with_series(RELATED, b"--b\r\n\r\ncut"), 502, "a broken answer"),
        (with_series(RELATED, b"--b--\r\n"), 404, "sent no instance"),
        (
            with_series(RELATED, b"--b\r\nContent-Type: application/dicom\r\n\r\nno DICOM\r\n--b--\r\n"),
            422,
            "no DICOM series",
        ),
        (Canned::start(|_| b"no HTTP".to_vec()), 502, "archive http"),
        (Canned::start(|_| answer("200 OK", JSON, b"{}")), 502, "no answer to a QIDO-RS request"),
        (Canned::start(|_| answer("500 Oh", JSON, b"")), 502, "status 500"),
        (Canned::start(|_| answer("204 No Content", JSON, b"")), 404, "no series `1.2.3`"),
    ] {
        let server = Served::start(&scene, &["--dicomweb", &archive.root()]);
        let (found, answer) = server.client.post_json("/api/archive/series/1.2.3/fetch", &json!({}));
        let detail = answer["detail"].as_str().unwrap();
        assert!(found == status && detail.contains(said), "{said}: {found} {detail}");
        assert_eq!(std::fs::read_dir(scene.path("scans/.bipvl/uploads")).unwrap().count(), 0);
    }
}

#[test]
fn an_archive_cannot_send_the_server_elsewhere() {
    let scene = scene();
    let elsewhere = Canned::start(|_| answer("200 OK", JSON, b"[]"));
    let target = elsewhere.address.clone();
    let archive = Canned::start(move |_| {
        format!("HTTP/1.1 302 Found\r\nLocation: http://{target}/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            .into_bytes()
    });
    let server = Served::start(&scene, &["--dicomweb", &archive.root()]);
    let (status, answer) = server.client.get_json("/api/archive/studies");
    assert!(status == 502 && answer["detail"].as_str().unwrap().contains("status 302"), "{answer}");
    assert!(elsewhere.heads.lock().unwrap().is_empty());
}

#[test]
fn what_is_no_uid_or_no_day_never_reaches_the_archive() {
    let scene = scene();
    let archive = Canned::start(|_| answer("200 OK", JSON, b"[]"));
    let server = Served::start(&scene, &["--dicomweb", &archive.root()]);
    for uid in ["..%2F..%2Fsystem", "1.2%3Fx", "1..2", "abc", "1.2%0d%0ax"] {
        let path = format!("/api/archive/series/{uid}/fetch");
        assert_eq!(server.client.post_json(&path, &json!({})).0, 404, "{uid}");
        assert_eq!(server.client.get(&format!("/api/archive/studies/{uid}/series")).0, 404, "{uid}");
    }
    let (status, answer) = server.client.get_json("/api/archive/studies?from=yesterday");
    assert!(status == 400 && answer["detail"].as_str().unwrap().contains("YYYY-MM-DD"), "{answer}");
    assert!(archive.heads.lock().unwrap().is_empty());
    drop(server);
    // Without an archive, there is nothing to ask.
    let server = Served::start(&scene, &[]);
    let (status, answer) = server.client.get_json("/api/archive/studies");
    assert!(status == 409 && answer["detail"].as_str().unwrap().contains("no archive"), "{answer}");
}
