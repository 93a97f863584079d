//! One vision embedding per class, and the projections into the space where text and image are aligned
//! (paper.md sections 6 and 7.3).

use burn::{
    module::Module,
    tensor::{Tensor, activation::relu},
};

use super::{init::Initializer, layers::Linear};

/// Turns the bottleneck into one channel per class: Linear, ReLU, Linear for each voxel.
#[derive(Module, Debug)]
pub struct ClassEmbeddingHead {
    /// Keeps the width.
    pub hidden: Linear,
    /// To one channel per class, and background where classes exclude each other.
    pub output: Linear,
}

impl ClassEmbeddingHead {
    /// First weights.
    pub fn new(init: &mut Initializer, channels: usize, out_channels: usize) -> Self {
        Self { hidden: init.linear(channels, channels), output: init.linear(channels, out_channels) }
    }

    /// # Shapes
    ///
    /// - `bottleneck`: `[batch, x, y, z, channels]`
    /// - output: `[batch, x, y, z, outputs]`
    pub fn forward(&self, bottleneck: Tensor<5>) -> Tensor<5> {
        self.output.forward(relu(self.hidden.forward(bottleneck)))
    }
}

/// Projections of both sides into the shared space.
#[derive(Module, Debug)]
pub struct AlignmentHeads {
    /// From the voxels of the bottleneck.
    pub vision: Linear,
    /// From the text's width.
    pub text: Linear,
}

impl AlignmentHeads {
    /// First weights; `voxels` is the number of bottleneck voxels of the training patch.
    pub fn new(init: &mut Initializer, voxels: usize, hidden: usize, projection_dim: usize) -> Self {
        Self { vision: init.linear(voxels, projection_dim), text: init.linear(hidden, projection_dim) }
    }
}
