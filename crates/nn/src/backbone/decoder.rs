//! The convolutional decoder of UNETR: upsampling with skip connections (method.md section 2).

use bipvl_kernels::{checkpoint, conv_transpose3d_concat};
use burn::{module::Module, tensor::Tensor};

use super::voxels;
use crate::{
    Cost,
    init::Initializer,
    layers::{Linear, ResidualBlock},
};

/// Maps of an up block beside those of its residual block: the concatenation with the skip, twice as wide.
const CONCAT_MAPS: usize = 2;

/// Input of the decoder.
#[derive(Clone, Debug)]
pub struct DecoderInput {
    /// `[batch, x, y, z, in_channels]`
    pub image: Tensor<5>,
    /// Normalized feature maps of all levels but the last, finest first, `[batch, x/2ⁱ⁺¹, .., channels]`.
    pub skips: Vec<Tensor<5>>,
    /// Normalized feature map of the last level.
    pub bottleneck: Tensor<5>,
}

/// Output of the decoder.
#[derive(Clone, Debug)]
pub struct DecoderOutput {
    /// Feature maps, finest first: scale `s` is `[batch, x/2ˢ, y/2ˢ, z/2ˢ, channels]`.
    pub features: Vec<Tensor<5>>,
    /// The bottleneck after its residual block.
    pub bottleneck: Tensor<5>,
}

/// A residual block per skip connection, and an upsampling block per scale.
#[derive(Module, Debug)]
pub struct Decoder {
    /// On the image and on every skip but the deepest, which enters as it is.
    pub skip_blocks: Vec<ResidualBlock>,
    /// On the bottleneck.
    pub bottleneck: ResidualBlock,
    /// From coarse to fine.
    pub up_blocks: Vec<UpBlock>,
}

impl Decoder {
    /// Randomly initialized, for feature maps with these `channels` per level.
    pub fn new(init: &mut Initializer, in_channels: usize, channels: &[usize]) -> Self {
        let (deepest, skips) = channels.split_last().expect("a stem at least");
        let mut skip_blocks = vec![ResidualBlock::new(init, in_channels, channels[0])];
        let passed = skips.iter().take(skips.len().saturating_sub(1));
        skip_blocks.extend(passed.map(|channels| ResidualBlock::new(init, *channels, *channels)));
        let bottleneck = ResidualBlock::new(init, *deepest, *deepest);
        let steps = channels.windows(2).rev();
        let mut up_blocks: Vec<UpBlock> = steps.map(|pair| UpBlock::new(init, pair[1], pair[0])).collect();
        up_blocks.push(UpBlock::new(init, channels[0], channels[0]));
        Self { skip_blocks, bottleneck, up_blocks }
    }

    /// Feature maps of the `num_scales` finest scales.
    pub fn forward(&self, input: DecoderInput, num_scales: usize) -> DecoderOutput {
        let bottleneck = self.bottleneck.forward(input.bottleneck);
        let mut skips = vec![input.image];
        skips.extend(input.skips);
        let mut x = bottleneck.clone();
        let mut features = Vec::with_capacity(num_scales);
        for block in &self.up_blocks {
            let skip = skips.pop().expect("a skip per up block");
            let scale = skips.len();
            // A skip passes its block only now, which keeps few large maps alive; the deepest has none.
            let skip = match self.skip_blocks.get(scale) {
                Some(skip_block) => skip_block.forward(skip),
                None => skip,
            };
            x = block.forward(x, skip);
            if scale < num_scales {
                features.push(x.clone());
            }
        }
        features.reverse();
        DecoderOutput { features, bottleneck }
    }

    /// Cost for a batch of patches.
    pub fn cost(&self, batch: usize, patch: [usize; 3]) -> Cost {
        let levels = self.up_blocks.len();
        let skips = self.skip_blocks.iter().enumerate();
        let skips: Cost = skips.map(|(scale, block)| block.cost(voxels(patch, scale))).sum();
        let up_blocks = self.up_blocks.iter().zip((0..levels).rev());
        let up_blocks: Cost = up_blocks.map(|(block, scale)| block.cost(voxels(patch, scale))).sum();
        (skips + self.bottleneck.cost(voxels(patch, levels)) + up_blocks).batched(batch)
    }
}

/// Doubles the resolution, concatenates the skip, and convolves.
#[derive(Module, Debug)]
pub struct UpBlock {
    /// The transposed convolution (2³, stride 2) as a linear layer to the eight voxels of a cube.
    pub up: Linear,
    /// On the concatenated channels.
    pub block: ResidualBlock,
}

impl UpBlock {
    fn new(init: &mut Initializer, in_channels: usize, out_channels: usize) -> Self {
        let weight = init.uniform([in_channels, 8 * out_channels], 8 * out_channels);
        let up = Linear { weight, bias: None };
        Self { up, block: ResidualBlock::new(init, 2 * out_channels, out_channels) }
    }

    fn forward(&self, x: Tensor<5>, skip: Tensor<5>) -> Tensor<5> {
        checkpoint(self, [x, skip], |block, [x, skip]| {
            block.block.forward(conv_transpose3d_concat(x, block.up.weight.val(), skip))
        })
    }

    /// Cost for an output of so many voxels.
    fn cost(&self, voxels: usize) -> Cost {
        let map = voxels * self.block.out_channels();
        let cost = self.up.cost(voxels / 8) + self.block.cost(voxels) + Cost::activations(CONCAT_MAPS * map);
        cost.checkpointed(map)
    }
}
