//! Who may ask, and what an answer allows a browser.

use std::fs;

use serde_json::json;

use super::{Client, POSTGRES, Part, Served, scene};
use crate::scene::Scene;

pub(super) fn token(scene: &Scene, name: &str, role: &str) -> String {
    let arguments = ["serve", "--tokens", "tokens", "--new-token", name, "--role", role];
    scene.bipvl(&arguments).succeeds().stdout
}

#[test]
fn tokens_and_their_roles_are_asked_for() {
    let scene = scene();
    let [reader, writer, admin] = ["read", "write", "admin"].map(|role| token(&scene, role, role));
    let stored = scene.text("tokens");
    assert!(!stored.contains(reader.trim()) && !stored.contains(admin.trim()), "{stored}");
    let mut server = Served::start(&scene, &["--tokens", "tokens"]);
    let as_client = |token: &str| server.client.with_token(token);
    let (reader, writer, admin) = (as_client(&reader), as_client(&writer), as_client(&admin));
    let job = json!({ "scan": "s", "prompts": ["liver"] });
    assert_eq!(server.client.get_json("/api/server").1["auth"], true);
    assert_eq!(reader.get_json("/api/server").1["role"], "read");
    for path in ["/api/scans", "/api/jobs", "/info/", "/api/scans/s/image.nii.gz"] {
        assert_eq!(server.client.get(path).0, 401, "{path}");
        assert_eq!(reader.get(path).0, 200, "{path}");
    }
    assert_eq!(as_guess(&server.client).get("/api/scans").0, 401);
    assert_eq!(reader.post_json("/api/jobs", &job).0, 403);
    assert_eq!(writer.post_json("/api/jobs", &job).0, 202);
    assert_eq!((writer.delete("/api/scans/s"), admin.delete("/api/scans/s")), (403, 204));
    // What needs no token says nothing of scans.
    for path in ["/auth/", "/healthz", "/readyz", "/metrics", "/openapi.json", "/"] {
        assert_eq!(server.client.get(path).0, 200, "{path}");
    }
    let messages = server.kill();
    assert!(!messages.contains("s.nii.gz") && !messages.contains(".bipvl"), "{messages}");
}

fn as_guess(client: &Client) -> Client {
    client.with_token("guess")
}

#[test]
fn an_address_that_others_reach_needs_tokens() {
    let scene = scene();
    let arguments = ["serve", "--data", "scans", "--listen", "0.0.0.0:0"];
    scene.bipvl(&arguments).fails_saying(&["0.0.0.0:0 can be reached by other machines", "tokens"]);
    scene.bipvl(&[&arguments[..], &["--tokens", "none"]].concat()).fails_saying(&["none", "No such file"]);
    scene.write_text("tokens", "\n");
    scene.bipvl(&[&arguments[..], &["--tokens", "tokens"]].concat()).fails_saying(&["tokens: no token"]);
}

#[test]
fn no_path_leads_out_of_the_folder() {
    let scene = scene();
    scene.write_text("secret.nii.gz", "secret");
    let server = Served::start(&scene, &[]);
    for path in [
        "/api/scans/..%2Fsecret/image.nii.gz",
        "/api/scans/..%2F..%2Fsecret",
        "/api/scans/s/labels/..%2F..%2Fs.nii.gz",
        "/api/jobs/..%2F..%2F/result.nii.gz",
        "/assets/..%2F..%2FCargo.toml",
        "/assets/../Cargo.toml",
        "/datastore/image?image=..%2Fsecret",
        "/datastore/label?label=s&tag=..%2F..",
        "/session/..%2F..",
        "/nothing",
    ] {
        let (status, bytes) = server.client.get(path);
        assert!(status == 404 && !bytes.starts_with(b"secret"), "{path}: {status}");
    }
    // The names beside labels are files, too.
    scene.write_text("scans/victim/s.json", "precious");
    for tag in ["..%2Fvictim".to_owned(), scene.path("scans/victim").display().to_string()] {
        assert_eq!(server.client.delete(&format!("/datastore/label?label=s&tag={tag}")), 404);
        assert_eq!(scene.text("scans/victim/s.json"), "precious");
    }
}

