//! Overlapping classes from the labels of files to a network that tells them apart.

use std::fs;

use bipvl::{
    config::Config,
    data::{
        Dataset, DatasetOverrides, DatasetReport, Intensity, LabelRemap, Labeling, PreprocessConfig, Regions,
        read_classes,
    },
    describe::DatasetStatistics,
    infer::{InferConfig, Predictor, PredictorInput},
    nn::{
        HeadConfig, ModelSize,
        init::{DropoutRng, Initializer},
    },
    train::{
        loss::{LossConfig, LossTerms, LossWeights},
        optimizer::{AdamW, AdamWConfig},
    },
};
use bipvl_imaging::phantom::{self, REGIONS};
use bipvl_metrics::{ClassLabels, overlaps};
use burn::{
    module::Module,
    tensor::{Device, Int, Tensor, TensorData},
};
use tempfile::TempDir;

use crate::{
    drawn,
    model::{narrow, text},
};

const SHAPE: [usize; 3] = [32; 3];
/// Updates after which the narrow network knows one phantom by heart.
const STEPS: u64 = 60;
/// Each region shall overlap with its reference at least so far.
const DICE: f64 = 0.9;

/// The drawn data set, whose labels are 1 and 4, and its `dataset.json` after a change.
fn changed(change: impl Fn(String) -> String) -> (TempDir, Result<Dataset, String>) {
    let (folder, _) = drawn::dataset(1);
    let path = folder.path().join("dataset.json");
    fs::write(&path, change(fs::read_to_string(&path).unwrap())).unwrap();
    let dataset = Dataset::open(folder.path()).map_err(|error| error.to_string());
    (folder, dataset)
}

/// The classes of the data set as `config.toml` makes them.
fn configured(dataset: &Dataset, text: &str) -> Result<Config, String> {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("config.toml");
    fs::write(&path, text).unwrap();
    Config::from_user_file(&path, dataset).map_err(|error| error.to_string())
}

fn class(name: &str, labels: &[u16]) -> ClassLabels {
    ClassLabels { name: name.to_owned(), labels: labels.to_vec() }
}

fn regions(of: &[(&str, &[u16])]) -> Regions {
    of.iter().map(|(name, labels)| ((*name).to_owned(), labels.to_vec())).collect()
}

const BOX_IN_ALL: &str = "[data.regions]\nall = [4, 1]\nbox = [1]\n";

#[test]
fn a_configuration_makes_regions_of_plain_labels_and_keeps_them() {
    let (_folder, dataset) = changed(|text| text);
    let dataset = dataset.unwrap();
    let config = configured(&dataset, BOX_IN_ALL).unwrap();
    assert_eq!(config.data.classes, ["all", "box"]);
    assert_eq!(config.data.labels, [1, 4]);
    let labeling = config.data.labeling();
    assert_eq!(labeling, Labeling::Overlapping(vec![vec![4, 1], vec![1]]));
    assert_eq!(labeling.prepared(&config.data.labels), Labeling::Overlapping(vec![vec![2, 1], vec![1]]));
    assert_eq!(config.data.class_labels(), [class("all", &[4, 1]), class("box", &[1])]);

    let folder = TempDir::new().unwrap();
    let path = folder.path().join("config.toml");
    fs::write(&path, config.to_toml()).unwrap();
    let read = Config::read(&path).unwrap();
    assert!(read == config && read.data.regions.keys().eq(["all", "box"]));
    let again = Dataset::read(&dataset.root, &read.data.dataset_overrides()).unwrap();
    assert_eq!((&again.classes, &again.labels), (&config.data.classes, &config.data.labels));
    assert_eq!(again.labeling(), labeling);
    assert_eq!(read_classes(&path).unwrap(), config.data.class_labels());
}

