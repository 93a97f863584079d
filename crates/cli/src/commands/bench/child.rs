//! One benchmark in a child process.

use std::{
    env,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};

use super::{benchmark::Benchmark, result::BenchmarkResult};
use crate::args::BenchArgs;

/// Runs one benchmark in a child process, whose peak memory is then that of the benchmark.
pub(super) fn run(benchmark: Benchmark, args: &BenchArgs) -> Result<BenchmarkResult> {
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
