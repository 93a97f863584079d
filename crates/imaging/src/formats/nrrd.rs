//! NRRD: `.nrrd`, and `.nhdr` with detached data.
//!
//! Source: the format definition of teem (versions 1 to 5). Spaces without anatomical meaning are taken for LPS, as ITK
//! does.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::{
    Compression, EncodedVoxels, Files, Format, Header, Layout, Location, Parsed, Skip, StoredCompression,
    VoxelType, compression,
    text::{self, TextHeader},
    voxels::ByteOrder,
};
use crate::{Affine, Error, Grid, Result};

const MAGIC: &[u8] = b"NRRD000";

pub(super) fn is_nrrd(head: &[u8]) -> bool {
    head.starts_with(MAGIC)
}

pub(super) fn parse(path: &Path, bytes: &[u8]) -> Result<Parsed> {
    let fields = Fields::parse(path, bytes)?;
    let lengths: Vec<i64> = fields.numbers("sizes")?;
    if fields.numbers::<usize>("dimension")? != [lengths.len()] {
        return Err(fields.invalid("dimension", "the number of sizes"));
    }
    let voxel_type = fields.voxel_type()?;
    let channel_axis = fields.channel_axis(lengths.len())?;
    let axes = text::SpatialAxes::new(path, &lengths, channel_axis)?;
    let grid = Grid::new(axes.shape, fields.affine(&axes.spatial)?);
    let header =
        Header { format: Format::Nrrd, grid, num_channels: axes.num_channels, voxel_type, nifti_forms: None };
    let layout = Layout::unscaled(fields.byte_order(voxel_type)?, axes.channel_order);
    Ok(Parsed { header, layout, location: fields.location()? })
}

/// Key and value of a line, unless it is a comment or a `key:=value` pair.
fn field(line: &str) -> Option<(&str, &str)> {
    line.split_once(':').filter(|(key, value)| !key.starts_with('#') && !value.starts_with('='))
}

/// The fields of a header.
struct Fields<'a> {
    path: &'a Path,
    header: TextHeader<'a>,
    values: HashMap<String, &'a str>,
    /// Lines after `data file: LIST`.
    file_list: Vec<PathBuf>,
}

impl<'a> Fields<'a> {
    /// Reads lines up to the first empty one.
    fn parse(path: &'a Path, bytes: &'a [u8]) -> Result<Self> {
        let mut header = TextHeader::new(path, Format::Nrrd, bytes);
        let mut fields = HashMap::new();
        let mut file_list = Vec::new();
        let mut is_list = false;
        let mut is_complete = false;
        while let Some(line) = header.next_line()? {
            if line.is_empty() {
                is_complete = true;
                break;
            }
            if is_list {
                file_list.push(PathBuf::from(line));
            } else if let Some((key, value)) = field(line) {
                let key = key.trim().to_ascii_lowercase();
                let key = if key == "datafile" { "data file".to_owned() } else { key };
                is_list = key == "data file" && value.trim().starts_with("LIST");
                fields.insert(key, value.trim());
            }
        }
        if !is_complete && !fields.contains_key("data file") {
            return Err(Error::TruncatedHeader { path: path.to_owned(), format: Format::Nrrd });
        }
        Ok(Self { path, header, values: fields, file_list })
    }

