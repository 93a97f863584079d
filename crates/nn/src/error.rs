//! Errors of this crate.

use std::path::{Path, PathBuf};

use bipvl_io::FileError;

/// The result of everything in this crate that touches a file.
pub type Result<T> = std::result::Result<T, Error>;

/// How many tensor names a message lists.
const LISTED: usize = 5;

/// A file of weights or of a pretrained model that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused.
    #[error(transparent)]
    Io(#[from] FileError),
    /// The file is not in safetensors format, or truncated.
    #[error("{}: not a valid safetensors file: {reason}", path.display())]
    InvalidSafetensors {
        /// The file.
        path: PathBuf,
        /// The message of the reader.
        reason: String,
    },
    /// The file is neither a PyTorch checkpoint nor in safetensors format.
    #[error("{}: neither a PyTorch checkpoint nor a safetensors file: {reason}", path.display())]
    InvalidCheckpoint {
        /// The file.
        path: PathBuf,
        /// The message of the reader.
        reason: String,
    },
    /// The file has no tensor of this name.
    #[error("{}: missing tensor `{name}`", path.display())]
    MissingTensor {
        /// The file.
        path: PathBuf,
        /// Its name in the file.
        name: String,
    },
    /// The file has a tensor that the module does not have.
    #[error("{}: unexpected tensor `{name}`, the model has no such parameter", path.display())]
    UnexpectedTensor {
        /// The file.
        path: PathBuf,
        /// Its name in the file.
        name: String,
    },
    /// A tensor has another shape than the parameter of the module.
    #[error("{}: tensor `{name}` has shape {found:?}, the model needs {expected:?}", path.display())]
    ShapeMismatch {
        /// The file.
        path: PathBuf,
        /// Its name in the file.
        name: String,
        /// Shape that the module needs, in the layout of the file.
        expected: Vec<usize>,
        /// Shape in the file.
        found: Vec<usize>,
    },
    /// A tensor is of integers or booleans where the module has floating-point values.
    #[error("{}: tensor `{name}` is not floating-point", path.display())]
    NotFloatingPoint {
        /// The file.
        path: PathBuf,
        /// Its name in the file.
        name: String,
    },
    /// A tensor holds NaN or infinity.
    #[error("{}: tensor `{name}` holds NaN or infinite values", path.display())]
    NonFinite {
        /// The file.
        path: PathBuf,
        /// Its name in the file.
        name: String,
    },
    /// The tensors are not those of the architecture.
    #[error(
        "{}: not a {architecture}: no tensor is named `{anchor}`, with or without a prefix; {}", path.display(), listed(names)
    )]
    UnknownArchitecture {
        /// The file.
        path: PathBuf,
        /// The architecture looked for.
        architecture: &'static str,
        /// The tensor by which it is recognized.
        anchor: &'static str,
        /// Names of the file's tensors.
        names: Vec<String>,
    },
    /// The file has weights, but not the configuration that an import adds.
    #[error("{}: weights without their model configuration; import the checkpoint first", path.display())]
    NotImported {
        /// The file.
        path: PathBuf,
    },
    /// `config.json` is not that of a BERT.
    #[error("{}: not the configuration of a BERT: {reason}", path.display())]
    InvalidBertConfig {
        /// The file.
        path: PathBuf,
        /// The message of the parser.
        reason: String,
    },
    /// A BERT has fewer layers than the text encoder has stages.
    #[error("{}: num_hidden_layers is {found}, must be at least {required}", path.display())]
    TooFewLayers {
        /// The file.
        path: PathBuf,
        /// Layers of the BERT.
        found: usize,
        /// Stages of the text encoder.
        required: usize,
    },
    /// A folder has no weights, or several files that may hold them.
    #[error(
        "{}: no model.safetensors or pytorch_model.bin, and {candidates} other safetensors files where one could be used", path.display()
    )]
    NoWeights {
        /// The folder.
        path: PathBuf,
        /// Safetensors files of other names.
        candidates: usize,
    },
}

impl Error {
    /// The system refused to open, read or write `path`.
    pub fn io(path: &Path, reason: std::io::Error) -> Self {
        Self::Io(FileError::new(path, reason))
    }
}

/// The first names, for a message.
fn listed(names: &[String]) -> String {
    match names {
        [] => "the file holds no floating-point tensors".to_owned(),
        names => {
            let first: Vec<&str> = names.iter().take(LISTED).map(String::as_str).collect();
            let more = if names.len() > LISTED { ", …" } else { "" };
            format!("its {} tensors are {}{more}", names.len(), first.join(", "))
        }
    }
}

/// A value of a model configuration that does not fit the others.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{key}` is {found}, must be {requirement}")]
pub struct InvalidConfig {
    /// Dotted key below `model`.
    pub key: String,
    /// Its value.
    pub found: String,
    /// What the value must be.
    pub requirement: String,
}

impl InvalidConfig {
    pub(crate) fn new(key: &str, found: impl ToString, requirement: impl Into<String>) -> Self {
        Self { key: key.to_owned(), found: found.to_string(), requirement: requirement.into() }
    }

    /// The same for a key inside a table.
    pub(crate) fn within(self, table: &str) -> Self {
        Self { key: format!("{table}.{}", self.key), ..self }
    }
}

/// Whether a size is at least 1.
pub(crate) fn positive(key: &str, size: usize) -> std::result::Result<(), InvalidConfig> {
    if size == 0 { Err(InvalidConfig::new(key, size, "at least 1")) } else { Ok(()) }
}

/// Whether attention heads divide the channels that they share.
pub(crate) fn divides(key: &str, heads: usize, channels: usize) -> std::result::Result<(), InvalidConfig> {
    if heads > 0 && channels.is_multiple_of(heads) {
        return Ok(());
    }
    Err(InvalidConfig::new(key, heads, format!("a divisor of {channels}")))
}
