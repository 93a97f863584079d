//! Our names for the tensors of MONAI's Swin UNETR, versions 1 and 2 (paper.md 3.6).
//!
//! | theirs | ours |
//! |---|---|
//! | `swinViT.patch_embed.proj` | `vision_encoder.patch_embed` |
//! | `swinViT.layersS.0.blocks.B.norm{1,2}` | `vision_encoder.stages.S.blocks.B.norm{1,2}` |
//! | `….attn.{qkv,proj}` | `….attention.{qkv,projection}` |
//! | `….attn.relative_position_bias_table` | `….attention.bias_table` |
//! | `….mlp.linear{1,2}` | `….mlp.{up,down}` |
//! | `swinViT.layersS.0.downsample.{norm,reduction}` | `vision_encoder.stages.S.merging.{norm,reduction}` |
//! | `swinViT.layersSc.0.layer.conv{1,2}.conv` | `vision_encoder.stages.S.convolution.conv{1,2}` |
//! | `encoder{1,2,3,4}.layer` | `decoder.skip_blocks.{0,1,2,3}` |
//! | `encoder10.layer` | `decoder.bottleneck` |
//! | `decoder{5..1}.transp_conv.conv` | `decoder.up_blocks.{0..4}.up` |
//! | `decoder{5..1}.conv_block` | `decoder.up_blocks.{0..4}.block` |
//! | `out.conv.conv` | `decoder.logits` |
//!
//! Weights of the self-supervised pre-training lack the first word and call the perceptron `fc1`, `fc2`;
//! a training on several cards puts `module.` before everything.

use std::path::Path;

use super::{KeyMapping, LayoutConversion};
use crate::{Error, Result};
use crate::{PatchMerging, SwinVersion, VisionConfig, vision_encoder::STAGES, weights::StateDict};

/// Published names without what a training on several cards or a pre-training changed in them.
pub fn strip_key_prefixes(published: StateDict) -> StateDict {
    let plain = |name: String| {
        let name = name.strip_prefix("module.").map(str::to_owned).unwrap_or(name);
        let name = name.replace(".mlp.fc1.", ".mlp.linear1.").replace(".mlp.fc2.", ".mlp.linear2.");
        let is_bare = ["patch_embed.", "layers"].iter().any(|start| name.starts_with(start));
        if is_bare { format!("swinViT.{name}") } else { name }
    };
    let is_weight = |name: &String| !name.ends_with("relative_position_index");
    published
        .into_iter()
        .map(|(name, tensor)| (plain(name), tensor))
        .filter(|(name, _)| is_weight(name))
        .collect()
}

/// The sizes of a published network, read off its tensors, and its logit channels (2 when it has none). How
/// it merges patches is not to be seen in them.
///
/// # Errors
///
/// When the tensors are not those of a Swin UNETR.
pub fn read_config(
    published: &StateDict,
    merging: PatchMerging,
    file: &Path,
) -> Result<(VisionConfig, usize)> {
    let shape = |name: &str| {
        let found = published.get(name).map(|tensor| tensor.shape.clone());
        found.ok_or_else(|| Error::content(file, format!("a Swin UNETR with {name}"), "none"))
    };
    let embed = shape("swinViT.patch_embed.proj.weight")?;
    let table = |stage: usize| {
        shape(&format!("swinViT.layers{}.0.blocks.0.attn.relative_position_bias_table", stage + 1))
    };
    let mut heads = [0; STAGES];
    let mut depths = [0; STAGES];
    for stage in 0..STAGES {
        heads[stage] = table(stage)?.get(1).copied().unwrap_or(0);
        let start = |block: usize| format!("swinViT.layers{}.0.blocks.{block}.norm1.weight", stage + 1);
        depths[stage] =
            (0..published.len()).take_while(|block| published.contains_key(&start(*block))).count();
    }
    // A table has (2w − 1)³ rows.
    let rows = table(0)?.first().copied().unwrap_or(0);
    let side = (rows as f64).cbrt().round() as usize;
    let is_v2 = published.contains_key("swinViT.layers1c.0.layer.conv1.conv.weight");
    let config = VisionConfig {
        channels: embed.get(1).copied().unwrap_or(0),
        feature_size: embed.first().copied().unwrap_or(0),
        depths,
        heads,
        window_size: side.div_ceil(2),
        version: if is_v2 { SwinVersion::V2 } else { SwinVersion::V1 },
        merging,
    };
    let out_channels =
        published.get("out.conv.conv.bias").and_then(|bias| bias.shape.first().copied()).unwrap_or(2);
    Ok((config, out_channels))
}

