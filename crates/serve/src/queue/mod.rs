//! The durable queue of jobs, in `SQLite` or `PostgreSQL`.
//!
//! A job is accepted once it is in the table. A worker claims it with a lease that it keeps extending; a lease that ends,
//! because the process was killed, puts the job back, and after [`MAX_ATTEMPTS`] the job fails. Only the worker that
//! holds a job can end it, so a job has one result.

mod job;
mod rule_runs;

use std::{borrow::Cow, path::Path, time::Duration};

use sqlx::{
    AnyPool, AssertSqlSafe, Row, SqlSafeStr,
    any::{AnyPoolOptions, AnyRow},
    migrate::{Migration, MigrationType, Migrator},
};
use uuid::Uuid;

pub(crate) use job::{FoundSegment, Job, JobRequest, JobState, Progress, rfc_3339};
pub(crate) use rule_runs::{RuleRun, RuleState};

use crate::Result;

/// How often a job is started before it counts as failed: it may be the reason that the server stops.
const MAX_ATTEMPTS: i64 = 3;
/// How long a worker may be silent.
const LEASE: Duration = Duration::from_secs(15);
/// How often a worker extends its lease.
pub(crate) const HEARTBEAT: Duration = Duration::from_secs(2);

const COLUMNS: &str = "id, scan, model, request, state, priority, attempts, done, total, error, segments, \
    created, started, ended";

/// The queue. Clones share its connections.
#[derive(Clone, Debug)]
pub(crate) struct Queue {
    pool: AnyPool,
    /// Who claims jobs here; new for each process.
    worker: String,
}

/// What a worker learns when it extends its lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lease {
    Kept,
    /// Someone wants it to stop.
    CancelRequested,
    /// It belongs to another worker now.
    Lost,
}

impl Queue {
    /// Opens the database at a URL, `sqlite://…` or `postgres://…`, and makes its tables.
    pub(crate) async fn open(url: &str) -> Result<Self> {
        sqlx::any::install_default_drivers();
        let is_sqlite = url.starts_with("sqlite:");
        let pool = AnyPoolOptions::new()
            // A file has one writer; more connections would only wait for each other.
            .max_connections(if is_sqlite { 1 } else { 8 })
            .after_connect(move |connection, _| {
                Box::pin(async move {
                    if is_sqlite {
                        let settings = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
                            PRAGMA busy_timeout = 10000;";
                        sqlx::Executor::execute(connection, settings).await?;
                    }
                    Ok(())
                })
            })
            .connect(url)
            .await?;
        let queue = Self { pool, worker: Uuid::new_v4().to_string() };
        migrator().run(&queue.pool).await?;
        if is_sqlite {
            // The file is this server's alone: whoever held these jobs is gone.
            queue.release("lease IS NOT NULL").await?;
            sqlx::query("DELETE FROM leases").execute(&queue.pool).await?;
        }
        Ok(queue)
    }

    /// The URL of a database file.
    pub(crate) fn sqlite_url(path: &Path) -> String {
        format!("sqlite://{}?mode=rwc", path.display())
    }

    /// Accepts a job: when this returns, it is on the disk.
    pub(crate) async fn submit(&self, request: &JobRequest) -> Result<Job> {
        let id = Uuid::new_v4().to_string();
        self.submit_as(&id, request).await?;
        Ok(self.get(&id).await?.expect("a job that was stored is there"))
    }

