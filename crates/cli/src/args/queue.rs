//! Flags of `worker` and `submit`.

#![cfg_attr(not(feature = "nats"), allow(dead_code, reason = "a program without NATS reads none of them"))]

use std::{net::SocketAddr, path::PathBuf, str::FromStr};

use bipvl::device::DeviceKind;
use clap::{Args, value_parser};

use super::{ClassList, FormatArg, NamedRun, PromptArgs};

/// The queue of studies.
#[derive(Debug, Args)]
pub(crate) struct QueueArgs {
    /// NATS server with `JetStream`, such as `nats://localhost:4222`; with `tls://` encrypted. Several servers of a cluster
    /// are separated by commas. A token, if it wants one, is read from the environment variable `BIPVL_NATS_TOKEN`.
    #[arg(long, value_name = "URL")]
    pub(crate) nats: String,
    /// Name of the queue, which is made at the first use.
    #[arg(long, value_name = "NAME", default_value = "bipvl")]
    pub(crate) queue: String,
    /// Studies that the queue holds, waiting and running; more are not accepted [default: what it has, 100000 for a new
    /// one].
    #[arg(long, value_name = "N", value_parser = value_parser!(u64).range(1..=10_000_000))]
    pub(crate) max_studies: Option<u64>,
    /// Folder that all paths of studies are in, on this machine: messages hold paths below it, so that machines may mount
    /// it at different places, and no study can name a file outside [default: absolute paths].
    #[arg(long, value_name = "DIR")]
    pub(crate) root: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct WorkerArgs {
    #[command(flatten)]
    pub(crate) queue: QueueArgs,
    /// Run to keep loaded, with the name that studies use; repeat for several [default name: that of the folder].
    #[arg(long, value_name = "NAME=RUN", required = true)]
    pub(crate) model: Vec<NamedRun>,
    /// Seconds without a sign of life after which the server gives a study to another worker; all workers of a model share
    /// it [default: what the queue has, 60 for a new one].
    #[arg(long, value_name = "S", value_parser = value_parser!(u64).range(1..=86_400))]
    pub(crate) ack_wait: Option<u64>,
    /// How often a study is given to a worker before it becomes a dead letter.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = value_parser!(u64).range(1..=1000))]
    pub(crate) max_deliveries: u64,
    /// Seconds to wait for a study before leaving; 0 to leave as soon as there is none [default: stay].
    #[arg(long, value_name = "S")]
    pub(crate) max_idle: Option<u64>,
    /// Address and port for Prometheus (`/metrics`) and for probes (`/healthz`, `/readyz`).
    #[arg(long, value_name = "ADDR:PORT")]
    pub(crate) metrics: Option<SocketAddr>,
    /// What this worker is called in results and dead letters [default: host and process].
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Compute device: cpu, vulkan or cuda.
    #[arg(long, value_name = "NAME", default_value = "cpu")]
    pub(crate) device: DeviceKind,
}

#[derive(Debug, Args)]
pub(crate) struct SubmitArgs {
    #[command(flatten)]
    pub(crate) queue: QueueArgs,
    /// Model, by the name that workers have for it. With its run, studies ask for these very weights, and other weights
    /// make other jobs.
    #[arg(long, value_name = "NAME[=RUN]", required_unless_present = "status")]
    pub(crate) model: Option<ModelName>,
    /// Folder or URL for the results, named after their scans. It must be the same place for all workers.
    #[arg(short, long, value_name = "PLACE", required_unless_present = "status")]
    pub(crate) out: Option<String>,
    #[command(flatten)]
    pub(crate) wanted: WantedArgs,
    /// Fail when the queue is full, instead of waiting.
    #[arg(long)]
    pub(crate) no_wait: bool,
    /// Show the queue instead: what waits and runs, and the dead letters with their reasons.
    #[arg(long, conflicts_with = "inputs")]
    pub(crate) status: bool,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
    /// Scans or folders of scans, as for `bipvl predict`; or URLs, each of one scan, which workers with the feature
    /// `object-store` fetch.
    #[arg(value_name = "INPUT", required_unless_present = "status")]
    pub(crate) inputs: Vec<String>,
}

/// What is wanted of a scan.
#[derive(Debug, Args)]
pub(crate) struct WantedArgs {
    /// Format of the results, as for `bipvl predict`; repeat for several.
    #[arg(long, value_name = "FORMAT")]
    pub(crate) format: Vec<FormatArg>,
    /// Of several DICOM series below an INPUT, the one to segment, as for `bipvl predict`.
    #[arg(long, value_name = "SERIES")]
    pub(crate) series: Option<String>,
    /// Also write volume, intensities, extent and number of pieces of each class or prompt.
    #[arg(long)]
    pub(crate) statistics: bool,
    #[command(flatten)]
    pub(crate) prompts: PromptArgs,
    /// Classes to write, as for `bipvl predict`.
    #[arg(long, value_name = "A,B")]
    pub(crate) classes: Vec<ClassList>,
}

/// A model of workers, and perhaps the run that they should have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ModelName {
    pub(crate) name: String,
    pub(crate) run: Option<PathBuf>,
}

impl FromStr for ModelName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // A name alone is checked as one that has a run.
        let is_alone = !text.contains('=');
        let with_run = if is_alone { format!("{text}=.") } else { text.to_owned() };
        let NamedRun { name, run } = with_run.parse()?;
        Ok(Self { name, run: (!is_alone).then_some(run) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_named_with_or_without_its_run() {
        let of = |text: &str| text.parse::<ModelName>();
        assert_eq!(of("liver"), Ok(ModelName { name: "liver".to_owned(), run: None }));
        let with_run = ModelName { name: "liver".to_owned(), run: Some(PathBuf::from("runs/a")) };
        assert_eq!(of("liver=runs/a"), Ok(with_run));
        assert!(of("runs/a").is_err());
    }
}
