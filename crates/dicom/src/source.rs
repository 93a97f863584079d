//! Where DICOM objects come from: a file, a folder of any depth, the folder of a DICOMDIR, a zip archive.

use std::{
    collections::HashSet,
    fs::{self, File},
    io::{BufReader, Cursor, Read, Seek, SeekFrom},
    path::{Component, Path, PathBuf},
    sync::{Arc, Mutex},
};

use bipvl_io::FileError;
use dicom_object::{DefaultDicomObject, OpenFileOptions};
use zip::ZipArchive;

use crate::{
    Error, Result,
    guard::{self, NativePixels},
    standardize::standardized,
};

/// Files of a folder or archive at most: ten times the largest studies.
const MAX_FILES: usize = 200_000;
/// Entries of an archive at most; one more needs the zip64 format.
const MAX_ENTRIES: usize = 65_534;
/// The largest file that is held in memory, such as an entry of an archive: 1 GiB.
const MAX_BYTES: u64 = 1 << 30;
/// Where the magic bytes of a DICOM file are.
pub(crate) const PREAMBLE_BYTES: usize = 128;
/// The first element of a file without preamble: (0002,0000).
const FIRST_GROUP: [u8; 4] = [2, 0, 0, 0];

/// The files below one path.
#[derive(Debug, Default)]
pub(crate) struct Files {
    /// In order of their names.
    pub(crate) objects: Vec<ObjectFile>,
    /// How many are not DICOM.
    pub(crate) others: usize,
    /// Those that cannot be read.
    pub(crate) damaged: Vec<Damage>,
    /// Empty, or zeros where a header should be: beside DICOM objects what is left of one, else anything.
    blank: Vec<ObjectFile>,
}

/// A file that cannot be read.
#[derive(Debug)]
pub(crate) struct Damage {
    pub(crate) folder: String,
    pub(crate) message: String,
}

/// One file that begins as DICOM.
#[derive(Clone, Debug)]
pub(crate) struct ObjectFile {
    place: Place,
    /// For messages: its path below the given one, parts that are UIDs hidden.
    pub(crate) label: String,
}

#[derive(Clone, Debug)]
enum Place {
    File(PathBuf),
    Zipped(Arc<Archive>, usize),
}

/// What the head of a file shows.
enum FileKind {
    Dicom,
    /// Empty, or zeros.
    Blank,
    Other,
}

/// An object to parse, and where its native pixel data are in the file.
enum Content {
    File(File, Option<NativePixels>),
    Bytes(Vec<u8>, Option<NativePixels>),
}

#[derive(Debug)]
struct Archive {
    path: PathBuf,
    zip: Mutex<ZipArchive<BufReader<File>>>,
}

impl Files {
    /// All DICOM files of a file, folder, DICOMDIR or zip archive.
    pub(crate) fn find(path: &Path) -> Result<Self> {
        let is_dicomdir = path.file_name().is_some_and(|name| name.eq_ignore_ascii_case("DICOMDIR"));
        if path.is_dir() || is_dicomdir {
            // A DICOMDIR lists what lies beside it; the files themselves say more and are read anyway.
            let root = if is_dicomdir { path.parent().unwrap_or(path) } else { path };
            return Self::in_folder(if root.as_os_str().is_empty() { Path::new(".") } else { root });
        }
        let mut head = [0; 4];
        let mut file = File::open(path).map_err(|error| FileError::new(path, error))?;
        let read = file.read(&mut head).map_err(|error| FileError::new(path, error))?;
        if read == head.len() && head == *b"PK\x03\x04" {
            return Self::in_archive(path, file);
        }
        let name = Path::new(path.file_name().unwrap_or(path.as_os_str()));
        let one = ObjectFile { place: Place::File(path.to_owned()), label: hide_uids(name) };
        let mut found = Self::default();
        match one.kind()? {
            FileKind::Dicom => found.objects.push(one),
            FileKind::Other | FileKind::Blank => found.others += 1,
        }
        Ok(found)
    }

    fn in_folder(root: &Path) -> Result<Self> {
        let mut paths = Vec::new();
        collect(root, root, &mut HashSet::new(), &mut paths)?;
        paths.sort();
        let mut found = Self::default();
        for path in paths {
            let label = hide_uids(path.strip_prefix(root).unwrap_or(&path));
            found.add(ObjectFile { place: Place::File(path), label })?;
        }
        Ok(found.with_blank_sorted())
    }

    fn in_archive(path: &Path, file: File) -> Result<Self> {
        let damaged = |reason: String| Error::Archive { path: path.to_owned(), reason };
        let mut reader = BufReader::new(file);
        let count = entry_count(&mut reader)
            .ok_or_else(|| damaged("it has no end of the central directory; it is truncated".to_owned()))?;
        if count > MAX_ENTRIES {
            return Err(Error::TooManyFiles { path: path.to_owned(), limit: MAX_ENTRIES });
        }
        let zip = ZipArchive::new(reader).map_err(|error| damaged(error.to_string()))?;
        let mut names: Vec<(String, usize)> = (0..zip.len())
            .filter_map(|index| Some((zip.name_for_index(index)?.ok()?.into_owned(), index)))
            .filter(|(name, _)| !name.ends_with('/'))
            .collect();
        names.sort();
        let archive = Arc::new(Archive { path: path.to_owned(), zip: Mutex::new(zip) });
        let mut found = Self::default();
        for (name, index) in names {
            let label = hide_uids(Path::new(&name));
            found.add(ObjectFile { place: Place::Zipped(Arc::clone(&archive), index), label })?;
        }
        Ok(found.with_blank_sorted())
    }

