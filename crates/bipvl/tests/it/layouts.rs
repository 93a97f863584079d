//! Layouts of published data sets: what is listed, what is refused. The files are empty; nothing reads them.

use std::{fs, path::Path};

use bipvl::data::{Dataset, DatasetOverrides, DatasetReport, Layout, Modality, PreprocessConfig};
use bipvl_imaging::{Grid, LabelMap, reorient};
use ndarray::Array3;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{drawn, real_data};

fn folder(files: &[&str]) -> TempDir {
    let folder = TempDir::new().unwrap();
    for file in files {
        write(folder.path(), file, "");
    }
    folder
}

fn write(root: &Path, file: &str, text: &str) {
    let path = root.join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn of(modality: Modality) -> DatasetOverrides {
    DatasetOverrides { modality: Some(modality), ..DatasetOverrides::default() }
}

#[track_caller]
fn refused(root: &Path, overrides: &DatasetOverrides, words: &[&str]) {
    let message = Dataset::read(root, overrides).unwrap_err().to_string();
    for word in words {
        assert!(message.contains(word), "{word:?} is not in {message:?}");
    }
}

fn ids(cases: &[bipvl::data::Case]) -> Vec<&str> {
    cases.iter().map(|case| case.id.as_str()).collect()
}

fn amos(training: &[&str], validation: &[&str]) -> TempDir {
    let folder = TempDir::new().unwrap();
    let list = |part: &str, numbers: &[&str]| -> Value {
        let pair = |number: &&str| {
            let files = ["images", "labels"].map(|kind| format!("./{kind}{part}/amos_{number}.nii.gz"));
            for file in &files {
                write(folder.path(), file, "");
            }
            json!({ "image": files[0], "label": files[1] })
        };
        numbers.iter().map(pair).collect()
    };
    let about = json!({
        "modality": { "0": "CT" },
        "labels": { "0": "background", "1": "spleen" },
        "training": list("Tr", training),
        "validation": list("Va", validation),
    });
    write(folder.path(), "dataset.json", &about.to_string());
    folder
}

#[test]
fn amos22_has_ct_below_five_hundred_and_mr_from_there() {
    let folder = amos(&["0001", "0499", "0500", "0600"], &["0008", "0518", "0532"]);
    let ct = Dataset::read(folder.path(), &of(Modality::Ct)).unwrap();
    assert_eq!((ct.layout, ct.name.as_str()), (Layout::Amos22, "AMOS22 CT"));
    assert_eq!((ids(&ct.cases), ids(&ct.test)), (vec!["amos_0001", "amos_0499"], vec!["amos_0008"]));
    let mr = Dataset::read(folder.path(), &of(Modality::Mr)).unwrap();
    assert_eq!(ids(&mr.cases), ["amos_0500", "amos_0600"]);
    assert_eq!(ids(&mr.test), ["amos_0518", "amos_0532"]);
    assert_eq!((mr.modality, mr.channels), (Modality::Mr, vec!["MR".to_owned()]));
    refused(folder.path(), &DatasetOverrides::default(), &["data.modality", "CT and MR"]);
    let only_ct = amos(&["0001"], &[]);
    assert_eq!(Dataset::open(only_ct.path()).unwrap().modality, Modality::Ct);
    refused(only_ct.path(), &of(Modality::Mr), &["no case found"]);
}

#[test]
fn mmwhs_pairs_images_with_labels_and_reports_missing_counterparts() {
    let files = [
        "ct_train/ct_train_1001_image.nii.gz",
        "ct_train/ct_train_1001_label.nii.gz",
        "ct_train/ct_train_1002_image.nii",
        "ct_train/ct_train_1002_label.nii",
        "ct_train/.hidden_image.nii.gz",
        "ct_train/readme.txt",
    ];
    let folder = folder(&files);
    let dataset = Dataset::open(folder.path()).unwrap();
    assert_eq!((dataset.layout, dataset.modality), (Layout::Mmwhs, Modality::Ct));
    assert_eq!(ids(&dataset.cases), ["ct_train_1001", "ct_train_1002"]);
    assert_eq!(dataset.cases[1].labels, Some(folder.path().join(files[3])));
    // As the data set's description has them, but in the order of the paper's texts.
    assert_eq!(dataset.label_schema.labels(), [500, 600, 420, 550, 205, 820, 850]);
    assert_eq!(dataset.label_schema.names()[2], "left atrium");
    assert_eq!(dataset.skipped, [folder.path().join("ct_train/readme.txt")]);
    write(folder.path(), "ct_train/ct_train_1003_label.nii.gz", "");
    refused(folder.path(), &DatasetOverrides::default(), &["ct_train_1003_image.nii.gz", "no such file"]);
    refused(folder.path(), &of(Modality::Mr), &["no case found"]);
    write(folder.path(), "mr_train/mr_train_1001_image.nii.gz", "");
    refused(folder.path(), &DatasetOverrides::default(), &["data.modality"]);
}

#[test]
fn acdc_takes_the_frames_that_info_cfg_names() {
    let own = "training/patient007";
    let files =
        ["patient007_frame01", "patient007_frame01_gt", "patient007_frame10", "patient007_frame10_gt"];
    let files = files.map(|name| format!("{own}/{name}.nii.gz"));
    let folder = folder(&files.each_ref().map(String::as_str));
    refused(folder.path(), &DatasetOverrides::default(), &["patient007/Info.cfg"]);
    write(folder.path(), &format!("{own}/Info.cfg"), "ED: 1\nES: ten\n");
    refused(folder.path(), &DatasetOverrides::default(), &["Info.cfg", "`ES`", "not ten"]);
    write(folder.path(), &format!("{own}/Info.cfg"), "ED: 1\r\nES: 10\r\nGroup: NOR\r\n");
    write(folder.path(), &format!("{own}/patient007_4d.nii.gz"), "");
    write(folder.path(), "testing/patient101/Info.cfg", "ED: 1\nES: 14\n");
    write(folder.path(), "testing/patient101/patient101_frame01.nii.gz", "");
    let dataset = Dataset::open(folder.path()).unwrap();
    assert_eq!((dataset.layout, dataset.modality), (Layout::Acdc, Modality::Mr));
    assert_eq!(ids(&dataset.cases), ["patient007_frame01", "patient007_frame10"]);
    assert_eq!(dataset.cases[0].patient(), dataset.cases[1].patient());
    assert_eq!(dataset.test, [], "without a reference nothing can be tested");
    fs::remove_file(folder.path().join(&files[1])).unwrap();
    fs::remove_file(folder.path().join(&files[2])).unwrap();
    refused(
        folder.path(),
        &DatasetOverrides::default(),
        &["patient007_frame01_gt.nii.gz", "and 1 more are missing"],
    );
}

fn with_classes(spec: &str) -> DatasetOverrides {
    DatasetOverrides { label_schema: toml::from_str(spec).unwrap(), ..DatasetOverrides::default() }
}

#[test]
fn classes_and_labels_of_a_configuration_must_be_consistent() {
    let (folder, dataset) = drawn::dataset(1);
    let overrides = with_classes("classes = { plate = 4 }\nremap = [{ from = 1, to = 0 }]");
    let read = Dataset::read(folder.path(), &overrides).unwrap();
    assert_eq!((read.label_schema.names(), read.label_schema.labels()), (vec!["plate".to_owned()], &[4][..]));
    assert_eq!((read.source_schema, read.cases), (dataset.label_schema, dataset.cases));
    for (spec, words) in [
        ("classes = { a = 1, b = 1 }", "label 1 is that of two classes"),
        ("classes = { a = 0 }", "label 0 is reserved"),
        ("remap = [{ from = 1, to = 4 }]", "label 1 cannot be remapped"),
        ("remap = [{ from = 7, to = 5 }]", "label 7 is remapped to 5, which is neither 0 nor"),
        ("remap = [{ from = 7, to = 4 }, { from = 7, to = 0 }]", "label 7 is remapped twice"),
    ] {
        refused(folder.path(), &with_classes(spec), &["dataset.json: ", words]);
    }
}

#[test]
fn several_labels_become_one_class() {
    let (folder, dataset) = drawn::dataset(1);
    let overrides = with_classes("classes = { both = 4 }\nremap = [{ from = 1, to = 4 }]");
    let merged = Dataset::read(folder.path(), &overrides).unwrap();
    let recipe =
        PreprocessConfig { patch_size: [8; 3], ..PreprocessConfig::for_modality(Modality::Mr, [8; 3]) };
    let (_, labels) = recipe.prepare_case(&merged, &merged.cases[0]).unwrap();
    // Both boxes, counted by hand: 3 × 3 × 5 and 3 × 4 × 2 voxels.
    assert_eq!(labels.iter().filter(|label| **label == 1).count(), 45 + 24);
    assert!(labels.iter().all(|label| *label <= 1));
    // An undefined label is still an error.
    let stray = LabelMap::new(drawn::labels() * 3, Grid::with_spacing(drawn::SHAPE, [1.0; 3]));
    bipvl_imaging::write(dataset.cases[0].labels.as_ref().unwrap(), &stray).unwrap();
    let message = recipe.prepare_case(&merged, &merged.cases[0]).unwrap_err().to_string();
    assert!(message.contains("label 3 (45 voxels) is not defined; defined are 0 and [4]"), "{message}");
}

#[test]
fn the_hippocampus_set_is_sound() {
    let Some(data) = real_data("msd-hippocampus") else { return };
    let report = DatasetReport::new(&Dataset::open(&data).unwrap(), None, &|_| ());
    assert_eq!(report.num_errors(), 0, "{report:?}");
    // As the note beside the data says, measured with other programs: shapes, spacing, mean voxels of a class.
    assert_eq!(report.shape, Some([[31, 42], [40, 59], [26, 47]]));
    assert_eq!(report.spacing_mm, Some([[1.0; 2]; 3]));
    let means: Vec<u64> = report.classes[1..].iter().map(|class| (class.voxels + 100) / 200).collect();
    assert_eq!(means, [1712, 1584]);
    assert!(report.classes.iter().all(|class| class.cases == 200));
}

#[test]
fn spacing_and_shape_are_reported_in_ras() {
    let (_folder, dataset) = drawn::dataset(2);
    let grid = Grid::with_spacing([4, 5, 6], [1.0, 2.0, 3.0]);
    let turned = reorient(&LabelMap::new(Array3::zeros([4, 5, 6]), grid), "IPL".parse().unwrap());
    assert_eq!(turned.grid().shape(), [6, 5, 4]);
    bipvl_imaging::write(dataset.cases[1].labels.as_ref().unwrap(), &turned).unwrap();
    bipvl_imaging::write(&dataset.cases[1].images[0], &turned.map(|_| 1.0)).unwrap();
    let report = DatasetReport::new(&dataset, None, &|_| ());
    assert_eq!(report.num_errors(), 0, "{report:?}");
    assert_eq!(report.orientations, [("IPL".to_owned(), 1), ("RAS".to_owned(), 1)].into());
    assert_eq!(report.shape, Some([[4, 12], [5, 10], [6, 8]]));
    assert_eq!(report.spacing_mm, Some([[1.0, 1.0], [1.0, 2.0], [1.0, 3.0]]));
}
