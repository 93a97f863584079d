//! Multi-head attention in tiles: scores of a few queries at a time, never the whole matrix.

mod cpu;
mod forward;

use burn::{
    backend::{
        Backend, Dispatch, Flex,
        autodiff::{
            Autodiff, NodeId,
            checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
            grads::Gradients,
            ops::{Backward, Ops, OpsKind},
        },
        backend_extension,
        tensor::FloatTensor,
    },
    tensor::{Tensor, activation},
};

use crate::extension::{Contiguous, dims, on_cpu, tensor};

/// What attends to what.
#[derive(Clone, Debug)]
pub struct AttentionInput {
    /// `[batch, queries, heads, width]`
    pub query: Tensor<4>,
    /// `[batch, keys, heads, width]`
    pub key: Tensor<4>,
    /// `[batch, keys, heads, width]`
    pub value: Tensor<4>,
    /// Added to the scores of every sample and learned, `[heads, queries, keys]`.
    pub bias: Option<Tensor<3>>,
    /// Added to the scores and constant, `[groups, queries or 1, keys]`; sample `b` uses group `b % groups`.
    pub mask: Option<Tensor<3>>,
}

/// `softmax(query · keyᵀ / √width + bias + mask) · value` for each head.
///
/// # Shapes
///
/// - output: `[batch, queries, heads, width]`
pub fn attention(input: AttentionInput) -> Tensor<4> {
    let AttentionInput { query, key, value, bias, mask } = input;
    let [batch, queries, heads, width] = query.dims();
    let keys = key.dims()[1];
    assert_eq!(key.dims(), [batch, keys, heads, width], "keys fit the queries");
    assert_eq!(value.dims(), key.dims(), "values fit the keys");
    if let Some(bias) = &bias {
        assert_eq!(bias.dims(), [heads, queries, keys], "the bias fits the scores");
    }
    if let Some(mask) = &mask {
        let [groups, rows, columns] = mask.dims();
        assert!(batch.is_multiple_of(groups), "the groups of a mask divide the batch");
        assert!(columns == keys && (rows == 1 || rows == queries), "the mask fits the scores");
    }
    if !on_cpu(&query) {
        return by_burn(AttentionInput { query, key, value, bias, mask });
    }
    let none = || Tensor::zeros([1, 1, 1], &query.device());
    let bias = bias.unwrap_or_else(none);
    let mask = mask.unwrap_or_else(none).detach();
    Tensor::from_dispatch(Dispatch::attend(
        query.into_dispatch(),
        key.into_dispatch(),
        value.into_dispatch(),
        bias.into_dispatch(),
        mask.into_dispatch(),
    ))
}

fn by_burn(input: AttentionInput) -> Tensor<4> {
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
        let scored = scores.reshape([batch / groups, groups, heads, queries, keys]) + mask;
        scores = scored.reshape([batch, heads, queries, keys]);
    }
    activation::softmax(scores, 3).matmul(value).swap_dims(1, 2)
}

#[backend_extension(Autodiff, Flex)]
trait Attention: Backend {
    fn attend(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        mask: FloatTensor<Self>,
    ) -> FloatTensor<Self>;
    /// Gradients of query, key, value and bias.
    fn attend_gradient(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        mask: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
}

/// The contiguous inputs of one call, and their shape.
struct OnCpu {
    shape: cpu::Shape,
    tensors: [Contiguous; 5],
    bias_shape: [usize; 3],
}

impl OnCpu {
    fn new(inputs: [FloatTensor<Flex>; 5]) -> Self {
        let [query, key, _, bias, mask] = &inputs;
        let [batch, queries, heads, width] = dims(query);
        let [_, keys, ..] = dims::<4>(key);
        let shape = cpu::Shape { batch, heads, queries, keys, width, mask: dims(mask) };
        let bias_shape = dims(bias);
        Self { shape, bias_shape, tensors: inputs.map(Contiguous::of) }
    }

    fn slices(&self) -> cpu::Slices<'_> {
        let [query, key, value, bias, mask] = &self.tensors;
        let bias = (self.bias_shape == self.shape.bias()).then(|| bias.values());
        let mask = (self.shape.mask != [1, 1, 1]).then(|| mask.values());
        cpu::Slices { query: query.values(), key: key.values(), value: value.values(), bias, mask }
    }

    /// From the kernel's layout `[heads, batch, tokens, width]` to `[batch, tokens, heads, width]`.
    fn by_token(&self, values: Vec<f32>, tokens: usize) -> FloatTensor<Flex> {
        let cpu::Shape { batch, heads, width, .. } = self.shape;
        tensor(values, [heads, batch, tokens, width]).permute(&[1, 2, 0, 3])
    }
}

impl Attention for Flex {
    fn attend(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        mask: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let on_cpu = OnCpu::new([query, key, value, bias, mask]);
        on_cpu.by_token(forward::forward(on_cpu.shape, on_cpu.slices()), on_cpu.shape.queries)
    }

    fn attend_gradient(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        mask: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let on_cpu = OnCpu::new([query, key, value, bias, mask]);
        let gradient = Contiguous::of(gradient);
        let gradients = cpu::backward(on_cpu.shape, on_cpu.slices(), gradient.values());
        let bias = match gradients.bias {
            Some(values) => tensor(values, on_cpu.bias_shape),
            None => tensor(vec![0.0; on_cpu.bias_shape.iter().product()], on_cpu.bias_shape),
        };
        let (queries, keys) = (on_cpu.shape.queries, on_cpu.shape.keys);
        (
            on_cpu.by_token(gradients.query, queries),
            on_cpu.by_token(gradients.key, keys),
            on_cpu.by_token(gradients.value, keys),
            bias,
        )
    }
}

#[derive(Debug)]
struct AttentionBackward;

impl<B: Attention> Backward<B, 4> for AttentionBackward {
    type State = ([NodeId; 4], FloatTensor<B>);

    fn backward(self, ops: Ops<Self::State, 4>, grads: &mut Gradients, checkpointer: &mut Checkpointer) {
        let (nodes, mask) = ops.state;
        let [query, key, value, bias]: [FloatTensor<B>; 4] =
            nodes.map(|node| checkpointer.retrieve_node_output(node));
        let gradient = grads.consume::<B>(&ops.node);
        let (query, key, value, bias) = B::attend_gradient(query, key, value, bias, mask, gradient);
        for (node, gradient) in ops.parents.into_iter().zip([query, key, value, bias]) {
            if let Some(node) = node {
                grads.register::<B>(node.id, gradient);
            }
        }
    }
}

impl<B: Attention, C: CheckpointStrategy> Attention for Autodiff<B, C> {
    fn attend(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        mask: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let mask = mask.into_primitive();
        let parents = [query.node(), key.node(), value.node(), bias.node()];
        match AttentionBackward.prepare::<C>(parents).compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let nodes = [&query, &key, &value, &bias].map(|tensor| prep.checkpoint(tensor));
                let [query, key, value, bias] =
                    [query, key, value, bias].map(FloatTensor::<Self>::into_primitive);
                prep.finish((nodes, mask.clone()), B::attend(query, key, value, bias, mask))
            }
            OpsKind::UnTracked(prep) => {
                let [query, key, value, bias] =
                    [query, key, value, bias].map(FloatTensor::<Self>::into_primitive);
                prep.finish(B::attend(query, key, value, bias, mask))
            }
        }
    }

    fn attend_gradient(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        unreachable!("a gradient is computed on the inner backend")
    }
}
