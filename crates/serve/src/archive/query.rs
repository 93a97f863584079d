//! QIDO-RS: what the archive has (DICOM PS3.18, section 10.6).

use std::collections::HashSet;

use chrono::NaiveDate;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{Archive, is_uid, with_credentials};
use crate::{Error, Result};

/// Studies of a page, where all are wanted, and pages at most.
const PAGE: u32 = 100;
const MAX_PAGES: u32 = 1000;
/// Bytes of an answer at most.
const MAX_ANSWER: u64 = 64 << 20;

mod tag {
    pub(super) const STUDY_DATE: &str = "00080020";
    pub(super) const MODALITIES_IN_STUDY: &str = "00080061";
    pub(super) const MODALITY: &str = "00080060";
    pub(super) const STUDY_DESCRIPTION: &str = "00081030";
    pub(super) const SERIES_DESCRIPTION: &str = "0008103E";
    pub(super) const PATIENT_NAME: &str = "00100010";
    pub(super) const PATIENT_ID: &str = "00100020";
    pub(super) const BODY_PART: &str = "00180015";
    pub(super) const STUDY_UID: &str = "0020000D";
    pub(super) const SERIES_UID: &str = "0020000E";
    pub(super) const SERIES_OF_STUDY: &str = "00201206";
    pub(super) const INSTANCES_OF_STUDY: &str = "00201208";
    pub(super) const INSTANCES_OF_SERIES: &str = "00201209";
}

/// A study of the archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct ArchiveStudy {
    /// `StudyInstanceUID`.
    pub(crate) uid: String,
    /// `YYYY-MM-DD`; null if the archive does not say, as all that follows.
    pub(crate) date: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) patient_name: Option<String>,
    pub(crate) patient_id: Option<String>,
    /// As in DICOM, such as `CT`.
    pub(crate) modalities: Vec<String>,
    /// Number of series.
    pub(crate) series: Option<u64>,
    /// Number of instances of all series.
    pub(crate) instances: Option<u64>,
}

/// A series of the archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct ArchiveSeries {
    /// `SeriesInstanceUID`.
    pub(crate) uid: String,
    /// `StudyInstanceUID`.
    pub(crate) study: String,
    pub(crate) modality: Option<String>,
    pub(crate) description: Option<String>,
    /// `BodyPartExamined`.
    pub(crate) body_part: Option<String>,
    /// Number of instances, which are slices unless they have several frames.
    pub(crate) instances: Option<u64>,
    /// Whether it was fetched.
    pub(crate) in_library: bool,
}

/// Which studies are wanted.
#[derive(Clone, Debug, Default)]
pub(crate) struct StudyFilter {
    /// Part of the patient's name, patient id or description, an accession number, or a `StudyInstanceUID`.
    pub(crate) text: Option<String>,
    pub(crate) modality: Option<String>,
    pub(crate) from: Option<NaiveDate>,
    pub(crate) until: Option<NaiveDate>,
    pub(crate) limit: u32,
    pub(crate) offset: u32,
}

impl StudyFilter {
    fn parameters(&self) -> Vec<(&'static str, String)> {
        let day =
            |date: Option<NaiveDate>| date.map_or_else(String::new, |date| date.format("%Y%m%d").to_string());
        let mut parameters = vec![
            ("includefield", tag::STUDY_DESCRIPTION.to_owned()),
            ("limit", self.limit.to_string()),
            ("offset", self.offset.to_string()),
        ];
        if self.from.is_some() || self.until.is_some() {
            parameters.push(("StudyDate", format!("{}-{}", day(self.from), day(self.until))));
        }
        if let Some(modality) = &self.modality {
            parameters.push(("ModalitiesInStudy", modality.clone()));
        }
        parameters
    }

    /// The fields that the text may be in: all conditions of a query must hold, so each field is a query.
    fn alternatives(&self) -> Vec<Option<(&'static str, String)>> {
        match self.text.as_deref().map(str::trim).filter(|text| !text.is_empty()) {
            None => vec![None],
            Some(text) if is_uid(text) && text.contains('.') => {
                vec![Some(("StudyInstanceUID", text.to_owned()))]
            }
            Some(text) => {
                let part = format!("*{text}*");
                let fields = ["PatientName", "PatientID", "StudyDescription"];
                let parts = fields.into_iter().map(|field| Some((field, part.clone())));
                parts.chain([Some(("AccessionNumber", text.to_owned()))]).collect()
            }
        }
    }
}

