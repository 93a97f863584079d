//! The rows of an ablation table: each changes one component of the full method.

use std::{
    borrow::Cow,
    fs,
    path::{Path, PathBuf},
    str::FromStr,
};

use bipvl::{
    config::Config,
    data::Dataset,
    nn::bifusion::FusionDirection,
    text::{Descriptions, TextAblation, permuted_across_cases},
    train::loss::{AlignmentLoss, LossWeighting},
};

use super::COST;
use crate::args::AblateArgs;

/// One row.
#[derive(Clone, Debug)]
pub(super) struct Ablation {
    /// Name on the command line and of the folder of its runs.
    pub(super) name: Cow<'static, str>,
    /// The component that differs from the full method.
    pub(super) factor: &'static str,
    /// How it differs.
    pub(super) setting: Cow<'static, str>,
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
    /// A pretrained text encoder; `None` for finished runs whose folder is not given again.
    TextEncoder(Option<PathBuf>),
}

/// A pretrained text encoder and the row that uses it, from `NAME=DIR`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NamedEncoder {
    name: String,
    folder: PathBuf,
}

/// Descriptions that a run is trained with.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Texts {
    /// The descriptions of the data set.
    pub(super) common: Descriptions,
    /// Per-case descriptions, by case id.
    pub(super) of_cases: Vec<(String, Descriptions)>,
}

/// The row that all others are compared with.
pub(super) const FULL: &str = "full";

/// Rows without a pretrained text encoder, in the order of the table.
const BUILT_IN: [Ablation; 15] = [
    ablation(FULL, "method", "bidirectional fusion, both alignments, homoscedastic weights", Change::Nothing),
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

/// All rows: built-in ones, one per `--encoder`, and encoders with finished runs in the output folder.
///
/// # Errors
///
/// If an encoder has the name of another row, or `--rows` names an unknown row.
pub(super) fn all(args: &AblateArgs) -> Result<Vec<Ablation>, String> {
    let mut rows = BUILT_IN.to_vec();
    for NamedEncoder { name, folder } in &args.encoders {
        if rows.iter().any(|row| row.name == *name) {
            return Err(format!("--encoder {name}={}: a row `{name}` exists already", folder.display()));
        }
        rows.push(Ablation::with_encoder(name.clone(), Some(folder.clone())));
    }
    for name in finished_rows(&args.out) {
        if !rows.iter().any(|row| row.name == name) {
            rows.push(Ablation::with_encoder(name, None));
        }
    }
    match args.rows.iter().find(|name| !rows.iter().any(|row| row.name == **name)) {
        Some(unknown) => {
            let names: Vec<&str> = rows.iter().map(|row| &*row.name).collect();
            Err(format!("--rows: unknown row `{unknown}`; known rows: {}", names.join(", ")))
        }
        None => Ok(rows),
    }
}

/// Names of the rows in the output folder that have a finished run, sorted.
fn finished_rows(out: &Path) -> Vec<String> {
    let folders = |folder: &Path| -> Vec<PathBuf> {
        fs::read_dir(folder).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path())).collect()
    };
    let is_finished = |row: &Path| folders(row).iter().any(|run| run.join(COST).exists());
    let rows = folders(out).into_iter().filter(|row| is_finished(row));
    let mut names: Vec<String> = rows.filter_map(|row| Some(row.file_name()?.to_str()?.to_owned())).collect();
    names.sort();
    names
}

impl FromStr for NamedEncoder {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
        match text.split_once('=') {
            Some((name, folder))
                if !folder.is_empty() && name.starts_with(|c: char| c.is_ascii_alphanumeric()) =>
            {
                if !name.chars().all(is_plain) {
                    return Err(format!("`{name}` must consist of letters, digits, `-`, `_` and `.`"));
                }
                Ok(Self { name: name.to_owned(), folder: PathBuf::from(folder) })
            }
            _ => Err("expected NAME=DIR, such as minilm=all-MiniLM-L6-v2".to_owned()),
        }
    }
}

