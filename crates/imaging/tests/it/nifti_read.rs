//! Files with every known difference between readers; the right answers are nibabel's, counted by hand.

use bipvl_imaging::{Affine, Volume};
use proptest::prelude::*;

use crate::made_nifti::{MadeFile, MadeHeader, gzipped};

const COUNT: [u8; 12] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];

/// Affines by way of a quaternion are sums of a few float64 products of float32 numbers.
const QFORM_TOLERANCE: f64 = 1e-6;

fn read(bytes: &[u8]) -> Vec<Volume<f32>> {
    bipvl_imaging::read(&MadeFile::new("case.nii", bytes).path).unwrap().channels
}

/// The intensities in the order of the file, x fastest.
fn read_flat(bytes: &[u8]) -> Vec<f32> {
    read(bytes)[0].voxels().t().iter().copied().collect()
}

fn read_affine(header: &MadeHeader) -> Affine {
    let file = MadeFile::new("case.nii", &header.bytes(&COUNT));
    let affine = *bipvl_imaging::read(&file.path).unwrap().channels[0].grid().affine();
    assert_eq!(
        *bipvl_imaging::probe(&file.path).unwrap().grid.affine(),
        affine,
        "the header alone says the same"
    );
    affine
}

#[track_caller]
fn assert_refused(bytes: &[u8], part_of_message: &str) {
    let file = MadeFile::new("case.nii", bytes);
    let message = bipvl_imaging::read(&file.path).unwrap_err().to_string();
    assert!(message.contains("case.nii"), "{message}");
    assert!(message.contains(part_of_message), "{message}");
    assert!(bipvl_imaging::read_labels(&file.path).is_err());
}

fn counted<const BYTES: usize>(to_bytes: impl Fn(u8) -> [u8; BYTES]) -> Vec<u8> {
    COUNT.map(to_bytes).as_flattened().to_vec()
}

#[test]
fn all_ten_types_read_the_same_in_both_byte_orders() {
    let types: [(i16, i16, Vec<u8>); 10] = [
        (2, 8, counted(|value| [value])),
        (256, 8, counted(|value| [value])),
        (512, 16, counted(|value| u16::from(value).to_le_bytes())),
        (4, 16, counted(|value| i16::from(value).to_le_bytes())),
        (768, 32, counted(|value| u32::from(value).to_le_bytes())),
        (8, 32, counted(|value| i32::from(value).to_le_bytes())),
        (1280, 64, counted(|value| u64::from(value).to_le_bytes())),
        (1024, 64, counted(|value| i64::from(value).to_le_bytes())),
        (16, 32, counted(|value| f32::from(value).to_le_bytes())),
        (64, 64, counted(|value| f64::from(value).to_le_bytes())),
    ];
    for (datatype, bitpix, voxels) in types {
        let header = MadeHeader::new(datatype, bitpix);
        assert_eq!(read_flat(&header.bytes(&voxels)), COUNT.map(f32::from), "type {datatype}");

        let bytes_per_voxel = bitpix as usize / 8;
        let swapped: Vec<u8> =
            voxels.chunks(bytes_per_voxel).flat_map(|voxel| voxel.iter().rev().copied()).collect();
        let big_endian = MadeHeader { is_big_endian: true, ..header };
        assert_eq!(read_flat(&big_endian.bytes(&swapped)), COUNT.map(f32::from), "type {datatype}, swapped");
    }
}

#[test]
fn negative_values_of_signed_types_stay_negative() {
    let voxels = counted(|value| (i16::from(value) - 1024).to_le_bytes());
    assert_eq!(
        read_flat(&MadeHeader::new(4, 16).bytes(&voxels)),
        COUNT.map(|value| f32::from(value) - 1024.0)
    );
}

#[test]
fn the_first_axis_runs_fastest_in_the_file() {
    let image = read(&MadeHeader::u8().bytes(&COUNT)).remove(0);
    assert_eq!(image.grid().shape(), [3, 2, 2]);
    let voxels = image.voxels();
    assert_eq!([voxels[[1, 0, 0]], voxels[[0, 1, 0]], voxels[[0, 0, 1]]], [1.0, 3.0, 6.0]);
    assert!(voxels.is_standard_layout());
}

