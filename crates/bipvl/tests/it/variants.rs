//! Other texts for trained classes: what each rule changes and what it leaves.

use bipvl::text::{
    Concept, Description, Descriptions, Synonyms,
    variants::{KINDS, Kind, Options, Variant, Variants, mistype, nonsense, reword, swap_sides},
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

fn variants_of(descriptions: &Descriptions, kinds: &[Kind], seed: u64) -> Variants {
    let synonyms = Synonyms::built_in();
    Variants::of(descriptions, &Options { seed, kinds, paraphrases: &[], synonyms: &synonyms })
}

fn all(descriptions: &Descriptions) -> Variants {
    variants_of(descriptions, &KINDS.map(|(_, kind)| kind), 3)
}

fn texts<'a>(variants: &'a Variants, name: &str) -> &'a [String] {
    let is_named = |variant: &&Variant| variant.name == name;
    &variants.made.iter().find(is_named).unwrap_or_else(|| panic!("no {name:?}")).texts
}

fn differing(one: &str, other: &str) -> usize {
    assert_eq!(one.chars().count(), other.chars().count());
    one.chars().zip(other.chars()).filter(|(one, other)| one != other).count()
}

#[test]
fn every_variant_stands_once_and_the_trained_text_comes_first() {
    let variants = all(&trained());
    let names: Vec<&str> = variants.made.iter().map(|variant| variant.name.as_str()).collect();
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
    assert_eq!(variants.made[0].texts, full);
    assert!(variants.made.iter().all(|variant| variant.texts.len() == 3));
}

#[test]
fn each_rule_does_what_its_name_says() {
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
    assert_eq!(swapped[2], variants.made[0].texts[2]);
    assert_eq!(texts(&variants, "empty text"), ["", "", ""]);
    let absent = texts(&variants, "urinary bladder in place of liver");
    assert_eq!(absent[..2], variants.made[0].texts[..2]);
    assert!(absent[2].starts_with("Urinary bladder in a CT image. Shape: "), "{}", absent[2]);
}

#[test]
fn shuffled_texts_are_the_same_texts_with_none_in_its_place() {
    for seed in 0..20 {
        let variants = variants_of(&trained(), &[Kind::Shuffled], seed);
        let (before, after) =
            (&variants.made[0].texts, texts(&variants, "whole texts exchanged between classes"));
        assert!(before.iter().zip(after).all(|(before, after)| before != after));
        let sorted = |texts: &[String]| {
            let mut texts = texts.to_vec();
            texts.sort();
            texts
        };
        assert_eq!(sorted(before), sorted(after));
        // Under each title stand sentences of the same concepts, and each sentence is still there.
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
fn every_sentence_has_as_many_wrong_letters_as_it_says() {
    let variants = all(&trained());
    for (count, name) in [(1, "typos, 1 per sentence"), (3, "typos, 3 per sentence")] {
        for (before, after) in variants.made[0].texts.iter().zip(texts(&variants, name)) {
            assert_eq!(differing(before, after), 3 * count, "{after}");
            assert!(after.contains(" Shape: ") && after.contains(" Location: "), "{after}");
        }
    }
}

#[test]
fn a_seed_gives_its_texts_whatever_else_is_wanted() {
    let everything = all(&trained());
    for (kind, name) in [
        (Kind::Typos, "typos, 3 per sentence"),
        (Kind::Shuffled, "sentences shuffled under the titles"),
        (Kind::Shuffled, "whole texts exchanged between classes"),
        (Kind::Nonsense, "nonsense words"),
    ] {
        let alone = variants_of(&trained(), &[kind], 3);
        assert_eq!(texts(&alone, name), texts(&everything, name));
    }
    let other = variants_of(&trained(), &[Kind::Nonsense], 4);
    assert_ne!(texts(&other, "nonsense words"), texts(&everything, "nonsense words"));
}

#[test]
fn what_changes_nothing_is_skipped_with_its_reason() {
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
    assert!(variants.skipped.iter().all(|(_, reason)| reason == "it leaves every text as it was trained"));
}

#[test]
fn the_absent_organ_is_one_that_no_class_is() {
    let mut descriptions = trained();
    descriptions.classes.push(description("vesica urinaria", &[("shape", "A bag."), ("location", "Low.")]));
    let variants = variants_of(&descriptions, &[Kind::Absent], 0);
    assert_eq!(variants.made[1].name, "thyroid gland in place of left kidney");
    assert_eq!(variants.made[1].class, Some(0));
    for (class, name) in [("thyroid", "skipped"), ("Kneecap, left", "skipped")] {
        descriptions.classes.push(description(class, &[("shape", name), ("location", name)]));
    }
    let variants = variants_of(&descriptions, &[Kind::Absent], 0);
    assert_eq!((variants.made.len(), variants.skipped[0].0.as_str()), (1, "absent organ"));
}

#[test]
fn sides_are_swapped_as_whole_words_with_their_capitals() {
    assert_eq!(
        swap_sides("Left of the RIGHT, left-sided, rightmost and leftward; leftover, bright."),
        "Right of the LEFT, right-sided, leftmost and rightward; leftover, bright."
    );
}

#[test]
fn other_words_keep_their_capitals() {
    assert_eq!(reword("Smooth and SMALL, beside a long tube."), "Sleek and LITTLE, next to a lengthy pipe.");
}

#[test]
fn kinds_have_names_that_are_read_back() {
    for (name, kind) in KINDS {
        assert_eq!(name.parse(), Ok(kind));
        assert_eq!(kind.to_string(), name);
        assert_eq!(serde_json::to_string(&kind).unwrap(), format!("\"{name}\""));
    }
    let refusal = "typo".parse::<Kind>().unwrap_err();
    assert!(refusal.starts_with("expected one of as-trained, names, ") && refusal.ends_with("\"typo\""));
}

proptest! {
    #[test]
    fn exactly_so_many_letters_are_mistyped(text in "[a-zA-Zäß0-9 ,.-]{0,60}", count in 0..8usize, seed: u64) {
        let mistyped = mistype(&text, count, &mut ChaCha8Rng::seed_from_u64(seed));
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
        prop_assert_eq!(swap_sides(&swap_sides(&text)), text);
        let text = words.join(" ");
        prop_assert_eq!(swap_sides(&swap_sides(&text)), text);
    }

    #[test]
    fn nonsense_keeps_the_length_of_words_and_all_between_them(text in "[a-zA-Z0-9 ,.-]{0,60}", seed: u64) {
        let other = nonsense(&text, &mut ChaCha8Rng::seed_from_u64(seed));
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
