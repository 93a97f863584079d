//! What a benchmark runs.

use std::path::Path;

use anyhow::Result;

use super::{
    benchmark::{Benchmark, Size},
    dicom, file,
    fixture::Fixture,
    inputs::Inputs,
    prompts, score,
    text::{self, Encoding},
    text_training, vision, vision_training,
};
use crate::args::BenchArgs;

/// An operation to time.
pub(super) trait Workload {
    /// Runs one iteration.
    fn run(&mut self) -> Result<()>;

    /// Writes the result of the last iteration, for comparison with another program.
    fn save(&self, path: &Path) -> Result<()>;

    /// Whether the first iteration is unrepresentative because it allocates memory.
    fn needs_warm_up(&self) -> bool {
        true
    }

    /// Billions of floating-point operations per iteration, where known.
    fn gflop(&self) -> Option<f64> {
        None
    }
}

/// Builds the network or draws the data of a benchmark.
pub(super) fn prepare(benchmark: Benchmark, inputs: &Inputs, args: &BenchArgs) -> Result<Box<dyn Workload>> {
    let smoke_test = args.smoke_test;
    let size = |size| if smoke_test { Size::SMOKE_TEST } else { size };
    let tiny = || Fixture::tiny().with_text(args.classes, args.tokens);
    let paper = || if smoke_test { tiny() } else { Fixture::paper().with_text(args.classes, args.tokens) };
    Ok(match benchmark {
        Benchmark::Vision(full) => Box::new(vision::Forward::new(inputs, size(full))?),
        Benchmark::Train(full) => Box::new(vision_training::Training::new(inputs, size(full))?),
        Benchmark::TextWindow => Box::new(text::Forward::new(inputs, &paper(), Encoding::Each)?),
        Benchmark::TextWindowCached => Box::new(text::Forward::new(inputs, &paper(), Encoding::Once)?),
        Benchmark::TextTrain => Box::new(text_training::Training::new(inputs, &tiny())?),
        Benchmark::TextTrainPaper => Box::new(text_training::Training::new(inputs, &paper())?),
        Benchmark::Prompts(count) => Box::new(prompts::Forward::new(inputs, count, smoke_test)?),
        Benchmark::File => Box::new(file::SegmentFile::new(inputs, smoke_test)?),
        Benchmark::Score => Box::new(score::Scoring::new(inputs, smoke_test)?),
        Benchmark::Dicom(task) => Box::new(dicom::DicomWorkload::new(task, smoke_test)?),
    })
}
