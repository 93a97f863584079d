//! Attention inside (shifted) windows with relative position bias.

use bipvl_kernels::{WindowAttentionInput, WindowPartition, window_attention};
use burn::{
    module::{Module, Param},
    tensor::Tensor,
};

use crate::{Cost, init::Initializer, layers::Linear};

/// Multi-head attention of the tokens of a window, with a learned bias per relative position.
#[derive(Module, Debug)]
pub struct WindowAttention {
    /// Query, key and value in one.
    pub qkv: Linear,
    /// After the heads are joined.
    pub projection: Linear,
    /// Bias per relative position and head, `[(2·window − 1)³, heads]`.
    pub bias_table: Param<Tensor<2>>,
}

impl WindowAttention {
    /// Attention over `channels` split into `heads`, in windows of at most `window`³ tokens.
    pub fn new(init: &mut Initializer, channels: usize, heads: usize, window: usize) -> Self {
        Self {
            qkv: init.linear(channels, 3 * channels),
            projection: init.linear(channels, channels),
            bias_table: init.normal([(2 * window - 1).pow(3), heads], 0.02),
        }
    }

    /// # Shapes
    ///
    /// - `x` and output: `[batch, x, y, z, channels]`
    pub fn forward(&self, x: Tensor<5>, partition: WindowPartition) -> Tensor<5> {
        let padding_token = self.qkv.bias.as_ref().expect("query, key and value have a bias").val();
        let qkv = self.qkv.forward(x);
        let attended = window_attention(WindowAttentionInput {
            qkv,
            // A padding token is zero before this layer.
            padding_token,
            bias_table: self.bias_table.val(),
            partition,
        });
        self.projection.forward(attended)
    }

    /// Cost for a feature map of this size, padded to whole windows; what is held counts to the Swin block.
    pub(super) fn cost(&self, size: [usize; 3], window: usize) -> Cost {
        let window = size.map(|side| window.min(side));
        let padded: usize =
            size.iter().zip(window).map(|(side, window)| side.div_ceil(window) * window).product();
        let window_tokens: usize = window.iter().product();
        let [channels, _] = self.projection.weight.dims();
        let attention =
            Cost::new(self.bias_table.dims().iter().product(), 2 * padded * window_tokens * channels, 0);
        self.qkv.cost(padded) + self.projection.cost(padded) + attention
    }
}
