//! `bipvl bench`: measures time and memory of each benchmark in a child process.

mod benchmark;
mod child;
mod dicom;
mod file;
mod fixture;
mod inputs;
mod losses;
mod prompts;
mod result;
mod score;
mod text;
mod text_training;
mod timer;
mod vision;
mod vision_training;
mod workload;

use anyhow::{Result, bail};

pub(crate) use benchmark::Benchmark;
use inputs::Inputs;
use result::BenchmarkResult;

use crate::args::BenchArgs;

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
        match child::run(*benchmark, args) {
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

/// Runs one benchmark in this process and prints its result as JSON.
#[expect(clippy::print_stdout, reason = "the result is the output of the process")]
fn run_in_process(args: &BenchArgs) -> Result<()> {
    let [benchmark] = args.benchmarks[..] else {
        bail!("--in-process takes exactly one benchmark, not {}", args.benchmarks.len());
    };
    let mut workload = workload::prepare(benchmark, &Inputs::new(args), args)?;
    let timing = timer::time(&mut *workload, args.repeat)?;
    if let Some(path) = &args.output {
        workload.save(path)?;
    }
    let result = BenchmarkResult::new(benchmark, timing, workload.gflop(), args.smoke_test);
    println!("{}", serde_json::to_string(&result)?);
    Ok(())
}
