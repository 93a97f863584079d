//! Damaged and hostile files are refused with the right error; no bytes make a reader panic.

use std::path::{Path, PathBuf};

use bipvl_imaging::{DecompressionError, Error, probe, read, read_labels};
use proptest::prelude::*;

use crate::made_nifti::MadeFile;

/// Files of the reference programs that have their data in them.
const FILES: [&str; 8] = [
    "big_endian.nii",
    "two_big_endian.nii",
    "two.nii.gz",
    "itk_raw.nrrd",
    "ras.nrrd",
    "last_axis.nrrd",
    "big_endian.mha",
    "itk.mha",
];

fn file(name: &str) -> Vec<u8> {
    let folder: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/formats");
    std::fs::read(folder.join(name)).unwrap()
}

fn replaced(name: &str, from: &str, to: &str) -> Vec<u8> {
    let bytes = file(name);
    let at = bytes.windows(from.len()).position(|window| window == from.as_bytes()).unwrap();
    [&bytes[..at], to.as_bytes(), &bytes[at + from.len()..]].concat()
}

#[track_caller]
fn message(bytes: &[u8]) -> String {
    let file = MadeFile::new("case", bytes);
    let message = read(&file.path).unwrap_err().to_string();
    assert!(message.starts_with(&format!("{}: ", file.path.display())), "{message}");
    message.split_once(": ").unwrap().1.to_owned()
}

#[test]
fn truncated_voxels_are_counted() {
    for (name, size) in [("big_endian.nii", 192), ("itk_raw.nrrd", 192), ("big_endian.mha", 48)] {
        let bytes = file(name);
        let error = read(&bytes[..bytes.len() - 3]).unwrap_err();
        let Error::TruncatedVoxels { found, expected, .. } = error else { panic!("{name}: {error}") };
        assert_eq!((found, expected), (size - 3, size), "{name}");
    }
}

/// D39: a truncated download, and one byte changed.
#[test]
fn damaged_compression_is_named_as_such() {
    for name in ["two.nii.gz", "itk.nrrd", "itk.mha"] {
        let bytes = file(name);
        let mut changed = bytes.clone();
        let last = changed.len() - 6;
        changed[last] ^= 0xff;
        for damaged in [&bytes[..bytes.len() - 10], &changed] {
            let error = read(damaged).unwrap_err();
            assert!(
                matches!(error, Error::Decompression { reason: DecompressionError::Damaged, .. }),
                "{name}: {error}"
            );
            assert_eq!(message(damaged), "the compressed data is truncated or damaged");
        }
    }
}

/// As files from tapes are.
#[test]
fn zeros_after_compressed_data_are_padding() {
    let bytes = file("two.nii.gz");
    let padded = MadeFile::new("case.nii.gz", &[&bytes[..], &[0; 512]].concat());
    assert_eq!(read(&padded.path).unwrap(), read(&bytes[..]).unwrap());
    assert_eq!(probe(&padded.path).unwrap(), probe(&bytes[..]).unwrap());
}

#[test]
fn sizes_are_checked_before_memory_is_allocated() {
    for (name, from, to) in [
        ("itk_raw.nrrd", "sizes: 4 3 2", "sizes: 40000 30000 20000"),
        ("itk.nrrd", "sizes: 4 3 2", "sizes: 40000 30000 20000"),
        ("itk.mha", "DimSize = 4 3 2", "DimSize = 40000 30000 20000"),
        ("itk.mha", "DimSize = 4 3 2", "DimSize = 4294967296 4294967296 4294967296"),
        ("itk.mha", "DimSize = 4 3 2", "ElementNumberOfChannels = 9000000000000000000\nDimSize = 4 3 2"),
    ] {
        let error = read(&replaced(name, from, to)[..]).unwrap_err();
        assert!(matches!(error, Error::TooManyVoxels { .. }), "{name}: {error}");
    }
    // Below the limit, but more than the compressed data can hold.
    let error = read(&replaced("itk.mha", "DimSize = 4 3 2", "DimSize = 1000 1000 1000")[..]).unwrap_err();
    assert!(matches!(error, Error::Decompression { .. }), "{error}");
    let error = read(&replaced("itk_raw.nrrd", "sizes: 4 3 2", "sizes: 1000 1000 1000")[..]).unwrap_err();
    assert!(matches!(error, Error::TruncatedVoxels { .. }), "{error}");
}

#[test]
fn headers_say_which_field_is_wrong() {
    for (name, from, to, expected) in [
        ("ras.nrrd", "type: uint32", "type: block", "unsupported NRRD type \"block\"; supported: integers"),
        (
            "ras.nrrd",
            "encoding: raw",
            "encoding: hex",
            "unsupported NRRD encoding \"hex\"; supported: raw and gzip",
        ),
        ("ras.nrrd", "endian: big", "endian: odd", "endian is \"odd\", should be little or big"),
        ("ras.nrrd", "dimension: 3", "dimension: 4", "dimension is \"4\", should be the number of sizes"),
        ("ras.nrrd", "sizes: 4 3 2", "sizes: 4 0 2", "shape [4, 0, 2] is not supported"),
        ("ras.nrrd", "sizes: 4 3 2", "sizes: 4 x 2", "sizes is \"4 x 2\", should be a list of numbers"),
        (
            "ras.nrrd",
            "space directions: (",
            "space directions: [",
            "invalid NRRD header: space directions is",
        ),
        ("ras.nrrd", "space: RAS", "space: up", "unsupported NRRD space \"up\""),
        ("itk.mha", "MET_SHORT", "MET_WORD", "unsupported MetaImage ElementType \"MET_WORD\""),
        ("itk.mha", "NDims = 3", "NDims = 2", "NDims is \"2\", should be the number of lengths in DimSize"),
        ("itk.mha", "ElementSpacing = 1.5", "ElementSpacing = 0", "spacing of axis 0 is 0 mm"),
        ("itk.mha", "BinaryData = True", "BinaryData = False", "unsupported MetaImage BinaryData \"False\""),
        ("itk.mha", "Offset = ", "Offset = nan ", "is not finite or not invertible"),
    ] {
        let message = message(&replaced(name, from, to));
        assert!(message.contains(expected), "{name}: {message}");
    }
}

