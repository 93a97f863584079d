//! `studies-K-of-N.jsonl`: what became of each study of a shard, a JSON object per line, written as it happens.
//!
//! A process that is killed leaves at most one torn line at the end. Readers skip it, and the next writer cuts it off.

use std::{
    collections::HashMap,
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use bipvl_io::FileError;
use serde::{Deserialize, Serialize};

use crate::shard::Shard;

/// The names of the files begin with it.
pub(crate) const NAME: &str = "studies";
/// The names of the files end with it.
pub(crate) const ENDING: &str = "jsonl";

/// What became of one study.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct StudyLine {
    /// The name of the study.
    pub(crate) study: String,
    pub(crate) state: StudyState,
    /// Its place in the order of all studies, from 0.
    pub(crate) place: usize,
    /// How many studies the inputs had.
    pub(crate) studies: usize,
    pub(crate) shard: Shard,
    /// From reading to the last file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) seconds: Option<f64>,
    /// Its files, as they are named in the output folder.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) outputs: Vec<String>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
    #[serde(flatten)]
    pub(crate) origin: Origin,
}

/// The state of a study. One that was interrupted has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum StudyState {
    /// Its files were written.
    Done,
    /// Its files were there.
    Skipped,
    /// It has no files.
    Failed,
}

/// What made a line.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Origin {
    /// The machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) host: Option<String>,
    /// The job of the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) job: Option<String>,
    /// The version of this program.
    pub(crate) version: String,
    /// The first digits of the SHA-256 of the weights.
    pub(crate) model: String,
}

/// The file of a shard, opened for more lines.
#[derive(Debug)]
pub(crate) struct Ledger {
    file: File,
    path: PathBuf,
    /// The last line of each study.
    last: HashMap<String, StudyLine>,
}

impl Ledger {
    /// Opens or creates the file of a shard in a folder. No other process may have it open.
    ///
    /// # Errors
    ///
    /// When another process works on the shard, or the file cannot be read or written.
    pub(crate) fn open(folder: &Path, shard: Shard) -> Result<Self> {
        let path = folder.join(shard.file_name(NAME, ENDING));
        let about = |reason| FileError::new(&path, reason);
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(&path).map_err(about)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                bail!("{}: another process works on shard {shard}", path.display())
            }
            // Some file systems of clusters have no locks; there the scheduler alone keeps two tasks apart.
            Err(TryLockError::Error(reason)) if reason.kind() == io::ErrorKind::Unsupported => {}
            Err(TryLockError::Error(reason)) => return Err(about(reason).into()),
        }
        let mut text = Vec::new();
        file.read_to_end(&mut text).map_err(about)?;
        let whole = whole_lines(&text);
        file.set_len(whole.len() as u64).map_err(about)?;
        let lines = parse(whole).with_context(|| path.display().to_string())?;
        let last = lines.into_iter().map(|line| (line.study.clone(), line)).collect();
        Ok(Self { file, path, last })
    }

    /// Whether the file has a line that says what this one does: a study was done or skipped, and where it stands among
    /// the studies of the inputs.
    pub(crate) fn knows(&self, line: &StudyLine) -> bool {
        self.last.get(&line.study).is_some_and(|last| {
            last.state != StudyState::Failed && (last.place, last.studies) == (line.place, line.studies)
        })
    }

    /// Appends a line, in one write.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub(crate) fn append(&mut self, line: StudyLine) -> Result<()> {
        let text = serde_json::to_string(&line)? + "\n";
        self.file.write_all(text.as_bytes()).map_err(|reason| FileError::new(&self.path, reason))?;
        self.last.insert(line.study.clone(), line);
        Ok(())
    }
}

/// The lines of a file, but for one that was torn.
///
/// # Errors
///
/// When the file cannot be read, or a line is not one of ours.
pub(crate) fn read(path: &Path) -> Result<Vec<StudyLine>> {
    let text = std::fs::read(path).map_err(|reason| FileError::new(path, reason))?;
    parse(whole_lines(&text)).with_context(|| path.display().to_string())
}

/// What ends with a line break.
fn whole_lines(text: &[u8]) -> &[u8] {
    let end = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    &text[..end]
}

fn parse(text: &[u8]) -> Result<Vec<StudyLine>> {
    let lines = text.split(|byte| *byte == b'\n').enumerate().filter(|(_, line)| !line.is_empty());
    let parsed = lines.map(|(index, line)| {
        serde_json::from_slice(line).with_context(|| format!("line {}: not that of a study", index + 1))
    });
    parsed.collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const SHARD: Shard = Shard { index: 1, count: 4 };

    fn line(study: &str, state: StudyState) -> StudyLine {
        StudyLine {
            study: study.to_owned(),
            state,
            place: 1,
            studies: 9,
            shard: SHARD,
            seconds: Some(0.5),
            outputs: vec![format!("{study}.nii")],
            error: None,
            origin: Origin { version: "1".to_owned(), model: "ab".to_owned(), ..Origin::default() },
        }
    }

    #[test]
    fn a_torn_line_is_skipped_by_readers_and_cut_off_by_the_next_writer() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("studies-1-of-4.jsonl");
        let [a, b] = ["a", "b"].map(|study| line(study, StudyState::Done));
        Ledger::open(folder.path(), SHARD).unwrap().append(a.clone()).unwrap();
        let whole = fs::read(&path).unwrap();
        // Killed after each number of bytes of a second line.
        let second = serde_json::to_string(&b).unwrap();
        for bytes in 0..second.len() {
            fs::write(&path, [&whole, &second.as_bytes()[..bytes]].concat()).unwrap();
            assert_eq!(read(&path).unwrap(), std::slice::from_ref(&a));
            let mut ledger = Ledger::open(folder.path(), SHARD).unwrap();
            assert!(ledger.knows(&a) && !ledger.knows(&b));
            ledger.append(b.clone()).unwrap();
            assert_eq!(read(&path).unwrap(), [a.clone(), b.clone()]);
        }
    }

    #[test]
    fn a_line_that_is_not_ours_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("studies-1-of-4.jsonl");
        fs::write(&path, "{\"study\": 1}\n").unwrap();
        for error in [read(&path).unwrap_err(), Ledger::open(folder.path(), SHARD).unwrap_err()] {
            assert!(
                format!("{error:#}").contains("studies-1-of-4.jsonl: line 1: not that of a study"),
                "{error:#}"
            );
        }
    }

    #[test]
    fn a_study_that_failed_or_moved_is_not_known() {
        let folder = tempfile::tempdir().unwrap();
        let mut ledger = Ledger::open(folder.path(), SHARD).unwrap();
        ledger.append(line("a", StudyState::Failed)).unwrap();
        assert!(!ledger.knows(&line("a", StudyState::Skipped)));
        ledger.append(line("a", StudyState::Done)).unwrap();
        assert!(ledger.knows(&line("a", StudyState::Skipped)));
        assert!(!ledger.knows(&StudyLine { studies: 10, ..line("a", StudyState::Skipped) }));
    }

    #[test]
    fn two_processes_do_not_work_on_one_shard() {
        let folder = tempfile::tempdir().unwrap();
        let first = Ledger::open(folder.path(), SHARD).unwrap();
        let error = Ledger::open(folder.path(), SHARD).unwrap_err().to_string();
        assert!(error.contains("another process works on shard 1/4"), "{error}");
        drop(first);
        Ledger::open(folder.path(), SHARD).unwrap();
    }
}