#[test]
fn the_sform_is_read_to_the_last_bit() {
    let mut header = MadeHeader::u8();
    header.rows = [[0.1, -0.7, 0.3, -10.1], [0.7, 0.2, 0.5, 20.3], [0.3, 0.4, -1.1, 1e-7]];
    let affine = read_affine(&header);
    for (row, values) in header.rows.iter().enumerate() {
        for (column, &value) in values.iter().enumerate() {
            assert_eq!(affine[(row, column)], f64::from(value));
        }
    }
}

#[test]
fn the_sform_goes_before_the_qform() {
    let header = MadeHeader { qform_code: 1, quaternion: [1.0, 0.0, 0.0, 7.0, 8.0, 9.0], ..MadeHeader::u8() };
    assert_eq!(read_affine(&header)[(0, 3)], -10.0);
    assert_eq!(read_affine(&MadeHeader { sform_code: 0, ..header })[(0, 3)], 7.0);
}

/// Half a turn about x (b = 1): y and z are mirrored.
fn half_turn() -> MadeHeader {
    let quaternion = [1.0, 0.0, 0.0, 7.0, 8.0, 9.0];
    MadeHeader { qform_code: 1, sform_code: 0, quaternion, ..MadeHeader::u8() }
}

#[track_caller]
fn assert_diagonal(affine: &Affine, diagonal: [f64; 3]) {
    for row in 0..3 {
        for column in 0..3 {
            let expected = if row == column { diagonal[row] } else { 0.0 };
            assert!((affine[(row, column)] - expected).abs() < QFORM_TOLERANCE, "{affine}");
        }
    }
}

#[test]
fn a_qform_alone_turns_the_axes() {
    assert_diagonal(&read_affine(&half_turn()), [2.0, -3.0, -4.0]);
}

#[test]
fn a_qfac_of_minus_one_mirrors_the_third_axis() {
    let header = MadeHeader { pixdim: [-1.0, 2.0, 3.0, 4.0], ..half_turn() };
    assert_diagonal(&read_affine(&header), [2.0, -3.0, 4.0]);
}

#[test]
fn a_qfac_of_zero_counts_as_one() {
    let header = MadeHeader { pixdim: [0.0, 2.0, 3.0, 4.0], ..half_turn() };
    assert_diagonal(&read_affine(&header), [2.0, -3.0, -4.0]);
}

#[test]
fn negative_spacings_lose_their_sign() {
    let header = MadeHeader { pixdim: [1.0, -2.0, 3.0, -4.0], ..half_turn() };
    assert_diagonal(&read_affine(&header), [2.0, -3.0, -4.0]);
}

#[test]
fn without_a_form_the_middle_is_the_origin_and_x_points_left() {
    let affine = read_affine(&MadeHeader { sform_code: 0, ..MadeHeader::u8() });
    assert_diagonal(&affine, [-2.0, 3.0, 4.0]);
    assert_eq!([affine[(0, 3)], affine[(1, 3)], affine[(2, 3)]], [2.0, -1.5, -2.0]);
}

#[test]
fn a_quaternion_too_long_is_refused() {
    let quaternion = [0.9, 0.9, 0.0, 0.0, 0.0, 0.0];
    assert_refused(&MadeHeader { quaternion, ..half_turn() }.bytes(&COUNT), "unit quaternion");
    let quaternion = [f32::NAN, 0.0, 0.0, 0.0, 0.0, 0.0];
    assert_refused(&MadeHeader { quaternion, ..half_turn() }.bytes(&COUNT), "unit quaternion");
}

#[test]
fn an_affine_that_places_nothing_is_refused() {
    let rows = [[0.0; 4]; 3];
    assert_refused(&MadeHeader { rows, ..MadeHeader::u8() }.bytes(&COUNT), "invertible");
    let rows = [[f32::NAN; 4]; 3];
    assert_refused(&MadeHeader { rows, ..MadeHeader::u8() }.bytes(&COUNT), "invertible");
    let pixdim = [1.0, f32::INFINITY, 1.0, 1.0];
    assert_refused(&MadeHeader { pixdim, ..half_turn() }.bytes(&COUNT), "invertible");
}

