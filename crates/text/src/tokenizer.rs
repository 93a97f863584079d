//! BERT WordPiece tokenizer: text to token ids and attention mask.

use std::{collections::BTreeSet, fs, path::Path};

use bipvl_io::atomic_write;
use ndarray::Array2;
use serde::Deserialize;
use tokenizers::{
    AddedToken, ModelWrapper, NormalizedString, Normalizer, OffsetReferential, OffsetType,
    PreTokenizedString, PreTokenizer, models::wordpiece::WordPiece, normalizers::BertNormalizer,
    pre_tokenizers::bert::BertPreTokenizer, processors::bert::BertProcessing,
};

use super::{ClassText, Description, Descriptions, TokenizedTexts, description::read_text};
use crate::{Error, Result};

/// Position embeddings of BERT.
const MAX_TOKENS: usize = 512;
const PADDING: &str = "[PAD]";
const UNKNOWN: &str = "[UNK]";
const CLS: &str = "[CLS]";
const SEP: &str = "[SEP]";
const MASK: &str = "[MASK]";

/// `[CLS]` and `[SEP]`.
const SPECIAL_TOKENS: usize = 2;

/// BERT WordPiece tokenizer: `[CLS] … [SEP]`, truncated to the maximum length.
#[derive(Clone, Debug)]
pub struct Tokenizer {
    /// Neither pads nor truncates.
    inner: tokenizers::Tokenizer,
    padding: i64,
    separator: u32,
    max_tokens: usize,
}

/// The part of `tokenizer_config.json` that a `vocab.txt` needs.
#[derive(Default, Deserialize)]
struct TokenizerConfig {
    do_lower_case: Option<bool>,
    strip_accents: Option<bool>,
}

/// A class whose prompt exceeds the maximum length of a tokenizer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TruncatedClass<'a> {
    /// The class name.
    pub class: &'a str,
    /// The length of the prompt in tokens.
    pub tokens: usize,
    /// The number of tokens that are read.
    pub max_tokens: usize,
}

impl Tokenizer {
    /// Reads a Hugging Face folder: `tokenizer.json`, else `vocab.txt` with an optional `tokenizer_config.json`.
    ///
    /// Without `do_lower_case`, a `vocab.txt` is lower-cased unless it has words with ASCII capitals: the files of
    /// `Bio_ClinicalBERT` omit the key, and lower-casing would miss half of their words.
    ///
    /// # Errors
    ///
    /// If neither file is readable, a special token is missing, or the tokenizer is not BERT's.
    pub fn from_folder(folder: &Path) -> Result<Self> {
        let complete = folder.join("tokenizer.json");
        if complete.exists() {
            let text = fs::read(&complete).map_err(|source| Error::io(&complete, source))?;
            let inner = tokenizers::Tokenizer::from_bytes(text).map_err(|error| invalid(&complete, error))?;
            return Self::check(inner, &complete);
        }
        let vocabulary = folder.join("vocab.txt");
        let text = read_text(&vocabulary)?;
        let config = TokenizerConfig::read(&folder.join("tokenizer_config.json"))?;
        let is_special = |piece: &str| piece.starts_with('[') && piece.ends_with(']');
        let is_cased = text
            .lines()
            .any(|piece| !is_special(piece) && piece.contains(|letter: char| letter.is_ascii_uppercase()));
        let lower_case = config.do_lower_case.unwrap_or(!is_cased);
        Self::check(
            from_vocabulary(&text, BertNormalizer::new(true, true, config.strip_accents, lower_case)),
            &vocabulary,
        )
    }

