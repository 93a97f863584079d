//! Requests against a server on the loopback interface.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpListener,
    thread::JoinHandle,
};

use super::*;
use bipvl_text::PAPER_CONCEPTS;

/// A server that gives one response after the other and returns head (in lower case) and body of the requests.
fn server(answers: Vec<(u16, String)>) -> (String, JoinHandle<Vec<(String, Value)>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    let serve = move || {
        let serve_one = |(status, body): (u16, String)| {
            let (stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(stream);
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                reader.read_line(&mut head).unwrap();
            }
            let head = head.to_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
            let mut request = vec![0; length.parse().unwrap()];
            reader.read_exact(&mut request).unwrap();
            let answer = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            reader.into_inner().write_all(answer.as_bytes()).unwrap();
            (head, serde_json::from_slice(&request).unwrap())
        };
        answers.into_iter().map(serve_one).collect()
    };
    (url, std::thread::spawn(serve))
}

fn response(content: &str) -> (u16, String) {
    (200, json!({ "choices": [{ "message": { "role": "assistant", "content": content } }] }).to_string())
}

fn usable() -> Value {
    json!({
        "texture": "Even throughout and without any visible pattern.",
        "shape": "A bean about as long as a hand.",
        "location": "Beside the spine on the right side, below the liver.",
        "appearance": "Brighter than muscle after contrast medium.",
        "contour": "Smooth and sharply bounded by fat.",
    })
}

fn config(url: &str, key: Option<&str>) -> EndpointConfig {
    let timeout = Duration::from_secs(20);
    EndpointConfig { url: url.to_owned(), model: "small".to_owned(), key: key.map(str::to_owned), timeout }
}

fn describe(config: EndpointConfig) -> Result<Description> {
    let mut endpoint = Endpoint::new(config).unwrap();
    endpoint.retry_delay = Duration::ZERO;
    let classes = ["kidney_right", "liver"].map(str::to_owned);
    let channels = ["CT".to_owned()];
    let dataset = DatasetContext {
        name: "Organs",
        modality: Modality::Ct,
        channels: &channels,
        classes: classes.into(),
    };
    endpoint.describe("kidney_right", &dataset)
}

fn request(url: &str, key: Option<&str>) -> Result<Description> {
    describe(config(url, key))
}

