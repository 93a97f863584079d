//! `bipvl describe` from outside: the file it writes, what it finds, and what it refuses.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpListener,
};

use serde_json::{Value, json};

use crate::scene::{Outcome, Scene};

fn describe(scene: &Scene, more: &[&str]) -> Outcome {
    scene.bipvl(&[&["describe", "--data", "data", "--out", "new.toml"], more].concat())
}

fn rename(scene: &Scene, old: &str, new: &str) {
    scene.replace("data/dataset.json", &format!("\"{old}\""), &format!("\"{new}\""));
}

#[test]
fn what_is_written_can_be_checked_and_trained_with() {
    let scene = Scene::new();
    describe(&scene, &[]).succeeds();
    let text = scene.text("new.toml");
    assert!(text.starts_with("# Descriptions of "), "{text}");
    assert!(text.contains("\n# From statistics of 6 cases: right twin, left twin, rod, ball.\n"), "{text}");
    // The twins are drawn on their sides, the rod upright, and ball and rod at 220 HU.
    for part in
        ["on the right side", "on the left side", "longest from top to bottom", "about as dense as the ball"]
    {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
    let outcome = scene.bipvl(&["describe", "lint", "new.toml", "--data", "data"]).succeeds();
    assert!(outcome.stdout.contains("new.toml: 4 classes, "), "{}", outcome.stdout);
    let train = ["--descriptions", "new.toml", "--out", "run", "--config", "config.toml", "--steps", "1"];
    scene.bipvl(&[&["train", "--data", "data"], &train[..]].concat()).succeeds();
}

#[test]
fn known_classes_come_from_knowledge_and_others_from_measures() {
    let scene = Scene::new();
    rename(&scene, "ball", "kidney_left");
    describe(&scene, &["--cases", "2"]).succeeds();
    let text = scene.text("new.toml");
    assert!(text.contains("# From built-in texts: kidney_left.\n"), "{text}");
    assert!(text.contains("# From statistics of 2 cases: right twin, left twin, rod.\n"), "{text}");
    assert!(text.contains("title = \"Left kidney in a CT image\""), "{text}");

    scene
        .bipvl(&["describe", "--data", "data", "--out", "other.toml", "--source", "builtin"])
        .fails_saying(&["no built-in description of class `right twin`"]);
    assert!(!scene.path("other.toml").exists());
}

#[test]
fn a_class_of_which_nothing_is_known_is_a_gap_that_checks_and_trainings_refuse() {
    let scene = Scene::new();
    scene.replace("data/dataset.json", "\"0\":\"background\"", "\"0\":\"background\",\"9\":\"left_crumb\"");
    describe(&scene, &[])
        .fails_saying(&["new.toml: no built-in text and no measured case (see --cases) for: left_crumb"]);
    let text = scene.text("new.toml");
    assert!(text.contains("\n# MISSING: left_crumb. "), "{text}");
    assert!(text.contains("\n# From statistics of 6 cases: right twin, left twin, rod, ball.\n"), "{text}");
    assert!(text.contains("title = \"Left crumb in a CT image\""), "{text}");

    let outcome = scene.bipvl(&["describe", "lint", "new.toml", "--data", "data"]);
    let printed = outcome.stdout.clone();
    outcome.fails_saying(&["new.toml: the descriptions have errors: 5"]);
    for concept in ["shape", "location", "appearance", "contour", "texture"] {
        assert!(printed.contains(&format!("error: left_crumb, {concept}: empty")), "{printed}");
    }
    let train = ["--descriptions", "new.toml", "--out", "run", "--config", "config.toml"];
    scene
        .bipvl(&[&["train", "--data", "data"], &train[..]].concat())
        .fails_saying(&["new.toml: class `left_crumb`: the text of `shape` is empty"]);
}

#[test]
fn the_same_cases_give_the_same_file_whatever_the_threads() {
    let scene = Scene::new();
    describe(&scene, &["--threads", "1"]).succeeds();
    let first = scene.text("new.toml");
    std::fs::remove_file(scene.path("new.toml")).unwrap();
    describe(&scene, &["--threads", "3"]).succeeds();
    assert_eq!(scene.text("new.toml"), first);
}

#[test]
fn nothing_that_stood_there_is_replaced() {
    let scene = Scene::new();
    scene.write_text("new.toml", "mine");
    describe(&scene, &[]).fails_saying(&["new.toml: the file exists already"]);
    assert_eq!(scene.text("new.toml"), "mine");
}

#[test]
fn findings_are_printed_and_errors_fail() {
    let scene = Scene::new();
    let class = |name: &str, shape: &str, location: &str| {
        format!(
            "[[class]]\nname = \"{name}\"\ntitle = \"The {name} in an MRI image\"\n\n[class.concepts]\n\
             shape = \"{shape}\"\nlocation = \"{location}\"\n\n"
        )
    };
    let text = class("right twin", "An egg that stands on end.", "On the left side of the body.")
        + &class("left twin", "An egg.", "On the left side of the body.")
        + "[[class]]\nname = \"rod\"\ntitle = \"Rod\"\n\n[class.concepts]\nshape = \"A thin upright rod of 220 HU.\"\n";
    scene.write_text("bad.toml", &text);
    let outcome = scene.bipvl(&["describe", "lint", "bad.toml"]);
    let printed = outcome.stdout.clone();
    outcome.fails_saying(&["bad.toml: the descriptions have errors: 3"]);
    for part in [
        "error: right twin, location: puts it on the left side",
        "error: left twin, shape: 2 words",
        "error: rod, location: missing",
    ] {
        assert!(printed.contains(part), "{part:?} is not in {printed}");
    }
    // With the data set, the modality and the classes are compared too.
    let outcome = scene.bipvl(&["describe", "lint", "bad.toml", "--data", "data"]);
    assert!(outcome.stdout.contains("right twin, title: says MR, the data set is CT"), "{}", outcome.stdout);
    scene.describe(&["right twin", "left twin", "rod"]);
    scene.bipvl(&["describe", "lint", "descriptions.toml", "--data", "data"]).fails_saying(&[
        "descriptions.toml: class `ball` is not described, only: right twin, left twin, rod",
    ]);
}

#[test]
fn flags_that_do_not_belong_together_are_refused() {
    let scene = Scene::with_classes(&["rod"]);
    let describe = |flags: &[&str]| scene.bipvl(&[&["describe"], flags].concat());
    describe(&[]).refuses_saying(&["--data", "--out"]);
    describe(&["--out", "new.toml", "lint", "descriptions.toml"]).refuses_saying(&["lint", "--out"]);
    let to = ["--data", "data", "--out", "new.toml"];
    describe(&[&to[..], &["--source", "endpoint"]].concat()).refuses_saying(&["--endpoint"]);
    describe(&[&to[..], &["--endpoint", "http://localhost"]].concat()).refuses_saying(&["--model"]);
    describe(&[&to[..], &["--cases", "0"]].concat()).refuses_saying(&["--cases"]);
}

/// A server that sends the answers one after the other, and returns the requests.
fn server(answers: Vec<String>) -> (String, std::thread::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    let answer = move |answer: String| {
        let mut reader = BufReader::new(listener.accept().unwrap().0);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            reader.read_line(&mut head).unwrap();
        }
        let head = head.to_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        let mut question = vec![0; length.parse().unwrap()];
        reader.read_exact(&mut question).unwrap();
        let chunk = format!("{:x}\r\n{answer}\r\n0\r\n\r\n", answer.len());
        let reply = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}");
        reader.into_inner().write_all(reply.as_bytes()).unwrap();
        head + &String::from_utf8(question).unwrap()
    };
    (url, std::thread::spawn(move || answers.into_iter().map(answer).collect()))
}

