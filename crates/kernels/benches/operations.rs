//! The roofline of the operations of a window: feature size 48, 96³ voxels.
//!
//! `cargo bench -p bipvl-kernels` (with `RAYON_NUM_THREADS` for fewer threads) prints for each operation its
//! time, its arithmetic as it is defined, and the bytes that must move at least.
#![allow(clippy::print_stdout, reason = "what it prints is what it is for")]

use std::{hint::black_box, time::Instant};

use bipvl_kernels::{
    WindowAttentionInput, Windows, add_leaky_relu, conv3d, gelu, instance_norm, keep_freed_memory,
    layer_norm, linear, upsample_join, window_attention,
};
use burn::tensor::{Device, Distribution, Tensor};

/// Runs of each operation; the least counts, because everything else on the machine only adds.
const RUNS: usize = 5;

fn random<const D: usize>(shape: [usize; D]) -> Tensor<D> {
    Tensor::random(shape, Distribution::Uniform(-1.0, 1.0), &Device::flex())
}

/// A feature map of equal sides.
fn map(side: usize, channels: usize) -> Tensor<5> {
    random([1, side, side, side, channels])
}

/// Prints one line; `values` are those read and written.
fn measure<const D: usize>(name: &str, operations: usize, values: usize, run: impl Fn() -> Tensor<D>) {
    measure_on(name, operations, values, || (), |()| run());
}

/// The same for an operation that may overwrite what it is given; making that is not timed.
fn measure_on<I, const D: usize>(
    name: &str,
    operations: usize,
    values: usize,
    make: impl Fn() -> I,
    run: impl Fn(I) -> Tensor<D>,
) {
    let seconds = (0..RUNS).map(|_| {
        let input = make();
        let began = Instant::now();
        black_box(run(input));
        began.elapsed().as_secs_f64()
    });
    let least = seconds.fold(f64::INFINITY, f64::min);
    let (operations, bytes) = (operations as f64 / 1e9, 4.0 * values as f64 / 1e9);
    println!(
        "| {name} | {:.1} | {operations:.1} | {:.0} | {bytes:.3} | {:.1} |",
        1e3 * least,
        operations / least,
        bytes / least,
    );
}

fn convolution(side: usize, inputs: usize, outputs: usize) {
    let (input, weight) = (map(side, inputs), random([3, 3, 3, inputs, outputs]));
    let (voxels, filters) = (side.pow(3), inputs * outputs);
    let name = format!("3³ convolution, {inputs} → {outputs} at {side}³");
    measure(&name, 54 * voxels * filters, voxels * (inputs + outputs) + 27 * filters, || {
        conv3d(input.clone(), weight.clone())
    });
}

fn layer(side: usize, inputs: usize, outputs: usize) {
    let (input, weight, bias) = (map(side, inputs), random([inputs, outputs]), random([outputs]));
    let voxels = side.pow(3);
    let name = format!("linear, {inputs} → {outputs} at {side}³");
    measure(&name, 2 * voxels * inputs * outputs, voxels * (inputs + outputs), || {
        linear(input.clone(), weight.clone(), Some(bias.clone()))
    });
}

fn attention(side: usize, heads: usize) {
    const WIDTH: usize = 16;
    let channels = heads * WIDTH;
    let (qkv, padding) = (map(side, 3 * channels), random([3 * channels]));
    let (bias_table, windows) = (random([13 * 13 * 13, heads]), Windows::new([side; 3], 7, 3));
    let (tokens, count) = (343, side.div_ceil(7).pow(3));
    let operations = 4 * tokens * tokens * channels * count;
    let name = format!("window attention, {heads} heads at {side}³");
    measure(&name, operations, 4 * side.pow(3) * channels, || {
        let (qkv, padding, bias_table) = (qkv.clone(), padding.clone(), bias_table.clone());
        window_attention(WindowAttentionInput { qkv, padding, bias_table, windows })
    });
}

fn main() {
    keep_freed_memory();
    println!("| operation | ms | GFLOP | GFLOP/s | GB | GB/s |\n|---|--:|--:|--:|--:|--:|");
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
        convolution(side, inputs, outputs);
    }
    for (side, inputs, outputs) in [(96, 96, 48), (96, 48, 14), (48, 48, 144), (48, 48, 384), (48, 192, 48)] {
        layer(side, inputs, outputs);
    }
    attention(48, 3);
    attention(24, 6);
    let (large, small) = (map(96, 48), map(48, 48));
    let values = 2 * 96usize.pow(3) * 48;
    let of_its_own = |map: &Tensor<5>| map.clone() * 1.0;
    measure_on(
        "instance norm, 48 at 96³",
        5 * values / 2,
        values,
        || of_its_own(&large),
        |map| instance_norm(map, 1e-5, 0.01),
    );
    measure_on(
        "sum and leaky ReLU, 48 at 96³",
        values,
        3 * values / 2,
        || of_its_own(&large),
        |map| add_leaky_relu(map, large.clone(), 0.01),
    );
    let filter = random([48, 8 * 48]);
    measure("upsampling and join, 48 at 96³", 48 * values, 3 * values / 2, || {
        upsample_join(small.clone(), filter.clone(), large.clone())
    });
    measure("layer norm, 48 at 48³", 6 * values / 16, values / 8, || {
        layer_norm(small.clone(), random([48]), random([48]), 1e-5)
    });
    let wide = map(48, 192);
    measure_on("GELU, 192 at 48³", 20 * values / 4, values / 2, || of_its_own(&wide), gelu);
}
