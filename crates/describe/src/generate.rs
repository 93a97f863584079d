//! Descriptions for all classes of a data set, from the best source of each class.

use std::{fmt, ops::ControlFlow};

use bipvl_data::{Case, Dataset, Modality};
use bipvl_text::{ClassName, Concept, Description, Descriptions, PAPER_CONCEPTS};

use crate::{DatasetStatistics, Error, Result, builtin_description, prompt_title};

/// Which sources [`generate`] uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// Built-in texts, and statistics for classes without one.
    BuiltinOrStatistics,
    /// Built-in texts alone; a class without one is an error.
    Builtin,
    /// Statistics of the labels.
    Statistics,
}

/// The source of a description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Built-in texts.
    Builtin,
    /// Statistics of so many cases.
    Statistics {
        /// Number of measured cases.
        num_cases: usize,
    },
    /// A language model of this name.
    Model(String),
}

/// A description with its source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GeneratedDescription {
    /// The description; its sentences are empty without a source.
    pub description: Description,
    /// `None` if no source describes the class.
    pub source: Option<Source>,
}

/// Describes every class of a data set. Only if a class needs statistics, up to `max_cases` cases are measured;
/// `on_case` is called before each one and can cancel.
///
/// # Errors
///
/// [`Error::NoBuiltin`], or as [`DatasetStatistics::measure`].
pub fn generate(
    dataset: &Dataset,
    strategy: Strategy,
    max_cases: usize,
    on_case: impl FnMut(&Case) -> ControlFlow<()>,
) -> Result<Vec<GeneratedDescription>> {
    let builtin = |class: &String| match strategy {
        Strategy::Statistics => None,
        _ => builtin_description(class, &dataset.name, dataset.modality),
    };
    let names = dataset.label_schema.names();
    let builtins: Vec<Option<Description>> = names.iter().map(builtin).collect();
    let mut classes = names.iter().zip(&builtins);
    let Some((class, _)) = classes.find(|(_, builtin)| builtin.is_none()) else {
        let known = builtins.into_iter().flatten();
        return Ok(known
            .map(|description| GeneratedDescription::new(description, Source::Builtin))
            .collect());
    };
    if strategy == Strategy::Builtin {
        return Err(Error::NoBuiltin { class: class.clone() });
    }
    let statistics = DatasetStatistics::measure(dataset, max_cases, on_case)?;
    let source = Source::Statistics { num_cases: statistics.num_cases };
    let generated = builtins.into_iter().enumerate().map(|(index, builtin)| match builtin {
        Some(description) => GeneratedDescription::new(description, Source::Builtin),
        None => match statistics.describe(index) {
            Some(description) => GeneratedDescription::new(description, source.clone()),
            None => GeneratedDescription::missing(&names[index], dataset.modality),
        },
    });
    Ok(generated.collect())
}

/// The content of a TOML file with the descriptions, below a comment with the source of each.
pub fn to_toml(dataset_name: &str, generated: &[GeneratedDescription]) -> String {
    let mut lines = vec![format!("# Descriptions of {dataset_name}, written by `bipvl describe`.")];
    let mut listed: Vec<&Option<Source>> = Vec::new();
    for GeneratedDescription { source, .. } in generated {
        if listed.contains(&source) {
            continue;
        }
        listed.push(source);
        let classes = generated.iter().filter(|other| other.source == *source);
        let classes: Vec<&str> = classes.map(|other| other.description.class.as_str()).collect();
        let classes = classes.join(", ");
        lines.push(match source {
            Some(source) => format!("# From {source}: {classes}."),
            None => format!(
                "# MISSING: {classes}. No source describes them; write their sentences before training."
            ),
        });
    }
    // A line break in a class name must not end the comment.
    let header: String = lines.iter().map(|line| line.replace(['\n', '\r'], " ") + "\n").collect();
    let classes = generated.iter().map(|generated| generated.description.clone()).collect();
    format!("{header}\n{}", Descriptions { classes }.to_toml())
}

/// The classes that no source describes; their sentences are empty.
pub fn classes_without_source(generated: &[GeneratedDescription]) -> Vec<&str> {
    let missing = generated.iter().filter(|class| class.source.is_none());
    missing.map(|class| class.description.class.as_str()).collect()
}

impl GeneratedDescription {
    /// A description with its source.
    pub fn new(description: Description, source: Source) -> Self {
        Self { description, source: Some(source) }
    }

    /// A placeholder with name, title and the concepts of the paper, whose sentences are empty.
    fn missing(class: &str, modality: Modality) -> Self {
        let empty = |name: &str| Concept { name: name.to_owned(), sentence: String::new() };
        let title = prompt_title(&ClassName::parse(class).to_phrase(), modality);
        let concepts = PAPER_CONCEPTS.map(empty).into();
        Self { description: Description { class: class.to_owned(), title, concepts }, source: None }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Builtin => formatter.write_str("built-in texts"),
            Self::Statistics { num_cases } => write!(formatter, "statistics of {num_cases} cases"),
            Self::Model(name) => write!(formatter, "the model {name}"),
        }
    }
}
