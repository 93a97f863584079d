//! How many multiplications and additions a network needs for one window: those in matrix products and
//! convolutions, each counted as one of both; norms, activations and sums are not counted.

use bipvl::nn::{
    BiPvlSegConfig, SwinVersion, TextConfig, VisionConfig,
    bifusion::{FusionBlockKind, FusionConfig, FusionDirection, TextOutput},
};

/// Voxels of a 3³ filter.
const FILTER: usize = 27;
/// Layers of the fusion block of the release.
const TWO_WAY_LAYERS: usize = 2;

/// Billions for one window of `patch` voxels through the whole network as a prediction computes it: a text of
/// `classes` times `length` tokens has passed the layers that no image changes before, and those are not counted.
pub(crate) fn window_gflop(config: &BiPvlSegConfig, patch: [usize; 3], [classes, length]: [usize; 2]) -> f64 {
    let vision = swin_unetr_gflop(&config.vision, classes + 1, patch);
    let (exchange, last) = (config.fusion.direction, config.last_fused_stage());
    let first = match exchange {
        FusionDirection::None | FusionDirection::VisionToText => return vision,
        FusionDirection::LateOnly => last,
        FusionDirection::Bidirectional | FusionDirection::TextToVision => 1,
    };
    let mut products = 0;
    for stage in first..=last {
        let is_informed = exchange == FusionDirection::Bidirectional && stage > 1;
        if is_informed {
            let layers = config.text.stage_layers[stage - 1];
            products += layers * text_layer_products(&config.text, classes, length);
        }
        let afterwards = match exchange {
            FusionDirection::Bidirectional if stage < last => TextOutput::Required,
            _ => TextOutput::Unused,
        };
        products += fusion_products(
            &config.fusion,
            afterwards,
            &Meeting {
                hidden: config.text.hidden_size,
                channels: config.vision.channels_at(stage),
                text: classes * length,
                vision: patch.iter().map(|side| side >> (stage + 1)).product(),
            },
        );
    }
    vision + gflop(products)
}

/// Billions for one window of `patch` voxels through a Swin UNETR.
pub(crate) fn swin_unetr_gflop(config: &VisionConfig, outputs: usize, patch: [usize; 3]) -> f64 {
    let voxels = |level: usize| patch.iter().map(|side| side >> level).product::<usize>();
    let width = |stage: usize| config.channels_at(stage);
    let mut products = voxels(0) * config.channels * width(0) + voxels(0) * width(0) * outputs;
    for stage in 0..config.depths.len() {
        products += stage_products(config, stage, patch.map(|side| side >> (stage + 1)));
    }
    products += residual_products(config.channels, width(0), voxels(0));
    products +=
        (0..3).map(|stage| residual_products(width(stage), width(stage), voxels(stage + 1))).sum::<usize>();
    products += residual_products(width(4), width(4), voxels(5));
    for stage in 0..4 {
        products += upsampling_products(width(stage + 1), width(stage), voxels(stage + 1));
    }
    products += upsampling_products(width(0), width(0), voxels(0));
    gflop(products)
}

fn gflop(products: usize) -> f64 {
    2.0 * products as f64 / 1e9
}

/// Blocks and merging of a stage whose map has so many tokens along each axis.
fn stage_products(config: &VisionConfig, stage: usize, sides: [usize; 3]) -> usize {
    let (channels, tokens) = (config.channels_at(stage), sides.iter().product::<usize>());
    let window = sides.map(|side| config.window_size.min(side));
    // Windows are filled up to their whole size.
    let padded: usize =
        sides.iter().zip(window).map(|(side, window)| side.div_ceil(window) * window).product();
    let in_window: usize = window.iter().product();
    let attention = padded * (4 * channels * channels + 2 * in_window * channels);
    let block = attention + tokens * 8 * channels * channels;
    let convolution = match config.version {
        SwinVersion::V1 => 0,
        SwinVersion::V2 => residual_products(channels, channels, tokens),
    };
    let merged: usize = sides.iter().map(|side| side.div_ceil(2)).product();
    convolution + config.depths[stage] * block + merged * 16 * channels * channels
}

fn residual_products(inputs: usize, outputs: usize, voxels: usize) -> usize {
    let shortcut = if inputs == outputs { 0 } else { inputs * outputs };
    voxels * (FILTER * (inputs + outputs) * outputs + shortcut)
}

/// The transposed convolution to so many voxels, and the block on what it is joined with.
fn upsampling_products(inputs: usize, outputs: usize, voxels: usize) -> usize {
    voxels * inputs * outputs + residual_products(2 * outputs, outputs, voxels)
}

/// One layer of the text encoder; the tokens of a class attend to each other.
fn text_layer_products(config: &TextConfig, classes: usize, length: usize) -> usize {
    let (hidden, inner) = (config.hidden_size, config.intermediate_size);
    classes * length * (4 * hidden * hidden + 2 * hidden * inner + 2 * length * hidden)
}

