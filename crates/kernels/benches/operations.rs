//! Roofline of the operations of a patch: feature size 48, 96³ voxels, 15 texts of 48 tokens.
//!
//! `cargo bench -p bipvl-kernels` (with `RAYON_NUM_THREADS` for fewer threads) measures the limits of the machine, then
//! prints for each operation its time, the arithmetic of its definition, the least bytes to move, and the share of the
//! roofline: the time at the binding limit (Williams et al., CACM 52:65) over the time taken.
#![allow(clippy::print_stdout, reason = "a benchmark prints its results")]

use std::{fmt, hint::black_box, time::Instant};

use bipvl_kernels::{
    AttentionInput, WindowAttentionInput, WindowPartition, attention, conv_transpose3d_concat, conv3d, gelu,
    instance_norm, instance_norm_add, layer_norm, linear, tune_malloc, window_attention,
};
use burn::tensor::{Device, Distribution, Tensor};
use rayon::prelude::*;

/// Runs of each operation; the minimum counts, because interference only adds time.
const RUNS: usize = 5;

fn random<const D: usize>(shape: [usize; D]) -> Tensor<D> {
    Tensor::random(shape, Distribution::Uniform(-1.0, 1.0), &Device::flex())
}

/// A cubic feature map.
fn feature_map(side: usize, channels: usize) -> Tensor<5> {
    random([1, side, side, side, channels])
}

/// The minimum time of [`RUNS`] in seconds; `setup`, which makes what an operation may overwrite, is not timed.
fn min_seconds<I, R>(setup: impl Fn() -> I, run: impl Fn(I) -> R) -> f64 {
    let seconds = (0..RUNS).map(|_| {
        let input = setup();
        let began = Instant::now();
        black_box(run(input));
        began.elapsed().as_secs_f64()
    });
    seconds.fold(f64::INFINITY, f64::min)
}

/// Limits of the machine with the threads of this run.
struct Limits {
    /// Floating-point operations per second in a product of two 2048² matrices.
    operations: f64,
    /// Bytes per second in an addition of long vectors, in place.
    bytes: f64,
}

impl Limits {
    fn measure() -> Self {
        const SIDE: usize = 2048;
        const LENGTH: usize = 1 << 26;
        let (left, right) = (random([SIDE, SIDE]), random([SIDE, SIDE]));
        let product = min_seconds(|| (left.clone(), right.clone()), |(left, right)| left.matmul(right));
        let (mut sum, more) = (vec![1.0f32; LENGTH], vec![1.0f32; LENGTH]);
        let chunk = LENGTH.div_ceil(rayon::current_num_threads());
        let seconds = (0..RUNS).map(|_| {
            let began = Instant::now();
            sum.par_chunks_mut(chunk).zip(more.par_chunks(chunk)).for_each(|(sum, more)| {
                sum.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
            });
            began.elapsed().as_secs_f64()
        });
        let addition = seconds.fold(f64::INFINITY, f64::min);
        black_box(sum);
        Self { operations: 2.0 * SIDE.pow(3) as f64 / product, bytes: 12.0 * LENGTH as f64 / addition }
    }

    /// Prints one line; `work` is floating-point operations, and the least values to read and write.
    fn line(&self, name: &str, work: [usize; 2], seconds: f64) {
        let (operations, bytes) = (work[0] as f64, 4.0 * work[1] as f64);
        let (arithmetic, memory) = (operations / self.operations, bytes / self.bytes);
        println!(
            "| {name} | {:.1} | {:.2} | {:.0} | {:.3} | {:.1} | {} | {:.0} % |",
            1e3 * seconds,
            operations / 1e9,
            operations / 1e9 / seconds,
            bytes / 1e9,
            bytes / 1e9 / seconds,
            if arithmetic > memory { "arithmetic" } else { "memory" },
            100.0 * arithmetic.max(memory) / seconds,
        );
    }

    fn operation<const D: usize>(&self, name: &str, work: [usize; 2], run: impl Fn() -> Tensor<D>) {
        self.line(name, work, min_seconds(|| (), |()| run()));
    }

    fn convolution(&self, side: usize, inputs: usize, outputs: usize) {
        let (input, weight) = (feature_map(side, inputs), random([3, 3, 3, inputs, outputs]));
        let (voxels, filters) = (side.pow(3), inputs * outputs);
        let name = format!("3³ convolution, {inputs} → {outputs} at {side}³");
        let work = [54 * voxels * filters, voxels * (inputs + outputs) + 27 * filters];
        self.operation(&name, work, || conv3d(input.clone(), weight.clone()));
    }

