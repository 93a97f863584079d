//! The dialog with the model: the request for a class, and the checks of its answer.

use bipvl_data::Modality;
use bipvl_text::{ClassName, Concept, Description, PAPER_CONCEPTS};
use serde_json::{Map, Value, json};

use super::{DatasetContext, MAX_EXCERPT};
use crate::{Severity, lint_class, prompt_title};

/// The messages that request a description, equal for all classes but for their names.
pub(super) fn messages(class: &str, dataset: &DatasetContext) -> Vec<Value> {
    let modality = match dataset.modality {
        Modality::Ct => {
            "CT; intensities are Hounsfield units, so never speak of signal or T1 and T2 weighting"
        }
        Modality::Mr => "MR; intensities are signal, so never speak of Hounsfield units or attenuation",
    };
    let name = ClassName::parse(class).to_phrase();
    let others: Vec<String> = dataset
        .classes
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

/// The description in an answer, or why it is none: not a JSON object of exactly the concepts, or a linter error.
pub(super) fn parse_answer(class: &str, modality: Modality, content: &str) -> Result<Description, String> {
    // Some models wrap their JSON in a Markdown code block.
    let start = content.find('{').unwrap_or(0);
    let end = content.rfind('}').map_or(content.len(), |end| end + 1);
    let object: Map<String, Value> = serde_json::from_str(content.get(start..end).unwrap_or(content))
        .map_err(|_| {
            let excerpt: String = content.chars().take(MAX_EXCERPT).collect();
            format!("not one JSON object: {excerpt:?}")
        })?;
    if let Some(extra) = object.keys().find(|key| !PAPER_CONCEPTS.contains(&key.as_str())) {
        return Err(format!("unknown key \"{extra}\", the keys are {}", PAPER_CONCEPTS.join(", ")));
    }
    let concept = |name: &&str| match object.get(*name) {
        Some(Value::String(sentence)) => {
            let sentence = sentence.split_whitespace().collect::<Vec<_>>().join(" ");
            Ok(Concept { name: (*name).to_owned(), sentence })
        }
        Some(other) => Err(format!("\"{name}\" is not a sentence but {other}")),
        None => Err(format!("the key \"{name}\" is missing")),
    };
    let concepts = PAPER_CONCEPTS.iter().map(concept).collect::<Result<_, _>>()?;
    let title = prompt_title(&ClassName::parse(class).to_phrase(), modality);
    let description = Description { class: class.to_owned(), title, concepts };
    let findings = lint_class(&description, Some(modality));
    match findings.iter().find(|finding| finding.severity == Severity::Error) {
        Some(finding) => Err(finding.to_string()),
        None => Ok(description),
    }
}
