//! Attention inside (shifted) windows of a feature map, with a learned bias per relative position: windows
//! are read where they lie in the map, never cut out, rolled or padded in memory.

mod cpu;
mod forward;
mod gradient;
mod windows;

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
    tensor::{Int, Tensor, TensorData},
};

use crate::{
    AttentionInput, attention,
    extension::{Contiguous, dims, on_cpu, tensor},
};
pub use windows::WindowPartition;

/// The tokens of a map and what their scores get.
#[derive(Clone, Debug)]
pub struct WindowAttentionInput {
    /// Query, key and value of each token, `[batch, x, y, z, 3 · heads · width]`.
    pub qkv: Tensor<5>,
    /// The same of a token that pads the map to whole windows, `[3 · heads · width]`.
    pub padding_token: Tensor<1>,
    /// Added to the scores, per relative position and head, `[(2 · side − 1)³, heads]`.
    pub bias_table: Tensor<2>,
    /// How the map is cut.
    pub partition: WindowPartition,
}

/// `softmax(query · keyᵀ / √width + bias) · value` for each head and window; tokens that only a shift
/// brought together attend to each other with a score that is 100 lower.
///
/// # Shapes
///
/// - output: `[batch, x, y, z, heads · width]`
pub fn window_attention(input: WindowAttentionInput) -> Tensor<5> {
    let WindowAttentionInput { qkv, padding_token, bias_table, partition } = input;
    let [_, x, y, z, channels] = qkv.dims();
    let [positions, heads] = bias_table.dims();
    assert_eq!([x, y, z], partition.size, "the windows are cut from this map");
    assert_eq!(positions, (2 * partition.window_size - 1).pow(3), "the table has every relative position");
    assert!(channels.is_multiple_of(3 * heads), "heads share the channels");
    assert_eq!(padding_token.dims(), [channels], "a padding token is a token");
    if !on_cpu(&qkv) {
        return by_burn(WindowAttentionInput { qkv, padding_token, bias_table, partition });
    }
    Tensor::from_dispatch(Dispatch::attend_in_windows(
        qkv.into_dispatch(),
        padding_token.into_dispatch(),
        bias_table.into_dispatch(),
        partition,
    ))
}

fn by_burn(input: WindowAttentionInput) -> Tensor<5> {
    let WindowAttentionInput { qkv, padding_token, bias_table, partition } = input;
    let device = qkv.device();
    let [.., channels] = qkv.dims();
    let [_, heads] = bias_table.dims();
    let tokens = partition.tokens();
    // Differences from the padding token are padded with zeros.
    let padding = padding_token.reshape([1, 1, channels]);
    let cut = partition.partition(qkv - padding.clone().reshape([1, 1, 1, 1, channels])) + padding;
    let [total, ..] = cut.dims();
    let [query, key, value] = cut
        .reshape([total, tokens, 3, heads, channels / 3 / heads])
        .split(1, 2)
        .try_into()
        .map(|parts: [Tensor<5>; 3]| parts.map(|part| part.squeeze_dim::<4>(2)))
        .expect("query, key and value are three");
    let index: Vec<i64> = partition.positions().into_iter().map(i64::from).collect();
    let index = Tensor::<1, Int>::from_data(TensorData::new(index, [tokens * tokens]), &device);
    let bias = bias_table.select(0, index).reshape([tokens, tokens, heads]).permute([2, 0, 1]);
    let mask = partition.mask().map(|mask| {
        let shape = [mask.len() / tokens / tokens, tokens, tokens];
        Tensor::from_data(TensorData::new(mask, shape), &device)
    });
    let attended = attention(AttentionInput { query, key, value, bias: Some(bias), mask });
    partition.join(attended.reshape([total, tokens, channels / 3]))
}

