//! Classes, labels and logit channels.

use bipvl_imaging::{
    Code, Grid, IGNORE_INDEX, LabelMap, LabelRemap, LabelSchema, LabelSchemaError, LabelSchemaSpec,
    apply_remap,
};
use ndarray::Array3;

/// The label of a voxel by its logits, channel after channel.
fn decide(schema: &LabelSchema, logits: &[f32]) -> u16 {
    let (mut best, mut decided) = (f32::NEG_INFINITY, 0);
    for (logit, label) in logits.iter().zip(schema.channel_labels()) {
        if schema.overrides(label, *logit, best) {
            (best, decided) = (*logit, label);
        }
    }
    decided
}

/// nnU-Net's own example of an order that is not that of the labels: a kidney with cyst 3 and tumor 2.
fn kidney() -> LabelSchema {
    LabelSchema::overlapping([("kidney", vec![1, 2, 3]), ("masses", vec![3, 2]), ("tumor", vec![2])]).unwrap()
}

fn exclusive() -> LabelSchema {
    LabelSchema::exclusive([("liver", 7), ("spleen", 4)]).unwrap()
}

#[test]
fn the_highest_logit_decides_between_exclusive_classes() {
    let schema = exclusive();
    assert_eq!((schema.num_classes(), schema.num_logit_channels(), schema.channel(1)), (2, 3, 2));
    assert_eq!(schema.label_sets(), [&[7], &[4]]);
    for (logits, label) in [
        ([-1.0, -2.0, -3.0], 0),
        ([1.0, 2.0, 3.0], 4),
        ([1.0, 3.0, 2.0], 7),
        ([0.5, 0.5, 0.5], 0),
        ([-1.0, -0.5, -0.5], 7),
    ] {
        assert_eq!(decide(&schema, &logits), label, "{logits:?}");
    }
}

#[test]
fn every_overlapping_class_decides_for_itself_and_later_ones_write_over_earlier_ones() {
    let schema = kidney();
    assert_eq!((schema.num_classes(), schema.num_logit_channels(), schema.channel(1)), (3, 3, 1));
    for (logits, label) in [
        ([-0.1, -0.1, -0.1], 0),
        ([0.0, -9.0, -9.0], 1),
        ([9.0, 0.1, -9.0], 3),
        ([9.0, 9.0, 0.0], 2),
        // A part without its whole is written nevertheless, as in nnU-Net.
        ([-9.0, -9.0, 0.1], 2),
    ] {
        assert_eq!(decide(&schema, &logits), label, "{logits:?}");
    }
}

#[test]
fn output_label_0_leaves_voxels_to_other_classes_only_if_classes_overlap() {
    assert_eq!(decide(&exclusive().with_output_labels(&[0, 4]), &[1.0, 3.0, 2.0]), 0);
    let regions = kidney().with_output_labels(&[1, 0, 2]);
    assert_eq!(decide(&regions, &[9.0, 9.0, -9.0]), 1);
    assert_eq!(decide(&regions, &[9.0, 9.0, 9.0]), 2);
}

#[test]
fn channel_indices_are_positions_among_the_labels() {
    let indices = LabelSchema::exclusive([("a", 2), ("b", 10)]).unwrap().to_channel_indices();
    assert_eq!((indices.label_sets(), indices.channel_labels()), (vec![&[1][..], &[2]], vec![0, 1, 2]));
    let regions = [("heart", vec![205, 500, 600]), ("blood", vec![600, 500])];
    let regions = LabelSchema::overlapping(regions).unwrap().with_ignore(Some(9)).unwrap();
    assert_eq!(regions.labels(), [205, 500, 600]);
    assert_eq!(regions.to_channel_indices().label_sets(), [&[1, 2, 3][..], &[3, 2]]);
    assert_eq!(regions.to_channel_indices().ignore(), Some(u16::from(IGNORE_INDEX)));
    let index = |label| regions.channel_index(label);
    assert_eq!([index(0), index(600), index(9), index(7)], [0, 3, IGNORE_INDEX, 0]);
    assert!(regions.contains(9) && regions.contains(0) && !regions.contains(7));
}

fn refused(regions: &[(&str, &[u16])]) -> Option<LabelSchemaError> {
    LabelSchema::overlapping(regions.iter().map(|(name, labels)| (*name, labels.to_vec())))
        .and_then(|schema| schema.with_labels(vec![1, 2, 3]))
        .err()
}

#[test]
fn nested_and_merely_overlapping_regions_are_accepted() {
    assert_eq!(refused(&[("WT", &[1, 2, 3]), ("TC", &[2, 3]), ("ET", &[3])]), None);
    assert_eq!(refused(&[("a", &[1, 2]), ("b", &[2, 3])]), None);
    // A whole without a label of its own.
    assert_eq!(refused(&[("gland", &[1, 2]), ("zone", &[1]), ("other zone", &[2])]), None);
}

#[test]
fn regions_that_would_be_written_over_are_refused() {
    let name = |name: &str| name.to_owned();
    assert_eq!(
        refused(&[("TC", &[2, 3]), ("WT", &[1, 2, 3]), ("ET", &[3])]),
        Some(LabelSchemaError::RegionOrder { region: name("TC"), container: name("WT") })
    );
    assert_eq!(
        refused(&[("kidney", &[1, 2, 3]), ("masses", &[2, 3]), ("tumor", &[2])]),
        Some(LabelSchemaError::RegionOutput { region: name("masses"), output_label: 2, own: 3 })
    );
    for labels in [&[1, 4][..], &[1, 1], &[]] {
        let error = refused(&[("WT", labels)]).unwrap();
        assert!(matches!(error, LabelSchemaError::RegionLabels { .. }), "{error}");
    }
}

