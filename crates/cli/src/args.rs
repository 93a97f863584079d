//! The flags and their help; no logic.

use std::path::PathBuf;

use bipvl::{
    device::DeviceKind,
    infer::{Blending, Mirror},
    model::{Merging, Preset},
    text::variants::Kind,
};
use bipvl_metrics::Convention;
use clap::{Args, Parser, Subcommand, ValueEnum, value_parser};

use crate::{
    commands::{ablate::Row, bench::Measure},
    experiments::Experiment,
};

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
    /// Look through a data set before a training does.
    Data(DataArgs),
    /// Write a description of every class of a data set, or look through descriptions.
    Describe(DescribeArgs),
    /// Train a model on a folder of labeled scans.
    Train(Box<TrainArgs>),
    /// Train the method with one part at a time left out or replaced, and compare.
    Ablate(Box<AblateArgs>),
    /// Segment scans with a trained model.
    Predict(PredictArgs),
    /// Score label maps against a reference.
    Evaluate(EvaluateArgs),
    /// Measure how much a trained model depends on its text: paraphrases, typos, swapped sides, nonsense.
    Probe(ProbeArgs),
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
pub(crate) struct DataArgs {
    #[command(subcommand)]
    pub(crate) command: DataCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DataCommand {
    /// Tell what is in a folder and what is missing or wrong, and how to begin a training with it.
    Check(CheckArgs),
}

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// Data set folder, in a layout in which data sets are downloaded: Medical Segmentation Decathlon,
    /// nnU-Net v2, AMOS22, MM-WHS or ACDC.
    #[arg(value_name = "DIR")]
    pub(crate) data: PathBuf,
    /// Configuration to read the folder with; else that of each built-in experiment that fits it.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Write JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DescribeArgs {
    /// Data set folder; with --check, the descriptions are compared with its classes and its modality.
    #[arg(long, value_name = "DIR", required_unless_present = "check")]
    pub(crate) data: Option<PathBuf>,
    /// New file for the descriptions, TOML. Read it before you train: it is only as good as its source.
    #[arg(long, value_name = "FILE", required_unless_present = "check")]
    pub(crate) out: Option<PathBuf>,
    /// Where the sentences come from; knowledge where the class is known and statistics where it is not, when
    /// not given.
    #[arg(long, value_enum, value_name = "SOURCE")]
    pub(crate) from: Option<DescribeSource>,
    /// How many cases are measured, evenly spaced in the list.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = value_parser!(u32).range(1..))]
    pub(crate) cases: u32,
    /// Server with the chat protocol of `OpenAI`, such as `http://localhost:11434/v1`. It is told the names of the
    /// classes and of the data set, its channels and its modality, and nothing else.
    #[arg(long, value_name = "URL", required_if_eq("from", "endpoint"), requires = "model")]
    pub(crate) endpoint: Option<String>,
    /// Model of that server.
    #[arg(long, value_name = "NAME", requires = "endpoint")]
    pub(crate) model: Option<String>,
    /// Environment variable that holds the key of that server; none is sent when it is not set.
    #[arg(long, value_name = "NAME", default_value = "BIPVL_API_KEY")]
    pub(crate) key_env: String,
    /// Seconds that an answer of that server may take.
    #[arg(long, value_name = "S", default_value_t = 120, value_parser = value_parser!(u64).range(1..))]
    pub(crate) timeout_s: u64,
    /// Look through this file instead, and say what is wrong in it. The exit code is 1 when there are errors.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["out", "from", "endpoint"])]
    pub(crate) check: Option<PathBuf>,
    /// Hugging Face folder whose vocabulary counts the tokens; else their number is estimated.
    #[arg(long, value_name = "DIR")]
    pub(crate) text_encoder: Option<PathBuf>,
}

/// Where descriptions come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DescribeSource {
    /// Built-in texts about common organs.
    Knowledge,
    /// Measures of the labels: size, form, place, brightness.
    Statistics,
    /// The server of --endpoint.
    Endpoint,
}

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
    /// Go on with the run in --out from its last checkpoint.
    #[arg(long, conflicts_with_all = ["experiment", "preset", "config", "text_encoder", "weights", "val_fold", "folds", "steps", "seed"])]
    pub(crate) resume: bool,
    /// Where to compute: cpu, vulkan or cuda.
    #[arg(long, value_name = "NAME", default_value = "cpu")]
    pub(crate) device: DeviceKind,
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

