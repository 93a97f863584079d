//! What one patch costs at inference: operations, measured time, and the share of the text in it.

use std::time::Instant;

use bipvl_metrics::median;
use bipvl_nn::{
    BiPvlSeg, TextInput, TextShape, TokenBatch, VisionSeg,
    init::{DropoutRng, Initializer},
    prompts::PromptSeg,
};
use burn::tensor::{Device, Tensor};

/// Timed forward passes of each kind, after one warm-up.
const REPEATS: usize = 5;

/// Cost of one patch at inference. Text features that do not depend on the image are cached and not counted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PatchCost {
    /// Billions of floating-point operations.
    pub gflop: f64,
    /// Median time.
    pub seconds: f64,
    /// Fraction of the time beyond the vision network alone, from the minimum of interleaved runs.
    pub text_share: f64,
}

impl PatchCost {
    /// Measures a network with the texts of its classes on a random patch of so many channels.
    pub fn measure(
        network: &BiPvlSeg,
        text: &TextInput,
        patch: [usize; 3],
        channels: usize,
        device: &Device,
    ) -> Self {
        let [num_classes, tokens] = text.prompts.input_ids.dims();
        let shape = TextShape { num_classes, tokens, num_sentences: 0, sentence_tokens: 0 };
        let encoded = network.encode_text(text, None);
        let vision =
            VisionSeg { backbone: network.backbone.clone(), segmentation: network.segmentation.clone() };
        let whole = |image| network.segment(image, &encoded);
        let (seconds, text_share) = measure(whole, &vision, patch, channels, device);
        Self {
            gflop: network.patch_cost(patch, shape).gflops(),
            seconds,
            // Otherwise both are the same layers and differ by chance.
            text_share: if encoded.affects_logits() { text_share } else { 0.0 },
        }
    }

    /// Measures a prompted network with these prompts on a random patch of so many channels.
    pub fn measure_prompts(
        network: &PromptSeg,
        prompts: &TokenBatch,
        patch: [usize; 3],
        channels: usize,
        device: &Device,
    ) -> Self {
        let [count, tokens] = prompts.input_ids.dims();
        let encoded = network.encode_prompts(prompts, count, None);
        let vision = network.without_text(&mut Initializer::zeros(device));
        let whole = |image| network.segment(image, &encoded).0;
        let (seconds, text_share) = measure(whole, &vision, patch, channels, device);
        Self { gflop: network.patch_cost(patch, count, tokens).gflops(), seconds, text_share }
    }
}

/// Median time of a network, and the share of it beyond the image alone.
fn measure(
    network: impl Fn(Tensor<5>) -> Tensor<5>,
    vision: &VisionSeg,
    patch: [usize; 3],
    channels: usize,
    device: &Device,
) -> (f64, f64) {
    let [x, y, z] = patch;
    let image: Tensor<5> = DropoutRng::new(0, 0).normal([1, channels, x, y, z], device);
    let (mut whole, mut alone) = (Vec::new(), Vec::new());
    for round in 0..=REPEATS {
        let times = [seconds(|| network(image.clone())), seconds(|| vision.forward(image.clone()))];
        if round > 0 {
            whole.push(times[0]);
            alone.push(times[1]);
        }
    }
    // The minimum, because other load only adds time.
    let least = |times: &[f64]| times.iter().copied().fold(f64::INFINITY, f64::min);
    let text_share = (1.0 - least(&alone) / least(&whole)).max(0.0);
    (median(whole).unwrap_or_default(), text_share)
}

/// Seconds until the values are computed.
fn seconds(forward: impl FnOnce() -> Tensor<5>) -> f64 {
    let start = Instant::now();
    let _ = forward().into_data();
    start.elapsed().as_secs_f64()
}
