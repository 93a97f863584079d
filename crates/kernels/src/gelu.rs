//! GELU in its exact form.

use burn::tensor::{Tensor, activation};

use crate::{
    flex::{Contiguous, map_in_place, on_cpu, tensor_like},
    op::{CpuTensor, Op, Saved, apply},
    simd,
    uninit::{Chunking, par_init_chunks},
};

/// Values per task: they fit the L2 cache.
const CHUNK: usize = 1 << 15;

/// `x · Φ(x)` with the cumulative distribution function Φ of the standard normal distribution.
///
/// # Shapes
///
/// - `input` and output: any
pub fn gelu<const D: usize>(input: Tensor<D>) -> Tensor<D> {
    if on_cpu(&input) { apply(GeluOp, [input.into_dispatch()]) } else { activation::gelu(input) }
}

#[derive(Clone, Debug)]
struct GeluOp;

impl Op<1> for GeluOp {
    const SAVED_INPUTS: [bool; 1] = [true];

    fn forward(&self, [input]: [CpuTensor; 1]) -> CpuTensor {
        map_in_place(input, CHUNK, |_, values| simd::gelu(values))
    }

    fn backward(&self, mut saved: Saved<1>, grad: CpuTensor, _: [bool; 1]) -> [Option<CpuTensor>; 1] {
        let [input, grad] = [saved.input(0), grad].map(Contiguous::new);
        let chunking = Chunking::blocks(input.values().len(), CHUNK);
        let values = par_init_chunks(chunking, |(): &mut (), offset, out| {
            simd::gelu_gradient(&input.values()[offset..], &grad.values()[offset..], out);
        });
        [Some(tensor_like(values, &input))]
    }
}
