//! Generates and lints class descriptions.
//!
//! [`builtin_description`] has texts for common structures, [`DatasetStatistics`] measures labels and renders sentences
//! from templates, and `endpoint::Endpoint` (feature `endpoint`) requests them from a language model. [`generate()`]
//! describes a whole data set, [`lint()`] checks descriptions of any source.

mod builtin;
#[cfg(feature = "endpoint")]
pub mod endpoint;
mod error;
mod generate;
mod lint;
mod measure;
mod statistics;
mod template;

pub use builtin::builtin_description;
pub use error::{Error, Result};
pub use generate::{GeneratedDescription, Source, Strategy, classes_without_source, generate, to_toml};
pub use lint::{Finding, Severity, lint, lint_class};
pub use statistics::{ClassStatistics, DatasetStatistics, RelativePosition};

use bipvl_data::Modality;

/// The title of a class, from its name in words: `Right kidney in a CT image`.
pub fn prompt_title(name: &str, modality: Modality) -> String {
    let mut letters = name.chars();
    let first = letters.next().map(char::to_uppercase).into_iter().flatten();
    let image = match modality {
        Modality::Ct => "a CT image",
        Modality::Mr => "an MRI image",
    };
    format!("{} in {image}", first.chain(letters).collect::<String>())
}
