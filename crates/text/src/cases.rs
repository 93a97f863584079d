//! Which text belongs to which case, and the texts of a batch.

use std::collections::HashMap;

use ndarray::{Array2, s};

use super::{ClassText, Tokens};

/// The text of every case: that of the data set, but for the cases that have one of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaseTexts {
    /// The text of the data set.
    pub common: ClassText,
    /// The texts of single cases, by case id.
    pub own: HashMap<String, ClassText>,
}

impl CaseTexts {
    /// The text of one case.
    pub fn of(&self, case: &str) -> &ClassText {
        self.own.get(case).unwrap_or(&self.common)
    }

    /// The text of the samples of a batch, which come from these cases: a single one where all are equal,
    /// so that it is encoded once, else one for each sample in their order.
    pub fn of_batch<'a>(&self, cases: impl IntoIterator<Item = &'a str>) -> ClassText {
        let texts: Vec<&ClassText> = cases.into_iter().map(|case| self.of(case)).collect();
        match texts[..] {
            [] => self.common.clone(),
            [first, ref others @ ..] if others.iter().all(|other| *other == first) => first.clone(),
            _ => ClassText::stack(&texts),
        }
    }
}

impl ClassText {
    /// Several texts one behind the other; all have the same classes and concepts.
    fn stack(texts: &[&Self]) -> Self {
        let part = |tokens: fn(&Self) -> &Tokens| Tokens::stack(texts.iter().map(|text| tokens(text)));
        Self {
            full: part(|text| &text.full),
            concepts: part(|text| &text.concepts),
            num_concepts: texts[0].num_concepts,
            num_texts: texts.iter().map(|text| text.num_texts).sum(),
        }
    }
}

impl Tokens {
    /// All sequences, padded to the longest of them. Padding is never attended to, so that its id is of no
    /// account.
    fn stack<'a>(parts: impl Iterator<Item = &'a Self> + Clone) -> Self {
        let longest = parts.clone().map(|part| part.ids.ncols()).max().unwrap_or(0);
        let sequences = parts.clone().map(|part| part.ids.nrows()).sum();
        let mut ids = Array2::zeros((sequences, longest));
        let mut mask = Array2::from_elem((sequences, longest), false);
        let mut start = 0;
        for part in parts {
            let (rows, columns) = part.ids.dim();
            let place = s![start..start + rows, ..columns];
            ids.slice_mut(place).assign(&part.ids);
            mask.slice_mut(place).assign(&part.mask);
            start += rows;
        }
        Self { ids, mask }
    }
}
