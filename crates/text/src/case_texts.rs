//! Per-case texts, and the text of a batch.

use std::collections::HashMap;

use ndarray::{Array2, s};

use super::{ClassText, TokenizedTexts};

/// The class text of every case: shared by the data set, with overrides for single cases.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaseTexts {
    /// The text of all cases without an override.
    pub shared: ClassText,
    /// Overrides by case id.
    pub per_case: HashMap<String, ClassText>,
}

impl CaseTexts {
    /// The text of one case.
    pub fn for_case(&self, case: &str) -> &ClassText {
        self.per_case.get(case).unwrap_or(&self.shared)
    }

    /// The text of a batch whose samples come from `cases`: a single text if all are equal, so that it is encoded once;
    /// otherwise one per sample, in order.
    pub fn batch<'a>(&self, cases: impl IntoIterator<Item = &'a str>) -> ClassText {
        let texts: Vec<&ClassText> = cases.into_iter().map(|case| self.for_case(case)).collect();
        match texts[..] {
            [] => self.shared.clone(),
            [first, ref others @ ..] if others.iter().all(|other| *other == first) => first.clone(),
            _ => ClassText::concat(&texts),
        }
    }
}

impl ClassText {
    /// Concatenates texts of the same classes and concepts along the text axis.
    fn concat(texts: &[&Self]) -> Self {
        let concat = |tokens: fn(&Self) -> &TokenizedTexts| {
            TokenizedTexts::concat(texts.iter().map(|text| tokens(text)))
        };
        Self {
            prompts: concat(|text| &text.prompts),
            sentences: concat(|text| &text.sentences),
            sentences_per_class: texts[0].sentences_per_class,
            num_texts: texts.iter().map(|text| text.num_texts).sum(),
        }
    }
}

impl TokenizedTexts {
    /// Concatenates along the sequence axis, padded to the longest. The id of padding does not matter: the mask
    /// excludes it from attention.
    fn concat<'a>(parts: impl Iterator<Item = &'a Self> + Clone) -> Self {
        let longest = parts.clone().map(|part| part.input_ids.ncols()).max().unwrap_or(0);
        let sequences = parts.clone().map(|part| part.input_ids.nrows()).sum();
        let mut ids = Array2::zeros((sequences, longest));
        let mut mask = Array2::from_elem((sequences, longest), false);
        let mut start = 0;
        for part in parts {
            let (rows, columns) = part.input_ids.dim();
            let region = s![start..start + rows, ..columns];
            ids.slice_mut(region).assign(&part.input_ids);
            mask.slice_mut(region).assign(&part.attention_mask);
            start += rows;
        }
        Self { input_ids: ids, attention_mask: mask }
    }
}
