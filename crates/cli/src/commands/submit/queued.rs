//! Studies of the flags, and the queue in words.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use bipvl::{infer::TrainedModel, infer::run_dirs, prompts::PromptRun, prompts::reading::read_prompts};
use bipvl_imaging::formats::strip_ending;
use bipvl_worker::{DeadLetter, ModelStatus, Queue, QueueStatus, Study, Submission, Submitted};
use serde_json::json;
use tokio::runtime::Runtime;

use crate::{
    args::{FormatArg, ModelName, PromptArgs, SubmitArgs},
    commands::{
        predict::{
            inputs::{self, Scan, ScanSource},
            record::model_hash,
        },
        worker::{
            places::{Places, is_url},
            queue,
        },
    },
};

/// Submits scans.
#[expect(clippy::print_stdout, reason = "what the command is for")]
pub(super) fn submit(args: &SubmitArgs) -> Result<()> {
    let (Some(model), Some(out)) = (&args.model, &args.out) else { bail!("--model and --out are needed") };
    let studies = studies(args, model, out)?;
    let submission = if args.no_wait { Submission::Fail } else { Submission::Wait };
    let full = || tracing::warn!("the queue is full; waiting for workers");
    let submitted = Runtime::new()?.block_on(async {
        let queue = open(args).await?;
        let submitted = queue.submit(&studies, submission, &full).await?;
        if !queue.is_served(&model.name).await? {
            tracing::warn!("no worker has asked for studies of `{}` so far; they wait", model.name);
        }
        Ok::<_, bipvl_worker::Error>(submitted)
    })?;
    let Submitted { accepted, duplicates, revived } = submitted;
    if args.json {
        println!("{}", json!({ "accepted": accepted, "duplicates": duplicates, "revived": revived }));
    } else {
        let revived =
            if revived == 0 { String::new() } else { format!(" ({revived} from the dead letters)") };
        println!("accepted: {accepted}{revived}, duplicates: {duplicates}");
    }
    Ok(())
}

/// Shows the queue.
#[expect(clippy::print_stdout, reason = "what the command is for")]
pub(super) fn show(args: &SubmitArgs) -> Result<()> {
    let status = Runtime::new()?.block_on(async { open(args).await?.status().await })?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&status)?);
    } else {
        print!("{}", in_words(&status));
    }
    Ok(())
}

async fn open(args: &SubmitArgs) -> bipvl_worker::Result<Queue> {
    let client = format!("submit-{}", queue::process_name());
    Queue::open(&queue::options(&args.queue, &client)).await
}

/// The studies of the flags.
fn studies(args: &SubmitArgs, model: &ModelName, out: &str) -> Result<Vec<Study>> {
    let places = Places::new(args.queue.root.as_deref())?;
    let wanted = &args.wanted;
    let is_object = |format: &FormatArg| matches!(format, FormatArg::Object(_));
    let wants_dicom = wanted.series.is_some() || wanted.format.iter().any(is_object);
    let channels = model.run.as_deref().map_or(Ok(1), num_channels)?;
    let classes: Vec<String> = wanted.classes.iter().flat_map(|list| list.0.clone()).collect();
    let template = Study {
        model: model.name.clone(),
        weights: model.run.as_ref().map(|run| model_hash(std::slice::from_ref(run))).transpose()?,
        out: places.to_message(Path::new(out))?,
        formats: wanted.format.iter().map(ToString::to_string).collect(),
        prompts: prompts(&wanted.prompts)?,
        classes: (!classes.is_empty()).then_some(classes),
        like: wanted.prompts.like.clone(),
        exclusive: wanted.prompts.exclusive,
        series: wanted.series.clone(),
        statistics: wanted.statistics,
        ..Study::default()
    };
    let (urls, paths): (Vec<&String>, Vec<&String>) = args.inputs.iter().partition(|input| is_url(input));
    let paths: Vec<PathBuf> = paths.into_iter().map(PathBuf::from).collect();
    let mut scans = if paths.is_empty() { Vec::new() } else { inputs::find(&paths, channels, wants_dicom)? };
    scans.extend(urls.into_iter().map(|url| of_url(url)));
    let mut names = HashSet::new();
    if let Some(scan) = scans.iter().find(|scan| !names.insert(&scan.id)) {
        bail!(
            "{}: another scan has this name, too; submit them with an --out each",
            scan.paths()[0].display()
        );
    }
    let study = |scan: Scan| {
        let paths = scan.paths().iter().map(|path| places.to_message(path)).collect::<Result<_>>()?;
        Ok(Study { name: scan.id, scan: paths, ..template.clone() })
    };
    scans.into_iter().map(study).collect()
}