#[test]
fn slope_and_intercept_are_applied() {
    let header = MadeHeader { slope: 0.5, intercept: -1024.0, ..MadeHeader::u8() };
    assert_eq!(read_flat(&header.bytes(&COUNT)), COUNT.map(|value| f32::from(value) * 0.5 - 1024.0));
}

#[test]
fn scaling_happens_before_rounding_to_float32() {
    // 16777217 = 2²⁴ + 1 is no float32, but what is left of it after the intercept is.
    let voxels: Vec<u8> = [16_777_217_i32; 12].iter().flat_map(|value| value.to_le_bytes()).collect();
    let header = MadeHeader { slope: 1.0, intercept: -16_777_216.0, ..MadeHeader::new(8, 32) };
    assert_eq!(read_flat(&header.bytes(&voxels)), [1.0; 12]);
}

#[test]
fn a_slope_of_zero_or_not_a_number_means_no_scaling() {
    for slope in [0.0, f32::NAN, f32::INFINITY] {
        let header = MadeHeader { slope, intercept: 5.0, ..MadeHeader::u8() };
        assert_eq!(read_flat(&header.bytes(&COUNT)), COUNT.map(f32::from));
    }
}

#[test]
fn an_intercept_that_is_not_a_number_is_refused() {
    let header = MadeHeader { intercept: f32::NAN, ..MadeHeader::u8() };
    assert_refused(&header.bytes(&COUNT), "finite intercept");
}

#[test]
fn voxels_begin_where_the_header_says() {
    assert_eq!(
        read_flat(&MadeHeader { voxel_offset: 400.0, ..MadeHeader::u8() }.bytes(&COUNT)),
        COUNT.map(f32::from)
    );
    assert_eq!(
        read_flat(&MadeHeader { voxel_offset: 0.0, ..MadeHeader::u8() }.bytes(&COUNT)),
        COUNT.map(f32::from)
    );
}

#[test]
fn voxels_inside_the_header_are_refused() {
    for voxel_offset in [100.0, -352.0, 352.5, f32::NAN, f32::INFINITY] {
        let header = MadeHeader { voxel_offset, ..MadeHeader::u8() };
        assert!(bipvl_imaging::read(&MadeFile::new("case.nii", &header.bytes(&COUNT)).path).is_err());
    }
}

#[test]
fn a_fourth_axis_gives_one_volume_each() {
    let one = MadeHeader { dim: [4, 3, 2, 2, 1, 1, 1, 1], ..MadeHeader::u8() };
    assert_eq!(read(&one.bytes(&COUNT)).len(), 1);

    let two = MadeHeader { dim: [4, 3, 2, 1, 2, 1, 1, 1], ..MadeHeader::u8() }.bytes(&COUNT);
    let volumes = read(&two);
    assert_eq!([volumes[0].voxels()[[2, 1, 0]], volumes[1].voxels()[[0, 0, 0]]], [5.0, 6.0]);
    assert_eq!(volumes[0].grid(), volumes[1].grid());
    let message = bipvl_imaging::read_labels(&MadeFile::new("case.nii", &two).path).unwrap_err().to_string();
    assert!(message.contains("this file has 2"), "{message}");
}

#[test]
fn too_few_too_many_or_empty_axes_are_refused() {
    for dim in [
        [2, 3, 4, 1, 1, 1, 1, 1],
        [0, 3, 2, 2, 1, 1, 1, 1],
        [5, 3, 2, 1, 1, 2, 1, 1],
        [3, 3, 0, 2, 1, 1, 1, 1],
        [3, 3, -2, 2, 1, 1, 1, 1],
        [-1, 3, 2, 2, 1, 1, 1, 1],
    ] {
        let bytes = MadeHeader { dim, ..MadeHeader::u8() }.bytes(&COUNT);
        assert!(bipvl_imaging::read(&MadeFile::new("case.nii", &bytes).path).is_err(), "{dim:?}");
        assert!(bipvl_imaging::probe(&MadeFile::new("case.nii", &bytes).path).is_err(), "{dim:?}");
    }
}

#[test]
fn absurd_sizes_are_refused_before_memory_is_allocated() {
    let dim = [7, 32767, 32767, 32767, 32767, 1, 1, 1];
    assert_refused(&MadeHeader { dim, ..MadeHeader::new(64, 64) }.bytes(&COUNT), "more than");
}

