//! Small layers that several blocks share.

use bipvl_kernels::{checkpoint, conv3d, gelu, instance_norm, instance_norm_add, layer_norm, linear};
use burn::{
    module::{Module, Param},
    tensor::{Device, Tensor},
};

use crate::{Cost, init::Initializer};

/// Epsilon of every norm of the vision side.
pub(super) const EPSILON: f32 = 1e-5;
/// Length below which a vector is not scaled up; `eps` of PyTorch's `F.normalize`.
pub const NORM_EPS: f64 = 1e-12;
/// Negative slope of the leaky ReLU.
const NEGATIVE_SLOPE: f32 = 0.01;
/// Slope that makes a leaky ReLU the identity.
const IDENTITY_SLOPE: f32 = 1.0;
/// Values of a 3³ filter.
const FILTER: usize = 27;
/// Maps that a residual block holds for the backward pass: its first convolution, the norm after it, its second
/// convolution, the sum; and the shortcut, where there is one.
const RESIDUAL_MAPS: usize = 4;

/// A linear layer over the last axis.
#[derive(Module, Debug)]
pub struct Linear {
    /// `[in_features, out_features]`
    pub weight: Param<Tensor<2>>,
    /// `[out_features]`
    pub bias: Option<Param<Tensor<1>>>,
}

impl Linear {
    /// # Shapes
    ///
    /// - input: `[.., in_features]`
    /// - output: `[.., out_features]`
    pub fn forward<const D: usize>(&self, input: Tensor<D>) -> Tensor<D> {
        linear(input, self.weight.val(), self.bias.as_ref().map(Param::val))
    }

    /// Cost for so many rows; what is held counts to the block around it.
    pub fn cost(&self, rows: usize) -> Cost {
        let [in_features, out_features] = self.weight.dims();
        Cost::new(self.num_params(), rows * in_features * out_features, 0)
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

    /// Its parameters; what is held counts to the block around it.
    pub fn cost(&self) -> Cost {
        Cost::new(self.num_params(), 0, 0)
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
    /// To the hidden size.
    pub up: Linear,
    /// From the hidden size.
    pub down: Linear,
}

impl Mlp {
    /// # Shapes
    ///
    /// - input and output: `[.., channels]`
    pub fn forward<const D: usize>(&self, input: Tensor<D>) -> Tensor<D> {
        self.down.forward(gelu(self.up.forward(input)))
    }

    /// Cost for so many rows; the hidden values before and after GELU are held.
    pub fn cost(&self, rows: usize) -> Cost {
        let [_, hidden] = self.up.weight.dims();
        self.up.cost(rows) + self.down.cost(rows) + Cost::activations(2 * rows * hidden)
    }
}

/// Two 3³ convolutions with instance norm and leaky ReLU, and a residual connection: MONAI's `UnetResBlock`.
#[derive(Module, Debug)]
pub struct ResidualBlock {
    /// First filter, `[3, 3, 3, in_channels, out_channels]`.
    pub conv1: Param<Tensor<5>>,
    /// Second filter, `[3, 3, 3, out_channels, out_channels]`.
    pub conv2: Param<Tensor<5>>,
    /// 1³ convolution of the residual, where the number of channels changes.
    pub shortcut: Option<Linear>,
}

impl ResidualBlock {
    /// A block from `in_channels` to `out_channels`.
    pub fn new(init: &mut Initializer, in_channels: usize, out_channels: usize) -> Self {
        Self {
            conv1: init.uniform([3, 3, 3, in_channels, out_channels], FILTER * in_channels),
            conv2: init.uniform([3, 3, 3, out_channels, out_channels], FILTER * out_channels),
            shortcut: (in_channels != out_channels)
                .then(|| init.linear_without_bias(in_channels, out_channels)),
        }
    }

    /// # Shapes
    ///
    /// - input: `[batch, x, y, z, in_channels]`
    /// - output: `[batch, x, y, z, out_channels]`
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

    /// Channels of the output.
    pub fn out_channels(&self) -> usize {
        self.conv2.dims()[4]
    }

    /// Cost for so many voxels.
    pub fn cost(&self, voxels: usize) -> Cost {
        let [.., in_channels, out_channels] = self.conv1.dims();
        let filters = FILTER * (in_channels + out_channels) * out_channels;
        let convolutions = Cost::new(filters, voxels * filters, 0);
        let shortcut = self.shortcut.as_ref().map(|shortcut| shortcut.cost(voxels));
        let map = voxels * out_channels;
        let maps = RESIDUAL_MAPS + usize::from(shortcut.is_some());
        (convolutions + shortcut.unwrap_or_default() + Cost::activations(maps * map)).checkpointed(map)
    }
}
