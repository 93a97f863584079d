//! Asks a language model for a description, by the chat protocol of `OpenAI`, and accepts only what fits.

use std::{thread::sleep, time::Duration};

use anyhow::{Context, Result, anyhow, bail};
use bipvl::{
    data::{Dataset, Modality},
    describe::{Severity, lint_class},
    text::{ClassName, Concept, Description, PAPER_CONCEPTS},
};
use serde_json::{Map, Value, json};

use super::http::{Reply, Url, post};

const PATH: &str = "/chat/completions";
/// Of one class, whatever went wrong before.
const ATTEMPTS: u32 = 3;
/// Before the second attempt; before each further one it is twice as long.
const PAUSE: Duration = Duration::from_secs(2);
/// A server that asks for more patience than this is not waited for.
const MAX_PAUSE: Duration = Duration::from_mins(1);
/// Of what a server said, in a message.
const MAX_EXCERPT: usize = 300;

/// A server and a model on it.
pub(super) struct Endpoint {
    url: Url,
    model: String,
    key: Option<String>,
    timeout: Duration,
    pause: Duration,
}

/// Why an attempt gave no description.
enum Failure {
    /// Another attempt is worth it, after so long.
    Busy(anyhow::Error, Option<Duration>),
    /// The model should hear what was wrong with its answer.
    Unfit(anyhow::Error),
    /// It will not get better.
    Final(anyhow::Error),
}

impl Endpoint {
    /// Takes the key from the environment variable `key_env`, if that is set.
    ///
    /// # Errors
    ///
    /// When `url` is not an address.
    pub(super) fn new(url: &str, model: &str, key_env: &str, timeout_s: u64) -> Result<Self> {
        let url: Url = url.parse().context("--endpoint")?;
        let key = std::env::var(key_env).ok().filter(|key| !key.is_empty());
        let (timeout, pause) = (Duration::from_secs(timeout_s), PAUSE);
        Ok(Self { url: url.below(PATH), model: model.to_owned(), key, timeout, pause })
    }

    /// The name of the model.
    pub(super) fn model(&self) -> &str {
        &self.model
    }

    /// A description of one class with the concepts of the paper.
    ///
    /// # Errors
    ///
    /// When the server cannot be reached, refuses, or gives no fitting answer in three attempts.
    pub(super) fn describe(&self, class: &str, dataset: &Dataset) -> Result<Description> {
        let mut messages = template(class, dataset);
        let mut pause = self.pause;
        let mut last = anyhow!("no attempt was made");
        for attempt in 1..=ATTEMPTS {
            let wait = match self.attempt(class, dataset.modality, &mut messages) {
                Ok(description) => return Ok(description),
                Err(Failure::Final(error)) => return Err(error.context(format!("class \"{class}\""))),
                Err(Failure::Unfit(error)) => {
                    last = error;
                    Duration::ZERO
                }
                Err(Failure::Busy(error, wait)) => {
                    last = error;
                    wait.unwrap_or(pause)
                }
            };
            if attempt < ATTEMPTS {
                tracing::warn!("{class}: attempt {attempt} of {ATTEMPTS}: {last:#}");
                sleep(wait);
                pause *= 2;
            }
        }
        Err(last.context(format!("class \"{class}\": no fitting answer in {ATTEMPTS} attempts")))
    }

    fn attempt(
        &self,
        class: &str,
        modality: Modality,
        messages: &mut Vec<Value>,
    ) -> Result<Description, Failure> {
        let body = json!({
            "model": self.model,
            "messages": messages,
            "response_format": { "type": "json_object" },
        });
        let reply = post(&self.url, self.key.as_deref(), &body.to_string(), self.timeout);
        let content = self.content(reply.map_err(|error| Failure::Busy(error, None))?)?;
        description(class, modality, &content).map_err(|error| {
            messages.push(json!({ "role": "assistant", "content": content }));
            messages.push(
                json!({ "role": "user", "content": format!("That does not fit: {error:#}. Answer again.") }),
            );
            Failure::Unfit(error.context(format!("{}: {}", self.url, self.model)))
        })
    }

    /// What the model wrote.
    fn content(&self, reply: Reply) -> Result<String, Failure> {
        let said: String = reply.body.chars().take(MAX_EXCERPT).collect();
        let unexpected =
            |expected: &str| anyhow!("{}: expected {expected}, found {}: {said}", self.url, reply.status);
        match reply.status {
            200 => {
                let answer: Value = serde_json::from_str(&reply.body).unwrap_or_default();
                let content = answer["choices"][0]["message"]["content"].as_str().map(str::to_owned);
                content.ok_or_else(|| Failure::Final(unexpected("choices[0].message.content in JSON")))
            }
            408 | 429 | 500..=599 => {
                let wait = reply.retry_after;
                let error = unexpected("status 200");
                let is_long = wait.is_some_and(|wait| wait > MAX_PAUSE);
                Err(if is_long { Failure::Final(error) } else { Failure::Busy(error, wait) })
            }
            401 | 403 => {
                let has =
                    if self.key.is_some() { "the key was sent" } else { "no key was sent, see --key-env" };
                Err(Failure::Final(unexpected("to be let in").context(has)))
            }
            _ => Err(Failure::Final(unexpected("status 200"))),
        }
    }
}

