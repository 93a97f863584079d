//! Attention inside (shifted) windows with relative position bias.

use bipvl_kernels::{WindowAttentionInput, WindowPartition, window_attention};
use burn::{
    module::{Module, Param},
    tensor::Tensor,
};

use super::{init::Initializer, layers::Linear};

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
    /// - `map` and output: `[batch, x, y, z, channels]`
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
}
