//! Flags of `predict`, `evaluate` and `probe`.

use std::{fmt, path::PathBuf, str::FromStr};

use bipvl::{
    device::{DeviceKind, Precision},
    infer::{BlendMode, TestTimeMirroring},
    text::{ClassName, perturbations::Perturbation},
};
use bipvl_imaging::formats::{ENDINGS, output_ending};
use bipvl_metrics::Convention;
use clap::{Args, ValueEnum, value_parser};

use super::{FROM_SLURM, PromptArgs, ShardArg, ShardArgs};

#[derive(Debug, Args)]
pub(crate) struct PredictArgs {
    /// Folder of a trained run or of a cross-validation; repeat for an ensemble, whose logits are averaged.
    #[arg(long, value_name = "RUN", required = true)]
    pub(crate) model: Vec<PathBuf>,
    /// Output folder for the label maps, named after their scans.
    #[arg(short, long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Format of the results; repeat for several: nifti, nrrd, mha or another file ending for a label map; dicom-seg,
    /// dicom-labelmap, rtstruct or sr for a DICOM series [default: that of each scan, dicom-seg for DICOM].
    #[arg(long, value_name = "FORMAT")]
    pub(crate) format: Vec<FormatArg>,
    #[command(flatten)]
    pub(crate) dicom: DicomArgs,
    /// Replace files that exist.
    #[arg(long, conflicts_with = "skip_existing")]
    pub(crate) overwrite: bool,
    /// Skip scans whose files exist, to continue an interrupted batch. Give the same flags as before: prompts are
    /// compared, nothing else.
    #[arg(long, conflicts_with = "deidentify")]
    pub(crate) skip_existing: bool,
    #[command(flatten)]
    pub(crate) shard: ShardArgs,
    #[command(flatten)]
    pub(crate) more: MoreOutputs,
    #[command(flatten)]
    pub(crate) prompts: PromptArgs,
    /// Scans or folders of scans. A multi-channel case is one 4-D file, or one file per channel with the
    /// suffixes _0000, _0001, … A folder without such files, a DICOMDIR and a zip archive are a DICOM study.
    #[arg(required = true, value_name = "INPUT")]
    pub(crate) inputs: Vec<PathBuf>,
    /// Classes to write, comma-separated, names with a comma in double quotes: names of the run or synonyms
    /// (`hepar` for `liver`, `kidney` for both kidneys). All classes still compete for every voxel; those not
    /// named become background.
    #[arg(long, value_name = "A,B")]
    pub(crate) classes: Vec<ClassList>,
    /// Descriptions (TOML or CSV) that replace those of the run, for all classes or some. They apply to every
    /// scan: per-case descriptions in `descriptionsTs` are ignored (a warning is logged).
    #[arg(long, value_name = "FILE")]
    pub(crate) descriptions: Option<PathBuf>,
    /// Additional class-name synonyms: TOML tables `[single]` and `[paired]` of entries such as
    /// `"kidney" = ["nyre"]`.
    #[arg(long, value_name = "FILE")]
    pub(crate) synonyms: Option<PathBuf>,
    /// Folder of per-case descriptions, `CASE.toml` [default: `descriptionsTs` beside scans in `imagesTs`, if
    /// present].
    #[arg(long, value_name = "DIR", conflicts_with = "descriptions")]
    pub(crate) case_descriptions: Option<PathBuf>,
    /// Sliding-window overlap, 0 ≤ overlap < 1 [default: that of the run].
    #[arg(long, value_name = "FRACTION", allow_negative_numbers = true)]
    pub(crate) overlap: Option<f64>,
    /// Weighting of overlapping patches [default: that of the run].
    #[arg(long, value_enum)]
    pub(crate) blend_mode: Option<BlendModeArg>,
    /// Test-time augmentation: average the logits over flips along these axes, such as x,y,z; each axis doubles
    /// the time. Not allowed along x if classes are lateralized (left/right).
    #[arg(long, value_name = "AXES")]
    pub(crate) tta_mirror_axes: Option<TestTimeMirroring>,
    /// Keep only the largest connected component of each class [default: that of the run; `=false` keeps all].
    /// Not allowed if classes overlap.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) keep_largest_component: Option<bool>,
    /// Run the network on every patch, also on constant ones such as air, which otherwise share one forward
    /// pass. The label maps are the same.
    #[arg(long)]
    pub(crate) no_skip_constant_patches: bool,
    /// Compute device: cpu, vulkan or cuda.
    #[arg(long, value_name = "NAME", default_value = "cpu")]
    pub(crate) device: DeviceKind,
    /// Floating-point precision: float32, or bf16 (mixed precision) where the device supports it.
    #[arg(long, value_name = "NAME", default_value_t = Precision::Float32)]
    pub(crate) precision: Precision,
}

