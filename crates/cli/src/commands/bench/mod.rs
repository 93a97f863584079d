//! `bipvl bench`: measures time and memory of each operation, in a process of its own.

pub(super) mod clock;
mod file;
mod measure;
pub(super) mod operations;
mod outcome;
mod score;
mod source;
mod text;
mod vision;

use std::{
    env,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};

pub(crate) use measure::Measure;
use measure::Size;
use outcome::Outcome;
pub(crate) use outcome::median;
use source::Source;
use text::{Encoding, Scene};

use crate::args::BenchArgs;

/// An operation that can be repeated.
trait Work {
    /// Once.
    fn run(&mut self) -> Result<()>;

    /// Writes what the operation gave, for a comparison with another program.
    fn save(&self, path: &Path) -> Result<()>;

    /// Whether the first run says little, because it alone asks the system for memory.
    fn warms_up(&self) -> bool {
        true
    }

    /// Billions of multiplications and additions, where they are known.
    fn gflop(&self) -> Option<f64> {
        None
    }
}

/// Measures one after the other and prints each as it comes.
#[expect(clippy::print_stdout, reason = "the table is what the command is for")]
pub(crate) fn run(args: &BenchArgs) -> Result<()> {
    if args.here {
        return measure_here(args);
    }
    let measures = if args.measures.is_empty() { &Measure::ALL[..] } else { &args.measures };
    if !args.json {
        println!("{}", Outcome::header());
    }
    let mut outcomes = Vec::new();
    for measure in measures {
        match measure_elsewhere(*measure, args) {
            Ok(outcome) if args.json => outcomes.push(outcome),
            Ok(outcome) => {
                println!("{}", outcome.row());
                outcomes.push(outcome);
            }
            Err(error) => tracing::error!("{error:#}"),
        }
    }
    if args.json {
        println!("{}", serde_json::to_string_pretty(&outcomes)?);
    }
    match measures.len() - outcomes.len() {
        0 => Ok(()),
        failed => bail!("{failed} of {} measures failed", measures.len()),
    }
}

/// One measure in a process that makes nothing else, so that its memory is its own.
fn measure_elsewhere(measure: Measure, args: &BenchArgs) -> Result<Outcome> {
    let program = env::current_exe().context("the path of this program")?;
    let mut command = Command::new(program);
    command.args(["bench", "--here", &measure.to_string()]);
    command.args(["--repeat", &args.repeat.to_string()]);
    command.args(["--threads", &rayon::current_num_threads().to_string()]);
    command.args(args.quick.then_some("--quick"));
    for (flag, number) in [("--classes", args.classes), ("--tokens", args.tokens)] {
        if let Some(number) = number {
            command.args([flag, &number.to_string()]);
        }
    }
    let output = command.stderr(Stdio::inherit()).output().with_context(|| measure.to_string())?;
    if !output.status.success() {
        bail!("{measure}: its process ended with {}", output.status);
    }
    serde_json::from_slice(&output.stdout).with_context(|| format!("the outcome of {measure}"))
}

/// One measure in this process; the outcome goes to the standard output as JSON.
#[expect(clippy::print_stdout, reason = "the outcome is what the process is for")]
fn measure_here(args: &BenchArgs) -> Result<()> {
    let [measure] = args.measures[..] else {
        bail!("--here: expected one measure, found {}", args.measures.len());
    };
    let mut work = prepare(measure, &Source::new(args), args)?;
    let timing = clock::time(&mut *work, args.repeat)?;
    if let Some(path) = &args.output {
        work.save(path)?;
    }
    println!("{}", serde_json::to_string(&Outcome::new(measure, timing, work.gflop(), args.quick))?);
    Ok(())
}

fn prepare(measure: Measure, source: &Source, args: &BenchArgs) -> Result<Box<dyn Work>> {
    let quick = args.quick;
    let size = |size| if quick { Size::QUICK } else { size };
    let tiny = || Scene::tiny().with_text(args.classes, args.tokens);
    let paper = || if quick { tiny() } else { Scene::paper().with_text(args.classes, args.tokens) };
    Ok(match measure {
        Measure::Vision(full) => Box::new(vision::Forward::new(source, size(full))?),
        Measure::Train(full) => Box::new(vision::Training::new(source, size(full))?),
        Measure::TextWindow => Box::new(text::Window::new(source, &paper(), Encoding::Each)?),
        Measure::TextWindowCached => Box::new(text::Window::new(source, &paper(), Encoding::Once)?),
        Measure::TextTrain => Box::new(text::Training::new(source, &tiny())?),
        Measure::TextTrainPaper => Box::new(text::Training::new(source, &paper())?),
        Measure::File => Box::new(file::Segmentation::new(source, quick)?),
        Measure::Score => Box::new(score::Scoring::new(source, quick)?),
    })
}
