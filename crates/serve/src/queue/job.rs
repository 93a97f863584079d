//! A job: one scan, one model, some prompts.

use bipvl_prompts::{Model, SegmentationRequest};
use chrono::{DateTime, SecondsFormat};
use serde::{Deserialize, Serialize};
use sqlx::{Row, any::AnyRow};
use utoipa::ToSchema;

/// What a client asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct JobRequest {
    /// The scan.
    pub(crate) scan: String,
    /// The model; may be left out if there is one.
    #[serde(default)]
    pub(crate) model: String,
    /// Texts for a prompted model, or classes of the other form; all, if left out.
    #[serde(default)]
    pub(crate) prompts: Option<Vec<String>>,
    /// The data set of the training that the scan resembles, if they were preprocessed differently.
    #[serde(default)]
    pub(crate) like: Option<String>,
    /// Whether each voxel belongs to one prompt at most.
    #[serde(default)]
    pub(crate) exclusive: bool,
    /// Jobs of a higher priority run first.
    #[serde(default)]
    pub(crate) priority: i64,
}

impl JobRequest {
    /// What the model is asked for.
    pub(crate) fn to_segmentation(&self, model: &Model) -> SegmentationRequest {
        let (prompts, classes) =
            if model.is_prompted() { (self.prompts.clone(), None) } else { (None, self.prompts.clone()) };
        SegmentationRequest {
            prompts,
            classes,
            like: self.like.clone(),
            exclusive: self.exclusive,
            probabilities: false,
        }
    }
}

/// Where a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum JobState {
    Queued,
    Running,
    Done,
    Failed,
    Canceled,
}

impl JobState {
    pub(crate) const ALL: [Self; 5] = [Self::Queued, Self::Running, Self::Done, Self::Failed, Self::Canceled];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
        }
    }

    /// Whether it will not change any more.
    pub(crate) fn is_final(self) -> bool {
        !matches!(self, Self::Queued | Self::Running)
    }

    fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }
}

/// Patches of the sliding window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Progress {
    /// Those with logits.
    pub(crate) done: u64,
    /// All.
    pub(crate) total: u64,
}

/// What one prompt or class found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct FoundSegment {
    /// The prompt or class.
    pub(crate) name: String,
    /// Its value in the label map.
    pub(crate) value: u16,
    /// Whether there are voxels of it.
    pub(crate) found: bool,
    /// Probability that the scan shows it, from 0 to 1; null for models without such an output.
    pub(crate) presence: Option<f32>,
    /// Volume in ml.
    pub(crate) volume_ml: f64,
}

impl From<bipvl_prompts::FoundSegment> for FoundSegment {
    fn from(segment: bipvl_prompts::FoundSegment) -> Self {
        let bipvl_prompts::FoundSegment { name, value, found, presence, volume_ml } = segment;
        Self { name, value, found, presence, volume_ml }
    }
}

/// A job as clients see it.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct Job {
    pub(crate) id: String,
    pub(crate) scan: String,
    pub(crate) model: String,
    /// What was asked for.
    pub(crate) prompts: Option<Vec<String>>,
    pub(crate) exclusive: bool,
    pub(crate) priority: i64,
    #[serde(skip)]
    pub(crate) request: JobRequest,
    pub(crate) state: JobState,
    /// Jobs ahead of it; null unless it is queued.
    pub(crate) position: Option<u64>,
    pub(crate) progress: Option<Progress>,
    /// Why it failed.
    pub(crate) error: Option<String>,
    /// What was found, once it is done.
    pub(crate) segments: Option<Vec<FoundSegment>>,
    /// RFC 3339, as all times.
    pub(crate) created: String,
    pub(crate) started: Option<String>,
    pub(crate) ended: Option<String>,
    /// How often it was started.
    pub(crate) attempts: i64,
    #[serde(skip)]
    pub(crate) created_ms: i64,
}

impl Job {
    /// From a row of the table `jobs`.
    pub(crate) fn from_row(row: &AnyRow) -> sqlx::Result<Self> {
        let invalid = |column: &str, reason: String| sqlx::Error::ColumnDecode {
            index: column.to_owned(),
            source: reason.into(),
        };
        let request: JobRequest = serde_json::from_str(row.try_get("request")?)
            .map_err(|error| invalid("request", error.to_string()))?;
        let segments: Option<String> = row.try_get("segments")?;
        let segments = segments.map(|text| serde_json::from_str(&text)).transpose();
        let state: String = row.try_get("state")?;
        let (done, total): (Option<i64>, Option<i64>) = (row.try_get("done")?, row.try_get("total")?);
        let progress =
            done.zip(total).map(|(done, total)| Progress { done: done as u64, total: total as u64 });
        let time = |column: &str| row.try_get::<Option<i64>, _>(column).map(|time| time.map(rfc_3339));
        let created_ms: i64 = row.try_get("created")?;
        Ok(Self {
            id: row.try_get("id")?,
            scan: row.try_get("scan")?,
            model: row.try_get("model")?,
            prompts: request.prompts.clone(),
            exclusive: request.exclusive,
            request,
            priority: row.try_get("priority")?,
            state: JobState::parse(&state).ok_or_else(|| invalid("state", state))?,
            position: None,
            progress,
            error: row.try_get("error")?,
            segments: segments.map_err(|error| invalid("segments", error.to_string()))?,
            created: rfc_3339(created_ms),
            started: time("started")?,
            ended: time("ended")?,
            attempts: row.try_get("attempts")?,
            created_ms,
        })
    }
}

/// Milliseconds since 1970 as text.
pub(crate) fn rfc_3339(milliseconds: i64) -> String {
    DateTime::from_timestamp_millis(milliseconds)
        .unwrap_or_default()
        .to_rfc3339_opts(SecondsFormat::Millis, true)
}
