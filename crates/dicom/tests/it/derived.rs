//! Objects that are written are read back to what they were made of.

use std::fs;

use bipvl_dicom::{
    LabelMasks, Measurement, SegmentVoxels, SegmentationKind, Source, Study, placed_labels, write_report,
    write_segmentation, write_structure_set,
};
use bipvl_imaging::{LabelMap, Volume};
use bipvl_text::Synonyms;
use dicom_core::{VR, value::Value};
use dicom_dictionary_std::tags;
use dicom_object::{InMemDicomObject, open_file};
use ndarray::Array3;

use crate::scene::{SHAPE, Scene, algorithm, grid, put_text, segment, texts_of_file};

/// Labels 3 and 7 in a pattern with an empty first and last slice, a hole and an island in it.
fn labels() -> LabelMap {
    let voxels = Array3::from_shape_fn(SHAPE, |(x, y, z)| match (x, y, z) {
        (4, 3, 2) => 7,
        (_, _, 0 | 5) | (3..=5, 2..=4, 2) => 0,
        (1..=7, 1..=5, 2) => 3,
        _ => [0, 3, 7][(x * 5 + y * 3 + z) % 3],
    });
    Volume::new(voxels, grid())
}

fn segments() -> Vec<bipvl_imaging::Segment> {
    vec![segment("left kidney", 3), segment("bright ring", 7)]
}

fn write_seg(source: &Source, kind: SegmentationKind, path: &std::path::Path) {
    let labels = labels();
    let object =
        write_segmentation(source, &segments(), &SegmentVoxels::Labels(&labels), kind, &Synonyms::builtin());
    object.unwrap().write_to_file(path).unwrap();
}

/// Segments are numbered in their order.
fn numbered(labels: &LabelMap) -> Array3<u16> {
    labels.voxels().mapv(|label| match label {
        3 => 1,
        7 => 2,
        _ => 0,
    })
}

#[test]
fn binary_and_label_map_segmentations_are_read_back() {
    let scene = Scene::new();
    for kind in [SegmentationKind::Binary, SegmentationKind::LabelMap] {
        let path = scene.path("seg.dcm");
        write_seg(&scene.source(false), kind, &path);
        let read = Study::open(&path).unwrap().read_segmentation().unwrap();
        let names: Vec<&str> = read.segments().iter().map(|segment| segment.name.as_str()).collect();
        assert_eq!(names, ["left kidney", "bright ring"]);
        assert_eq!(read.segments()[0].code.as_ref().unwrap().value, "64033007");
        // Only the slices that are not empty are stored.
        assert_eq!(read.grid().shape(), [9, 7, 4]);
        let placed = placed_labels(&read.to_label_map(), &grid());
        assert_eq!(placed.voxels(), &numbered(&labels()), "{kind:?}");
    }
}

#[test]
fn overlapping_masks_stay_whole() {
    let scene = Scene::new();
    let path = scene.path("seg.dcm");
    let mask = |index: usize| {
        let voxels = Array3::from_shape_fn(SHAPE, |(x, y, z)| (x + y + z).is_multiple_of(index + 2));
        Volume::new(voxels, grid())
    };
    let voxels = SegmentVoxels::Masks(&mask);
    let object = write_segmentation(
        &scene.source(false),
        &segments(),
        &voxels,
        SegmentationKind::Binary,
        &Synonyms::builtin(),
    );
    object.unwrap().write_to_file(&path).unwrap();
    let read = Study::open(&path).unwrap().read_segmentation().unwrap();
    for index in 0..2 {
        assert_eq!(read.mask(index).voxels(), mask(index).voxels());
    }
}

#[test]
fn probabilities_are_stored_in_steps_of_one_255th() {
    let scene = Scene::new();
    let path = scene.path("seg.dcm");
    let values = Array3::from_shape_fn(SHAPE, |(x, _, _)| x as f32 / 8.0);
    let volumes = [Volume::new(values.clone(), grid())];
    let object = write_segmentation(
        &scene.source(false),
        &segments()[..1],
        &SegmentVoxels::Probabilities(&volumes),
        SegmentationKind::Fractional,
        &Synonyms::builtin(),
    );
    object.unwrap().write_to_file(&path).unwrap();
    let stored =
        open_file(&path).unwrap().element(tags::PIXEL_DATA).unwrap().to_bytes().unwrap().into_owned();
    // A row of nine columns, from 0 to 255.
    assert_eq!(stored[..9], [0, 32, 64, 96, 128, 159, 191, 223, 255]);
    let read = Study::open(&path).unwrap().read_segmentation().unwrap();
    assert_eq!(read.mask(0).voxels(), values.mapv(|value| value >= 0.5));
}

