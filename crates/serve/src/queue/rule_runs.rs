//! What rules have done: one row per series and rule, so that nothing is done twice.
//!
//! A row holds the id of its job before the job exists. Whatever step a killed server was at, it can be done again: the
//! row is there already, the job is, or the same objects are stored again.

use serde::Serialize;
use sqlx::{AssertSqlSafe, Row, any::AnyRow};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{LEASE, Queue, now, rfc_3339};
use crate::Result;

const COLUMNS: &str = "series, rule, study, job, state, fetched, attempts, error, created, changed";

/// Where the run of a rule for a series stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RuleState {
    /// To be fetched.
    Found,
    /// Its job waits or runs, or its results are to be sent.
    Segmenting,
    /// The results are in the archive.
    Done,
    Failed,
    /// Too few slices, which shows in the scan alone.
    Skipped,
}

impl RuleState {
    pub(crate) const ALL: [Self; 5] =
        [Self::Found, Self::Segmenting, Self::Done, Self::Failed, Self::Skipped];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Found => "found",
            Self::Segmenting => "segmenting",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}

/// What a rule does with a series.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct RuleRun {
    /// `SeriesInstanceUID`.
    pub(crate) series: String,
    pub(crate) rule: String,
    /// `StudyInstanceUID`.
    pub(crate) study: String,
    pub(crate) state: RuleState,
    /// Its job, once it is `segmenting`.
    pub(crate) job: String,
    /// Why it failed, or has to be tried again.
    pub(crate) error: Option<String>,
    /// How often the archive did not answer.
    pub(crate) attempts: i64,
    /// RFC 3339.
    pub(crate) created: String,
    pub(crate) changed: String,
    /// Whether the scan was not in the library before.
    #[serde(skip)]
    pub(crate) is_fetched: bool,
    #[serde(skip)]
    pub(crate) changed_ms: i64,
}

impl RuleRun {
    fn from_row(row: &AnyRow) -> sqlx::Result<Self> {
        let state: String = row.try_get("state")?;
        let state = RuleState::ALL.into_iter().find(|known| known.name() == state);
        let unknown =
            || sqlx::Error::ColumnDecode { index: "state".to_owned(), source: "unknown state".into() };
        let (created, changed_ms) = (row.try_get("created")?, row.try_get("changed")?);
        Ok(Self {
            series: row.try_get("series")?,
            rule: row.try_get("rule")?,
            study: row.try_get("study")?,
            state: state.ok_or_else(unknown)?,
            job: row.try_get("job")?,
            error: row.try_get("error")?,
            attempts: row.try_get("attempts")?,
            created: rfc_3339(created),
            changed: rfc_3339(changed_ms),
            is_fetched: row.try_get::<i64, _>("fetched")? != 0,
            changed_ms,
        })
    }
}

impl Queue {
    /// Notes that a rule is for a series; `false` if that is known.
    pub(crate) async fn add_rule_run(&self, series: &str, rule: &str, study: &str) -> Result<bool> {
        let added = sqlx::query(
            "INSERT INTO rule_runs (series, rule, study, job, state, fetched, attempts, created, changed) \
             VALUES ($1, $2, $3, $4, 'found', 0, 0, $5, $6) ON CONFLICT (series, rule) DO NOTHING",
        )
        .bind(series)
        .bind(rule)
        .bind(study)
        .bind(Uuid::new_v4().to_string())
        .bind(now())
        .bind(now())
        .execute(&self.pool)
        .await?;
        Ok(added.rows_affected() == 1)
    }

    /// Runs in a state, the oldest first.
    pub(crate) async fn rule_runs_in(&self, state: RuleState, limit: i64) -> Result<Vec<RuleRun>> {
        let sql = format!(
            "SELECT {COLUMNS} FROM rule_runs WHERE state = $1 ORDER BY created, series, rule LIMIT $2"
        );
        let rows = sqlx::query(AssertSqlSafe(sql));
        let rows = rows.bind(state.name()).bind(limit).fetch_all(&self.pool).await?;
        Ok(rows.iter().map(RuleRun::from_row).collect::<sqlx::Result<_>>()?)
    }

    /// The newest runs first.
    pub(crate) async fn rule_runs(&self, limit: i64) -> Result<Vec<RuleRun>> {
        let sql = format!("SELECT {COLUMNS} FROM rule_runs ORDER BY created DESC, series, rule LIMIT $1");
        let rows = sqlx::query(AssertSqlSafe(sql)).bind(limit).fetch_all(&self.pool).await?;
        Ok(rows.iter().map(RuleRun::from_row).collect::<sqlx::Result<_>>()?)
    }

    /// Runs by state.
    pub(crate) async fn rule_run_counts(&self) -> Result<Vec<(RuleState, i64)>> {
        let rows = sqlx::query("SELECT state, COUNT(*) AS runs FROM rule_runs GROUP BY state")
            .fetch_all(&self.pool)
            .await?;
        let mut counts = RuleState::ALL.map(|state| (state, 0));
        for row in &rows {
            let name: String = row.try_get("state")?;
            if let Some((_, count)) = counts.iter_mut().find(|(state, _)| state.name() == name) {
                *count = row.try_get("runs")?;
            }
        }
        Ok(counts.to_vec())
    }

    /// Stores how a run goes on.
    pub(crate) async fn update_rule_run(&self, run: &RuleRun) -> Result<()> {
        sqlx::query(
            "UPDATE rule_runs SET state = $1, fetched = $2, attempts = $3, error = $4, changed = $5 \
             WHERE series = $6 AND rule = $7",
        )
        .bind(run.state.name())
        .bind(i64::from(run.is_fetched))
        .bind(run.attempts)
        .bind(&run.error)
        .bind(now())
        .bind(&run.series)
        .bind(&run.rule)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Whether rules fetched a series, and none but `rule` needs it any more.
    pub(crate) async fn is_fetched_for_rule_alone(&self, series: &str, rule: &str) -> Result<bool> {
        let row = sqlx::query(
            "SELECT COUNT(CASE WHEN fetched <> 0 THEN 1 END) AS fetched, \
             COUNT(CASE WHEN rule <> $1 AND state IN ('found', 'segmenting') THEN 1 END) AS others \
             FROM rule_runs WHERE series = $2",
        )
        .bind(rule)
        .bind(series)
        .fetch_one(&self.pool)
        .await?;
        Ok(row.try_get::<i64, _>("fetched")? > 0 && row.try_get::<i64, _>("others")? == 0)
    }

    /// Forgets a run that has ended, so that the rule is followed anew; `false` if there is none.
    pub(crate) async fn forget_rule_run(&self, series: &str, rule: &str) -> Result<bool> {
        let deleted = sqlx::query(
            "DELETE FROM rule_runs WHERE series = $1 AND rule = $2 AND state NOT IN ('found', 'segmenting')",
        )
        .bind(series)
        .bind(rule)
        .execute(&self.pool)
        .await?;
        Ok(deleted.rows_affected() == 1)
    }

    /// Whether this server is, for some seconds, the one that follows the rules.
    pub(crate) async fn hold_rules(&self) -> Result<bool> {
        let now = now();
        let held = sqlx::query(
            "INSERT INTO leases (name, worker, until) VALUES ('rules', $1, $2) ON CONFLICT (name) DO UPDATE \
             SET worker = excluded.worker, until = excluded.until \
             WHERE leases.worker = excluded.worker OR leases.until < $3",
        )
        .bind(&self.worker)
        .bind(now + LEASE.as_millis() as i64)
        .bind(now)
        .execute(&self.pool)
        .await?;
        Ok(held.rows_affected() == 1)
    }
}
