//! Tokenizer: ids against the Python library, and vocabularies made of descriptions.

use std::{fs, path::Path};

use bipvl::text::{Concept, Description, Descriptions, Tokenizer, TruncatedClass};
use ndarray::s;
use serde_json::Value;
use tempfile::TempDir;

use crate::real_data;

fn ids_of(tokenizer: &Tokenizer, text: &str) -> Vec<i64> {
    tokenizer.encode(&[text.to_owned()]).input_ids.into_raw_vec_and_offset().0
}

fn assert_reference(tokenizer: &Tokenizer, reference: &Path, ids_of_item: fn(&Value) -> &Value) {
    let reference: Value = serde_json::from_slice(&fs::read(reference).unwrap()).unwrap();
    let items = reference["items"].as_array().unwrap();
    assert!(items.len() >= 8);
    for item in items {
        let text = item["text"].as_str().unwrap();
        let expected: Vec<i64> = serde_json::from_value(ids_of_item(item).clone()).unwrap();
        assert_eq!(ids_of(tokenizer, text), expected, "{text:?}");
    }
}

fn description(class: &str, sentence: &str) -> Description {
    let concepts = ["shape", "location"].map(|name| Concept { name: name.into(), sentence: sentence.into() });
    Description { class: class.into(), title: format!("{class} in a CT image"), concepts: concepts.into() }
}

fn descriptions() -> Descriptions {
    let classes = vec![
        description("Liver", "Large, wedge-shaped."),
        description("Aorta", "A long, round tube in front of the spine."),
    ];
    Descriptions { classes }
}

#[test]
fn cased_and_lower_cased_ids_match_the_reference() {
    let Some(data) = real_data("bert/cased-vocab") else { return };
    let folder = TempDir::new().unwrap();
    fs::copy(data.join("vocab_cased.txt"), folder.path().join("vocab.txt")).unwrap();
    let reference = data.join("tokenizer_reference.json");
    let tokenizer = Tokenizer::from_folder(folder.path()).unwrap();
    assert_eq!(tokenizer.vocab_size(), 28_996);
    assert_reference(&tokenizer, &reference, |item| &item["cased"]["ids"]);
    fs::write(folder.path().join("tokenizer_config.json"), r#"{"do_lower_case": true, "other": 1}"#).unwrap();
    let tokenizer = Tokenizer::from_folder(folder.path()).unwrap();
    assert_reference(&tokenizer, &reference, |item| &item["lowercased"]["ids"]);
}

#[test]
fn ids_of_a_tokenizer_json_match_the_reference() {
    let Some(data) = real_data("bert/minilm-l6") else { return };
    let tokenizer = Tokenizer::from_folder(&data).unwrap();
    assert_eq!(tokenizer.vocab_size(), 30_522);
    assert_reference(&tokenizer, &data.join("reference.json"), |item| &item["input_ids"]);
    let folder = TempDir::new().unwrap();
    fs::copy(data.join("vocab.txt"), folder.path().join("vocab.txt")).unwrap();
    let from_words = Tokenizer::from_folder(folder.path()).unwrap();
    assert_reference(&from_words, &data.join("reference.json"), |item| &item["input_ids"]);
}

#[test]
fn a_word_is_split_into_the_longest_pieces() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("vocab.txt"), "[PAD]\n[UNK]\n[CLS]\n[SEP]\nkid\n##ney\n##neys\nk\n,\n")
        .unwrap();
    let tokenizer = Tokenizer::from_folder(folder.path()).unwrap();
    assert_eq!(ids_of(&tokenizer, "Kidney, kidneys liver"), [2, 4, 5, 8, 4, 6, 1, 3]);
    assert_eq!(tokenizer.vocab_size(), 9);
}

#[test]
fn texts_are_padded_to_the_longest_and_truncated_at_the_limit() {
    let tokenizer = Tokenizer::from_descriptions(&descriptions());
    let texts = ["liver".to_owned(), "large large large".to_owned()];
    let tokens = tokenizer.encode(&texts);
    assert_eq!(tokens.input_ids.dim(), (2, 5));
    assert_eq!(tokens.attention_mask.row(0).to_vec(), [true, true, true, false, false]);
    assert_eq!(tokens.input_ids.slice(s![0, 3..]).to_vec(), [0, 0]);
    let cut = tokenizer.with_max_tokens(4).encode(&texts);
    assert_eq!(cut.input_ids.dim(), (2, 4));
    assert_eq!(cut.input_ids[[1, 3]], tokens.input_ids[[1, 4]], "the last token is still [SEP]");
}