impl PredictArgs {
    /// Whether a flag is for DICOM alone.
    pub(crate) fn wants_dicom(&self) -> bool {
        let is_object = |format: &FormatArg| matches!(format, FormatArg::Object(_));
        self.format.iter().any(is_object) || self.dicom.series.is_some() || self.dicom.deidentify
    }
}

/// What is read of a DICOM study, and what is told of it.
#[derive(Debug, Args)]
pub(crate) struct DicomArgs {
    /// Of several DICOM series below an INPUT, the one to segment: its number in `bipvl data series`, its UID, a part of
    /// its description, or `largest`.
    #[arg(long, value_name = "SERIES")]
    pub(crate) series: Option<String>,
    /// Write DICOM objects without patient, dates and UIDs of the series (basic profile of PS3.15).
    #[arg(long)]
    pub(crate) deidentify: bool,
}

/// Files of a prediction beside its label map.
#[derive(Debug, Args)]
pub(crate) struct MoreOutputs {
    /// Also write volume, intensities, extent and number of pieces of each class or prompt: `SCAN.statistics.json` and
    /// `.csv`.
    #[arg(long)]
    pub(crate) statistics: bool,
    /// Also write one mask per class or prompt, `masks/SCAN_CLASS` in the output folder. Masks that overlap, of which
    /// a label map holds the last, stay whole.
    #[arg(long)]
    pub(crate) each: bool,
    /// Also write the probability of each class or prompt, `probabilities/SCAN_CLASS` in the output folder: the softmax,
    /// or the sigmoid of overlapping classes and of prompts, of the logits on the grid of the scan, in 8-bit steps of
    /// 1/255, cropped to where it is not 0. Needs 4 bytes of memory per voxel and class.
    #[arg(long)]
    pub(crate) probabilities: bool,
}

/// Class names separated by commas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ClassList(pub(crate) Vec<String>);

impl FromStr for ClassList {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        ClassName::split_list(text).map(Self).map_err(|error| error.to_string())
    }
}

/// The format of a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FormatArg {
    /// A label map, by its file ending.
    Volume(&'static str),
    /// A DICOM object over its series.
    Object(ObjectFormat),
}

/// A DICOM object of results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ObjectFormat {
    /// Binary segmentation.
    Seg,
    /// Label map segmentation.
    LabelMap,
    /// Contours.
    RtStruct,
    /// Measurements.
    Sr,
}

impl ObjectFormat {
    const ALL: [(&'static str, Self); 4] = [
        ("dicom-seg", Self::Seg),
        ("dicom-labelmap", Self::LabelMap),
        ("rtstruct", Self::RtStruct),
        ("sr", Self::Sr),
    ];

    /// The end of the names of its files.
    pub(crate) fn ending(self) -> &'static str {
        match self {
            Self::Seg => ".seg.dcm",
            Self::LabelMap => ".labelmap.dcm",
            Self::RtStruct => ".rtstruct.dcm",
            Self::Sr => ".sr.dcm",
        }
    }
}

/// As it is given.
impl fmt::Display for FormatArg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Volume(ending) => ending.trim_start_matches('.'),
            Self::Object(object) => {
                ObjectFormat::ALL.iter().find(|(_, other)| other == object).map_or("", |(name, _)| name)
            }
        };
        f.write_str(name)
    }
}