/// The question: the same form for every class, so that the answers have one form.
fn template(class: &str, dataset: &Dataset) -> Vec<Value> {
    let modality = match dataset.modality {
        Modality::Ct => {
            "CT; intensities are Hounsfield units, so never speak of signal or T1 and T2 weighting"
        }
        Modality::Mr => "MR; intensities are signal, so never speak of Hounsfield units or attenuation",
    };
    let name = ClassName::parse(class).to_phrase();
    let others: Vec<String> = dataset
        .label_schema
        .names()
        .iter()
        .filter(|other| *other != class)
        .map(|other| ClassName::parse(other).to_phrase())
        .collect();
    let system = "You are a radiologist who describes what is visible of a structure in a 3-D scan, for a program \
        that learns to find it. You answer with one JSON object and nothing else.";
    let question = format!(
        "Structure: {name}\nData set: {}\nModality: {modality}\nChannels: {}\nOther structures of the data set, from \
         which it must be told apart: {}\n\nAnswer with a JSON object of exactly these keys, each with one English \
         sentence of 8 to 25 words:\n\
         - \"shape\": its form and size\n\
         - \"location\": where it is in the body and beside what; left and right are the patient's\n\
         - \"appearance\": how bright it is, compared with its neighbors\n\
         - \"contour\": its border\n\
         - \"texture\": its inside\n\
         Say only what can be seen. Do not repeat a sentence, and do not name the file or the program.",
        dataset.name,
        dataset.channels.join(", "),
        if others.is_empty() { "none".to_owned() } else { others.join(", ") },
    );
    vec![json!({ "role": "system", "content": system }), json!({ "role": "user", "content": question })]
}