impl Archive {
    /// Studies, the newest first.
    pub(crate) fn studies(&self, filter: &StudyFilter) -> Result<Vec<ArchiveStudy>> {
        let mut studies: Vec<ArchiveStudy> = Vec::new();
        for alternative in filter.alternatives() {
            let parameters: Vec<_> = filter.parameters().into_iter().chain(alternative).collect();
            studies.extend(self.query("studies", &parameters)?.iter().filter_map(Attributes::study));
        }
        let mut seen = HashSet::new();
        studies.retain(|study| seen.insert(study.uid.clone()));
        studies.sort_by(|a, b| b.date.cmp(&a.date).then_with(|| a.uid.cmp(&b.uid)));
        studies.truncate(filter.limit as usize);
        Ok(studies)
    }

    /// All studies since a day.
    pub(crate) fn studies_since(&self, from: NaiveDate) -> Result<Vec<ArchiveStudy>> {
        let mut studies = Vec::new();
        let mut seen = HashSet::new();
        for page in 0..MAX_PAGES {
            let filter =
                StudyFilter { from: Some(from), limit: PAGE, offset: page * PAGE, ..StudyFilter::default() };
            let found = self.query("studies", &filter.parameters())?;
            let before = studies.len();
            let new = found.iter().filter_map(Attributes::study);
            studies.extend(new.filter(|study| seen.insert(study.uid.clone())));
            // An archive may know no pages, and answer with all studies or with the same ones.
            if found.len() != PAGE as usize || studies.len() == before {
                break;
            }
        }
        Ok(studies)
    }

    /// The series of a study; none if there is no such study.
    pub(crate) fn series(&self, study: &str) -> Result<Vec<ArchiveSeries>> {
        let fields = [tag::SERIES_DESCRIPTION, tag::BODY_PART, tag::INSTANCES_OF_SERIES];
        let parameters = fields.map(|field| ("includefield", field.to_owned()));
        let found = self.query(&format!("studies/{study}/series"), &parameters)?;
        Ok(found.iter().filter_map(|series| series.series(study)).collect())
    }

    /// The study of a series.
    pub(super) fn study_of(&self, series: &str) -> Result<String> {
        let parameters =
            [("SeriesInstanceUID", series.to_owned()), ("includefield", tag::STUDY_UID.to_owned())];
        let found = self.query("series", &parameters)?;
        // An archive that does not know the key answers with all that it has.
        let of_series = found.iter().find(|found| found.text(tag::SERIES_UID).as_deref() == Some(series));
        let study = of_series.and_then(|found| found.text(tag::STUDY_UID)).filter(|study| is_uid(study));
        study.ok_or_else(|| Error::NotInArchive(format!("the archive has no series `{series}`")))
    }

    fn query(&self, path: &str, parameters: &[(&str, String)]) -> Result<Vec<Attributes>> {
        let request = self.agent.get(self.url(path)).header("accept", "application/dicom+json");
        let request = parameters.iter().fold(request, |request, (key, value)| request.query(key, value));
        let answer = with_credentials(request).call();
        let mut answer = answer.map_err(|error| self.refused(error))?;
        match answer.status().as_u16() {
            200 => {
                let bytes = answer.body_mut().with_config().limit(MAX_ANSWER).read_to_vec();
                let bytes = bytes.map_err(|error| self.refused(error))?;
                let list: Vec<Map<String, Value>> = serde_json::from_slice(&bytes)
                    .map_err(|error| self.refused(format!("no answer to a QIDO-RS request: {error}")))?;
                Ok(list.into_iter().map(Attributes).collect())
            }
            // Nothing was found, or nothing is there to search in.
            204 | 404 => Ok(Vec::new()),
            status => Err(self.refused(format!("status {status} to a QIDO-RS request; 200 is expected"))),
        }
    }
}

/// An object in DICOM JSON (PS3.18, annex F).
struct Attributes(Map<String, Value>);