#[derive(Debug, Args)]
pub(crate) struct PredictArgs {
    /// Folder of the trained run, or of a cross-validation; may be given several times. Several runs, such as
    /// the folds, are an ensemble: the mean of their logits decides.
    #[arg(long, value_name = "RUN", required = true)]
    pub(crate) model: Vec<PathBuf>,
    /// Folder for the label maps; each keeps the name of its scan.
    #[arg(short, long, value_name = "OUT")]
    pub(crate) out: PathBuf,
    /// Scans (`.nii`, `.nii.gz`) or folders of scans. A case of several channels is one 4-D file, or files
    /// that end in _0000, _0001 and so on.
    #[arg(required = true, value_name = "INPUT")]
    pub(crate) inputs: Vec<PathBuf>,
    /// Write these classes only, names separated by commas: those of the run, or other names for the same organ
    /// (`hepar` for `liver`; `kidney` for both). All classes are decided together as always, then the voxels of
    /// those not named become background: a voxel of the spleen is not given to the liver because only the
    /// liver was asked for.
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    pub(crate) classes: Vec<String>,
    /// Descriptions (TOML, or a CSV table) that replace those of the run, without training; of all classes or of
    /// some. A class that the file does not describe keeps its trained text. The concepts need not be those of the
    /// run. `bipvl probe` tells how much the model heeds its text.
    #[arg(long, value_name = "FILE")]
    pub(crate) descriptions: Option<PathBuf>,
    /// Other names for organs, beside the built-in ones: TOML tables `[single]` and `[paired]` of entries such as
    /// `"kidney" = ["nyre"]`.
    #[arg(long, value_name = "FILE")]
    pub(crate) synonyms: Option<PathBuf>,
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
    /// Axes along which each patch is flipped too, such as x,y,z: the mean of the logits over all flips decides,
    /// with two passes for each axis. Refused for x where the classes tell left from right.
    #[arg(long, value_name = "AXES")]
    pub(crate) mirror: Option<Mirror>,
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
pub(crate) struct ProbeArgs {
    /// Folder of the trained run.
    #[arg(long, value_name = "RUN")]
    pub(crate) model: PathBuf,
    /// Data set folder with labels, as for `bipvl train`.
    #[arg(long, value_name = "DIR")]
    pub(crate) data: PathBuf,
    /// Folder for probe.json, probe.md, probe.html and the answers so far, from which the same command goes on
    /// after it was stopped; the folder `probe` of the run when not given.
    #[arg(short, long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Which cases of the data set.
    #[arg(long, value_enum, default_value_t = CasesArg::Val)]
    pub(crate) cases: CasesArg,
    /// Only so many cases, the first by name.
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..))]
    pub(crate) max_cases: Option<u32>,
    /// What is done to the text, separated by commas; all when not given: names, paraphrase, typos, sides, dropped,
    /// shuffled, absent, nonsense, empty.
    #[arg(long, value_name = "KIND", value_delimiter = ',')]
    pub(crate) only: Vec<Kind>,
    /// Descriptions that say the same in other words, TOML or CSV, of all classes or some; may be given several
    /// times. They are counted as paraphrases, beside those made by rule.
    #[arg(long, value_name = "FILE")]
    pub(crate) paraphrases: Vec<PathBuf>,
    /// Other names for organs, as for `bipvl predict`.
    #[arg(long, value_name = "FILE")]
    pub(crate) synonyms: Option<PathBuf>,
    /// What every random choice follows from: typos, shuffling, nonsense, intervals.
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true)]
    pub(crate) seed: u64,
    /// Where to compute: cpu, vulkan or cuda.
    #[arg(long, value_name = "NAME", default_value = "cpu")]
    pub(crate) device: DeviceKind,
}

/// Cases of a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum CasesArg {
    /// Those that the run was validated on; the data set must be the run's.
    Val,
    /// All with labels. It may be another data set that has the run's classes, under other names or labels too.
    All,
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
