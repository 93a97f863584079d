//! Flags of `train` and `ablate`.

use std::path::{Path, PathBuf};

use bipvl::{
    device::{DeviceKind, Precision},
    nn::ModelSize,
};
use clap::{Args, ValueEnum, value_parser};

use super::missing_argument;
use crate::{commands::ablate::NamedEncoder, recipes::Recipe};

#[derive(Clone, Debug, Args)]
pub(crate) struct TrainArgs {
    /// Data set folder: Medical Segmentation Decathlon, nnU-Net v2, AMOS22, MM-WHS or ACDC layout. `bipvl data
    /// check` inspects it. Several data sets are listed in the configuration as `[[data.set]]`.
    #[arg(long, value_name = "DIR", required_unless_present_any = ["config", "resume"])]
    pub(crate) data: Option<PathBuf>,
    /// Built-in configuration and descriptions of a published data set: amos22-ct, amos22-mr, mmwhs-ct,
    /// mmwhs-mr, msd-brain, hippocampus, acdc or phantom.
    #[arg(long, value_name = "NAME", value_parser = Recipe::find, conflicts_with_all = ["model_size", "config"])]
    pub(crate) recipe: Option<&'static Recipe>,
    /// Class descriptions: TOML, or a CSV table. Required without --recipe, except with --head prompts.
    #[arg(long, value_name = "FILE")]
    pub(crate) descriptions: Option<PathBuf>,
    /// Run folder: configuration, log, checkpoints, scores, report.
    #[arg(long, value_name = "RUN")]
    pub(crate) out: PathBuf,
    /// Model size: paper, small or tiny.
    #[arg(long, value_name = "NAME", conflicts_with = "config")]
    pub(crate) model_size: Option<ModelSize>,
    /// What makes the masks: channels, one per class, as in the paper; or prompts, any number in any words.
    #[arg(long, value_enum, conflicts_with = "recipe")]
    pub(crate) head: Option<HeadArg>,
    /// Start from the weights of another run, with other data sets, classes or prompts (--head prompts).
    #[arg(long, value_name = "RUN", conflicts_with = "pretrained_text_encoder")]
    pub(crate) from: Option<PathBuf>,
    /// TOML configuration; its values override those of the model size that it names.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Initialize the text encoder from a Hugging Face BERT folder (`config.json`, `vocab.txt` or
    /// `tokenizer.json`, `model.safetensors`).
    #[arg(long, value_name = "DIR")]
    pub(crate) pretrained_text_encoder: Option<PathBuf>,
    /// Initialize the image encoder and decoder from pretrained weights (from `bipvl import`); they also set
    /// the architecture.
    #[arg(long, value_name = "FILE")]
    pub(crate) pretrained_backbone: Option<PathBuf>,
    /// Validation fold K of N (0-based), such as 0/5.
    #[arg(long, value_name = "K/N")]
    pub(crate) val_fold: Option<String>,
    /// N-fold cross-validation: train RUN/fold-0, RUN/fold-1, … in turn and score all cases together.
    /// --max-minutes applies to the total.
    #[arg(long, value_name = "N", conflicts_with = "val_fold", value_parser = value_parser!(u16).range(2..))]
    pub(crate) folds: Option<u16>,
    /// Train the one fold K of --folds, as one of several processes; the last to finish scores all cases together.
    #[arg(long, value_name = "K", hide = true, requires = "folds", conflicts_with = "resume")]
    pub(crate) only_fold: Option<u16>,
    /// Optimizer steps (weight updates); the learning rate decays to zero over them.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) steps: Option<usize>,
    /// Random seed.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) seed: Option<u64>,
    /// Stop after this many minutes; continue later with --resume.
    #[arg(long, value_name = "M", allow_negative_numbers = true)]
    pub(crate) max_minutes: Option<f64>,
    /// Fit training steps into this much memory, in GB (10⁹ bytes), by gradient accumulation, then activation
    /// checkpointing, then a smaller patch. The choice is logged and stored in config.toml. Validation needs
    /// memory for a whole case in addition.
    #[arg(long, value_name = "GB", allow_negative_numbers = true)]
    pub(crate) memory_budget: Option<f64>,
    /// Resume the run in --out from its last checkpoint.
    #[arg(long, conflicts_with_all = ["recipe", "model_size", "config", "head", "from", "pretrained_text_encoder", "pretrained_backbone", "val_fold", "folds", "steps", "seed", "memory_budget"])]
    pub(crate) resume: bool,
    /// Compute device: cpu, vulkan or cuda.
    #[arg(long, value_name = "NAME", default_value = "cpu")]
    pub(crate) device: DeviceKind,
    /// Floating-point precision: float32, or bf16 (mixed precision) where the device supports it.
    #[arg(long, value_name = "NAME", default_value_t = Precision::Float32)]
    pub(crate) precision: Precision,
}

