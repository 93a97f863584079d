//! Cost of a run: parameters, operations, time and memory, measured in the process that trained it.

use std::{fs, path::Path, time::Instant};

use anyhow::{Context, Result};
use bipvl::{
    nn::{BiPvlSeg, ForwardShape, TextShape, VisionSeg, init::DropoutRng},
    run::RunDir,
    train::loss::AlignmentLoss,
};
use bipvl_io::atomic_write;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{commands::bench::median, process_memory::peak_mib};

/// Timed forward passes of each kind, after one warm-up.
const REPEATS: usize = 5;

/// Cost of one run.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Cost {
    /// Parameters of the modules that are trained.
    pub(crate) parameters: usize,
    /// Billions of floating-point operations per patch at inference.
    pub(crate) gflop_per_patch: f64,
    /// Median over the training steps.
    pub(crate) seconds_per_step: Option<f64>,
    /// Median over forward passes at inference.
    pub(crate) seconds_per_patch: f64,
    /// Fraction of that time beyond the vision network alone.
    pub(crate) text_share: f64,
    /// Peak resident memory of the training process, data included; absent where the system does not report it.
    pub(crate) peak_mib: Option<u64>,
}

impl Cost {
    /// Measures a run that this process has just trained.
    pub(super) fn measure(run: &RunDir, device: &Device) -> Result<Self> {
        // Before anything else allocates.
        let peak_mib = peak_mib();
        let model = run.model.network(device)?;
        let text = run.model.text(device);
        let (config, patch) = (&run.config.model, run.config.preprocess.patch_size);

        let [num_classes, tokens] = text.prompts.input_ids.dims();
        let shape = TextShape { num_classes, tokens, num_sentences: 0, sentence_tokens: 0 };

        let encoded = model.encode_text(&text, None);
        let vision = VisionSeg { backbone: model.backbone.clone(), segmentation: model.segmentation.clone() };
        let [x, y, z] = patch;
        let image: Tensor<5> =
            DropoutRng::new(0, 0).normal([1, config.vision.in_channels(), x, y, z], device);
        let (mut whole, mut alone) = (Vec::new(), Vec::new());
        for round in 0..=REPEATS {
            let times = [
                seconds(|| model.segment(image.clone(), &encoded)),
                seconds(|| vision.forward(image.clone())),
            ];
            if round > 0 {
                whole.push(times[0]);
                alone.push(times[1]);
            }
        }
        // The minimum, because other load only adds time.
        let least = |times: &[f64]| times.iter().copied().fold(f64::INFINITY, f64::min);
        let text_share = (1.0 - least(&alone) / least(&whole)).max(0.0);
        let exchange = config.fusion.direction;
        Ok(Self {
            parameters: parameters(run, &model, patch, shape),
            gflop_per_patch: model.patch_cost(patch, shape).gflops(),
            seconds_per_step: median(step_seconds(&run.path("log.jsonl"))?),
            seconds_per_patch: median(whole).unwrap_or_default(),
            // Without text-to-vision fusion both are the same layers and differ by chance.
            text_share: if exchange.updates_vision() { text_share } else { 0.0 },
            peak_mib,
        })
    }

    pub(super) fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
        serde_json::from_str(&text).with_context(|| format!("{}: not the cost file of a run", path.display()))
    }

    pub(super) fn write(&self, path: &Path) -> Result<()> {
        Ok(atomic_write(path, serde_json::to_string_pretty(self)?.as_bytes())?)
    }

    /// Cost of a row over its runs: medians of times, maximum of memory.
    pub(crate) fn of_row(runs: &[Self]) -> Option<Self> {
        let over = |value: fn(&Self) -> f64| median(runs.iter().map(value).collect());
        Some(Self {
            seconds_per_step: median(runs.iter().filter_map(|run| run.seconds_per_step).collect()),
            seconds_per_patch: over(|run| run.seconds_per_patch)?,
            text_share: over(|run| run.text_share)?,
            peak_mib: runs.iter().filter_map(|run| run.peak_mib).max(),
            ..*runs.first()?
        })
    }
}

/// Counts the vision network and heads always, the text encoder only where its output is used.
fn parameters(run: &RunDir, model: &BiPvlSeg, patch: [usize; 3], text: TextShape) -> usize {
    let exchange = run.config.model.fusion.direction;
    let is_aligned = run.config.train.loss.alignment != AlignmentLoss::None;
    let is_fused = exchange.updates_text() || exchange.updates_vision();
    let is_used = |block: &str| match block {
        "alignment" => is_aligned,
        "text_encoder" => is_aligned || is_fused,
        _ => true,
    };
    let costs = model.costs(&ForwardShape { patch, batch: 1, num_texts: 1, text });
    costs.into_iter().filter(|(block, _)| is_used(block)).map(|(_, cost)| cost.parameters).sum()
}

/// Seconds of each training step, from the log.
fn step_seconds(log: &Path) -> Result<Vec<f64>> {
    let text = fs::read_to_string(log).with_context(|| log.display().to_string())?;
    let events = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    Ok(events.filter(|event| event["event"] == "step").filter_map(|step| step["seconds"].as_f64()).collect())
}

/// Seconds until the values are computed.
fn seconds(window: impl FnOnce() -> Tensor<5>) -> f64 {
    let start = Instant::now();
    let _ = window().into_data();
    start.elapsed().as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_takes_the_median_time_and_the_peak_memory_of_its_runs() {
        let run = |seconds, peak| Cost {
            parameters: 7,
            gflop_per_patch: 0.5,
            seconds_per_step: Some(seconds),
            seconds_per_patch: seconds * 2.0,
            text_share: 0.25,
            peak_mib: peak,
        };
        let runs = [run(1.0, Some(10)), run(5.0, None), run(2.0, Some(30))];
        assert_eq!(Cost::of_row(&runs), Some(run(2.0, Some(30))));
        assert_eq!(Cost::of_row(&[]), None);
    }
}
