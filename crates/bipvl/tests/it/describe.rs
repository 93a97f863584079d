//! Descriptions from built-in texts and from label statistics.

use std::{fs, ops::ControlFlow};

use bipvl::{
    data::{Dataset, Modality},
    describe::{
        ClassStatistics, DatasetStatistics, Error, RelativePosition, Severity, builtin_description, lint,
    },
    text::{Description, Descriptions, PAPER_CONCEPTS},
};
use bipvl_imaging::{Grid, LabelMap, Orientation, Volume, reorient};
use ndarray::Array3;
use tempfile::TempDir;

use crate::real_data;

const SHAPE: [usize; 3] = [20, 16, 10];
const SPACING: [f64; 3] = [2.0, 1.0, 3.0];
const CLASSES: [&str; 3] = ["right plate", "rod", "crumbs"];
/// Rounding of sums over a few thousand voxels.
const TOLERANCE: f64 = 1e-9;

/// A body of 0 HU, 16 × 12 × 10 voxels, in air. In it a plate of 4 × 6 × 2 voxels, 90 and 110 HU by turns, and
/// a rod of 2 × 2 × 8 voxels of 40 HU. Crumbs of 3 and 1 voxels of 500 HU only with `has_crumbs`.
fn draw(has_rod: bool, has_crumbs: bool, plate_top: usize) -> (Array3<f32>, Array3<u16>) {
    let label = |(x, y, z): (usize, usize, usize)| match (x, y, z) {
        (12..=15, 4..=9, _) if (3..=plate_top).contains(&z) => 1,
        (5..=6, 7..=8, 1..=8) if has_rod => 2,
        (9, 11, 2..=4 | 9) if has_crumbs => 3,
        _ => 0,
    };
    let labels = Array3::from_shape_fn(SHAPE, label);
    let image = Array3::from_shape_fn(SHAPE, |(x, y, z)| match (labels[[x, y, z]], x, y) {
        (1, _, _) => 90.0 + 20.0 * (x % 2) as f32,
        (2, _, _) => 40.0,
        (3, _, _) => 500.0,
        (_, 2..=17, 2..=13) => 0.0,
        _ => -1000.0,
    });
    (image, labels)
}

/// A data set of drawn cases, its files in any orientation.
fn dataset(cases: &[(Array3<f32>, Array3<u16>)], orientation: &str) -> (TempDir, Dataset) {
    let folder = TempDir::new().unwrap();
    let orientation: Orientation = orientation.parse().unwrap();
    let grid = Grid::with_spacing(SHAPE, SPACING);
    let mut training = Vec::new();
    for (index, (image, labels)) in cases.iter().enumerate() {
        let file = |kind: &str| {
            fs::create_dir_all(folder.path().join(kind)).unwrap();
            format!("{kind}/case_{index}.nii")
        };
        let (image_file, labels_file) = (file("imagesTr"), file("labelsTr"));
        let image = reorient(&Volume::new(image.clone(), grid.clone()), orientation);
        let labels = reorient(&LabelMap::new(labels.clone(), grid.clone()), orientation);
        bipvl_imaging::write(&folder.path().join(&image_file), &image).unwrap();
        bipvl_imaging::write(&folder.path().join(&labels_file), &labels).unwrap();
        training.push(serde_json::json!({ "image": image_file, "label": labels_file }));
    }
    let about = serde_json::json!({
        "name": "Drawn",
        "modality": { "0": "CT" },
        "labels": { "0": "background", "1": CLASSES[0], "2": CLASSES[1], "3": CLASSES[2] },
        "training": training,
    });
    fs::write(folder.path().join("dataset.json"), about.to_string()).unwrap();
    let dataset = Dataset::open(folder.path()).unwrap();
    (folder, dataset)
}

fn measured(cases: &[(Array3<f32>, Array3<u16>)], orientation: &str) -> DatasetStatistics {
    let (_folder, dataset) = dataset(cases, orientation);
    DatasetStatistics::measure(&dataset, 100, |_| ControlFlow::Continue(())).unwrap()
}

fn close(found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    let is_close = found.iter().zip(expected).all(|(one, other)| (one - other).abs() < TOLERANCE);
    assert!(is_close, "{found:?}, expected {expected:?}");
}

