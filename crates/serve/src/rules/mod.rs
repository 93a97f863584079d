//! Rules: which new studies of the archive are segmented by themselves, and what is sent back.

mod file;
mod step;
mod watch;

use wildmatch::WildMatch;

pub(crate) use watch::watch;

use crate::{
    archive::{ArchiveSeries, ArchiveStudy},
    queue::JobRequest,
    results::ResultFormat,
};

/// The rules of a file.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    /// Studies of the last so many days are looked at.
    days: u32,
    rules: Vec<Rule>,
}

/// One rule.
#[derive(Clone, Debug)]
struct Rule {
    name: String,
    /// What is asked for; its scan is left open.
    request: JobRequest,
    conditions: Conditions,
    /// What is sent to the archive.
    outputs: Vec<ResultFormat>,
    /// Whether the scan stays in the library.
    keep_scan: bool,
}

/// Which series a rule is for: all that are given must hold.
#[derive(Clone, Debug)]
struct Conditions {
    modality: Patterns,
    body_part: Option<Patterns>,
    study_description: Option<Patterns>,
    series_description: Option<Patterns>,
    min_slices: u64,
}

/// Texts with the wildcards `*` and `?`, of which one must match. Case does not matter.
#[derive(Clone, Debug, PartialEq)]
struct Patterns(Vec<WildMatch>);

impl Rules {
    fn find(&self, name: &str) -> Option<&Rule> {
        self.rules.iter().find(|rule| rule.name == name)
    }
}

impl Conditions {
    fn hold(&self, study: &ArchiveStudy, series: &ArchiveSeries) -> bool {
        let matches = |patterns: &Option<Patterns>, text: &Option<String>| {
            patterns.as_ref().is_none_or(|patterns| patterns.matches(text.as_deref()))
        };
        // One instance may have all slices as its frames, and an archive need not count: then the scan is looked at.
        let has_slices = series.instances.is_none_or(|count| count <= 1 || count >= self.min_slices);
        has_slices
            && self.modality.matches(series.modality.as_deref())
            && matches(&self.body_part, &series.body_part)
            && matches(&self.study_description, &study.description)
            && matches(&self.series_description, &series.description)
    }
}

impl Patterns {
    fn new(texts: &[String]) -> Self {
        Self(texts.iter().map(|text| WildMatch::new_case_insensitive(text)).collect())
    }

    /// What an archive does not say is an empty text.
    fn matches(&self, text: Option<&str>) -> bool {
        self.0.iter().any(|pattern| pattern.matches(text.unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn study(description: &str) -> ArchiveStudy {
        ArchiveStudy {
            uid: "1.2".to_owned(),
            date: None,
            description: Some(description.to_owned()),
            patient_name: None,
            patient_id: None,
            modalities: Vec::new(),
            series: None,
            instances: None,
        }
    }

    fn series(modality: &str, instances: Option<u64>) -> ArchiveSeries {
        ArchiveSeries {
            uid: "1.3".to_owned(),
            study: "1.2".to_owned(),
            modality: Some(modality.to_owned()),
            description: None,
            body_part: None,
            instances,
            in_library: false,
        }
    }

    #[test]
    fn all_conditions_must_hold() {
        let patterns =
            |texts: &[&str]| Patterns::new(&texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>());
        let conditions = Conditions {
            modality: patterns(&["CT", "MR"]),
            body_part: None,
            study_description: Some(patterns(&["*abdom*", "liver ?"])),
            series_description: None,
            min_slices: 40,
        };
        let abdomen = study("CT ABDOMEN w/ contrast");
        assert!(conditions.hold(&abdomen, &series("ct", Some(40))));
        assert!(conditions.hold(&study("Liver 1"), &series("MR", None)));
        // Perhaps a multi-frame object.
        assert!(conditions.hold(&abdomen, &series("CT", Some(1))));
        assert!(!conditions.hold(&abdomen, &series("CT", Some(39))));
        assert!(!conditions.hold(&abdomen, &series("SEG", Some(40))));
        assert!(!conditions.hold(&study("liver 12"), &series("CT", Some(40))));
        let of_body_part = Conditions { body_part: Some(patterns(&["ABDOMEN"])), ..conditions };
        assert!(!of_body_part.hold(&abdomen, &series("CT", Some(40))));
    }
}