impl FromStr for FormatArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let name = match text.trim_start_matches('.').to_lowercase().as_str() {
            "nifti" => "nii.gz".to_owned(),
            name => name.to_owned(),
        };
        if let Some((_, object)) = ObjectFormat::ALL.iter().find(|(object, _)| *object == name) {
            return Ok(Self::Object(*object));
        }
        // Only endings of single files: a pair of files is written as one.
        let endings: Vec<&str> = ENDINGS
            .iter()
            .map(|(ending, _)| *ending)
            .filter(|ending| output_ending(ending) == *ending)
            .collect();
        let found = endings.iter().find(|ending| ending.trim_start_matches('.') == name);
        found.map(|ending| Self::Volume(ending)).ok_or_else(|| {
            let endings = endings.iter().map(|ending| ending.trim_start_matches('.'));
            let objects = ObjectFormat::ALL.iter().map(|(name, _)| *name);
            format!("expected one of nifti, {}", endings.chain(objects).collect::<Vec<_>>().join(", "))
        })
    }
}

/// Weighting of overlapping patches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum BlendModeArg {
    /// The center of a patch weighs more than its border.
    Gaussian,
    /// All voxels weigh the same.
    Constant,
}

impl From<BlendModeArg> for BlendMode {
    fn from(arg: BlendModeArg) -> Self {
        match arg {
            BlendModeArg::Gaussian => Self::Gaussian,
            BlendModeArg::Constant => Self::Constant,
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
    /// Output file for the scores.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: PathBuf,
    /// Metric definitions to follow: monai, deepmind, metrics-reloaded or medpy.
    #[arg(long, value_name = "NAME", default_value_t = Convention::Monai)]
    pub(crate) convention: Convention,
    /// Score every N-th case alone, from the K-th (K from 0), such as 3/10, into `FILE-K-of-N.json`, for `bipvl merge`.
    /// Without a value: the task of a Slurm job array. Needs the names of the classes.
    #[arg(long, value_name = "K/N", num_args = 0..=1, default_missing_value = FROM_SLURM)]
    pub(crate) shard: Option<ShardArg>,
    /// Tolerance of the normalized surface distance (NSD), in mm.
    #[arg(long, value_name = "MM", default_value_t = 2.0, allow_negative_numbers = true)]
    pub(crate) tolerance_mm: f64,
    /// `dataset.json` or configuration (`.toml`) with class names and labels [default: the `dataset.json` beside
    /// --ref, else all labels that occur].
    #[arg(long, value_name = "FILE")]
    pub(crate) dataset: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct ProbeArgs {
    /// Folder of a trained run.
    #[arg(long, value_name = "RUN")]
    pub(crate) model: PathBuf,
    /// Data set folder with labels, as for `bipvl train`. A run with `model.head = "prompts"` knows its own.
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Output folder for probe.json, probe.md, probe.html and cached results, from which an interrupted probe
    /// continues [default: `probe` in the run].
    #[arg(short, long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Cases of the data set to use.
    #[arg(long, value_enum, default_value_t = CasesArg::Val)]
    pub(crate) cases: CasesArg,
    /// Use only the first N cases, by name.
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..))]
    pub(crate) max_cases: Option<u32>,
    /// Text perturbations to apply, comma-separated: class-names, paraphrase, typos, laterality-swap,
    /// concept-dropout, shuffle, absent-organ, pseudowords, empty [default: all].
    #[arg(long, value_name = "KINDS", value_delimiter = ',')]
    pub(crate) perturbations: Vec<Perturbation>,
    /// Descriptions with the same meaning in other words (TOML or CSV), for all classes or some; repeatable.
    /// They count as paraphrases, in addition to the generated ones.
    #[arg(long, value_name = "FILE")]
    pub(crate) paraphrases: Vec<PathBuf>,
    /// For a prompted run: a held-out concept that no training image shows, reported apart; repeatable.
    #[arg(long, value_name = "NAME")]
    pub(crate) unseen: Vec<String>,
    /// Additional class-name synonyms, as for `bipvl predict`.
    #[arg(long, value_name = "FILE")]
    pub(crate) synonyms: Option<PathBuf>,
    /// Random seed of the perturbations and of the bootstrap intervals.
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true)]
    pub(crate) seed: u64,
    /// Compute device: cpu, vulkan or cuda.
    #[arg(long, value_name = "NAME", default_value = "cpu")]
    pub(crate) device: DeviceKind,
}

/// Cases of a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum CasesArg {
    /// The validation cases of the run (of a prompted run, its test cases where it has any); --data must be the data set of the run.
    Val,
    /// All labeled cases. Another data set may be used if it has the classes of the run, also under other names
    /// or labels.
    All,
}
