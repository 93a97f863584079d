//! Ablation studies: rows that each change one component of the full method.

use std::{
    borrow::Cow,
    fmt,
    path::{Path, PathBuf, absolute},
    sync::Arc,
};

use bipvl_data::Dataset;
use bipvl_nn::bifusion::FusionDirection;
use bipvl_text::{Descriptions, TextAblation, permuted_across_cases};

use crate::{
    Error, Result,
    config::Config,
    loss::{AlignmentLoss, LossWeighting},
    run::RunSpec,
};

/// One row.
#[derive(Clone, Debug)]
pub struct Ablation {
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
    /// Neither fusion nor alignment: no text at all.
    VisionOnly,
    Alignment(AlignmentLoss),
    Weighting(LossWeighting),
    Text(TextAblation),
    /// Per-case descriptions are permuted across cases.
    OtherCases,
    /// A pretrained text encoder; `None` if its folder is unknown, as for runs that are finished already.
    TextEncoder(Option<PathBuf>),
}

/// What a row needs, beyond what every training needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Requirement {
    /// Another class whose text a class could take.
    TwoClasses,
    /// Another case whose text a case could take.
    TwoDescribedCases,
    /// The folder of its text encoder.
    TextEncoder,
}

/// Descriptions that a run is trained with.
#[derive(Clone, Debug, PartialEq)]
struct Texts {
    /// The descriptions of the data set.
    common: Descriptions,
    /// Per-case descriptions, by case id.
    of_cases: Vec<(String, Descriptions)>,
}

/// Rows without a pretrained text encoder, in the order of the table.
const BUILT_IN: [Ablation; 15] = [
    ablation(
        "full",
        "method",
        "bidirectional fusion, both alignments, homoscedastic weights",
        Change::Nothing,
    ),
    ablation("vision-only", "fusion", "vision only: no text at all", Change::VisionOnly),
    ablation("late", "fusion", "late: once, at the bottleneck", Change::Fusion(FusionDirection::LateOnly)),
    ablation(
        "text-to-vision",
        "fusion",
        "one way, text to vision",
        Change::Fusion(FusionDirection::TextToVision),
    ),
    ablation(
        "vision-to-text",
        "fusion",
        "one way, vision to text",
        Change::Fusion(FusionDirection::VisionToText),
    ),
    ablation("no-alignment", "alignment", "none", Change::Alignment(AlignmentLoss::None)),
    ablation("global-alignment", "alignment", "global", Change::Alignment(AlignmentLoss::Global)),
    ablation("local-alignment", "alignment", "local", Change::Alignment(AlignmentLoss::Local)),
    ablation("fixed-weights", "loss weighting", "fixed", Change::Weighting(LossWeighting::Fixed)),
    ablation("names", "text", "class names only", Change::Text(TextAblation::ClassNames)),
    ablation(
        "ambiguous",
        "text",
        "ambiguous: the same vague sentences for all",
        Change::Text(TextAblation::Ambiguous),
    ),
    ablation(
        "misaligned",
        "text",
        "misaligned: the whole text of another class",
        Change::Text(TextAblation::Misaligned),
    ),
    ablation(
        "shuffled",
        "text",
        "shuffled: sentences of other classes below the titles",
        Change::Text(TextAblation::Shuffled),
    ),
    ablation("other-cases", "text", "the text of another case", Change::OtherCases),
    ablation("report", "text", "free-form report sentences", Change::Text(TextAblation::Report)),
];

const fn ablation(
    name: &'static str,
    factor: &'static str,
    setting: &'static str,
    change: Change,
) -> Ablation {
    Ablation { name: Cow::Borrowed(name), factor, setting: Cow::Borrowed(setting), change }
}

impl Ablation {
    /// All rows without a pretrained text encoder, the full method first.
    pub fn built_in() -> Vec<Self> {
        BUILT_IN.to_vec()
    }

    /// The full method.
    pub fn full() -> Self {
        BUILT_IN[0].clone()
    }

    /// The row of a pretrained text encoder; without `folder`, it can be named but not trained.
    pub fn with_text_encoder(name: String, folder: Option<PathBuf>) -> Self {
        let setting = Cow::Owned(name.clone());
        Self { name: Cow::Owned(name), factor: "text encoder", setting, change: Change::TextEncoder(folder) }
    }

    /// Applies the change of this row to the specification of the full method; `seed` seeds shuffling.
    ///
    /// # Errors
    ///
    /// [`Error::AblationRequirement`] if a single class has no other class whose text it could take, or when the
    /// pretrained weights cannot be read.
    pub fn apply(&self, spec: RunSpec, seed: u64) -> Result<RunSpec> {
        let source = spec.source;
        let texts = Texts { common: spec.descriptions, of_cases: spec.case_descriptions };
        let Texts { common, of_cases } = self.texts(texts, seed).ok_or_else(|| {
            Error::AblationRequirement { row: self.name.to_string(), requirement: Requirement::TwoClasses }
        })?;
        let mut config = self.config(spec.config);
        config.pretrained.text_encoder = match self.text_encoder() {
            Some(folder) => Some(absolute(folder).map_err(|reason| Error::io(folder, reason))?),
            None => None,
        };
        let pretrained = config.pretrained.load(config.data.label_schema.num_logit_channels())?;
        let pretrained = Arc::new(pretrained);
        Ok(RunSpec { config, descriptions: common, case_descriptions: of_cases, source, pretrained })
    }

