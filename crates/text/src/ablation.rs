//! Text ablations for training: descriptions rewritten by rule, to measure which part of the text helps.
//!
//! An ablation replaces the text of all classes before training; class names are kept.

use rand::{Rng, SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;

use super::{Concept, Description, Descriptions};

/// How the descriptions are degraded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextAblation {
    /// The class name is the whole text.
    ClassNames,
    /// One vague sentence per concept, equal for all classes; titles are kept.
    Ambiguous,
    /// Each class gets the whole text of the next class, cyclically.
    Misaligned,
    /// The sentences of each concept are permuted among the classes; titles are kept.
    Shuffled,
    /// All sentences in one paragraph without concept names, as in a radiology report.
    Report,
}

impl TextAblation {
    /// The rewritten descriptions; random choices follow from `seed`. `None` if the ablation exchanges texts and there
    /// is only one class.
    pub fn apply(self, descriptions: &Descriptions, seed: u64) -> Option<Descriptions> {
        let classes = &descriptions.classes;
        let exchanges = matches!(self, Self::Misaligned | Self::Shuffled);
        if exchanges && classes.len() < 2 {
            return None;
        }
        let classes = match self {
            Self::ClassNames => classes.iter().map(name_only).collect(),
            Self::Ambiguous => classes.iter().map(ambiguous).collect(),
            Self::Misaligned => misaligned(classes),
            Self::Shuffled => shuffled(classes, seed),
            Self::Report => classes.iter().map(report).collect(),
        };
        Some(Descriptions { classes })
    }
}

/// Gives each case, by id, the descriptions of another case; none keeps its own. The permutation follows from `seed`.
pub fn permuted_across_cases(per_case: &[(String, Descriptions)], seed: u64) -> Vec<(String, Descriptions)> {
    let order = derangement(per_case.len(), &mut ChaCha8Rng::seed_from_u64(seed));
    per_case.iter().zip(order).map(|((case, _), source)| (case.clone(), per_case[source].1.clone())).collect()
}

/// A permutation without fixed points (a single element keeps its place): one random cycle, Sattolo (1986).
pub(super) fn derangement(count: usize, rng: &mut ChaCha8Rng) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    for last in (1..count).rev() {
        order.swap(last, rng.random_range(0..last));
    }
    order
}

fn name_only(class: &Description) -> Description {
    let name = class.class.clone();
    let concepts = vec![Concept { name: "name".to_owned(), sentence: name.clone() }];
    Description { class: name.clone(), title: name, concepts }
}

fn ambiguous(class: &Description) -> Description {
    let vague = |concept: &Concept| Concept {
        sentence: format!("The {} differs from case to case.", concept.name),
        name: concept.name.clone(),
    };
    Description { concepts: class.concepts.iter().map(vague).collect(), ..class.clone() }
}

fn misaligned(classes: &[Description]) -> Vec<Description> {
    let next = classes.iter().cycle().skip(1);
    let pairs = classes.iter().zip(next);
    pairs.map(|(class, next)| Description { class: class.class.clone(), ..next.clone() }).collect()
}

/// A drawn identity permutation is rotated by one, so that no concept keeps its order.
fn shuffled(classes: &[Description], seed: u64) -> Vec<Description> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut shuffled = classes.to_vec();
    let identity: Vec<usize> = (0..classes.len()).collect();
    for concept in 0..classes[0].concepts.len() {
        let mut order = identity.clone();
        order.shuffle(&mut rng);
        if order == identity {
            order.rotate_left(1);
        }
        for (class, source) in shuffled.iter_mut().zip(order) {
            class.concepts[concept].sentence.clone_from(&classes[source].concepts[concept].sentence);
        }
    }
    shuffled
}

