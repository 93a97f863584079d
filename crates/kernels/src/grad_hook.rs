//! Gradients as they are computed, while the backward pass goes on.

use std::{fmt, sync::Arc};

use burn::tensor::Tensor;

use crate::{
    flex::{Contiguous, on_cpu},
    op::{CpuTensor, Op, Saved, apply},
};

/// Gets the gradient of a tensor, in the order of its values.
pub type GradHook = Arc<dyn Fn(&[f32]) + Send + Sync>;

/// The tensor itself, whose gradient is given to `hook` once it is complete, as with PyTorch's `Tensor.register_hook`.
/// On another device than the CPU the hook is never called.
///
/// # Shapes
///
/// - `input` and output: any
pub fn with_grad_hook<const D: usize>(input: Tensor<D>, hook: GradHook) -> Tensor<D> {
    if on_cpu(&input) { apply(HookOp(hook), [input.into_dispatch()]) } else { input }
}

#[derive(Clone)]
struct HookOp(GradHook);

impl fmt::Debug for HookOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HookOp")
    }
}

impl Op<1> for HookOp {
    const SAVED_INPUTS: [bool; 1] = [false];

    fn forward(&self, [input]: [CpuTensor; 1]) -> CpuTensor {
        input
    }

    fn backward(&self, _: Saved<1>, grad: CpuTensor, _: [bool; 1]) -> [Option<CpuTensor>; 1] {
        (self.0)(Contiguous::new(grad.clone()).values());
        [Some(grad)]
    }
}