#[test]
fn one_request_suffices_and_the_concepts_are_sorted() {
    let (url, requests) = server(vec![response(&format!("```json\n{}\n```", usable()))]);
    let description = request(&url, Some("secret")).unwrap();
    assert_eq!(description.title, "Right kidney in a CT image");
    let names: Vec<&str> = description.concepts.iter().map(|concept| concept.name.as_str()).collect();
    assert_eq!(names, PAPER_CONCEPTS);
    assert_eq!(description.concepts[3].sentence, "Smooth and sharply bounded by fat.");

    let requests = requests.join().unwrap();
    let [(head, body)] = &requests[..] else { panic!("{requests:?}") };
    assert!(head.starts_with("post /v1/chat/completions http/1.1\r\n"), "{head}");
    assert!(head.contains("authorization: bearer secret\r\n"), "{head}");
    assert_eq!(body["model"], "small");
    let text = body["messages"][1]["content"].as_str().unwrap();
    for part in ["Structure: right kidney\n", "Modality: CT", "apart: liver\n"].iter().chain(&PAPER_CONCEPTS)
    {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
}

#[test]
fn no_key_is_sent_without_one() {
    let (url, requests) = server(vec![response(&usable().to_string())]);
    request(&url, None).unwrap();
    assert!(!requests.join().unwrap()[0].0.contains("authorization"));
}

#[test]
fn an_unusable_answer_is_sent_back_with_the_reason() {
    let mut wrong = usable();
    wrong["location"] = json!("Beside the spine on the left side.");
    let mut short = usable();
    short.as_object_mut().unwrap().remove("contour");
    let answers = [wrong.to_string(), short.to_string(), usable().to_string()];
    let (url, requests) = server(answers.iter().map(|answer| response(answer)).collect());
    request(&url, None).unwrap();
    let requests = requests.join().unwrap();
    let last = |index: usize| {
        requests[index].1["messages"].as_array().unwrap().last().unwrap()["content"].to_string()
    };
    assert!(last(1).contains("location") && last(1).contains("left"), "{}", last(1));
    assert!(last(2).contains("contour"), "{}", last(2));
}

#[test]
fn a_busy_server_gets_three_requests() {
    let busy = || (503, "overloaded".to_owned());
    let (url, requests) = server(vec![busy(), (429, String::new()), response(&usable().to_string())]);
    request(&url, None).unwrap();
    assert_eq!(requests.join().unwrap().len(), 3);
    let (url, _) = server(vec![busy(), busy(), busy()]);
    let error = request(&url, None).unwrap_err();
    let message = error.to_string();
    for part in ["kidney_right", "attempts: 3", "/v1/chat/completions", "503", "overloaded"] {
        assert!(message.contains(part), "{part:?} is not in {message}");
    }
    let Error::Endpoint { class, attempts: 3, reason: EndpointError::Status { status: 503, .. } } = error
    else {
        panic!("{message}")
    };
    assert_eq!(class, "kidney_right");
}

#[test]
fn denied_access_is_final_and_does_not_reveal_the_key() {
    let (url, requests) = server(vec![(401, "who are you".to_owned())]);
    let error = request(&url, Some("secret")).unwrap_err();
    let message = format!("{error} {error:?} {:?}", config(&url, Some("secret")));
    assert!(message.contains("401") && message.contains("who are you"), "{message}");
    assert!(!message.contains("secret"), "{message}");
    assert!(matches!(
        error,
        Error::Endpoint { attempts: 1, reason: EndpointError::AccessDenied { has_key: true, .. }, .. }
    ));
    assert_eq!(requests.join().unwrap().len(), 1);
    let (url, _) = server(vec![(404, "no such model".to_owned())]);
    assert!(request(&url, None).unwrap_err().to_string().contains("status 404: no such model"));
}

#[test]
fn redirects_are_not_followed() {
    let (url, requests) = server(vec![(307, String::new())]);
    assert!(request(&url, Some("secret")).unwrap_err().to_string().contains("status 307"));
    assert_eq!(requests.join().unwrap().len(), 1);
}

#[test]
fn an_unreachable_server_is_named() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let message = request(&format!("http://{address}"), None).unwrap_err().to_string();
    assert!(message.contains(&address.to_string()) && message.contains("refused"), "{message}");
}

#[test]
fn a_silent_server_times_out() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let config = EndpointConfig { timeout: Duration::from_millis(50), ..config(&url, None) };
    let message = describe(config).unwrap_err().to_string();
    assert!(message.contains("no response within 0.05 s"), "{message}");
}

#[test]
fn an_oversized_response_is_an_error() {
    let (url, _) = server((0..3).map(|_| response(&"x".repeat(1 << 20))).collect());
    let error = request(&url, None).unwrap_err();
    let reason = EndpointError::ResponseTooLarge { url: format!("{url}/chat/completions"), limit: 1 << 20 };
    assert!(error.to_string().contains(&reason.to_string()), "{error}");
}

#[test]
fn urls_are_checked_and_completed() {
    for (base, url) in [
        ("http://localhost:11434/v1", "http://localhost:11434/v1/chat/completions"),
        ("https://api.example.org/v1/", "https://api.example.org/v1/chat/completions"),
        ("http://[::1]:80", "http://[::1]:80/chat/completions"),
        ("http://box/v1/chat/completions", "http://box/v1/chat/completions"),
    ] {
        assert_eq!(chat_url(base).unwrap(), url);
    }
    for base in ["localhost:80", "ftp://box", "http://", "http://a:key@box/", "http://box:no", "http://bo x"]
    {
        assert!(
            matches!(chat_url(base), Err(EndpointError::InvalidUrl { url, .. }) if url == base),
            "{base}"
        );
    }
    let spaced = EndpointConfig { key: Some("a b".to_owned()), ..config("http://box", None) };
    assert!(matches!(Endpoint::new(spaced), Err(EndpointError::InvalidKey)));
}
