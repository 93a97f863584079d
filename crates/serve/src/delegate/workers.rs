//! Submits a job as a study, and waits for its result.

use std::{
    fs, io,
    path::{Path, absolute},
    time::Duration,
};

use bipvl_io::{FileError, atomic_write};
use bipvl_worker::{Queue, QueueOptions, Study, Submission};
use serde::Deserialize;

use super::Task;
use crate::{Error, Result, StudyQueue, library::ScanFile, queue::FoundSegment, results::ResultFormat};

/// How often it is looked for the result.
const LOOK: Duration = Duration::from_millis(100);
/// Looks for a result for each question whether the study was given up.
const LOOKS_PER_QUESTION: u32 = 20;
/// What results are called, here and in [`ResultFormat::path`].
const NAME: &str = "result";
/// What a worker writes last.
const RECORD: &str = "result.result.json";
/// Formats of a result, of which all but the first are for DICOM alone.
const FORMATS: [&str; 4] = ["nii.gz", "dicom-seg", "rtstruct", "sr"];

/// The workers of a queue.
#[derive(Debug)]
pub(crate) struct Workers {
    queue: Queue,
}

/// What is read of the record of a result.
#[derive(Deserialize)]
struct Record {
    job: String,
    segments: Vec<FoundSegment>,
}

impl Workers {
    /// Connects to the queue.
    pub(crate) async fn open(options: &StudyQueue) -> Result<Self> {
        let options = QueueOptions {
            url: options.url.clone(),
            token: options.token.clone(),
            name: options.name.clone(),
            max_studies: None,
            client: "bipvl serve".to_owned(),
        };
        Ok(Self { queue: Queue::open(&options).await? })
    }

    /// Has a worker do a job.
    ///
    /// # Errors
    ///
    /// When the study was given up, with its reason, or `must_stop` says so.
    pub(crate) async fn segment(
        &self,
        task: &Task<'_>,
        must_stop: &dyn Fn() -> bool,
    ) -> Result<Vec<FoundSegment>> {
        let study = study(task)?;
        let id = study.id();
        let full = || tracing::info!("the queue of studies is full; jobs wait");
        self.queue.submit(&[study], Submission::Wait, &full).await?;
        for look in 1.. {
            if let Some(segments) = read(&task.folder, &id)? {
                let text = serde_json::to_vec_pretty(&segments).expect("segments become JSON");
                atomic_write(&ResultFormat::Json.path(&task.folder), &text)?;
                return Ok(segments);
            }
            if must_stop() {
                return Err(Error::Canceled);
            }
            if look % LOOKS_PER_QUESTION == 0
                && let Some(letter) = self.queue.dead_letter(&id).await?
            {
                return Err(Error::Gone(letter.reason));
            }
            tokio::time::sleep(LOOK).await;
        }
        Err(Error::Canceled)
    }
}

/// The study of a job.
fn study(task: &Task<'_>) -> Result<Study> {
    let (path, series) = match &task.scan.file {
        ScanFile::Image(path) => (path, None),
        ScanFile::Series(path, index) => (path, Some((index + 1).to_string())),
    };
    let count = if series.is_some() { FORMATS.len() } else { 1 };
    let request = task.job.request.to_segmentation(&task.model.model);
    Ok(Study {
        name: NAME.to_owned(),
        scan: vec![text_of(path)?],
        model: task.job.model.clone(),
        weights: None,
        out: text_of(&task.folder)?,
        formats: FORMATS[..count].iter().map(ToString::to_string).collect(),
        prompts: request.prompts,
        classes: request.classes,
        like: request.like,
        exclusive: request.exclusive,
        series,
        statistics: false,
    })
}

/// A path as messages have it.
fn text_of(path: &Path) -> Result<String> {
    let path = absolute(path).map_err(|reason| FileError::new(path, reason))?;
    let text = path.to_str().map(str::to_owned);
    text.ok_or_else(|| Error::Gone(format!("{}: messages hold paths of Unicode text alone", path.display())))
}

/// What the result of a job says was found, once it is there.
fn read(folder: &Path, id: &str) -> Result<Option<Vec<FoundSegment>>> {
    let path = folder.join(RECORD);
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(reason) if reason.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(reason) => return Err(FileError::new(&path, reason).into()),
    };
    let record: Record = serde_json::from_slice(&text)
        .map_err(|error| FileError::new(&path, io::Error::new(io::ErrorKind::InvalidData, error)))?;
    if record.job != id {
        return Err(Error::Gone(format!("{}: the result of another job", path.display())));
    }
    Ok(Some(record.segments))
}
