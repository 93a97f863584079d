//! A file of rules, read and checked before the server starts.

use std::{collections::HashSet, fs, path::Path};

use serde::Deserialize;

use super::{Conditions, Patterns, Rule, Rules};
use crate::{Error, Result, models::Models, queue::JobRequest, results::ResultFormat};

/// Letters of a name at most.
const MAX_NAME: usize = 64;
/// Days that can be looked at: a century.
const MAX_DAYS: u32 = 36_500;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default = "two")]
    days: u32,
    #[serde(default)]
    rule: Vec<toml::Table>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleTable {
    name: String,
    model: String,
    prompts: Option<Vec<String>>,
    like: Option<String>,
    #[serde(default)]
    exclusive: bool,
    #[serde(default)]
    priority: i64,
    modality: Texts,
    body_part: Option<Texts>,
    study_description: Option<Texts>,
    series_description: Option<Texts>,
    #[serde(default = "one")]
    min_slices: u64,
    #[serde(default = "Output::all")]
    send: Vec<Output>,
    #[serde(default = "yes")]
    keep_scan: bool,
}

/// One text or several.
#[derive(Deserialize)]
#[serde(untagged, expecting = "a text or a list of texts is expected")]
enum Texts {
    One(String),
    Several(Vec<String>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Output {
    Seg,
    Sr,
}

impl Output {
    fn all() -> Vec<Self> {
        vec![Self::Seg, Self::Sr]
    }

    fn format(self) -> ResultFormat {
        match self {
            Self::Seg => ResultFormat::Seg,
            Self::Sr => ResultFormat::Report,
        }
    }
}

fn one() -> u64 {
    1
}

fn two() -> u32 {
    2
}

fn yes() -> bool {
    true
}

impl Rules {
    /// Reads a file of rules for the models of a server.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or a rule asks for what no model here can do.
    pub(crate) fn read(path: &Path, models: &Models) -> Result<Self> {
        let text = fs::read_to_string(path).map_err(|reason| bipvl_io::FileError::new(path, reason))?;
        parse(&text, models).map_err(|reason| Error::Rules { path: path.to_owned(), reason })
    }
}

fn parse(text: &str, models: &Models) -> std::result::Result<Rules, String> {
    let file: File = toml::from_str(text).map_err(|error| {
        let line = error.span().map_or(1, |span| text[..span.start].matches('\n').count() + 1);
        format!("line {line}: {}", one_line(error.message()))
    })?;
    if !(1..=MAX_DAYS).contains(&file.days) {
        return Err(format!("days = {}: from 1 to {MAX_DAYS} is expected", file.days));
    }
    if file.rule.is_empty() {
        return Err("no rule; each begins with a line [[rule]]".to_owned());
    }
    let mut names = HashSet::new();
    let mut rules = Vec::new();
    for (table, number) in file.rule.into_iter().zip(1..) {
        let name = table.get("name").and_then(toml::Value::as_str).map(str::to_owned);
        let called = name.map_or_else(|| format!("rule {number}"), |name| format!("rule `{name}`"));
        let rule = rule(table, models).map_err(|reason| format!("{called}: {reason}"))?;
        if !names.insert(rule.name.clone()) {
            return Err(format!("{called}: another rule has this name; results are remembered by it"));
        }
        rules.push(rule);
    }
    Ok(Rules { days: file.days, rules })
}

fn rule(table: toml::Table, models: &Models) -> std::result::Result<Rule, String> {
    let table: RuleTable = table.try_into().map_err(|error: toml::de::Error| one_line(error.message()))?;
    if table.name.trim().is_empty() || table.name.chars().count() > MAX_NAME {
        return Err(format!("a name of 1 to {MAX_NAME} letters is expected"));
    }
    let named = models.get(&table.model);
    let named = named.ok_or_else(|| format!("no model `{}`; there are {}", table.model, models.names()))?;
    let request = JobRequest {
        model: table.model,
        prompts: table.prompts,
        like: table.like,
        exclusive: table.exclusive,
        priority: table.priority,
        ..JobRequest::default()
    };
    named.model.check(&request.to_segmentation(&named.model)).map_err(|error| error.to_string())?;
    let mut outputs: Vec<ResultFormat> = table.send.iter().map(|output| output.format()).collect();
    outputs.dedup();
    let conditions = Conditions {
        modality: patterns("modality", table.modality)?,
        body_part: table.body_part.map(|texts| patterns("body_part", texts)).transpose()?,
        study_description: table
            .study_description
            .map(|texts| patterns("study_description", texts))
            .transpose()?,
        series_description: table
            .series_description
            .map(|texts| patterns("series_description", texts))
            .transpose()?,
        min_slices: table.min_slices,
    };
    Ok(Rule { name: table.name, request, conditions, outputs, keep_scan: table.keep_scan })
}

fn patterns(key: &str, texts: Texts) -> std::result::Result<Patterns, String> {
    let texts = match texts {
        Texts::One(text) => vec![text],
        Texts::Several(texts) => texts,
    };
    if texts.is_empty() || texts.iter().any(|text| text.trim().is_empty()) {
        return Err(format!("{key}: a text with a letter is expected; `*` stands for any text"));
    }
    Ok(Patterns::new(&texts))
}

fn one_line(message: &str) -> String {
    message.trim().replace('\n', "; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        parse(text, &Models::default()).unwrap_err()
    }

    #[test]
    fn errors_name_the_rule_and_what_would_be_right() {
        let with = |line: &str| format!("[[rule]]\nname = \"a\"\nmodel = \"m\"\nmodality = \"CT\"\n{line}\n");
        for (text, said) in [
            (String::new(), "no rule; each begins with a line [[rule]]"),
            ("days = 0\n[[rule]]".to_owned(), "days = 0: from 1 to 36500"),
            ("dais = 1".to_owned(), "line 1: unknown field `dais`, expected `days` or `rule`"),
            ("[[rule]]\nname = \n".to_owned(), "line 2: "),
            ("[[rule]]\nmodel = \"m\"".to_owned(), "rule 1: missing field `name`"),
            ("[[rule]]\nname = \"a\"\nmodel = \"m\"".to_owned(), "rule `a`: missing field `modality`"),
            (with("body_prat = \"x\""), "rule `a`: unknown field `body_prat`, expected one of `name`"),
            (with("send = [\"rtstruct\"]"), "rule `a`: unknown variant `rtstruct`, expected `seg` or `sr`"),
            (with("min_slices = \"many\""), "rule `a`: invalid type: string \"many\", expected u64"),
            (with("body_part = 3"), "rule `a`: a text or a list of texts is expected"),
            (with(""), "rule `a`: no model `m`; there are none"),
        ] {
            let reason = refusal(&text);
            assert!(reason.starts_with(said), "{reason}");
        }
    }

    #[test]
    fn patterns_have_a_text() {
        assert!(patterns("modality", Texts::Several(Vec::new())).is_err());
        assert!(patterns("modality", Texts::One(" ".to_owned())).is_err());
        assert_eq!(patterns("modality", Texts::One("CT".to_owned())), Ok(Patterns::new(&["CT".to_owned()])));
    }
}
