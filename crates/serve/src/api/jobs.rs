//! Jobs: submitted, shown, canceled, forgotten.

use axum::{
    Extension, Json,
    extract::{
        Path, Query, State,
        rejection::{JsonRejection, QueryRejection},
    },
    http::StatusCode,
};
use serde::Deserialize;
use utoipa::IntoParams;

use super::scan;
use crate::{
    ApiError, ApiResult, ErrorBody,
    app::App,
    auth::Made,
    queue::{Job, JobRequest},
};

/// Jobs that may wait.
const MAX_QUEUED: i64 = 10_000;
/// Jobs of a list at most, unless it says otherwise.
const LIST: u32 = 100;

#[derive(Deserialize, IntoParams)]
pub(super) struct Filter {
    /// Only jobs of this scan.
    scan: Option<String>,
    /// At most so many, at most 1000.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

/// The newest jobs first.
#[utoipa::path(get, path = "/api/jobs", tag = "jobs", params(Filter),
    responses((status = 200, body = Vec<Job>), (status = 400, body = ErrorBody)))]
pub(super) async fn list(
    State(app): State<App>,
    filter: Result<Query<Filter>, QueryRejection>,
) -> ApiResult<Json<Vec<Job>>> {
    let Query(filter) = filter.map_err(|error| ApiError::new(error.status(), error.body_text()))?;
    let limit = filter.limit.unwrap_or(LIST).clamp(1, 1000);
    let jobs = app.engine.queue.list(filter.scan.as_deref(), limit.into()).await?;
    Ok(Json(jobs.into_iter().map(|job| with_progress(&app, job)).collect()))
}

/// Asks for a segmentation; what it needs is checked now, it runs later.
#[utoipa::path(post, path = "/api/jobs", tag = "jobs", request_body = JobRequest,
    responses((status = 202, body = Job), (status = 400, body = ErrorBody), (status = 404, body = ErrorBody),
        (status = 413, body = ErrorBody), (status = 415, body = ErrorBody), (status = 422, body = ErrorBody),
        (status = 429, body = ErrorBody)))]
pub(super) async fn create(
    State(app): State<App>,
    request: Result<Json<JobRequest>, JsonRejection>,
) -> ApiResult<(StatusCode, Extension<Made>, Json<Job>)> {
    let Json(request) = request.map_err(|error| ApiError::new(error.status(), error.body_text()))?;
    let job = submit(&app, request).await?;
    let made = Made(format!("job {} of scan {}", job.id, job.scan));
    Ok((StatusCode::ACCEPTED, Extension(made), Json(job)))
}

/// Checks a request and puts it into the queue.
pub(crate) async fn submit(app: &App, mut request: JobRequest) -> ApiResult<Job> {
    let models = &app.engine.models;
    let named = if request.model.is_empty() { models.only() } else { models.get(&request.model) };
    let named = named.ok_or_else(|| {
        let wanted = &request.model;
        ApiError::not_found(format!("no model `{wanted}`; there are {}", models.names()))
    })?;
    request.model.clone_from(&named.name);
    request.scan = scan(app, &request.scan).await?.id;
    let asked = request.to_segmentation(&named.model);
    named.model.check(&asked).map_err(|error| ApiError::bad_request(error.to_string()))?;
    if app.engine.queue.queued().await? >= MAX_QUEUED {
        let detail = format!("{MAX_QUEUED} jobs are waiting; try again when some have ended");
        return Err(ApiError::new(StatusCode::TOO_MANY_REQUESTS, detail));
    }
    let job = app.engine.queue.submit(&request).await?;
    app.engine.announce();
    Ok(job)
}

/// One job.
#[utoipa::path(get, path = "/api/jobs/{id}", tag = "jobs", params(("id" = String, Path)),
    responses((status = 200, body = Job), (status = 404, body = ErrorBody)))]
pub(super) async fn show(State(app): State<App>, Path(id): Path<String>) -> ApiResult<Json<Job>> {
    Ok(Json(job(&app, &id).await?))
}

/// Cancels a job that waits or runs; one that has ended stays as it is.
#[utoipa::path(post, path = "/api/jobs/{id}/cancel", tag = "jobs", params(("id" = String, Path)),
    responses((status = 200, body = Job), (status = 404, body = ErrorBody)))]
pub(super) async fn cancel(State(app): State<App>, Path(id): Path<String>) -> ApiResult<Json<Job>> {
    app.engine.cancel(&id).await?;
    Ok(Json(job(&app, &id).await?))
}

/// Forgets a job that has ended, with its result.
#[utoipa::path(delete, path = "/api/jobs/{id}", tag = "jobs", params(("id" = String, Path)),
    responses((status = 204), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody)))]
pub(super) async fn delete(State(app): State<App>, Path(id): Path<String>) -> ApiResult<StatusCode> {
    let found = job(&app, &id).await?;
    if !found.state.is_final() {
        return Err(ApiError::conflict(format!("job {id} is {}; cancel it first", found.state.name())));
    }
    app.engine.delete_job(&id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A job with its progress.
pub(crate) async fn job(app: &App, id: &str) -> ApiResult<Job> {
    let found = app.engine.queue.get(id).await?;
    let found = found.ok_or_else(|| ApiError::not_found(format!("no job `{id}`")))?;
    Ok(with_progress(app, found))
}

fn with_progress(app: &App, mut job: Job) -> Job {
    job.progress = app.engine.progress(&job.id).or(job.progress);
    job
}
