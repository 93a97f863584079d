//! What can be measured, by name.

use std::{fmt, str::FromStr};

/// One operation to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Measure {
    /// A window through Swin UNETR, without text.
    Vision(Size),
    /// An update of the weights of Swin UNETR.
    Train(Size),
    /// A window through the whole network of preset `paper`, its text included.
    TextWindow,
    /// The same with a text that was encoded before, as a prediction has it.
    TextWindowCached,
    /// An update of all weights at preset `tiny`.
    TextTrain,
    /// An update of all weights at preset `paper`.
    TextTrainPaper,
    /// From a CT file to a label file.
    File,
    /// Scores of 15 classes.
    Score,
}

/// Of a Swin UNETR and its window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    /// Channels of the first stage.
    pub(crate) feature_size: usize,
    /// Voxels along each side of the window.
    pub(crate) side: usize,
}

impl Size {
    /// For a look at whether all works.
    pub(crate) const QUICK: Self = Self { feature_size: 12, side: 32 };

    const fn new(feature_size: usize, side: usize) -> Self {
        Self { feature_size, side }
    }
}

impl Measure {
    /// All, in the order in which they are made when none is named.
    pub(crate) const ALL: [Self; 15] = [
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
        Self::File,
        Self::Score,
    ];
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Vision(Size { feature_size, side }) => &format!("vision-{feature_size}-{side}"),
            Self::Train(Size { feature_size, side }) => &format!("train-{feature_size}-{side}"),
            Self::TextWindow => "text-window",
            Self::TextWindowCached => "text-window-cached",
            Self::TextTrain => "text-train",
            Self::TextTrainPaper => "text-train-paper",
            Self::File => "file",
            Self::Score => "score",
        };
        f.pad(name)
    }
}

impl FromStr for Measure {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|measure| measure.to_string() == name).ok_or_else(|| {
            let names = Self::ALL.map(|measure| measure.to_string()).join(", ");
            format!("expected one of {names}, found \"{name}\"")
        })
    }
}
