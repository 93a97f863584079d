//! The fields of NIfTI-1 and NIfTI-2 headers that matter here.

use std::path::Path;

use super::{HEADER_BYTES, NiftiForms};
use crate::formats::{Format, voxels::ByteOrder};
use crate::{Error, Result};

/// Bytes of a NIfTI-2 header.
const HEADER_BYTES_2: i32 = 540;
/// Bytes before the voxels of a NIfTI-2 file without extensions.
pub(super) const VOXEL_OFFSET_2: usize = 544;
/// Where the magic bytes are.
const MAGIC: usize = 344;
const MAGIC_2: usize = 4;

/// Header fields in the types of NIfTI-2.
pub(super) struct RawHeader {
    pub(super) byte_order: ByteOrder,
    pub(super) header_bytes: i32,
    /// Whether the voxels are in an `.img` file.
    pub(super) is_pair: bool,
    pub(super) dim: [i64; 8],
    pub(super) datatype: i16,
    pub(super) bitpix: i16,
    pub(super) voxel_offset: f64,
    pub(super) slope: f64,
    pub(super) intercept: f64,
    units: i32,
    codes: [i16; 2],
    pixdim: [f64; 4],
    quaternion: [f64; 3],
    qoffset: [f64; 3],
    srow: [[f64; 4]; 3],
}

/// Whether the magic bytes or the header size are those of NIfTI (or ANALYZE).
pub(in crate::formats) fn is_nifti(head: &[u8]) -> bool {
    let magic = |at: usize| head.get(at..at + 3).unwrap_or_default();
    let size = head.first_chunk().map(|size| [i32::from_le_bytes(*size), i32::from_be_bytes(*size)]);
    size.is_some_and(|sizes| sizes.contains(&HEADER_BYTES) || sizes.contains(&HEADER_BYTES_2))
        || [b"n+1", b"ni1"].contains(&magic(MAGIC).first_chunk().unwrap_or(b"   "))
}

impl RawHeader {
    pub(super) fn parse(path: &Path, bytes: &[u8]) -> Result<Self> {
        let truncated = || Error::TruncatedHeader { path: path.to_owned(), format: Format::Nifti };
        let size = bytes.first_chunk().ok_or_else(truncated)?;
        let little = i32::from_le_bytes(*size);
        let big = i32::from_be_bytes(*size);
        let (byte_order, size) = match (little, big) {
            (HEADER_BYTES | HEADER_BYTES_2, _) => (ByteOrder::Little, little),
            (_, HEADER_BYTES | HEADER_BYTES_2) => (ByteOrder::Big, big),
            _ => return Err(Format::Nifti.invalid(path, "sizeof_hdr", little.to_string(), "348 or 540")),
        };
        let header = bytes.get(..size as usize).ok_or_else(truncated)?;
        let fields = Fields { bytes: header, byte_order };
        let (at, magics) = if size == HEADER_BYTES {
            (MAGIC, [&b"n+1\0"[..], b"ni1\0"])
        } else {
            (MAGIC_2, [&b"n+2\0"[..], b"ni2\0"])
        };
        let magic = &header[at..at + 4];
        if !magics.contains(&magic) {
            let value = format!("\"{}\"", magic.escape_ascii());
            return Err(Format::Nifti.invalid(
                path,
                "magic",
                value,
                "n+1, ni1, n+2 or ni2 (not ANALYZE 7.5)",
            ));
        }
        let is_pair = magic == magics[1];
        Ok(if size == HEADER_BYTES {
            Self::version_1(&fields, is_pair)
        } else {
            Self::version_2(&fields, is_pair)
        })
    }

    fn version_1(fields: &Fields<'_>, is_pair: bool) -> Self {
        Self {
            byte_order: fields.byte_order,
            header_bytes: HEADER_BYTES,
            is_pair,
            dim: Fields::array(40, 2, |at| i64::from(fields.i16(at))),
            datatype: fields.i16(70),
            bitpix: fields.i16(72),
            voxel_offset: fields.f32(108),
            slope: fields.f32(112),
            intercept: fields.f32(116),
            units: i32::from(fields.bytes[123]),
            codes: [fields.i16(252), fields.i16(254)],
            pixdim: Fields::array(76, 4, |at| fields.f32(at)),
            quaternion: Fields::array(256, 4, |at| fields.f32(at)),
            qoffset: Fields::array(268, 4, |at| fields.f32(at)),
            srow: Fields::array(280, 16, |at| Fields::array(at, 4, |at| fields.f32(at))),
        }
    }

    fn version_2(fields: &Fields<'_>, is_pair: bool) -> Self {
        Self {
            byte_order: fields.byte_order,
            header_bytes: HEADER_BYTES_2,
            is_pair,
            dim: Fields::array(16, 8, |at| fields.i64(at)),
            datatype: fields.i16(12),
            bitpix: fields.i16(14),
            voxel_offset: fields.i64(168) as f64,
            slope: fields.f64(176),
            intercept: fields.f64(184),
            units: fields.i32(500),
            codes: [344, 348].map(|at| fields.i32(at).clamp(0, i32::from(i16::MAX)) as i16),
            pixdim: Fields::array(104, 8, |at| fields.f64(at)),
            quaternion: Fields::array(352, 8, |at| fields.f64(at)),
            qoffset: Fields::array(376, 8, |at| fields.f64(at)),
            srow: Fields::array(400, 32, |at| Fields::array(at, 8, |at| fields.f64(at))),
        }
    }

    /// qform and sform with lengths in mm; unknown units are taken for mm.
    pub(super) fn forms(&self) -> NiftiForms {
        const METER: i32 = 1;
        const MICROMETER: i32 = 3;
        let mm = match self.units & 7 {
            METER => 1e3,
            MICROMETER => 1e-3,
            _ => 1.0,
        };
        let [qfac, spacing @ ..] = self.pixdim;
        let [dx, dy, dz] = spacing.map(|length| length * mm);
        NiftiForms {
            qform_code: self.codes[0].max(0),
            sform_code: self.codes[1].max(0),
            pixdim: [if qfac < 0.0 { -1.0 } else { 1.0 }, dx, dy, dz],
            quaternion: self.quaternion,
            qoffset: self.qoffset.map(|length| length * mm),
            srow: self.srow.map(|row| row.map(|length| length * mm)),
        }
    }
}

/// A header of known size; offsets are constants of the format.
struct Fields<'a> {
    bytes: &'a [u8],
    byte_order: ByteOrder,
}

impl Fields<'_> {
    /// `N` values, `step` bytes apart.
    fn array<T, const N: usize>(at: usize, step: usize, value: impl Fn(usize) -> T) -> [T; N] {
        std::array::from_fn(|index| value(at + step * index))
    }

    /// The bytes of a value in little-endian order.
    fn little_endian<const N: usize>(&self, at: usize) -> [u8; N] {
        let mut value: [u8; N] = std::array::from_fn(|index| self.bytes[at + index]);
        if self.byte_order == ByteOrder::Big {
            value.reverse();
        }
        value
    }

    fn i16(&self, at: usize) -> i16 {
        i16::from_le_bytes(self.little_endian(at))
    }

    fn i32(&self, at: usize) -> i32 {
        i32::from_le_bytes(self.little_endian(at))
    }

    fn i64(&self, at: usize) -> i64 {
        i64::from_le_bytes(self.little_endian(at))
    }

    fn f32(&self, at: usize) -> f64 {
        f64::from(f32::from_le_bytes(self.little_endian(at)))
    }

    fn f64(&self, at: usize) -> f64 {
        f64::from_le_bytes(self.little_endian(at))
    }
}