#[test]
fn regions_that_do_not_fit_the_labels_are_refused_by_the_name_of_the_file() {
    let (_folder, dataset) = changed(|text| text);
    let dataset = dataset.unwrap();
    for (text, words) in [
        ("[data.regions]\nbox = [1]\nall = [4, 1]\n", "the region \"all\" before \"box\""),
        ("[data.regions]\nall = [1, 4]\nbox = [1]\n", "the label 4 first in the region \"all\""),
        ("[data.regions]\nall = [1, 2]\n", "labels of the region \"all\" among [1, 4]"),
        ("[data.regions]\nall = 1\n", "a configuration"),
        (
            "[data]\nclasses = [\"whole\"]\nregions = { all = [1] }\n",
            "data.classes of [\"all\"], found [\"whole\"]",
        ),
    ] {
        let message = configured(&dataset, text).unwrap_err();
        assert!(message.contains("config.toml: expected ") && message.contains(words), "{message}");
    }
    for (labels, words) in
        [(vec![1, 1], "1 twice"), (vec![0, 1], "found 0"), ((1..=256).collect(), "found 256")]
    {
        let wanted = DatasetOverrides {
            labels: Some(labels),
            regions: regions(&[("box", &[1])]),
            ..DatasetOverrides::default()
        };
        let message = Dataset::read(&dataset.root, &wanted).unwrap_err().to_string();
        assert!(message.contains("dataset.json: expected ") && message.contains(words), "{message}");
    }
}

#[test]
fn regions_are_counted_and_measured_as_unions_of_their_labels() {
    // A box of 3 · 3 · 5 voxels with label 1 and a plate of 3 · 4 · 2 with label 4, of 1 mm each.
    let (folder, _) = drawn::dataset(1);
    let read = |of: &[(&str, &[u16])], relabel: &[LabelRemap]| {
        let labels = Some(if relabel.is_empty() { vec![1, 4] } else { vec![1, 2] });
        let wanted = DatasetOverrides {
            labels,
            regions: regions(of),
            relabel: relabel.to_vec(),
            ..DatasetOverrides::default()
        };
        Dataset::read(folder.path(), &wanted).unwrap()
    };
    let counts = |dataset: &Dataset| {
        let check = DatasetReport::new(dataset, &|_| ());
        assert_eq!(check.num_errors(), 0, "{check:?}");
        let classes =
            check.classes[1..].iter().map(|class| (class.labels.clone(), class.voxels, class.cases));
        let others =
            check.relabeled.iter().map(|other| (other.label, other.counts_as.clone().unwrap(), other.voxels));
        (classes.collect::<Vec<_>>(), others.collect::<Vec<_>>())
    };
    let nested = read(&[("all", &[4, 1]), ("box", &[1])], &[]);
    assert_eq!(counts(&nested), (vec![(vec![4, 1], 69, 1), (vec![1], 45, 1)], vec![]));
    let left_out = (1, "background".to_owned(), 45);
    assert_eq!(counts(&read(&[("plate", &[4])], &[])), (vec![(vec![4], 24, 1)], vec![left_out]));
    let twice = read(&[("all", &[2, 1]), ("again", &[1])], &[LabelRemap { from: 4, to: 1 }]);
    assert_eq!(counts(&twice).1, [(4, "all, again".to_owned(), 24)]);

    let statistics = DatasetStatistics::measure(&nested, 1, |_| {}).unwrap();
    let volumes = statistics.classes.iter().map(|class| (class.as_ref().unwrap().volume_ml * 1000.0).round());
    assert_eq!(volumes.collect::<Vec<_>>(), [69.0, 45.0]);
}

#[test]
fn without_regions_a_configuration_says_nothing_of_them() {
    let (_folder, dataset) = changed(|text| text);
    let config = Config::new(ModelSize::Tiny, &dataset.unwrap());
    assert_eq!(config.data.labeling(), Labeling::Exclusive(vec![1, 4]));
    assert_eq!(config.data.class_labels(), [class("box", &[1]), class("plate", &[4])]);
    assert!(!config.to_toml().contains("regions"));
}

