//! Multi-head attention in tiles: the scores of a few queries at a time, never the whole matrix.

mod cpu;
mod forward;

use burn::tensor::{Tensor, activation};

use crate::{
    flex::{Contiguous, dims, on_cpu, tensor},
    op::{CpuTensor, Op, Saved, apply},
};

/// Inputs of [`attention`].
#[derive(Clone, Debug)]
pub struct AttentionInput {
    /// `[batch, queries, heads, width]`
    pub query: Tensor<4>,
    /// `[batch, keys, heads, width]`
    pub key: Tensor<4>,
    /// `[batch, keys, heads, width]`
    pub value: Tensor<4>,
    /// Learned bias of the scores, shared by all samples, `[heads, queries, keys]`.
    pub bias: Option<Tensor<3>>,
    /// Constant added to the scores, `[groups, queries or 1, keys]`; sample `b` uses group `b % groups`.
    pub mask: Option<Tensor<3>>,
}

/// `softmax(query · keyᵀ / √width + bias + mask) · value` for each head.
///
/// # Shapes
///
/// - output: `[batch, queries, heads, width]`
///
/// # Panics
///
/// When the shapes do not match.
pub fn attention(input: AttentionInput) -> Tensor<4> {
    let AttentionInput { query, key, value, bias, mask } = input;
    let [batch, queries, heads, width] = query.dims();
    let keys = key.dims()[1];
    assert_eq!(key.dims(), [batch, keys, heads, width], "the shape of a key is [batch, keys, heads, width]");
    assert_eq!(value.dims(), key.dims(), "values have the shape of the keys");
    if let Some(bias) = &bias {
        assert_eq!(bias.dims(), [heads, queries, keys], "the shape of a bias is [heads, queries, keys]");
    }
    if let Some(mask) = &mask {
        let [groups, rows, columns] = mask.dims();
        assert!(batch.is_multiple_of(groups), "the groups of a mask divide the batch");
        assert!(
            columns == keys && (rows == 1 || rows == queries),
            "the shape of a mask is [groups, queries or 1, keys]"
        );
    }
    if !on_cpu(&query) {
        return fallback(AttentionInput { query, key, value, bias, mask });
    }
    let absent = || Tensor::zeros([0, 0, 0], &query.device());
    let bias = bias.unwrap_or_else(absent);
    let mask = mask.unwrap_or_else(absent).detach();
    apply(
        AttentionOp,
        [
            query.into_dispatch(),
            key.into_dispatch(),
            value.into_dispatch(),
            bias.into_dispatch(),
            mask.into_dispatch(),
        ],
    )
}

fn fallback(input: AttentionInput) -> Tensor<4> {
    let [batch, queries, heads, width] = input.query.dims();
    let keys = input.key.dims()[1];
    let [query, key, value] = [input.query, input.key, input.value].map(|t| t.swap_dims(1, 2));
    let mut scores = query.matmul(key.transpose()) / (width as f64).sqrt();
    if let Some(bias) = input.bias {
        scores = scores + bias.unsqueeze_dim(0);
    }
    if let Some(mask) = input.mask {
        let [groups, rows, _] = mask.dims();
        let mask = mask.reshape([1, groups, 1, rows, keys]);
        let masked = scores.reshape([batch / groups, groups, heads, queries, keys]) + mask;
        scores = masked.reshape([batch, heads, queries, keys]);
    }
    activation::softmax(scores, 3).matmul(value).swap_dims(1, 2)
}

/// Inputs: query, key, value, bias and mask; an empty bias or mask stands for none.
#[derive(Clone, Debug)]
struct AttentionOp;

impl Op<5> for AttentionOp {
    const SAVED_INPUTS: [bool; 5] = [true; 5];

    fn forward(&self, inputs: [CpuTensor; 5]) -> CpuTensor {
        let inputs = ContiguousInputs::new(inputs);
        inputs.token_major(forward::forward(inputs.shape, inputs.slices()), inputs.shape.queries)
    }

    fn backward(&self, mut saved: Saved<5>, grad: CpuTensor, _: [bool; 5]) -> [Option<CpuTensor>; 5] {
        let inputs = ContiguousInputs::new([0, 1, 2, 3, 4].map(|index| saved.input(index)));
        let grad = Contiguous::new(grad);
        let gradients = cpu::backward(inputs.shape, inputs.slices(), grad.values());
        let cpu::AttentionShape { queries, keys, .. } = inputs.shape;
        [
            Some(inputs.token_major(gradients.query, queries)),
            Some(inputs.token_major(gradients.key, keys)),
            Some(inputs.token_major(gradients.value, keys)),
            gradients.bias.map(|values| tensor(values, inputs.shape.bias())),
            None,
        ]
    }
}

/// Contiguous inputs of one call and their shape.
struct ContiguousInputs {
    shape: cpu::AttentionShape,
    tensors: [Contiguous; 5],
}

impl ContiguousInputs {
    fn new(inputs: [CpuTensor; 5]) -> Self {
        let [query, key, .., mask] = &inputs;
        let [batch, queries, heads, width] = dims(query);
        let [_, keys, ..] = dims::<4>(key);
        let shape = cpu::AttentionShape { batch, heads, queries, keys, width, mask: dims(mask) };
        Self { shape, tensors: inputs.map(Contiguous::new) }
    }

    fn slices(&self) -> cpu::AttentionSlices<'_> {
        let [query, key, value, bias, mask] = self.tensors.each_ref().map(Contiguous::values);
        let [bias, mask] = [bias, mask].map(|values| (!values.is_empty()).then_some(values));
        cpu::AttentionSlices { query, key, value, bias, mask }
    }

    /// From the kernel's layout `[heads, batch, tokens, width]` to `[batch, tokens, heads, width]`.
    fn token_major(&self, values: Vec<f32>, tokens: usize) -> CpuTensor {
        let cpu::AttentionShape { batch, heads, width, .. } = self.shape;
        tensor(values, [heads, batch, tokens, width]).permute(&[1, 2, 0, 3])
    }
}