    /// A lower-casing tokenizer whose vocabulary is the words of the descriptions. Other words are split into letters,
    /// so no printable ASCII text becomes `[UNK]`.
    pub fn from_descriptions(descriptions: &Descriptions) -> Self {
        let texts = descriptions.classes.iter().flat_map(Description::sentences);
        let words: BTreeSet<String> = texts.flat_map(|text| pre_tokenize(&text)).collect();
        let letters: Vec<String> =
            ('!'..='~').filter(|letter| !letter.is_ascii_uppercase()).map(String::from).collect();
        let continued = letters.iter().filter(|letter| letter.chars().all(char::is_alphanumeric));
        let mut pieces: Vec<String> = [PADDING, UNKNOWN, CLS, SEP, MASK].map(String::from).into();
        pieces.extend(letters.iter().cloned());
        pieces.extend(continued.map(|letter| format!("##{letter}")));
        pieces.extend(words.into_iter().filter(|word| !letters.contains(word)));
        let inner = from_vocabulary(&pieces.join("\n"), BertNormalizer::default());
        Self::check(inner, Path::new("vocab.txt")).expect("the vocabulary begins with the special tokens")
    }

    /// Sets the maximum length in tokens, including `[CLS]` and `[SEP]`; 512 by default. Longer texts are truncated.
    #[must_use]
    pub fn with_max_tokens(mut self, max_tokens: usize) -> Self {
        self.max_tokens = max_tokens.max(SPECIAL_TOKENS);
        self
    }

    /// Size of the vocabulary; all ids are smaller.
    pub fn vocab_size(&self) -> usize {
        let ids = self.inner.get_vocab(true).into_values();
        ids.max().map_or(0, |id| id as usize + 1)
    }

    /// Writes `tokenizer.json` into a folder, to be read by [`Tokenizer::from_folder`]. The maximum length is not saved.
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    pub fn save(&self, folder: &Path) -> Result<()> {
        let path = folder.join("tokenizer.json");
        let text = self.inner.to_string(false).expect("a tokenizer has a JSON form");
        Ok(atomic_write(&path, text.as_bytes())?)
    }

    /// Encodes texts, padded to the longest: ids and mask are `[texts, tokens]`.
    pub fn encode(&self, texts: &[String]) -> TokenizedTexts {
        let encode = |text: &String| {
            let mut ids = self.encode_whole(text);
            if ids.len() > self.max_tokens {
                ids.truncate(self.max_tokens - 1);
                ids.push(self.separator);
            }
            ids
        };
        let sequences: Vec<Vec<u32>> = texts.iter().map(encode).collect();
        let longest = sequences.iter().map(Vec::len).max().unwrap_or(0);
        let shape = (texts.len(), longest);
        TokenizedTexts {
            input_ids: Array2::from_shape_fn(shape, |(text, token)| {
                sequences[text].get(token).map_or(self.padding, |id| i64::from(*id))
            }),
            attention_mask: Array2::from_shape_fn(shape, |(text, token)| token < sequences[text].len()),
        }
    }

    /// The maximum length in tokens, including `[CLS]` and `[SEP]`.
    pub fn max_tokens(&self) -> usize {
        self.max_tokens
    }

    /// The length of a text in tokens before truncation, including `[CLS]` and `[SEP]`.
    pub fn count_tokens(&self, text: &str) -> usize {
        self.encode_whole(text).len()
    }

    /// Whether a text is longer than the maximum length.
    pub fn truncates(&self, text: &str) -> bool {
        self.count_tokens(text) > self.max_tokens()
    }

