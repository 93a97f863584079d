//! One file per command: connects flags, libraries and terminal output.

pub(crate) mod ablate;
pub(crate) mod bench;
pub(crate) mod completions;
mod concept_attribution;
pub(crate) mod data;
pub(crate) mod demo;
pub(crate) mod describe;
pub(crate) mod evaluate;
pub(crate) mod export;
pub(crate) mod import;
pub(crate) mod info;
pub(crate) mod evaluate_run;
pub(crate) mod man;
mod memory;
pub(crate) mod merge;
mod report_content;
pub(crate) mod predict;
pub(crate) mod probe;
pub(crate) mod run_log;
mod score_shard;
pub(crate) mod serve;
pub(crate) mod slurm;
pub(crate) mod submit;
pub(crate) mod train;
pub(crate) mod prompts;
pub(crate) mod vocabulary;
pub(crate) mod worker;
