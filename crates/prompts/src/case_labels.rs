//! `labelled.json` beside `dataset.json`: what was contoured in each case.
//!
//! An object from case to a list of classes, `{ "case_1": ["liver", "spleen"] }`, or to a table that also declares
//! classes absent, `{ "case_2": { "labelled": ["liver"], "absent": ["spleen"] } }`. All other classes are unknown in the
//! case.

use std::{collections::HashMap, fs};

use bipvl_data::Dataset;
use serde::Deserialize;

use crate::{Error, Result};

/// The name of the file.
pub const LABELED_FILE: &str = "labelled.json";

/// What a case says of the classes of its set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "Entry")]
pub struct CaseLabels {
    /// Classes that were contoured; one without a voxel is absent.
    pub labeled: Vec<String>,
    /// Classes that the case does not show.
    pub absent: Vec<String>,
}

/// The two forms of an entry.
#[derive(Deserialize)]
#[serde(untagged, expecting = "a list of classes, or a table with `labelled` and `absent`")]
enum Entry {
    List(Vec<String>),
    Table(EntryTable),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EntryTable {
    labelled: Vec<String>,
    #[serde(default)]
    absent: Vec<String>,
}

impl From<Entry> for CaseLabels {
    fn from(entry: Entry) -> Self {
        match entry {
            Entry::List(labeled) => Self { labeled, absent: Vec::new() },
            Entry::Table(EntryTable { labelled, absent }) => Self { labeled: labelled, absent },
        }
    }
}

/// Reads the file of a data set; `None` where there is none and all cases have all classes.
///
/// # Errors
///
/// When it cannot be read, a case is missing, or an entry names no class of the data set, or one as both.
pub fn read_case_labels(dataset: &Dataset) -> Result<Option<HashMap<String, CaseLabels>>> {
    let path = dataset.root.join(LABELED_FILE);
    if !path.is_file() {
        return Ok(None);
    }
    let text = fs::read_to_string(&path).map_err(|reason| Error::io(&path, reason))?;
    let invalid = |reason: String| Error::Labeled { path: path.clone(), reason };
    let cases: HashMap<String, CaseLabels> =
        serde_json::from_str(&text).map_err(|error| invalid(error.to_string()))?;
    let known = dataset.label_schema.names();
    for (case, CaseLabels { labeled, absent }) in &cases {
        if let Some(class) = labeled.iter().chain(absent).find(|class| !known.contains(class)) {
            return Err(invalid(format!("case `{case}` lists `{class}`, which is no class of the data set")));
        }
        if let Some(class) = absent.iter().find(|class| labeled.contains(class)) {
            return Err(invalid(format!("case `{case}` lists `{class}` as both labelled and absent")));
        }
    }
    if let Some(case) = dataset.cases.iter().find(|case| !cases.contains_key(&case.id)) {
        return Err(invalid(format!(
            "case `{}` is missing; list the classes that were contoured in it",
            case.id
        )));
    }
    let is_known = |id: &&String| dataset.cases.iter().chain(&dataset.test).any(|case| case.id == **id);
    if let Some(id) = cases.keys().find(|id| !is_known(id)) {
        return Err(invalid(format!("case `{id}` is no case of the data set")));
    }
    Ok(Some(cases))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_a_list_or_a_table() {
        let parse = serde_json::from_str::<CaseLabels>;
        let classes = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let list = CaseLabels { labeled: classes(&["liver"]), absent: Vec::new() };
        assert_eq!(parse(r#"["liver"]"#).unwrap(), list);
        let table = CaseLabels { absent: classes(&["spleen"]), ..list };
        assert_eq!(parse(r#"{ "labelled": ["liver"], "absent": ["spleen"] }"#).unwrap(), table);
        let error = parse(r#"{ "labeled": ["liver"] }"#).unwrap_err().to_string();
        assert!(error.contains("a list of classes, or a table with `labelled` and `absent`"), "{error}");
    }
}
