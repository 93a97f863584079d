//! One step of AdamW.

use multiversion::multiversion;

use crate::adamw::AdamWStep;

/// One step of AdamW, in place.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw+fma", "x86_64+avx2+fma", "aarch64+neon"))]
pub(crate) fn adamw(
    params: &mut [f32],
    exp_avg: &mut [f32],
    exp_avg_sq: &mut [f32],
    grad: &[f32],
    step: AdamWStep,
) {
    let (beta1, complement1) = (step.beta1 as f32, (1.0 - step.beta1) as f32);
    let (beta2, complement2) = (step.beta2 as f32, (1.0 - step.beta2) as f32);
    let [epsilon, decay, step_size, bias_correction2] =
        [step.epsilon, step.decay, step.step_size, step.bias_correction2].map(|constant| constant as f32);
    let moments = exp_avg.iter_mut().zip(exp_avg_sq);
    for ((param, (avg, avg_sq)), &grad) in params.iter_mut().zip(moments).zip(grad) {
        *avg = avg.mul_add(beta1, grad * complement1);
        *avg_sq = avg_sq.mul_add(beta2, grad * grad * complement2);
        let denominator = (*avg_sq / bias_correction2).sqrt() + epsilon;
        *param = param.mul_add(decay, -(*avg / denominator * step_size));
    }
}
