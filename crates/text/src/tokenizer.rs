//! BERT word pieces: text → ids and mask.

use std::{collections::BTreeSet, fs, path::Path};

use bipvl_io::atomic_write;
use ndarray::Array2;
use serde::Deserialize;
use tokenizers::{
    AddedToken, ModelWrapper, NormalizedString, Normalizer, OffsetReferential, OffsetType,
    PreTokenizedString, PreTokenizer, TruncationParams, models::wordpiece::WordPiece,
    normalizers::BertNormalizer, pre_tokenizers::bert::BertPreTokenizer, processors::bert::BertProcessing,
};

use super::{ClassText, Description, Descriptions, Tokens};
use crate::{Error, Result};

/// The positions of BERT.
const MAX_TOKENS: usize = 512;
const PADDING: &str = "[PAD]";
const UNKNOWN: &str = "[UNK]";
const START: &str = "[CLS]";
const END: &str = "[SEP]";
const MASKED: &str = "[MASK]";

/// Splits text into the word pieces of BERT, `[CLS] … [SEP]`, and cuts what is too long.
#[derive(Clone, Debug)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    padding: i64,
}

/// How a vocabulary wants its text, from `tokenizer_config.json`.
#[derive(Default, Deserialize)]
struct Casing {
    do_lower_case: Option<bool>,
    strip_accents: Option<bool>,
}

impl Tokenizer {
    /// Reads a folder in the form of Hugging Face: `tokenizer.json`, else `vocab.txt` with an optional
    /// `tokenizer_config.json`.
    ///
    /// A `vocab.txt` whose casing nobody states is lower-cased unless it has words with ASCII capitals: the
    /// files of `Bio_ClinicalBERT` state nothing, and lower-casing would miss half of their words.
    ///
    /// # Errors
    ///
    /// When neither file is there or readable, when a special token is missing, or when the tokenizer
    /// is not one of BERT's.
    pub fn from_folder(folder: &Path) -> Result<Self> {
        let complete = folder.join("tokenizer.json");
        if complete.exists() {
            let text = fs::read(&complete).map_err(|source| Error::io(&complete, source))?;
            let inner = tokenizers::Tokenizer::from_bytes(text)
                .map_err(|error| Error::content(&complete, "a tokenizer", error.to_string()))?;
            return Self::check(inner, &complete);
        }
        let vocabulary = folder.join("vocab.txt");
        let text = fs::read_to_string(&vocabulary).map_err(|source| Error::io(&vocabulary, source))?;
        let casing = Casing::read(&folder.join("tokenizer_config.json"))?;
        let is_special = |piece: &str| piece.starts_with('[') && piece.ends_with(']');
        let is_cased = text
            .lines()
            .any(|piece| !is_special(piece) && piece.contains(|letter: char| letter.is_ascii_uppercase()));
        let lower_case = casing.do_lower_case.unwrap_or(!is_cased);
        Self::check(
            from_vocabulary(&text, BertNormalizer::new(true, true, casing.strip_accents, lower_case)),
            &vocabulary,
        )
    }

    /// A tokenizer that needs no file: its words are those of the descriptions, and any other word is
    /// spelled letter by letter, so that no printable ASCII text is unknown. Lower-cased.
    pub fn built_in(descriptions: &Descriptions) -> Self {
        let texts = descriptions.classes.iter().flat_map(Description::sentences);
        let words: BTreeSet<String> = texts.flat_map(|text| words_of(&text)).collect();
        let letters: Vec<String> =
            ('!'..='~').filter(|letter| !letter.is_ascii_uppercase()).map(String::from).collect();
        let continued = letters.iter().filter(|letter| letter.chars().all(char::is_alphanumeric));
        let mut pieces: Vec<String> = [PADDING, UNKNOWN, START, END, MASKED].map(String::from).into();
        pieces.extend(letters.iter().cloned());
        pieces.extend(continued.map(|letter| format!("##{letter}")));
        pieces.extend(words.into_iter().filter(|word| !letters.contains(word)));
        let inner = from_vocabulary(&pieces.join("\n"), BertNormalizer::default());
        Self::check(inner, Path::new("vocab.txt")).expect("the vocabulary begins with the special tokens")
    }

    /// Cuts texts after this many tokens, `[CLS]` and `[SEP]` counted; 512 unless told otherwise.
    #[must_use]
    pub fn with_max_tokens(mut self, max_tokens: usize) -> Self {
        self.inner
            .with_truncation(Some(TruncationParams { max_length: max_tokens, ..Default::default() }))
            .expect("a stride of zero is shorter than any text");
        self
    }

    /// How many word pieces there are; ids are smaller than this.
    pub fn vocabulary_size(&self) -> usize {
        let ids = self.inner.get_vocab(true).into_values();
        ids.max().map_or(0, |id| id as usize + 1)
    }

    /// Writes `tokenizer.json` into a folder, so that [`Tokenizer::from_folder`] gives the same ids.
    /// The greatest length is not saved.
    ///
    /// # Errors
    ///
    /// When the folder cannot be written to.
    pub fn save(&self, folder: &Path) -> Result<()> {
        let path = folder.join("tokenizer.json");
        let mut inner = self.inner.clone();
        inner.with_truncation(None).expect("no truncation is always possible");
        let text = inner.to_string(false).expect("a tokenizer can always be written as text");
        Ok(atomic_write(&path, text.as_bytes())?)
    }

