//! Gradient accumulation over the batches of one optimizer step.

use burn::{
    module::{Module, ModuleVisitor, Param},
    tensor::{Gradients, Tensor},
};

use super::event::LossValues;

/// Sums of losses and gradients.
pub struct GradientAccumulator {
    loss: LossValues,
    gradients: Gradients,
    batches: f32,
}

impl GradientAccumulator {
    /// Starts with the first batch.
    pub fn new(loss: LossValues, gradients: Gradients) -> Self {
        Self { loss, gradients, batches: 1.0 }
    }

    /// Adds a batch of the same `module`.
    pub fn add<M: Module>(&mut self, module: &M, loss: LossValues, gradients: &Gradients) {
        module.visit(&mut Adder { sum: &mut self.gradients, more: gradients });
        self.loss = LossValues {
            total: self.loss.total + loss.total,
            segmentation: self.loss.segmentation + loss.segmentation,
            class_embedding: self.loss.class_embedding + loss.class_embedding,
            alignment: self.loss.alignment + loss.alignment,
        };
        self.batches += 1.0;
    }

    /// The mean losses and the sum of the gradients.
    pub fn into_parts(self) -> (LossValues, Gradients) {
        let Self { loss, gradients, batches } = self;
        let mean = LossValues {
            total: loss.total / batches,
            segmentation: loss.segmentation / batches,
            class_embedding: loss.class_embedding / batches,
            alignment: loss.alignment / batches,
        };
        (mean, gradients)
    }
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
