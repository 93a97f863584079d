//! Bytes from files, unpacked where the content (not the name) says gzip.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

use super::super::gzip;
use super::header::HEADER_BYTES;
use crate::{Error, Result};

/// No scan is larger: 8 GiB are 1024 × 1024 × 2048 voxels of four bytes.
const MAX_BYTES: usize = 8 << 30;

/// Reads the whole file.
pub(super) fn read_all(path: &Path) -> Result<Vec<u8>> {
    let too_large = |found: String| Error::content(path, format!("at most {MAX_BYTES} bytes"), found);
    let io = |source| Error::io(path, source);
    let mut file = File::open(path).map_err(io)?;
    let length = file.metadata().map_err(io)?.len();
    if length > MAX_BYTES as u64 {
        return Err(too_large(format!("{length} bytes")));
    }
    let mut bytes = Vec::with_capacity(length as usize);
    file.read_to_end(&mut bytes).map_err(io)?;
    if bytes.starts_with(&gzip::MAGIC) {
        bytes = gzip::unpack(&bytes, MAX_BYTES).map_err(too_large)?;
    }
    Ok(bytes)
}

/// Reads as many bytes as a header has, or fewer if the file ends before.
pub(super) fn read_head(path: &Path) -> Result<Vec<u8>> {
    let io = |source| Error::io(path, source);
    let mut file = BufReader::new(File::open(path).map_err(io)?);
    let is_packed = file.fill_buf().map_err(io)?.starts_with(&gzip::MAGIC);
    let mut head = Vec::new();
    if is_packed {
        MultiGzDecoder::new(file).take(HEADER_BYTES as u64).read_to_end(&mut head).map_err(|error| {
            Error::content(path, "whole gzip data", format!("damaged or truncated gzip data ({error})"))
        })?;
    } else {
        file.take(HEADER_BYTES as u64).read_to_end(&mut head).map_err(io)?;
    }
    Ok(head)
}