    /// Blank files are damage where there are DICOM objects beside them.
    fn with_blank_sorted(mut self) -> Self {
        for file in std::mem::take(&mut self.blank) {
            if self.objects.iter().any(|object| object.folder() == file.folder()) {
                let error = Error::damaged(&file.label, "empty, or zeros where a header should be");
                self.damaged.push(file.damage(&error));
            } else {
                self.others += 1;
            }
        }
        self
    }

    fn add(&mut self, file: ObjectFile) -> Result<()> {
        match (file.kind(), &file.place) {
            (Ok(FileKind::Dicom), _) => self.objects.push(file),
            (Ok(FileKind::Other), _) => self.others += 1,
            (Ok(FileKind::Blank), _) => self.blank.push(file),
            (Err(error), Place::File(_)) => self.damaged.push(file.damage(&error)),
            (Err(error), Place::Zipped(..)) => return Err(error),
        }
        Ok(())
    }
}

impl ObjectFile {
    /// Everything before the pixel data, and where native ones are; the structure of the whole file is checked first.
    pub(crate) fn header(&self) -> Result<(DefaultDicomObject, Option<NativePixels>)> {
        let options = OpenFileOptions::new().read_until(dicom_dictionary_std::tags::PIXEL_DATA);
        let (read, pixels) = match self.open()? {
            Content::File(file, pixels) => (options.from_reader(BufReader::new(file)), pixels),
            Content::Bytes(bytes, pixels) => (options.from_reader(bytes.as_slice()), pixels),
        };
        Ok((self.parsed(read)?, pixels))
    }

    /// All of it.
    pub(crate) fn object(&self) -> Result<DefaultDicomObject> {
        let options = OpenFileOptions::new();
        self.parsed(match self.open()? {
            Content::File(file, _) => options.from_reader(BufReader::new(file)),
            Content::Bytes(bytes, _) => options.from_reader(bytes.as_slice()),
        })
    }

    /// The file after a check of its structure, in memory if it is unpacked or not as the parser expects it.
    fn open(&self) -> Result<Content> {
        let damaged = |reason: String| Error::damaged(&self.label, reason);
        let Place::File(path) = &self.place else {
            let bytes = self.whole()?;
            let structure = guard::check(&mut Cursor::new(&bytes), bytes.len() as u64).map_err(damaged)?;
            return Ok(Content::Bytes(standardized(bytes, &structure), None));
        };
        let about = |error| FileError::new(path, error);
        let mut file = File::open(path).map_err(about)?;
        let length = file.metadata().map_err(about)?.len();
        let structure = guard::check(&mut BufReader::new(&mut file), length).map_err(damaged)?;
        if structure.has_meta && structure.unknown.is_empty() {
            file.rewind().map_err(about)?;
            return Ok(Content::File(file, structure.pixels));
        }
        Ok(Content::Bytes(standardized(self.whole()?, &structure), structure.pixels))
    }

    /// Bytes of the file, if it is one of its own.
    pub(crate) fn range(&self, offset: u64, length: usize) -> Result<Vec<u8>> {
        let Place::File(path) = &self.place else { unreachable!("entries of archives are read whole") };
        let mut bytes = vec![0; length];
        let read = File::open(path).and_then(|mut file| {
            file.seek(SeekFrom::Start(offset))?;
            file.read_exact(&mut bytes)
        });
        read.map_err(|error| FileError::new(path, error))?;
        Ok(bytes)
    }

    fn parsed(
        &self,
        read: std::result::Result<DefaultDicomObject, dicom_object::ReadError>,
    ) -> Result<DefaultDicomObject> {
        read.map_err(|error| Error::damaged(&self.label, innermost(&error)))
    }

    /// All bytes: of an entry of an archive, or of a file that is put right in memory.
    fn whole(&self) -> Result<Vec<u8>> {
        let bytes = self.bytes(MAX_BYTES + 1)?;
        if bytes.len() as u64 <= MAX_BYTES {
            return Ok(bytes);
        }
        let reason = match self.place {
            Place::File(_) => {
                "it has no standard header and more than 1 GiB; rewrite it with another program"
            }
            Place::Zipped(..) => "it unpacks to more than 1 GiB; unpack the archive first",
        };
        Err(Error::damaged(&self.label, reason))
    }