#[test]
fn a_box_has_the_measures_of_a_box() {
    let statistics = measured(&[draw(true, false, 4)], "RAS");
    assert_eq!(statistics.num_cases, 1);
    assert_eq!(statistics.classes[2], None);
    let plate = statistics.classes[0].as_ref().unwrap();
    // 4 · 6 · 2 voxels of 2 · 1 · 3 mm: edges of 8, 6 and 6 mm.
    close(&[plate.volume_ml], &[0.288]);
    close(&plate.axis_lengths_mm, &[8.0, 6.0, 6.0]);
    close(&plate.extents_mm, &[8.0, 6.0, 6.0]);
    // The body is from voxel 2 to 17, 2 to 13 and 0 to 9; the plate's center is voxel (13.5, 6.5, 3.5).
    close(&plate.body_position, &[11.5 / 15.0, 4.5 / 11.0, 3.5 / 9.0]);
    // Half of it is 90, half 110 HU, and 0 HU is all around.
    close(&[plate.mean[0], plate.std, plate.contrast], &[100.0, 10.0, 100.0]);
    // 1920 voxels of the body: 48 of the plate, 32 of the rod.
    let mean: f64 = (48.0 * 100.0 + 32.0 * 40.0) / 1920.0;
    let square = (24.0 * 90.0 * 90.0 + 24.0 * 110.0 * 110.0 + 32.0 * 40.0 * 40.0) / 1920.0;
    let deviation = (square - mean * mean).sqrt();
    close(&[plate.z_score[0], plate.relative_std], &[(100.0 - mean) / deviation, 10.0 / deviation]);
    // Faces of 2 · (8·6 + 8·6 + 6·6) mm²; a ball of 288 mm³ has voxel faces of 6π r².
    let radius = (288.0 * 3.0 / (4.0 * std::f64::consts::PI)).cbrt();
    close(&[plate.inverse_sphericity], &[264.0 / (6.0 * std::f64::consts::PI * radius * radius)]);
    close(&[plate.largest_component_fraction], &[1.0]);
    // The rod's center is voxel (5.5, 7.5, 4.5): 8 voxels of 2 mm away along x, 1 along y, 1 of 3 mm along z.
    assert_eq!(plate.neighbors, [RelativePosition { reference: 1, axis: 0, offset_mm: 16.0 }]);

    let rod = statistics.classes[1].as_ref().unwrap();
    close(&rod.axis_lengths_mm, &[24.0, 4.0, 2.0]);
    close(&rod.extents_mm, &[4.0, 2.0, 24.0]);
    close(&[rod.volume_ml, rod.std, rod.contrast], &[0.192, 0.0, 40.0]);
}

#[test]
fn the_orientation_of_a_file_does_not_matter() {
    let cases = [draw(true, true, 4), draw(true, false, 5)];
    let expected = measured(&cases, "RAS");
    for orientation in ["LPS", "PIR", "SAL"] {
        let found = measured(&cases, orientation);
        assert_eq!(found.classes.len(), 3);
        for (one, other) in found.classes.iter().zip(&expected.classes) {
            let numbers = |class: &Option<ClassStatistics>| {
                let ClassStatistics {
                    axis_lengths_mm,
                    extents_mm,
                    body_position,
                    mean,
                    contrast,
                    inverse_sphericity,
                    ..
                } = class.clone().unwrap();
                [&axis_lengths_mm[..], &extents_mm, &body_position, &mean, &[contrast, inverse_sphericity]]
                    .concat()
            };
            close(&numbers(one), &numbers(other));
        }
        assert_eq!(found.describe(0), expected.describe(0));
    }
}

#[test]
fn medians_are_over_the_cases_that_hold_a_class() {
    // Plates of 2, 3 and 6 layers of 24 voxels of 6 mm³; rods in two of three cases; crumbs in one.
    let cases = [draw(true, false, 4), draw(false, true, 5), draw(true, false, 8)];
    let statistics = measured(&cases, "RAS");
    let [plate, rod, crumbs] = [0, 1, 2]
        .map(|class| statistics.classes[class].as_ref().map(|class| (class.num_cases, class.volume_ml)));
    assert_eq!((plate.unwrap().0, rod.unwrap().0, crumbs.unwrap().0), (3, 2, 1));
    close(&[plate.unwrap().1, rod.unwrap().1, crumbs.unwrap().1], &[0.432, 0.192, 0.024]);
    // Three voxels in a row and one alone.
    close(&[statistics.classes[2].as_ref().unwrap().largest_component_fraction], &[0.75]);
}

