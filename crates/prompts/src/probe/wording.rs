//! Other words for a concept: those that training uses, and those that it does not.

use bipvl_text::{Synonyms, perturbations, prompts::is_held_out};

use crate::{Concept, texts};

/// Wordings of a concept beside its name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Wordings {
    /// Training uses them.
    pub(super) trained: Vec<String>,
    /// Training does not.
    pub(super) held_out: Vec<String>,
}

/// The wordings of a concept: its other names and its description; the wordings that training held out, the description
/// in other words; and `paraphrases`, whose held-out share is that of the training.
pub(super) fn wordings(concept: &Concept, paraphrases: &[String], synonyms: &Synonyms) -> Wordings {
    let texts = &concept.texts;
    let other_names = texts.names.iter().filter(|name| **name != concept.name);
    let mut trained: Vec<String> = other_names.chain(&texts.wordings).chain(&texts.full).cloned().collect();
    let mut held_out = texts::wordings(&concept.name, synonyms);
    held_out.extend(texts.full.as_deref().map(perturbations::paraphrase));
    for paraphrase in paraphrases {
        if is_held_out(paraphrase) { &mut held_out } else { &mut trained }.push(paraphrase.clone());
    }
    let is_new = |text: &String| !trained.contains(text) && *text != concept.name;
    held_out.retain(|text| is_new(text));
    held_out.dedup();
    Wordings { trained, held_out }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PromptTexts;

    fn concept(names: &[&str]) -> Concept {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        Concept {
            name: names[0].clone(),
            parts: Vec::new(),
            contralateral: None,
            texts: PromptTexts { full: Some("A bright bean.".to_owned()), ..PromptTexts::from_names(names) },
            sets: Vec::new(),
        }
    }

    #[test]
    fn words_of_the_training_are_not_held_out() {
        let synonyms = Synonyms::builtin();
        let wordings = wordings(&concept(&["left kidney", "left ren"]), &[], &synonyms);
        assert_eq!(wordings.trained, ["left ren", "A bright bean."]);
        for text in ["the left kidney", "kidney on the left", "left nephros", "A light bean."] {
            assert!(wordings.held_out.contains(&text.to_owned()), "{text} in {:?}", wordings.held_out);
        }
        assert!(!wordings.held_out.iter().any(|text| ["left kidney", "left ren"].contains(&text.as_str())));
    }

    #[test]
    fn given_paraphrases_are_split_as_in_training() {
        let given: Vec<String> = (0..50).map(|number| format!("bean number {number}")).collect();
        let wordings = wordings(&concept(&["bean"]), &given, &Synonyms::builtin());
        for text in &given {
            let share = if is_held_out(text) { &wordings.held_out } else { &wordings.trained };
            assert!(share.contains(text), "{text}");
        }
    }
}
