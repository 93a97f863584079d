//! The flags and their help; no logic.

use std::path::PathBuf;

use bipvl::{
    device::DeviceKind,
    infer::Blending,
    model::{Merging, Preset},
};
use bipvl_metrics::Convention;
use clap::{Args, Parser, Subcommand, ValueEnum, value_parser};

use crate::commands::bench::Measure;

/// Segments 3-D medical scans, guided by a description of each class in words.
///
/// Begin with `bipvl demo`: it draws phantoms, trains a small model, predicts, and writes a report, in a few
/// minutes and without any data. Then `bipvl train` on a folder of labeled scans, and `bipvl predict`.
#[derive(Debug, Parser)]
#[command(name = "bipvl", version, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// How messages are written to the standard error.
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text)]
    pub(crate) log_format: LogFormat,
    /// Threads of the processor to use; all when not given. Results do not depend on it.
    #[arg(long, global = true, value_name = "N", allow_negative_numbers = true)]
    pub(crate) threads: Option<usize>,
}

/// Form of the messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// A sentence a line.
    Text,
    /// A JSON object a line.
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Draw phantoms, train, predict, evaluate, and write a report: the whole story in a few minutes.
    Demo(DemoArgs),
    /// Train a model on a folder of labeled scans.
    Train(Box<TrainArgs>),
    /// Segment scans with a trained model.
    Predict(PredictArgs),
    /// Score label maps against a reference.
    Evaluate(EvaluateArgs),
    /// Take published weights: a MONAI Swin UNETR, or a Hugging Face BERT.
    Import(ImportArgs),
    /// Give the vision side of a run as a MONAI Swin UNETR.
    Export(ExportArgs),
    /// Tell what a run or a preset is: classes, descriptions, parameters, and what it needs.
    Info(InfoArgs),
    /// Measure how fast this program computes, and how much memory it needs.
    Bench(BenchArgs),
}

#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Folder for the phantoms, the run and the report.
    #[arg(long, value_name = "DIR", default_value = "bipvl-demo")]
    pub(crate) out: PathBuf,
    /// Bodies with two equal organs instead, of which only the text of each case says which is which.
    #[arg(long)]
    pub(crate) text: bool,
    /// Updates of the weights; fewer are faster and worse. 150 when not given, more with --text.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) steps: Option<usize>,
}

#[derive(Debug, Args)]
pub(crate) struct TrainArgs {
    /// Data set folder with `dataset.json`, `imagesTr` and `labelsTr`, in the layout of the Medical
    /// Segmentation Decathlon or of nnU-Net v2.
    #[arg(long, value_name = "DIR")]
    pub(crate) data: PathBuf,
    /// What each class looks like, in words: TOML, or a CSV table.
    #[arg(long, value_name = "FILE")]
    pub(crate) descriptions: PathBuf,
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
    /// Updates of the weights; the learning rate falls to zero over them.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) steps: Option<usize>,
    /// What every random choice follows from.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) seed: Option<u64>,
    /// Stop early after so many minutes; --resume goes on later.
    #[arg(long, value_name = "M", allow_negative_numbers = true)]
    pub(crate) max_minutes: Option<f64>,
    /// Go on with the run in --out from its last checkpoint.
    #[arg(long, conflicts_with_all = ["preset", "config", "text_encoder", "weights", "val_fold", "steps", "seed"])]
    pub(crate) resume: bool,
    /// Where to compute: cpu, vulkan or cuda.
    #[arg(long, value_name = "NAME", default_value = "cpu")]
    pub(crate) device: DeviceKind,
}

#[derive(Debug, Args)]
pub(crate) struct PredictArgs {
    /// Folder of the trained run.
    #[arg(long, value_name = "RUN")]
    pub(crate) model: PathBuf,
    /// Folder for the label maps; each keeps the name of its scan.
    #[arg(short, long, value_name = "OUT")]
    pub(crate) out: PathBuf,
    /// Scans (`.nii`, `.nii.gz`) or folders of scans. A case of several channels is one 4-D file, or files
    /// that end in _0000, _0001 and so on.
    #[arg(required = true, value_name = "INPUT")]
    pub(crate) inputs: Vec<PathBuf>,
    /// Folder with descriptions of single cases, `CASE.toml`, each with the classes that it describes
    /// otherwise than the run; when not given, `descriptionsTs` beside scans in `imagesTs` is one, if it is
    /// there.
    #[arg(long, value_name = "DIR")]
    pub(crate) case_descriptions: Option<PathBuf>,
    /// Shared part of neighboring patches, 0 to less than 1; the run's own when not given.
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true)]
    pub(crate) overlap: Option<f64>,
    /// How overlapping patches are weighted; the run's own when not given.
    #[arg(long, value_enum)]
    pub(crate) blending: Option<BlendingArg>,
    /// Pass every patch through the network; else patches that are one and the same constant, such as air,
    /// share one pass. The label maps are the same.
    #[arg(long)]
    pub(crate) every_patch: bool,
    /// Where to compute: cpu, vulkan or cuda.
    #[arg(long, value_name = "NAME", default_value = "cpu")]
    pub(crate) device: DeviceKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum BlendingArg {
    /// The center of a patch counts more than its border.
    Gaussian,
    /// All voxels count alike.
    Constant,
}

impl From<BlendingArg> for Blending {
    fn from(arg: BlendingArg) -> Self {
        match arg {
            BlendingArg::Gaussian => Self::Gaussian,
            BlendingArg::Constant => Self::Constant,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct EvaluateArgs {
    /// Folder of predicted label maps.
    #[arg(long, value_name = "DIR")]
    pub(crate) pred: PathBuf,
    /// Folder of reference label maps with the same file names.
    #[arg(long = "ref", value_name = "DIR")]
    pub(crate) reference: PathBuf,
    /// File for the scores.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: PathBuf,
    /// Whose definition of each metric: monai, deepmind, metrics-reloaded or medpy.
    #[arg(long, value_name = "NAME", default_value_t = Convention::Monai)]
    pub(crate) convention: Convention,
    /// Distance within which surfaces agree, for NSD.
    #[arg(long, value_name = "T", default_value_t = 2.0, allow_negative_numbers = true)]
    pub(crate) tolerance_mm: f64,
    /// `dataset.json` with the names of the classes; else the one beside --ref, else the labels found.
    #[arg(long, value_name = "FILE")]
    pub(crate) dataset: Option<PathBuf>,
}

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