/// What makes the masks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum HeadArg {
    /// A logit channel per class.
    Channels,
    /// A dot product per prompt.
    Prompts,
}

impl TrainArgs {
    /// The data set of a training with fixed classes; a usage error without one.
    pub(crate) fn data_set(&self) -> &Path {
        match &self.data {
            Some(data) => data,
            None => missing_argument("--data <DIR>"),
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct AblateArgs {
    /// Data set folder, as for `bipvl train`. A configuration with `model.head = "prompts"` names its own.
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Built-in configuration and descriptions of a published data set.
    #[arg(long, value_name = "NAME", value_parser = Recipe::find, conflicts_with_all = ["model_size", "config"])]
    pub(crate) recipe: Option<&'static Recipe>,
    /// Class descriptions: TOML, or a CSV table. The text ablations are derived from them.
    #[arg(long, value_name = "FILE")]
    pub(crate) descriptions: Option<PathBuf>,
    /// Output folder for the runs, DIR/ROW/seed-N, and the table: ablation.html, ablation.md, ablation.json.
    /// Finished runs are kept, interrupted ones are resumed.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Rows of the table, such as full,vision-only,late [default: all].
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) rows: Vec<String>,
    /// Runs per row, with consecutive random seeds from that of the configuration.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = value_parser!(u64).range(1..))]
    pub(crate) seeds: u64,
    /// Model size: paper, small or tiny.
    #[arg(long, value_name = "NAME", conflicts_with = "config")]
    pub(crate) model_size: Option<ModelSize>,
    /// TOML configuration of the full method.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Add a row NAME with the text encoder of this Hugging Face BERT folder; repeatable.
    #[arg(long = "encoder", value_name = "NAME=DIR")]
    pub(crate) encoders: Vec<NamedEncoder>,
    /// Validation fold K of N (0-based), such as 0/5.
    #[arg(long, value_name = "K/N")]
    pub(crate) val_fold: Option<String>,
    /// Optimizer steps (weight updates) per run.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) steps: Option<usize>,
    /// Fit training steps into this much memory, in GB (10⁹ bytes), as for `bipvl train`. The choice is made for
    /// the full method and applies to all rows; rows of --encoder may need more.
    #[arg(long, value_name = "GB", allow_negative_numbers = true)]
    pub(crate) memory_budget: Option<f64>,
    /// Stop each run after this many minutes of training.
    #[arg(long, value_name = "M", allow_negative_numbers = true)]
    pub(crate) max_minutes: Option<f64>,
    /// Compute device: cpu, vulkan or cuda.
    #[arg(long, value_name = "NAME", default_value = "cpu")]
    pub(crate) device: DeviceKind,
    /// Train the one run ROW/seed-N in this process, without the table.
    #[arg(long, value_name = "ROW/seed-N", hide = true)]
    pub(crate) only: Option<String>,
}

impl AblateArgs {
    /// The data set of a study with fixed classes; a usage error without one.
    pub(crate) fn data_set(&self) -> &Path {
        match &self.data {
            Some(data) => data,
            None => missing_argument("--data <DIR>"),
        }
    }
}
