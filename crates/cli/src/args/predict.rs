//! Flags of the commands that segment and score.

use std::path::PathBuf;

use bipvl::{
    device::{DeviceKind, Precision},
    infer::{Blending, Mirror},
    text::variants::Kind,
};
use bipvl_metrics::Convention;
use clap::{Args, ValueEnum, value_parser};

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
    /// run. They hold for every scan: descriptions of single cases in `descriptionsTs` are then not read, which is told.
    /// `bipvl probe` tells how much the model heeds its text.
    #[arg(long, value_name = "FILE")]
    pub(crate) descriptions: Option<PathBuf>,
    /// Other names for organs, beside the built-in ones: TOML tables `[single]` and `[paired]` of entries such as
    /// `"kidney" = ["nyre"]`.
    #[arg(long, value_name = "FILE")]
    pub(crate) synonyms: Option<PathBuf>,
    /// Folder with descriptions of single cases, `CASE.toml`, each with the classes that it describes
    /// otherwise than the run; when not given, `descriptionsTs` beside scans in `imagesTs` is one, if it is
    /// there.
    #[arg(long, value_name = "DIR", conflicts_with = "descriptions")]
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
    /// Keep of each class only the largest connected component, for classes that are one piece in the body; the run's own
    /// choice when not given, `=false` to keep all. Refused where classes overlap.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) keep_largest_component: Option<bool>,
    /// Pass every patch through the network; else patches that are one and the same constant, such as air,
    /// share one pass. The label maps are the same.
    #[arg(long)]
    pub(crate) every_patch: bool,
    /// Where to compute: cpu, vulkan or cuda.
    #[arg(long, value_name = "NAME", default_value = "cpu")]
    pub(crate) device: DeviceKind,
    /// How numbers are kept: float32. bf16 (mixed precision) is refused where the device does not compute in it, which
    /// none does so far.
    #[arg(long, value_name = "NAME", default_value_t = Precision::Float32)]
    pub(crate) precision: Precision,
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
    /// `dataset.json` or configuration (`.toml`) with the classes and their labels; else the `dataset.json`
    /// beside --ref, else the labels found.
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