#[test]
fn few_cases_are_spread_over_the_list() {
    let cases: Vec<_> = (0..5).map(|_| draw(true, false, 4)).collect();
    let (_folder, dataset) = dataset(&cases, "RAS");
    let mut ids = Vec::new();
    let statistics = DatasetStatistics::measure(&dataset, 2, |case| {
        ids.push(case.id.clone());
        ControlFlow::Continue(())
    })
    .unwrap();
    assert_eq!((statistics.num_cases, ids), (2, vec!["case_0".to_owned(), "case_2".to_owned()]));
}

#[test]
fn labels_on_another_grid_are_refused() {
    let (folder, dataset) = dataset(&[draw(true, false, 4)], "RAS");
    let (_, labels) = draw(true, false, 4);
    let path = folder.path().join("labelsTr/case_0.nii");
    bipvl_imaging::write(&path, &LabelMap::new(labels, Grid::with_spacing(SHAPE, [1.0; 3]))).unwrap();
    let error = DatasetStatistics::measure(&dataset, 1, |_| ControlFlow::Continue(())).unwrap_err();
    assert!(
        matches!(&error, Error::GridMismatch { labels, .. } if labels.ends_with("labelsTr/case_0.nii")),
        "{error}"
    );
    let cancelled = DatasetStatistics::measure(&dataset, 1, |_| ControlFlow::Break(()));
    assert!(matches!(cancelled, Err(Error::Cancelled)));
}

fn sentences(description: &Description) -> Vec<&str> {
    description.concepts.iter().map(|concept| concept.sentence.as_str()).collect()
}

#[test]
fn measures_are_put_in_words_by_rules() {
    let statistics = measured(&[draw(true, false, 4)], "RAS");
    let plate = statistics.describe(0).unwrap();
    assert_eq!((plate.class.as_str(), plate.title.as_str()), ("right plate", "Right plate in a CT image"));
    assert_eq!(
        sentences(&plate),
        [
            "The right plate is a very small, oval structure of about 0.29 ml, longest from side to side.",
            "The right plate lies in the middle third of the scan, on the right side, midway from back to front, \
             to the right of the rod.",
            "The right plate has a mean density of about 100 HU, denser than the rod.",
            "The right plate has a compact, smooth outline in one piece and is clearly denser than its surroundings.",
            "The right plate is strongly mixed inside; its intensities vary by about 10 HU, more than in the rod.",
        ]
    );
    let rod = statistics.describe(1).unwrap();
    assert_eq!(
        sentences(&rod)[0],
        "The rod is a very small, very elongated structure of about 0.19 ml, longest from top to bottom."
    );
    assert!(statistics.describe(2).is_none());
    let both = Descriptions { classes: vec![plate, rod] };
    let findings = lint(&both, Some(Modality::Ct), None);
    assert!(findings.is_empty(), "{findings:#?}");
}

#[test]
fn several_channels_are_named_one_by_one() {
    let mut statistics = measured(&[draw(true, false, 4)], "RAS");
    statistics.modality = Modality::Mr;
    statistics.channels = ["FLAIR", "T1w", "T2w"].map(str::to_owned).into();
    statistics.classes[0].as_mut().unwrap().z_score = vec![1.2, -0.6, 0.5];
    let plate = statistics.describe(0).unwrap();
    assert_eq!(plate.title, "Right plate in an MRI image");
    assert_eq!(
        sentences(&plate)[2],
        "The right plate is bright in FLAIR and T2w, dark in T1w, compared with the average of the scan."
    );
}

#[test]
fn a_side_that_contradicts_the_name_is_found_in_what_was_measured() {
    let mut statistics = measured(&[draw(true, false, 4)], "RAS");
    statistics.classes[0].as_mut().unwrap().body_position[0] = 0.2;
    let found = lint(&Descriptions { classes: vec![statistics.describe(0).unwrap()] }, None, None);
    assert_eq!((found.len(), found[0].concept.as_deref()), (1, Some("location")));
}