    /// Accepts a job under an id that was chosen before, unless there is one.
    pub(crate) async fn submit_as(&self, id: &str, request: &JobRequest) -> Result<()> {
        let text = serde_json::to_string(request).map_err(|error| sqlx::Error::Encode(error.into()))?;
        sqlx::query(
            "INSERT INTO jobs (id, scan, model, request, state, priority, attempts, cancel_requested, created) \
             VALUES ($1, $2, $3, $4, 'queued', $5, 0, 0, $6) ON CONFLICT (id) DO NOTHING",
        )
        .bind(id)
        .bind(&request.scan)
        .bind(&request.model)
        .bind(text)
        .bind(request.priority)
        .bind(now())
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// A job with its place in the queue.
    pub(crate) async fn get(&self, id: &str) -> Result<Option<Job>> {
        let sql = format!("SELECT {COLUMNS} FROM jobs WHERE id = $1");
        let row = sqlx::query(AssertSqlSafe(sql)).bind(id).fetch_optional(&self.pool).await?;
        match row {
            Some(row) => Ok(Some(self.with_position(Job::from_row(&row)?).await?)),
            None => Ok(None),
        }
    }

    /// The newest jobs first, of one scan or all.
    pub(crate) async fn list(&self, scan: Option<&str>, limit: i64) -> Result<Vec<Job>> {
        let condition = if scan.is_some() { "scan = $2" } else { "$2 = ''" };
        let sql = format!("SELECT {COLUMNS} FROM jobs WHERE {condition} ORDER BY created DESC, id LIMIT $1");
        let rows: Vec<AnyRow> = sqlx::query(AssertSqlSafe(sql))
            .bind(limit)
            .bind(scan.unwrap_or(""))
            .fetch_all(&self.pool)
            .await?;
        let mut jobs = Vec::with_capacity(rows.len());
        for row in &rows {
            jobs.push(self.with_position(Job::from_row(row)?).await?);
        }
        Ok(jobs)
    }

    async fn with_position(&self, mut job: Job) -> Result<Job> {
        if job.state == JobState::Queued {
            let ahead = "SELECT COUNT(*) AS ahead FROM jobs WHERE state = 'queued' AND (priority > $1 \
                OR (priority = $2 AND (created < $3 OR (created = $4 AND id < $5))))";
            let row = sqlx::query(ahead)
                .bind(job.priority)
                .bind(job.priority)
                .bind(job.created_ms)
                .bind(job.created_ms)
                .bind(&job.id)
                .fetch_one(&self.pool)
                .await?;
            job.position = Some(row.try_get::<i64, _>("ahead")? as u64);
        }
        Ok(job)
    }

    /// Jobs by state.
    pub(crate) async fn counts(&self) -> Result<Vec<(JobState, i64)>> {
        let rows = sqlx::query("SELECT state, COUNT(*) AS jobs FROM jobs GROUP BY state")
            .fetch_all(&self.pool)
            .await?;
        let count = |state: JobState| {
            let row = rows
                .iter()
                .find(|row| row.try_get::<String, _>("state").is_ok_and(|name| name == state.name()));
            (state, row.and_then(|row| row.try_get("jobs").ok()).unwrap_or(0))
        };
        Ok(JobState::ALL.map(count).to_vec())
    }

    /// How many jobs wait.
    pub(crate) async fn queued(&self) -> Result<i64> {
        let counts = self.counts().await?;
        Ok(counts.iter().find(|(state, _)| *state == JobState::Queued).map_or(0, |(_, count)| *count))
    }

    /// Takes the next job, if there is one.
    pub(crate) async fn claim(&self) -> Result<Option<Job>> {
        // Two workers may choose the same row; the second finds that it is not queued any more.
        let sql = format!(
            "UPDATE jobs SET state = 'running', worker = $1, lease = $2, started = $3, attempts = attempts + 1, \
             done = NULL, total = NULL WHERE state = 'queued' AND id = (SELECT id FROM jobs WHERE state = 'queued' \
             ORDER BY priority DESC, created, id LIMIT 1) RETURNING {COLUMNS}"
        );
        let now = now();
        let row = sqlx::query(AssertSqlSafe(sql))
            .bind(&self.worker)
            .bind(now + LEASE.as_millis() as i64)
            .bind(now)
            .fetch_optional(&self.pool)
            .await?;
        Ok(row.as_ref().map(Job::from_row).transpose()?)
    }

    /// Extends the lease of a running job and stores how far it is.
    pub(crate) async fn extend(&self, id: &str, progress: Option<Progress>) -> Result<Lease> {
        let row = sqlx::query(
            "UPDATE jobs SET lease = $1, done = $2, total = $3 WHERE id = $4 AND worker = $5 \
             AND state = 'running' RETURNING cancel_requested",
        )
        .bind(now() + LEASE.as_millis() as i64)
        .bind(progress.map(|progress| progress.done as i64))
        .bind(progress.map(|progress| progress.total as i64))
        .bind(id)
        .bind(&self.worker)
        .fetch_optional(&self.pool)
        .await?;
        Ok(match row {
            None => Lease::Lost,
            Some(row) if row.try_get::<i64, _>("cancel_requested")? != 0 => Lease::CancelRequested,
            Some(_) => Lease::Kept,
        })
    }

    /// Ends a job that this worker holds; `false` if it holds it no longer.
    pub(crate) async fn finish(
        &self,
        id: &str,
        state: JobState,
        segments: Option<&[FoundSegment]>,
        error: Option<&str>,
    ) -> Result<bool> {
        let segments = segments.map(serde_json::to_string).transpose();
        let segments = segments.map_err(|error| sqlx::Error::Encode(error.into()))?;
        let ended = sqlx::query(
            "UPDATE jobs SET state = $1, segments = $2, error = $3, ended = $4, lease = NULL, worker = NULL \
             WHERE id = $5 AND worker = $6 AND state = 'running'",
        )
        .bind(state.name())
        .bind(segments)
        .bind(error)
        .bind(now())
        .bind(id)
        .bind(&self.worker)
        .execute(&self.pool)
        .await?;
        Ok(ended.rows_affected() == 1)
    }

    /// Cancels a job that waits, and asks the worker of one that runs to stop.
    pub(crate) async fn cancel(&self, id: &str) -> Result<()> {
        sqlx::query("UPDATE jobs SET state = 'canceled', ended = $1 WHERE id = $2 AND state = 'queued'")
            .bind(now())
            .bind(id)
            .execute(&self.pool)
            .await?;
        sqlx::query("UPDATE jobs SET cancel_requested = 1 WHERE id = $1 AND state = 'running'")
            .bind(id)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Forgets a job that has ended; `false` if there is none.
    pub(crate) async fn delete(&self, id: &str) -> Result<bool> {
        let deleted = sqlx::query("DELETE FROM jobs WHERE id = $1 AND state NOT IN ('queued', 'running')")
            .bind(id)
            .execute(&self.pool)
            .await?;
        Ok(deleted.rows_affected() == 1)
    }

    /// Puts jobs of silent workers back.
    pub(crate) async fn release_expired(&self) -> Result<()> {
        self.release(&format!("lease < {}", now())).await
    }

    /// Puts the jobs of this worker back without counting the attempt, for a server that is told to stop.
    pub(crate) async fn release_own(&self) -> Result<()> {
        sqlx::query(
            "UPDATE jobs SET state = 'queued', worker = NULL, lease = NULL, attempts = attempts - 1 \
             WHERE state = 'running' AND worker = $1",
        )
        .bind(&self.worker)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    async fn release(&self, condition: &str) -> Result<()> {
        let failed = format!(
            "UPDATE jobs SET state = 'failed', worker = NULL, lease = NULL, ended = {}, \
             error = 'the server stopped {MAX_ATTEMPTS} times while it ran this job' \
             WHERE state = 'running' AND {condition} AND attempts >= {MAX_ATTEMPTS}",
            now()
        );
        let queued = format!(
            "UPDATE jobs SET state = 'queued', worker = NULL, lease = NULL WHERE state = 'running' AND {condition}"
        );
        for sql in [failed, queued] {
            sqlx::query(AssertSqlSafe(sql)).execute(&self.pool).await?;
        }
        Ok(())
    }

    /// Ids of jobs that failed.
    pub(crate) async fn failed(&self) -> Result<Vec<String>> {
        let rows = sqlx::query("SELECT id FROM jobs WHERE state = 'failed'").fetch_all(&self.pool).await?;
        Ok(rows.iter().map(|row| row.try_get("id")).collect::<sqlx::Result<_>>()?)
    }

    /// Ids of jobs that ended before a time.
    pub(crate) async fn ended_before(&self, milliseconds: i64) -> Result<Vec<String>> {
        let rows = sqlx::query("SELECT id FROM jobs WHERE ended < $1 AND state NOT IN ('queued', 'running')")
            .bind(milliseconds)
            .fetch_all(&self.pool)
            .await?;
        Ok(rows.iter().map(|row| row.try_get("id")).collect::<sqlx::Result<_>>()?)
    }

    /// Notes who asked for what.
    pub(crate) async fn audit(&self, who: &str, method: &str, path: &str, status: u16) -> Result<()> {
        sqlx::query("INSERT INTO audit (id, at, who, method, path, status) VALUES ($1, $2, $3, $4, $5, $6)")
            .bind(Uuid::new_v4().to_string())
            .bind(now())
            .bind(who)
            .bind(method)
            .bind(path)
            .bind(i64::from(status))
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Closes the database.
    pub(crate) async fn close(&self) {
        self.pool.close().await;
    }
}

/// Milliseconds since 1970.
pub(crate) fn now() -> i64 {
    chrono::Utc::now().timestamp_millis()
}

fn migrator() -> Migrator {
    let migration = |version: i64, name: &'static str, sql: &'static str| {
        Migration::new(version, Cow::Borrowed(name), MigrationType::Simple, sql.into_sql_str(), false)
    };
    let migrations = vec![
        migration(1, "jobs", include_str!("schema.sql")),
        migration(2, "rule runs", include_str!("rule_runs.sql")),
    ];
    Migrator { migrations: Cow::Owned(migrations), ..Migrator::DEFAULT }
}
