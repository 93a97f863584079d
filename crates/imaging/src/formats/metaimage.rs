//! MetaImage: `.mha`, and `.mhd` with detached data.
//!
//! Source: MetaIO of ITK. As ITK does, `AnatomicalOrientation`, `CenterOfRotation` and
//! `ElementToIntensityFunctionSlope` are ignored; coordinates are LPS.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::{
    Compression, EncodedVoxels, Files, Format, Header, Layout, Location, Parsed, Skip, StoredCompression,
    VoxelType, compression,
    text::{self, TextHeader},
    voxels::ByteOrder,
};
use crate::{Affine, Error, Grid, Result};

/// Keys of which a header begins with one.
const FIRST_KEYS: [&str; 5] = ["objecttype", "ndims", "comment", "transformtype", "objectsubtype"];

pub(super) fn is_metaimage(head: &[u8]) -> bool {
    let line = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = str::from_utf8(&line[..line.len().min(1024)]).unwrap_or_default();
    let key = line.split_once('=').map(|(key, _)| key.trim().to_ascii_lowercase());
    key.is_some_and(|key| FIRST_KEYS.contains(&key.as_str()))
}

pub(super) fn parse(path: &Path, bytes: &[u8]) -> Result<Parsed> {
    let fields = Fields::parse(path, bytes)?;
    let mut lengths: Vec<i64> =
        fields.numbers("DimSize")?.ok_or_else(|| fields.invalid("DimSize", "numbers"))?;
    if fields.numbers::<usize>("NDims")? != Some(vec![lengths.len()]) {
        return Err(fields.invalid("NDims", "the number of lengths in DimSize"));
    }
    let num_axes = lengths.len();
    let interleaved = match fields.numbers::<i64>("ElementNumberOfChannels")?.as_deref() {
        None | Some([1]) => 1,
        Some([count]) => *count,
        Some(_) => return Err(fields.invalid("ElementNumberOfChannels", "one number")),
    };
    let channel_axis = if interleaved == 1 {
        (num_axes > 3).then_some(num_axes - 1)
    } else {
        lengths.insert(0, interleaved);
        Some(0)
    };
    let axes = text::SpatialAxes::new(path, &lengths, channel_axis)?;
    let voxel_type = fields.voxel_type()?;
    let grid = Grid::new(axes.shape, fields.affine(num_axes)?);
    let header = Header {
        format: Format::MetaImage,
        grid,
        num_channels: axes.num_channels,
        voxel_type,
        nifti_forms: None,
    };
    let layout = Layout::unscaled(fields.byte_order()?, axes.channel_order);
    Ok(Parsed { header, layout, location: fields.location()? })
}

/// The fields of a header.
struct Fields<'a> {
    path: &'a Path,
    header: TextHeader<'a>,
    values: HashMap<String, &'a str>,
    /// Lines after `ElementDataFile = LIST`.
    file_list: Vec<PathBuf>,
}

impl<'a> Fields<'a> {
    /// Reads lines up to `ElementDataFile`, which is the last one.
    fn parse(path: &'a Path, bytes: &'a [u8]) -> Result<Self> {
        let truncated = || Error::TruncatedHeader { path: path.to_owned(), format: Format::MetaImage };
        let mut header = TextHeader::new(path, Format::MetaImage, bytes);
        let mut fields = HashMap::new();
        let mut file_list = Vec::new();
        loop {
            let line = header.next_line()?.ok_or_else(truncated)?;
            let Some((key, value)) = line.split_once('=') else { continue };
            let (key, value) = (key.trim().to_ascii_lowercase(), value.trim());
            let is_last = key == "elementdatafile";
            fields.insert(key, value);
            if is_last {
                if value.starts_with("LIST") {
                    while let Some(line) = header.next_line()? {
                        file_list.extend((!line.is_empty()).then(|| PathBuf::from(line)));
                    }
                }
                return Ok(Self { path, header, values: fields, file_list });
            }
        }
    }

