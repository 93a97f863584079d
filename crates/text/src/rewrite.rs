//! Other texts for a training, made of the descriptions by rule, to see what of a text helps.
//!
//! A rewrite replaces the text of all classes before the network ever reads one, so that it learns with it. The
//! names of the classes stay.

use rand::{Rng, SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;

use super::{Concept, Description, Descriptions};

/// What is done to the descriptions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rewrite {
    /// Nothing.
    Full,
    /// The name of the class is all its text.
    Names,
    /// One vague sentence for each concept, the same for every class; the titles stay.
    Ambiguous,
    /// Each class has the whole text of the next one, the last that of the first.
    Misaligned,
    /// The sentences of each concept are dealt anew among the classes; the titles stay.
    Shuffled,
    /// All sentences of a class in one paragraph, as a report has them, without the names of the concepts.
    Report,
}

impl Rewrite {
    /// The changed descriptions; what is drawn follows from `seed`. `None` where a single class has no other
    /// whose text it could get.
    pub fn apply(self, descriptions: &Descriptions, seed: u64) -> Option<Descriptions> {
        let classes = &descriptions.classes;
        let moves = matches!(self, Self::Misaligned | Self::Shuffled);
        if moves && classes.len() < 2 {
            return None;
        }
        let changed = match self {
            Self::Full => classes.clone(),
            Self::Names => classes.iter().map(named).collect(),
            Self::Ambiguous => classes.iter().map(ambiguous).collect(),
            Self::Misaligned => misaligned(classes),
            Self::Shuffled => shuffled(classes, seed),
            Self::Report => classes.iter().map(report).collect(),
        };
        Some(Descriptions { classes: changed })
    }
}

/// Each case with the descriptions of another, by id; none keeps its own. Which one it gets follows from `seed`.
pub fn permuted_across_cases(of_cases: &[(String, Descriptions)], seed: u64) -> Vec<(String, Descriptions)> {
    let order = derangement(of_cases.len(), &mut ChaCha8Rng::seed_from_u64(seed));
    of_cases.iter().zip(order).map(|((case, _), from)| (case.clone(), of_cases[from].1.clone())).collect()
}

/// An order of so many things in which none keeps its place (of one thing there is none): one cycle through all,
/// drawn after Sattolo (1986).
pub(super) fn derangement(count: usize, random: &mut ChaCha8Rng) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    for last in (1..count).rev() {
        order.swap(last, random.random_range(0..last));
    }
    order
}

fn named(of: &Description) -> Description {
    let name = of.class.clone();
    let concepts = vec![Concept { name: "name".to_owned(), sentence: name.clone() }];
    Description { class: name.clone(), title: name, concepts }
}

fn ambiguous(of: &Description) -> Description {
    let vague = |concept: &Concept| Concept {
        sentence: format!("The {} differs from case to case.", concept.name),
        name: concept.name.clone(),
    };
    Description { concepts: of.concepts.iter().map(vague).collect(), ..of.clone() }
}

fn misaligned(classes: &[Description]) -> Vec<Description> {
    let others = classes.iter().cycle().skip(1);
    classes
        .iter()
        .zip(others)
        .map(|(of, other)| Description { class: of.class.clone(), ..other.clone() })
        .collect()
}

/// No concept keeps its order, whatever is drawn: an order that was drawn and is the old one is turned by one.
fn shuffled(classes: &[Description], seed: u64) -> Vec<Description> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut changed = classes.to_vec();
    let unmoved: Vec<usize> = (0..classes.len()).collect();
    for concept in 0..classes[0].concepts.len() {
        let mut order = unmoved.clone();
        order.shuffle(&mut random);
        if order == unmoved {
            order.rotate_left(1);
        }
        for (class, from) in changed.iter_mut().zip(order) {
            class.concepts[concept].sentence.clone_from(&classes[from].concepts[concept].sentence);
        }
    }
    changed
}

fn report(of: &Description) -> Description {
    let sentences: Vec<&str> = of.concepts.iter().map(|concept| concept.sentence.trim()).collect();
    let concepts = vec![Concept { name: "report".to_owned(), sentence: sentences.join(" ") }];
    Description { concepts, ..of.clone() }
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
    fn class_names_are_all_that_is_left() {
        let names = Rewrite::Names.apply(&descriptions(3), 0).unwrap();
        assert_eq!(names.classes[1].prompt(), "class 1. Name: class 1");
    }

    #[test]
    fn ambiguous_sentences_do_not_tell_the_classes_apart() {
        let vague = Rewrite::Ambiguous.apply(&descriptions(3), 0).unwrap();
        for concept in 0..2 {
            assert_eq!(sentences(&vague, concept).into_iter().collect::<BTreeSet<_>>().len(), 1);
        }
        assert_eq!(vague.classes[2].title, "Number 2 in a CT image");
    }

    #[test]
    fn no_class_keeps_its_text_when_misaligned_and_none_is_lost() {
        for classes in 2..6 {
            let before = descriptions(classes);
            let after = Rewrite::Misaligned.apply(&before, 0).unwrap();
            let texts = |of: &Descriptions| -> BTreeSet<String> {
                of.classes.iter().map(Description::prompt).collect()
            };
            assert_eq!(texts(&after), texts(&before));
            for (one, other) in before.classes.iter().zip(&after.classes) {
                assert_eq!(one.class, other.class);
                assert_ne!(one.prompt(), other.prompt());
            }
        }
        assert!(Rewrite::Misaligned.apply(&descriptions(1), 0).is_none());
    }

    #[test]
    fn shuffled_sentences_are_all_there_and_no_concept_has_its_old_order() {
        let before = descriptions(4);
        for seed in 0..40 {
            let after = Rewrite::Shuffled.apply(&before, seed).unwrap();
            for concept in 0..2 {
                let (mut moved, there) = (sentences(&after, concept), sentences(&before, concept));
                assert_ne!(moved, there);
                moved.sort();
                assert_eq!(moved, there);
            }
            assert_eq!(Rewrite::Shuffled.apply(&before, seed).unwrap(), after);
        }
        let [one, other] = [0, 1].map(|seed| Rewrite::Shuffled.apply(&before, seed));
        assert_ne!(one, other);
    }

    #[test]
    fn no_case_keeps_its_text_when_it_gets_that_of_another_and_none_is_lost() {
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
    fn nothing_keeps_its_place_in_a_derangement() {
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
    fn a_report_is_one_paragraph_without_the_names_of_concepts() {
        let report = Rewrite::Report.apply(&descriptions(2), 0).unwrap();
        let expected = "Number 1 in a CT image. Report: The shape of number 1. The texture of number 1.";
        assert_eq!(report.classes[1].prompt(), expected);
    }
}
