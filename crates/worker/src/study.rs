//! The message: what is to be segmented, how, and where the result belongs.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::names::is_model_name;

/// Hexadecimal digits of a hash that name a job: enough for no two to meet.
const ID_DIGITS: usize = 32;

/// A reference to a scan, and what is wanted of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Study {
    /// What files of its result are named after.
    pub name: String,
    /// Paths or URLs: a file per channel, or one folder, file or archive of a DICOM study.
    pub scan: Vec<String>,
    /// The model, by the name that workers have for it.
    pub model: String,
    /// Hash of the weights that it must have; `None` for those that the worker has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<String>,
    /// Folder or URL for the result.
    pub out: String,
    /// Formats of the result, as `bipvl predict` names them; none for that of the scan.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub formats: Vec<String>,
    /// What a prompted model is asked for; `None` for all that it knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompts: Option<Vec<String>>,
    /// Some of the classes of a model with fixed classes; `None` for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<Vec<String>>,
    /// The data set of a prompted model's training that the scan resembles.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub like: Option<String>,
    /// Whether each voxel belongs to one prompt at most.
    #[serde(default, skip_serializing_if = "is_false")]
    pub exclusive: bool,
    /// The series of a DICOM study.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub series: Option<String>,
    /// Whether volumes and intensities are written, too.
    #[serde(default, skip_serializing_if = "is_false")]
    pub statistics: bool,
}

/// A study that a worker was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// [`Study::id`].
    pub id: String,
    /// What is to be done.
    pub study: Study,
    /// How often it was given to a worker, from 1.
    pub delivery: u64,
    /// The worker that has it.
    pub worker: String,
}

impl Study {
    /// Names the job: a hash of scan, model and all that changes the result. The same study always has the same.
    pub fn id(&self) -> String {
        let mut id = format!("{:x}", Sha256::digest(self.to_json()));
        id.truncate(ID_DIGITS);
        id
    }

    /// The message.
    pub(crate) fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("texts become JSON")
    }

    /// Reads a message.
    ///
    /// # Errors
    ///
    /// Says why it is none.
    pub(crate) fn parse(message: &[u8]) -> Result<Self, String> {
        let study: Self = serde_json::from_slice(message).map_err(|error| format!("not a study: {error}"))?;
        // It becomes the name of a file.
        let name = &study.name;
        if name.is_empty() || name.starts_with('.') || name.contains(['/', '\\', '\0']) {
            return Err(format!("`{name}` is no name of a result: a file name without folders is needed"));
        }
        if study.scan.is_empty() {
            return Err(format!("study `{name}` has no scan"));
        }
        if !is_model_name(&study.model) {
            return Err(format!("`{}` is no name of a model", study.model));
        }
        Ok(study)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn study() -> Study {
        Study {
            name: "case_1".to_owned(),
            scan: vec!["scans/case_1.nii.gz".to_owned()],
            model: "abdomen".to_owned(),
            out: "masks".to_owned(),
            ..Study::default()
        }
    }

    #[test]
    fn a_study_is_a_short_json_object() {
        let text = r#"{"name":"case_1","scan":["scans/case_1.nii.gz"],"model":"abdomen","out":"masks"}"#;
        assert_eq!(study().to_json(), text.as_bytes());
        assert_eq!(Study::parse(text.as_bytes()).unwrap(), study());
    }

    #[test]
    fn the_id_is_that_of_scan_model_and_request() {
        // printf '%s' '{"name":…}' | sha256sum, the first 32 digits.
        assert_eq!(study().id(), "2bc3eae5bdb1cee6c73d1fd9d4a5f609");
        let changes: [fn(&mut Study); 5] = [
            |study| study.scan = vec!["scans/case_2.nii.gz".to_owned()],
            |study| study.model = "thorax".to_owned(),
            |study| study.weights = Some("0123".to_owned()),
            |study| study.prompts = Some(vec!["liver".to_owned()]),
            |study| study.out = "elsewhere".to_owned(),
        ];
        for change in changes {
            let mut other = study();
            change(&mut other);
            assert_ne!(other.id(), study().id(), "{other:?}");
        }
    }

    #[test]
    fn what_is_no_study_is_refused_with_a_reason() {
        let with_name = |name: &str| Study { name: name.to_owned(), ..study() }.to_json();
        for (message, reason) in [
            (b"voxels".to_vec(), "not a study"),
            (
                br#"{"name":"a","scan":["b"],"model":"m","out":"o","color":"red"}"#.to_vec(),
                "unknown field `color`",
            ),
            (with_name("../../etc/passwd"), "no name of a result"),
            (with_name(".hidden"), "no name of a result"),
            (with_name(""), "no name of a result"),
            (Study { scan: Vec::new(), ..study() }.to_json(), "has no scan"),
            (Study { model: "a>".to_owned(), ..study() }.to_json(), "no name of a model"),
        ] {
            let error = Study::parse(&message).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
    }
}