    fn kind(&self) -> Result<FileKind> {
        let head = self.bytes(PREAMBLE_BYTES as u64 + 4)?;
        let is_dicom = head.get(PREAMBLE_BYTES..).is_some_and(|magic| magic == b"DICM")
            || head.starts_with(b"DICM")
            || head.starts_with(&FIRST_GROUP)
            || guard::syntax_of_bare(&head).is_some();
        let is_hidden = || self.label.rsplit('/').next().is_some_and(|name| name.starts_with('.'));
        Ok(match is_dicom {
            true => FileKind::Dicom,
            false if head.iter().all(|byte| *byte == 0) && !is_hidden() => FileKind::Blank,
            false => FileKind::Other,
        })
    }

    pub(crate) fn damage(&self, error: &Error) -> Damage {
        Damage { folder: self.folder().to_owned(), message: error.to_string() }
    }

    /// The folder that it lies in, for comparison.
    pub(crate) fn folder(&self) -> &str {
        self.label.rsplit_once('/').map_or("", |(folder, _)| folder)
    }

    fn bytes(&self, limit: u64) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        match &self.place {
            Place::File(path) => File::open(path)
                .and_then(|file| file.take(limit).read_to_end(&mut bytes))
                .map_err(|error| FileError::new(path, error))?,
            Place::Zipped(archive, index) => {
                let damaged = |reason: String| Error::Archive { path: archive.path.clone(), reason };
                let mut zip = archive.zip.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                let entry = zip.by_index(*index).map_err(|error| damaged(error.to_string()))?;
                entry.take(limit).read_to_end(&mut bytes).map_err(|error| damaged(error.to_string()))?
            }
        };
        Ok(bytes)
    }
}

/// The files below a folder, each real folder once: links may make circles. Broken links are left out.
fn collect(
    root: &Path,
    folder: &Path,
    visited: &mut HashSet<PathBuf>,
    paths: &mut Vec<PathBuf>,
) -> Result<()> {
    let about = |error| FileError::new(folder, error);
    if !visited.insert(folder.canonicalize().map_err(about)?) {
        return Ok(());
    }
    let mut entries =
        fs::read_dir(folder).map_err(about)?.collect::<std::io::Result<Vec<_>>>().map_err(about)?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        if path.is_dir() {
            if visited.len() > MAX_FILES {
                return Err(Error::TooManyFiles { path: root.to_owned(), limit: MAX_FILES });
            }
            collect(root, &path, visited, paths)?;
        } else if path.is_file() {
            paths.push(path);
        }
        if paths.len() > MAX_FILES {
            return Err(Error::TooManyFiles { path: root.to_owned(), limit: MAX_FILES });
        }
    }
    Ok(())
}

/// The number of entries that the end of a zip archive states, before anything is allocated for them; 65 535 for more.
fn entry_count(reader: &mut (impl Read + Seek)) -> Option<usize> {
    const SIGNATURE: [u8; 4] = *b"PK\x05\x06";
    /// The record with its longest comment.
    const LONGEST: u64 = 22 + 65_535;
    let length = reader.seek(SeekFrom::End(0)).ok()?;
    reader.seek(SeekFrom::Start(length.saturating_sub(LONGEST))).ok()?;
    let mut end = Vec::new();
    reader.read_to_end(&mut end).ok()?;
    reader.rewind().ok()?;
    let start = end.windows(4).rposition(|window| window == SIGNATURE)?;
    let count = end.get(start + 10..start + 12)?;
    Some(usize::from(u16::from_le_bytes([count[0], count[1]])))
}

/// Whether a file may be a DICOM object, a DICOMDIR or a zip archive.
///
/// # Errors
///
/// When it cannot be read.
pub fn is_dicom_file(path: &Path) -> Result<bool> {
    let file = ObjectFile { place: Place::File(path.to_owned()), label: String::new() };
    Ok(matches!(file.kind()?, FileKind::Dicom) || file.bytes(4)? == b"PK\x03\x04")
}

/// A path for messages, in which file and folder names that are UIDs are hidden.
fn hide_uids(path: &Path) -> String {
    let shown = path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(hide_uid(&name.to_string_lossy())),
        _ => None,
    });
    shown.collect::<Vec<_>>().join("/")
}

/// `…345.dcm` for `1.2.840.113.345.dcm`.
fn hide_uid(name: &str) -> String {
    /// Fewer numbers may be a version.
    const NUMBERS: usize = 4;
    /// Enough to find the file in its folder.
    const KEPT: usize = 4;
    let digits_end = name.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(name.len());
    let uid = name[..digits_end].trim_end_matches('.');
    if uid.split('.').count() < NUMBERS {
        return name.to_owned();
    }
    format!("…{}", &name[uid.len().saturating_sub(KEPT)..])
}

/// The cause of an error, which says more than "could not read data set".
pub(crate) fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    match cause.to_string().as_str() {
        "failed to fill whole buffer" => "truncated: the file ends early".to_owned(),
        reason => reason.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uids_in_names_are_hidden() {
        assert_eq!(hide_uids(Path::new("study/1.2.840.113.4519/IM.0001")), "study/…4519/IM.0001");
        assert_eq!(hide_uid("1.3.6.1.4.1.9590.100.dcm"), "….100.dcm");
        assert_eq!(hide_uid("1.2.3.dcm"), "1.2.3.dcm");
    }
}
