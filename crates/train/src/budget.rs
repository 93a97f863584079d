//! Reduces a training until its steps fit into memory, in the order of the cost: time (smaller batches, accumulated
//! into the same optimizer step), more time (activation checkpointing), then quality (a smaller patch has less context).

use std::fmt::{self, Display};

use super::{
    activation_checkpointing::ActivationCheckpointing,
    memory::{MemoryEstimator, MemoryPlan},
    run::GB,
};

/// The plan before and after a reduction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reduction {
    /// The plan of the configuration.
    pub before: MemoryPlan,
    /// The plan that fits; the same if no reduction is needed.
    pub after: MemoryPlan,
    /// Estimated peaks of both in bytes.
    pub peaks: [f64; 2],
}

/// The cheapest reduction that fits into `budget` bytes; the number of samples per optimizer step stays the same.
///
/// # Errors
///
/// If no plan fits: the plan with the lowest peak, and that peak.
pub fn fit_to_budget(
    estimator: &MemoryEstimator,
    before: MemoryPlan,
    budget: f64,
) -> Result<Reduction, (MemoryPlan, f64)> {
    let peak_before = estimator.peak(&before);
    let mut least = (before, peak_before);
    for after in plans(before, estimator.model.vision.patch_multiple()) {
        let peak = estimator.peak(&after);
        if peak <= budget {
            return Ok(Reduction { before, after, peaks: [peak_before, peak] });
        }
        if peak < least.1 {
            least = (after, peak);
        }
    }
    Err(least)
}

/// All plans, from the unchanged one to the one that costs most.
fn plans(before: MemoryPlan, patch_multiple: usize) -> impl Iterator<Item = MemoryPlan> {
    let checkpointing = [
        Some(before.activation_checkpointing),
        Some(ActivationCheckpointing::Blocks).filter(|it| *it != before.activation_checkpointing),
    ];
    patches(before.patch_size, patch_multiple).flat_map(move |patch_size| {
        checkpointing.into_iter().flatten().flat_map(move |activation_checkpointing| {
            batches(before).map(move |(batch_size, gradient_accumulation_steps)| MemoryPlan {
                patch_size,
                batch_size,
                gradient_accumulation_steps,
                activation_checkpointing,
            })
        })
    })
}

/// Batch sizes up to the planned one with the same number of samples per optimizer step, with the accumulation steps.
fn batches(before: MemoryPlan) -> impl Iterator<Item = (usize, usize)> {
    let samples = before.batch_size * before.gradient_accumulation_steps;
    (1..=before.batch_size)
        .rev()
        .filter(move |batch| samples.is_multiple_of(*batch))
        .map(move |b| (b, samples / b))
}

/// The patch size, then smaller ones: each step shortens the longest sides of the one before.
fn patches(patch: [usize; 3], step: usize) -> impl Iterator<Item = [usize; 3]> {
    std::iter::successors(Some(patch), move |patch| {
        let longest = *patch.iter().max()?;
        let shorter = |side: usize| if side == longest { side - step } else { side };
        (longest > step).then(|| patch.map(shorter))
    })
}