fn chat_answer(content: &Value) -> String {
    json!({ "choices": [{ "message": { "content": content.to_string() } }] }).to_string()
}

#[test]
fn an_endpoint_gets_a_request_per_class() {
    let scene = Scene::new();
    let answer = |class: &str, place: &str| {
        chat_answer(&json!({
            "shape": format!("The {class} has a form of its own."),
            "location": format!("The {class} is found {place} the body."),
            "appearance": format!("Seen beside others, a {class} is dense."),
            "contour": format!("Around a {class} runs a sharp line."),
            "texture": format!("Within, any {class} looks rather even."),
        }))
    };
    let answers = [
        answer("right twin", "on the right side of"),
        answer("left twin", "on the left side of"),
        answer("rod", "in the middle of"),
        answer("ball", "in the middle of"),
    ];
    let (url, requests) = server(answers.into());
    let flags = [
        "--data",
        "data",
        "--out",
        "new.toml",
        "--endpoint",
        &url,
        "--model",
        "small",
        "--key-env",
        "MY_KEY",
    ];
    let mut command = scene.command();
    command.arg("describe").args(flags).env("MY_KEY", "very-secret");
    let outcome = Outcome::of(command.output().unwrap()).succeeds();
    let text = scene.text("new.toml");
    assert!(text.contains("# From the model small: right twin, left twin, rod, ball.\n"), "{text}");
    assert!(text.contains("contour = \"Around a rod runs a sharp line.\""), "{text}");
    assert!(!text.contains("very-secret") && !outcome.stderr.contains("very-secret"));
    let requests = requests.join().unwrap();
    assert_eq!(requests.len(), 4);
    assert!(requests.iter().all(|one| one.contains("authorization: bearer very-secret\r\n")), "{requests:?}");
}
