//! The names of the tensors of MONAI's `SwinUNETR`, versions 1 and 2 (method.md 3.6).
//!
//! | MONAI | ours |
//! |---|---|
//! | `swinViT.patch_embed.proj` | `backbone.encoder.patch_embed` |
//! | `swinViT.layersS.0.blocks.B.norm{1,2}` | `backbone.encoder.stages.S.blocks.B.norm{1,2}` |
//! | `….attn.{qkv,proj}` | `….attention.{qkv,projection}` |
//! | `….attn.relative_position_bias_table` | `….attention.bias_table` |
//! | `….mlp.linear{1,2}` | `….mlp.{up,down}` |
//! | `swinViT.layersS.0.downsample.{norm,reduction}` | `backbone.encoder.stages.S.merging.{norm,reduction}` |
//! | `swinViT.layersSc.0.layer.conv{1,2}.conv` | `backbone.encoder.stages.S.convolution.conv{1,2}` |
//! | `encoder{1,2,3,4}.layer` | `backbone.decoder.skip_blocks.{0,1,2,3}` |
//! | `encoder10.layer` | `backbone.decoder.bottleneck` |
//! | `decoder{5..1}.transp_conv.conv` | `backbone.decoder.up_blocks.{0..4}.up` |
//! | `decoder{5..1}.conv_block` | `backbone.decoder.up_blocks.{0..4}.block` |
//! | `out.conv.conv` | `segmentation.logits` |
//!
//! Weights of the self-supervised pre-training lack `swinViT.` or spell it `swin_vit.`, and call the layers of the MLP
//! `fc1` and `fc2`.

use std::path::Path;

use super::{Architecture, Checkpoint, KeyMapping, LayoutConversion};
use crate::{PatchMerging, Result, SwinUnetrConfig, SwinVersion, backbone::swin::STAGES};

/// How a Swin UNETR is recognized in a checkpoint.
const SWIN_UNETR: Architecture = Architecture {
    name: "Swin UNETR",
    anchor: "patch_embed.proj.weight",
    submodules: &["swinViT.", "swin_vit."],
};

/// Reads the checkpoint of a Swin UNETR, or of its pre-trained encoder, under MONAI's names without a prefix.
///
/// # Errors
///
/// As [`Checkpoint::read`].
pub fn read(file: &Path) -> Result<Checkpoint> {
    let checkpoint = Checkpoint::read(file, &SWIN_UNETR)?;
    let plain = |name: String| {
        let name = name.strip_prefix("swin_vit.").map(|name| format!("swinViT.{name}")).unwrap_or(name);
        let name = name.replace(".mlp.fc1.", ".mlp.linear1.").replace(".mlp.fc2.", ".mlp.linear2.");
        let is_bare = ["patch_embed.", "layers"].iter().any(|start| name.starts_with(start));
        if is_bare { format!("swinViT.{name}") } else { name }
    };
    let is_weight = |name: &String| !name.ends_with("relative_position_index");
    let tensors = checkpoint.state_dict.into_iter().map(|(name, tensor)| (plain(name), tensor));
    let state_dict = tensors.filter(|(name, _)| is_weight(name)).collect();
    Ok(Checkpoint { state_dict, ..checkpoint })
}

/// The configuration of a Swin UNETR by the shapes of its tensors, and its logit channels (2 without a head). They do
/// not determine the patch merging.
///
/// # Errors
///
/// When a tensor is missing.
pub fn infer_config(checkpoint: &Checkpoint, merging: PatchMerging) -> Result<(SwinUnetrConfig, usize)> {
    let size = |name: &str, axis: usize| -> Result<usize> {
        Ok(checkpoint.shape(name)?.get(axis).copied().unwrap_or(0))
    };
    let has = |name: &str| checkpoint.state_dict.contains_key(name);
    let bias_table =
        |stage: usize| format!("swinViT.layers{}.0.blocks.0.attn.relative_position_bias_table", stage + 1);
    let mut heads = [0; STAGES];
    let mut depths = [0; STAGES];
    for stage in 0..STAGES {
        heads[stage] = size(&bias_table(stage), 1)?;
        let norm = |block: &usize| has(&format!("swinViT.layers{}.0.blocks.{block}.norm1.weight", stage + 1));
        depths[stage] = (0..checkpoint.state_dict.len()).take_while(norm).count();
    }
    // A table has (2w − 1)³ rows.
    let rows = size(&bias_table(0), 0)?;
    let side = (rows as f64).cbrt().round() as usize;
    let is_v2 = has("swinViT.layers1c.0.layer.conv1.conv.weight");
    let config = SwinUnetrConfig {
        in_channels: size("swinViT.patch_embed.proj.weight", 1)?,
        feature_size: size("swinViT.patch_embed.proj.weight", 0)?,
        depths,
        heads,
        window_size: side.div_ceil(2),
        version: if is_v2 { SwinVersion::V2 } else { SwinVersion::V1 },
        merging,
    };
    Ok((config, size("out.conv.conv.bias", 0).unwrap_or(2)))
}

