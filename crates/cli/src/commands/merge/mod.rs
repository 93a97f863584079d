//! `bipvl merge`: collects what the shards of a prediction or an evaluation did, and says which to run again.

mod scores;
mod shards;
mod studies;
mod summary;

use std::fs;

use anyhow::{Result, bail};
use bipvl_io::FileError;

use crate::args::MergeArgs;
use shards::Problems;

/// Merges what the folder has of studies and of scores.
pub(crate) fn run(args: &MergeArgs) -> Result<()> {
    let entries = fs::read_dir(&args.out).map_err(|reason| FileError::new(&args.out, reason))?;
    let names: Vec<String> = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    let studies = studies::merge(args, &names)?;
    let scores = scores::merge(args, &names)?;
    let found: Vec<Problems> = studies.into_iter().chain(scores).collect();
    if found.is_empty() {
        bail!(
            "{}: neither studies-K-of-N.jsonl, which `bipvl predict --shard` writes, nor the scores of `bipvl evaluate \
             --shard`",
            args.out.display()
        );
    }
    let messages: Vec<String> = found.iter().filter_map(Problems::message).collect();
    if messages.is_empty() { Ok(()) } else { bail!(messages.join("; ")) }
}