#[test]
fn classes_without_a_name_or_label_of_their_own_are_refused() {
    type Classes<'a> = &'a [(&'a str, u16)];
    let error = |classes: Classes| LabelSchema::exclusive(classes.iter().copied()).unwrap_err().to_string();
    for (classes, message) in [
        (&[][..] as Classes, "no class is defined"),
        (
            &[("Liver", 1), ("liver", 2)],
            "class names \"Liver\" and \"liver\" differ at most in case and blanks",
        ),
        (
            &[("liver", 1), ("liver ", 2)],
            "class names \"liver\" and \"liver \" differ at most in case and blanks",
        ),
        (&[("liver", 1), ("", 2)], "the class with label 2 has an empty name"),
        (
            &[("a", 1), ("b", 1)],
            "label 1 is that of two classes; classes that overlap are defined as regions",
        ),
        (&[("a", 0)], "label 0 is reserved for the background and cannot be that of a class"),
    ] {
        assert_eq!(error(classes), message);
    }
    let many: Vec<u16> = (1..=255).collect();
    assert_eq!(LabelSchema::from_labels(&many), Err(LabelSchemaError::TooManyLabels { count: 255 }));
    assert!(LabelSchema::from_labels(&many[1..]).is_ok());
}

#[test]
fn remapped_labels_must_be_free_and_lead_to_a_class() {
    let remap = |rules: &[[u16; 2]]| {
        let rules = rules.iter().map(|[from, to]| LabelRemap { from: *from, to: *to }).collect();
        exclusive().with_ignore(Some(9)).unwrap().with_remap(rules)
    };
    assert_eq!(remap(&[[1, 7], [1, 0]]), Err(LabelSchemaError::DuplicateRemap { label: 1 }));
    for label in [0, 7, 9] {
        assert_eq!(remap(&[[label, 4]]), Err(LabelSchemaError::RemapSource { label }));
    }
    assert_eq!(remap(&[[1, 5]]), Err(LabelSchemaError::RemapTarget { from: 1, to: 5 }));
    assert_eq!(exclusive().with_ignore(Some(4)), Err(LabelSchemaError::IgnoreLabel { label: 4 }));
    let voxels = Array3::from_shape_vec([4, 1, 1], vec![1, 2, 4, 9]).unwrap();
    let mut labels = LabelMap::new(voxels, Grid::with_spacing([4, 1, 1], [1.0; 3]));
    apply_remap(remap(&[[1, 7], [2, 0]]).unwrap().remap(), &mut labels);
    assert_eq!(labels.voxels().as_slice().unwrap(), [7, 0, 4, 9]);
}

#[test]
fn a_schema_is_readable_toml_and_comes_back_the_same() {
    let exclusive = exclusive().with_ignore(Some(9)).unwrap();
    let exclusive = exclusive.with_remap(vec![LabelRemap { from: 5, to: 4 }]).unwrap();
    let code = Code { scheme: "SCT".into(), value: "10200004".into(), meaning: "Liver".into() };
    let exclusive = exclusive.with_codes([("liver".to_owned(), code)].into_iter().collect()).unwrap();
    let text = toml::to_string(&exclusive).unwrap();
    assert!(text.contains("[classes]\nliver = 7\nspleen = 4\n"), "{text}");
    assert_eq!(toml::from_str::<LabelSchema>(&text).unwrap(), exclusive);
    let text = toml::to_string(&kidney()).unwrap();
    assert_eq!(text, "[regions]\nkidney = [1, 2, 3]\nmasses = [3, 2]\ntumor = [2]\n");
    for schema in [kidney(), kidney().with_labels(vec![3, 1, 2, 8]).unwrap()] {
        assert_eq!(toml::from_str::<LabelSchema>(&toml::to_string(&schema).unwrap()).unwrap(), schema);
    }
    for wrong in ["", "classes = { a = 1 }\nregions = { b = [1] }", "classes = { a = 1 }\nother = 1"] {
        assert!(toml::from_str::<LabelSchema>(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_configuration_overrides_what_the_data_set_defines() {
    let source = exclusive().with_ignore(Some(9)).unwrap();
    let resolve = |text: &str| toml::from_str::<LabelSchemaSpec>(text).unwrap().resolve(&source);
    assert_eq!(resolve("").unwrap(), source);
    assert!(LabelSchemaSpec::default().is_empty());
    let renamed = resolve("classes = { Hepar = 7 }\nremap = [{ from = 4, to = 7 }]").unwrap();
    assert_eq!(
        (renamed.names(), renamed.labels(), renamed.ignore()),
        (vec!["Hepar".to_owned()], &[7][..], Some(9))
    );
    let regions = resolve("regions = { both = [4, 7] }").unwrap();
    assert!(regions.is_overlapping());
    assert_eq!(regions.labels(), [7, 4], "all labels of the data set, in its order");
    assert!(matches!(resolve("regions = { both = [4, 8] }"), Err(LabelSchemaError::RegionLabels { .. })));
    assert_eq!(resolve("classes = { a = 9 }").unwrap().ignore(), None);
}
