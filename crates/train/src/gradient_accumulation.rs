//! The batches of one optimizer step, one after another in this process and at the same time on all ranks.

use std::sync::Arc;

use burn::{
    module::{Module, ModuleVisitor, Param},
    tensor::{Gradients, Tensor},
};

use crate::{communicator::Communicator, gradient_sync::GradientSync};

/// Mean losses and summed gradients of all batches of a step, of all ranks.
///
/// `backward` gets the module to compute with and the number of the batch within the step; it gives `N` losses and the
/// gradients. This rank computes `batches` of them; those of the last are sent to the other ranks while they are computed.
///
/// # Panics
///
/// When `batches` is 0.
pub fn accumulate<M: Module, const N: usize>(
    communicator: &Arc<dyn Communicator>,
    module: &M,
    batches: usize,
    mut backward: impl FnMut(&M, usize) -> ([f32; N], Gradients),
) -> ([f32; N], Gradients) {
    let first = batches * communicator.rank();
    let mut losses = [0.0; N];
    let mut sum: Option<Gradients> = None;
    let mut sync = None;
    for index in 0..batches {
        let is_last = index + 1 == batches;
        let watched = (is_last && communicator.size() > 1).then(|| {
            let started = GradientSync::start(Arc::clone(communicator), module, sum.as_ref());
            sync.insert(started).watch(module.clone())
        });
        let (loss, gradients) = backward(watched.as_ref().unwrap_or(module), first + index);
        losses.iter_mut().zip(loss).for_each(|(sum, loss)| *sum += loss);
        match &mut sum {
            Some(sum) => module.visit(&mut Adder { sum, more: &gradients }),
            None => sum = Some(gradients),
        }
    }
    let mut gradients = sum.expect("a step has at least one batch");
    if let Some(sync) = sync {
        sync.finish(module, &mut gradients);
        communicator.sum(&mut losses);
    }
    let count = (batches * communicator.size()) as f32;
    (losses.map(|loss| loss / count), gradients)
}

struct Adder<'a> {
    sum: &'a mut Gradients,
    more: &'a Gradients,
}

impl ModuleVisitor for Adder<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let weights = param.val();
        let Some(more) = weights.grad(self.more) else { return };
        let sum = match weights.grad(self.sum) {
            Some(sum) => sum + more,
            None => more,
        };
        weights.grad_replace(self.sum, sum);
    }
}
