//! MONAI's Swin UNETR: the same logits from the same weights, and import and export as inverses.

use std::path::Path;

use bipvl::nn::{
    BackboneConfig, Error, PatchMerging, SwinUnetrConfig, SwinVersion, VisionSeg,
    init::Initializer,
    interop::{
        KeyMapping, LayoutConversion, PretrainedConfig, PretrainedWeights, export, import, load_in_place,
        monai,
    },
    weights::{StateDict, load, load_state_dict, save, state_dict},
};
use burn::tensor::{Device, Tensor, TensorData};

use crate::formula::{filled, uniform};

/// Relative to the largest logit; about sixty layers in float32, summed in another order.
const TOLERANCE: f32 = 1e-4;
const OUTPUTS: usize = 2;

fn config(version: SwinVersion, merging: PatchMerging) -> SwinUnetrConfig {
    let heads = [3, 6, 12, 24];
    SwinUnetrConfig {
        in_channels: 1,
        feature_size: 12,
        depths: [2; 4],
        heads,
        window_size: 7,
        version,
        merging,
    }
}

/// The network, and its tensors by our names.
fn untrained(config: &SwinUnetrConfig) -> (VisionSeg, StateDict) {
    let backbone = BackboneConfig::SwinUnetr(config.clone());
    let network = VisionSeg::new(&mut Initializer::new(0, &Device::flex()), &backbone, OUTPUTS);
    let weights = state_dict(&network);
    (network, weights)
}

/// The tensors that the Python twin sets, by MONAI's names.
fn external_state_dict(config: &SwinUnetrConfig) -> StateDict {
    let (_, ours) = untrained(config);
    let shapes = export(&monai::key_map(config), ours);
    shapes.into_iter().map(|(name, tensor)| (name.clone(), filled(&name, &tensor.shape))).collect()
}

fn check(version: SwinVersion, merging: PatchMerging, patch: [usize; 3]) {
    let config = config(version, merging);
    let file = Path::new("formula");
    let (network, expected) = untrained(&config);
    let (weights, report) =
        import(&monai::key_map(&config), external_state_dict(&config), &expected, file).unwrap();
    assert!(report.missing.is_empty() && report.unused.is_empty(), "{report:?}");
    let network = load_state_dict(network, weights, file).unwrap();

    let [x, y, z] = patch;
    let image = uniform("image", &[1, 1, x, y, z], 1.0);
    let image = Tensor::<5>::from_data(TensorData::new(image.values, image.shape), &Device::flex());
    let found = network.forward(image).permute([0, 2, 3, 4, 1]);
    let reference = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/swin_unetr.safetensors");
    let (reference, _) = load(&reference).unwrap();
    let downsample = match merging {
        PatchMerging::V1 => "merging",
        PatchMerging::V2 => "mergingv2",
    };
    let name = format!("{version:?}_{downsample}_{x}x{y}x{z}").to_lowercase();
    let largest = reference[&format!("{name}_largest")].values[0];
    let every_fourth: Vec<f32> = found.into_data().try_to_vec().unwrap();
    let mut worst = 0.0f32;
    for (index, expected) in reference[&name].values.iter().enumerate() {
        let (qx, qy, qz) = (x / 4, y / 4, z / 4);
        let (channel, at) = (index / (qx * qy * qz), index % (qx * qy * qz));
        let voxel = ((at / (qy * qz) * 4) * y + at / qz % qy * 4) * z + at % qz * 4;
        worst = worst.max((every_fourth[voxel * OUTPUTS + channel] - expected).abs());
    }
    assert!(worst <= TOLERANCE * largest, "{name}: differs by {worst}, the largest logit is {largest}");
}

#[test]
fn version_1_gives_the_logits_of_monai() {
    for merging in [PatchMerging::V1, PatchMerging::V2] {
        check(SwinVersion::V1, merging, [64, 64, 64]);
        check(SwinVersion::V1, merging, [96, 64, 32]);
    }
}

#[test]
fn version_2_gives_the_logits_of_monai() {
    for merging in [PatchMerging::V1, PatchMerging::V2] {
        check(SwinVersion::V2, merging, [64, 64, 64]);
        check(SwinVersion::V2, merging, [96, 64, 32]);
    }
}