    fn get(&self, key: &str) -> Option<&'a str> {
        self.values.get(&key.to_ascii_lowercase()).copied()
    }

    fn invalid(&self, key: &'static str, expected: &'static str) -> Error {
        let value = self.get(key).map_or("missing".to_owned(), |value| format!("\"{value}\""));
        Format::MetaImage.invalid(self.path, key, value, expected)
    }

    fn unsupported(&self, key: &'static str, supported: &'static str) -> Error {
        let value = format!("\"{}\"", self.get(key).unwrap_or_default());
        Error::Unsupported {
            path: self.path.to_owned(),
            format: Format::MetaImage,
            feature: key,
            value,
            supported,
        }
    }

    fn numbers<T: std::str::FromStr>(&self, key: &'static str) -> Result<Option<Vec<T>>> {
        let parse = |value| text::numbers(value).ok_or_else(|| self.invalid(key, "numbers"));
        self.get(key).map(parse).transpose()
    }

    /// The first of synonymous keys that is there.
    fn first_of(&self, keys: &[&'static str], length: usize) -> Result<Option<Vec<f64>>> {
        for key in keys {
            if let Some(numbers) = self.numbers(key)? {
                let is_long_enough = numbers.len() >= length;
                return if is_long_enough {
                    Ok(Some(numbers))
                } else {
                    Err(self.invalid(key, "a number per axis"))
                };
            }
        }
        Ok(None)
    }

    fn is_true(&self, key: &str) -> Option<bool> {
        self.get(key).map(|value| value.starts_with(['T', 't', '1', 'Y', 'y']))
    }

    fn voxel_type(&self) -> Result<VoxelType> {
        let name = self.get("ElementType").ok_or_else(|| self.invalid("ElementType", "a scalar type"))?;
        Ok(match name.strip_suffix("_ARRAY").unwrap_or(name) {
            "MET_CHAR" => VoxelType::I8,
            "MET_UCHAR" | "MET_ASCII_CHAR" => VoxelType::U8,
            "MET_SHORT" => VoxelType::I16,
            "MET_USHORT" => VoxelType::U16,
            // MetaIO stores `long` in four bytes on every platform.
            "MET_INT" | "MET_LONG" => VoxelType::I32,
            "MET_UINT" | "MET_ULONG" => VoxelType::U32,
            "MET_LONG_LONG" => VoxelType::I64,
            "MET_ULONG_LONG" => VoxelType::U64,
            "MET_FLOAT" => VoxelType::F32,
            "MET_DOUBLE" => VoxelType::F64,
            _ => return Err(self.unsupported("ElementType", "MET_CHAR to MET_DOUBLE")),
        })
    }

    fn byte_order(&self) -> Result<ByteOrder> {
        if self.is_true("BinaryData") == Some(false) {
            return Err(self.unsupported("BinaryData", "True"));
        }
        let is_big = self.is_true("BinaryDataByteOrderMSB").or_else(|| self.is_true("ElementByteOrderMSB"));
        Ok(if is_big == Some(true) { ByteOrder::Big } else { ByteOrder::Little })
    }

    fn affine(&self, num_axes: usize) -> Result<Affine> {
        let spacing = self.first_of(&["ElementSpacing", "ElementSize"], num_axes)?;
        let spacing = spacing.unwrap_or_else(|| vec![1.0; num_axes]);
        if let Some(axis) = spacing.iter().take(3).position(|mm| *mm == 0.0) {
            return Err(Error::ZeroSpacing { path: self.path.to_owned(), axis });
        }
        let origin = self.first_of(&["Offset", "Position", "Origin"], num_axes)?;
        let origin = origin.unwrap_or_else(|| vec![0.0; num_axes]);
        // One axis after the other.
        let directions =
            self.first_of(&["TransformMatrix", "Rotation", "Orientation"], num_axes * num_axes)?;
        let column = |axis: usize| {
            std::array::from_fn(|row| match &directions {
                Some(directions) => directions[axis * num_axes + row] * spacing[axis],
                None => f64::from(u8::from(axis == row)) * spacing[axis],
            })
        };
        let mm = match self.get("DistanceUnits") {
            None | Some("mm" | "?") => 1.0,
            Some("um") => 1e-3,
            Some("cm") => 10.0,
            Some(_) => return Err(self.unsupported("DistanceUnits", "um, mm and cm")),
        };
        Ok(text::affine(&[0, 1, 2].map(column), [origin[0], origin[1], origin[2]], [-mm, -mm, mm]))
    }

    fn location(&self) -> Result<Location> {
        let is_compressed = self.is_true("CompressedData") == Some(true);
        let compression = if is_compressed { StoredCompression::Zlib } else { StoredCompression::None };
        let skip = match self.numbers::<i64>("HeaderSize")?.as_deref() {
            None => Skip::Bytes(0),
            Some([-1]) if !is_compressed => Skip::ToEnd,
            Some([count]) if *count >= 0 && (*count == 0 || !is_compressed) => Skip::Bytes(*count as usize),
            Some(_) => return Err(self.invalid("HeaderSize", "-1 or more, and 0 for compressed data")),
        };
        let data_file = self.get("ElementDataFile").unwrap_or_default();
        let files = if data_file.eq_ignore_ascii_case("local") {
            Files::Inline(self.header.position())
        } else if data_file.starts_with("LIST") {
            Files::Detached(self.file_list.clone())
        } else {
            let invalid = || self.invalid("ElementDataFile", "LOCAL, LIST, a file name or a valid pattern");
            Files::Detached(
                text::file_names(data_file).filter(|_| !data_file.is_empty()).ok_or_else(invalid)?,
            )
        };
        Ok(Location { files, line_skip: 0, compression, skip })
    }
}

