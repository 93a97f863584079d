//! Overlapping classes from the labels of files to a network that segments them.

use std::fs;

use bipvl::{
    config::Config,
    data::{
        Dataset, DatasetOverrides, DatasetReport, Intensity, LabelSchema, PreprocessConfig, read_label_schema,
    },
    describe::DatasetStatistics,
    infer::{InferConfig, Predictor, PredictorInput, ignore_progress},
    nn::{
        HeadConfig, ModelSize,
        init::{DropoutRng, Initializer},
    },
    train::{
        loss::{LossConfig, LossTerms, LossWeights},
        optimizer::{AdamW, AdamWConfig},
    },
};
use bipvl_imaging::{
    SegmentationVoxels,
    phantom::{self, REGIONS},
};
use bipvl_metrics::overlaps;
use burn::{
    module::Module,
    tensor::{Device, Int, Tensor, TensorData},
};
use tempfile::TempDir;

use crate::{
    drawn,
    model::{narrow, swin_unetr, text},
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
    Config::from_file(&path, dataset).map_err(|error| error.to_string())
}

type Regions<'a> = &'a [(&'a str, &'a [u16])];

fn regions(of: Regions) -> LabelSchema {
    LabelSchema::overlapping(of.iter().map(|(name, labels)| (*name, labels.to_vec()))).unwrap()
}

/// The data set with other classes.
fn overridden(folder: &TempDir, spec: &str) -> Result<Dataset, String> {
    let label_schema = toml::from_str(spec).unwrap();
    let overrides = DatasetOverrides { label_schema, ..DatasetOverrides::default() };
    Dataset::read(folder.path(), &overrides).map_err(|error| error.to_string())
}

const BOX_IN_ALL: &str = "[data.label_schema.regions]\nall = [4, 1]\nbox = [1]\n";

#[test]
fn a_configuration_makes_regions_of_plain_labels_and_keeps_them() {
    let (_folder, dataset) = changed(|text| text);
    let dataset = dataset.unwrap();
    let config = configured(&dataset, BOX_IN_ALL).unwrap();
    let expected = regions(&[("all", &[4, 1]), ("box", &[1])]);
    assert_eq!((&config.data.label_schema, expected.labels()), (&expected, &[1, 4][..]));
    assert_eq!(expected.to_channel_indices().label_sets(), [&[2, 1][..], &[1]]);

    let folder = TempDir::new().unwrap();
    let path = folder.path().join("config.toml");
    fs::write(&path, config.to_toml()).unwrap();
    let read = Config::read(&path).unwrap();
    assert_eq!(read, config);
    let again = Dataset::read(&dataset.root, &read.data.dataset_overrides()).unwrap();
    assert_eq!((&again.label_schema, &again.source_schema), (&expected, &dataset.label_schema));
    assert_eq!(read_label_schema(&path).unwrap(), expected);
}

#[test]
fn regions_that_do_not_fit_the_labels_are_refused_by_the_name_of_the_file() {
    let (folder, dataset) = changed(|text| text);
    let dataset = dataset.unwrap();
    for (text, words) in [
        ("regions = { box = [1], all = [4, 1] }", "region \"all\" must be listed before \"box\""),
        ("regions = { all = [1, 4], box = [1] }", "region \"all\" must list label 4 first"),
        ("regions = { all = [1, 2] }", "region \"all\" has the labels [1, 2]; it needs labels among [1, 4]"),
        ("regions = { all = 1 }", "invalid configuration"),
        ("classes = { whole = 1 }\nregions = { all = [1] }", "both classes and regions"),
    ] {
        let message = configured(&dataset, &format!("[data.label_schema]\n{text}\n")).unwrap_err();
        assert!(message.contains("config.toml: ") && message.contains(words), "{message}");
    }
    let many = (1..=256).map(|label| label.to_string()).collect::<Vec<_>>().join(", ");
    for (labels, words) in [("1, 1", "label 1 is"), ("0, 1", "label 0 is"), (&many, "256 labels")] {
        let message =
            overridden(&folder, &format!("regions = {{ box = [1] }}\nlabels = [{labels}]")).unwrap_err();
        assert!(message.contains("dataset.json: ") && message.contains(words), "{message}");
    }
}