/// Every parameter of a network of these sizes under both names.
pub fn key_map(config: &SwinUnetrConfig) -> Vec<KeyMapping> {
    let mut names = vec![
        KeyMapping::new(
            "swinViT.patch_embed.proj.weight",
            "backbone.encoder.patch_embed.weight",
            LayoutConversion::PatchEmbedding,
        ),
        KeyMapping::new(
            "swinViT.patch_embed.proj.bias",
            "backbone.encoder.patch_embed.bias",
            LayoutConversion::AsIs,
        ),
    ];
    for stage in 0..STAGES {
        stage_names(&mut names, config, stage);
    }
    for (index, encoder) in ["encoder1", "encoder2", "encoder3", "encoder4"].into_iter().enumerate() {
        let is_image = index == 0;
        let has_shortcut = is_image && config.in_channels != config.feature_size;
        residual_names(
            &mut names,
            &format!("{encoder}.layer"),
            &format!("backbone.decoder.skip_blocks.{index}"),
            has_shortcut,
        );
    }
    residual_names(&mut names, "encoder10.layer", "backbone.decoder.bottleneck", false);
    for (index, decoder) in
        ["decoder5", "decoder4", "decoder3", "decoder2", "decoder1"].into_iter().enumerate()
    {
        let internal = format!("backbone.decoder.up_blocks.{index}");
        names.push(KeyMapping::new(
            format!("{decoder}.transp_conv.conv.weight"),
            format!("{internal}.up.weight"),
            LayoutConversion::Upsampling,
        ));
        residual_names(&mut names, &format!("{decoder}.conv_block"), &format!("{internal}.block"), true);
    }
    names.push(KeyMapping::new(
        "out.conv.conv.weight",
        "segmentation.logits.weight",
        LayoutConversion::Pointwise,
    ));
    names.push(KeyMapping::new("out.conv.conv.bias", "segmentation.logits.bias", LayoutConversion::AsIs));
    names
}

fn stage_names(names: &mut Vec<KeyMapping>, config: &SwinUnetrConfig, stage: usize) {
    let number = stage + 1;
    let internal = format!("backbone.encoder.stages.{stage}");
    if config.version == SwinVersion::V2 {
        let external = format!("swinViT.layers{number}c.0.layer");
        residual_names(names, &external, &format!("{internal}.convolution"), false);
    }
    for block in 0..config.depths[stage] {
        let external = format!("swinViT.layers{number}.0.blocks.{block}");
        let internal = format!("{internal}.blocks.{block}");
        names.extend(KeyMapping::layer_norm(&format!("{external}.norm1"), &format!("{internal}.norm1")));
        names.extend(KeyMapping::layer_norm(&format!("{external}.norm2"), &format!("{internal}.norm2")));
        for (their_part, our_part) in [
            ("attn.qkv", "attention.qkv"),
            ("attn.proj", "attention.projection"),
            ("mlp.linear1", "mlp.up"),
            ("mlp.linear2", "mlp.down"),
        ] {
            let (external, internal) = (format!("{external}.{their_part}"), format!("{internal}.{our_part}"));
            names.extend(KeyMapping::linear(&external, &internal));
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
    names.extend(KeyMapping::layer_norm(&format!("{external}.norm"), &format!("{internal}.norm")));
    let reduction = KeyMapping::new(
        format!("{external}.reduction.weight"),
        format!("{internal}.reduction.weight"),
        LayoutConversion::Linear,
    );
    names.push(reduction);
}

fn residual_names(names: &mut Vec<KeyMapping>, external: &str, internal: &str, has_shortcut: bool) {
    for conv in ["conv1", "conv2"] {
        names.push(KeyMapping::new(
            format!("{external}.{conv}.conv.weight"),
            format!("{internal}.{conv}"),
            LayoutConversion::Convolution,
        ));
    }
    if has_shortcut {
        let shortcut = format!("{internal}.shortcut.weight");
        names.push(KeyMapping::new(
            format!("{external}.conv3.conv.weight"),
            shortcut,
            LayoutConversion::Pointwise,
        ));
    }
}
