//! What the rules have done.

use axum::{
    Json,
    extract::{Query, State, rejection::QueryRejection},
    http::StatusCode,
};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{ApiError, ApiResult, ErrorBody, app::App, queue::RuleRun};

/// Runs of a list at most, unless it says otherwise.
const LIST: u32 = 100;

#[derive(Deserialize, IntoParams)]
pub(super) struct Limit {
    /// At most so many, at most 1000.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

#[derive(Deserialize, IntoParams)]
pub(super) struct OfRun {
    /// `SeriesInstanceUID`.
    series: String,
    /// The name of the rule.
    rule: String,
}

/// What the rules of the server did with which series, the newest first.
#[utoipa::path(get, path = "/api/archive/runs", tag = "archive", params(Limit),
    responses((status = 200, body = Vec<RuleRun>), (status = 400, body = ErrorBody)))]
pub(super) async fn runs(
    State(app): State<App>,
    limit: Result<Query<Limit>, QueryRejection>,
) -> ApiResult<Json<Vec<RuleRun>>> {
    let Query(Limit { limit }) = limit.map_err(|error| ApiError::new(error.status(), error.body_text()))?;
    let limit = limit.unwrap_or(LIST).clamp(1, 1000);
    Ok(Json(app.engine.queue.rule_runs(limit.into()).await?))
}

/// Forgets what a rule did with a series, so that it is done anew if the study is still looked at.
#[utoipa::path(delete, path = "/api/archive/runs", tag = "archive", params(OfRun),
    responses((status = 204), (status = 400, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub(super) async fn forget(
    State(app): State<App>,
    run: Result<Query<OfRun>, QueryRejection>,
) -> ApiResult<StatusCode> {
    let Query(OfRun { series, rule }) =
        run.map_err(|error| ApiError::new(error.status(), error.body_text()))?;
    if app.engine.queue.forget_rule_run(&series, &rule).await? {
        return Ok(StatusCode::NO_CONTENT);
    }
    Err(ApiError::not_found(format!("rule `{rule}` has no run for series `{series}` that has ended")))
}
