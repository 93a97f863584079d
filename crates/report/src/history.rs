//! Training history from `log.jsonl`: one JSON object per line, a step or a validation.

use std::fs;
use std::path::Path;

use bipvl_io::{FileError, atomic_write};
use indexmap::IndexMap;
use serde::Deserialize;
use serde_json::Value;

use crate::{Error, Result};

/// Maximum number of characters of a malformed line in an error message.
const MAX_QUOTED: usize = 60;

/// Steps and validations of one run, ordered by step.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    /// Logged optimizer steps.
    pub steps: Vec<StepRecord>,
    /// Validations.
    pub validations: Vec<ValidationRecord>,
}

/// One optimizer step.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct StepRecord {
    /// Number of optimizer steps so far.
    pub step: u64,
    /// Loss terms.
    pub loss: LossRecord,
    /// Wall-clock time.
    #[serde(default)]
    pub seconds: Option<f64>,
}

/// Loss terms of one step; a term that was not computed or not finite is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
pub struct LossRecord {
    /// Weighted sum.
    pub total: Option<f64>,
    /// Dice + cross-entropy.
    #[serde(default)]
    pub segmentation: Option<f64>,
    /// Class embedding loss.
    #[serde(default)]
    pub class_embedding: Option<f64>,
    /// Image–text alignment loss.
    #[serde(default)]
    pub alignment: Option<f64>,
}

/// One validation.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct ValidationRecord {
    /// Number of optimizer steps so far.
    pub step: u64,
    /// Mean over the classes, 0 to 1; `None` where undefined.
    pub mean_dice: Option<f64>,
    /// By class name, 0 to 1; `None` where undefined.
    #[serde(default)]
    pub dice: IndexMap<String, Option<f64>>,
}

#[derive(Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Event {
    Step(StepRecord),
    Validation(ValidationRecord),
    #[serde(other)]
    Other,
}

impl History {
    /// Reads a training log.
    ///
    /// Other events are skipped. An incomplete last line (after a crash) is dropped. Steps repeated by a resumed run
    /// replace the earlier ones.
    ///
    /// # Errors
    ///
    /// If the file cannot be read or a complete line is not an event.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = fs::read(path).map_err(|error| FileError::new(path, error))?;
        let mut history = Self::default();
        for (index, line) in bytes.split_inclusive(|&byte| byte == b'\n').enumerate() {
            if line.trim_ascii().is_empty() {
                continue;
            }
            match serde_json::from_slice(line) {
                Ok(event) => history.push(event),
                Err(_) if !line.ends_with(b"\n") => {}
                Err(reason) => {
                    let content = String::from_utf8_lossy(line.trim_ascii());
                    let content = content.chars().take(MAX_QUOTED).collect();
                    return Err(Error::TrainingLog {
                        path: path.to_owned(),
                        line: index + 1,
                        content,
                        reason,
                    });
                }
            }
        }
        Ok(history)
    }

    fn push(&mut self, event: Event) {
        match event {
            Event::Step(step) => {
                truncate_from(&mut self.steps, step.step, |step| step.step);
                truncate_from(&mut self.validations, step.step + 1, |validation| validation.step);
                self.steps.push(step);
            }
            Event::Validation(validation) => {
                truncate_from(&mut self.validations, validation.step, |validation| validation.step);
                self.validations.push(validation);
            }
            Event::Other => {}
        }
    }
}

/// Drops the lines of a training log after `step`, and an incomplete line: a resumed training writes them again.
///
/// # Errors
///
/// If the file cannot be read or written.
pub fn truncate_after(path: &Path, step: u64) -> Result<()> {
    let text = fs::read_to_string(path).map_err(|error| FileError::new(path, error))?;
    let is_kept = |line: &&str| {
        let event: Option<Value> = serde_json::from_str(line).ok();
        event.and_then(|event| event["step"].as_u64()).is_some_and(|at| at <= step)
    };
    let kept: String = text.lines().filter(is_kept).map(|line| line.to_owned() + "\n").collect();
    Ok(atomic_write(path, kept.as_bytes())?)
}