fn report(class: &Description) -> Description {
    let sentences: Vec<&str> = class.concepts.iter().map(|concept| concept.sentence.trim()).collect();
    let concepts = vec![Concept { name: "report".to_owned(), sentence: sentences.join(" ") }];
    Description { concepts, ..class.clone() }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn descriptions(classes: usize) -> Descriptions {
        let concept = |class: usize, name: &str| Concept {
            name: name.to_owned(),
            sentence: format!("The {name} of number {class}."),
        };
        let class = |class: usize| Description {
            class: format!("class {class}"),
            title: format!("Number {class} in a CT image"),
            concepts: ["shape", "texture"].map(|name| concept(class, name)).to_vec(),
        };
        Descriptions { classes: (0..classes).map(class).collect() }
    }

    fn sentences(of: &Descriptions, concept: usize) -> Vec<String> {
        of.classes.iter().map(|class| class.concepts[concept].sentence.clone()).collect()
    }

    #[test]
    fn class_names_replace_the_whole_text() {
        let names = TextAblation::ClassNames.apply(&descriptions(3), 0).unwrap();
        assert_eq!(names.classes[1].prompt(), "class 1. Name: class 1");
    }

    #[test]
    fn ambiguous_sentences_are_equal_for_all_classes() {
        let vague = TextAblation::Ambiguous.apply(&descriptions(3), 0).unwrap();
        for concept in 0..2 {
            assert_eq!(sentences(&vague, concept).into_iter().collect::<BTreeSet<_>>().len(), 1);
        }
        assert_eq!(vague.classes[2].title, "Number 2 in a CT image");
    }

    #[test]
    fn misalignment_permutes_the_texts_without_fixed_points() {
        for classes in 2..6 {
            let before = descriptions(classes);
            let after = TextAblation::Misaligned.apply(&before, 0).unwrap();
            let texts = |of: &Descriptions| -> BTreeSet<String> {
                of.classes.iter().map(Description::prompt).collect()
            };
            assert_eq!(texts(&after), texts(&before));
            for (one, other) in before.classes.iter().zip(&after.classes) {
                assert_eq!(one.class, other.class);
                assert_ne!(one.prompt(), other.prompt());
            }
        }
        assert!(TextAblation::Misaligned.apply(&descriptions(1), 0).is_none());
    }

    #[test]
    fn shuffling_permutes_the_sentences_of_every_concept() {
        let before = descriptions(4);
        for seed in 0..40 {
            let after = TextAblation::Shuffled.apply(&before, seed).unwrap();
            for concept in 0..2 {
                let (mut moved, there) = (sentences(&after, concept), sentences(&before, concept));
                assert_ne!(moved, there);
                moved.sort();
                assert_eq!(moved, there);
            }
            assert_eq!(TextAblation::Shuffled.apply(&before, seed).unwrap(), after);
        }
        let [one, other] = [0, 1].map(|seed| TextAblation::Shuffled.apply(&before, seed));
        assert_ne!(one, other);
    }

    #[test]
    fn texts_are_permuted_across_cases_without_fixed_points() {
        for count in 2..7 {
            let cases: Vec<_> =
                (0..count).map(|case| (format!("case {case}"), descriptions(case + 1))).collect();
            for seed in 0..20 {
                let others = permuted_across_cases(&cases, seed);
                assert!(cases.iter().zip(&others).all(|(own, other)| own.0 == other.0 && own.1 != other.1));
                let mut texts: Vec<usize> = others.iter().map(|(_, text)| text.classes.len()).collect();
                texts.sort_unstable();
                assert!(texts.into_iter().eq(1..=count));
                assert_eq!(permuted_across_cases(&cases, seed), others);
            }
        }
    }

    #[test]
    fn a_derangement_has_no_fixed_point() {
        for seed in 0..50 {
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            for count in 2..9 {
                let mut order = derangement(count, &mut random);
                assert!(order.iter().enumerate().all(|(place, from)| place != *from), "{order:?}");
                order.sort_unstable();
                assert!(order.into_iter().eq(0..count));
            }
        }
    }

    #[test]
    fn a_report_is_one_paragraph_without_concept_names() {
        let report = TextAblation::Report.apply(&descriptions(2), 0).unwrap();
        let expected = "Number 1 in a CT image. Report: The shape of number 1. The texture of number 1.";
        assert_eq!(report.classes[1].prompt(), expected);
    }
}
