//! `summary.csv`, `summary.json`, and the same in a few lines.

use std::path::Path;

use anyhow::Result;
use bipvl_io::atomic_write;
use bipvl_metrics::median;
use serde_json::{Value, json};

use super::{
    shards::Problems,
    studies::{Studies, Study, Unfinished},
};
use crate::ledger::StudyState;

/// Failures that are printed; the files have all.
const MAX_PRINTED: usize = 20;

/// Writes both files.
///
/// # Errors
///
/// When a file cannot be written.
pub(super) fn write(folder: &Path, studies: &Studies, problems: &Problems) -> Result<()> {
    atomic_write(&folder.join("summary.csv"), table(studies)?.as_bytes())?;
    let json = serde_json::to_string_pretty(&summary(studies, problems))?;
    Ok(atomic_write(&folder.join("summary.json"), json.as_bytes())?)
}

/// Prints numbers, times, failures, and warns of what is odd.
#[expect(clippy::print_stdout, reason = "the summary is the output of the command")]
pub(super) fn print(studies: &Studies) {
    let count = |state| studies.in_state(state).count();
    println!(
        "{} studies in {} shards: {} done, {} skipped, {} failed",
        studies.all.len(),
        studies.shards,
        count(StudyState::Done),
        count(StudyState::Skipped),
        count(StudyState::Failed)
    );
    if let Some(times) = Times::of(studies) {
        println!(
            "seconds per study: mean {:.1}, median {:.1}, longest {:.1} ({}); {:.1} in all",
            times.mean, times.median, times.longest, times.study, times.sum
        );
    }
    let failed: Vec<&Study> = studies.in_state(StudyState::Failed).collect();
    for Study { line, .. } in failed.iter().take(MAX_PRINTED) {
        println!(
            "failed: {} (shard {}): {}",
            line.study,
            line.shard,
            line.error.as_deref().unwrap_or_default()
        );
    }
    if failed.len() > MAX_PRINTED {
        println!("and {} others, in summary.csv", failed.len() - MAX_PRINTED);
    }
    for (study, shards) in &studies.repeated {
        let shards: Vec<String> = shards.iter().map(usize::to_string).collect();
        tracing::warn!("{study} is in shards {}", shards.join(", "));
    }
    let models = studies.models();
    if models.len() > 1 {
        let models: Vec<String> = models.iter().map(|(model, count)| format!("{model} ({count})")).collect();
        tracing::warn!("results of different weights: {}", models.join(", "));
    }
}

/// Times of the studies that were done.
struct Times<'a> {
    mean: f64,
    median: f64,
    longest: f64,
    study: &'a str,
    sum: f64,
}

impl<'a> Times<'a> {
    fn of(studies: &'a Studies) -> Option<Self> {
        let done = studies.in_state(StudyState::Done);
        let times: Vec<(f64, &str)> =
            done.filter_map(|study| Some((study.line.seconds?, study.line.study.as_str()))).collect();
        let &(longest, study) = times.iter().max_by(|one, other| one.0.total_cmp(&other.0))?;
        let seconds: Vec<f64> = times.iter().map(|(seconds, _)| *seconds).collect();
        let sum: f64 = seconds.iter().sum();
        Some(Self { mean: sum / seconds.len() as f64, median: median(seconds)?, longest, study, sum })
    }
}

fn summary(studies: &Studies, problems: &Problems) -> Value {
    let count = |state| studies.in_state(state).count();
    let failure = |Study { line, attempts }: &Study| json!({ "study": line.study, "shard": line.shard, "attempts": attempts, "error": line.error });
    let unfinished = |Unfinished { shard, recorded, studies }: &Unfinished| json!({ "shard": shard, "recorded": recorded, "studies": studies });
    json!({
        "shards": studies.shards,
        "missing_shards": studies.missing,
        "unfinished_shards": studies.unfinished.iter().map(unfinished).collect::<Vec<_>>(),
        "studies": studies.all.len(),
        "done": count(StudyState::Done),
        "skipped": count(StudyState::Skipped),
        "failed": count(StudyState::Failed),
        "seconds": Times::of(studies).map(|times| json!({
            "sum": times.sum,
            "mean": times.mean,
            "median": times.median,
            "longest": times.longest,
        })),
        "failures": studies.in_state(StudyState::Failed).map(failure).collect::<Vec<_>>(),
        "repeated": studies.repeated,
        "models": studies.models(),
        "array": problems.array(),
    })
}

/// A row per study; what does not exist is empty.
fn table(studies: &Studies) -> Result<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record([
        "study", "state", "shard", "attempts", "seconds", "host", "job", "version", "model", "outputs",
        "error",
    ])?;
    for Study { line, attempts } in &studies.all {
        let state = serde_json::to_value(line.state)?;
        writer.write_record([
            line.study.as_str(),
            state.as_str().unwrap_or_default(),
            &line.shard.to_string(),
            &attempts.to_string(),
            &line.seconds.map_or_else(String::new, |seconds| format!("{seconds:.3}")),
            line.origin.host.as_deref().unwrap_or_default(),
            line.origin.job.as_deref().unwrap_or_default(),
            &line.origin.version,
            &line.origin.model,
            &line.outputs.join(" "),
            line.error.as_deref().unwrap_or_default(),
        ])?;
    }
    Ok(String::from_utf8(writer.into_inner().map_err(csv::IntoInnerError::into_error)?)?)
}
