//! Errors of this crate.

use std::path::{Path, PathBuf};

use bipvl_imaging::{GridMismatch, InvalidResampling, LabelSchemaError};
use bipvl_io::FileError;

use crate::Modality;

/// The result of everything in this crate that touches a file.
pub type Result<T> = std::result::Result<T, Error>;

/// What is wrong with a data set, a case or a setting; messages name the file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused.
    #[error(transparent)]
    Io(#[from] FileError),
    /// An image or label map cannot be used.
    #[error(transparent)]
    Imaging(#[from] bipvl_imaging::Error),

    /// The folder of a data set does not exist.
    #[error("{}: no such folder", path.display())]
    NoFolder {
        /// The path.
        path: PathBuf,
    },
    /// A file instead of the folder of a data set.
    #[error("{}: is a file; a data set is a folder", path.display())]
    NotAFolder {
        /// The path.
        path: PathBuf,
    },
    /// A folder in none of the known layouts.
    #[error(
        "{}: no known data set layout; it needs dataset.json (Decathlon, nnU-Net, AMOS22), ct_train or mr_train \
         (MM-WHS), or training (ACDC)", path.display()
    )]
    UnknownLayout {
        /// The folder.
        path: PathBuf,
    },
    /// A file is not in the syntax it should be.
    #[error("{}: invalid {syntax}: {reason}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// `JSON` or `TOML`.
        syntax: &'static str,
        /// The parser's message.
        reason: String,
    },
    /// A file lacks a key.
    #[error("{}: missing key `{key}`", path.display())]
    MissingKey {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
    },
    /// The value of a key is invalid.
    #[error("{}: `{key}` must be {expected}, not {found}", path.display())]
    InvalidValue {
        /// The file.
        path: PathBuf,
        /// The key, dotted.
        key: String,
        /// What would be valid.
        expected: String,
        /// The value.
        found: String,
    },
    /// Labels mapped to names where names should be mapped to labels, or the other way round.
    #[error("{}: `labels` is the wrong way round; this layout has {expected}, not {found}", path.display())]
    LabelsReversed {
        /// The file.
        path: PathBuf,
        /// An entry as it should be.
        expected: String,
        /// The entry.
        found: String,
    },
    /// Classes and labels are inconsistent.
    #[error("{}: {reason}", path.display())]
    LabelSchema {
        /// The file that defines them.
        path: PathBuf,
        /// The inconsistency.
        reason: LabelSchemaError,
    },
    /// A folder with several modalities, none of which was chosen.
    #[error("{}: holds CT and MR; choose one as data.modality in the configuration", path.display())]
    ModalityRequired {
        /// The folder.
        path: PathBuf,
        /// The modalities to choose from.
        available: Vec<Modality>,
    },

    /// A data set without a case.
    #[error("{}: no case found{hint}", path.display())]
    NoCases {
        /// The file that lists the cases, or the folder searched.
        path: PathBuf,
        /// What is there instead; empty or starts with a semicolon.
        hint: String,
    },
    /// Files of cases that do not exist.
    #[error("{}: no such file ({manifest}){}", first.display(), others(*count), manifest = manifest.display())]
    MissingFiles {
        /// What lists the file.
        manifest: PathBuf,
        /// The first.
        first: PathBuf,
        /// How many there are.
        count: usize,
    },
    /// A manifest that leaves out nnU-Net's channel numbers.
    #[error(
        "{}: lists {}, but the file is {}; list file names as they are, or use nnU-Net's keys `channel_names` \
         and `file_ending`", path.display(), listed.display(), found.display()
    )]
    ListedWithoutChannel {
        /// The manifest.
        path: PathBuf,
        /// The file that it lists.
        listed: PathBuf,
        /// The file with a channel number.
        found: PathBuf,
    },
    /// Two cases with one id.
    #[error("{}: two cases have the id {id:?}", path.display())]
    DuplicateCase {
        /// The manifest, or the second file.
        path: PathBuf,
        /// The id.
        id: String,
    },
    /// A file of descriptions that belongs to no case.
    #[error("{}: no case has the id {id:?}", path.display())]
    UnmatchedDescriptions {
        /// The file.
        path: PathBuf,
        /// Its name without the ending.
        id: String,
    },

    /// Two files for one channel of a case.
    #[error("{}: channel {channel} of case {case:?} is given twice, also as {}", second.display(), first.display())]
    DuplicateChannel {
        /// The case.
        case: String,
        /// The channel, from 0.
        channel: usize,
        /// One file.
        first: PathBuf,
        /// The other.
        second: PathBuf,
    },
    /// A case without all of its channels.
    #[error("{}: case {case:?} has the channels {found:?}; it needs 0 to {}", path.display(), expected - 1)]
    MissingChannels {
        /// A file of the case.
        path: PathBuf,
        /// The case.
        case: String,
        /// The channel numbers of its files.
        found: Vec<usize>,
        /// The number of channels.
        expected: usize,
    },
    /// A case with another number of channels than the data set.
    #[error("{}: the case has {found} channels; it needs {expected}{}", path.display(), in_brackets(names))]
    ChannelCount {
        /// The first image of the case.
        path: PathBuf,
        /// The number of channels found.
        found: usize,
        /// The number of channels needed.
        expected: usize,
        /// Their names.
        names: Vec<String>,
    },
    /// A case that needs a reference and has none.
    #[error("{}: the case has no labels", path.display())]
    NoReference {
        /// The first image of the case.
        path: PathBuf,
    },
    /// Files of one case on different grids.
    #[error("{}: not on the grid of {}: {reason}", path.display(), reference.display())]
    GridMismatch {
        /// The file.
        path: PathBuf,
        /// The file that sets the grid.
        reference: PathBuf,
        /// What differs.
        reason: GridMismatch,
    },
    /// A label that is not in the schema.
    #[error("{}: label {label} ({voxels} voxels) is not defined; defined are 0 and {known:?}", path.display())]
    UnknownLabel {
        /// The label map.
        path: PathBuf,
        /// The label.
        label: u16,
        /// How many voxels have it.
        voxels: usize,
        /// The labels of the schema.
        known: Vec<u16>,
    },
    /// Training cases without a voxel of any class.
    #[error("{}: no voxel of any class in the label maps of {cases} cases", path.display())]
    NoForeground {
        /// The data set.
        path: PathBuf,
        /// How many cases.
        cases: usize,
    },
    /// A case that would be too large after resampling, mostly due to a wrong spacing in the file.
    #[error("{}: {reason}; check the spacing of the file", path.display())]
    TooLarge {
        /// The image.
        path: PathBuf,
        /// The resampling.
        reason: InvalidResampling,
    },

    /// A case of a split that is not available.
    #[error("{}: {key} names {id:?}, which is no labeled case or already in another part", path.display())]
    UnknownSplitCase {
        /// The configuration.
        path: PathBuf,
        /// The key.
        key: String,
        /// The id.
        id: String,
    },
    /// A part of a split that is empty or leaves nothing.
    #[error("{}: {key} takes {taken} of the {available} labeled cases left; it needs 1 or more and must leave some", path.display())]
    SplitSize {
        /// The configuration.
        path: PathBuf,
        /// The key.
        key: String,
        /// How many cases it takes.
        taken: usize,
        /// How many there are.
        available: usize,
    },
    /// More folds than patients.
    #[error("{}: {} for {folds} folds{}", path.display(), patients_of(*patients, *cases), fewer_folds(*patients))]
    TooFewPatients {
        /// The data set.
        path: PathBuf,
        /// How many patients there are.
        patients: usize,
        /// How many labeled cases they have.
        cases: usize,
        /// How many folds were requested.
        folds: usize,
    },
    /// A data set whose split is not the recorded one.
    #[error("{}: the split has changed since it was recorded: {difference}", path.display())]
    SplitChanged {
        /// The record.
        path: PathBuf,
        /// Which cases changed.
        difference: String,
    },
    /// A progress callback returned [`std::ops::ControlFlow::Break`].
    #[error("cancelled")]
    Cancelled,
    /// A cached case that cannot be used.
    #[error("{}: not a preprocessed case: {reason}", path.display())]
    InvalidCache {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

impl Error {
    /// The system refused to open, read or write `path`.
    pub fn io(path: &Path, reason: std::io::Error) -> Self {
        Self::Io(FileError::new(path, reason))
    }

    /// A value of a configuration or manifest is invalid.
    pub fn invalid_value(
        path: &Path,
        key: impl Into<String>,
        expected: impl Into<String>,
        found: impl ToString,
    ) -> Self {
        let (key, expected, found) = (key.into(), expected.into(), found.to_string());
        Self::InvalidValue { path: path.to_owned(), key, expected, found }
    }

    /// Classes and labels in `path` are inconsistent.
    pub fn label_schema(path: &Path) -> impl FnOnce(LabelSchemaError) -> Self {
        move |reason| Self::LabelSchema { path: path.to_owned(), reason }
    }
}

fn others(count: usize) -> String {
    if count > 1 { format!(", and {} more are missing", count - 1) } else { String::new() }
}

fn in_brackets(names: &[String]) -> String {
    if names.is_empty() { String::new() } else { format!(" ({})", names.join(", ")) }
}

fn patients_of(patients: usize, cases: usize) -> String {
    let plural = |count: usize, noun: &str| format!("{count} {noun}{}", if count == 1 { "" } else { "s" });
    if patients == cases {
        return format!("only {}", plural(cases, "labeled case"));
    }
    let (patients, cases) = (plural(patients, "patient"), plural(cases, "labeled case"));
    format!(
        "only {patients} ({cases}; ids that agree up to `_frame` are of one patient, who stays in one part)"
    )
}

fn fewer_folds(patients: usize) -> String {
    if patients < 2 {
        String::new()
    } else {
        format!("; at most {patients} are possible, as in fold 0/{patients}")
    }
}