#[test]
fn a_folder_has_one_server_unless_the_database_is_shared() {
    let scene = scene();
    let _server = Served::start(&scene, &[]);
    if std::env::var_os(POSTGRES).is_some() {
        Served::start(&scene, &[]);
        return;
    }
    let arguments = ["serve", "--data", "scans", "--listen", "127.0.0.1:0"];
    scene.bipvl(&arguments).fails_saying(&["scans: another server works in this folder", "PostgreSQL"]);
}

#[test]
fn tokens_are_added_at_once_and_never_lost() {
    let scene = scene();
    std::thread::scope(|scope| {
        for number in 0..8 {
            let scene = &scene;
            scope.spawn(move || token(scene, &format!("client {number}"), "read"));
        }
    });
    assert_eq!(scene.text("tokens").lines().count(), 8);
    let add = |name: &str| scene.bipvl(&["serve", "--tokens", "tokens", "--new-token", name]);
    add(" ").fails_saying(&["a token needs a name"]);
    scene.spoil("tokens", |bytes| bytes.push(b'{'));
    add("more").fails_saying(&["tokens: line 9"]);
    assert_eq!(scene.text("tokens").lines().count(), 9);
}

#[test]
fn answers_tell_browsers_to_run_nothing_else() {
    let scene = scene();
    let server = Served::start(&scene, &[]);
    let answer = server.client.send("GET", "/", None);
    let header = |name: &str| answer.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    let policy = header("content-security-policy").unwrap();
    assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{policy}");
    assert!(!policy.contains("http:") && !policy.contains("'unsafe-eval'"), "{policy}");
    assert_eq!(header("x-content-type-options").unwrap(), "nosniff");
    assert_eq!(header("x-frame-options").unwrap(), "DENY");
}

#[test]
fn pages_of_other_origins_ask_for_nothing_unless_they_are_allowed() {
    let scene = scene();
    let server = Served::start(&scene, &["--allow-origin", "https://ohif.example"]);
    let post = |origin: &str| server.client.status_with("POST", "/activelearning/random", ("origin", origin));
    assert_eq!((post("https://evil.example"), post("null")), (403, 403));
    assert_eq!((post("https://ohif.example"), post(&server.client.address)), (200, 200));
    // A name that an attacker lets point to this machine.
    let get = |host: &str| server.client.status_with("GET", "/api/scans", ("host", host));
    assert_eq!((get("evil.example:8000"), get("localhost:8000"), get("[::1]:8000")), (403, 200, 200));
    let answer = server.client.send("GET", "/api/scans", None);
    assert!(answer.headers().get("access-control-allow-origin").is_none());
}

#[test]
fn an_upload_has_a_limit_and_leaves_nothing_behind() {
    let scene = scene();
    let server = Served::start(&scene, &["--max-upload", "1"]);
    let stream = std::net::TcpStream::connect(server.client.address.trim_start_matches("http://")).unwrap();
    let head = format!(
        "POST /api/scans HTTP/1.1\r\nhost: localhost\r\ncontent-type: multipart/form-data; boundary=b\r\ncontent-length: {}\r\n\r\n",
        (1_u64 << 30) + 1
    );
    std::io::Write::write_all(&mut &stream, head.as_bytes()).unwrap();
    let mut answer = [0; 12];
    std::io::Read::read_exact(&mut &stream, &mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 413");
    assert_eq!(fs::read_dir(scene.path("scans/.bipvl/uploads")).unwrap().count(), 0);
    let parts = [Part::File("file", "a.nii.gz", &scene.bytes("scans/s.nii.gz"))];
    assert_eq!(server.client.form("POST", "/api/scans", &parts).0, 201);
}
