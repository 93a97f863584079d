//! Small layers that several boxes of the figure share.

use bipvl_kernels::{checkpoint, conv3d, gelu, instance_norm, instance_norm_add, layer_norm, linear};
use burn::{
    module::{Module, Param},
    tensor::{Device, Tensor},
};

use super::init::Initializer;

/// Epsilon of every norm of the vision side.
pub(super) const EPSILON: f32 = 1e-5;
/// Slope of the leaky ReLU for negative values.
const NEGATIVE_SLOPE: f32 = 0.01;
/// Slope that makes a leaky ReLU the identity.
const IDENTITY_SLOPE: f32 = 1.0;

/// A linear layer over the last axis.
#[derive(Module, Debug)]
pub struct Linear {
    /// `[inputs, outputs]`
    pub weight: Param<Tensor<2>>,
    /// `[outputs]`
    pub bias: Option<Param<Tensor<1>>>,
}

impl Linear {
    /// # Shapes
    ///
    /// - input: `[.., inputs]`
    /// - output: `[.., outputs]`
    pub fn forward<const D: usize>(&self, input: Tensor<D>) -> Tensor<D> {
        linear(input, self.weight.val(), self.bias.as_ref().map(Param::val))
    }
}

/// Layer norm with a learned scale and shift over the last axis.
#[derive(Module, Debug)]
pub struct LayerNorm {
    /// Scale, `[channels]`.
    pub gamma: Param<Tensor<1>>,
    /// Shift, `[channels]`.
    pub beta: Param<Tensor<1>>,
    epsilon: f64,
}

impl LayerNorm {
    /// The identity scale over `channels`.
    pub fn new(init: &Initializer, channels: usize, epsilon: f32) -> Self {
        let (gamma, beta) = (init.constant([channels], 1.0), init.constant([channels], 0.0));
        Self { gamma, beta, epsilon: f64::from(epsilon) }
    }

    /// # Shapes
    ///
    /// - input and output: `[.., channels]`
    pub fn forward<const D: usize>(&self, input: Tensor<D>) -> Tensor<D> {
        layer_norm(input, self.gamma.val(), self.beta.val(), self.epsilon as f32)
    }
}

/// Layer norm over the last axis without scale and shift, as the skips have it.
pub fn normalize<const D: usize>(input: Tensor<D>) -> Tensor<D> {
    let device: Device = input.device();
    let channels = input.dims()[D - 1];
    layer_norm(input, Tensor::ones([channels], &device), Tensor::zeros([channels], &device), EPSILON)
}

/// Linear, exact GELU, linear.
#[derive(Module, Debug)]
pub struct Mlp {
    /// Widens.
    pub up: Linear,
    /// Narrows again.
    pub down: Linear,
}

impl Mlp {
    /// # Shapes
    ///
    /// - input and output: `[.., channels]`
    pub fn forward<const D: usize>(&self, input: Tensor<D>) -> Tensor<D> {
        self.down.forward(gelu(self.up.forward(input)))
    }
}

/// Two 3³ convolutions with instance norm and leaky ReLU, around which the input is carried: MONAI's
/// `UnetResBlock`.
#[derive(Module, Debug)]
pub struct ResidualBlock {
    /// First filter, `[3, 3, 3, inputs, outputs]`.
    pub conv1: Param<Tensor<5>>,
    /// Second filter, `[3, 3, 3, outputs, outputs]`.
    pub conv2: Param<Tensor<5>>,
    /// 1³ convolution of the carried input, where the number of channels changes.
    pub shortcut: Option<Linear>,
}

impl ResidualBlock {
    /// A block from `inputs` to `outputs` channels.
    pub fn new(init: &mut Initializer, in_channels: usize, out_channels: usize) -> Self {
        Self {
            conv1: init.uniform([3, 3, 3, in_channels, out_channels], 27 * in_channels),
            conv2: init.uniform([3, 3, 3, out_channels, out_channels], 27 * out_channels),
            shortcut: (in_channels != out_channels)
                .then(|| init.linear_without_bias(in_channels, out_channels)),
        }
    }

    /// # Shapes
    ///
    /// - input: `[batch, x, y, z, inputs]`
    /// - output: `[batch, x, y, z, outputs]`
    pub fn forward(&self, input: Tensor<5>) -> Tensor<5> {
        checkpoint(self, [input], |block, [input]| block.convolve(input))
    }

    fn convolve(&self, input: Tensor<5>) -> Tensor<5> {
        let residual = match &self.shortcut {
            Some(shortcut) => instance_norm(shortcut.forward(input.clone()), EPSILON, IDENTITY_SLOPE),
            None => input.clone(),
        };
        // The input may be the largest map of the network: nothing but the first convolution keeps it alive.
        let hidden = instance_norm(conv3d(input, self.conv1.val()), EPSILON, NEGATIVE_SLOPE);
        instance_norm_add(conv3d(hidden, self.conv2.val()), residual, EPSILON, NEGATIVE_SLOPE)
    }
}
