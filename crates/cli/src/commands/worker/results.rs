//! The last file of a result, `NAME.result.json`: it names the job, and says that the others are there.

use std::time::Instant;

use anyhow::{Result, bail};
use bipvl::prompts::FoundSegment;
use bipvl_worker::Job;
use serde::{Deserialize, Serialize};

/// Who made a result, of what.
#[derive(Serialize)]
struct ResultFile<'a> {
    job: &'a str,
    scan: &'a [String],
    model: &'a str,
    weights: &'a str,
    program: &'a str,
    worker: &'a str,
    delivery: u64,
    seconds: f64,
    /// Names of the other files.
    files: Vec<String>,
    segments: Vec<FoundSegment>,
}

/// What is read of it.
#[derive(Deserialize)]
struct Made {
    job: String,
}

/// The file of a job that has just been done.
pub(super) fn record(
    job: &Job,
    weights: &str,
    began: Instant,
    segments: Vec<FoundSegment>,
    files: Vec<String>,
) -> Result<Vec<u8>> {
    let file = ResultFile {
        job: &job.id,
        scan: &job.study.scan,
        model: &job.study.model,
        weights,
        program: concat!("bipvl ", env!("CARGO_PKG_VERSION")),
        worker: &job.worker,
        delivery: job.delivery,
        seconds: began.elapsed().as_secs_f64(),
        files,
        segments,
    };
    Ok(serde_json::to_vec_pretty(&file)?)
}

/// Whether the file is there, given what is at its place; it must be that of the job.
pub(super) fn is_of(place: &str, text: Option<&[u8]>, job: &Job) -> Result<bool> {
    let Some(text) = text else { return Ok(false) };
    match serde_json::from_slice::<Made>(text) {
        Ok(made) if made.job == job.id => Ok(true),
        Ok(_) => bail!("{place}: the result of another study; choose another --out"),
        Err(error) => bail!("{place}: not the result of a study: {error}"),
    }
}

/// The name of the file.
pub(super) fn file_name(job: &Job) -> String {
    format!("{}.result.json", job.study.name)
}

#[cfg(test)]
mod tests {
    use bipvl_worker::Study;

    use super::*;

    #[test]
    fn a_result_is_that_of_its_job_alone() {
        let job = |name: &str| Job {
            id: name.to_owned(),
            study: Study { name: "s".to_owned(), ..Study::default() },
            delivery: 1,
            worker: "w".to_owned(),
        };
        let text = record(&job("one"), "0123", Instant::now(), Vec::new(), vec!["s.nii".to_owned()]).unwrap();
        assert!(!is_of("s.result.json", None, &job("one")).unwrap());
        assert!(is_of("s.result.json", Some(&text), &job("one")).unwrap());
        let error = is_of("s.result.json", Some(&text), &job("two")).unwrap_err().to_string();
        assert!(error.contains("the result of another study"), "{error}");
        assert!(is_of("s.result.json", Some(b"{"), &job("one")).is_err());
    }
}
