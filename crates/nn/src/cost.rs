//! What a block costs: parameters, operations, and memory held for the backward pass.

use std::{
    iter::Sum,
    ops::{Add, AddAssign},
};

const BYTES_PER_VALUE: usize = size_of::<f32>();
/// A multiplication and an addition.
const FLOPS_PER_MAC: usize = 2;

/// Parameters, operations and memory of a block for inputs of a given size; costs of blocks add up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Learned values.
    pub parameters: usize,
    /// Floating-point operations of one forward pass in matrix products and convolutions; norms, activations and
    /// sums are not counted.
    pub flops: usize,
    /// Bytes held for the backward pass.
    pub activation_bytes: usize,
    /// Bytes held for the backward pass with activation checkpointing.
    pub checkpointed_bytes: usize,
    /// Bytes that recomputing the largest checkpointed block takes.
    pub recompute_bytes: usize,
}

/// Size of one forward pass: everything that its cost depends on besides the weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ForwardShape {
    /// Voxels of a patch.
    pub patch: [usize; 3],
    /// Samples per forward pass.
    pub batch: usize,
    /// Different texts in a batch: 1, or one per sample.
    pub num_texts: usize,
    /// Size of one text.
    pub text: TextShape,
}

/// Size of one text: the descriptions of all classes, padded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextShape {
    /// Number of classes, each with a description.
    pub num_classes: usize,
    /// Tokens per class.
    pub tokens: usize,
    /// Sentences of all classes that are encoded separately for the alignment; 0 without alignment.
    pub num_sentences: usize,
    /// Tokens per sentence.
    pub sentence_tokens: usize,
}

impl Cost {
    /// Cost of a block with so many parameters, multiply-accumulates and values held for the backward pass.
    pub(crate) fn new(parameters: usize, macs: usize, activations: usize) -> Self {
        let activation_bytes = activations * BYTES_PER_VALUE;
        Self {
            parameters,
            flops: macs * FLOPS_PER_MAC,
            activation_bytes,
            checkpointed_bytes: activation_bytes,
            recompute_bytes: 0,
        }
    }

    /// Values held for the backward pass alone.
    pub(crate) fn activations(values: usize) -> Self {
        Self::new(0, 0, values)
    }

    /// The block as one unit of activation checkpointing, of which `kept` values stay.
    #[must_use]
    pub(crate) fn checkpointed(self, kept: usize) -> Self {
        Self {
            checkpointed_bytes: kept * BYTES_PER_VALUE,
            recompute_bytes: self.activation_bytes.max(self.recompute_bytes),
            ..self
        }
    }

    /// The same block for `batch` times the input.
    #[must_use]
    pub(crate) fn batched(self, batch: usize) -> Self {
        Self {
            parameters: self.parameters,
            flops: self.flops * batch,
            activation_bytes: self.activation_bytes * batch,
            checkpointed_bytes: self.checkpointed_bytes * batch,
            recompute_bytes: self.recompute_bytes * batch,
        }
    }

    /// A further pass through a block whose parameters are already counted.
    #[must_use]
    pub(crate) fn without_parameters(self) -> Self {
        Self { parameters: 0, ..self }
    }

    /// Billions of floating-point operations of one forward pass.
    pub fn gflops(&self) -> f64 {
        self.flops as f64 / 1e9
    }
}

impl Add for Cost {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            parameters: self.parameters + other.parameters,
            flops: self.flops + other.flops,
            activation_bytes: self.activation_bytes + other.activation_bytes,
            checkpointed_bytes: self.checkpointed_bytes + other.checkpointed_bytes,
            recompute_bytes: self.recompute_bytes.max(other.recompute_bytes),
        }
    }
}

impl AddAssign for Cost {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sum for Cost {
    fn sum<I: Iterator<Item = Self>>(costs: I) -> Self {
        costs.fold(Self::default(), Self::add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_checkpointed_blocks_only_the_largest_is_recomputed_at_a_time() {
        let block = |values| Cost::new(10, 3, values).checkpointed(1);
        let two = block(100) + block(40);
        let expected = Cost {
            parameters: 20,
            flops: 12,
            activation_bytes: 560,
            checkpointed_bytes: 8,
            recompute_bytes: 400,
        };
        assert_eq!(two, expected);
        assert_eq!(two.batched(2).recompute_bytes, 800);
        assert_eq!(two.without_parameters().parameters, 0);
    }
}
