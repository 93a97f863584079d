//! `--encoder NAME=DIR`: a row with a pretrained text encoder.

use std::{path::PathBuf, str::FromStr};

/// A pretrained text encoder and the row that uses it, from `NAME=DIR`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NamedEncoder {
    pub(super) name: String,
    pub(super) folder: PathBuf,
}

impl FromStr for NamedEncoder {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
        match text.split_once('=') {
            Some((name, folder))
                if !folder.is_empty() && name.starts_with(|c: char| c.is_ascii_alphanumeric()) =>
            {
                if !name.chars().all(is_plain) {
                    return Err(format!("`{name}` must consist of letters, digits, `-`, `_` and `.`"));
                }
                Ok(Self { name: name.to_owned(), folder: PathBuf::from(folder) })
            }
            _ => Err("expected NAME=DIR, such as minilm=all-MiniLM-L6-v2".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_encoder_is_a_name_and_a_folder() {
        let encoder = NamedEncoder { name: "mini-lm".to_owned(), folder: PathBuf::from("a=b/c") };
        assert_eq!("mini-lm=a=b/c".parse(), Ok(encoder));
        for (text, part) in [
            ("bert", "NAME=DIR"),
            ("=dir", "NAME=DIR"),
            ("bert=", "NAME=DIR"),
            ("../x=dir", "NAME=DIR"),
            ("a/b=dir", "letters"),
        ] {
            let message = text.parse::<NamedEncoder>().unwrap_err();
            assert!(message.contains(part), "{text}: {message}");
        }
    }
}