#[test]
fn units_of_length_become_millimeters() {
    let spacing = |bytes: &[u8]| probe(bytes).unwrap().grid.spacing()[0];
    let in_um = replaced("ras.nrrd", "space origin", "space units: \"um\" \"um\" \"um\"\nspace origin");
    assert!((spacing(&in_um) - 1.5e-3).abs() < 1e-12);
    let in_cm = replaced("itk.mha", "DimSize", "DistanceUnits = cm\nDimSize");
    assert!((spacing(&in_cm) - 15.0).abs() < 1e-12);
    let in_feet = replaced("ras.nrrd", "space origin", "space units: \"ft\" \"ft\" \"ft\"\nspace origin");
    assert!(message(&in_feet).contains("unsupported NRRD space units"), "{}", message(&in_feet));
}

#[test]
fn every_scalar_type_is_read_from_text_headers() {
    let types: [(&str, &str, Vec<u8>); 10] = [
        ("int8", "MET_CHAR", (-2_i8).to_le_bytes().to_vec()),
        ("unsigned char", "MET_UCHAR", vec![254]),
        ("short", "MET_SHORT", (-300_i16).to_le_bytes().to_vec()),
        ("uint16_t", "MET_USHORT", 60_000_u16.to_le_bytes().to_vec()),
        ("signed int", "MET_LONG", (-70_000_i32).to_le_bytes().to_vec()),
        ("uint", "MET_UINT", 4_000_000_000_u32.to_le_bytes().to_vec()),
        ("long long", "MET_LONG_LONG", (-(1_i64 << 40)).to_le_bytes().to_vec()),
        ("ulonglong", "MET_ULONG_LONG", (1_u64 << 63).to_le_bytes().to_vec()),
        ("float", "MET_FLOAT", 0.375_f32.to_le_bytes().to_vec()),
        ("double", "MET_DOUBLE", (-1e30_f64).to_le_bytes().to_vec()),
    ];
    let values =
        [-2.0, 254.0, -300.0, 6e4, -7e4, 4e9, -(1_i64 << 40) as f32, (1_u64 << 63) as f32, 0.375, -1e30];
    for ((nrrd, metaimage, bytes), value) in types.into_iter().zip(values) {
        let nrrd =
            format!("NRRD0001\ntype: {nrrd}\ndimension: 3\nsizes: 1 1 1\nencoding: raw\nendian: little\n\n");
        let metaimage = format!(
            "NDims = 3\nDimSize = 1 1 1\nElementType = {metaimage}\nElementSpacing = 1 1 1\nElementDataFile = LOCAL\n"
        );
        for header in [nrrd, metaimage] {
            let image = read(&[header.as_bytes(), &bytes].concat()[..]).unwrap();
            assert_eq!(image.channels[0].voxels()[[0, 0, 0]], value, "{header}");
        }
    }
}

#[test]
fn missing_data_files_are_named() {
    let header = MadeFile::new("case.nhdr", &file("detached.nhdr"));
    let error = read(&header.path).unwrap_err();
    let Error::MissingDataFile { data_file, .. } = &error else { panic!("{error}") };
    assert!(data_file.ends_with("detached.raw.gz"));
    let pair = MadeFile::new("case.hdr", &file("pair.hdr"));
    let error = read(&pair.path).unwrap_err();
    let Error::MissingDataFile { data_file, .. } = &error else { panic!("{error}") };
    assert!(data_file.ends_with("case.img"));
}

proptest! {
    #[test]
    fn no_bytes_make_a_reader_panic(
        name in prop::sample::select(&FILES[..]),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..12),
        length in any::<prop::sample::Index>(),
        is_truncated in any::<bool>(),
    ) {
        let mut bytes = file(name);
        for (index, value) in changes {
            let index = index.index(bytes.len());
            bytes[index] = value;
        }
        if is_truncated {
            bytes.truncate(length.index(bytes.len()));
        }
        let _ = (read(&bytes[..]), read_labels(&bytes[..]), probe(&bytes[..]));
    }

    #[test]
    fn no_number_in_a_text_header_makes_a_reader_panic(
        name in prop::sample::select(vec!["itk_raw.nrrd", "ras.nrrd", "big_endian.mha", "itk.mha"]),
        place in any::<prop::sample::Index>(),
        number in prop::sample::select(vec![
            "-1", "0", "1e400", "nan", "99999999999999999999", "9223372036854775807", "65537", "", "(", "none", "%d",
        ]),
    ) {
        let bytes = file(name);
        let digits: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at].is_ascii_digit()).collect();
        let at = digits[place.index(digits.len())];
        let bytes = [&bytes[..at], number.as_bytes(), &bytes[at + 1..]].concat();
        let _ = (read(&bytes[..]), read_labels(&bytes[..]), probe(&bytes[..]));
    }
}
