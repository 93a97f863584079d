//! Errors of this crate.

use std::path::{Path, PathBuf};

use bipvl_io::FileError;

/// Result with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// Why descriptions, synonyms, class names or a tokenizer cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file cannot be opened, read or written.
    #[error(transparent)]
    Io(#[from] FileError),
    /// A text file is not UTF-8.
    #[error("{}: not UTF-8: invalid byte at offset {offset}; save the file as UTF-8", path.display())]
    Encoding {
        /// The file.
        path: PathBuf,
        /// Offset of the first invalid byte.
        offset: usize,
    },
    /// A file is not valid TOML or does not have the expected keys.
    #[error("{}: line {line}: invalid {kind}: {reason}", path.display())]
    Toml {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// What the file should hold, such as `descriptions`.
        kind: &'static str,
        /// The message of the parser.
        reason: String,
    },
    /// A file is not a valid CSV table.
    #[error("{}: invalid CSV table: {reason}", path.display())]
    Csv {
        /// The file.
        path: PathBuf,
        /// The message of the parser.
        reason: String,
    },
    /// A CSV table lacks the column `Title`.
    #[error("{}: no column `Title`, the columns are: {}", path.display(), columns.join(", "))]
    NoTitleColumn {
        /// The file.
        path: PathBuf,
        /// The columns found.
        columns: Vec<String>,
    },
    /// Two columns of a CSV table describe the same concept.
    #[error("{}: columns `{first}` and `{second}` both describe the concept `{concept}`; rename or merge one", path.display())]
    DuplicateConcept {
        /// The file.
        path: PathBuf,
        /// The concept.
        concept: String,
        /// The first column.
        first: String,
        /// The second column.
        second: String,
    },
    /// A file describes no class.
    #[error("{}: no class is described", path.display())]
    NoClasses {
        /// The file.
        path: PathBuf,
    },
    /// A class is described twice.
    #[error("{}: class `{class}` is described twice", path.display())]
    DuplicateClass {
        /// The file.
        path: PathBuf,
        /// The class.
        class: String,
    },
    /// A name, title or sentence is blank.
    #[error("{}: class `{class}`: the text of `{field}` is empty", path.display())]
    EmptyText {
        /// The file.
        path: PathBuf,
        /// The class.
        class: String,
        /// `name`, `title` or the concept.
        field: String,
    },
    /// A class has no concept.
    #[error("{}: class `{class}` has no concepts", path.display())]
    NoConcepts {
        /// The file.
        path: PathBuf,
        /// The class.
        class: String,
    },
    /// A class lacks a concept of the other classes.
    #[error("{}: class `{class}` lacks the concept `{concept}`", path.display())]
    MissingConcept {
        /// The file.
        path: PathBuf,
        /// The class.
        class: String,
        /// The concept.
        concept: String,
    },
    /// A class has a concept that the other classes lack.
    #[error("{}: class `{class}` has the concept `{concept}`, the others have only: {}", path.display(), concepts.join(", "))]
    UnknownConcept {
        /// The file.
        path: PathBuf,
        /// The class.
        class: String,
        /// The concept.
        concept: String,
        /// The concepts of the other classes.
        concepts: Vec<String>,
    },
    /// A class of the data set is not described.
    #[error("{}: class `{class}` is not described, only: {}", path.display(), described.join(", "))]
    MissingDescription {
        /// The file.
        path: PathBuf,
        /// The class.
        class: String,
        /// The classes that are described.
        described: Vec<String>,
    },
    /// A description belongs to no class.
    #[error("{}: `{class}` is not a class, the classes are: {}", path.display(), classes.join(", "))]
    UnknownClass {
        /// The file.
        path: PathBuf,
        /// The name in the file.
        class: String,
        /// The classes.
        classes: Vec<String>,
    },
    /// A name stands for several classes.
    #[error("{}: `{class}` is ambiguous, it matches: {}", path.display(), matches.join(", "))]
    AmbiguousClass {
        /// The file.
        path: PathBuf,
        /// The name in the file.
        class: String,
        /// The classes it matches.
        matches: Vec<String>,
    },
    /// Two descriptions under different names belong to one class.
    #[error("{}: `{first}` and `{second}` both describe the class `{class}`", path.display())]
    ConflictingDescriptions {
        /// The file.
        path: PathBuf,
        /// The class.
        class: String,
        /// The first name.
        first: String,
        /// The second name.
        second: String,
    },
    /// A synonym stands for two organs.
    #[error("{}: `{name}` stands for both `{first}` and `{second}`", path.display())]
    SynonymConflict {
        /// The file.
        path: PathBuf,
        /// The synonym.
        name: String,
        /// The first organ.
        first: String,
        /// The second organ.
        second: String,
    },
    /// A tokenizer file cannot be parsed, or its tokenizer is not BERT's.
    #[error("{}: unsupported tokenizer: {reason}", path.display())]
    InvalidTokenizer {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A vocabulary lacks a special token of BERT.
    #[error("{}: missing special token `{token}`", path.display())]
    MissingSpecialToken {
        /// The file.
        path: PathBuf,
        /// The token.
        token: &'static str,
    },
    /// A class name is blank.
    #[error("the name of class {} is empty", index + 1)]
    EmptyClassName {
        /// Index of the class, from 0.
        index: usize,
    },
    /// Two class names of a data set differ only in case, blanks or underscores.
    #[error("class names `{first}` and `{second}` differ only in case or blanks")]
    ClassNameCollision {
        /// The first name.
        first: String,
        /// The second name.
        second: String,
    },
    /// A quote in a list of class names is not closed.
    #[error("unclosed quote in the list of classes: {list}")]
    UnclosedQuote {
        /// The list.
        list: String,
    },
    /// A prompt denotes no class and no union of classes.
    #[error("`{prompt}` denotes no class")]
    UnknownPrompt {
        /// The prompt.
        prompt: String,
    },
    /// A prompt denotes a whole of which some parts are no classes.
    #[error("`{prompt}` is incomplete, there is no class for: {}", missing.join(", "))]
    IncompleteWhole {
        /// The prompt.
        prompt: String,
        /// The parts without a class.
        missing: Vec<String>,
    },
    /// A prompt denotes a part of a class, which the labels do not separate.
    #[error("`{prompt}` is only a part of the class `{class}`")]
    PartOfClass {
        /// The prompt.
        prompt: String,
        /// The class that contains the part.
        class: String,
    },
}

impl Error {
    pub(crate) fn io(path: &Path, reason: std::io::Error) -> Self {
        Self::Io(FileError::new(path, reason))
    }
}