/// Drops the entries from `step` on.
fn truncate_from<T>(entries: &mut Vec<T>, step: u64, step_of: impl Fn(&T) -> u64) {
    entries.truncate(entries.partition_point(|entry| step_of(entry) < step));
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: &str = r#"{"event":"step","step":12,"epoch":0,"learning_rate":0.001,"loss":{"total":1.5,"segmentation":1.0,"class_embedding":0.25,"alignment":0.25},"seconds":1.2}"#;
    const VALIDATION: &str =
        r#"{"event":"validation","step":500,"mean_dice":0.8,"dice":{"Anterior":0.81,"Posterior":0.79}}"#;

    fn read(text: &str) -> Result<History> {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        History::read(file.path())
    }

    fn step_line(step: u64, total: f64) -> String {
        format!(r#"{{"event":"step","step":{step},"loss":{{"total":{total}}}}}"#)
    }

    #[test]
    fn steps_and_validations_are_read_and_other_events_skipped() {
        let history = read(&format!("{{\"event\":\"start\",\"seed\":7}}\n{STEP}\n\n{VALIDATION}\n")).unwrap();
        let loss = LossRecord {
            total: Some(1.5),
            segmentation: Some(1.0),
            class_embedding: Some(0.25),
            alignment: Some(0.25),
        };
        assert_eq!(history.steps, [StepRecord { step: 12, loss, seconds: Some(1.2) }]);
        assert_eq!(history.validations.len(), 1);
        assert_eq!(history.validations[0].mean_dice, Some(0.8));
        assert_eq!(history.validations[0].dice["Posterior"], Some(0.79));
        assert_eq!(history.validations[0].dice.keys().collect::<Vec<_>>(), ["Anterior", "Posterior"]);
    }

    #[test]
    fn an_incomplete_last_line_is_dropped() {
        let whole = format!("{STEP}\n{VALIDATION}");
        for length in STEP.len() + 1..whole.len() {
            let history = read(&whole[..length]).unwrap();
            assert_eq!((history.steps.len(), history.validations.len()), (1, 0), "cut at {length}");
        }
        assert_eq!(read(&whole).unwrap().validations.len(), 1);
    }

    #[test]
    fn a_malformed_line_is_an_error_with_file_and_line() {
        for bad in ["{\"event\":\"step\"", "{\"event\":\"step\",\"step\":-1,\"loss\":{}}", "no json", "[]"] {
            let error = read(&format!("{STEP}\n{bad}\n{STEP}\n")).unwrap_err();
            assert!(matches!(error, Error::TrainingLog { line: 2, .. }), "{error}");
            assert!(error.to_string().contains(":2: not a training event: `"), "{error}");
        }
        let missing = Path::new("no such folder/log.jsonl");
        assert!(History::read(missing).unwrap_err().to_string().contains("no such folder/log.jsonl"));
    }

    #[test]
    fn an_empty_log_is_an_empty_history() {
        assert_eq!(read("").unwrap(), History::default());
        assert_eq!(read("\n\n").unwrap(), History::default());
    }

    #[test]
    fn a_resumed_run_replaces_repeated_steps() {
        let validation = |step: u64| format!(r#"{{"event":"validation","step":{step},"mean_dice":null}}"#);
        let lines = [
            step_line(1, 9.0),
            step_line(2, 8.0),
            validation(2),
            step_line(3, 7.0),
            step_line(4, 6.0),
            validation(4),
            step_line(3, 5.0),
        ];
        let history = read(&lines.join("\n")).unwrap();
        let totals: Vec<_> = history.steps.iter().map(|step| (step.step, step.loss.total)).collect();
        assert_eq!(totals, [(1, Some(9.0)), (2, Some(8.0)), (3, Some(5.0))]);
        assert_eq!(history.validations.iter().map(|v| v.step).collect::<Vec<_>>(), [2]);
    }

    #[test]
    fn later_and_incomplete_lines_are_truncated() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let lines = [step_line(1, 3.0), step_line(2, 2.0), step_line(3, 1.0)];
        fs::write(file.path(), lines.join("\n") + "\n{\"event\":\"st").unwrap();
        truncate_after(file.path(), 2).unwrap();
        assert_eq!(fs::read_to_string(file.path()).unwrap(), lines[..2].join("\n") + "\n");
        truncate_after(file.path(), 0).unwrap();
        assert_eq!(fs::read_to_string(file.path()).unwrap(), "");
    }

    #[test]
    fn a_non_finite_loss_is_none() {
        let history = read(r#"{"event":"step","step":1,"loss":{"total":null,"alignment":2.0}}"#).unwrap();
        assert_eq!(history.steps[0].loss, LossRecord { alignment: Some(2.0), ..LossRecord::default() });
    }
}