/// The changed keys with their values, and both peaks.
impl Display for Reduction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { before, after, peaks } = self;
        let [peak_before, peak_after] = peaks.map(|peak| format!("{:.2} GB", peak / GB));
        if before == after {
            return write!(f, "the configuration is unchanged, with an estimated peak of {peak_after}");
        }
        let change = |key: &str, before: &dyn Display, after: &dyn Display| {
            let (before, after) = (before.to_string(), after.to_string());
            (before != after).then(|| format!("{key} {before} → {after}"))
        };
        let patch = |plan: &MemoryPlan| plan.patch_size.map(|side| side.to_string()).join(" × ");
        let checkpointing = |plan: &MemoryPlan| match plan.activation_checkpointing {
            ActivationCheckpointing::Off => "off",
            ActivationCheckpointing::Blocks => "blocks",
        };
        let changes = [
            change("batch_size", &before.batch_size, &after.batch_size),
            change(
                "gradient_accumulation_steps",
                &before.gradient_accumulation_steps,
                &after.gradient_accumulation_steps,
            ),
            change("activation_checkpointing", &checkpointing(before), &checkpointing(after)),
            change("patch_size", &patch(before), &patch(after)),
        ];
        let changes: Vec<String> = changes.into_iter().flatten().collect();
        write!(f, "{}; the estimated peak decreases from {peak_before} to {peak_after}", changes.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::TextSize;
    use bipvl_nn::{
        BackboneConfig, HeadConfig, ModelSize, SwinUnetrConfig, TextShape, bifusion::FusionDirection,
    };

    const PLAN: MemoryPlan = MemoryPlan {
        patch_size: [96; 3],
        batch_size: 2,
        gradient_accumulation_steps: 1,
        activation_checkpointing: ActivationCheckpointing::Off,
    };

    fn swin(backbone: &mut BackboneConfig) -> &mut SwinUnetrConfig {
        let BackboneConfig::SwinUnetr(config) = backbone;
        config
    }

    fn estimator() -> MemoryEstimator {
        let mut model = ModelSize::Tiny.config(1);
        // Weights are counted anew for every plan.
        swin(&mut model.vision).feature_size = 4;
        model.text.vocab_size = 200;
        let longest = TextShape { num_classes: 4, tokens: 60, num_sentences: 24, sentence_tokens: 20 };
        let text = TextSize { longest, is_by_case: false };
        MemoryEstimator { model, head: HeadConfig::exclusive(4), text, workers: 2 }
    }

    #[test]
    fn only_changed_keys_are_listed() {
        let text = |after| Reduction { before: PLAN, after, peaks: [8e9, 3.456e9] }.to_string();
        assert_eq!(
            text(MemoryPlan { batch_size: 1, gradient_accumulation_steps: 2, ..PLAN }),
            "batch_size 2 → 1, gradient_accumulation_steps 1 → 2; the estimated peak decreases from 8.00 GB to 3.46 GB"
        );
        assert_eq!(
            text(MemoryPlan {
                patch_size: [64, 64, 32],
                activation_checkpointing: ActivationCheckpointing::Blocks,
                ..PLAN
            }),
            "activation_checkpointing off → blocks, patch_size 96 × 96 × 96 → 64 × 64 × 32; \
             the estimated peak decreases from 8.00 GB to 3.46 GB"
        );
        assert_eq!(text(PLAN), "the configuration is unchanged, with an estimated peak of 3.46 GB");
    }

    #[test]
    fn plans_are_in_the_order_of_their_cost() {
        let before =
            MemoryPlan { patch_size: [64, 64, 32], batch_size: 4, gradient_accumulation_steps: 3, ..PLAN };
        let short = |plan: MemoryPlan| {
            (
                plan.patch_size,
                plan.activation_checkpointing,
                plan.batch_size,
                plan.gradient_accumulation_steps,
            )
        };
        // Divisors of 12 samples.
        let batches = [(4, 3), (3, 4), (2, 6), (1, 12)];
        let mut expected = Vec::new();
        for patch in [[64, 64, 32], [32, 32, 32]] {
            for activation_checkpointing in [ActivationCheckpointing::Off, ActivationCheckpointing::Blocks] {
                expected.extend(batches.map(|(batch, gradient_accumulation_steps)| {
                    (patch, activation_checkpointing, batch, gradient_accumulation_steps)
                }));
            }
        }
        assert_eq!(plans(before, 32).map(short).collect::<Vec<_>>(), expected);
        let again = MemoryPlan {
            activation_checkpointing: ActivationCheckpointing::Blocks,
            batch_size: 5,
            gradient_accumulation_steps: 1,
            patch_size: [32; 3],
        };
        assert_eq!(
            plans(again, 32).map(short).collect::<Vec<_>>(),
            [
                ([32; 3], ActivationCheckpointing::Blocks, 5, 1),
                ([32; 3], ActivationCheckpointing::Blocks, 1, 5)
            ]
        );
    }

    #[test]
    fn sides_shrink_from_the_longest_and_stay_multiples_of_32() {
        let all = |patch| patches(patch, 32).collect::<Vec<_>>();
        assert_eq!(all([96; 3]), [[96; 3], [64; 3], [32; 3]]);
        assert_eq!(all([96, 128, 32]), [[96, 128, 32], [96, 96, 32], [64, 64, 32], [32; 3]]);
    }

    #[test]
    fn every_budget_gets_the_first_plan_that_fits_it() {
        let estimator = estimator();
        for fitting in plans(PLAN, 32) {
            let budget = estimator.peak(&fitting);
            let reduction = fit_to_budget(&estimator, PLAN, budget).unwrap();
            assert!(reduction.peaks[1] <= budget, "{reduction:?}");
            let mut before = plans(PLAN, 32).take_while(|plan| *plan != reduction.after);
            assert!(before.all(|plan| estimator.peak(&plan) > budget), "{reduction:?}");
            let samples = |plan: &MemoryPlan| plan.batch_size * plan.gradient_accumulation_steps;
            assert_eq!(samples(&reduction.after), samples(&PLAN));
        }
        let reduction = fit_to_budget(&estimator, PLAN, f64::INFINITY).unwrap();
        assert_eq!((reduction.after, reduction.peaks[0]), (PLAN, reduction.peaks[1]));
    }

    #[test]
    fn without_a_fitting_plan_the_error_has_the_lowest_peak() {
        let (plan, peak) = fit_to_budget(&estimator(), PLAN, 1.0).unwrap_err();
        assert_eq!(plan.patch_size, [32; 3]);
        assert!(plans(PLAN, 32).all(|other| estimator().peak(&other) >= peak));
        assert!(fit_to_budget(&estimator(), PLAN, peak).is_ok());
        assert!(fit_to_budget(&estimator(), PLAN, peak - 1.0).is_err());
    }

    #[test]
    fn larger_networks_texts_and_batches_have_higher_peaks() {
        let least = estimator().peak(&PLAN);
        let more = |change: fn(&mut MemoryEstimator)| {
            let mut more = estimator();
            change(&mut more);
            more.peak(&PLAN)
        };
        let peaks = [
            more(|estimator| swin(&mut estimator.model.vision).feature_size = 8),
            more(|estimator| swin(&mut estimator.model.vision).in_channels = 2),
            more(|estimator| swin(&mut estimator.model.vision).depths = [2, 2, 4, 2]),
            more(|estimator| estimator.model.deep_supervision_levels = 1),
            more(|estimator| estimator.model.text.intermediate_size *= 2),
            more(|estimator| estimator.model.text.hidden_dropout_prob = 0.1),
            more(|estimator| estimator.model.fusion.mlp_size *= 2),
            more(|estimator| estimator.head = HeadConfig::exclusive(5)),
            more(|estimator| estimator.text.longest.tokens = 61),
            more(|estimator| estimator.text.longest.sentence_tokens = 21),
            more(|estimator| estimator.text.is_by_case = true),
            more(|estimator| estimator.workers = 3),
        ];
        assert!(peaks.iter().all(|peak| *peak > least), "{peaks:?}");
        let plans = [
            MemoryPlan { patch_size: [96, 96, 128], ..PLAN },
            MemoryPlan { batch_size: 3, ..PLAN },
            MemoryPlan { gradient_accumulation_steps: 2, ..PLAN },
        ];
        assert!(plans.iter().all(|plan| estimator().peak(plan) > least));
        assert!(
            estimator()
                .peak(&MemoryPlan { activation_checkpointing: ActivationCheckpointing::Blocks, ..PLAN })
                < least
        );
        assert!(more(|estimator| estimator.model.fusion.direction = FusionDirection::None) < least);
    }
}
