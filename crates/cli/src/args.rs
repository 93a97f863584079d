//! Command-line definitions: sub-commands, flags and help texts.

mod cluster;
mod predict;
mod prompts;
mod queue;
mod serve;
mod train;
mod weights;

use std::path::PathBuf;

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum, error::ErrorKind, value_parser};
use clap_complete::Shell;

use crate::commands::demo::Kinds;

pub(crate) use cluster::*;
pub(crate) use predict::*;
pub(crate) use prompts::*;
pub(crate) use queue::*;
pub(crate) use serve::*;
pub(crate) use train::*;
pub(crate) use weights::*;

/// Text-guided 3-D medical image segmentation: training, inference, evaluation.
///
/// Start with `bipvl demo`: it trains a small model on synthetic bodies, asks it in words, and writes a report in a
/// few minutes, without any data. Then run `bipvl data check` and `bipvl train` on a folder of labeled scans,
/// and `bipvl predict` on new ones.
///
/// Exit codes: 0 success, 1 runtime error, 2 usage error, 130 interrupted.
#[derive(Debug, Parser)]
#[command(name = "bipvl", version, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Format of log messages on standard error.
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text)]
    pub(crate) log_format: LogFormat,
    /// Number of CPU threads [default: all]. Results do not depend on it.
    #[arg(long, global = true, value_name = "N", allow_negative_numbers = true)]
    pub(crate) threads: Option<usize>,
}

/// Format of log messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// Human-readable text.
    Text,
    /// One JSON object per line.
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run an end-to-end demo on synthetic data: train, predict, evaluate, report.
    Demo(DemoArgs),
    /// Inspect a data set before training.
    Data(DataArgs),
    /// Generate class descriptions for a data set, or lint a description file.
    Describe(DescribeArgs),
    /// Train a model on a folder of labeled scans.
    Train(Box<TrainArgs>),
    /// Run an ablation study: train with one component changed at a time, and compare.
    Ablate(Box<AblateArgs>),
    /// Segment scans with a trained model.
    Predict(Box<PredictArgs>),
    /// Collect what the shards of a prediction or an evaluation did, and say which to run again.
    Merge(MergeArgs),
    /// Write the script of a Slurm job: a training, the folds of one, an ablation study, or the shards of a prediction.
    Slurm(SlurmArgs),
    /// Serve models to viewers and a web page: upload a scan, say what to look for, see it.
    Serve(Box<ServeArgs>),
    /// Segment studies from a NATS queue, as one of any number of workers (in builds with the feature `nats`).
    Worker(Box<WorkerArgs>),
    /// Put studies into the queue of `bipvl worker`, or show it (in builds with the feature `nats`).
    Submit(Box<SubmitArgs>),
    /// Show what a prompted run was trained on: concepts, names, data sets.
    Vocabulary(VocabularyArgs),
    /// Score predicted label maps against reference label maps.
    Evaluate(EvaluateArgs),
    /// Measure how sensitive a trained model is to its text prompts.
    Probe(ProbeArgs),
    /// Import pretrained weights: a MONAI `SwinUNETR` or a Hugging Face BERT.
    Import(ImportArgs),
    /// Export the vision backbone of a run as a MONAI `SwinUNETR` state dict.
    Export(ExportArgs),
    /// Show a summary of a run or of a model size.
    Info(InfoArgs),
    /// Benchmark speed and memory.
    Bench(BenchArgs),
    /// Print a shell completion script.
    Completions(CompletionsArgs),
    /// Write man pages.
    Man(ManArgs),
}

#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Output folder for the phantoms, the run and the report; an earlier demo in it is replaced.
    #[arg(long, value_name = "DIR", default_value = "bipvl-demo")]
    pub(crate) out: PathBuf,
    /// Kinds of organs to ask for in words: 12 (side, form, density), 24 (more forms) or 48 (sizes, too).
    #[arg(long, value_name = "N", default_value = "12", conflicts_with_all = ["channels", "ambiguous"])]
    pub(crate) kinds: Kinds,
    /// Train the form of the paper, with a channel per class.
    #[arg(long)]
    pub(crate) channels: bool,
    /// The form of the paper on two identical organs that only the per-case text distinguishes.
    #[arg(long, conflicts_with = "channels")]
    pub(crate) ambiguous: bool,
    /// Optimizer steps; fewer are faster and less accurate [default: 1200, 200 with --channels, 300 with --ambiguous].
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) steps: Option<usize>,
    /// Random seed of the prompted training [default: 0].
    #[arg(long, value_name = "N", conflicts_with_all = ["channels", "ambiguous"])]
    pub(crate) seed: Option<u64>,
    /// Serve the model and new phantoms afterwards, with a page to ask for anything in words.
    #[arg(long, conflicts_with_all = ["channels", "ambiguous"])]
    pub(crate) serve: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DataArgs {
    #[command(subcommand)]
    pub(crate) command: DataCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DataCommand {
    /// Report contents, errors and warnings of a data set, and the command to train on it.
    Check(CheckArgs),
    /// List the DICOM series below a folder, DICOMDIR or zip archive, and what is odd about them.
    Series(SeriesArgs),
    /// Make a data set of DICOM studies with segmentations (SEG) or structure sets (RTSTRUCT).
    Import(DicomImportArgs),
}

#[derive(Debug, Args)]
pub(crate) struct DicomImportArgs {
    /// Folder of studies, of any depth, or a zip archive: series, and the segmentations that were made for them.
    #[arg(value_name = "PATH")]
    pub(crate) path: PathBuf,
    /// New folder for the data set, in nnU-Net's layout.
    #[arg(short, long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Import only series of this modality, such as CT.
    #[arg(long, value_name = "MODALITY")]
    pub(crate) modality: Option<String>,
    /// Structures to import, comma-separated, by the names they have after --rename [default: all].
    #[arg(long, value_name = "A,B")]
    pub(crate) classes: Vec<ClassList>,
    /// Another name for a structure, OLD=NEW; repeatable. Structures of one name become one class.
    #[arg(long, value_name = "OLD=NEW")]
    pub(crate) rename: Vec<Rename>,
}

/// Another name for a structure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rename {
    pub(crate) from: String,
    pub(crate) to: String,
}

