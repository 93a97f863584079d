//! The tests on new bodies, one line each.

use std::{collections::HashSet, ops::ControlFlow, path::Path};

use bipvl_data::{CachedCase, build_cache};
use bipvl_imaging::{
    IGNORE_INDEX,
    phantom::attributes::{Attributes, Kind},
};
use bipvl_prompts::{
    PromptPredictor,
    validate::{MIN_FOUND_VOXELS, Overlap, score},
};
use bipvl_text::prompts::sample_negative;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::{Result, is_held_out, is_held_out_union, is_unseen, preprocess};

/// Sums over prompts of one test.
#[derive(Default)]
struct Test {
    dice: f64,
    count: usize,
    empty: usize,
    absent: usize,
}

impl Test {
    fn add(&mut self, overlap: Overlap) {
        if overlap.reference > 0 {
            self.dice += overlap.dice().unwrap_or(0.0);
            self.count += 1;
        } else {
            self.absent += 1;
            self.empty += usize::from(overlap.found < MIN_FOUND_VOXELS);
        }
    }

    fn report(&self, name: &str) {
        let share = |sum: f64, count: usize| if count == 0 { f64::NAN } else { sum / count as f64 };
        println!(
            "{name}: Dice {:.3} ({} prompts), silent when absent {:.3} ({} prompts)",
            share(self.dice, self.count),
            self.count,
            share(self.empty as f64, self.absent),
            self.absent
        );
    }
}

const TITLES: [&str; 6] = [
    "trained phrases",
    "held-out phrases",
    "held-out kinds",
    "trained unions",
    "held-out unions",
    "nonsense and other worlds",
];

pub(crate) fn evaluate(dir: &Path, predictor: &PromptPredictor) -> Result<()> {
    let preprocess = preprocess();
    let dataset = bipvl_data::Dataset::open(&dir.join("new"))?;
    let cases = build_cache(&dir.join("cache-new"), &preprocess, &dataset, &dataset.cases, &|_| {
        ControlFlow::Continue(())
    })?;
    let kinds: Vec<Kind> = Kind::all().collect();
    let unions: Vec<Attributes> = Attributes::unions().collect();
    let mut tests: [Test; 6] = Default::default();
    let mut exchanged = [0; 2];
    let mut words = ChaCha8Rng::seed_from_u64(1);
    for case in &cases {
        let sample = case.crop([0; 3], case.grid().shape());
        let shown: HashSet<u8> = sample.labels.iter().copied().collect();
        let labels: Vec<Vec<u8>> = kinds.iter().map(|kind| vec![kind.label() as u8]).collect();
        let names: Vec<String> = kinds.iter().map(ToString::to_string).collect();
        // Sixteen prompts a pass, as many shown as absent ones.
        for group in (0..kinds.len()).collect::<Vec<_>>().chunks(16) {
            let prompts: Vec<String> = group.iter().map(|kind| names[*kind].clone()).collect();
            let masks: Vec<&[u8]> = group.iter().map(|kind| labels[*kind].as_slice()).collect();
            let overlaps = score(predictor, &predictor.encode(&prompts), case, &masks, IGNORE_INDEX);
            for (kind, overlap) in group.iter().zip(overlaps) {
                let test = match kinds[*kind] {
                    kind if is_unseen(kind) => 2,
                    kind if is_held_out(kind) => 1,
                    _ => 0,
                };
                tests[test].add(overlap);
            }
        }
        for (sum, added) in exchanged.iter_mut().zip(exchange_sides(predictor, case, &kinds, &shown)) {
            *sum += added;
        }
        for (place, union) in unions.iter().enumerate().filter(|(place, _)| place % 7 < 3) {
            let of_union: Vec<u8> =
                kinds.iter().filter(|kind| union.matches(**kind)).map(|kind| kind.label() as u8).collect();
            let overlap =
                score(predictor, &predictor.encode(&[union.to_string()]), case, &[&of_union], IGNORE_INDEX)
                    [0];
            tests[if is_held_out_union(place) { 4 } else { 3 }].add(overlap);
        }
        for _ in 0..2 {
            for text in [sample_negative(true, &mut words), sample_negative(true, &mut words)] {
                tests[5].add(score(predictor, &predictor.encode(&[text]), case, &[&[]], IGNORE_INDEX)[0]);
            }
        }
    }
    for (test, title) in tests.iter().zip(TITLES) {
        test.report(title);
    }
    let [in_twin, found] = exchanged;
    println!(
        "side word exchanged, both there: {:.3} of {found} voxels lie in the twin",
        in_twin as f64 / found.max(1) as f64
    );
    Ok(())
}

/// Voxels found under the phrase of the other side where both sides are shown: `[in the named one, all]`.
fn exchange_sides(
    predictor: &PromptPredictor,
    case: &CachedCase,
    kinds: &[Kind],
    shown: &HashSet<u8>,
) -> [usize; 2] {
    let is_shown = |kind: Kind| shown.contains(&(kind.label() as u8));
    let mut voxels = [0; 2];
    for kind in kinds.iter().filter(|kind| kind.side != 1 && is_shown(**kind)) {
        let twin = Kind { side: 2 - kind.side, ..*kind };
        if is_unseen(twin) || !is_shown(twin) {
            continue;
        }
        let prompt = predictor.encode(&[twin.to_string()]);
        let overlap = score(predictor, &prompt, case, &[&[twin.label() as u8]], IGNORE_INDEX)[0];
        voxels[0] += overlap.both;
        voxels[1] += overlap.found;
    }
    voxels
}
