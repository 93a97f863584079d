//! The flags and their help; no logic.

mod predict;
mod train;
mod weights;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum, value_parser};

pub(crate) use predict::*;
pub(crate) use train::*;
pub(crate) use weights::*;

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
