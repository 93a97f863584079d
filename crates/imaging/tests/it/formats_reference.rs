//! Files that nibabel, SimpleITK and pynrrd wrote, and what these programs read from them; made by
//! `tests/reference/formats.py`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bipvl_imaging::{Affine, Format, Source, VoxelType, probe, read, read_labels};
use serde::Deserialize;

/// Affines are sums of a few float64 products; NIfTI-1 stores them in float32.
const AFFINE_MM: f64 = 1e-12;
const NIFTI_MM: f64 = 2e-6;

#[derive(Deserialize)]
struct Reference {
    shape: [usize; 3],
    channels: usize,
    affine: [[f64; 4]; 4],
    /// By channel, x, y, z.
    voxels: Vec<f64>,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference")
}

fn references() -> BTreeMap<String, Reference> {
    let json = std::fs::read_to_string(folder().join("formats.json")).unwrap();
    serde_json::from_str(&json).unwrap()
}

#[test]
fn every_file_is_read_as_its_reference_program_reads_it() {
    let references = references();
    assert_eq!(references.len(), 28);
    for (name, reference) in references {
        let path = folder().join("formats").join(&name);
        let image = read(&path).unwrap();
        assert_eq!(image.header, probe(&path).unwrap(), "{name}");
        assert_eq!(image.header.grid.shape(), reference.shape, "{name}");
        assert_eq!(image.header.num_channels, reference.channels, "{name}");
        let expected = Affine::from_fn(|row, column| reference.affine[row][column]);
        let tolerance = if image.header.format == Format::Nifti { NIFTI_MM } else { AFFINE_MM };
        let difference = (image.header.grid.affine() - expected).amax();
        assert!(difference <= tolerance, "{name}: {difference}");
        let voxels = image.channels.iter().flat_map(|channel| channel.voxels().iter());
        let voxels: Vec<f64> = voxels.map(|voxel| f64::from(*voxel)).collect();
        assert_eq!(voxels, reference.voxels, "{name}");
    }
}

#[test]
fn the_voxel_type_is_that_of_the_file() {
    let voxel_type = |name: &str| probe(&folder().join("formats").join(name)).unwrap().voxel_type;
    assert_eq!(voxel_type("one.nii.gz"), VoxelType::I16);
    assert_eq!(voxel_type("two_big_endian.nii"), VoxelType::I64);
    assert_eq!(voxel_type("ras.nrrd"), VoxelType::U32);
    assert_eq!(voxel_type("raw.mhd"), VoxelType::U64);
}

#[test]
fn labels_are_read_from_every_format() {
    for name in ["pair.hdr", "ras.nrrd", "detached_raw.nhdr", "big_endian.mha", "raw.mhd"] {
        let path = folder().join("formats").join(name);
        let labels = read_labels(&path).unwrap();
        assert_eq!(labels.map(|label| f32::from(*label)), read(&path).unwrap().channels[0], "{name}");
    }
}

#[test]
fn an_img_file_stands_for_its_pair() {
    let formats = folder().join("formats");
    assert_eq!(read(&formats.join("pair.img")).unwrap(), read(&formats.join("pair.hdr")).unwrap());
    assert_eq!(
        read(&formats.join("packed_pair.img.gz")).unwrap(),
        read(&formats.join("packed_pair.hdr.gz")).unwrap()
    );
}

#[test]
fn bytes_and_readers_are_read_like_files_unless_the_data_are_detached() {
    for name in ["one.nii.gz", "itk.nrrd", "itk.mha"] {
        let path = folder().join("formats").join(name);
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(read(&bytes[..]).unwrap(), read(&path).unwrap(), "{name}");
        assert_eq!(read(Source::reader(&bytes[..])).unwrap(), read(&path).unwrap(), "{name}");
        assert_eq!(probe(&bytes[..]).unwrap(), probe(Source::reader(&bytes[..])).unwrap(), "{name}");
    }
    let header = std::fs::read(folder().join("formats/detached.nhdr")).unwrap();
    assert!(probe(&header[..]).is_ok());
    let message = read(&header[..]).unwrap_err().to_string();
    assert_eq!(
        message,
        "the header refers to the data file detached.raw.gz; read such images from their path"
    );
}