impl Attributes {
    fn values(&self, tag: &str) -> &[Value] {
        self.0
            .get(tag)
            .and_then(|attribute| attribute.get("Value"))
            .and_then(Value::as_array)
            .map_or(&[], Vec::as_slice)
    }

    fn texts(&self, tag: &str) -> Vec<String> {
        let text = |value: &Value| {
            // Names of persons come in several scripts.
            let text = value.as_str().or_else(|| value.get("Alphabetic")?.as_str())?.trim();
            (!text.is_empty()).then(|| text.to_owned())
        };
        self.values(tag).iter().filter_map(text).collect()
    }

    fn text(&self, tag: &str) -> Option<String> {
        self.texts(tag).into_iter().next()
    }

    /// Whole numbers come as numbers or as texts.
    fn number(&self, tag: &str) -> Option<u64> {
        let value = self.values(tag).first()?;
        value.as_u64().or_else(|| value.as_str()?.trim().parse().ok())
    }

    fn study(&self) -> Option<ArchiveStudy> {
        Some(ArchiveStudy {
            uid: self.text(tag::STUDY_UID).filter(|uid| is_uid(uid))?,
            date: self.text(tag::STUDY_DATE).and_then(|date| {
                let date = NaiveDate::parse_from_str(&date, "%Y%m%d").ok()?;
                Some(date.to_string())
            }),
            description: self.text(tag::STUDY_DESCRIPTION),
            patient_name: self.text(tag::PATIENT_NAME),
            patient_id: self.text(tag::PATIENT_ID),
            modalities: self.texts(tag::MODALITIES_IN_STUDY),
            series: self.number(tag::SERIES_OF_STUDY),
            instances: self.number(tag::INSTANCES_OF_STUDY),
        })
    }

    fn series(&self, study: &str) -> Option<ArchiveSeries> {
        Some(ArchiveSeries {
            uid: self.text(tag::SERIES_UID).filter(|uid| is_uid(uid))?,
            study: study.to_owned(),
            modality: self.text(tag::MODALITY),
            description: self.text(tag::SERIES_DESCRIPTION),
            body_part: self.text(tag::BODY_PART),
            instances: self.number(tag::INSTANCES_OF_SERIES),
            in_library: false,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn attributes(value: Value) -> Attributes {
        Attributes(value.as_object().unwrap().clone())
    }

    #[test]
    fn attributes_are_read_in_every_form_that_archives_send() {
        let study = attributes(json!({
            "0020000D": { "vr": "UI", "Value": ["1.2.3"] },
            "00080020": { "vr": "DA", "Value": ["20260131"] },
            "00100010": { "vr": "PN", "Value": [{ "Alphabetic": "Doe^Jane" }] },
            "00080061": { "vr": "CS", "Value": ["CT", "SEG"] },
            "00201206": { "vr": "IS", "Value": ["2"] },
            "00201208": { "vr": "IS", "Value": [41] },
            "00080050": { "vr": "SH" },
        }));
        let study = study.study().unwrap();
        assert_eq!(
            (study.date.as_deref(), study.patient_name.as_deref()),
            (Some("2026-01-31"), Some("Doe^Jane"))
        );
        assert_eq!((study.series, study.instances, study.description), (Some(2), Some(41), None));
        assert_eq!(study.modalities, ["CT", "SEG"]);
    }

    #[test]
    fn what_is_no_uid_is_left_out() {
        let series = attributes(json!({ "0020000E": { "vr": "UI", "Value": ["../../1"] } }));
        assert!(series.series("1.2").is_none());
    }

    #[test]
    fn a_text_is_looked_for_in_each_field_of_its_own() {
        let filter = |text: &str| StudyFilter { text: Some(text.to_owned()), ..StudyFilter::default() };
        assert_eq!(filter("1.2.3").alternatives(), [Some(("StudyInstanceUID", "1.2.3".to_owned()))]);
        assert_eq!(filter("doe").alternatives().len(), 4);
        assert_eq!(filter(" ").alternatives(), [None]);
        let from = NaiveDate::from_ymd_opt(2026, 1, 2);
        let open = StudyFilter { from, ..StudyFilter::default() };
        assert!(open.parameters().contains(&("StudyDate", "20260102-".to_owned())));
    }
}
