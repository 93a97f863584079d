//! Text perturbations: what each rule changes and what it keeps.

use bipvl::text::{
    Concept, Description, Descriptions, Synonyms,
    perturbations::{
        Perturbation, PerturbationContext, PerturbationSet, PerturbedText, add_typos, paraphrase,
        pseudowords, swap_laterality,
    },
};
use proptest::prelude::*;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

fn description(class: &str, sentences: &[(&str, &str)]) -> Description {
    let concept =
        |(name, sentence): &(&str, &str)| Concept { name: (*name).into(), sentence: (*sentence).into() };
    Description {
        class: class.to_owned(),
        title: format!("The {class} in a CT image"),
        concepts: sentences.iter().map(concept).collect(),
    }
}

fn trained() -> Descriptions {
    Descriptions {
        classes: vec![
            description("left kidney", &[("shape", "A smooth bean."), ("location", "On the left side.")]),
            description("right kidney", &[("shape", "A smooth bean."), ("location", "On the Right side.")]),
            description("liver", &[("shape", "A large wedge."), ("location", "Under the diaphragm.")]),
        ],
    }
}

fn perturbed(descriptions: &Descriptions, kinds: &[Perturbation], seed: u64) -> PerturbationSet {
    let synonyms = Synonyms::builtin();
    PerturbationSet::new(
        descriptions,
        &PerturbationContext { seed, kinds, paraphrases: &[], synonyms: &synonyms },
    )
}

fn all(descriptions: &Descriptions) -> PerturbationSet {
    perturbed(descriptions, &Perturbation::ALL, 3)
}

fn texts<'a>(variants: &'a PerturbationSet, name: &str) -> &'a [String] {
    let is_named = |variant: &&PerturbedText| variant.name == name;
    &variants.texts.iter().find(is_named).unwrap_or_else(|| panic!("no {name:?}")).texts
}

fn differing(one: &str, other: &str) -> usize {
    assert_eq!(one.chars().count(), other.chars().count());
    one.chars().zip(other.chars()).filter(|(one, other)| one != other).count()
}

#[test]
fn each_perturbation_is_listed_once_after_the_original_text() {
    let variants = all(&trained());
    let names: Vec<&str> = variants.texts.iter().map(|variant| variant.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "as trained",
            "class names only",
            "concepts in reverse order",
            "other words",
            "typos, 1 per sentence",
            "typos, 3 per sentence",
            "left and right swapped",
            "without shape",
            "without location",
            "sentences shuffled under the titles",
            "whole texts exchanged between classes",
            "urinary bladder in place of left kidney",
            "urinary bladder in place of right kidney",
            "urinary bladder in place of liver",
            "nonsense words",
            "empty text",
        ]
    );
    assert!(variants.skipped.is_empty());
    let full: Vec<String> = trained().classes.iter().map(Description::prompt).collect();
    assert_eq!(variants.texts[0].texts, full);
    assert!(variants.texts.iter().all(|variant| variant.texts.len() == 3));
}

#[test]
fn each_rule_produces_the_expected_text() {
    let variants = all(&trained());
    assert_eq!(texts(&variants, "class names only")[2], "liver.");
    assert_eq!(
        texts(&variants, "concepts in reverse order")[2],
        "The liver in a CT image. Location: Under the diaphragm. Shape: A large wedge."
    );
    assert_eq!(
        texts(&variants, "other words")[2],
        "The liver in a CT image. Shape: A big wedge. Location: Under the diaphragm."
    );
    assert_eq!(
        texts(&variants, "without shape")[2],
        "The liver in a CT image. Location: Under the diaphragm."
    );
    let swapped = texts(&variants, "left and right swapped");
    assert_eq!(
        swapped[1],
        "The left kidney in a CT image. Shape: A smooth bean. Location: On the Left side."
    );
    assert_eq!(swapped[2], variants.texts[0].texts[2]);
    assert_eq!(texts(&variants, "empty text"), ["", "", ""]);
    let absent = texts(&variants, "urinary bladder in place of liver");
    assert_eq!(absent[..2], variants.texts[0].texts[..2]);
    assert!(absent[2].starts_with("Urinary bladder in a CT image. Shape: "), "{}", absent[2]);
}

#[test]
fn shuffling_permutes_the_texts_without_fixed_points() {
    for seed in 0..20 {
        let variants = perturbed(&trained(), &[Perturbation::Shuffle], seed);
        let (before, after) =
            (&variants.texts[0].texts, texts(&variants, "whole texts exchanged between classes"));
        assert!(before.iter().zip(after).all(|(before, after)| before != after));
        let sorted = |texts: &[String]| {
            let mut texts = texts.to_vec();
            texts.sort();
            texts
        };
        assert_eq!(sorted(before), sorted(after));
        // Each title keeps sentences of the same concepts, and no sentence is lost.
        let mixed = texts(&variants, "sentences shuffled under the titles");
        let title = |text: &String| text.split_once(". ").unwrap().0.to_owned();
        assert!(before.iter().map(title).eq(mixed.iter().map(title)));
        assert_ne!(before, mixed);
        let words = |texts: &[String]| {
            let mut words: Vec<String> =
                texts.iter().flat_map(|text| text.split(' ')).map(str::to_owned).collect();
            words.sort();
            words
        };
        assert_eq!(words(before), words(mixed));
    }
}