#[test]
fn a_vocabulary_of_descriptions_splits_other_words_into_letters() {
    let tokenizer = Tokenizer::from_descriptions(&descriptions());
    let unknown = ids_of(&tokenizer, "肝")[1];
    assert_eq!(ids_of(&tokenizer, "Wedge-shaped liver").len(), 2 + 4);
    assert_eq!(ids_of(&tokenizer, "zebra").len(), 2 + 5);
    let printable: String = (' '..='~').flat_map(|letter| [letter, 'x', letter, ' ']).collect();
    assert!(!ids_of(&tokenizer, &printable).contains(&unknown));
    assert_eq!(ids_of(&tokenizer, "LIVER"), ids_of(&tokenizer, "liver"));
}

#[test]
fn a_saved_tokenizer_encodes_the_same_ids() {
    let folder = TempDir::new().unwrap();
    let tokenizer = Tokenizer::from_descriptions(&descriptions());
    tokenizer.save(folder.path()).unwrap();
    let read = Tokenizer::from_folder(folder.path()).unwrap();
    assert_eq!(read.vocab_size(), tokenizer.vocab_size());
    assert_eq!(read.encode_classes(&descriptions()), tokenizer.encode_classes(&descriptions()));
    let text = "Another text, [SEP] of Zebras: 12 µm";
    assert_eq!(ids_of(&read, text), ids_of(&tokenizer, text));
}

#[test]
fn sentences_are_encoded_class_by_class() {
    let tokenizer = Tokenizer::from_descriptions(&descriptions());
    let text = tokenizer.encode_classes(&descriptions());
    assert_eq!(
        (text.sentences_per_class, text.prompts.input_ids.nrows(), text.sentences.input_ids.nrows()),
        (3, 2, 6)
    );
    for (row, sentence) in descriptions().classes.iter().flat_map(Description::sentences).enumerate() {
        let real = text.sentences.attention_mask.row(row).iter().filter(|is_real| **is_real).count();
        assert_eq!(text.sentences.input_ids.slice(s![row, ..real]).to_vec(), ids_of(&tokenizer, &sentence));
    }
    let full = descriptions().classes[1].prompt();
    assert_eq!(
        text.prompts.input_ids.row(1).to_vec(),
        ids_of(&tokenizer, &full),
        "the aorta's text is the longest"
    );
}

#[test]
fn folders_without_a_usable_tokenizer_are_errors() {
    let refusal = |files: &[(&str, &str)]| {
        let folder = TempDir::new().unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        Tokenizer::from_folder(folder.path()).err().unwrap().to_string()
    };
    assert!(refusal(&[]).contains("vocab.txt"));
    assert!(refusal(&[("vocab.txt", "[PAD]\n[UNK]\n[CLS]\na")]).contains("[SEP]"));
    assert!(refusal(&[("tokenizer.json", "{}")]).contains("tokenizer.json: unsupported tokenizer"));
    let words = "[PAD]\n[UNK]\n[CLS]\n[SEP]";
    let message = refusal(&[("vocab.txt", words), ("tokenizer_config.json", "[")]);
    assert!(message.contains("tokenizer_config.json"), "{message}");
}

#[test]
fn truncated_classes_are_listed_with_their_length() {
    let mut descriptions = descriptions();
    let tokenizer = Tokenizer::from_descriptions(&descriptions).with_max_tokens(24);
    let lengths: Vec<usize> =
        descriptions.prompts().iter().map(|prompt| tokenizer.count_tokens(prompt)).collect();
    // [CLS] liver in a ct image . shape : large , wedge - shaped . location : large , wedge - shaped . [SEP]
    assert_eq!(lengths[0], 24);
    assert!(!tokenizer.truncates(&descriptions.classes[0].prompt()));
    descriptions.classes[0].concepts[0].sentence += &" large".repeat(1000);
    assert_eq!(tokenizer.count_tokens(&descriptions.classes[0].prompt()), 1024);
    let truncated = tokenizer.truncated_classes(&descriptions);
    assert_eq!(truncated[0], TruncatedClass { class: "Liver", tokens: 1024, max_tokens: 24 });
    assert_eq!(truncated.len(), 2, "the aorta has {} tokens", lengths[1]);
}