#[test]
fn what_is_exported_is_imported_as_it_was() {
    for version in [SwinVersion::V1, SwinVersion::V2] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("monai.safetensors");
        let config = config(version, PatchMerging::V1);
        let (_, ours) = untrained(&config);
        save(&file, &export(&monai::key_map(&config), ours.clone()), &[]).unwrap();
        let (imported, report) = PretrainedWeights::from_monai(&file, PatchMerging::V1).unwrap();
        assert_eq!(imported.weights, ours);
        assert_eq!(imported.config, PretrainedConfig::Vision(BackboneConfig::SwinUnetr(config)));
        assert!(report.missing.is_empty() && report.unused.is_empty(), "{report:?}");

        let again = folder.path().join("ours.safetensors");
        imported.save(&again).unwrap();
        let loaded = PretrainedWeights::load(&again).unwrap();
        assert_eq!((loaded.weights, loaded.config), (imported.weights, imported.config));
    }
}

#[test]
fn self_supervised_weights_lack_a_decoder_and_have_other_names() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ssl.safetensors");
    let config = config(SwinVersion::V1, PatchMerging::V1);
    let renamed = external_state_dict(&config)
        .into_iter()
        .filter_map(|(name, tensor)| {
            let bare = name.strip_prefix("swinViT.")?.replace("mlp.linear", "mlp.fc");
            Some((format!("module.{bare}"), tensor))
        })
        .chain([("module.rotation_head.weight".to_owned(), filled("head", &[4, 4]))])
        .collect();
    save(&file, &renamed, &[]).unwrap();
    let (imported, report) = PretrainedWeights::from_monai(&file, PatchMerging::V1).unwrap();
    assert!(imported.weights.keys().all(|name| name.starts_with("backbone.encoder.")));
    assert!(report.missing.iter().all(|name| !name.starts_with("swinViT.")), "{:?}", report.missing);
    assert_eq!(report.unused, ["rotation_head.weight"]);
}

/// What training scripts, Lightning and MONAI's bundles put before the names.
#[test]
fn a_common_prefix_is_taken_off() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(SwinVersion::V1, PatchMerging::V1);
    let (_, ours) = untrained(&config);
    let external = export(&monai::key_map(&config), ours.clone());
    let prefixes = [
        "net.",
        "model.",
        "network.",
        "_model.",
        "module.net.",
        "model.module.",
        "model_state_dict.",
        "network_weights.",
        "checkpoint.state_dict.",
        "state_dict._model.",
    ];
    for prefix in prefixes {
        // The content decides, not the ending.
        let file = folder.path().join("checkpoint.pt");
        let prefixed = external.iter().map(|(name, tensor)| (format!("{prefix}{name}"), tensor.clone()));
        let others = ["optimizer.state.0.exp_avg", "optimizer.state.1.exp_avg", "loss.weight"];
        let others = others.map(|name| (name.to_owned(), filled("other", &[2])));
        save(&file, &prefixed.chain(others).collect(), &[]).unwrap();
        let (imported, report) = PretrainedWeights::from_monai(&file, PatchMerging::V1).unwrap();
        assert_eq!(imported.weights, ours, "{prefix}");
        assert!(report.missing.is_empty(), "{prefix}: {:?}", report.missing);
        assert_eq!(report.unused, ["loss", "optimizer.* (2 tensors)"], "{prefix}");
    }
    let file = folder.path().join("ssl.safetensors");
    let swin = external.iter().filter_map(|(name, tensor)| {
        Some((format!("state_dict.swin_vit.{}", name.strip_prefix("swinViT.")?), tensor.clone()))
    });
    save(&file, &swin.collect(), &[]).unwrap();
    let (imported, report) = PretrainedWeights::from_monai(&file, PatchMerging::V1).unwrap();
    assert!(report.unused.is_empty(), "{:?}", report.unused);
    assert!(imported.weights.iter().all(|(name, tensor)| ours[name] == *tensor));
}

