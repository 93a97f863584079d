//! From class names to token ids.
//!
//! A class is described by a title and one sentence per concept ([`Description`]). The tokenizer turns
//! the descriptions of all classes into one [`ClassText`], which is all the network sees of the text.
//! [`CaseTexts`] knows which cases have a text of their own.

mod error;
mod cases;
mod class_name;
mod description;
mod rewrite;
mod synonyms;
mod tokenizer;
pub mod variants;

pub use cases::CaseTexts;
pub use error::{Error, Result};

pub use class_name::{ClassName, Side, words_of};
pub use description::{Concept, Description, Descriptions, PAPER_CONCEPTS};
pub use rewrite::{Rewrite, permuted_across_cases};
pub use synonyms::Synonyms;
pub use tokenizer::Tokenizer;

use ndarray::Array2;

/// Token ids of several sequences, padded to the longest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tokens {
    /// Token ids, `[sequences, tokens]`.
    pub ids: Array2<i64>,
    /// True where a token is real, false where it is padding, `[sequences, tokens]`.
    pub mask: Array2<bool>,
}

/// The text of `K` classes with `M` sentences each: the title, then one sentence per concept; `S` of them one
/// behind the other where the samples of a batch have different ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassText {
    /// The full text of each class, `[S · K, L]`.
    pub full: Tokens,
    /// Each sentence on its own, `[S · K · M, Ls]`: all sentences of the first class, then of the second.
    pub concepts: Tokens,
    /// `M`, the sentences per class, the title counted.
    pub num_concepts: usize,
    /// `S`: 1, or the samples of a batch.
    pub num_texts: usize,
}