impl std::str::FromStr for Rename {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((from, to)) if !from.is_empty() && !to.is_empty() => {
                Ok(Self { from: from.to_owned(), to: to.to_owned() })
            }
            _ => Err("expected OLD=NEW".to_owned()),
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct SeriesArgs {
    /// Folder of any depth, DICOM file, DICOMDIR or zip archive.
    #[arg(value_name = "PATH")]
    pub(crate) path: PathBuf,
    /// Print JSON, with the UIDs.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// Data set folder: Medical Segmentation Decathlon, nnU-Net v2, AMOS22, MM-WHS or ACDC layout.
    #[arg(value_name = "DIR", required_unless_present = "config")]
    pub(crate) data: Option<PathBuf>,
    /// Configuration that selects classes and modality [default: every built-in recipe for the data set]. One with
    /// `model.head = "prompts"` needs no DIR: the concepts of all its data sets are shown.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct DescribeArgs {
    #[command(subcommand)]
    pub(crate) command: Option<DescribeCommand>,
    /// Data set folder.
    #[arg(long, value_name = "DIR", required = true)]
    pub(crate) data: Option<PathBuf>,
    /// New TOML file for the descriptions. Review it before training.
    #[arg(long, value_name = "FILE", required = true)]
    pub(crate) out: Option<PathBuf>,
    /// Source of the sentences [default: built-in texts for known classes, statistics for all others].
    #[arg(long, value_enum, value_name = "SOURCE")]
    pub(crate) source: Option<DescribeSource>,
    /// Number of cases to measure, evenly spaced in the list.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = value_parser!(u32).range(1..))]
    pub(crate) cases: u32,
    /// Base URL of a server with the `OpenAI` chat protocol, such as `http://localhost:11434/v1`. It receives
    /// the names of the classes, of the data set and of its channels, and the modality; never voxels.
    #[arg(long, value_name = "URL", required_if_eq("source", "endpoint"), requires = "model")]
    pub(crate) endpoint: Option<String>,
    /// Language model of that server.
    #[arg(long, value_name = "NAME", requires = "endpoint")]
    pub(crate) model: Option<String>,
    /// Environment variable with the API key of that server; no key is sent if it is not set.
    #[arg(long, value_name = "NAME", default_value = "BIPVL_API_KEY")]
    pub(crate) key_env: String,
    /// Timeout per request, in seconds.
    #[arg(long, value_name = "S", default_value_t = 120, value_parser = value_parser!(u64).range(1..))]
    pub(crate) timeout_s: u64,
    /// Hugging Face folder whose tokenizer counts the tokens [default: an estimate].
    #[arg(long, value_name = "DIR")]
    pub(crate) tokenizer: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DescribeCommand {
    /// Report errors and warnings in a description file; exit code 1 if there are errors.
    Lint(LintArgs),
}

#[derive(Debug, Args)]
pub(crate) struct LintArgs {
    /// Description file: TOML, or a CSV table.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Data set folder whose classes and modality the descriptions must match.
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Hugging Face folder whose tokenizer counts the tokens [default: an estimate].
    #[arg(long, value_name = "DIR")]
    pub(crate) tokenizer: Option<PathBuf>,
}

/// Source of generated descriptions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DescribeSource {
    /// Built-in texts about common organs.
    Builtin,
    /// Measured from the labels: size, shape, location, intensity.
    Statistics,
    /// The server of --endpoint.
    Endpoint,
}

#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// Shell to complete for.
    #[arg(value_enum)]
    pub(crate) shell: Shell,
}

#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// Output folder, such as `~/.local/share/man/man1`.
    #[arg(short, long, value_name = "DIR")]
    pub(crate) out: PathBuf,
}

/// Exits with the usage error `message` and exit code 2, for what the parser cannot check.
pub(crate) fn usage_error(message: &str) -> ! {
    Cli::command().error(ErrorKind::ValueValidation, message).exit()
}

/// [`usage_error`] for an argument that only some values of others require.
pub(crate) fn missing_argument(argument: &str) -> ! {
    usage_error(&format!("the following required arguments were not provided: {argument}"))
}

#[cfg(test)]
mod tests {
    use std::{env, fs, path::Path};

    use super::*;

    #[test]
    fn the_definitions_are_consistent() {
        Cli::command().debug_assert();
    }

    /// `BIPVL_UPDATE=1 cargo test -p bipvl-cli reference` writes the page anew.
    #[test]
    fn the_reference_page_is_that_of_the_definitions() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/src/reference/cli.md");
        let options = clap_markdown::MarkdownOptions::new()
            .title("Command-line reference".to_owned())
            .show_footer(false);
        let page = clap_markdown::help_markdown_custom::<Cli>(&options);
        if env::var_os("BIPVL_UPDATE").is_some() {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, &page).unwrap();
        }
        let committed = fs::read_to_string(&path).unwrap();
        assert!(committed == page, "docs/src/reference/cli.md is outdated; write it with BIPVL_UPDATE=1");
    }
}