#[test]
fn another_network_is_refused_with_the_names_of_its_tensors() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("unet.safetensors");
    let names = ["model.0.conv.weight", "model.0.conv.bias"];
    save(&file, &names.map(|name| (name.to_owned(), filled(name, &[2]))).into(), &[]).unwrap();
    let error = PretrainedWeights::from_monai(&file, PatchMerging::V1).unwrap_err().to_string();
    let expected = "unet.safetensors: not a Swin UNETR: no tensor is named `patch_embed.proj.weight`, with or \
                    without a prefix; its 2 tensors are model.0.conv.bias, model.0.conv.weight";
    assert!(error.ends_with(expected), "{error}");
}

#[test]
fn values_that_are_not_finite_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("nan.safetensors");
    let config = config(SwinVersion::V1, PatchMerging::V1);
    for value in [f32::NAN, f32::INFINITY] {
        let mut external = external_state_dict(&config);
        external.get_mut("encoder1.layer.conv1.conv.weight").unwrap().values[7] = value;
        save(&file, &external, &[]).unwrap();
        let error = PretrainedWeights::from_monai(&file, PatchMerging::V1).unwrap_err().to_string();
        let expected = "tensor `encoder1.layer.conv1.conv.weight` holds NaN or infinite values";
        assert!(error.ends_with(expected), "{error}");
    }
}

#[test]
fn a_checkpoint_that_was_not_imported_has_no_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("weights.safetensors");
    save(&file, &external_state_dict(&config(SwinVersion::V1, PatchMerging::V1)), &[]).unwrap();
    let reference = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/checkpoint.pt");
    for file in [file, reference] {
        let error = PretrainedWeights::load(&file).unwrap_err();
        assert!(matches!(error, Error::NotImported { .. }), "{error}");
    }
}

#[test]
fn a_wrong_shape_is_refused_by_name() {
    let config = config(SwinVersion::V1, PatchMerging::V1);
    let (_, ours) = untrained(&config);
    let mut external = external_state_dict(&config);
    external.insert("encoder2.layer.conv1.conv.weight".to_owned(), filled("wrong", &[12, 10, 3, 3, 3]));
    let names: Vec<KeyMapping> = monai::key_map(&config);
    assert!(names.iter().any(|name| name.conversion == LayoutConversion::Upsampling));
    let error = import(&names, external, &ours, Path::new("some.pt")).unwrap_err().to_string();
    let expected = "some.pt: tensor `encoder2.layer.conv1.conv.weight` has shape [12, 10, 3, 3, 3], \
                    the model needs [12, 12, 3, 3, 3]";
    assert_eq!(error, expected);
}

#[test]
fn a_file_fills_a_network_tensor_by_tensor_as_an_import_does() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("monai.safetensors");
    let config = config(SwinVersion::V2, PatchMerging::V2);
    let (_, ours) = untrained(&config);
    let names = monai::key_map(&config);
    save(&file, &export(&names, ours.clone()), &[]).unwrap();
    let blank = VisionSeg::new(
        &mut Initializer::zeros(&Device::flex()),
        &BackboneConfig::SwinUnetr(config.clone()),
        OUTPUTS,
    );
    let bytes = std::fs::read(&file).unwrap();
    let filled = load_in_place(blank.clone(), &names, &bytes, &file).unwrap();
    assert_eq!(state_dict(&filled), ours);

    let mut lacking = export(&names, ours.clone());
    lacking.remove("out.conv.conv.bias");
    save(&file, &lacking, &[]).unwrap();
    let error = load_in_place(blank.clone(), &names, &std::fs::read(&file).unwrap(), &file).unwrap_err();
    let expected = "monai.safetensors: missing tensor `out.conv.conv.bias`";
    assert!(error.to_string().ends_with(expected), "{error}");

    let mut more = export(&names, ours);
    more.insert("head".to_owned(), crate::formula::filled("head", &[2]));
    save(&file, &more, &[]).unwrap();
    let error = load_in_place(blank, &names, &std::fs::read(&file).unwrap(), &file).unwrap_err().to_string();
    assert!(error.ends_with("unexpected tensor `head`, the model has no such parameter"), "{error}");
}
