//! `bipvl bench`: measures time and memory of each benchmark in a child process.

mod benchmark;
mod file;
mod inputs;
mod result;
mod score;
mod text;
mod timer;
mod vision;

use std::{
    env,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};

pub(crate) use benchmark::Benchmark;
use benchmark::Size;
use inputs::Inputs;
use result::BenchmarkResult;
pub(crate) use result::median;
use text::{Encoding, Fixture};

use crate::args::BenchArgs;

/// An operation to time.
trait Workload {
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

/// Runs the benchmarks in turn and prints each result as it arrives.
#[expect(clippy::print_stdout, reason = "the table is the output of the command")]
pub(crate) fn run(args: &BenchArgs) -> Result<()> {
    if args.in_process {
        return run_in_process(args);
    }
    let benchmarks = if args.benchmarks.is_empty() { &Benchmark::ALL[..] } else { &args.benchmarks };
    if !args.json {
        println!("{}", BenchmarkResult::header());
    }
    let mut results = Vec::new();
    for benchmark in benchmarks {
        match run_in_child(*benchmark, args) {
            Ok(result) if args.json => results.push(result),
            Ok(result) => {
                println!("{}", result.row());
                results.push(result);
            }
            Err(error) => tracing::error!("{error:#}"),
        }
    }
    if args.json {
        println!("{}", serde_json::to_string_pretty(&results)?);
    }
    match benchmarks.len() - results.len() {
        0 => Ok(()),
        failed => bail!("{failed} of {} benchmarks failed", benchmarks.len()),
    }
}

/// Runs one benchmark in a child process, whose peak memory is then that of the benchmark.
fn run_in_child(benchmark: Benchmark, args: &BenchArgs) -> Result<BenchmarkResult> {
    let program = env::current_exe().context("the path of this program is unknown")?;
    let mut command = Command::new(program);
    command.args(["bench", "--in-process", &benchmark.to_string()]);
    command.args(["--repeat", &args.repeat.to_string()]);
    command.args(["--threads", &rayon::current_num_threads().to_string()]);
    command.args(args.smoke_test.then_some("--smoke-test"));
    for (flag, number) in [("--classes", args.classes), ("--tokens", args.tokens)] {
        if let Some(number) = number {
            command.args([flag, &number.to_string()]);
        }
    }
    let output = command.stderr(Stdio::inherit()).output().with_context(|| benchmark.to_string())?;
    if !output.status.success() {
        bail!("{benchmark}: the child process ended with {}", output.status);
    }
    serde_json::from_slice(&output.stdout).with_context(|| format!("{benchmark}: unreadable result"))
}

/// Runs one benchmark in this process and prints its result as JSON.
#[expect(clippy::print_stdout, reason = "the result is the output of the process")]
fn run_in_process(args: &BenchArgs) -> Result<()> {
    let [benchmark] = args.benchmarks[..] else {
        bail!("--in-process takes exactly one benchmark, not {}", args.benchmarks.len());
    };
    let mut workload = prepare(benchmark, &Inputs::new(args), args)?;
    let timing = timer::time(&mut *workload, args.repeat)?;
    if let Some(path) = &args.output {
        workload.save(path)?;
    }
    let result = BenchmarkResult::new(benchmark, timing, workload.gflop(), args.smoke_test);
    println!("{}", serde_json::to_string(&result)?);
    Ok(())
}

fn prepare(benchmark: Benchmark, inputs: &Inputs, args: &BenchArgs) -> Result<Box<dyn Workload>> {
    let smoke_test = args.smoke_test;
    let size = |size| if smoke_test { Size::SMOKE_TEST } else { size };
    let tiny = || Fixture::tiny().with_text(args.classes, args.tokens);
    let paper = || if smoke_test { tiny() } else { Fixture::paper().with_text(args.classes, args.tokens) };
    Ok(match benchmark {
        Benchmark::Vision(full) => Box::new(vision::Forward::new(inputs, size(full))?),
        Benchmark::Train(full) => Box::new(vision::Training::new(inputs, size(full))?),
        Benchmark::TextWindow => Box::new(text::Forward::new(inputs, &paper(), Encoding::Each)?),
        Benchmark::TextWindowCached => Box::new(text::Forward::new(inputs, &paper(), Encoding::Once)?),
        Benchmark::TextTrain => Box::new(text::Training::new(inputs, &tiny())?),
        Benchmark::TextTrainPaper => Box::new(text::Training::new(inputs, &paper())?),
        Benchmark::File => Box::new(file::SegmentFile::new(inputs, smoke_test)?),
        Benchmark::Score => Box::new(score::Scoring::new(inputs, smoke_test)?),
    })
}
