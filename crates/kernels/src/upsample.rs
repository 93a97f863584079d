//! A transposed convolution, 2³ with stride 2, that writes into its half of the map that it is joined to.

mod cpu;

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
    tensor::Tensor,
};

use crate::extension::{Contiguous, dims, on_cpu, tensor};

/// Voxels that one becomes.
const CUBE: usize = 8;

/// Makes every voxel of `map` a cube of 2³, and appends the channels of `skip`.
///
/// # Shapes
///
/// - `map`: `[batch, x, y, z, inputs]`
/// - `weight`: `[inputs, 2 · 2 · 2 · outputs]`, a filter for each voxel of a cube
/// - `skip`: `[batch, 2x, 2y, 2z, skipped]`
/// - output: `[batch, 2x, 2y, 2z, outputs + skipped]`
///
/// # Panics
///
/// When the shapes do not fit each other.
pub fn conv_transpose3d_concat(map: Tensor<5>, weight: Tensor<2>, skip: Tensor<5>) -> Tensor<5> {
    let [batch, x, y, z, inputs] = map.dims();
    let [rows, columns] = weight.dims();
    assert!(rows == inputs && columns.is_multiple_of(CUBE), "a weight is [inputs, 8 · outputs]");
    assert_eq!(skip.dims()[..4], [batch, 2 * x, 2 * y, 2 * z], "a skip has twice the resolution");
    if !on_cpu(&map) {
        return by_burn(map, weight, skip);
    }
    let (map, weight, skip) = (map.into_dispatch(), weight.into_dispatch(), skip.into_dispatch());
    Tensor::from_dispatch(Dispatch::upsample_joined(map, weight, skip))
}

fn by_burn(map: Tensor<5>, weight: Tensor<2>, skip: Tensor<5>) -> Tensor<5> {
    let [batch, x, y, z, inputs] = map.dims();
    let outputs = weight.dims()[1] / CUBE;
    let cubes = map.reshape([batch * x * y * z, inputs]).matmul(weight);
    let up = cubes.reshape([batch, x, y, z, 2, 2, 2, outputs]).permute([0, 1, 4, 2, 5, 3, 6, 7]).reshape([
        batch,
        2 * x,
        2 * y,
        2 * z,
        outputs,
    ]);
    Tensor::cat(vec![up, skip], 4)
}

#[backend_extension(Autodiff, Flex)]
trait Upsampling: Backend {
    fn upsample_joined(
        map: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        skip: FloatTensor<Self>,
    ) -> FloatTensor<Self>;
    /// Gradients of map, weight and skip.
    fn upsample_joined_gradient(
        map: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
}

fn shape(map: &FloatTensor<Flex>, weight: &FloatTensor<Flex>, joined: usize) -> cpu::Shape {
    let ([batch, x, y, z, inputs], [_, columns]) = (dims(map), dims(weight));
    cpu::Shape { batch, size: [x, y, z], inputs, outputs: columns / CUBE, joined }
}

impl Upsampling for Flex {
    fn upsample_joined(
        map: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        skip: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let ([.., skipped], [_, columns]) = (dims::<5>(&skip), dims::<2>(&weight));
        let shape = shape(&map, &weight, columns / CUBE + skipped);
        let [map, weight, skip] = [map, weight, skip].map(Contiguous::of);
        tensor(cpu::forward(shape, map.values(), weight.values(), skip.values()), shape.fine(shape.joined))
    }

    fn upsample_joined_gradient(
        map: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let [.., joined] = dims::<5>(&gradient);
        let shape = shape(&map, &weight, joined);
        let (of_map, of_weight) = (dims::<5>(&map), dims::<2>(&weight));
        let [map, weight, gradient] = [map, weight, gradient].map(Contiguous::of);
        let gradients = cpu::backward(shape, map.values(), weight.values(), gradient.values());
        (
            tensor(gradients.map, of_map),
            tensor(gradients.weight, of_weight),
            tensor(gradients.skip, shape.fine(joined - shape.outputs)),
        )
    }
}

#[derive(Debug)]
struct UpsamplingBackward;

impl<B: Upsampling> Backward<B, 3> for UpsamplingBackward {
    type State = [NodeId; 2];

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, checkpointer: &mut Checkpointer) {
        let [map, weight]: [FloatTensor<B>; 2] =
            ops.state.map(|node| checkpointer.retrieve_node_output(node));
        let gradient = grads.consume::<B>(&ops.node);
        let (map, weight, skip) = B::upsample_joined_gradient(map, weight, gradient);
        for (node, gradient) in ops.parents.into_iter().zip([map, weight, skip]) {
            if let Some(node) = node {
                grads.register::<B>(node.id, gradient);
            }
        }
    }
}

impl<B: Upsampling, C: CheckpointStrategy> Upsampling for Autodiff<B, C> {
    fn upsample_joined(
        map: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        skip: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let parents = [map.node(), weight.node(), skip.node()];
        match UpsamplingBackward.prepare::<C>(parents).compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let state = [prep.checkpoint(&map), prep.checkpoint(&weight)];
                let [map, weight, skip] = [map, weight, skip].map(FloatTensor::<Self>::into_primitive);
                prep.finish(state, B::upsample_joined(map, weight, skip))
            }
            OpsKind::UnTracked(prep) => {
                let [map, weight, skip] = [map, weight, skip].map(FloatTensor::<Self>::into_primitive);
                prep.finish(B::upsample_joined(map, weight, skip))
            }
        }
    }

    fn upsample_joined_gradient(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        unreachable!("a gradient is computed on the inner backend")
    }
}
