//! The convolutional decoder: upsampling with skip connections to logits (paper.md section 2).

use bipvl_kernels::{checkpoint, conv_transpose3d_concat};
use burn::{module::Module, tensor::Tensor};

use super::{
    init::Initializer,
    layers::{Linear, ResidualBlock},
    vision_encoder::{STAGES, VisionConfig},
};

/// What the decoder receives.
#[derive(Clone, Debug)]
pub struct DecoderInput {
    /// `[batch, x, y, z, channels]`
    pub image: Tensor<5>,
    /// Skips after patch embedding and after stages 1 to 3, `[batch, x/2ⁱ⁺¹, .., feature_size · 2ⁱ]`.
    pub skips: [Tensor<5>; STAGES],
    /// `[batch, x/32, y/32, z/32, 16 · feature_size]`
    pub bottleneck: Tensor<5>,
}

/// What the decoder gives.
#[derive(Clone, Debug)]
pub struct DecoderOutput {
    /// `[batch, x, y, z, classes]`, background first.
    pub logits: Tensor<5>,
    /// The bottleneck after its residual block, `[batch, x/32, y/32, z/32, 16 · feature_size]`.
    pub bottleneck: Tensor<5>,
    /// Logits of the coarser scales, finest first, `[batch, x/2ⁱ, y/2ⁱ, z/2ⁱ, classes]`; for training alone.
    pub aux_logits: Vec<Tensor<5>>,
}

/// Residual blocks on the skips, and a block of upsampling per stage.
#[derive(Module, Debug)]
pub struct Decoder {
    /// On the image and on the first three skips (the fourth goes in as it is).
    pub skip_blocks: Vec<ResidualBlock>,
    /// On the bottleneck.
    pub bottleneck: ResidualBlock,
    /// From coarse to fine.
    pub up_blocks: Vec<UpBlock>,
    /// To one channel per class and background.
    pub logits: Linear,
    /// The same from the map of half the resolution, of a quarter and so on; none unless asked for.
    pub aux_logits: Vec<Linear>,
}

impl Decoder {
    /// First weights for `outputs` logit channels.
    pub fn new(init: &mut Initializer, config: &VisionConfig, out_channels: usize) -> Self {
        let channels_at = |stage| config.channels_at(stage);
        let mut skip_blocks = vec![ResidualBlock::new(init, config.channels, channels_at(0))];
        skip_blocks.extend(
            (0..STAGES - 1).map(|stage| ResidualBlock::new(init, channels_at(stage), channels_at(stage))),
        );
        let bottleneck = ResidualBlock::new(init, channels_at(STAGES), channels_at(STAGES));
        let mut up_blocks: Vec<UpBlock> = (0..STAGES)
            .rev()
            .map(|stage| UpBlock::new(init, channels_at(stage + 1), channels_at(stage)))
            .collect();
        up_blocks.push(UpBlock::new(init, channels_at(0), channels_at(0)));
        let logits = init.linear(channels_at(0), out_channels);
        Self { skip_blocks, bottleneck, up_blocks, logits, aux_logits: Vec::new() }
    }

    /// The same with logits at so many coarser `scales` (up to four).
    #[must_use]
    pub fn with_deep_supervision(
        mut self,
        init: &mut Initializer,
        config: &VisionConfig,
        scales: usize,
    ) -> Self {
        let [_, out_channels] = self.logits.weight.dims();
        self.aux_logits =
            (0..scales).map(|scale| init.linear(config.channels_at(scale), out_channels)).collect();
        self
    }

    /// From the bottleneck up to the logits.
    pub fn forward(&self, input: DecoderInput) -> DecoderOutput {
        let bottleneck = self.bottleneck.forward(input.bottleneck);
        let [first, second, third, fourth] = input.skips;
        let skips = [input.image, first, second, third, fourth];
        let mut x = bottleneck.clone();
        let mut aux_logits = Vec::new();
        for (scale, (block, skip)) in
            (0..=STAGES).rev().zip(self.up_blocks.iter().zip(skips.into_iter().rev()))
        {
            // A skip passes its block only now, so that few large maps are alive together; the deepest has none.
            let skip = match self.skip_blocks.get(scale) {
                Some(skip_block) => skip_block.forward(skip),
                None => skip,
            };
            x = block.forward(x, skip);
            // At scale 0 the map has the resolution of the image.
            let head = scale.checked_sub(1).and_then(|index| self.aux_logits.get(index));
            aux_logits.extend(head.map(|head| head.forward(x.clone())));
        }
        aux_logits.reverse();
        DecoderOutput { logits: self.logits.forward(x), bottleneck, aux_logits }
    }
}

/// Doubles the resolution, joins the skip, and convolves.
#[derive(Module, Debug)]
pub struct UpBlock {
    /// The transposed convolution (2³, stride 2) as a linear layer to the eight voxels of a cube.
    pub up: Linear,
    /// On the joined channels.
    pub block: ResidualBlock,
}

impl UpBlock {
    fn new(init: &mut Initializer, in_channels: usize, out_channels: usize) -> Self {
        let up =
            Linear { weight: init.uniform([in_channels, 8 * out_channels], 8 * out_channels), bias: None };
        Self { up, block: ResidualBlock::new(init, 2 * out_channels, out_channels) }
    }

    fn forward(&self, x: Tensor<5>, skip: Tensor<5>) -> Tensor<5> {
        checkpoint(self, [x, skip], |block, [x, skip]| {
            block.block.forward(conv_transpose3d_concat(x, block.up.weight.val(), skip))
        })
    }
}
