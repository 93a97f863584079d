//! What every kernel shares: reading a CPU tensor as a slice, making one from values, and asking
//! whether a tensor is on the CPU at all.

use burn::{
    backend::{Flex, TensorMetadata, tensor::FloatTensor},
    tensor::{Device, Tensor, TensorData},
};
use rayon::prelude::*;

use crate::fresh::{Cut, by_blocks};

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

    /// One that nobody else reads: the tensor itself where that is so, else a copy.
    pub(crate) fn of_its_own(tensor: FloatTensor<Flex>) -> Self {
        let mut own = Self::of(tensor);
        if own.0.try_storage_mut::<f32>().is_none() {
            own = Self(tensor_like(own.values().to_vec(), &own));
        }
        own
    }

    /// Of a tensor that nobody else reads.
    pub(crate) fn values_mut(&mut self) -> &mut [f32] {
        let (start, end) = self.0.layout().contiguous_offsets().expect("a contiguous tensor is one slice");
        let storage = self.0.try_storage_mut::<f32>().expect("a tensor of its own");
        &mut storage[start..end]
    }

    pub(crate) fn values(&self) -> &[f32] {
        self.0.as_slice().expect("a contiguous tensor is one slice")
    }

    pub(crate) fn into_tensor(self) -> FloatTensor<Flex> {
        self.0
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

/// Changes the values of a CPU tensor block by block, in parallel: in place when nobody else reads them, else
/// on a copy. `change` learns where a block begins.
pub(crate) fn overwrite(
    tensor: FloatTensor<Flex>,
    block: usize,
    change: impl Fn(usize, &mut [f32]) + Sync,
) -> FloatTensor<Flex> {
    let mut input = Contiguous::of(tensor);
    if input.0.try_storage_mut::<f32>().is_some() {
        let blocks = input.values_mut().par_chunks_mut(block).enumerate();
        blocks.for_each(|(index, values)| change(index * block, values));
        return input.0;
    }
    let values = by_blocks(Cut::blocks(input.values().len(), block), |(): &mut (), at, output| {
        output.copy_from_slice(&input.values()[at..][..output.len()]);
        change(at, output);
    });
    tensor_like(values, &input)
}