/// Where text and image meet: widths and numbers of tokens.
struct Meeting {
    hidden: usize,
    channels: usize,
    text: usize,
    vision: usize,
}

/// One fusion block with its projections.
fn fusion_products(config: &FusionConfig, afterwards: TextOutput, meeting: &Meeting) -> usize {
    let Meeting { hidden, channels, text, vision } = *meeting;
    let attention = |asking: usize, answering: usize, inner: usize| {
        2 * (asking + answering) * channels * inner + 2 * asking * answering * inner
    };
    let to_itself = |tokens: usize| attention(tokens, tokens, channels);
    // Both cross-attentions have the same products.
    let across = attention(text, vision, channels / 2);
    let mlp = |tokens: usize| 2 * tokens * channels * config.mlp_size;
    let text_asks = if config.direction.updates_text() { across } else { 0 };
    let (text_mlp, image_asks) = (mlp(text), across + mlp(vision));
    let is_read = afterwards == TextOutput::Required;
    let inside = match config.block {
        FusionBlockKind::TwoWay => {
            let last_look = if is_read { across } else { 0 };
            TWO_WAY_LAYERS * (to_itself(text) + text_asks + text_mlp + image_asks) + last_look
        }
        FusionBlockKind::PreNorm => {
            let text_side = if text_asks > 0 { text_asks + text_mlp } else { 0 };
            to_itself(text) + to_itself(vision) + text_side + image_asks
        }
    };
    let projections = if hidden == channels { 0 } else { 1 + usize::from(is_read) };
    inside + projections * text * hidden * channels
}

#[cfg(test)]
mod tests {
    use bipvl::nn::{ModelSize, PatchMerging};

    use super::*;

    #[test]
    fn as_many_are_counted_as_by_pytorch() {
        // torch 2.15.0, FlopCounterMode over MONAI 1.6.1's SwinUNETR(in_channels=1, out_channels=14, use_v2=…).
        for (version, feature_size, side, expected) in REFERENCE {
            let config = VisionConfig {
                channels: 1,
                feature_size,
                depths: [2; 4],
                heads: [3, 6, 12, 24],
                window_size: 7,
                version,
                merging: PatchMerging::V2,
            };
            let found = swin_unetr_gflop(&config, 14, [side; 3]);
            assert!((found - expected).abs() < 1e-6 * expected, "expected {expected}, found {found}");
        }
    }

    #[test]
    fn a_fusion_block_and_a_text_layer_need_what_the_paper_s_shapes_say() {
        // Counted by hand from the shapes of the release for AMOS22: 15 classes of 141 tokens, 96³ voxels.
        let config = ModelSize::Paper.config(1);
        let expected = [(96, 24, 29.5e9), (192, 12, 14.9e9), (384, 6, 20.5e9), (768, 3, 43.7e9)];
        for (channels, side, expected) in expected {
            let meeting = Meeting { hidden: 768, channels, text: 15 * 141, vision: side * side * side };
            let found = fusion_products(&config.fusion, TextOutput::Required, &meeting) as f64;
            assert!((found - expected).abs() < 0.05e9, "{channels}: expected {expected}, found {found}");
        }
        let layer = text_layer_products(&config.text, 15, 141) as f64;
        assert!((layer - 15.4e9).abs() < 0.05e9, "{layer}");
    }

    #[test]
    fn a_window_costs_more_the_more_both_sides_hear_of_each_other() {
        let gflop = |exchange| {
            let mut config = ModelSize::Paper.config(1);
            config.fusion.direction = exchange;
            window_gflop(&config, [96; 3], [15, 141])
        };
        let vision = swin_unetr_gflop(&ModelSize::Paper.config(1).vision, 16, [96; 3]);
        assert_eq!(gflop(FusionDirection::None), vision);
        assert_eq!(gflop(FusionDirection::VisionToText), vision);
        let [late, one_way, both] =
            [FusionDirection::LateOnly, FusionDirection::TextToVision, FusionDirection::Bidirectional]
                .map(gflop);
        assert!(vision < late && late < one_way && one_way < both, "{vision} {late} {one_way} {both}");
    }

    #[test]
    fn the_sides_of_a_window_may_differ() {
        let config = ModelSize::Tiny.config(1).vision;
        let gflop = |patch| swin_unetr_gflop(&config, 3, patch);
        assert_eq!(gflop([32, 64, 32]), gflop([64, 32, 32]));
        assert!(gflop([32; 3]) < gflop([32, 64, 32]) && gflop([32, 64, 32]) < gflop([64; 3]));
    }

    const REFERENCE: [(SwinVersion, usize, usize, f64); 3] = [
        (SwinVersion::V1, 48, 96, 637.049_465_472),
        (SwinVersion::V1, 12, 64, 14.077_941_792),
        (SwinVersion::V2, 24, 64, 54.820_273_728),
    ];
}
