//! Bytes of image files: from a path, memory or a reader, unpacked if the content is gzip.

use std::borrow::Cow;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;

use super::{MAX_FILE_BYTES, compression};
use crate::error::DecompressionError;
use crate::{Error, Result};

/// Headers are read from at most this many bytes.
const MAX_HEADER_BYTES: usize = 1 << 20;

/// Where an image is read from: `&Path`, `&[u8]`, or [`Source::reader`].
pub struct Source<'a>(Kind<'a>);

enum Kind<'a> {
    Path(Cow<'a, Path>),
    Bytes(&'a [u8]),
    Reader(Box<dyn Read + 'a>),
}

impl<'a> Source<'a> {
    /// An image from a reader; at most 8 GiB are read.
    pub fn reader(reader: impl Read + 'a) -> Self {
        Self(Kind::Reader(Box::new(reader)))
    }
}

impl<'a> From<&'a Path> for Source<'a> {
    fn from(path: &'a Path) -> Self {
        Self(Kind::Path(header_of_pair(path).map_or(Cow::Borrowed(path), Cow::Owned)))
    }
}

impl<'a> From<&'a PathBuf> for Source<'a> {
    fn from(path: &'a PathBuf) -> Self {
        path.as_path().into()
    }
}

impl<'a> From<&'a [u8]> for Source<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self(Kind::Bytes(bytes))
    }
}

/// The content of an image file, or its beginning.
pub(super) struct Content<'a> {
    /// The file; `<bytes>` for data in memory.
    pub(super) path: Cow<'a, Path>,
    pub(super) bytes: Cow<'a, [u8]>,
    /// Whether data files beside `path` may be opened.
    pub(super) is_file: bool,
}

impl<'a> Source<'a> {
    /// Reads all of it.
    pub(super) fn load(self) -> Result<Content<'a>> {
        match self.0 {
            Kind::Path(path) => {
                let bytes = Cow::Owned(unpacked(&path, Cow::Owned(read_file(&path)?))?.into_owned());
                Ok(Content { path, bytes, is_file: true })
            }
            Kind::Bytes(bytes) => in_memory(Cow::Borrowed(bytes)),
            Kind::Reader(reader) => in_memory(Cow::Owned(read_limited(memory(), reader)?)),
        }
    }

    /// Reads enough for a header.
    pub(super) fn load_header(self) -> Result<Content<'a>> {
        match self.0 {
            Kind::Path(path) => {
                let file = File::open(&path).map_err(|error| Error::io(&path, error))?;
                let bytes = Cow::Owned(beginning(&path, BufReader::new(file))?);
                Ok(Content { path, bytes, is_file: true })
            }
            Kind::Bytes(bytes) => in_memory_beginning(bytes),
            Kind::Reader(reader) => in_memory_beginning(BufReader::new(reader)),
        }
    }
}

/// Reads a file that a header refers to, as it is.
pub(super) fn read_file(path: &Path) -> Result<Vec<u8>> {
    let file = File::open(path).map_err(|error| Error::io(path, error))?;
    let length = file.metadata().map_err(|error| Error::io(path, error))?.len();
    if length > MAX_FILE_BYTES as u64 {
        return Err(Error::FileTooLarge { path: path.to_owned() });
    }
    let mut bytes = Vec::with_capacity(length as usize);
    (&file).read_to_end(&mut bytes).map_err(|error| Error::io(path, error))?;
    Ok(bytes)
}

/// Decompresses `bytes` if they are gzip.
pub(super) fn unpacked<'b>(path: &Path, bytes: Cow<'b, [u8]>) -> Result<Cow<'b, [u8]>> {
    if !bytes.starts_with(&compression::GZIP_MAGIC) {
        return Ok(bytes);
    }
    let unpacked = compression::gunzip(&bytes, MAX_FILE_BYTES)
        .map_err(|reason| Error::Decompression { path: path.to_owned(), reason })?;
    Ok(Cow::Owned(unpacked))
}

fn memory() -> &'static Path {
    Path::new("<bytes>")
}

fn in_memory(bytes: Cow<'_, [u8]>) -> Result<Content<'_>> {
    Ok(Content { path: Cow::Borrowed(memory()), bytes: unpacked(memory(), bytes)?, is_file: false })
}

fn in_memory_beginning<'a>(reader: impl BufRead) -> Result<Content<'a>> {
    let bytes = Cow::Owned(beginning(memory(), reader)?);
    Ok(Content { path: Cow::Borrowed(memory()), bytes, is_file: false })
}

fn read_limited(path: &Path, reader: impl Read) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let limit = MAX_FILE_BYTES as u64 + 1;
    reader.take(limit).read_to_end(&mut bytes).map_err(|error| Error::io(path, error))?;
    if bytes.len() > MAX_FILE_BYTES {
        return Err(Error::FileTooLarge { path: path.to_owned() });
    }
    Ok(bytes)
}

/// The first bytes, decompressed.
fn beginning(path: &Path, mut reader: impl BufRead) -> Result<Vec<u8>> {
    let limit = MAX_HEADER_BYTES as u64;
    let is_gzip =
        reader.fill_buf().map_err(|error| Error::io(path, error))?.starts_with(&compression::GZIP_MAGIC);
    let mut bytes = Vec::new();
    if is_gzip {
        // What follows the header may be damaged, or be the padding that reading a whole file allows.
        let result = MultiGzDecoder::new(reader).take(limit).read_to_end(&mut bytes);
        if result.is_err() && bytes.is_empty() {
            let reason = DecompressionError::Damaged;
            return Err(Error::Decompression { path: path.to_owned(), reason });
        }
    } else {
        reader.take(limit).read_to_end(&mut bytes).map_err(|error| Error::io(path, error))?;
    }
    Ok(bytes)
}

/// The header file beside an `.img` file.
fn header_of_pair(path: &Path) -> Option<PathBuf> {
    let name = path.file_name()?.to_str()?;
    sibling(path, name, &[".img", ".img.gz"], &[".hdr", ".hdr.gz"])
}

/// The existing file that has one of the endings `to` in the place of one of `from`, in either case.
pub(super) fn sibling(path: &Path, name: &str, from: &[&str], to: &[&str]) -> Option<PathBuf> {
    let lower = name.to_ascii_lowercase();
    let ending = from.iter().find(|ending| lower.ends_with(**ending))?;
    let stem = &name[..name.len() - ending.len()];
    let candidates = to.iter().flat_map(|ending| [(*ending).to_owned(), ending.to_ascii_uppercase()]);
    candidates.map(|ending| path.with_file_name(format!("{stem}{ending}"))).find(|file| file.is_file())
}
