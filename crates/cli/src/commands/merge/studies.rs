//! What became of the studies of all shards.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use anyhow::Result;

use super::{
    shards::{Problems, files},
    summary,
};
use crate::{
    args::MergeArgs,
    ledger::{self, StudyLine, StudyState},
    shard::Shard,
};

/// A study, with the line that holds now.
#[derive(Debug)]
pub(super) struct Study {
    pub(super) line: StudyLine,
    /// How often it was tried.
    pub(super) attempts: usize,
}

/// A shard whose process ended before all its studies were tried.
#[derive(Debug)]
pub(super) struct Unfinished {
    pub(super) shard: usize,
    pub(super) recorded: usize,
    pub(super) studies: usize,
}

/// All shards.
#[derive(Debug, Default)]
pub(super) struct Studies {
    pub(super) shards: usize,
    /// By shard and place.
    pub(super) all: Vec<Study>,
    pub(super) missing: Vec<usize>,
    pub(super) unfinished: Vec<Unfinished>,
    /// Studies in the files of several shards.
    pub(super) repeated: BTreeMap<String, Vec<usize>>,
    /// Numbers of studies of the inputs, as the shards saw them: one, unless the inputs changed.
    pub(super) totals: BTreeSet<usize>,
}

/// Merges the studies of a folder, writes and prints the summary; `None` without studies.
///
/// # Errors
///
/// When a file cannot be read or written.
pub(super) fn merge(args: &MergeArgs, names: &[String]) -> Result<Option<Problems>> {
    let kind = (ledger::NAME, ledger::ENDING);
    let Some((files, shards)) = files(&args.out, names, kind, args.shards)? else { return Ok(None) };
    let studies = Studies::read(&files, shards)?;
    let mut problems = Problems::of_missing(&files, shards);
    studies.add_to(&mut problems);
    summary::write(&args.out, &studies, &problems)?;
    summary::print(&studies);
    Ok(Some(problems))
}

impl Studies {
    fn read(files: &BTreeMap<usize, PathBuf>, shards: usize) -> Result<Self> {
        let mut found = Self { shards, ..Self::default() };
        let mut recorded: BTreeMap<usize, usize> = BTreeMap::new();
        for (&shard, path) in files {
            let own = by_study(ledger::read(path)?);
            recorded.insert(shard, own.len());
            for study in own {
                found.repeated.entry(study.line.study.clone()).or_default().push(shard);
                found.totals.insert(study.line.studies);
                found.all.push(study);
            }
        }
        found.repeated.retain(|_, shards| shards.len() > 1);
        found.missing = (0..shards).filter(|shard| !files.contains_key(shard)).collect();
        let total = found.totals.last().copied().unwrap_or(0);
        let unfinished = recorded.into_iter().map(|(index, recorded)| {
            let studies = Shard { index, count: shards }.len(total);
            Unfinished { shard: index, recorded, studies }
        });
        found.unfinished = unfinished.filter(|shard| shard.recorded < shard.studies).collect();
        Ok(found)
    }

    /// The studies of a state.
    pub(super) fn in_state(&self, state: StudyState) -> impl Iterator<Item = &Study> {
        self.all.iter().filter(move |study| study.line.state == state)
    }

    /// The number of studies with each model.
    pub(super) fn models(&self) -> BTreeMap<&str, usize> {
        let mut models = BTreeMap::new();
        for study in &self.all {
            *models.entry(study.line.origin.model.as_str()).or_default() += 1;
        }
        models
    }

    fn add_to(&self, problems: &mut Problems) {
        for Unfinished { shard, recorded, studies } in &self.unfinished {
            problems.texts.push(format!("shard {shard} ended after {recorded} of {studies} studies"));
            problems.again.insert(*shard);
        }
        let failed: Vec<&Study> = self.in_state(StudyState::Failed).collect();
        if !failed.is_empty() {
            let noun = if failed.len() == 1 { "study" } else { "studies" };
            problems.texts.push(format!("{} {noun} failed", failed.len()));
            problems.again.extend(failed.iter().map(|study| study.line.shard.index));
        }
        if self.totals.len() > 1 {
            let totals: Vec<String> = self.totals.iter().map(usize::to_string).collect();
            problems.texts.push(format!(
                "the inputs changed between tasks, which saw {} studies, so some may be in no shard",
                totals.join(" and ")
            ));
            problems.again.extend(0..self.shards);
        }
    }
}

/// The studies of a shard by their place. The last line of a study holds, but if it was only skipped, the line before
/// that says how it was done. Lines from before the inputs changed, of studies that are in other shards now, are left out.
fn by_study(lines: Vec<StudyLine>) -> Vec<Study> {
    let inputs = lines.last().map(|line| line.studies);
    let mut studies: BTreeMap<String, Study> = BTreeMap::new();
    for line in lines {
        let attempt = usize::from(line.state != StudyState::Skipped);
        match studies.get_mut(&line.study) {
            None => {
                studies.insert(line.study.clone(), Study { attempts: attempt, line });
            }
            Some(study) => {
                study.attempts += attempt;
                let was_done = study.line.state == StudyState::Done && line.state == StudyState::Skipped;
                let (place, studies) = (line.place, line.studies);
                if !was_done {
                    study.line = line;
                }
                (study.line.place, study.line.studies) = (place, studies);
            }
        }
    }
    let mut studies: Vec<Study> =
        studies.into_values().filter(|study| Some(study.line.studies) == inputs).collect();
    studies.sort_by_key(|study| study.line.place);
    studies
}