#[test]
fn too_few_voxels_are_refused() {
    assert_refused(&MadeHeader::u8().bytes(&COUNT[..11]), "11 of 12 bytes of voxels");
}

#[test]
fn bytes_after_the_voxels_are_ignored() {
    let bytes = [MadeHeader::u8().bytes(&COUNT), vec![9; 5]].concat();
    assert_eq!(read_flat(&bytes), COUNT.map(f32::from));
}

#[test]
fn gzip_is_detected_by_content() {
    let bytes = MadeHeader::u8().bytes(&COUNT);
    for (name, content) in
        [("a.nii", &bytes), ("a.nii.gz", &bytes), ("a.nii", &gzipped(&bytes)), ("a.nii.gz", &gzipped(&bytes))]
    {
        let file = MadeFile::new(name, content);
        assert_eq!(bipvl_imaging::read(&file.path).unwrap().channels[0].voxels()[[2, 1, 1]], 11.0);
        assert_eq!(bipvl_imaging::probe(&file.path).unwrap().grid.shape(), [3, 2, 2]);
    }
}

#[test]
fn gzip_of_several_members_is_read_to_the_end() {
    let bytes = MadeHeader::u8().bytes(&COUNT);
    let members: Vec<u8> = bytes.chunks(100).flat_map(gzipped).collect();
    assert_eq!(read_flat(&members), COUNT.map(f32::from));
    let with_empty_end = [members, gzipped(&[]), vec![0; 7]].concat();
    assert_eq!(read_flat(&with_empty_end), COUNT.map(f32::from));
}

#[test]
fn damaged_gzip_is_refused() {
    let packed = gzipped(&MadeHeader::u8().bytes(&COUNT));
    assert_refused(&packed[..packed.len() / 2], "truncated or damaged");
    assert_refused(&packed[..packed.len() - 1], "truncated or damaged");
    assert_refused(&[packed.clone(), b"tail".to_vec()].concat(), "not gzip");
    let mut changed = packed;
    let middle = changed.len() / 2;
    changed[middle] ^= 0xff;
    assert_refused(&changed, "truncated or damaged");
}

#[test]
fn other_headers_are_refused() {
    let nifti_2 = MadeHeader { header_bytes: 540, ..MadeHeader::u8() };
    assert_refused(&nifti_2.bytes(&[0; 200]), "magic");
    assert_refused(&MadeHeader { is_big_endian: true, ..nifti_2 }.bytes(&[0; 200]), "magic");
    assert_refused(&MadeHeader { magic: *b"n+3\0", ..MadeHeader::u8() }.bytes(&COUNT), "magic");
    assert_refused(&MadeHeader { magic: [0; 4], ..MadeHeader::u8() }.bytes(&COUNT), "not ANALYZE 7.5");
    assert_refused(
        &MadeHeader { magic: *b"ni1\0", ..MadeHeader::u8() }.bytes(&COUNT),
        "case.img does not exist",
    );
    assert_refused(&MadeHeader { header_bytes: 349, ..MadeHeader::u8() }.bytes(&COUNT), "sizeof_hdr is 349");
    assert_refused(&MadeHeader::u8().bytes(&COUNT)[..347], "truncated NIfTI header");
    assert_refused(b"PNG", "unknown image format");
    assert_refused(b"", "unknown image format");
}

/// D23: with a spacing of 0 mm every distance would be wrong; nibabel gives a singular affine.
#[test]
fn a_spacing_of_zero_is_refused_where_it_places_the_voxels() {
    let pixdim = [1.0, 2.0, 3.0, 0.0];
    assert_refused(&MadeHeader { pixdim, ..half_turn() }.bytes(&COUNT), "spacing of axis 2 is 0 mm");
    let plain = MadeHeader { pixdim, sform_code: 0, ..MadeHeader::u8() };
    assert_refused(&plain.bytes(&COUNT), "spacing of axis 2 is 0 mm");
    read_affine(&MadeHeader { pixdim, ..MadeHeader::u8() });
}

