//! An HTTP client that sees statuses as answers, with forms as browsers and Python's `requests` send them.

use serde_json::Value;
use ureq::{
    Agent, Body,
    http::{Request, Response},
};

/// Between the parts of a form.
const BOUNDARY: &str = "a-boundary-that-is-in-no-file";
/// Label maps and pictures of phantoms are smaller.
const MAX_ANSWER: u64 = 64 << 20;

pub(super) struct Client {
    agent: Agent,
    pub(super) address: String,
    token: Option<String>,
}

/// One part of a form.
pub(super) enum Part<'a> {
    /// Name and text.
    Text(&'a str, &'a str),
    /// Name, file name and content.
    File(&'a str, &'a str, &'a [u8]),
}

impl Client {
    pub(super) fn new(address: String) -> Self {
        let agent = Agent::config_builder().http_status_as_error(false).build().into();
        Self { agent, address, token: None }
    }

    /// The same with a token.
    pub(super) fn with_token(&self, token: &str) -> Self {
        Self {
            token: Some(token.trim().to_owned()),
            address: self.address.clone(),
            agent: self.agent.clone(),
        }
    }

    /// Sends a request; without a media type it has no body.
    pub(super) fn send(&self, method: &str, path: &str, body: Option<(&str, &[u8])>) -> Response<Body> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.address));
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let answer = match body {
            Some((media_type, bytes)) => {
                self.agent.run(request.header("content-type", media_type).body(bytes).unwrap())
            }
            None => self.agent.run(request.body(()).unwrap()),
        };
        answer.unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    /// The status of a GET or POST with a header.
    pub(super) fn status_with(&self, method: &str, path: &str, header: (&str, &str)) -> u16 {
        let request = Request::builder().method(method).uri(format!("{}{path}", self.address));
        let request = request.header(header.0, header.1);
        let answer = if method == "GET" {
            self.agent.run(request.body(()).unwrap())
        } else {
            self.agent.run(request.header("content-type", "application/json").body(&b"{}"[..]).unwrap())
        };
        answer.unwrap().status().as_u16()
    }

    /// Status and body of a GET.
    pub(super) fn get(&self, path: &str) -> (u16, Vec<u8>) {
        read(self.send("GET", path, None))
    }

    pub(super) fn get_json(&self, path: &str) -> (u16, Value) {
        json(self.get(path))
    }

    pub(super) fn post_json(&self, path: &str, value: &Value) -> (u16, Value) {
        json(read(self.send("POST", path, Some(("application/json", value.to_string().as_bytes())))))
    }

    pub(super) fn delete(&self, path: &str) -> u16 {
        self.send("DELETE", path, None).status().as_u16()
    }

    /// Sends a form.
    pub(super) fn send_form(&self, method: &str, path: &str, parts: &[Part<'_>]) -> Response<Body> {
        let media_type = format!("multipart/form-data; boundary={BOUNDARY}");
        self.send(method, path, Some((&media_type, &form(parts))))
    }

    /// Status and body of the answer to a form.
    pub(super) fn form(&self, method: &str, path: &str, parts: &[Part<'_>]) -> (u16, Vec<u8>) {
        read(self.send_form(method, path, parts))
    }

    pub(super) fn form_json(&self, method: &str, path: &str, parts: &[Part<'_>]) -> (u16, Value) {
        json(self.form(method, path, parts))
    }
}

/// Status and bytes.
pub(super) fn read(mut answer: Response<Body>) -> (u16, Vec<u8>) {
    let bytes = answer.body_mut().with_config().limit(MAX_ANSWER).read_to_vec().unwrap();
    (answer.status().as_u16(), bytes)
}

fn json((status, bytes): (u16, Vec<u8>)) -> (u16, Value) {
    let text = String::from_utf8_lossy(&bytes);
    let value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{status} {error}: {text}"));
    (status, value)
}

fn form(parts: &[Part<'_>]) -> Vec<u8> {
    let mut body = Vec::new();
    for part in parts {
        let (head, content) = match part {
            Part::Text(name, text) => (format!("name=\"{name}\"\r\n\r\n"), text.as_bytes()),
            Part::File(name, file, content) => (
                format!(
                    "name=\"{name}\"; filename=\"{file}\"\r\nContent-Type: application/octet-stream\r\n\r\n"
                ),
                *content,
            ),
        };
        body.extend(format!("--{BOUNDARY}\r\nContent-Disposition: form-data; {head}").into_bytes());
        body.extend_from_slice(content);
        body.extend(b"\r\n");
    }
    body.extend(format!("--{BOUNDARY}--\r\n").into_bytes());
    body
}
