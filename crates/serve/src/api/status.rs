//! What the server is, and whether it is well.

use axum::{
    Json,
    extract::{Request, State},
    http::{StatusCode, header},
    response::IntoResponse,
};
use serde::Serialize;

use crate::{
    ApiResult,
    app::App,
    auth::{Role, bearer},
};

#[derive(Serialize)]
pub(crate) struct ServerInfo {
    version: &'static str,
    /// Whether requests need a token.
    auth: bool,
    /// What the token of this request allows; null without a valid one.
    role: Option<Role>,
    upload_limit: u64,
    /// Whether results can be sent to a DICOM archive.
    archive: bool,
    demo: bool,
}

pub(crate) async fn server(State(app): State<App>, request: Request) -> Json<ServerInfo> {
    let client = app.tokens.client(bearer(request.headers()));
    Json(ServerInfo {
        version: env!("CARGO_PKG_VERSION"),
        auth: app.tokens.is_required(),
        role: client.map(|client| client.role),
        upload_limit: app.max_upload,
        archive: app.archive.is_some(),
        demo: app.demo,
    })
}

/// The process answers.
pub(crate) async fn health() -> &'static str {
    "ok"
}

/// The database answers, and the server is not about to stop.
pub(crate) async fn ready(State(app): State<App>) -> ApiResult<impl IntoResponse> {
    app.engine.queue.counts().await?;
    let is_ready = !app.engine.is_stopping();
    Ok(if is_ready { (StatusCode::OK, "ready") } else { (StatusCode::SERVICE_UNAVAILABLE, "stopping") })
}

pub(crate) async fn metrics(State(app): State<App>) -> ApiResult<impl IntoResponse> {
    let queue = &app.engine.queue;
    let text = app.engine.metrics.text(&queue.counts().await?, &queue.rule_run_counts().await?);
    let media_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, media_type)], text))
}
