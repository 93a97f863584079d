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
    pub auxiliary: Vec<Tensor<5>>,
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
    pub auxiliary: Vec<Linear>,
}

impl Decoder {
    /// First weights for `outputs` logit channels.
    pub fn new(init: &mut Initializer, config: &VisionConfig, outputs: usize) -> Self {
        let width = |stage| config.width(stage);
        let mut skip_blocks = vec![ResidualBlock::new(init, config.channels, width(0))];
        skip_blocks.extend((0..STAGES - 1).map(|stage| ResidualBlock::new(init, width(stage), width(stage))));
        let bottleneck = ResidualBlock::new(init, width(STAGES), width(STAGES));
        let mut up_blocks: Vec<UpBlock> =
            (0..STAGES).rev().map(|stage| UpBlock::new(init, width(stage + 1), width(stage))).collect();
        up_blocks.push(UpBlock::new(init, width(0), width(0)));
        let logits = init.linear(width(0), outputs);
        Self { skip_blocks, bottleneck, up_blocks, logits, auxiliary: Vec::new() }
    }

    /// The same with logits at so many coarser `scales` (up to four).
    #[must_use]
    pub fn supervised(mut self, init: &mut Initializer, config: &VisionConfig, scales: usize) -> Self {
        let [_, outputs] = self.logits.weight.dims();
        self.auxiliary = (0..scales).map(|scale| init.linear(config.width(scale), outputs)).collect();
        self
    }

    /// From the bottleneck up to the logits.
    pub fn forward(&self, input: DecoderInput) -> DecoderOutput {
        let bottleneck = self.bottleneck.forward(input.bottleneck);
        let [first, second, third, fourth] = input.skips;
        let skips = [input.image, first, second, third, fourth];
        let mut map = bottleneck.clone();
        let mut auxiliary = Vec::new();
        for (scale, (block, skip)) in
            (0..=STAGES).rev().zip(self.up_blocks.iter().zip(skips.into_iter().rev()))
        {
            // A skip passes its block only now, so that few large maps are alive together; the deepest has none.
            let skip = match self.skip_blocks.get(scale) {
                Some(skip_block) => skip_block.forward(skip),
                None => skip,
            };
            map = block.forward(map, skip);
            // At scale 0 the map has the resolution of the image.
            let head = scale.checked_sub(1).and_then(|index| self.auxiliary.get(index));
            auxiliary.extend(head.map(|head| head.forward(map.clone())));
        }
        auxiliary.reverse();
        DecoderOutput { logits: self.logits.forward(map), bottleneck, auxiliary }
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
    fn new(init: &mut Initializer, inputs: usize, outputs: usize) -> Self {
        let up = Linear { weight: init.uniform([inputs, 8 * outputs], 8 * outputs), bias: None };
        Self { up, block: ResidualBlock::new(init, 2 * outputs, outputs) }
    }

    fn forward(&self, map: Tensor<5>, skip: Tensor<5>) -> Tensor<5> {
        checkpoint(self, [map, skip], |block, [map, skip]| {
            block.block.forward(conv_transpose3d_concat(map, block.up.weight.val(), skip))
        })
    }
}