/// Three classes of a title and two sentences each: nine sentences, each long enough for three typos.
#[test]
fn every_sentence_gets_the_given_number_of_typos() {
    let variants = all(&trained());
    for (count, name) in [(1, "typos, 1 per sentence"), (3, "typos, 3 per sentence")] {
        for (before, after) in variants.texts[0].texts.iter().zip(texts(&variants, name)) {
            assert_eq!(differing(before, after), 3 * count, "{after}");
            assert!(after.contains(" Shape: ") && after.contains(" Location: "), "{after}");
        }
    }
}

#[test]
fn texts_of_a_seed_do_not_depend_on_the_other_kinds() {
    let everything = all(&trained());
    for (kind, name) in [
        (Perturbation::Typos, "typos, 3 per sentence"),
        (Perturbation::Shuffle, "sentences shuffled under the titles"),
        (Perturbation::Shuffle, "whole texts exchanged between classes"),
        (Perturbation::Pseudowords, "nonsense words"),
    ] {
        let alone = perturbed(&trained(), &[kind], 3);
        assert_eq!(texts(&alone, name), texts(&everything, name));
    }
    let other = perturbed(&trained(), &[Perturbation::Pseudowords], 4);
    assert_ne!(texts(&other, "nonsense words"), texts(&everything, "nonsense words"));
}

#[test]
fn perturbations_without_effect_are_skipped_with_a_reason() {
    let ball = Descriptions { classes: vec![description("ball", &[("form", "Spherical.")])] };
    let variants = all(&ball);
    let skipped: Vec<&str> = variants.skipped.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        skipped,
        [
            "concepts in reverse order",
            "other words",
            "left and right swapped",
            "sentences shuffled under the titles",
            "whole texts exchanged between classes"
        ]
    );
    assert!(variants.skipped.iter().all(|(_, reason)| reason == "no text of any class changes"));
}

#[test]
fn the_absent_organ_matches_no_class() {
    let mut descriptions = trained();
    descriptions.classes.push(description("vesica urinaria", &[("shape", "A bag."), ("location", "Low.")]));
    let variants = perturbed(&descriptions, &[Perturbation::AbsentOrgan], 0);
    assert_eq!(variants.texts[1].name, "thyroid gland in place of left kidney");
    assert_eq!(variants.texts[1].class, Some(0));
    for (class, name) in [("thyroid", "skipped"), ("Kneecap, left", "skipped")] {
        descriptions.classes.push(description(class, &[("shape", name), ("location", name)]));
    }
    let variants = perturbed(&descriptions, &[Perturbation::AbsentOrgan], 0);
    assert_eq!((variants.texts.len(), variants.skipped[0].0.as_str()), (1, "absent organ"));
}

#[test]
fn sides_are_swapped_as_whole_words_with_their_capitals() {
    assert_eq!(
        swap_laterality("Left of the RIGHT, left-sided, rightmost and leftward; leftover, bright."),
        "Right of the LEFT, right-sided, leftmost and rightward; leftover, bright."
    );
}

#[test]
fn substituted_words_keep_their_case() {
    assert_eq!(
        paraphrase("Smooth and SMALL, beside a long tube."),
        "Sleek and LITTLE, next to a lengthy pipe."
    );
}

#[test]
fn perturbation_names_round_trip() {
    for kind in Perturbation::ALL {
        let name = kind.as_str();
        assert_eq!(name.parse(), Ok(kind));
        assert_eq!(kind.to_string(), name);
        assert_eq!(serde_json::to_string(&kind).unwrap(), format!("\"{name}\""));
    }
    let error = "typo".parse::<Perturbation>().unwrap_err();
    assert!(error.starts_with("unknown perturbation `typo`, available: original, class-names, "), "{error}");
}

proptest! {
    #[test]
    fn exactly_count_letters_become_typos(text in "[a-zA-Zäß0-9 ,.-]{0,60}", count in 0..8usize, seed: u64) {
        let mistyped = add_typos(&text, count, &mut ChaCha8Rng::seed_from_u64(seed));
        let letters = text.chars().filter(char::is_ascii_alphabetic).count();
        prop_assert_eq!(differing(&text, &mistyped), count.min(letters));
        let is_capital = |text: &str| text.chars().map(char::is_uppercase).collect::<Vec<_>>();
        prop_assert_eq!(is_capital(&text), is_capital(&mistyped));
    }

    #[test]
    fn swapping_sides_twice_gives_the_text_back(
        words in prop::collection::vec("left|Right|LEFT|leftmost|RightWard|rIght|leftover|[a-zé]{1,6}|[ ,.-]{1,3}", 0..20)
    ) {
        let text = words.concat();
        prop_assert_eq!(swap_laterality(&swap_laterality(&text)), text);
        let text = words.join(" ");
        prop_assert_eq!(swap_laterality(&swap_laterality(&text)), text);
    }

    #[test]
    fn pseudowords_keep_word_lengths_and_separators(text in "[a-zA-Z0-9 ,.-]{0,60}", seed: u64) {
        let other = pseudowords(&text, &mut ChaCha8Rng::seed_from_u64(seed));
        prop_assert_eq!(text.len(), other.len());
        let words = |text: &str| {
            text.split(|letter: char| !letter.is_alphabetic()).map(str::to_owned).collect::<Vec<_>>()
        };
        for (word, other) in words(&text).into_iter().zip(words(&other)) {
            prop_assert_eq!(word.len(), other.len());
            prop_assert!(word.is_empty() || word != other);
        }
        let rest = |text: &str| text.replace(char::is_alphabetic, "");
        prop_assert_eq!(rest(&text), rest(&other));
    }
}