/// An answer as a description, if it has exactly the concepts and the linter has nothing against it.
fn description(class: &str, modality: Modality, content: &str) -> Result<Description> {
    // Some models put their JSON between marks, whatever they are told.
    let start = content.find('{').unwrap_or(0);
    let end = content.rfind('}').map_or(content.len(), |end| end + 1);
    let object: Map<String, Value> = serde_json::from_str(content.get(start..end).unwrap_or(content))
        .map_err(|_| {
            anyhow!(
                "expected one JSON object, found {:?}",
                content.chars().take(MAX_EXCERPT).collect::<String>()
            )
        })?;
    if let Some(extra) = object.keys().find(|key| !PAPER_CONCEPTS.contains(&key.as_str())) {
        bail!("expected the keys {} alone, found also \"{extra}\"", PAPER_CONCEPTS.join(", "));
    }
    let concept = |name: &&str| match object.get(*name) {
        Some(Value::String(sentence)) => {
            // Line breaks and double spaces would only be in the way of whoever reads the file.
            let sentence = sentence.split_whitespace().collect::<Vec<_>>().join(" ");
            Ok(Concept { name: (*name).to_owned(), sentence })
        }
        Some(other) => bail!("expected a sentence under \"{name}\", found {other}"),
        None => bail!("expected the key \"{name}\", found none"),
    };
    let concepts = PAPER_CONCEPTS.iter().map(concept).collect::<Result<_>>()?;
    let title = bipvl::describe::prompt_title(&ClassName::parse(class).to_phrase(), modality);
    let description = Description { class: class.to_owned(), title, concepts };
    let findings = lint_class(&description, Some(modality));
    match findings.iter().find(|finding| finding.severity == Severity::Error) {
        Some(finding) => bail!("{finding}"),
        None => Ok(description),
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead, BufReader, Read, Write},
        net::TcpListener,
        path::PathBuf,
        thread::JoinHandle,
    };

    use bipvl::data::LabelSchema;

    use super::*;

    /// A server on this machine that gives one answer after the other, and then what it was asked.
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
                let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).unwrap();
                let mut question = vec![0; length.parse().unwrap()];
                reader.read_exact(&mut question).unwrap();
                let answer = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n{body}", body.len());
                reader.into_inner().write_all(answer.as_bytes()).unwrap();
                (head, serde_json::from_slice(&question).unwrap())
            };
            answers.into_iter().map(serve_one).collect()
        };
        (url, std::thread::spawn(serve))
    }

    fn said(content: &str) -> (u16, String) {
        (200, json!({ "choices": [{ "message": { "role": "assistant", "content": content } }] }).to_string())
    }

    fn fitting() -> Value {
        json!({
            "texture": "Even throughout and without any visible pattern.",
            "shape": "A bean about as long as a hand.",
            "location": "Beside the spine on the right side, below the liver.",
            "appearance": "Brighter than muscle after contrast medium.",
            "contour": "Smooth and sharply bounded by fat.",
        })
    }

    fn dataset() -> Dataset {
        let classes = LabelSchema::exclusive([("kidney_right", 1), ("liver", 2)]).unwrap();
        Dataset {
            root: PathBuf::from("data"),
            layout: bipvl::data::Layout::Decathlon,
            name: "Organs".to_owned(),
            modality: Modality::Ct,
            channels: vec!["CT".to_owned()],
            label_schema: classes.clone(),
            source_schema: classes,
            cases: Vec::new(),
            test: Vec::new(),
            unlabeled: Vec::new(),
            skipped: Vec::new(),
        }
    }

    fn ask(url: &str, key: Option<&str>) -> Result<Description> {
        let mut endpoint = Endpoint::new(url, "small", "BIPVL_NO_SUCH_VARIABLE", 20)?;
        (endpoint.pause, endpoint.key) = (Duration::ZERO, key.map(str::to_owned));
        endpoint.describe("kidney_right", &dataset())
    }

    #[test]
    fn the_model_is_asked_once_and_its_sentences_are_sorted() {
        let (url, asked) = server(vec![said(&format!("```json\n{}\n```", fitting()))]);
        let description = ask(&url, Some("secret")).unwrap();
        assert_eq!(description.title, "Right kidney in a CT image");
        let names: Vec<&str> = description.concepts.iter().map(|concept| concept.name.as_str()).collect();
        assert_eq!(names, PAPER_CONCEPTS);
        assert_eq!(description.concepts[3].sentence, "Smooth and sharply bounded by fat.");

        let asked = asked.join().unwrap();
        let [(head, question)] = &asked[..] else { panic!("{asked:?}") };
        assert!(head.starts_with("POST /v1/chat/completions HTTP/1.1\r\n"), "{head}");
        assert!(head.contains("Authorization: Bearer secret\r\n"), "{head}");
        assert_eq!(question["model"], "small");
        let text = question["messages"][1]["content"].as_str().unwrap();
        for part in
            ["Structure: right kidney\n", "Modality: CT", "apart: liver\n"].iter().chain(&PAPER_CONCEPTS)
        {
            assert!(text.contains(part), "{part:?} is not in {text}");
        }
    }

    #[test]
    fn without_a_key_none_is_sent() {
        let (url, asked) = server(vec![said(&fitting().to_string())]);
        ask(&url, None).unwrap();
        assert!(!asked.join().unwrap()[0].0.contains("Authorization"));
    }

    #[test]
    fn an_answer_that_does_not_fit_is_sent_back_with_the_reason() {
        let mut wrong = fitting();
        wrong["location"] = json!("Beside the spine on the left side.");
        let mut short = fitting();
        short.as_object_mut().unwrap().remove("contour");
        let answers = [wrong.to_string(), short.to_string(), fitting().to_string()];
        let (url, asked) = server(answers.iter().map(|answer| said(answer)).collect());
        ask(&url, None).unwrap();
        let asked = asked.join().unwrap();
        let last = |index: usize| {
            asked[index].1["messages"].as_array().unwrap().last().unwrap()["content"].to_string()
        };
        assert!(last(1).contains("location") && last(1).contains("left"), "{}", last(1));
        assert!(last(2).contains("contour"), "{}", last(2));
    }

    #[test]
    fn a_busy_server_is_asked_three_times() {
        let busy = || (503, "overloaded".to_owned());
        let (url, asked) = server(vec![busy(), (429, String::new()), said(&fitting().to_string())]);
        ask(&url, None).unwrap();
        assert_eq!(asked.join().unwrap().len(), 3);
        let (url, _) = server(vec![busy(), busy(), busy()]);
        let message = format!("{:#}", ask(&url, None).unwrap_err());
        for part in ["kidney_right", "3 attempts", "/v1/chat/completions", "503", "overloaded"] {
            assert!(message.contains(part), "{part:?} is not in {message}");
        }
    }

    #[test]
    fn a_refusal_is_final_and_never_tells_the_key() {
        let (url, asked) = server(vec![(401, "who are you".to_owned())]);
        let message = format!("{:#}", ask(&url, Some("secret")).unwrap_err());
        assert!(message.contains("401") && message.contains("who are you"), "{message}");
        assert!(!message.contains("secret"), "{message}");
        assert_eq!(asked.join().unwrap().len(), 1);
        let (url, _) = server(vec![(404, "no such model".to_owned())]);
        assert!(format!("{:#}", ask(&url, None).unwrap_err()).contains("no such model"));
    }

    #[test]
    fn a_server_that_is_not_there_is_named() {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let message = format!("{:#}", ask(&format!("http://{address}"), None).unwrap_err());
        assert!(message.contains(&address.to_string()) && message.contains("refused"), "{message}");
    }

    #[test]
    fn a_server_that_says_nothing_is_given_up() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url: Url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let message = format!("{:#}", post(&url, None, "{}", Duration::from_millis(50)).unwrap_err());
        assert!(message.contains("within 0.05 s"), "{message}");
    }
}