    /// Applies the change of this row to the configuration of the full method.
    #[must_use]
    pub fn config(&self, mut config: Config) -> Config {
        match self.change {
            Change::Fusion(direction) => config.model.fusion.direction = direction,
            Change::VisionOnly => {
                config.model.fusion.direction = FusionDirection::None;
                config.train.loss.alignment = AlignmentLoss::None;
            }
            Change::Alignment(alignment) => config.train.loss.alignment = alignment,
            Change::Weighting(weighting) => config.train.loss.weighting = weighting,
            Change::Nothing | Change::Text(_) | Change::OtherCases | Change::TextEncoder(_) => {}
        }
        config
    }

    /// Folder of the pretrained text encoder of this row.
    pub fn text_encoder(&self) -> Option<&Path> {
        match &self.change {
            Change::TextEncoder(folder) => folder.as_deref(),
            _ => None,
        }
    }

    /// What the row needs and does not have.
    pub fn missing_requirement(&self, dataset: &Dataset) -> Option<Requirement> {
        let with_text = || dataset.cases.iter().filter(|case| case.descriptions_path().is_some()).count();
        match &self.change {
            Change::TextEncoder(None) => Some(Requirement::TextEncoder),
            Change::Text(TextAblation::Misaligned | TextAblation::Shuffled)
                if dataset.label_schema.num_classes() < 2 =>
            {
                Some(Requirement::TwoClasses)
            }
            Change::OtherCases if with_text() < 2 => Some(Requirement::TwoDescribedCases),
            _ => None,
        }
    }

    /// Applies the change of this row to the descriptions. `None` if a single class has no other class whose text it
    /// could take.
    fn texts(&self, texts: Texts, seed: u64) -> Option<Texts> {
        let Texts { common, of_cases } = texts;
        let ablation = match self.change {
            Change::Text(ablation) => ablation,
            Change::OtherCases => {
                return Some(Texts { of_cases: permuted_across_cases(&of_cases, seed), common });
            }
            _ => return Some(Texts { common, of_cases }),
        };
        let ablated = of_cases.into_iter().map(|(case, own)| Some((case, ablation.apply(&own, seed)?)));
        Some(Texts { of_cases: ablated.collect::<Option<_>>()?, common: ablation.apply(&common, seed)? })
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TwoClasses => "two classes",
            Self::TwoDescribedCases => "two cases with per-case descriptions",
            Self::TextEncoder => "the folder of its text encoder",
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use bipvl_text::{Concept, Description};

    use super::*;

    fn built_in(name: &str) -> Ablation {
        BUILT_IN.iter().find(|row| row.name == name).unwrap().clone()
    }

    #[test]
    fn names_of_rows_are_unique_and_the_first_is_the_full_method() {
        assert_eq!(BUILT_IN.iter().map(|row| &row.name).collect::<BTreeSet<_>>().len(), BUILT_IN.len());
        assert_eq!(Ablation::full().name, "full");
    }

    fn descriptions(sentences: &[&str]) -> Descriptions {
        let class = |(index, sentence): (usize, &&str)| Description {
            class: format!("class {index}"),
            title: format!("Number {index}"),
            concepts: vec![Concept { name: "location".to_owned(), sentence: (*sentence).to_owned() }],
        };
        Descriptions { classes: sentences.iter().enumerate().map(class).collect() }
    }

    #[test]
    fn text_ablations_apply_to_per_case_descriptions_too() {
        let own = |case: &str, words: [&str; 2]| (case.to_owned(), descriptions(&words));
        let texts = Texts {
            common: descriptions(&["Somewhere.", "Anywhere."]),
            of_cases: vec![own("a", ["Left.", "Right."]), own("b", ["Right.", "Left."])],
        };
        let ablated = |row: &str| built_in(row).texts(texts.clone(), 0).unwrap();
        let prompts =
            |of: &Descriptions| -> Vec<String> { of.classes.iter().map(Description::prompt).collect() };
        assert_eq!(ablated("full"), texts);
        assert_eq!(
            Ablation::with_text_encoder("bert".to_owned(), None).texts(texts.clone(), 0).unwrap(),
            texts
        );
        let names = ["class 0. Name: class 0", "class 1. Name: class 1"];
        assert!(ablated("names").of_cases.iter().all(|(_, own)| prompts(own) == names));
        let misaligned = ["Number 1. Location: Right.", "Number 0. Location: Left."];
        assert_eq!(prompts(&ablated("misaligned").of_cases[0].1), misaligned);
        assert_eq!(
            prompts(&ablated("shuffled").of_cases[1].1),
            ["Number 0. Location: Left.", "Number 1. Location: Right."]
        );
        let swapped = vec![own("a", ["Right.", "Left."]), own("b", ["Left.", "Right."])];
        assert_eq!(ablated("other-cases"), Texts { of_cases: swapped, ..texts.clone() });
        let one = Texts { common: descriptions(&["Here."]), of_cases: Vec::new() };
        assert_eq!(built_in("misaligned").texts(one, 0), None);
    }
}