/// D49: 4 mm are 4000 micrometers or 0.004 meters.
#[test]
fn units_become_millimeters() {
    for (units, length) in [(0, 4.0), (2, 4.0), (3, 4000.0), (1, 0.004), (2 + 8, 4.0), (3 + 16, 4000.0)] {
        let rows = [[length, 0.0, 0.0, -length], [0.0, length, 0.0, 0.0], [0.0, 0.0, length, 0.0]];
        let sform = MadeHeader { units, rows, ..MadeHeader::u8() };
        let [pixdim, origin] = [[1.0, length, length, length], [-length, 0.0, 0.0, 0.0]];
        let quaternion = [0.0, 0.0, 0.0, origin[0], 0.0, 0.0];
        let qform =
            MadeHeader { units, pixdim, quaternion, qform_code: 1, sform_code: 0, ..MadeHeader::u8() };
        for header in [sform, qform] {
            let affine = read_affine(&header);
            assert_diagonal(&affine, [4.0; 3]);
            assert!((affine[(0, 3)] + 4.0).abs() < QFORM_TOLERANCE, "{affine}");
        }
    }
}

#[test]
fn types_that_are_no_intensities_are_refused() {
    assert_refused(&MadeHeader::new(128, 24).bytes(&[0; 36]), "RGB24");
    assert_refused(&MadeHeader::new(32, 64).bytes(&[0; 96]), "complex64");
    assert_refused(&MadeHeader::new(7, 8).bytes(&COUNT), "code 7");
    assert_refused(&MadeHeader::new(2, 16).bytes(&[0; 24]), "16 bits");
}

#[test]
fn voxels_that_are_not_finite_are_counted() {
    let mut values = COUNT.map(f32::from);
    (values[3], values[7]) = (f32::NAN, f32::INFINITY);
    let voxels = values.map(f32::to_le_bytes);
    assert_refused(&MadeHeader::new(16, 32).bytes(voxels.as_flattened()), "2 of 12 intensities");
    let too_large = [1e300_f64; 12].map(f64::to_le_bytes);
    assert_refused(&MadeHeader::new(64, 64).bytes(too_large.as_flattened()), "12 of 12 intensities");
}

#[test]
fn labels_must_be_whole_and_fit() {
    let read = |values: [f32; 12], slope: f32| {
        let header = MadeHeader { slope, ..MadeHeader::new(16, 32) };
        let file = MadeFile::new("labels.nii", &header.bytes(values.map(f32::to_le_bytes).as_flattened()));
        bipvl_imaging::read_labels(&file.path)
            .map(|labels| labels.voxels()[[1, 0, 0]])
            .map_err(|error| error.to_string())
    };
    let one = |label: f32| std::array::from_fn(|index| if index == 1 { label } else { 0.0 });
    assert_eq!(read(one(65535.0), 1.0), Ok(65535));
    assert_eq!(read(one(30.0), 0.1), Ok(3), "a slope is a float32 and may miss the integer a little");
    assert!(read(one(65536.0), 1.0).unwrap_err().contains("1 of 12 labels"));
    assert!(read(one(-1.0), 1.0).unwrap_err().contains("the first is -1"));
    assert!(read(one(1.5), 1.0).unwrap_err().contains("the first is 1.5"));
    assert!(read(one(f32::NAN), 1.0).unwrap_err().contains("NaN"));
}

#[test]
fn a_missing_file_and_a_folder_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing.nii.gz");
    for path in [missing.as_path(), folder.path()] {
        for message in [
            bipvl_imaging::read(path).unwrap_err().to_string(),
            bipvl_imaging::read_labels(path).unwrap_err().to_string(),
            bipvl_imaging::probe(path).unwrap_err().to_string(),
        ] {
            assert!(message.starts_with(&path.display().to_string()), "{message}");
        }
    }
}

proptest! {
    #[test]
    fn no_content_makes_the_reader_panic(
        changes in prop::collection::vec((0_usize..360, any::<u8>()), 0..12),
        length in 0_usize..400,
    ) {
        let mut bytes = MadeHeader { qform_code: 1, ..MadeHeader::u8() }.bytes(&COUNT);
        for (offset, value) in changes {
            bytes[offset] = value;
        }
        bytes.truncate(length.max(340));
        let file = MadeFile::new("case.nii", &bytes);
        let _ = (bipvl_imaging::read(&file.path), bipvl_imaging::read_labels(&file.path), bipvl_imaging::probe(&file.path));
    }
}