    /// The ids of several texts, padded to the longest: ids and mask are `[texts, tokens]`.
    pub fn encode(&self, texts: &[String]) -> Tokens {
        let encode = |text: &String| {
            let encoding = self.inner.encode_fast(text.as_str(), true);
            encoding.expect("word pieces know the unknown token").get_ids().to_vec()
        };
        let sequences: Vec<Vec<u32>> = texts.iter().map(encode).collect();
        let longest = sequences.iter().map(Vec::len).max().unwrap_or(0);
        let shape = (texts.len(), longest);
        Tokens {
            ids: Array2::from_shape_fn(shape, |(text, token)| {
                sequences[text].get(token).map_or(self.padding, |id| i64::from(*id))
            }),
            mask: Array2::from_shape_fn(shape, |(text, token)| token < sequences[text].len()),
        }
    }

    /// Whether a text is longer than what is read of it.
    pub fn cuts(&self, text: &str) -> bool {
        let encoding = self.inner.encode_fast(text, true).expect("word pieces know the unknown token");
        !encoding.get_overflowing().is_empty()
    }

    /// The two token streams of the network: each class as one text, and sentence by sentence.
    pub fn encode_classes(&self, descriptions: &Descriptions) -> ClassText {
        let full: Vec<String> = descriptions.classes.iter().map(Description::prompt).collect();
        let sentences: Vec<String> = descriptions.classes.iter().flat_map(Description::sentences).collect();
        ClassText {
            num_texts: 1,
            num_concepts: sentences.len() / full.len().max(1),
            full: self.encode(&full),
            concepts: self.encode(&sentences),
        }
    }

    fn check(mut inner: tokenizers::Tokenizer, path: &Path) -> Result<Self> {
        if !matches!(inner.get_model(), ModelWrapper::WordPiece(_)) {
            return Err(Error::content(path, "word pieces", "another kind of tokenizer"));
        }
        if let Some(missing) =
            [PADDING, UNKNOWN, START, END].iter().find(|token| inner.token_to_id(token).is_none())
        {
            return Err(Error::content(path, format!("the token {missing}"), "none"));
        }
        inner.with_padding(None);
        let special = [START, END].map(|token| inner.token_to_id(token));
        let empty =
            inner.encode_fast("", true).map(|encoding| encoding.get_ids().to_vec()).unwrap_or_default();
        if !empty.iter().copied().map(Some).eq(special) {
            let found = format!("the ids {empty:?} for an empty one");
            return Err(Error::content(path, "a text between [CLS] and [SEP]", found));
        }
        let padding = i64::from(inner.token_to_id(PADDING).expect("checked above"));
        Ok(Self { inner, padding }.with_max_tokens(MAX_TOKENS))
    }
}

impl Casing {
    fn read(path: &Path) -> Result<Self> {
        if !path.exists() {
            return Ok(Self::default());
        }
        let text = fs::read(path).map_err(|source| Error::io(path, source))?;
        serde_json::from_slice(&text)
            .map_err(|error| Error::content(path, "the settings of a tokenizer", error.to_string()))
    }
}

/// The tokenizer of a `vocab.txt`: one piece per line, its id is the number of the line.
fn from_vocabulary(text: &str, normalizer: BertNormalizer) -> tokenizers::Tokenizer {
    let vocabulary = WordPiece::read_bytes(text.as_bytes()).expect("text in memory is readable");
    let model = WordPiece::builder().vocab(vocabulary).build().expect("no file is read");
    let mut tokenizer = tokenizers::Tokenizer::new(model);
    tokenizer.with_normalizer(Some(normalizer)).expect("no special token is normalized");
    tokenizer.with_pre_tokenizer(Some(BertPreTokenizer));
    let special = [PADDING, UNKNOWN, START, END, MASKED].into_iter();
    let known: Vec<AddedToken> = special
        .filter(|token| tokenizer.token_to_id(token).is_some())
        .map(|token| AddedToken::from(token, true))
        .collect();
    tokenizer.add_special_tokens(known).expect("the tokens are in the vocabulary");
    if let (Some(start), Some(end)) = (tokenizer.token_to_id(START), tokenizer.token_to_id(END)) {
        tokenizer.with_post_processor(Some(BertProcessing::new((END.into(), end), (START.into(), start))));
    }
    tokenizer
}

/// The words BERT cuts a text into before it looks for pieces.
fn words_of(text: &str) -> Vec<String> {
    let mut normalized = NormalizedString::from(text);
    BertNormalizer::default().normalize(&mut normalized).expect("any text can be normalized");
    let mut words = PreTokenizedString::from(normalized);
    BertPreTokenizer.pre_tokenize(&mut words).expect("any text can be split");
    let splits = words.get_splits(OffsetReferential::Normalized, OffsetType::Byte);
    splits.into_iter().map(|(word, _, _)| word.to_owned()).collect()
}
