//! Reads images: bytes, header, decompression, voxels.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use super::{
    Files, Format, Header, Image, MAX_FILE_BYTES, Parsed, Skip, Source, StoredCompression, compression,
    ensure_invertible,
    source::{self, Content},
    voxels::{self, Decode},
};
use crate::{Error, LabelMap, MAX_VOXELS, Result, Volume};

/// Reads intensities from a path, bytes, or a [reader](Source::reader).
///
/// Slope and intercept are applied in float64. A NIfTI file is placed by its sform if the code is positive, else by its
/// qform, else by its spacing, as in nibabel; LPS coordinates of NRRD and MetaImage are converted to RAS+, micrometers
/// and meters to mm. Data files that a header refers to may lie anywhere.
///
/// # Errors
///
/// When the file cannot be read, is damaged or in no known format, or has intensities that are not finite.
pub fn read<'a>(source: impl Into<Source<'a>>) -> Result<Image> {
    let content = source.into().load()?;
    let parsed = parse(&content)?;
    let channels = load_voxels(&content.path.clone(), &parsed, content)?;
    Ok(Image { header: parsed.header, channels })
}

/// Reads labels.
///
/// # Errors
///
/// As [`read`], and when there are several channels or a voxel is not an integer from 0 to 65535.
pub fn read_labels<'a>(source: impl Into<Source<'a>>) -> Result<LabelMap> {
    let content = source.into().load()?;
    let path = content.path.clone();
    let parsed = parse(&content)?;
    let num_channels = parsed.header.num_channels;
    if num_channels == 1
        && let Some(labels) = load_voxels(&path, &parsed, content)?.pop()
    {
        return Ok(labels);
    }
    Err(Error::MultipleChannels { path: path.into_owned(), num_channels })
}

/// Reads the header. Whether voxels are complete and valid is not checked.
///
/// # Errors
///
/// When the file cannot be read, is in no known format, or has an invalid header.
pub fn probe<'a>(source: impl Into<Source<'a>>) -> Result<Header> {
    Ok(parse(&source.into().load_header()?)?.header)
}

fn parse(content: &Content<'_>) -> Result<Parsed> {
    let format = Format::detect(&content.bytes)
        .ok_or_else(|| Error::UnknownFormat { path: content.path.to_path_buf() })?;
    let parsed = format.parse(content)?;
    let header = &parsed.header;
    let count = header.grid.num_voxels().and_then(|count| count.checked_mul(header.num_channels));
    if count.is_none_or(|count| count > MAX_VOXELS) {
        let (shape, num_channels) = (header.grid.shape(), header.num_channels);
        return Err(Error::TooManyVoxels { path: content.path.to_path_buf(), shape, num_channels });
    }
    ensure_invertible(&content.path, &header.grid)?;
    Ok(parsed)
}

/// Reads, decompresses and decodes the voxels.
fn load_voxels<T: Decode>(path: &Path, parsed: &Parsed, content: Content<'_>) -> Result<Vec<Volume<T>>> {
    let header = &parsed.header;
    let num_values = header.grid.shape().iter().product::<usize>() * header.num_channels;
    let size = num_values * header.voxel_type.size();
    let mut bytes = match &parsed.location.files {
        Files::Inline(offset) => {
            let mut bytes = content.bytes.into_owned();
            bytes.drain(..(*offset).min(bytes.len()));
            bytes
        }
        Files::Detached(files) => read_detached(path, content.is_file, files)?,
    };
    drop_lines(&mut bytes, parsed.location.line_skip);
    let bytes = decompressed(path, parsed.location.compression, bytes, size)?;
    decode_exactly(path, parsed, bytes, size)
}

fn read_detached(path: &Path, is_file: bool, files: &[PathBuf]) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for file in files {
        if !is_file {
            return Err(Error::DetachedData { data_file: file.clone() });
        }
        let data_file = path.parent().unwrap_or(Path::new("")).join(file);
        if !data_file.is_file() {
            return Err(Error::MissingDataFile { path: path.to_owned(), data_file });
        }
        let content = source::read_file(&data_file)?;
        if bytes.len() + content.len() > MAX_FILE_BYTES {
            return Err(Error::FileTooLarge { path: path.to_owned() });
        }
        if bytes.is_empty() {
            bytes = content;
        } else {
            bytes.extend_from_slice(&content);
        }
    }
    Ok(bytes)
}

fn drop_lines(bytes: &mut Vec<u8>, count: usize) {
    if count > 0 {
        let ends = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(index, _)| index + 1);
        let length = ends.take(count).last().unwrap_or(0);
        bytes.drain(..length);
    }
}

fn decompressed(path: &Path, compression: StoredCompression, bytes: Vec<u8>, size: usize) -> Result<Vec<u8>> {
    let unpacked = match compression {
        StoredCompression::None => return Ok(bytes),
        StoredCompression::Detect => return Ok(source::unpacked(path, Cow::Owned(bytes))?.into_owned()),
        StoredCompression::Zlib if !bytes.starts_with(&compression::GZIP_MAGIC) => {
            compression::unzlib(&bytes, size)
        }
        StoredCompression::Gzip | StoredCompression::Zlib => compression::gunzip(&bytes, MAX_FILE_BYTES),
    };
    unpacked.map_err(|reason| Error::Decompression { path: path.to_owned(), reason })
}

fn decode_exactly<T: Decode>(
    path: &Path,
    parsed: &Parsed,
    mut bytes: Vec<u8>,
    size: usize,
) -> Result<Vec<Volume<T>>> {
    let skip = match parsed.location.skip {
        Skip::Bytes(count) => count,
        Skip::ToEnd => bytes.len().saturating_sub(size),
    };
    let found = bytes.len().saturating_sub(skip);
    if found < size {
        return Err(Error::TruncatedVoxels { path: path.to_owned(), found, expected: size });
    }
    bytes.drain(..skip);
    bytes.truncate(size);
    voxels::decode(path, parsed, bytes)
}
