//! Class descriptions, text perturbations and BERT tokens.
//!
//! A class has a title and one sentence per concept ([`Description`]). The [`Tokenizer`] encodes the descriptions of all
//! classes as one [`ClassText`], the text input of the network; [`CaseTexts`] holds overrides for single cases.
//! [`ClassName`] and [`Synonyms`] match names across spellings, languages and data sets.

mod ablation;
mod case_texts;
mod class_name;
mod description;
mod error;
mod parts;
pub mod perturbations;
pub mod prompts;
mod synonyms;
mod table;
mod tokenizer;

pub use ablation::{TextAblation, permuted_across_cases};
pub use case_texts::CaseTexts;
pub use class_name::{ClassName, Laterality, normalized_words};
pub use description::{Concept, Description, Descriptions, PAPER_CONCEPTS};
pub use error::{Error, Result};
pub use parts::{Parts, Union};
pub use synonyms::Synonyms;
pub use tokenizer::{Tokenizer, TruncatedClass};

use ndarray::Array2;

/// Token ids of several sequences, padded to the longest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenizedTexts {
    /// Token ids, `[sequences, tokens]`.
    pub input_ids: Array2<i64>,
    /// Attention mask, false at padding, `[sequences, tokens]`.
    pub attention_mask: Array2<bool>,
}

/// Tokens of `K` classes with `M` sentences each (the title, then one per concept), for `S` texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassText {
    /// The prompt of each class, `[S · K, L]`.
    pub prompts: TokenizedTexts,
    /// The sentences one by one, `[S · K · M, Ls]`, class-major.
    pub sentences: TokenizedTexts,
    /// `M`, sentences per class including the title.
    pub sentences_per_class: usize,
    /// `S`: 1, or the number of samples if their texts differ.
    pub num_texts: usize,
}
