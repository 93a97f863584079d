//! Options of the writers.

use super::NiftiForms;

/// How a file is written.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct WriteOptions<'a> {
    /// qform and sform to copy into a NIfTI file; ignored if they do not give the grid of the volume.
    pub nifti_forms: Option<&'a NiftiForms>,
    /// Compression of formats whose ending does not decide it (NRRD, MetaImage).
    pub compression: Compression,
}

/// Compression of the voxels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// The usual one of the format: gzip for NRRD, zlib for MetaImage.
    #[default]
    Default,
    /// Uncompressed.
    None,
}
