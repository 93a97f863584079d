//! What a training gives up where there is less memory than it would need, in the order of what that costs: first
//! time alone (smaller batches, added up to the same update), then more time (recomputation), then quality (a smaller
//! patch sees less around each voxel).

use super::{
    activation_checkpointing::ActivationCheckpointing,
    memory::{MemoryEstimator, MemoryPlan},
};

/// What was chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reduction {
    /// As the configuration has it.
    pub before: MemoryPlan,
    /// What fits; the same if that does.
    pub after: MemoryPlan,
    /// Estimated peaks of both, bytes.
    pub peaks: [f64; 2],
}

/// The first plan that fits into `budget` bytes, in the order of what it costs; samples per update stay the same.
///
/// # Errors
///
/// When none does: the plan that needs least, and its peak.
pub fn fit_to_budget(
    demand: &MemoryEstimator,
    before: MemoryPlan,
    budget: f64,
) -> Result<Reduction, (MemoryPlan, f64)> {
    let peak_before = demand.peak(&before);
    let mut least = (before, peak_before);
    for after in plans(before, demand.model.vision.patch_multiple()) {
        let peak = demand.peak(&after);
        if peak <= budget {
            return Ok(Reduction { before, after, peaks: [peak_before, peak] });
        }
        if peak < least.1 {
            least = (after, peak);
        }
    }
    Err(least)
}

/// All plans from the one that costs nothing to the one that costs most.
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

/// Batches of at most the planned size that make the same update, with their number.
fn batches(before: MemoryPlan) -> impl Iterator<Item = (usize, usize)> {
    let samples = before.batch_size * before.gradient_accumulation_steps;
    (1..=before.batch_size)
        .rev()
        .filter(move |batch| samples.is_multiple_of(*batch))
        .map(move |b| (b, samples / b))
}

/// The patch, then smaller ones, each with the longest sides of the one before it shorter by a step.
fn patches(patch: [usize; 3], step: usize) -> impl Iterator<Item = [usize; 3]> {
    std::iter::successors(Some(patch), move |patch| {
        let longest = *patch.iter().max()?;
        let shorter = |side: usize| if side == longest { side - step } else { side };
        (longest > step).then(|| patch.map(shorter))
    })
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

    fn demand() -> MemoryEstimator {
        let mut model = ModelSize::Tiny.config(1);
        // Weights are counted anew for every plan.
        swin(&mut model.vision).feature_size = 4;
        model.text.vocab_size = 200;
        let longest = TextShape { num_classes: 4, tokens: 60, num_sentences: 24, sentence_tokens: 20 };
        let text = TextSize { longest, is_by_case: false };
        MemoryEstimator { model, classes: HeadConfig::exclusive(4), text, workers: 2 }
    }

    #[test]
    fn plans_are_tried_in_the_order_of_what_they_cost() {
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
        // 12 samples: batches of 4, 3, 2 and 1 make them up.
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
        let demand = demand();
        for wanted in plans(PLAN, 32) {
            let budget = demand.peak(&wanted);
            let reduction = fit_to_budget(&demand, PLAN, budget).unwrap();
            assert!(reduction.peaks[1] <= budget, "{reduction:?}");
            let mut before = plans(PLAN, 32).take_while(|plan| *plan != reduction.after);
            assert!(before.all(|plan| demand.peak(&plan) > budget), "{reduction:?}");
            let samples = |plan: &MemoryPlan| plan.batch_size * plan.gradient_accumulation_steps;
            assert_eq!(samples(&reduction.after), samples(&PLAN));
        }
        let reduction = fit_to_budget(&demand, PLAN, f64::INFINITY).unwrap();
        assert_eq!((reduction.after, reduction.peaks[0]), (PLAN, reduction.peaks[1]));
    }

    #[test]
    fn what_nothing_fits_names_the_least_need() {
        let (plan, peak) = fit_to_budget(&demand(), PLAN, 1.0).unwrap_err();
        assert_eq!(plan.patch_size, [32; 3]);
        assert!(plans(PLAN, 32).all(|other| demand().peak(&other) >= peak));
        assert!(fit_to_budget(&demand(), PLAN, peak).is_ok());
        assert!(fit_to_budget(&demand(), PLAN, peak - 1.0).is_err());
    }

    #[test]
    fn more_of_anything_needs_more() {
        let least = demand().peak(&PLAN);
        let more = |change: fn(&mut MemoryEstimator)| {
            let mut more = demand();
            change(&mut more);
            more.peak(&PLAN)
        };
        let demands = [
            more(|demand| swin(&mut demand.model.vision).feature_size = 8),
            more(|demand| swin(&mut demand.model.vision).in_channels = 2),
            more(|demand| swin(&mut demand.model.vision).depths = [2, 2, 4, 2]),
            more(|demand| demand.model.deep_supervision_levels = 1),
            more(|demand| demand.model.text.intermediate_size *= 2),
            more(|demand| demand.model.text.hidden_dropout_prob = 0.1),
            more(|demand| demand.model.fusion.mlp_size *= 2),
            more(|demand| demand.classes = HeadConfig::exclusive(5)),
            more(|demand| demand.text.longest.tokens = 61),
            more(|demand| demand.text.longest.sentence_tokens = 21),
            more(|demand| demand.text.is_by_case = true),
            more(|demand| demand.workers = 3),
        ];
        assert!(demands.iter().all(|peak| *peak > least), "{demands:?}");
        let plans = [
            MemoryPlan { patch_size: [96, 96, 128], ..PLAN },
            MemoryPlan { batch_size: 3, ..PLAN },
            MemoryPlan { gradient_accumulation_steps: 2, ..PLAN },
        ];
        assert!(plans.iter().all(|plan| demand().peak(plan) > least));
        assert!(
            demand().peak(&MemoryPlan { activation_checkpointing: ActivationCheckpointing::Blocks, ..PLAN })
                < least
        );
        assert!(more(|demand| demand.model.fusion.direction = FusionDirection::None) < least);
    }
}