#[test]
fn regions_are_counted_and_measured_as_unions_of_their_labels() {
    // A box of 3 · 3 · 5 voxels with label 1 and a plate of 3 · 4 · 2 with label 4, of 1 mm each.
    let (folder, _) = drawn::dataset(1);
    let counts = |dataset: &Dataset| {
        let report = DatasetReport::new(dataset, None, &|_| ());
        assert_eq!(report.num_errors(), 0, "{report:?}");
        let classes =
            report.classes[1..].iter().map(|class| (class.labels.clone(), class.voxels, class.cases));
        let others = report
            .remapped_labels
            .iter()
            .map(|other| (other.label, other.counts_as.clone().unwrap(), other.voxels));
        (classes.collect::<Vec<_>>(), others.collect::<Vec<_>>())
    };
    let nested = overridden(&folder, "regions = { all = [4, 1], box = [1] }").unwrap();
    assert_eq!(counts(&nested), (vec![(vec![4, 1], 69, 1), (vec![1], 45, 1)], vec![]));
    let left_out = (1, "background".to_owned(), 45);
    let plate = overridden(&folder, "regions = { plate = [4] }").unwrap();
    assert_eq!(counts(&plate), (vec![(vec![4], 24, 1)], vec![left_out]));
    let twice = "regions = { all = [2, 1], again = [1] }\nlabels = [1, 2]\nremap = [{ from = 4, to = 1 }]";
    assert_eq!(counts(&overridden(&folder, twice).unwrap()).1, [(4, "all, again".to_owned(), 24)]);

    let statistics = DatasetStatistics::measure(&nested, 1, |_| std::ops::ControlFlow::Continue(())).unwrap();
    let volumes = statistics.classes.iter().map(|class| (class.as_ref().unwrap().volume_ml * 1000.0).round());
    assert_eq!(volumes.collect::<Vec<_>>(), [69.0, 45.0]);
}

#[test]
fn a_configuration_without_regions_has_no_region_keys() {
    let (_folder, dataset) = changed(|text| text);
    let config = Config::new(ModelSize::Tiny, &dataset.unwrap());
    assert_eq!(config.data.label_schema, LabelSchema::exclusive([("box", 1), ("plate", 4)]).unwrap());
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
    let expected = regions(&[("whole", &[4, 1]), ("box", &[1])]);
    assert_eq!(dataset.label_schema, expected);
    assert_eq!(Config::new(ModelSize::Tiny, &dataset).data.label_schema, expected);
    assert_eq!(read_label_schema(&folder.path().join("dataset.json")).unwrap(), expected);
    // The labels stay those of the files: 0 around a box of 1 and a plate of 2, its place in the list.
    let preprocess = PreprocessConfig {
        spacing: None,
        intensity: Intensity::ZScore,
        crop_foreground: false,
        patch_size: [1; 3],
    };
    let (_, labels) = preprocess.prepare_case(&dataset, &dataset.cases[0]).unwrap();
    assert_eq!(labels, drawn::labels().mapv(|label| if label == 4 { 2 } else { label as u8 }));

    let config = configured(&dataset, "[data.label_schema.regions]\nplate = [4]\n").unwrap();
    assert_eq!(config.data.label_schema.names(), ["plate"]);
    let message = Dataset::open(nnunet("[1, 1]").path()).unwrap_err().to_string();
    assert!(message.contains("dataset.json: region \"whole\" must list label 4 first"), "{message}");
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

    let label_schema =
        LabelSchema::overlapping(REGIONS.map(|(name, labels)| (name, labels.to_vec()))).unwrap();
    let mut init = Initializer::new(7, &device);
    let mut config = narrow();
    swin_unetr(&mut config).in_channels = 2;
    let channels = HeadConfig { num_classes: REGIONS.len(), out_channels: label_schema.num_logit_channels() };
    let mut model = config.init(channels, SHAPE, &mut init);
    let (losses, weights) = (LossConfig::default(), LossWeights::new(&init));
    let (texts, mut optimizer) = (text(&device), AdamW::new(AdamWConfig::default()));
    for step in 0..STEPS {
        let mut noise = DropoutRng::new(7, step);
        let output = model.forward(image.clone(), &texts, Some(&mut noise));
        let all = LossTerms::compute(&output, labels.clone(), &label_schema, &losses, Some(&mut noise));
        let gradients = weights.total(&all, losses.weighting).backward();
        model = optimizer.step(model, gradients, 5e-3);
    }

    let predictor = Predictor::new(PredictorInput {
        model: model.valid(),
        text: &text(&Device::flex()),
        preprocess,
        channels: 2,
        label_schema: label_schema.clone(),
        config: InferConfig::default(),
        device: Device::flex(),
    });
    let segmentation = predictor.predict(phantom.channels.to_vec(), &mut ignore_progress).unwrap();
    assert!(
        matches!(segmentation.voxels(), SegmentationVoxels::Masks(masks) if masks.len() == REGIONS.len())
    );
    let prediction = segmentation.into_label_map();
    for ((name, _), overlap) in
        REGIONS.iter().zip(overlaps(&prediction, &phantom.labels, &label_schema.label_sets()))
    {
        let dice = overlap.dice().unwrap();
        assert!(dice > DICE, "{name}: {dice}, {overlap:?}");
    }
}
