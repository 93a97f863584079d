//! The server's own REST, with its `OpenAPI` document.

mod archive;
mod events;
mod jobs;
mod models;
mod results;
mod rules;
mod scans;
mod status;

use axum::{Router, extract::DefaultBodyLimit, routing::get};
use utoipa::openapi::{
    Info, License, OpenApi,
    security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme},
};
use utoipa_axum::{router::OpenApiRouter, routes};
use utoipa_swagger_ui::SwaggerUi;

pub(crate) use jobs::{job, submit};
pub(crate) use results::{attachment, result_file};

use crate::{ApiError, ApiResult, app::App, beside::beside, library::Scan};

/// Bytes of a request in JSON at most.
const MAX_JSON: usize = 1 << 20;

/// Routes that need a token, if there are tokens.
pub(crate) fn routes() -> OpenApiRouter<App> {
    // Scans and labels come in forms, up to the limit of uploads; everything else is short.
    let forms = OpenApiRouter::new()
        .routes(routes!(scans::list, scans::upload))
        .routes(routes!(scans::label, scans::save_label))
        .layer(DefaultBodyLimit::disable());
    OpenApiRouter::new()
        .routes(routes!(models::list))
        .routes(routes!(models::vocabulary))
        .routes(routes!(scans::show, scans::delete))
        .routes(routes!(scans::image))
        .routes(routes!(scans::thumbnail))
        .routes(routes!(jobs::list, jobs::create))
        .routes(routes!(jobs::show, jobs::delete))
        .routes(routes!(jobs::cancel))
        .routes(routes!(events::watch))
        .routes(routes!(results::download))
        .routes(routes!(results::store))
        .routes(routes!(archive::studies))
        .routes(routes!(archive::series))
        .routes(routes!(archive::fetch_series))
        .routes(routes!(rules::runs, rules::forget))
        .layer(DefaultBodyLimit::max(MAX_JSON))
        .merge(forms)
}

/// Routes without a token: what a client needs to know before it has one, health, and the documentation.
pub(crate) fn open_routes(document: &OpenApi) -> Router<App> {
    Router::new()
        .route("/api/server", get(status::server))
        .route("/healthz", get(status::health))
        .route("/readyz", get(status::ready))
        .route("/metrics", get(status::metrics))
        .merge(SwaggerUi::new("/docs").url("/openapi.json", document.clone()))
}

/// Adds what the routes do not say themselves.
pub(crate) fn complete(document: &mut OpenApi) {
    let mut info = Info::new("bipvl serve", env!("CARGO_PKG_VERSION"));
    info.description = Some("Segmentation of 3-D medical scans from words.".to_owned());
    info.license = Some(License::new("MIT OR Apache-2.0"));
    document.info = info;
    let bearer = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
    let components = document.components.get_or_insert_default();
    components.add_security_scheme("token", bearer);
    document.security = Some(vec![SecurityRequirement::new("token", [""; 0])]);
}

/// The scan with an id.
pub(crate) async fn scan(app: &App, id: &str) -> ApiResult<Scan> {
    let (app, id) = (app.clone(), id.to_owned());
    let found = beside(move || (app.library().find(&id), id)).await?;
    found.0?.ok_or_else(|| ApiError::not_found(format!("no scan `{}`", found.1)))
}

/// Runs what reads or writes large files beside the threads that answer.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> crate::Result<T> + Send + 'static,
) -> ApiResult<T> {
    Ok(beside(work).await??)
}