#[backend_extension(Autodiff, Flex)]
trait AttentionInWindows: Backend {
    fn attend_in_windows(
        qkv: FloatTensor<Self>,
        padding: FloatTensor<Self>,
        bias_table: FloatTensor<Self>,
        partition: WindowPartition,
    ) -> FloatTensor<Self>;
    /// Gradients of the tokens, the padding token and the table.
    fn attend_in_windows_gradient(
        qkv: FloatTensor<Self>,
        padding: FloatTensor<Self>,
        bias_table: FloatTensor<Self>,
        partition: WindowPartition,
        gradient: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
}

/// The contiguous inputs of one call, and their shape.
struct OnCpu {
    shape: cpu::Shape,
    tensors: [Contiguous; 3],
}

impl OnCpu {
    fn new(inputs: [FloatTensor<Flex>; 3], partition: WindowPartition) -> Self {
        let [batch, .., channels] = dims::<5>(&inputs[0]);
        let [_, heads] = dims(&inputs[2]);
        let shape = cpu::Shape { batch, heads, width: channels / 3 / heads, partition };
        Self { shape, tensors: inputs.map(Contiguous::of) }
    }

    fn slices(&self) -> cpu::Slices<'_> {
        let [qkv, padding, bias_table] = self.tensors.each_ref().map(Contiguous::values);
        cpu::Slices { qkv, padding, bias_table }
    }
}

impl AttentionInWindows for Flex {
    fn attend_in_windows(
        qkv: FloatTensor<Self>,
        padding: FloatTensor<Self>,
        bias_table: FloatTensor<Self>,
        partition: WindowPartition,
    ) -> FloatTensor<Self> {
        let [batch, x, y, z, channels] = dims(&qkv);
        let input = OnCpu::new([qkv, padding, bias_table], partition);
        tensor(forward::forward(&input.shape, input.slices()), [batch, x, y, z, channels / 3])
    }

    fn attend_in_windows_gradient(
        qkv: FloatTensor<Self>,
        padding: FloatTensor<Self>,
        bias_table: FloatTensor<Self>,
        partition: WindowPartition,
        gradient: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let shapes = (dims::<5>(&qkv), dims::<1>(&padding), dims::<2>(&bias_table));
        let input = OnCpu::new([qkv, padding, bias_table], partition);
        let gradient = Contiguous::of(gradient);
        let gradients = gradient::backward(&input.shape, input.slices(), gradient.values());
        (
            tensor(gradients.qkv, shapes.0),
            tensor(gradients.padding, shapes.1),
            tensor(gradients.bias_table, shapes.2),
        )
    }
}

#[derive(Debug)]
struct AttentionInWindowsBackward;

impl<B: AttentionInWindows> Backward<B, 3> for AttentionInWindowsBackward {
    type State = ([NodeId; 3], WindowPartition);

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, checkpointer: &mut Checkpointer) {
        let (nodes, partition) = ops.state;
        let [qkv, padding, table]: [FloatTensor<B>; 3] =
            nodes.map(|node| checkpointer.retrieve_node_output(node));
        let gradient = grads.consume::<B>(&ops.node);
        let (qkv, padding, table) = B::attend_in_windows_gradient(qkv, padding, table, partition, gradient);
        for (node, gradient) in ops.parents.into_iter().zip([qkv, padding, table]) {
            if let Some(node) = node {
                grads.register::<B>(node.id, gradient);
            }
        }
    }
}

impl<B: AttentionInWindows, C: CheckpointStrategy> AttentionInWindows for Autodiff<B, C> {
    fn attend_in_windows(
        qkv: FloatTensor<Self>,
        padding: FloatTensor<Self>,
        bias_table: FloatTensor<Self>,
        partition: WindowPartition,
    ) -> FloatTensor<Self> {
        let parents = [qkv.node(), padding.node(), bias_table.node()];
        match AttentionInWindowsBackward.prepare::<C>(parents).compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let nodes = [&qkv, &padding, &bias_table].map(|tensor| prep.checkpoint(tensor));
                let [qkv, padding, table] =
                    [qkv, padding, bias_table].map(FloatTensor::<Self>::into_primitive);
                prep.finish((nodes, partition), B::attend_in_windows(qkv, padding, table, partition))
            }
            OpsKind::UnTracked(prep) => {
                let [qkv, padding, table] =
                    [qkv, padding, bias_table].map(FloatTensor::<Self>::into_primitive);
                prep.finish(B::attend_in_windows(qkv, padding, table, partition))
            }
        }
    }

    fn attend_in_windows_gradient(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: WindowPartition,
        _: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        unreachable!("a gradient is computed on the inner backend")
    }
}
