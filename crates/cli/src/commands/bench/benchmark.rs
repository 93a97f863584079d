//! The benchmarks, by name.

use std::{fmt, str::FromStr};

use super::dicom::DicomTask;

/// One benchmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Benchmark {
    /// Forward pass of Swin UNETR, without text.
    Vision(Size),
    /// Training step of Swin UNETR.
    Train(Size),
    /// Forward pass of the whole network of size `paper`, text encoder included.
    TextWindow,
    /// The same with cached text features, as in prediction.
    TextWindowCached,
    /// Training step of the whole network of size `tiny`.
    TextTrain,
    /// Training step of the whole network of size `paper`.
    TextTrainPaper,
    /// Forward pass of the prompted network of size `paper` with so many short prompts.
    Prompts(usize),
    /// From a CT file to a label file.
    File,
    /// Dice, HD95 and NSD of 15 classes.
    Score,
    /// A DICOM series, segmentation or structure set.
    Dicom(DicomTask),
}

/// Size of a Swin UNETR and its patch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    /// Channels of the first stage.
    pub(crate) feature_size: usize,
    /// Voxels along each side of the patch.
    pub(crate) side: usize,
}

impl Size {
    /// For `--smoke-test`.
    pub(crate) const SMOKE_TEST: Self = Self { feature_size: 12, side: 32 };

    const fn new(feature_size: usize, side: usize) -> Self {
        Self { feature_size, side }
    }
}

impl Benchmark {
    /// All benchmarks, in default order.
    pub(crate) const ALL: [Self; 23] = [
        Self::Vision(Size::new(48, 96)),
        Self::Vision(Size::new(48, 64)),
        Self::Vision(Size::new(24, 96)),
        Self::Vision(Size::new(24, 64)),
        Self::Vision(Size::new(12, 96)),
        Self::Vision(Size::new(12, 64)),
        Self::Train(Size::new(48, 96)),
        Self::Train(Size::new(24, 64)),
        Self::Train(Size::new(12, 64)),
        Self::TextWindow,
        Self::TextWindowCached,
        Self::TextTrain,
        Self::TextTrainPaper,
        Self::Prompts(1),
        Self::Prompts(15),
        Self::Prompts(60),
        Self::Prompts(100),
        Self::File,
        Self::Score,
        Self::Dicom(DicomTask::ReadSeries),
        Self::Dicom(DicomTask::WriteSeg),
        Self::Dicom(DicomTask::ReadSeg),
        Self::Dicom(DicomTask::WriteRtStruct),
    ];
}

impl fmt::Display for Benchmark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Vision(Size { feature_size, side }) => &format!("vision-{feature_size}-{side}"),
            Self::Train(Size { feature_size, side }) => &format!("train-{feature_size}-{side}"),
            Self::TextWindow => "text-window",
            Self::TextWindowCached => "text-window-cached",
            Self::TextTrain => "text-train",
            Self::TextTrainPaper => "text-train-paper",
            Self::Prompts(count) => &format!("prompts-{count}"),
            Self::File => "file",
            Self::Score => "score",
            Self::Dicom(DicomTask::ReadSeries) => "dicom-read",
            Self::Dicom(DicomTask::WriteSeg) => "dicom-seg-write",
            Self::Dicom(DicomTask::ReadSeg) => "dicom-seg-read",
            Self::Dicom(DicomTask::WriteRtStruct) => "dicom-rtstruct",
        };
        f.pad(name)
    }
}

impl FromStr for Benchmark {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|benchmark| benchmark.to_string() == name).ok_or_else(|| {
            let names = Self::ALL.map(|benchmark| benchmark.to_string()).join(", ");
            format!("expected one of {names}, found \"{name}\"")
        })
    }
}
