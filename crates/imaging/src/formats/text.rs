//! What NRRD and MetaImage have in common: headers of lines, vectors, LPS coordinates, lists of data files.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::{Format, voxels::ChannelOrder};
use crate::{Affine, Error, Result};

/// Most data files of one header.
const MAX_DATA_FILES: usize = 65_536;
/// The longest line of a header.
const MAX_LINE_BYTES: usize = 1 << 16;

/// Reads lines from the beginning of a file.
pub(super) struct TextHeader<'a> {
    path: &'a Path,
    format: Format,
    bytes: &'a [u8],
    position: usize,
}

impl<'a> TextHeader<'a> {
    pub(super) fn new(path: &'a Path, format: Format, bytes: &'a [u8]) -> Self {
        Self { path, format, bytes, position: 0 }
    }

    /// The next line, trimmed; `None` at the end of the file.
    pub(super) fn next_line(&mut self) -> Result<Option<&'a str>> {
        let rest = &self.bytes[self.position..];
        if rest.is_empty() {
            return Ok(None);
        }
        let rest = &rest[..rest.len().min(MAX_LINE_BYTES)];
        let end = rest.iter().position(|byte| *byte == b'\n');
        let length = end.unwrap_or(rest.len());
        let line = str::from_utf8(&rest[..length])
            .map_err(|_| Error::TruncatedHeader { path: self.path.to_owned(), format: self.format })?;
        self.position += length + usize::from(end.is_some());
        Ok(Some(line.trim()))
    }

    /// The first byte after the lines that were read.
    pub(super) fn position(&self) -> usize {
        self.position
    }
}

/// Numbers separated by white space.
pub(super) fn numbers<T: FromStr>(value: &str) -> Option<Vec<T>> {
    value.split_whitespace().map(|number| number.parse().ok()).collect()
}

/// NRRD vectors such as `(1,0,0) none (0,1,0)`; `None` within for `none`.
pub(super) fn vectors(value: &str) -> Option<Vec<Option<[f64; 3]>>> {
    let mut vectors = Vec::new();
    let mut rest = value.trim();
    while !rest.is_empty() {
        if let Some(inner) = rest.strip_prefix('(') {
            let (vector, tail) = inner.split_once(')')?;
            let vector: Option<Vec<f64>> =
                vector.split(',').map(|number| number.trim().parse().ok()).collect();
            let vector: [f64; 3] = vector?.try_into().ok()?;
            vectors.push((!vector[0].is_nan()).then_some(vector));
            rest = tail.trim_start();
        } else {
            rest = rest.strip_prefix("none")?.trim_start();
            vectors.push(None);
        }
    }
    Some(vectors)
}

/// The stored axes of an image, the first of them contiguous.
pub(super) struct SpatialAxes {
    /// Voxels per spatial axis.
    pub(super) shape: [usize; 3],
    /// Indices of the spatial axes.
    pub(super) spatial: Vec<usize>,
    pub(super) num_channels: usize,
    pub(super) channel_order: ChannelOrder,
}

impl SpatialAxes {
    /// # Errors
    ///
    /// Unless there are three axes besides an optional first or last one for channels.
    pub(super) fn new(path: &Path, lengths: &[i64], channel_axis: Option<usize>) -> Result<Self> {
        let error = || Error::InvalidShape { path: path.to_owned(), shape: lengths.to_vec() };
        let spatial: Vec<usize> = (0..lengths.len()).filter(|axis| Some(*axis) != channel_axis).collect();
        let is_at_end = channel_axis.is_none_or(|axis| axis == 0 || axis + 1 == lengths.len());
        let [x, y, z] = spatial[..] else { return Err(error()) };
        if !is_at_end || lengths.iter().any(|length| *length < 1) {
            return Err(error());
        }
        let channel_order =
            if channel_axis == Some(0) { ChannelOrder::Interleaved } else { ChannelOrder::Planar };
        let num_channels = channel_axis.map_or(1, |axis| lengths[axis] as usize);
        Ok(Self { shape: [x, y, z].map(|axis| lengths[axis] as usize), spatial, num_channels, channel_order })
    }
}

/// The affine of `columns` and `origin`, each row multiplied by its factor.
pub(super) fn affine(columns: &[[f64; 3]], origin: [f64; 3], factors: [f64; 3]) -> Affine {
    let mut affine = Affine::identity();
    for (column, values) in columns.iter().chain([&origin]).enumerate() {
        for row in 0..3 {
            affine[(row, column)] = values[row] * factors[row];
        }
    }
    affine
}

/// A column of an RAS affine in LPS coordinates.
pub(super) fn to_lps(affine: &Affine, column: usize) -> [f64; 3] {
    // Adding 0 turns -0 into 0.
    [-affine[(0, column)], -affine[(1, column)], affine[(2, column)]].map(|value| value + 0.0)
}

/// The data files of a header: one name, or a pattern such as `slice%03d.raw 1 20 1`.
pub(super) fn file_names(value: &str) -> Option<Vec<PathBuf>> {
    let words: Vec<&str> = value.split_whitespace().collect();
    let is_pattern = words.len() >= 4 && words[0].contains('%');
    if !is_pattern {
        return Some(vec![PathBuf::from(value)]);
    }
    let (before, after) = words[0].split_once('%')?;
    let (width, after) = after.split_once('d')?;
    let is_padded = width.starts_with('0');
    let width: usize = if width.is_empty() { 0 } else { width.parse().ok().filter(|width| *width <= 20)? };
    let [first, last, step] = [words[1], words[2], words[3]].map(|number| number.parse::<i64>().ok());
    let (first, last, step) = (first?, last?, step?);
    if step == 0 || (last < first) != (step < 0) && first != last {
        return None;
    }
    let indices = std::iter::successors(Some(first), |index| index.checked_add(step))
        .take_while(|index| if step > 0 { *index <= last } else { *index >= last });
    let name = |index: i64| {
        let number = if is_padded { format!("{index:0width$}") } else { format!("{index:width$}") };
        PathBuf::from(format!("{before}{number}{after}"))
    };
    let names: Vec<PathBuf> = indices.take(MAX_DATA_FILES + 1).map(name).collect();
    (names.len() <= MAX_DATA_FILES).then_some(names)
}