    fn layer(&self, side: usize, inputs: usize, outputs: usize) {
        let (input, weight, bias) = (feature_map(side, inputs), random([inputs, outputs]), random([outputs]));
        let voxels = side.pow(3);
        let name = format!("linear, {inputs} → {outputs} at {side}³");
        self.operation(&name, [2 * voxels * inputs * outputs, voxels * (inputs + outputs)], || {
            linear(input.clone(), weight.clone(), Some(bias.clone()))
        });
    }

    fn windows(&self, side: usize, heads: usize) {
        const WIDTH: usize = 16;
        let channels = heads * WIDTH;
        let (qkv, padding_token) = (feature_map(side, 3 * channels), random([3 * channels]));
        let (bias_table, partition) = (random([13 * 13 * 13, heads]), WindowPartition::new([side; 3], 7, 3));
        let (tokens, count) = (343, side.div_ceil(7).pow(3));
        let name = format!("window attention, {heads} heads at {side}³");
        let work = [4 * tokens * tokens * channels * count, 4 * side.pow(3) * channels];
        self.operation(&name, work, || {
            let (qkv, padding_token, bias_table) = (qkv.clone(), padding_token.clone(), bias_table.clone());
            window_attention(WindowAttentionInput { qkv, padding_token, bias_table, partition })
        });
    }

    /// As in the first fusion block of model size `paper`.
    fn tokens(&self, name: &str, [queries, keys]: [usize; 2]) {
        const HEADS: usize = 8;
        const WIDTH: usize = 6;
        let (query, key) = (random([1, queries, HEADS, WIDTH]), random([1, keys, HEADS, WIDTH]));
        let name = format!("token attention, {name}, {HEADS} heads");
        let work = [4 * queries * keys * HEADS * WIDTH, 2 * (queries + keys) * HEADS * WIDTH];
        self.operation(&name, work, || {
            let (query, key, value) = (query.clone(), key.clone(), key.clone());
            attention(AttentionInput { query, key, value, bias: None, mask: None })
        });
    }

    /// Element-wise operations and norms, in place as in the network.
    fn maps(&self) {
        let (large, small, wide) = (feature_map(96, 48), feature_map(48, 48), feature_map(48, 192));
        let unique = |map: &Tensor<5>| map.clone() * 1.0;
        let (many, few, hidden) = (96usize.pow(3) * 48, 48usize.pow(3) * 48, 48usize.pow(3) * 192);
        let norm = min_seconds(|| unique(&large), |map| instance_norm(map, 1e-5, 0.01));
        self.line("instance norm, 48 at 96³", [5 * many, 2 * many], norm);
        let end = min_seconds(|| unique(&large), |map| instance_norm_add(map, large.clone(), 1e-5, 0.01));
        self.line("instance norm with residual, 48 at 96³", [7 * many, 3 * many], end);
        let filter = random([48, 8 * 48]);
        let join = || conv_transpose3d_concat(small.clone(), filter.clone(), large.clone());
        self.operation(
            "transposed convolution and concatenation, 48 at 96³",
            [2 * 48 * many, few + 3 * many],
            join,
        );
        let (scale, shift) = (random([48]), random([48]));
        let layer = || layer_norm(small.clone(), scale.clone(), shift.clone(), 1e-5);
        self.operation("layer norm, 48 at 48³", [6 * few, 2 * few], layer);
        self.line("GELU, 192 at 48³", [20 * hidden, 2 * hidden], min_seconds(|| unique(&wide), gelu));
    }
}

impl fmt::Display for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (threads, operations, bytes) =
            (rayon::current_num_threads(), self.operations / 1e9, self.bytes / 1e9);
        write!(f, "limits, {threads} threads: {operations:.0} GFLOP/s in a product, {bytes:.1} GB/s in a sum")
    }
}

fn main() {
    tune_malloc();
    let limits = Limits::measure();
    println!("{limits}\n");
    println!(
        "| operation | ms | GFLOP | GFLOP/s | GB | GB/s | limit | share |\n|---|--:|--:|--:|--:|--:|---|--:|"
    );
    for (side, inputs, outputs) in [
        (96, 1, 48),
        (96, 48, 48),
        (96, 96, 48),
        (48, 96, 48),
        (24, 192, 96),
        (12, 384, 192),
        (6, 768, 384),
        (3, 768, 768),
    ] {
        limits.convolution(side, inputs, outputs);
    }
    for (side, inputs, outputs) in [(96, 96, 48), (96, 48, 14), (48, 48, 144), (48, 48, 384), (48, 192, 48)] {
        limits.layer(side, inputs, outputs);
    }
    limits.windows(48, 3);
    limits.windows(24, 6);
    limits.tokens("24³ voxels attend to 720 text tokens", [13_824, 720]);
    limits.tokens("720 text tokens attend to 24³ voxels", [720, 13_824]);
    limits.maps();
}
