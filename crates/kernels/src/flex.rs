//! CPU tensors as slices and back.

use burn::{
    backend::TensorMetadata,
    tensor::{Device, Tensor, TensorData},
};
use rayon::prelude::*;

use crate::{
    op::CpuTensor,
    uninit::{Chunking, par_init_chunks},
};

/// Whether the CPU kernels can run on this tensor.
pub(crate) fn on_cpu<const D: usize>(tensor: &Tensor<D>) -> bool {
    tensor.device().inner() == Device::flex()
}

/// The shape of a tensor.
pub(crate) fn dims<const D: usize>(tensor: &CpuTensor) -> [usize; D] {
    tensor.shape().dims()
}

/// A tensor whose values are one contiguous slice.
pub(crate) struct Contiguous(CpuTensor);

impl Contiguous {
    pub(crate) fn new(tensor: CpuTensor) -> Self {
        Self(tensor.to_contiguous())
    }

    /// A tensor that shares no storage: the given one where it is the only handle, otherwise a copy
    /// (`Arc::make_mut`).
    pub(crate) fn make_unique(tensor: CpuTensor) -> Self {
        let mut unique = Self::new(tensor);
        if unique.0.try_storage_mut::<f32>().is_none() {
            unique = Self(tensor_like(unique.values().to_vec(), &unique));
        }
        unique
    }

    /// # Panics
    ///
    /// When the storage is shared; see [`Self::make_unique`].
    pub(crate) fn values_mut(&mut self) -> &mut [f32] {
        let (start, end) = self.0.layout().contiguous_offsets().expect("a contiguous tensor is one slice");
        let storage = self.0.try_storage_mut::<f32>().expect("a unique tensor");
        &mut storage[start..end]
    }

    pub(crate) fn values(&self) -> &[f32] {
        self.0.as_slice().expect("a contiguous tensor is one slice")
    }

    pub(crate) fn tensor(&self) -> &CpuTensor {
        &self.0
    }

    pub(crate) fn into_tensor(self) -> CpuTensor {
        self.0
    }
}

/// A CPU tensor of these values.
pub(crate) fn tensor<const D: usize>(values: Vec<f32>, shape: [usize; D]) -> CpuTensor {
    CpuTensor::from_data(TensorData::new(values, shape))
}

/// A CPU tensor of these values, in the shape of `other`.
pub(crate) fn tensor_like(values: Vec<f32>, other: &Contiguous) -> CpuTensor {
    CpuTensor::from_data(TensorData::new(values, other.0.shape()))
}

/// Maps the values of a CPU tensor block by block, in parallel: in place where it is the only handle, otherwise on a
/// copy. `map` gets the offset of the block, and the block.
pub(crate) fn map_in_place(
    tensor: CpuTensor,
    block: usize,
    map: impl Fn(usize, &mut [f32]) + Sync,
) -> CpuTensor {
    let mut input = Contiguous::new(tensor);
    if input.0.try_storage_mut::<f32>().is_some() {
        let blocks = input.values_mut().par_chunks_mut(block).enumerate();
        blocks.for_each(|(index, values)| map(index * block, values));
        return input.0;
    }
    let values =
        par_init_chunks(Chunking::blocks(input.values().len(), block), |(): &mut (), offset, output| {
            output.copy_from_slice(&input.values()[offset..][..output.len()]);
            map(offset, output);
        });
    tensor_like(values, &input)
}
