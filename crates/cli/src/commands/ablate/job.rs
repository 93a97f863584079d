//! One run of a study: a row with a seed, trained in a process of its own.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};
use bipvl::{config::Config, prompts::ablation::PromptAblation, run::RunDir, train::ablation::Ablation};
use bipvl_report::ablation::{FinishedRun, RowLabel, RunCost};

/// Written after training.
pub(super) const COST: &str = "cost.json";
/// Written last, after evaluation.
pub(super) const REPORT: &str = "report.html";

/// A row of either form of the network.
pub(super) trait Row: Clone {
    fn label(&self) -> RowLabel<'_>;
}

impl Row for Ablation {
    fn label(&self) -> RowLabel<'_> {
        RowLabel { name: &self.name, factor: self.factor, setting: &self.setting }
    }
}

impl Row for PromptAblation {
    fn label(&self) -> RowLabel<'_> {
        RowLabel { name: &self.name, factor: self.factor, setting: &self.setting }
    }
}

/// One row with one seed.
#[derive(Clone, Debug)]
pub(super) struct Job<R> {
    pub(super) row: R,
    pub(super) seed: u64,
}

impl<R: Row> Job<R> {
    /// Parses `ROW/seed-N`.
    pub(super) fn parse(name: &str, rows: &[R]) -> Result<Self> {
        let parsed = name.split_once("/seed-").and_then(|(row, seed)| {
            let row = rows.iter().find(|other| other.label().name == row)?.clone();
            Some(Self { row, seed: seed.parse().ok()? })
        });
        parsed.with_context(|| format!("--only: `{name}` is not ROW/seed-N with a known row"))
    }

    /// `ROW/seed-N`.
    pub(super) fn name(&self) -> String {
        format!("{}/seed-{}", self.row.label().name, self.seed)
    }

    /// The run folder.
    pub(super) fn folder(&self, out: &Path) -> PathBuf {
        out.join(self.name())
    }

    /// Trains the run in a child process with the same command line.
    pub(super) fn train_in_child(&self) -> Result<()> {
        let name = self.name();
        let program = env::current_exe().context("the path of this program is unknown")?;
        let mut command = Command::new(program);
        command.args(env::args_os().skip(1)).args(["--only", &name]).stdout(Stdio::null());
        let status = command.status().with_context(|| name.clone())?;
        if !status.success() {
            bail!("{name}: the child process ended with {status}");
        }
        Ok(())
    }

    /// The text of the report: which component differs, and how.
    pub(super) fn description(&self) -> String {
        let RowLabel { factor, setting, .. } = self.row.label();
        format!("{factor}: {setting}")
    }

    /// Whether the run has been trained and evaluated.
    pub(super) fn is_finished(&self, out: &Path) -> bool {
        [COST, REPORT].iter().all(|name| self.folder(out).join(name).exists())
    }

    /// The result of a finished run with these classes.
    pub(super) fn read(&self, out: &Path, classes: &[String]) -> Result<FinishedRun> {
        let [cost, scores] = [COST, "scores.json"].map(|name| self.folder(out).join(name));
        let text = fs::read_to_string(&scores).with_context(|| scores.display().to_string())?;
        let scores = serde_json::from_str(&text).with_context(|| scores.display().to_string())?;
        Ok(FinishedRun::new(&scores, classes, RunCost::read(&cost)?))
    }
}

impl Job<Ablation> {
    /// The result; `None` if the run is unfinished, or has another configuration than that of the study, of which
    /// `full` is that of the full method.
    pub(super) fn finished_run(&self, out: &Path, full: &Config) -> Result<Option<FinishedRun>> {
        let folder = self.folder(out);
        if !self.is_finished(out) {
            return Ok(None);
        }
        let config = RunDir::open(&folder)?.config;
        let mut requested = self.row.config(full.clone());
        requested.train.seed = self.seed;
        if (&config.train, &config.preprocess, &config.data)
            != (&requested.train, &requested.preprocess, &requested.data)
        {
            return Ok(None);
        }
        Ok(Some(self.read(out, &config.data.label_schema.names())?))
    }
}
