//! How many multiplications and additions a Swin UNETR needs.

use bipvl::model::{SwinVersion, VisionConfig};

/// Voxels of a 3³ filter.
const FILTER: usize = 27;

/// Billions of multiplications and additions in matrix products and convolutions of one window of `side` voxels
/// forward; norms and activations are not counted.
pub(super) fn swin_unetr_gflop(config: &VisionConfig, outputs: usize, side: usize) -> f64 {
    let cube = |level: usize| (side >> level).pow(3);
    let width = |stage: usize| config.width(stage);
    let mut products = cube(0) * config.channels * width(0) + cube(0) * width(0) * outputs;
    for stage in 0..config.depths.len() {
        products += stage_products(config, stage, side >> (stage + 1));
    }
    products += residual_products(config.channels, width(0), cube(0));
    products +=
        (0..3).map(|stage| residual_products(width(stage), width(stage), cube(stage + 1))).sum::<usize>();
    products += residual_products(width(4), width(4), cube(5));
    for stage in 0..4 {
        products += upsampling_products(width(stage + 1), width(stage), cube(stage + 1));
    }
    products += upsampling_products(width(0), width(0), cube(0));
    2.0 * products as f64 / 1e9
}

/// Blocks and merging of a stage whose map has `side` tokens along each axis.
fn stage_products(config: &VisionConfig, stage: usize, side: usize) -> usize {
    let (channels, tokens) = (config.width(stage), side.pow(3));
    let window = config.attention_window.min(side);
    // Windows are filled up to their whole size.
    let padded = (side.div_ceil(window) * window).pow(3);
    let attention = padded * (4 * channels * channels + 2 * window.pow(3) * channels);
    let block = attention + tokens * 8 * channels * channels;
    let convolution = match config.version {
        SwinVersion::V1 => 0,
        SwinVersion::V2 => residual_products(channels, channels, tokens),
    };
    let merging = side.div_ceil(2).pow(3) * 16 * channels * channels;
    convolution + config.depths[stage] * block + merging
}

fn residual_products(inputs: usize, outputs: usize, voxels: usize) -> usize {
    let shortcut = if inputs == outputs { 0 } else { inputs * outputs };
    voxels * (FILTER * (inputs + outputs) * outputs + shortcut)
}

/// The transposed convolution to so many voxels, and the block on what it is joined with.
fn upsampling_products(inputs: usize, outputs: usize, voxels: usize) -> usize {
    voxels * inputs * outputs + residual_products(2 * outputs, outputs, voxels)
}

#[cfg(test)]
mod tests {
    use bipvl::model::Merging;

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
                attention_window: 7,
                version,
                merging: Merging::Complete,
            };
            let found = swin_unetr_gflop(&config, 14, side);
            assert!((found - expected).abs() < 1e-6 * expected, "expected {expected}, found {found}");
        }
    }

    const REFERENCE: [(SwinVersion, usize, usize, f64); 3] = [
        (SwinVersion::V1, 48, 96, 637.049_465_472),
        (SwinVersion::V1, 12, 64, 14.077_941_792),
        (SwinVersion::V2, 24, 64, 54.820_273_728),
    ];
}
