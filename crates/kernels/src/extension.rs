//! What every kernel shares: reading a CPU tensor as a slice, making one from values, and asking
//! whether a tensor is on the CPU at all.

use burn::{
    backend::{Flex, TensorMetadata, tensor::FloatTensor},
    tensor::{Device, Tensor, TensorData},
};

/// Whether our kernels can run where this tensor lives.
pub(crate) fn on_cpu<const D: usize>(tensor: &Tensor<D>) -> bool {
    tensor.device().inner() == Device::flex()
}

/// The sizes of a tensor's axes.
pub(crate) fn dims<const D: usize>(tensor: &FloatTensor<Flex>) -> [usize; D] {
    tensor.shape().dims()
}

/// A tensor whose values are one contiguous slice.
pub(crate) struct Contiguous(FloatTensor<Flex>);

impl Contiguous {
    pub(crate) fn of(tensor: FloatTensor<Flex>) -> Self {
        Self(tensor.to_contiguous())
    }

    pub(crate) fn values(&self) -> &[f32] {
        self.0.as_slice().expect("a contiguous tensor is one slice")
    }
}

/// A CPU tensor of these values.
pub(crate) fn tensor<const D: usize>(values: Vec<f32>, shape: [usize; D]) -> FloatTensor<Flex> {
    FloatTensor::<Flex>::from_data(TensorData::new(values, shape))
}

/// A CPU tensor of these values, in the shape of another.
pub(crate) fn tensor_like(values: Vec<f32>, other: &Contiguous) -> FloatTensor<Flex> {
    FloatTensor::<Flex>::from_data(TensorData::new(values, other.0.shape()))
}