impl Ablation {
    fn with_encoder(name: String, folder: Option<PathBuf>) -> Self {
        let setting = Cow::Owned(name.clone());
        Self { name: Cow::Owned(name), factor: "text encoder", setting, change: Change::TextEncoder(folder) }
    }

    /// The full method.
    pub(super) fn full() -> Self {
        BUILT_IN[0].clone()
    }

    /// Applies the change of this row to the configuration of the full method.
    pub(super) fn config(&self, mut config: Config) -> Config {
        match self.change {
            Change::Fusion(exchange) => config.model.fusion.direction = exchange,
            Change::VisionOnly => {
                config.model.fusion.direction = FusionDirection::None;
                config.train.loss.alignment = AlignmentLoss::None;
            }
            Change::Alignment(aligned) => config.train.loss.alignment = aligned,
            Change::Weighting(weighting) => config.train.loss.weighting = weighting,
            Change::Nothing | Change::Text(_) | Change::OtherCases | Change::TextEncoder(_) => {}
        }
        config
    }

    /// Applies the change of this row to the descriptions; `seed` seeds shuffling. `None` if a single class has no
    /// other class whose text it could take.
    pub(super) fn texts(&self, texts: Texts, seed: u64) -> Option<Texts> {
        let Texts { common, of_cases } = texts;
        let rewrite = match self.change {
            Change::Text(rewrite) => rewrite,
            Change::OtherCases => {
                return Some(Texts { of_cases: permuted_across_cases(&of_cases, seed), common });
            }
            _ => return Some(Texts { common, of_cases }),
        };
        let rewritten = of_cases.into_iter().map(|(case, own)| Some((case, rewrite.apply(&own, seed)?)));
        Some(Texts { of_cases: rewritten.collect::<Option<_>>()?, common: rewrite.apply(&common, seed)? })
    }

    /// Folder of the pretrained text encoder of this row.
    pub(super) fn text_encoder(&self) -> Option<&Path> {
        match &self.change {
            Change::TextEncoder(folder) => folder.as_deref(),
            _ => None,
        }
    }

    /// What the row needs and the data set or the command line lacks.
    pub(super) fn missing_requirement(&self, dataset: &Dataset) -> Option<String> {
        let with_text = || dataset.cases.iter().filter(|case| case.descriptions_path().is_some()).count();
        match &self.change {
            Change::TextEncoder(None) => Some(format!("--encoder {}=DIR", self.name)),
            Change::Text(TextAblation::Misaligned | TextAblation::Shuffled)
                if dataset.label_schema.num_classes() < 2 =>
            {
                Some("two classes".to_owned())
            }
            Change::OtherCases if with_text() < 2 => Some("two cases with per-case descriptions".to_owned()),
            _ => None,
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeSet;

    use bipvl::text::{Concept, Description};

    use super::*;

    pub(in super::super) fn built_in(name: &str) -> Ablation {
        BUILT_IN.iter().find(|row| row.name == name).unwrap().clone()
    }

    #[test]
    fn names_of_rows_are_unique_and_the_first_is_the_full_method() {
        assert_eq!(BUILT_IN.iter().map(|row| &row.name).collect::<BTreeSet<_>>().len(), BUILT_IN.len());
        assert_eq!(Ablation::full().name, FULL);
    }

    #[test]
    fn an_encoder_is_a_name_and_a_folder() {
        let encoder = NamedEncoder { name: "mini-lm".to_owned(), folder: PathBuf::from("a=b/c") };
        assert_eq!("mini-lm=a=b/c".parse(), Ok(encoder));
        for (text, part) in [
            ("bert", "NAME=DIR"),
            ("=dir", "NAME=DIR"),
            ("bert=", "NAME=DIR"),
            ("../x=dir", "NAME=DIR"),
            ("a/b=dir", "letters"),
        ] {
            let message = text.parse::<NamedEncoder>().unwrap_err();
            assert!(message.contains(part), "{text}: {message}");
        }
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
        assert_eq!(Ablation::with_encoder("bert".to_owned(), None).texts(texts.clone(), 0).unwrap(), texts);
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