/// The scan of a URL, named after its last part.
fn of_url(url: &str) -> Scan {
    let path = PathBuf::from(url);
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let id = strip_ending(&path).map_or(name, |(stem, _)| stem);
    Scan { id, source: ScanSource::Images(vec![path]) }
}

fn prompts(args: &PromptArgs) -> Result<Option<Vec<String>>> {
    let mut prompts = args.prompts.clone();
    if let Some(file) = &args.file {
        prompts.extend(read_prompts(file)?);
    }
    Ok((!prompts.is_empty()).then_some(prompts))
}

/// Channels of the scans that a run reads.
fn num_channels(run: &Path) -> Result<usize> {
    if PromptRun::exists_in(run) {
        return Ok(1);
    }
    let folders: Vec<PathBuf> = run_dirs(run)?;
    let first = folders.first().with_context(|| format!("{}: no run", run.display()))?;
    Ok(TrainedModel::open(first)?.config.data.channels.len())
}

/// A line per model and per dead letter.
fn in_words(status: &QueueStatus) -> String {
    use std::fmt::Write;

    let QueueStatus { queue, max_studies, models, dead } = status;
    let most = max_studies.map_or(String::new(), |most| format!(" of at most {most}"));
    let mut text = format!("queue {queue}: {} studies{most}\n", status.unfinished());
    for ModelStatus { model, waiting, running, idle_workers, is_served, .. } in models {
        let workers = match (is_served, idle_workers) {
            (false, _) => ", no worker so far".to_owned(),
            (true, 0) => String::new(),
            (true, count) => format!(", {count} workers idle"),
        };
        let _ = writeln!(text, "  {model}: {waiting} waiting, {running} running{workers}");
    }
    let _ = writeln!(text, "dead letters: {}", dead.len());
    for DeadLetter { id, reason, deliveries, worker, study, .. } in dead {
        let name = study.as_ref().map_or(id, |study| &study.name);
        let reason = reason.replace('\n', " ");
        let times = if *deliveries == 1 { "once".to_owned() } else { format!("{deliveries} times") };
        let _ = writeln!(text, "  {name}: {reason} (tried {times}, last by {worker})");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_is_told_in_lines() {
        let model = ModelStatus {
            model: "liver".to_owned(),
            waiting: 3,
            running: 2,
            is_served: true,
            ..ModelStatus::default()
        };
        let unserved = ModelStatus { model: "brain".to_owned(), waiting: 1, ..ModelStatus::default() };
        let letter: DeadLetter = serde_json::from_value(json!({
            "id": "01ab", "reason": "a.nii: truncated", "deliveries": 1, "worker": "w-1", "study": null
        }))
        .unwrap();
        let status = QueueStatus {
            queue: "bipvl".to_owned(),
            max_studies: Some(10),
            models: vec![unserved, model],
            dead: vec![letter],
        };
        let expected = "queue bipvl: 6 studies of at most 10\n  brain: 1 waiting, 0 running, no worker so far\n  \
                        liver: 3 waiting, 2 running\ndead letters: 1\n  01ab: a.nii: truncated (tried once, last by w-1)\n";
        assert_eq!(in_words(&status), expected);
    }
}
