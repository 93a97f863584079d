//! NIfTI files made by hand, byte by byte, from the format's own table of offsets.

use std::path::PathBuf;

use tempfile::TempDir;

/// A header whose fields a test may change before it becomes bytes.
#[derive(Clone)]
pub(crate) struct MadeHeader {
    pub(crate) header_bytes: i32,
    pub(crate) dim: [i16; 8],
    pub(crate) datatype: i16,
    pub(crate) bitpix: i16,
    pub(crate) pixdim: [f32; 4],
    pub(crate) voxel_offset: f32,
    pub(crate) slope: f32,
    pub(crate) intercept: f32,
    pub(crate) units: u8,
    pub(crate) qform_code: i16,
    pub(crate) sform_code: i16,
    /// b, c, d, then the origin.
    pub(crate) quaternion: [f32; 6],
    pub(crate) rows: [[f32; 4]; 3],
    pub(crate) magic: [u8; 4],
    pub(crate) is_big_endian: bool,
}

impl MadeHeader {
    /// 3 × 2 × 2 voxels, sform with spacing 2, 3, 4 and origin −10, 20, 30.
    pub(crate) fn new(datatype: i16, bitpix: i16) -> Self {
        Self {
            header_bytes: 348,
            dim: [3, 3, 2, 2, 1, 1, 1, 1],
            datatype,
            bitpix,
            pixdim: [1.0, 2.0, 3.0, 4.0],
            voxel_offset: 352.0,
            slope: 1.0,
            intercept: 0.0,
            units: 2,
            qform_code: 0,
            sform_code: 1,
            quaternion: [0.0; 6],
            rows: [[2.0, 0.0, 0.0, -10.0], [0.0, 3.0, 0.0, 20.0], [0.0, 0.0, 4.0, 30.0]],
            magic: *b"n+1\0",
            is_big_endian: false,
        }
    }

    /// Unsigned bytes.
    pub(crate) fn u8() -> Self {
        Self::new(2, 8)
    }

    /// The header, zeros up to the voxels, the voxels.
    pub(crate) fn bytes(&self, voxels: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; 348];
        let mut put = |offset: usize, value: &[u8]| {
            let mut value = value.to_vec();
            if self.is_big_endian {
                value.reverse();
            }
            bytes[offset..offset + value.len()].copy_from_slice(&value);
        };
        put(0, &self.header_bytes.to_le_bytes());
        for (index, length) in self.dim.iter().enumerate() {
            put(40 + 2 * index, &length.to_le_bytes());
        }
        put(70, &self.datatype.to_le_bytes());
        put(72, &self.bitpix.to_le_bytes());
        for (index, spacing) in self.pixdim.iter().enumerate() {
            put(76 + 4 * index, &spacing.to_le_bytes());
        }
        put(108, &self.voxel_offset.to_le_bytes());
        put(112, &self.slope.to_le_bytes());
        put(116, &self.intercept.to_le_bytes());
        put(123, &[self.units]);
        put(252, &self.qform_code.to_le_bytes());
        put(254, &self.sform_code.to_le_bytes());
        for (index, part) in self.quaternion.iter().enumerate() {
            put(256 + 4 * index, &part.to_le_bytes());
        }
        for (index, value) in self.rows.as_flattened().iter().enumerate() {
            put(280 + 4 * index, &value.to_le_bytes());
        }
        bytes[344..].copy_from_slice(&self.magic);
        bytes.resize((self.voxel_offset as usize).clamp(352, 4096), 0);
        bytes.extend_from_slice(voxels);
        bytes
    }
}

/// One gzip member, by the one other implementation at hand.
pub(crate) fn gzipped(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A file in a folder that goes away with it.
pub(crate) struct MadeFile {
    pub(crate) path: PathBuf,
    _folder: TempDir,
}

impl MadeFile {
    pub(crate) fn new(name: &str, bytes: &[u8]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        Self { path, _folder: folder }
    }
}