    fn get(&self, key: &str) -> Option<&'a str> {
        self.values.get(key).copied()
    }

    fn invalid(&self, key: &'static str, expected: &'static str) -> Error {
        let value = self.get(key).map_or("missing".to_owned(), |value| format!("\"{value}\""));
        Format::Nrrd.invalid(self.path, key, value, expected)
    }

    fn unsupported(&self, key: &'static str, supported: &'static str) -> Error {
        let value = format!("\"{}\"", self.get(key).unwrap_or_default());
        Error::Unsupported {
            path: self.path.to_owned(),
            format: Format::Nrrd,
            feature: key,
            value,
            supported,
        }
    }

    fn numbers<T: std::str::FromStr>(&self, key: &'static str) -> Result<Vec<T>> {
        let numbers = self.get(key).and_then(text::numbers);
        numbers.ok_or_else(|| self.invalid(key, "a list of numbers"))
    }

    fn voxel_type(&self) -> Result<VoxelType> {
        let name = self.get("type").ok_or_else(|| self.invalid("type", "a scalar type"))?;
        Ok(match name {
            "signed char" | "int8" | "int8_t" => VoxelType::I8,
            "uchar" | "unsigned char" | "uint8" | "uint8_t" => VoxelType::U8,
            "short" | "short int" | "signed short" | "signed short int" | "int16" | "int16_t" => {
                VoxelType::I16
            }
            "ushort" | "unsigned short" | "unsigned short int" | "uint16" | "uint16_t" => VoxelType::U16,
            "int" | "signed int" | "int32" | "int32_t" => VoxelType::I32,
            "uint" | "unsigned int" | "uint32" | "uint32_t" => VoxelType::U32,
            "longlong"
            | "long long"
            | "long long int"
            | "signed long long"
            | "signed long long int"
            | "int64"
            | "int64_t" => VoxelType::I64,
            "ulonglong" | "unsigned long long" | "unsigned long long int" | "uint64" | "uint64_t" => {
                VoxelType::U64
            }
            "float" => VoxelType::F32,
            "double" => VoxelType::F64,
            _ => return Err(self.unsupported("type", "integers and real numbers of 8 to 64 bits")),
        })
    }

    fn byte_order(&self, voxel_type: VoxelType) -> Result<ByteOrder> {
        match self.get("endian").map(str::to_ascii_lowercase).as_deref() {
            Some("little") => Ok(ByteOrder::Little),
            Some("big") => Ok(ByteOrder::Big),
            None if voxel_type.size() == 1 => Ok(ByteOrder::Little),
            _ => Err(self.invalid("endian", "little or big")),
        }
    }

    /// The axis that is not spatial: the one without direction or spacing, else the one of such a kind, else the last
    /// one of four.
    fn channel_axis(&self, num_axes: usize) -> Result<Option<usize>> {
        if num_axes == 3 {
            return Ok(None);
        }
        let without_direction = match self.get("space directions") {
            Some(_) => self.directions()?.iter().position(Option::is_none),
            None => None,
        };
        let kinds = self.get("kinds").into_iter().flat_map(str::split_whitespace);
        let is_spatial = |kind: &str| matches!(kind, "domain" | "space" | "???" | "none");
        let spacings = self.get("spacings").into_iter().flat_map(str::split_whitespace);
        let axis = without_direction
            .or_else(|| kinds.clone().position(|kind| !is_spatial(kind)))
            .or_else(|| spacings.clone().position(|spacing| spacing.eq_ignore_ascii_case("nan")));
        Ok(Some(axis.unwrap_or(num_axes.saturating_sub(1))))
    }

    /// Columns of the affine, one for each axis but that of the channels.
    fn affine(&self, spatial: &[usize]) -> Result<Affine> {
        let [right, anterior] = self.space_to_ras()?;
        let factor = [right, anterior, 1.0].map(|sign| sign * self.mm().unwrap_or(f64::NAN));
        self.mm()?;
        let columns = if self.get("space directions").is_some() {
            let directions = self.directions()?;
            let columns: Option<Vec<[f64; 3]>> =
                spatial.iter().map(|axis| directions.get(*axis).copied().flatten()).collect();
            columns.ok_or_else(|| self.invalid("space directions", "three vectors of three numbers"))?
        } else {
            self.spacings(spatial)?
        };
        let origin = match self.get("space origin") {
            Some(value) => text::vectors(value)
                .and_then(|vectors| vectors.first().copied().flatten())
                .ok_or_else(|| self.invalid("space origin", "one vector of three numbers"))?,
            None => [0.0; 3],
        };
        Ok(text::affine(&columns, origin, factor))
    }

    /// Spacing along perpendicular axes, where directions are not given.
    fn spacings(&self, spatial: &[usize]) -> Result<Vec<[f64; 3]>> {
        let spacings = match self.get("spacings") {
            Some(_) => self.numbers::<f64>("spacings")?,
            None => Vec::new(),
        };
        let column = |(row, axis): (usize, &usize)| {
            let mut column = [0.0; 3];
            column[row] = spacings.get(*axis).copied().filter(|spacing| !spacing.is_nan()).unwrap_or(1.0);
            column
        };
        Ok(spatial.iter().enumerate().map(column).collect())
    }

    fn directions(&self) -> Result<Vec<Option<[f64; 3]>>> {
        let vectors = self.get("space directions").and_then(text::vectors);
        vectors.ok_or_else(|| self.invalid("space directions", "vectors of three numbers, or none"))
    }

    /// Signs of x and y that lead to RAS.
    fn space_to_ras(&self) -> Result<[f64; 2]> {
        let space = self.get("space").map(str::to_ascii_lowercase);
        match space.as_deref() {
            Some("right-anterior-superior" | "ras") => Ok([1.0, 1.0]),
            Some("left-anterior-superior" | "las") => Ok([-1.0, 1.0]),
            None
            | Some(
                "left-posterior-superior" | "lps" | "scanner-xyz" | "3d-right-handed" | "3d-left-handed",
            ) => Ok([-1.0, -1.0]),
            Some(_) => Err(self.unsupported("space", "RAS, LAS and LPS")),
        }
    }

    /// Millimeters per unit of length.
    fn mm(&self) -> Result<f64> {
        let key = if self.get("space units").is_some() { "space units" } else { "units" };
        let Some(value) = self.get(key) else { return Ok(1.0) };
        let units = value.split('"').map(str::trim).filter(|unit| !unit.is_empty());
        let factor = |unit: &str| match unit {
            "m" => Some(1e3),
            "cm" => Some(10.0),
            "mm" | "???" => Some(1.0),
            "um" | "µm" | "micron" => Some(1e-3),
            _ => None,
        };
        let factors: Option<Vec<f64>> = units.map(factor).collect();
        match factors.as_deref() {
            Some([]) => Ok(1.0),
            Some([first, others @ ..]) if others.iter().all(|other| other == first) => Ok(*first),
            _ => Err(self.unsupported(key, "one of m, cm, mm, um for all spatial axes")),
        }
    }

    fn location(&self) -> Result<Location> {
        let compression = match self.get("encoding").map(str::to_ascii_lowercase).as_deref() {
            Some("raw") => StoredCompression::None,
            Some("gzip" | "gz") => StoredCompression::Gzip,
            None => return Err(self.invalid("encoding", "raw or gzip")),
            Some(_) => return Err(self.unsupported("encoding", "raw and gzip")),
        };
        let number = |key: &'static str| match self.get(key).or_else(|| self.get(&key.replace(' ', ""))) {
            Some(value) => value.parse().map_err(|_| self.invalid(key, "a whole number")),
            None => Ok(0_i64),
        };
        let line_skip = usize::try_from(number("line skip")?);
        let line_skip = line_skip.map_err(|_| self.invalid("line skip", "at least 0"))?;
        let skip = match number("byte skip")? {
            -1 if compression == StoredCompression::None => Skip::ToEnd,
            count => Skip::Bytes(
                usize::try_from(count)
                    .map_err(|_| self.invalid("byte skip", "at least 0, or -1 for raw data"))?,
            ),
        };
        let files = match self.get("data file") {
            None => Files::Inline(self.header.position()),
            Some(value) if value.starts_with("LIST") => Files::Detached(self.file_list.clone()),
            Some(value) => Files::Detached(
                text::file_names(value)
                    .ok_or_else(|| self.invalid("data file", "a file name or a valid pattern"))?,
            ),
        };
        Ok(Location { files, line_skip, compression, skip })
    }
}

