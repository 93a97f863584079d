//! Flags of `import`, `export`, `info` and `bench`.

use std::path::PathBuf;

use bipvl::nn::{ModelSize, PatchMerging};
use clap::{Args, ValueEnum, value_parser};

use crate::commands::bench::Benchmark;

#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// A MONAI checkpoint (`.pt`, `.pth`, `.safetensors`), or a Hugging Face BERT folder (`config.json` and
    /// `model.safetensors` or `pytorch_model.bin`). Pickled code is never executed.
    #[arg(value_name = "SOURCE")]
    pub(crate) source: PathBuf,
    /// MONAI's patch merging (its `downsample` argument); not recorded in the checkpoint.
    #[arg(long, value_enum, default_value_t = MergingArg::V1)]
    pub(crate) merging: MergingArg,
    /// Output file for the weights, for `bipvl train --pretrained-backbone` [default: only report].
    #[arg(short, long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

/// MONAI's patch merging.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum MergingArg {
    /// Default up to MONAI 1.4: takes two of the eight voxels of a cube twice and omits two.
    #[value(name = "merging")]
    V1,
    /// Default from MONAI 1.6: takes each of the eight voxels once.
    #[value(name = "mergingv2")]
    V2,
}

impl From<MergingArg> for PatchMerging {
    fn from(arg: MergingArg) -> Self {
        match arg {
            MergingArg::V1 => Self::V1,
            MergingArg::V2 => Self::V2,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// Folder of a trained run.
    #[arg(value_name = "RUN")]
    pub(crate) run: PathBuf,
    /// Output file (safetensors) with MONAI's parameter names.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) out: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct InfoArgs {
    /// Folder of a run.
    #[arg(value_name = "RUN", required_unless_present = "model_size", conflicts_with = "model_size")]
    pub(crate) run: Option<PathBuf>,
    /// Model size instead of a run: paper, small or tiny.
    #[arg(long, value_name = "NAME")]
    pub(crate) model_size: Option<ModelSize>,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    /// Benchmarks to run [default: all]. vision-F-S, train-F-S: Swin UNETR of feature size F on patches of side
    /// S; text-window, text-window-cached, text-train, text-train-paper: the whole network; prompts-K: the prompted
    /// network with K short prompts; file: from a CT file to a label file; score: Dice, HD95 and NSD of 15 classes.
    #[arg(value_name = "BENCHMARK")]
    pub(crate) benchmarks: Vec<Benchmark>,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
    /// Timed iterations after one warm-up; fewer if they would take longer than a minute.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = value_parser!(u32).range(1..))]
    pub(crate) repeat: u32,
    /// Number of classes of the text benchmarks, 1 to 255 [default: 15].
    #[arg(long, value_name = "K", value_parser = value_parser!(u16).range(1..=255))]
    pub(crate) classes: Option<u16>,
    /// Tokens per class of the text benchmarks, 16 to 512 [default: 48].
    #[arg(long, value_name = "L", value_parser = value_parser!(u16).range(16..=512))]
    pub(crate) tokens: Option<u16>,
    /// Use small sizes to verify that every benchmark runs; the timings are meaningless.
    #[arg(long)]
    pub(crate) smoke_test: bool,
    /// Run the one benchmark in this process.
    #[arg(long, hide = true)]
    pub(crate) in_process: bool,
    /// Weights under the names of MONAI and Hugging Face, for comparison with other programs.
    #[arg(long, value_name = "FILE", hide = true, requires = "in_process")]
    pub(crate) weights: Option<PathBuf>,
    /// Input tensors, or a CT for `file`.
    #[arg(long, value_name = "FILE", hide = true, requires = "in_process")]
    pub(crate) input: Option<PathBuf>,
    /// Output file for the computed tensors.
    #[arg(long, value_name = "FILE", hide = true, requires = "in_process")]
    pub(crate) output: Option<PathBuf>,
}