    /// The classes whose prompt is truncated, with its length in tokens.
    pub fn truncated_classes<'a>(&self, descriptions: &'a Descriptions) -> Vec<TruncatedClass<'a>> {
        let lengths = descriptions.classes.iter().map(|description| TruncatedClass {
            class: &description.class,
            tokens: self.count_tokens(&description.prompt()),
            max_tokens: self.max_tokens(),
        });
        lengths.filter(|class| class.tokens > class.max_tokens).collect()
    }

    /// Encodes the two text inputs of the network: the prompt of each class, and its sentences one by one.
    pub fn encode_classes(&self, descriptions: &Descriptions) -> ClassText {
        let prompts = descriptions.prompts();
        let sentences: Vec<String> = descriptions.classes.iter().flat_map(Description::sentences).collect();
        ClassText {
            num_texts: 1,
            sentences_per_class: sentences.len() / prompts.len().max(1),
            prompts: self.encode(&prompts),
            sentences: self.encode(&sentences),
        }
    }

    fn encode_whole(&self, text: &str) -> Vec<u32> {
        let encoding = self.inner.encode_fast(text, true).expect("WordPiece has an unknown token");
        encoding.get_ids().to_vec()
    }

    fn check(mut inner: tokenizers::Tokenizer, path: &Path) -> Result<Self> {
        if !matches!(inner.get_model(), ModelWrapper::WordPiece(_)) {
            return Err(invalid(path, "its model is not WordPiece"));
        }
        if let Some(missing) =
            [PADDING, UNKNOWN, CLS, SEP].iter().find(|token| inner.token_to_id(token).is_none())
        {
            return Err(Error::MissingSpecialToken { path: path.to_owned(), token: missing });
        }
        inner.with_padding(None);
        inner.with_truncation(None).expect("truncation can always be disabled");
        let special = [CLS, SEP].map(|token| inner.token_to_id(token));
        let empty =
            inner.encode_fast("", true).map(|encoding| encoding.get_ids().to_vec()).unwrap_or_default();
        if !empty.iter().copied().map(Some).eq(special) {
            let reason = format!("an empty text becomes {empty:?} instead of [CLS] [SEP]");
            return Err(invalid(path, reason));
        }
        let padding = i64::from(inner.token_to_id(PADDING).expect("checked above"));
        let separator = inner.token_to_id(SEP).expect("checked above");
        Ok(Self { inner, padding, separator, max_tokens: MAX_TOKENS })
    }
}

impl TokenizerConfig {
    fn read(path: &Path) -> Result<Self> {
        if !path.exists() {
            return Ok(Self::default());
        }
        let text = fs::read(path).map_err(|source| Error::io(path, source))?;
        serde_json::from_slice(&text).map_err(|error| invalid(path, error))
    }
}

fn invalid(path: &Path, reason: impl ToString) -> Error {
    Error::InvalidTokenizer { path: path.to_owned(), reason: reason.to_string() }
}

/// The tokenizer of a `vocab.txt`: one token per line, whose id is the line number from 0.
fn from_vocabulary(text: &str, normalizer: BertNormalizer) -> tokenizers::Tokenizer {
    let vocabulary = WordPiece::read_bytes(text.as_bytes()).expect("text in memory is readable");
    let model = WordPiece::builder().vocab(vocabulary).build().expect("no file is read");
    let mut tokenizer = tokenizers::Tokenizer::new(model);
    tokenizer.with_normalizer(Some(normalizer)).expect("no special token is normalized");
    tokenizer.with_pre_tokenizer(Some(BertPreTokenizer));
    let special = [PADDING, UNKNOWN, CLS, SEP, MASK].into_iter();
    let known: Vec<AddedToken> = special
        .filter(|token| tokenizer.token_to_id(token).is_some())
        .map(|token| AddedToken::from(token, true))
        .collect();
    tokenizer.add_special_tokens(known).expect("the tokens are in the vocabulary");
    if let (Some(cls), Some(sep)) = (tokenizer.token_to_id(CLS), tokenizer.token_to_id(SEP)) {
        tokenizer.with_post_processor(Some(BertProcessing::new((SEP.into(), sep), (CLS.into(), cls))));
    }
    tokenizer
}

/// The words of a text after BERT's pre-tokenization.
fn pre_tokenize(text: &str) -> Vec<String> {
    let mut normalized = NormalizedString::from(text);
    BertNormalizer::default().normalize(&mut normalized).expect("any text can be normalized");
    let mut words = PreTokenizedString::from(normalized);
    BertPreTokenizer.pre_tokenize(&mut words).expect("any text can be split");
    let splits = words.get_splits(OffsetReferential::Normalized, OffsetType::Byte);
    splits.into_iter().map(|(word, _, _)| word.to_owned()).collect()
}
