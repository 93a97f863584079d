//! Prompt sampling: forms, augmentation, held-out split, mirrored texts.

use std::collections::BTreeMap;

use bipvl_text::prompts::{
    PromptConfig, PromptKind, UNRELATED_PROMPTS, drop_words, is_held_out, mirror_text, mirrored_classes,
    sample_negative,
};
use proptest::prelude::*;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// Standard deviations of a binomial count that are tolerated; fails by chance once in 15 000 seeds.
const SIGMAS: f64 = 4.0;

fn rng(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

/// Whether a count of `n` trials fits a probability.
fn fits(count: usize, n: usize, probability: f64) -> bool {
    let expected = n as f64 * probability;
    (count as f64 - expected).abs() <= SIGMAS * (expected * (1.0 - probability)).sqrt()
}

#[test]
fn forms_have_their_frequencies() {
    let (config, mut rng, n) = (PromptConfig::default(), rng(1), 4000);
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for _ in 0..n {
        *counts.entry(format!("{:?}", config.sample_kind(&mut rng))).or_default() += 1;
    }
    for (kind, probability) in
        [(PromptKind::Name, 0.4), (PromptKind::Sentences, 0.3), (PromptKind::Full, 0.3)]
    {
        assert!(fits(counts[&format!("{kind:?}")], n, probability), "{counts:?}");
    }
}

#[test]
fn a_tenth_of_the_words_is_dropped_and_a_tenth_of_the_prompts_has_a_typo() {
    let (mut rng, n) = (rng(4), 20_000);
    let text = "word ".repeat(n);
    let kept = drop_words(&text, 0.1, &mut rng).split_whitespace().count();
    assert!(fits(n - kept, n, 0.1), "{kept}");
    let config = PromptConfig { word_dropout: 0.0, ..PromptConfig::default() };
    let typos = (0..2000).filter(|_| config.augment("liver", &mut rng) != "liver").count();
    assert!(fits(typos, 2000, 0.1), "{typos}");
}

#[test]
fn a_fifth_of_the_texts_is_held_out_in_every_release() {
    let texts: Vec<String> = (0..5000).map(|number| format!("paraphrase number {number}")).collect();
    let held_out = texts.iter().filter(|text| is_held_out(text)).count();
    assert!(fits(held_out, 5000, 0.2), "{held_out}");
    assert_eq!(is_held_out("A Bean, about."), is_held_out("a bean about"), "spelling does not matter");
}

#[test]
fn negative_prompts_are_pseudowords_or_of_the_right_share() {
    let (mut rng, n) = (rng(5), 2000);
    let unrelated = |prompt: &String| UNRELATED_PROMPTS.contains(&prompt.as_str());
    for held_out in [false, true] {
        let prompts: Vec<String> = (0..n).map(|_| sample_negative(held_out, &mut rng)).collect();
        let listed: Vec<&String> = prompts.iter().filter(|prompt| unrelated(prompt)).collect();
        assert!(fits(listed.len(), n, 0.5), "{}", listed.len());
        assert!(listed.iter().all(|prompt| is_held_out(prompt) == held_out));
        assert!(prompts.iter().all(|prompt| !prompt.trim().is_empty()));
    }
    let held_out = UNRELATED_PROMPTS.iter().filter(|prompt| is_held_out(prompt)).count();
    assert!((5..=15).contains(&held_out), "{held_out} of 50");
}

#[test]
fn a_mirrored_text_exchanges_sides_but_not_chambers() {
    assert_eq!(
        mirror_text("On the left side, beside the left ventricle and the Right atrium; right."),
        "On the right side, beside the left ventricle and the Right atrium; left."
    );
    let classes = ["kidney_left", "liver", "right kidney", "LV", "left ventricle"].map(str::to_owned);
    assert_eq!(mirrored_classes(&classes).unwrap(), [2, 1, 0, 3, 4]);
    assert_eq!(mirrored_classes(&classes[..2]), None);
}

proptest! {
    #[test]
    fn side_words_survive_and_never_stand_alone(
        words in prop::collection::vec("left|Right,|leftmost|[a-k]{1,6}", 1..12), probability in 0.0..=1.0f64, seed: u64
    ) {
        let is_side = |word: &str| word.to_lowercase().starts_with("left") || word.starts_with("Right");
        let kept = drop_words(&words.join(" "), probability, &mut rng(seed));
        let kept: Vec<&str> = kept.split_whitespace().collect();
        let sides = |words: &mut dyn Iterator<Item = &str>| words.filter(|word| is_side(word)).count();
        prop_assert_eq!(sides(&mut kept.iter().copied()), sides(&mut words.iter().map(String::as_str)));
        let has_other = words.iter().any(|word| !is_side(word));
        prop_assert_eq!(kept.iter().any(|word| !is_side(word)), has_other);
    }

    #[test]
    fn mirroring_twice_gives_the_text_back(
        words in prop::collection::vec("left|Right|LEFT|ventricle|atria|leftmost|[a-zé]{1,6}[,.;]?", 0..20)
    ) {
        let text = words.join(" ");
        prop_assert_eq!(mirror_text(&mirror_text(&text)), text);
    }
}