/// Every tensor of a network of these sizes under both names.
pub fn key_map(config: &VisionConfig) -> Vec<KeyMapping> {
    let mut names = vec![
        KeyMapping::new(
            "swinViT.patch_embed.proj.weight",
            "vision_encoder.patch_embed.weight",
            LayoutConversion::PatchEmbedding,
        ),
        KeyMapping::new(
            "swinViT.patch_embed.proj.bias",
            "vision_encoder.patch_embed.bias",
            LayoutConversion::AsIs,
        ),
    ];
    for stage in 0..STAGES {
        stage_names(&mut names, config, stage);
    }
    for (index, encoder) in ["encoder1", "encoder2", "encoder3", "encoder4"].into_iter().enumerate() {
        let is_image = index == 0;
        let changes_width = is_image && config.channels != config.feature_size;
        residual_names(
            &mut names,
            &format!("{encoder}.layer"),
            &format!("decoder.skip_blocks.{index}"),
            changes_width,
        );
    }
    residual_names(&mut names, "encoder10.layer", "decoder.bottleneck", false);
    for (index, decoder) in
        ["decoder5", "decoder4", "decoder3", "decoder2", "decoder1"].into_iter().enumerate()
    {
        let internal = format!("decoder.up_blocks.{index}");
        names.push(KeyMapping::new(
            format!("{decoder}.transp_conv.conv.weight"),
            format!("{internal}.up.weight"),
            LayoutConversion::Upsampling,
        ));
        residual_names(&mut names, &format!("{decoder}.conv_block"), &format!("{internal}.block"), true);
    }
    names.push(KeyMapping::new("out.conv.conv.weight", "decoder.logits.weight", LayoutConversion::Pointwise));
    names.push(KeyMapping::new("out.conv.conv.bias", "decoder.logits.bias", LayoutConversion::AsIs));
    names
}

fn stage_names(names: &mut Vec<KeyMapping>, config: &VisionConfig, stage: usize) {
    let number = stage + 1;
    let internal = format!("vision_encoder.stages.{stage}");
    if config.version == SwinVersion::V2 {
        let external = format!("swinViT.layers{number}c.0.layer");
        residual_names(names, &external, &format!("{internal}.convolution"), false);
    }
    for block in 0..config.depths[stage] {
        let external = format!("swinViT.layers{number}.0.blocks.{block}");
        let internal = format!("{internal}.blocks.{block}");
        norm_names(names, &format!("{external}.norm1"), &format!("{internal}.norm1"));
        norm_names(names, &format!("{external}.norm2"), &format!("{internal}.norm2"));
        for (their_part, our_part) in [
            ("attn.qkv", "attention.qkv"),
            ("attn.proj", "attention.projection"),
            ("mlp.linear1", "mlp.up"),
            ("mlp.linear2", "mlp.down"),
        ] {
            let (external, internal) = (format!("{external}.{their_part}"), format!("{internal}.{our_part}"));
            names.push(KeyMapping::new(
                format!("{external}.weight"),
                format!("{internal}.weight"),
                LayoutConversion::Linear,
            ));
            names.push(KeyMapping::new(
                format!("{external}.bias"),
                format!("{internal}.bias"),
                LayoutConversion::AsIs,
            ));
        }
        let table = format!("{external}.attn.relative_position_bias_table");
        names.push(KeyMapping::new(
            table,
            format!("{internal}.attention.bias_table"),
            LayoutConversion::AsIs,
        ));
    }
    let (external, internal) =
        (format!("swinViT.layers{number}.0.downsample"), format!("{internal}.merging"));
    norm_names(names, &format!("{external}.norm"), &format!("{internal}.norm"));
    let reduction = KeyMapping::new(
        format!("{external}.reduction.weight"),
        format!("{internal}.reduction.weight"),
        LayoutConversion::Linear,
    );
    names.push(reduction);
}

fn norm_names(names: &mut Vec<KeyMapping>, external: &str, internal: &str) {
    names.push(KeyMapping::new(
        format!("{external}.weight"),
        format!("{internal}.gamma"),
        LayoutConversion::AsIs,
    ));
    names.push(KeyMapping::new(
        format!("{external}.bias"),
        format!("{internal}.beta"),
        LayoutConversion::AsIs,
    ));
}

fn residual_names(names: &mut Vec<KeyMapping>, external: &str, internal: &str, changes_width: bool) {
    for conv in ["conv1", "conv2"] {
        names.push(KeyMapping::new(
            format!("{external}.{conv}.conv.weight"),
            format!("{internal}.{conv}"),
            LayoutConversion::Convolution,
        ));
    }
    if changes_width {
        let shortcut = format!("{internal}.shortcut.weight");
        names.push(KeyMapping::new(
            format!("{external}.conv3.conv.weight"),
            shortcut,
            LayoutConversion::Pointwise,
        ));
    }
}