/// Data set, modality, and the names that it has, parted by semicolons.
const PUBLIC: [(&str, Modality, &str); 6] = [
    (
        "AMOS",
        Modality::Ct,
        "spleen; right kidney; left kidney; gall bladder; esophagus; liver; stomach; arota; \
         postcava; pancreas; right adrenal gland; left adrenal gland; duodenum; bladder; \
         prostate/uterus",
    ),
    (
        "MM-WHS",
        Modality::Mr,
        "left ventricle; right ventricle; left atrium; right atrium; \
         myocardium of the left ventricle; ascending aorta; pulmonary artery; LV; RV; LA; RA; \
         Myo; AA; PA",
    ),
    (
        "BRATS",
        Modality::Mr,
        "edema; non-enhancing tumor; enhancing tumour; WT; TC; ET; whole tumor; tumor core",
    ),
    ("Hippocampus", Modality::Mr, "Anterior; Posterior"),
    ("ACDC", Modality::Mr, "RV; MYO; LV"),
    (
        "TotalSegmentator",
        Modality::Ct,
        "kidney_right; adrenal_gland_left; lung_upper_lobe_left; lung_middle_lobe_right; \
         inferior_vena_cava; portal_vein_and_splenic_vein; iliac_vena_left; clavicula_right; \
         autochthon_left; urinary_bladder; heart; atrial_appendage_left; hip_left; brain; \
         small_bowel; thyroid_gland; spinal_cord; costal_cartilages; kidney_cyst_left",
    ),
];

#[test]
fn classes_of_public_data_sets_are_known() {
    for (dataset, modality, classes) in PUBLIC {
        for class in classes.split("; ") {
            let description = builtin_description(class, dataset, modality);
            let description = description.unwrap_or_else(|| panic!("{dataset}: {class} is not known"));
            let names: Vec<&str> = description.concepts.iter().map(|concept| concept.name.as_str()).collect();
            assert_eq!((description.class.as_str(), names.as_slice()), (class, &PAPER_CONCEPTS[..]));
        }
    }
}

#[test]
fn a_name_finds_its_structure_and_its_side() {
    let title = |class, dataset| {
        builtin_description(class, dataset, Modality::Ct).map(|description| description.title)
    };
    for (class, expected) in [
        ("RK", "Right kidney in a CT image"),
        ("kidney_left", "Left kidney in a CT image"),
        ("Kidneys", "Kidney in a CT image"),
        ("LAG", "Left adrenal gland in a CT image"),
        ("heart_ventricle_left", "Left ventricle in a CT image"),
        ("oesophagus", "Esophagus in a CT image"),
    ] {
        assert_eq!(title(class, "").as_deref(), Some(expected), "{class}");
    }
    // Half a name, a side that does not exist, and a name that means something only in its own data set.
    for class in ["right", "left middle lobe", "left spleen", "Anterior", "rib_left_1"] {
        assert_eq!(title(class, "Organs"), None, "{class}");
    }
    assert_eq!(title("Anterior", "Task04_Hippocampus").unwrap(), "Anterior hippocampus in a CT image");
}

#[test]
fn modalities_are_described_in_their_own_words() {
    let appearance =
        |modality| builtin_description("liver", "", modality).unwrap().concepts[2].sentence.clone();
    assert!(appearance(Modality::Ct).contains("HU") && !appearance(Modality::Ct).contains("T1"));
    assert!(appearance(Modality::Mr).contains("T1") && !appearance(Modality::Mr).contains("HU"));
}

#[test]
fn the_hippocampus_set_is_measured() {
    let Some(data) = real_data("msd-hippocampus") else { return };
    let statistics =
        DatasetStatistics::measure(&Dataset::open(&data).unwrap(), 10, |_| ControlFlow::Continue(()))
            .unwrap();
    // The front part is in front of the rear part.
    let [front, rear] = [0, 1].map(|class| &statistics.classes[class].as_ref().unwrap().neighbors[0]);
    assert!(
        front.axis == 1 && front.offset_mm > 0.0 && rear.axis == 1 && rear.offset_mm < 0.0,
        "{front:?} {rear:?}"
    );
    for class in &statistics.classes {
        let class = class.as_ref().unwrap();
        // A hippocampus has about 2.5 to 4 ml, half of it in front (MR volumetry of adults).
        assert!((0.8..2.5).contains(&class.volume_ml), "{class:?}");
    }
    let findings = lint(
        &Descriptions { classes: vec![statistics.describe(0).unwrap(), statistics.describe(1).unwrap()] },
        Some(Modality::Mr),
        None,
    );
    assert!(findings.iter().all(|finding| finding.severity == Severity::Warning), "{findings:?}");
}
