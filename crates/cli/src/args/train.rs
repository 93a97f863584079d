//! Flags of the commands that train.

use std::path::PathBuf;

use bipvl::{
    device::{DeviceKind, Precision},
    nn::Preset,
};
use clap::{Args, value_parser};

use crate::{commands::ablate::Row, experiments::Experiment};

#[derive(Clone, Debug, Args)]
pub(crate) struct TrainArgs {
    /// Data set folder, in a layout in which data sets are downloaded: Medical Segmentation Decathlon,
    /// nnU-Net v2, AMOS22, MM-WHS or ACDC. `bipvl data check` looks through it.
    #[arg(long, value_name = "DIR")]
    pub(crate) data: PathBuf,
    /// A built-in experiment, configuration and descriptions of a published data set: amos22-ct, amos22-mr,
    /// mmwhs-ct, mmwhs-mr, msd-brain, hippocampus, acdc or phantom.
    #[arg(long, value_name = "NAME", value_parser = Experiment::find, conflicts_with_all = ["preset", "config"])]
    pub(crate) experiment: Option<&'static Experiment>,
    /// What each class looks like, in words: TOML, or a CSV table.
    #[arg(long, value_name = "FILE", required_unless_present_any = ["experiment", "resume"])]
    pub(crate) descriptions: Option<PathBuf>,
    /// Folder for the run: configuration, log, checkpoints, scores, report.
    #[arg(long, value_name = "RUN")]
    pub(crate) out: PathBuf,
    /// Size of the network: paper, small or tiny.
    #[arg(long, value_name = "NAME", conflicts_with = "config")]
    pub(crate) preset: Option<Preset>,
    /// TOML file with values that replace those of the preset it names (`preset = "tiny"`).
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Hugging Face folder of a BERT to begin the text encoder with (`config.json`, `vocab.txt` or
    /// `tokenizer.json`, `model.safetensors`).
    #[arg(long, value_name = "DIR")]
    pub(crate) text_encoder: Option<PathBuf>,
    /// Weights written by `bipvl import`, to begin the vision side with; they bring their sizes.
    #[arg(long, value_name = "FILE")]
    pub(crate) weights: Option<PathBuf>,
    /// Fold that validates: K of N, K from 0.
    #[arg(long, value_name = "K/N")]
    pub(crate) val_fold: Option<String>,
    /// Cross-validation: train N runs in RUN/fold-0, RUN/fold-1, …, one after another, each validated by its own
    /// fold, and score all cases together. --max-minutes is for all of them; --resume goes on where they stopped.
    #[arg(long, value_name = "N", conflicts_with = "val_fold", value_parser = value_parser!(u16).range(2..))]
    pub(crate) folds: Option<u16>,
    /// Updates of the weights; the learning rate falls to zero over them.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) steps: Option<usize>,
    /// What every random choice follows from.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) seed: Option<u64>,
    /// Stop early after so many minutes; --resume goes on later.
    #[arg(long, value_name = "M", allow_negative_numbers = true)]
    pub(crate) max_minutes: Option<f64>,
    /// Keep the updates within so much memory, in GB (10⁹ bytes). What would need more gets, in this order, smaller
    /// batches that add up to the same update, recomputation, a smaller patch. What was chosen is said and stands in
    /// the run's config.toml. A validation needs memory for a whole case besides.
    #[arg(long, value_name = "GB", allow_negative_numbers = true)]
    pub(crate) memory_budget: Option<f64>,
    /// Go on with the run in --out from its last checkpoint.
    #[arg(long, conflicts_with_all = ["experiment", "preset", "config", "text_encoder", "weights", "val_fold", "folds", "steps", "seed", "memory_budget"])]
    pub(crate) resume: bool,
    /// Where to compute: cpu, vulkan or cuda.
    #[arg(long, value_name = "NAME", default_value = "cpu")]
    pub(crate) device: DeviceKind,
    /// How numbers are kept: float32. bf16 (mixed precision) is refused where the device does not compute in it, which
    /// none does so far.
    #[arg(long, value_name = "NAME", default_value_t = Precision::Float32)]
    pub(crate) precision: Precision,
}

#[derive(Debug, Args)]
pub(crate) struct AblateArgs {
    /// Data set folder, as for `bipvl train`.
    #[arg(long, value_name = "DIR")]
    pub(crate) data: PathBuf,
    /// A built-in experiment: configuration and descriptions of a published data set.
    #[arg(long, value_name = "NAME", value_parser = Experiment::find, conflicts_with_all = ["preset", "config"])]
    pub(crate) experiment: Option<&'static Experiment>,
    /// What each class looks like, in words: TOML, or a CSV table. The other texts are made of it by rule.
    #[arg(long, value_name = "FILE", required_unless_present = "experiment")]
    pub(crate) descriptions: Option<PathBuf>,
    /// Folder for the runs, DIR/ROW/seed-N, and the table: ablation.html, ablation.md, ablation.json. What is done
    /// there is not done again, and what was interrupted goes on.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Rows of the table, such as full,vision-only,late; all when not given.
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = Row::named)]
    pub(crate) rows: Vec<&'static Row>,
    /// Runs of each row, with the seed of the configuration and those after it.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = value_parser!(u64).range(1..))]
    pub(crate) seeds: u64,
    /// Size of the network: paper, small or tiny.
    #[arg(long, value_name = "NAME", conflicts_with = "config")]
    pub(crate) preset: Option<Preset>,
    /// TOML file with values that replace those of the preset it names: the full method, whose parts are varied.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Hugging Face folder of a small BERT, all-MiniLM-L6-v2 for example, for the row minilm.
    #[arg(long, value_name = "DIR")]
    pub(crate) minilm: Option<PathBuf>,
    /// Hugging Face folder of a BERT, for the row bert.
    #[arg(long, value_name = "DIR")]
    pub(crate) bert: Option<PathBuf>,
    /// Fold that validates: K of N, K from 0.
    #[arg(long, value_name = "K/N")]
    pub(crate) val_fold: Option<String>,
    /// Updates of the weights in each run.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) steps: Option<usize>,
    /// Keep the updates of each run within so much memory, in GB (10⁹ bytes). What would need more gets, in this order, smaller
    /// batches that add up to the same update, recomputation, a smaller patch. It is
    /// chosen for the full method and is the same in all rows; the rows minilm and bert may need more.
    #[arg(long, value_name = "GB", allow_negative_numbers = true)]
    pub(crate) memory_budget: Option<f64>,
    /// Stop each run early after so many minutes of training.
    #[arg(long, value_name = "M", allow_negative_numbers = true)]
    pub(crate) max_minutes: Option<f64>,
    /// Where to compute: cpu, vulkan or cuda.
    #[arg(long, value_name = "NAME", default_value = "cpu")]
    pub(crate) device: DeviceKind,
    /// Do one run in this process, without the table: ROW/seed-N.
    #[arg(long, hide = true)]
    pub(crate) only: Option<String>,
}
