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

use super::{Form, Name};
use crate::{Error, Result};
use crate::{Merging, SwinVersion, VisionConfig, vision_encoder::STAGES, weights::StateDict};

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
pub fn read_config(published: &StateDict, merging: Merging, file: &Path) -> Result<(VisionConfig, usize)> {
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
    let outputs =
        published.get("out.conv.conv.bias").and_then(|bias| bias.shape.first().copied()).unwrap_or(2);
    Ok((config, outputs))
}

/// Every tensor of a network of these sizes under both names.
pub fn names(config: &VisionConfig) -> Vec<Name> {
    let mut names = vec![
        Name::new(
            "swinViT.patch_embed.proj.weight",
            "vision_encoder.patch_embed.weight",
            Form::PatchEmbedding,
        ),
        Name::new("swinViT.patch_embed.proj.bias", "vision_encoder.patch_embed.bias", Form::AsIs),
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
        let ours = format!("decoder.up_blocks.{index}");
        names.push(Name::new(
            format!("{decoder}.transp_conv.conv.weight"),
            format!("{ours}.up.weight"),
            Form::Upsampling,
        ));
        residual_names(&mut names, &format!("{decoder}.conv_block"), &format!("{ours}.block"), true);
    }
    names.push(Name::new("out.conv.conv.weight", "decoder.logits.weight", Form::Pointwise));
    names.push(Name::new("out.conv.conv.bias", "decoder.logits.bias", Form::AsIs));
    names
}

fn stage_names(names: &mut Vec<Name>, config: &VisionConfig, stage: usize) {
    let number = stage + 1;
    let ours = format!("vision_encoder.stages.{stage}");
    if config.version == SwinVersion::V2 {
        let theirs = format!("swinViT.layers{number}c.0.layer");
        residual_names(names, &theirs, &format!("{ours}.convolution"), false);
    }
    for block in 0..config.depths[stage] {
        let theirs = format!("swinViT.layers{number}.0.blocks.{block}");
        let ours = format!("{ours}.blocks.{block}");
        norm_names(names, &format!("{theirs}.norm1"), &format!("{ours}.norm1"));
        norm_names(names, &format!("{theirs}.norm2"), &format!("{ours}.norm2"));
        for (their_part, our_part) in [
            ("attn.qkv", "attention.qkv"),
            ("attn.proj", "attention.projection"),
            ("mlp.linear1", "mlp.up"),
            ("mlp.linear2", "mlp.down"),
        ] {
            let (theirs, ours) = (format!("{theirs}.{their_part}"), format!("{ours}.{our_part}"));
            names.push(Name::new(format!("{theirs}.weight"), format!("{ours}.weight"), Form::Linear));
            names.push(Name::new(format!("{theirs}.bias"), format!("{ours}.bias"), Form::AsIs));
        }
        let table = format!("{theirs}.attn.relative_position_bias_table");
        names.push(Name::new(table, format!("{ours}.attention.bias_table"), Form::AsIs));
    }
    let (theirs, ours) = (format!("swinViT.layers{number}.0.downsample"), format!("{ours}.merging"));
    norm_names(names, &format!("{theirs}.norm"), &format!("{ours}.norm"));
    let reduction =
        Name::new(format!("{theirs}.reduction.weight"), format!("{ours}.reduction.weight"), Form::Linear);
    names.push(reduction);
}

fn norm_names(names: &mut Vec<Name>, theirs: &str, ours: &str) {
    names.push(Name::new(format!("{theirs}.weight"), format!("{ours}.gamma"), Form::AsIs));
    names.push(Name::new(format!("{theirs}.bias"), format!("{ours}.beta"), Form::AsIs));
}

fn residual_names(names: &mut Vec<Name>, theirs: &str, ours: &str, changes_width: bool) {
    for conv in ["conv1", "conv2"] {
        names.push(Name::new(
            format!("{theirs}.{conv}.conv.weight"),
            format!("{ours}.{conv}"),
            Form::Convolution,
        ));
    }
    if changes_width {
        let shortcut = format!("{ours}.shortcut.weight");
        names.push(Name::new(format!("{theirs}.conv3.conv.weight"), shortcut, Form::Pointwise));
    }
}
