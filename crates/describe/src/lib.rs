//! Writes descriptions of classes, and finds what is wrong with descriptions.
//!
//! [`known`] has texts for common structures, [`Statistics`] measures labels and puts them in words, and
//! [`lint()`] looks through descriptions, whoever wrote them. Each gives or takes the form that a training
//! reads, [`bipvl_text::Descriptions`].

mod error;
mod knowledge;
mod lint;
mod measure;
mod statistics;
mod wording;

pub use error::{Error, Result};
pub use knowledge::known;
pub use lint::{Finding, Severity, lint, lint_class};
pub use statistics::{ClassStatistics, Offset, Statistics};

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
