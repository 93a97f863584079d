//! The files of shards, which are missing, and which to run again.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use anyhow::{Result, bail};

use crate::shard::Shard;

/// What keeps a merge from being complete.
#[derive(Debug, Default)]
pub(super) struct Problems {
    pub(super) texts: Vec<String>,
    /// Shards to run again.
    pub(super) again: BTreeSet<usize>,
}

impl Problems {
    /// With shards that have no file.
    pub(super) fn of_missing(shards: &BTreeMap<usize, PathBuf>, count: usize) -> Self {
        let missing: BTreeSet<usize> = (0..count).filter(|shard| !shards.contains_key(shard)).collect();
        let texts = match missing.len() {
            0 => Vec::new(),
            1 => vec![format!("shard {} of {count} has no file", ranges(&missing, "-", ", "))],
            _ => vec![format!("shards {} of {count} have no file", ranges(&missing, " to ", ", "))],
        };
        Self { texts, again: missing }
    }

    /// The option of sbatch that runs the shards again.
    pub(super) fn array(&self) -> Option<String> {
        (!self.again.is_empty()).then(|| format!("--array={}", ranges(&self.again, "-", ",")))
    }

    /// All in one line; `None` without problems.
    pub(super) fn message(&self) -> Option<String> {
        let array = self.array().map(|array| format!("run these again: sbatch {array} job.sh"));
        let parts: Vec<String> = self.texts.iter().cloned().chain(array).collect();
        (!parts.is_empty()).then(|| parts.join("; "))
    }
}

/// The files of shards with a name and an ending, by shard, and the number of shards: `wanted`, or the only one there is.
/// `None` without such files.
///
/// # Errors
///
/// When there are files of several numbers, or none of the wanted one.
pub(super) fn files(
    folder: &Path,
    names: &[String],
    (name, ending): (&str, &str),
    wanted: Option<usize>,
) -> Result<Option<(BTreeMap<usize, PathBuf>, usize)>> {
    let mut by_count: BTreeMap<usize, BTreeMap<usize, PathBuf>> = BTreeMap::new();
    for file in names {
        match Shard::of_file_name(file, ending) {
            Some((found, shard)) if found == name => {
                by_count.entry(shard.count).or_default().insert(shard.index, folder.join(file));
            }
            _ => {}
        }
    }
    let counts: Vec<String> = by_count.keys().map(usize::to_string).collect();
    match wanted {
        _ if by_count.is_empty() => Ok(None),
        None if by_count.len() > 1 => bail!(
            "{}: {name} of {} shards; choose with --shards N, or delete the files of the others",
            folder.display(),
            counts.join(" and of ")
        ),
        None => Ok(by_count.pop_first().map(|(count, files)| (files, count))),
        Some(count) => match by_count.remove(&count) {
            Some(files) => Ok(Some((files, count))),
            None => bail!(
                "--shards: {} has {name} of {} shards, not of {count}",
                folder.display(),
                counts.join(" and of ")
            ),
        },
    }
}

/// Numbers with runs of three and more as ranges.
fn ranges(numbers: &BTreeSet<usize>, to: &str, and: &str) -> String {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for &number in numbers {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => runs.push((number, number)),
        }
    }
    let texts = runs.iter().map(|&(first, last)| match last - first {
        0 => first.to_string(),
        1 => format!("{first}{and}{last}"),
        _ => format!("{first}{to}{last}"),
    });
    texts.collect::<Vec<_>>().join(and)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_to_run_again_are_written_as_sbatch_reads_them() {
        let message = |present: &[usize], count| {
            let files = present.iter().map(|shard| (*shard, PathBuf::new())).collect();
            Problems::of_missing(&files, count).message()
        };
        assert_eq!(message(&[0, 1, 2], 3), None);
        assert_eq!(
            message(&[0, 1, 2, 4, 5, 6, 8, 9], 10).unwrap(),
            "shards 3, 7 of 10 have no file; run these again: sbatch --array=3,7 job.sh"
        );
        assert_eq!(
            message(&[0, 9], 12).unwrap(),
            "shards 1 to 8, 10, 11 of 12 have no file; run these again: sbatch --array=1-8,10,11 job.sh"
        );
        assert_eq!(
            message(&[1], 2).unwrap(),
            "shard 0 of 2 has no file; run these again: sbatch --array=0 job.sh"
        );
    }

    #[test]
    fn files_of_several_numbers_of_shards_need_a_choice() {
        let names = ["studies-0-of-2.jsonl", "studies-1-of-2.jsonl", "studies-0-of-4.jsonl", "a.nii"];
        let names = names.map(str::to_owned);
        let found = |wanted| files(Path::new("out"), &names, ("studies", "jsonl"), wanted);
        assert!(found(None).unwrap_err().to_string().contains("out: studies of 2 and of 4 shards"));
        assert_eq!(found(Some(2)).unwrap().unwrap().0.len(), 2);
        assert!(found(Some(3)).unwrap_err().to_string().contains("not of 3"));
        assert!(files(Path::new("out"), &names, ("scores", "json"), None).unwrap().is_none());
    }
}
