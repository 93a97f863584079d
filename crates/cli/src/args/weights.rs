//! Flags of the commands that bring weights in and out, tell of a run, and measure.

use std::path::PathBuf;

use bipvl::nn::{Merging, Preset};
use clap::{Args, ValueEnum, value_parser};

use crate::commands::bench::Measure;

#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// A MONAI checkpoint (`.pt`, `.pth`, `.safetensors`), or the folder of a BERT (`config.json` and
    /// `model.safetensors` or `pytorch_model.bin`). Pickled code is never run.
    #[arg(value_name = "SOURCE")]
    pub(crate) source: PathBuf,
    /// How the network merges patches; no file tells. MONAI up to 1.4: repeated; from 1.6 on: complete.
    #[arg(long, value_enum, default_value_t = MergingArg::Repeated)]
    pub(crate) merging: MergingArg,
    /// File for the weights under our names, for `bipvl train --weights`; only the report when not given.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum MergingArg {
    /// Two of the eight voxels of a cube twice, two never.
    Repeated,
    /// Each of the eight voxels once.
    Complete,
}

impl From<MergingArg> for Merging {
    fn from(arg: MergingArg) -> Self {
        match arg {
            MergingArg::Repeated => Self::Repeated,
            MergingArg::Complete => Self::Complete,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// Folder of a trained run.
    #[arg(value_name = "RUN")]
    pub(crate) run: PathBuf,
    /// File for the weights under MONAI's names, safetensors.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) out: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct InfoArgs {
    /// Folder of a run.
    #[arg(value_name = "RUN", required_unless_present = "preset", conflicts_with = "preset")]
    pub(crate) run: Option<PathBuf>,
    /// A preset instead of a run: paper, small or tiny.
    #[arg(long, value_name = "NAME")]
    pub(crate) preset: Option<Preset>,
    /// Write JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    /// What to measure; all when none is named. vision-F-S and train-F-S: Swin UNETR of feature size F on a
    /// window of side S; text-window, text-window-cached, text-train, text-train-paper: the whole network;
    /// file: from a CT to a label map; score: Dice, HD95 and NSD of 15 classes.
    #[arg(value_name = "MEASURE")]
    pub(crate) measures: Vec<Measure>,
    /// Write JSON.
    #[arg(long)]
    pub(crate) json: bool,
    /// Repetitions, after one for warmth; fewer when they would take longer than a minute.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = value_parser!(u32).range(1..))]
    pub(crate) repeat: u32,
    /// Classes of the text measures, 1 to 255; 15 when not given.
    #[arg(long, value_name = "K", value_parser = value_parser!(u16).range(1..=255))]
    pub(crate) classes: Option<u16>,
    /// Tokens of the text of each class of the text measures, 16 to 512; 48 when not given.
    #[arg(long, value_name = "L", value_parser = value_parser!(u16).range(16..=512))]
    pub(crate) tokens: Option<u16>,
    /// Small sizes, to see that all works; the times say nothing.
    #[arg(long)]
    pub(crate) quick: bool,
    /// Make the one measure in this process.
    #[arg(long, hide = true)]
    pub(crate) here: bool,
    /// Weights under the names of MONAI and Hugging Face, to compute as another program does.
    #[arg(long, value_name = "FILE", hide = true, requires = "here")]
    pub(crate) weights: Option<PathBuf>,
    /// What to compute with: tensors, or a CT for `file`.
    #[arg(long, value_name = "FILE", hide = true, requires = "here")]
    pub(crate) input: Option<PathBuf>,
    /// Where to write what was computed.
    #[arg(long, value_name = "FILE", hide = true, requires = "here")]
    pub(crate) output: Option<PathBuf>,
}