/// A NRRD file with an attached header, in LPS as ITK and Slicer write it.
pub(super) fn encode(grid: &Grid, voxels: &EncodedVoxels, compression: Compression) -> Vec<u8> {
    let [x, y, z] = grid.shape();
    let voxel_type = match voxels.voxel_type {
        VoxelType::U8 => "uint8",
        VoxelType::U16 => "uint16",
        _ => "float",
    };
    let encoding = match compression {
        Compression::Deflate => "gzip",
        Compression::None => "raw",
    };
    let vector = |column: usize| {
        let [x, y, z] = text::to_lps(grid.affine(), column);
        format!("({x},{y},{z})")
    };
    let [dx, dy, dz, origin] = [0, 1, 2, 3].map(vector);
    let header = format!(
        "NRRD0004\ntype: {voxel_type}\ndimension: 3\nspace: left-posterior-superior\nsizes: {x} {y} {z}\n\
         space directions: {dx} {dy} {dz}\nkinds: domain domain domain\nendian: little\nencoding: {encoding}\n\
         space origin: {origin}\n\n"
    );
    let mut bytes = header.into_bytes();
    match compression {
        Compression::Deflate => bytes.extend(compression::gzip(&voxels.bytes)),
        Compression::None => bytes.extend_from_slice(&voxels.bytes),
    }
    bytes
}
