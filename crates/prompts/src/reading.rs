//! The prompts of a user, checked.

use std::{collections::HashMap, fs, path::Path};

use crate::{Error, Result, Vocabulary};

/// Prompts of one prediction at most.
pub const MAX_PROMPTS: usize = 1000;

/// Characters of a prompt at most; text encoders read some hundreds of words.
pub const MAX_CHARACTERS: usize = 10_000;

/// Reads a file with one prompt per line; empty lines and lines that begin with `#` are skipped.
///
/// # Errors
///
/// When the file cannot be read or has no prompt.
pub fn read_prompts(path: &Path) -> Result<Vec<String>> {
    let text = fs::read_to_string(path).map_err(|reason| Error::io(path, reason))?;
    let lines = text
        .trim_start_matches('\u{feff}')
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    let prompts: Vec<String> = lines.map(str::to_owned).collect();
    if prompts.is_empty() {
        let reason = "it has no prompt; write one per line".to_owned();
        return Err(Error::Prompts { reason: format!("{}: {reason}", path.display()) });
    }
    Ok(prompts)
}

/// Checks prompts: at least one, at most [`MAX_PROMPTS`], none of them empty, twice, or of more than [`MAX_CHARACTERS`].
///
/// # Errors
///
/// When one is not as it must be.
pub fn check_prompts(prompts: &[String]) -> Result<()> {
    let invalid = |reason: String| Err(Error::Prompts { reason });
    if prompts.len() > MAX_PROMPTS {
        return invalid(format!(
            "{} prompts, but at most {MAX_PROMPTS} fit into one run; split them",
            prompts.len()
        ));
    }
    let mut before: HashMap<String, usize> = HashMap::new();
    for (place, prompt) in prompts.iter().enumerate() {
        let length = prompt.chars().count();
        if length > MAX_CHARACTERS {
            return invalid(format!(
                "prompt {} has {length} characters, but at most {MAX_CHARACTERS} are allowed",
                place + 1
            ));
        }
        let normalized = prompt.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
        if !normalized.contains(char::is_alphanumeric) {
            return invalid(format!("prompt {} has no word: `{prompt}`", place + 1));
        }
        if let Some(other) = before.insert(normalized, place) {
            return invalid(format!("prompts {} and {} are the same: `{prompt}`", other + 1, place + 1));
        }
    }
    if prompts.is_empty() { invalid("no prompt".to_owned()) } else { Ok(()) }
}

/// The words of a prompt that no text of the training has.
pub fn unseen_words(vocabulary: &Vocabulary, prompt: &str) -> Vec<String> {
    if vocabulary.find(prompt).is_some() {
        return Vec::new();
    }
    let texts = vocabulary.concepts.iter().flat_map(|concept| concept.texts.all());
    let known: std::collections::HashSet<String> = texts.flat_map(|text| words(text)).collect();
    words(prompt).into_iter().filter(|word| !known.contains(word)).collect()
}

fn words(text: &str) -> Vec<String> {
    let letters = |letter: char| !letter.is_alphanumeric();
    text.to_lowercase().split(letters).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Concept, PromptTexts};

    fn check(prompts: &[&str]) -> String {
        let prompts: Vec<String> = prompts.iter().map(|prompt| (*prompt).to_owned()).collect();
        check_prompts(&prompts).map_or_else(|error| error.to_string(), |()| String::new())
    }

    #[test]
    fn empty_and_repeated_prompts_are_refused() {
        assert_eq!(check(&["liver", "left kidney"]), "");
        assert_eq!(check(&[]), "no prompt");
        assert_eq!(check(&["liver", " ? "]), "prompt 2 has no word: ` ? `");
        assert_eq!(check(&["liver", "spleen", "  Liver"]), "prompts 1 and 3 are the same: `  Liver`");
        assert_eq!(
            check(&[&"long ".repeat(3000)]),
            "prompt 1 has 15000 characters, but at most 10000 are allowed"
        );
        let many: Vec<String> = (0..10_000).map(|number| format!("organ {number}")).collect();
        assert!(check_prompts(&many).unwrap_err().to_string().contains("10000 prompts, but at most 1000"));
    }

    #[test]
    fn words_of_no_training_text_are_named() {
        let texts = PromptTexts::from_names(vec!["left kidney".to_owned()]);
        let concept = Concept {
            name: "left kidney".to_owned(),
            parts: Vec::new(),
            contralateral: None,
            texts,
            sets: Vec::new(),
        };
        let vocabulary = Vocabulary { sets: Vec::new(), concepts: vec![concept] };
        assert_eq!(unseen_words(&vocabulary, "the Left kidneyy"), ["the", "kidneyy"]);
    }
}