/// The header, followed by the voxels unless they are in a `data_file` of known length.
pub(super) fn encode(
    grid: &Grid,
    voxels: &EncodedVoxels,
    compression: Compression,
    data_file: Option<(&Path, usize)>,
) -> Vec<u8> {
    let [x, y, z] = grid.shape();
    let [dx, dy, dz] = grid.spacing();
    let element_type = match voxels.voxel_type {
        VoxelType::U8 => "MET_UCHAR",
        VoxelType::U16 => "MET_USHORT",
        _ => "MET_FLOAT",
    };
    let directions = [(0, dx), (1, dy), (2, dz)]
        .map(|(axis, spacing)| join(&text::to_lps(grid.affine(), axis).map(|value| value / spacing)));
    let origin = join(&text::to_lps(grid.affine(), 3));
    let local = data_file.is_none().then(|| encode_data(voxels, compression));
    let num_bytes = data_file.map(|(_, length)| length).or(local.as_ref().map(Vec::len)).unwrap_or(0);
    let compressed = match compression {
        Compression::Deflate => format!("CompressedData = True\nCompressedDataSize = {num_bytes}"),
        Compression::None => "CompressedData = False".to_owned(),
    };
    let name = data_file.and_then(|(path, _)| path.file_name()).map(|name| name.to_string_lossy());
    let header = format!(
        "ObjectType = Image\nNDims = 3\nBinaryData = True\nBinaryDataByteOrderMSB = False\n{compressed}\n\
         TransformMatrix = {}\nOffset = {origin}\nCenterOfRotation = 0 0 0\nElementSpacing = {dx} {dy} {dz}\n\
         DimSize = {x} {y} {z}\nElementType = {element_type}\nElementDataFile = {}\n",
        directions.join(" "),
        name.as_deref().unwrap_or("LOCAL"),
    );
    let mut bytes = header.into_bytes();
    bytes.extend(local.unwrap_or_default());
    bytes
}

/// The voxels of a data file.
pub(super) fn encode_data(voxels: &EncodedVoxels, compression: Compression) -> Vec<u8> {
    match compression {
        Compression::Deflate => compression::zlib(&voxels.bytes),
        Compression::None => voxels.bytes.clone(),
    }
}

fn join(values: &[f64; 3]) -> String {
    values.map(|value| value.to_string()).join(" ")
}
