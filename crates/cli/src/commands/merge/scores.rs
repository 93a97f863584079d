//! The scores of all shards, as one evaluation of all cases would give them.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use anyhow::{Result, bail};
use bipvl_metrics::{CaseScores, Scores};
use bipvl_report::score_files;

use super::shards::{Problems, files};
use crate::{
    args::MergeArgs,
    commands::{
        evaluate::print_table,
        score_shard::{ENDING, ScoreShard},
    },
    shard::Shard,
};

/// Merges the scores of a folder, of each evaluation; writes those of which no shard is missing.
///
/// # Errors
///
/// When a file cannot be read or written, or shards were scored differently.
pub(super) fn merge(args: &MergeArgs, names: &[String]) -> Result<Vec<Problems>> {
    let evaluations: BTreeSet<&str> =
        names.iter().filter_map(|name| Some(Shard::of_file_name(name, ENDING)?.0)).collect();
    let mut found = Vec::new();
    for evaluation in evaluations {
        let Some((files, count)) = files(&args.out, names, (evaluation, ENDING), args.shards)? else {
            continue;
        };
        let shards = read(&files)?;
        let mut problems = Problems::of_missing(&files, count);
        if problems.again.is_empty() {
            let path = args.out.join(format!("{evaluation}.{ENDING}"));
            let (scores, classes) = merged(shards, &mut problems)?;
            if !scores.cases.is_empty() {
                score_files::write_json(&path, &scores)?;
                print_table(&scores, &classes);
            }
        }
        found.push(problems);
    }
    Ok(found)
}

fn read(files: &BTreeMap<usize, PathBuf>) -> Result<Vec<(PathBuf, ScoreShard)>> {
    files.values().map(|path| Ok((path.clone(), ScoreShard::read(path)?))).collect()
}

/// The scores of all cases by their names, and the classes.
fn merged(shards: Vec<(PathBuf, ScoreShard)>, problems: &mut Problems) -> Result<(Scores, Vec<String>)> {
    let (config, classes, cases) = {
        let (_, first) = &shards[0];
        (first.config(), first.classes.clone(), first.cases)
    };
    let mut all: Vec<CaseScores> = Vec::new();
    let mut failed = 0;
    for (path, shard) in shards {
        if (shard.config(), &shard.classes, shard.cases) != (config, &classes, cases) {
            bail!(
                "{}: other cases, classes or metrics than in the first shard; score all shards again",
                path.display()
            );
        }
        for failure in &shard.failures {
            tracing::error!("{} (shard {}): {}", failure.case, shard.shard, failure.error);
            problems.again.insert(shard.shard.index);
        }
        failed += shard.failures.len();
        all.extend(shard.into_cases());
    }
    if failed > 0 {
        problems.texts.push(format!("{failed} of {cases} cases could not be scored"));
    }
    all.sort_by(|one, other| one.case.cmp(&other.case));
    Ok((Scores::new(&config, all), classes))
}
