//! Ablation studies of the prompted form: rows that each change one component of the full method.

use std::{borrow::Cow, path::PathBuf};

use bipvl_nn::{bifusion::FusionDirection, prompts::PromptState, text_encoder::TextPooling};
use bipvl_train::loss::{AlignmentLoss, LossWeighting};

use crate::config::{PromptConfig, TextTraining};

/// One row.
#[derive(Clone, Debug)]
pub struct PromptAblation {
    /// Name of the row, and of the folder of its runs.
    pub name: Cow<'static, str>,
    /// The component that differs from the full method.
    pub factor: &'static str,
    /// How it differs.
    pub setting: Cow<'static, str>,
    change: Change,
}

/// The change that a row makes to the full method.
#[derive(Clone, Debug)]
enum Change {
    Nothing,
    Fusion(FusionDirection),
    Alignment(AlignmentLoss),
    Weighting(LossWeighting),
    LastState,
    FirstToken,
    NoPresence,
    NoBagOfWords,
    NoCoordinates,
    NoUnions,
    NoNonsense,
    CodeBook,
    TextEncoder(PathBuf),
}

impl PromptAblation {
    /// All rows without a pretrained text encoder, the full method first.
    pub fn built_in() -> Vec<Self> {
        use AlignmentLoss::{Global, Local, None};
        use FusionDirection::{LateOnly, TextToVision, VisionToText};
        let row = |name, factor, setting, change| Self {
            name: Cow::Borrowed(name),
            factor,
            setting: Cow::Borrowed(setting),
            change,
        };
        vec![
            row(
                "full",
                "method",
                "bidirectional fusion, both alignments, homoscedastic weights",
                Change::Nothing,
            ),
            row("late", "fusion", "late: once, at the bottleneck", Change::Fusion(LateOnly)),
            row("text-to-vision", "fusion", "one way, text to vision", Change::Fusion(TextToVision)),
            row("vision-to-text", "fusion", "one way, vision to text", Change::Fusion(VisionToText)),
            row("no-alignment", "alignment", "none", Change::Alignment(None)),
            row("global-alignment", "alignment", "global", Change::Alignment(Global)),
            row("local-alignment", "alignment", "local", Change::Alignment(Local)),
            row("fixed-weights", "loss weighting", "fixed", Change::Weighting(LossWeighting::Fixed)),
            row("last-state", "state of a prompt", "after the last stage alone", Change::LastState),
            row("first-token", "state of a prompt", "the first token", Change::FirstToken),
            row("no-presence", "head", "no presence", Change::NoPresence),
            row("no-bag-of-words", "head", "no sum of words", Change::NoBagOfWords),
            row("no-coordinates", "image", "no coordinates", Change::NoCoordinates),
            row("no-unions", "prompts", "no wholes", Change::NoUnions),
            row("no-nonsense", "prompts", "no nonsense", Change::NoNonsense),
            row(
                "code-book",
                "text",
                "random strings instead of words; no mirroring, no pretrained text encoder",
                Change::CodeBook,
            ),
        ]
    }

    /// The row of a pretrained text encoder.
    pub fn with_text_encoder(name: String, folder: PathBuf) -> Self {
        let setting = Cow::Owned(name.clone());
        Self { name: Cow::Owned(name), factor: "text encoder", setting, change: Change::TextEncoder(folder) }
    }

    /// The full method, changed by this row.
    #[must_use]
    pub fn config(&self, mut config: PromptConfig) -> PromptConfig {
        let (head, prompts) = (&mut config.model.prompts, &mut config.prompts);
        match &self.change {
            Change::Nothing => {}
            Change::Fusion(direction) => config.model.fusion.direction = *direction,
            Change::Alignment(alignment) => config.train.loss.alignment = *alignment,
            Change::Weighting(weighting) => config.train.loss.weighting = *weighting,
            Change::LastState => head.state = PromptState::Last,
            Change::FirstToken => head.pooling = TextPooling::First,
            Change::NoPresence => head.presence = false,
            Change::NoBagOfWords => head.bag_of_words = false,
            Change::NoCoordinates => head.coordinates = false,
            Change::NoUnions => prompts.unions = 0.0,
            Change::NoNonsense => prompts.nonsense = 0.0,
            Change::CodeBook => {
                prompts.code_book = true;
                prompts.mirror = 0.0;
                config.pretrained.text_encoder = None;
                config.text = TextTraining::default();
            }
            Change::TextEncoder(folder) => {
                config.pretrained.text_encoder = Some(folder.clone());
                config.text = TextTraining::pretrained();
            }
        }
        config
    }
}
