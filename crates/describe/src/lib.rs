//! Writes descriptions of classes, and finds what is wrong with descriptions.
//!
//! [`builtin_description`] has texts for common structures, [`DatasetStatistics`] measures labels and puts them in words, and
//! [`lint()`] looks through descriptions, whoever wrote them. Each gives or takes the form that a training
//! reads, [`bipvl_text::Descriptions`].

mod error;
mod builtin;
mod lint;
mod measure;
mod statistics;
mod template;

pub use builtin::builtin_description;
pub use error::{Error, Result};
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