#[test]
fn an_nnunet_folder_brings_its_regions_and_a_configuration_replaces_them() {
    let nnunet = |order: &str| {
        let labels = format!(
            r#"{{"channel_names": {{"0": "T2"}}, "file_ending": ".nii.gz",
                "labels": {{"background": 0, "whole": [1, 4], "box": [1]}}, "regions_class_order": {order}}}"#
        );
        let (folder, _) = drawn::dataset(1);
        fs::rename(
            folder.path().join("imagesTr/case_00.nii.gz"),
            folder.path().join("imagesTr/case_00_0000.nii.gz"),
        )
        .unwrap();
        fs::write(folder.path().join("dataset.json"), labels).unwrap();
        folder
    };
    let folder = nnunet("[4, 1]");
    let dataset = Dataset::open(folder.path()).unwrap();
    assert_eq!(
        (&dataset.classes[..], &dataset.labels[..]),
        (&["whole".to_owned(), "box".to_owned()][..], &[1, 4][..])
    );
    let expected = [class("whole", &[4, 1]), class("box", &[1])];
    assert_eq!(Config::new(ModelSize::Tiny, &dataset).data.class_labels(), expected);
    assert_eq!(read_classes(&folder.path().join("dataset.json")).unwrap(), expected);
    // The labels stay those of the files: 0 around a box of 1 and a plate of 2, its place in the list.
    let preprocess = PreprocessConfig {
        spacing: None,
        intensity: Intensity::ZScore,
        crop_foreground: false,
        patch_size: [1; 3],
    };
    let (_, labels) = preprocess.prepare_case(&dataset, &dataset.cases[0]).unwrap();
    assert_eq!(labels, drawn::labels().mapv(|label| if label == 4 { 2 } else { label as u8 }));

    let config = configured(&dataset, "[data.regions]\nplate = [4]\n").unwrap();
    assert_eq!(config.data.class_labels(), [class("plate", &[4])]);
    let message = Dataset::open(nnunet("[1, 1]").path()).unwrap_err().to_string();
    assert!(
        message.contains("dataset.json: expected the label 4 first in the region \"whole\""),
        "{message}"
    );
}

#[test]
fn a_narrow_network_learns_a_ball_in_a_ball_in_a_ball() {
    let device = Device::flex().autodiff();
    let phantom = phantom::draw_nested(1, SHAPE, [1.0; 3]);
    let preprocess = PreprocessConfig {
        spacing: None,
        intensity: Intensity::ZScore,
        crop_foreground: false,
        patch_size: SHAPE,
    };
    let prepared = preprocess.prepare(phantom.channels.to_vec());
    let image: Vec<f32> = prepared.image.iter().copied().collect();
    let image = Tensor::<5>::from_data(TensorData::new(image, [1, 2, 32, 32, 32]), &device);
    let labels: Vec<i32> = phantom.labels.voxels().iter().copied().map(i32::from).collect();
    let labels = Tensor::<4, Int>::from_data(TensorData::new(labels, [1, 32, 32, 32]), &device);

    let labeling = Labeling::Overlapping(REGIONS.map(|(_, labels)| labels.to_vec()).to_vec());
    let mut init = Initializer::new(7, &device);
    let mut config = narrow();
    config.vision.channels = 2;
    let channels = HeadConfig { num_classes: REGIONS.len(), out_channels: labeling.outputs() };
    let mut model = config.init(channels, SHAPE, &mut init);
    let (losses, weights) = (LossConfig::default(), LossWeights::new(&init));
    let (texts, mut optimizer) = (text(&device), AdamW::new(AdamWConfig::default()));
    for step in 0..STEPS {
        let mut noise = DropoutRng::new(7, step);
        let output = model.forward(image.clone(), &texts, Some(&mut noise));
        let all = LossTerms::compute(&output, labels.clone(), &labeling, &losses, Some(&mut noise));
        let gradients = weights.total(&all, losses.weighting).backward();
        model = optimizer.step(model, gradients, 5e-3);
    }

    let predictor = Predictor::new(PredictorInput {
        model: model.valid(),
        text: &text(&Device::flex()),
        preprocess,
        channels: 2,
        labeling: labeling.clone(),
        config: InferConfig::default(),
        device: Device::flex(),
    });
    let prediction = predictor.predict(phantom.channels.to_vec(), &mut |_| ());
    for ((name, _), overlap) in
        REGIONS.iter().zip(overlaps(&prediction, &phantom.labels, &labeling.classes()))
    {
        let dice = overlap.dice().unwrap();
        assert!(dice > DICE, "{name}: {dice}, {overlap:?}");
    }
}