#[test]
fn contours_are_read_back_with_holes_and_islands() {
    let scene = Scene::new();
    let labels = labels();
    let mask = |index: usize| labels.map(|label| *label == [3, 7][index]);
    let object = write_structure_set(&scene.source(false), &segments(), &mask).unwrap();
    object.write_to_file(scene.series().join("contours.dcm")).unwrap();
    let study = scene.study();
    let read = study.read_segmentation().unwrap();
    assert_eq!(read.to_label_map().voxels(), &numbered(&labels));
    let (labeled, left_out) = study.labeled_series();
    assert!(labeled.len() == 1 && left_out.is_empty());
    let LabelMasks { masks, open } = labeled[0].read_masks().unwrap();
    assert!(open.is_empty());
    assert_eq!((masks[1].0.name.as_str(), masks[1].1.voxels()), ("bright ring", mask(1).voxels()));

    fs::rename(scene.series().join("contours.dcm"), scene.path("alone.dcm")).unwrap();
    let error = Study::open(&scene.path("alone.dcm")).unwrap().read_segmentation().unwrap_err().to_string();
    assert!(error.contains("series that the structure set was drawn on"), "{error}");
}

#[test]
fn contours_that_are_not_closed_are_named() {
    let scene = Scene::new();
    let segments = [segment("left kidney", 3), segment("isocenter", 7), segment("spleen", 9)];
    let labels = labels();
    let mask = |index: usize| labels.map(|label| *label == segments[index].label);
    let mut object = write_structure_set(&scene.source(false), &segments, &mask).unwrap();
    // One contour of the kidney, and all of the isocenter.
    for (structure, count, kind) in [(0, 1, "OPEN_PLANAR"), (1, usize::MAX, "POINT")] {
        let contours = (tags::ROI_CONTOUR_SEQUENCE, structure, tags::CONTOUR_SEQUENCE);
        let change = |contours: &mut Value<InMemDicomObject, Vec<u8>>| {
            for contour in contours.items_mut().unwrap().iter_mut().take(count) {
                put_text(contour, tags::CONTOUR_GEOMETRIC_TYPE, VR::CS, kind);
            }
        };
        object.update_value_at(contours, change).unwrap();
    }
    let path = scene.path("contours.dcm");
    object.write_to_file(&path).unwrap();
    let study = Study::open(&path).unwrap();
    let said: Vec<String> =
        study.open_structures().unwrap().iter().map(|open| format!("{}: {open}", open.name)).collect();
    let expected = [
        "left kidney: one of its contours is OPEN_PLANAR, which encloses no voxel",
        "isocenter: its contours are POINT, which enclose no voxel",
        "spleen: it has no contours",
    ];
    assert_eq!(said, expected);
    let drawn = study.read_structures_on(&grid()).unwrap();
    assert_eq!(
        drawn.segments().iter().map(|segment| segment.name.as_str()).collect::<Vec<_>>(),
        ["left kidney"]
    );
}

#[test]
fn the_same_source_and_key_give_the_same_bytes_and_another_key_other_uids() {
    let scene = Scene::new();
    let [first, second, other] = ["first.dcm", "second.dcm", "other.dcm"].map(|name| scene.path(name));
    write_seg(&scene.source(false), SegmentationKind::Binary, &first);
    write_seg(&scene.source(false), SegmentationKind::Binary, &second);
    assert_eq!(fs::read(&first).unwrap(), fs::read(&second).unwrap());
    let study = scene.study();
    let source = Source::new(study.choose(None).unwrap(), algorithm("b"), false).unwrap();
    write_seg(&source, SegmentationKind::Binary, &other);
    let uid = |path| {
        open_file(path).unwrap().element(tags::SOP_INSTANCE_UID).unwrap().to_str().unwrap().into_owned()
    };
    assert_ne!(uid(&first), uid(&other));
}

#[test]
fn objects_name_the_patient_and_the_study_or_without_identity_nothing_of_them() {
    let scene = Scene::new();
    for slice in 0..6 {
        scene.change(slice, |object| {
            put_text(object, tags::STUDY_ID, VR::SH, "a study id of 22 letters");
        });
    }
    let identity: Vec<String> = texts_of_file(&scene.slice(0))
        .into_iter()
        .filter(|text| text.starts_with("2.25.") || text.contains("test") || text.contains("20260101"))
        .collect();
    assert!(identity.len() > 5, "{identity:?}");
    let measured = [Measurement { volume_ml: 1.0, mean: Some(2.0) }; 2];
    for is_deidentified in [false, true] {
        let source = scene.source(is_deidentified);
        let paths = ["seg.dcm", "contours.dcm", "report.dcm"].map(|name| scene.path(name));
        write_seg(&source, SegmentationKind::Binary, &paths[0]);
        let mask = |index: usize| labels().map(|label| *label == [3, 7][index]);
        write_structure_set(&source, &segments(), &mask).unwrap().write_to_file(&paths[1]).unwrap();
        let report = write_report(&source, &segments(), &measured, &Synonyms::builtin()).unwrap();
        report.write_to_file(&paths[2]).unwrap();
        for path in paths {
            let texts = texts_of_file(&path);
            let has = |wanted: &str| texts.iter().any(|text| text == wanted);
            assert_eq!(has("Phantom^test"), !is_deidentified, "{}", path.display());
            assert!(is_deidentified || has("a study id of 22"), "a short string has 16 letters");
            let leaked: Vec<&String> =
                identity.iter().filter(|text| has(text)).filter(|text| *text != "test").collect();
            assert_eq!(leaked.is_empty(), is_deidentified, "{}: {leaked:?}", path.display());
        }
    }
}
