//! The state that all requests share, and the router.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header},
    middleware::{self, Next},
    response::Response,
};
use tower::limit::GlobalConcurrencyLimitLayer;
use tower_http::{catch_panic::CatchPanicLayer, limit::RequestBodyLimitLayer};
use utoipa_axum::router::OpenApiRouter;

use crate::{
    ApiError, api,
    archive::{Archive, proxy},
    auth::{self, Tokens},
    engine::Engine,
    library::Library,
    monai,
    origin::{self, Origins},
    page,
    viewed::Viewed,
};

/// Requests that are answered at once; others wait.
const MAX_REQUESTS: usize = 512;
/// How long a scan of a session is kept after it was sent.
pub(crate) const SESSION: Duration = Duration::from_hours(1);

/// What all requests share.
#[derive(Clone, Debug)]
pub(crate) struct App {
    pub(crate) engine: Arc<Engine>,
    pub(crate) origins: Arc<Origins>,
    pub(crate) tokens: Arc<Tokens>,
    pub(crate) archive: Option<Archive>,
    pub(crate) viewed: Arc<Viewed>,
    pub(crate) max_upload: u64,
    pub(crate) demo: bool,
}

impl App {
    pub(crate) fn library(&self) -> &Library {
        &self.engine.library
    }
}

/// All routes.
pub(crate) fn router(app: App) -> Router {
    let (api, mut document) = OpenApiRouter::new()
        .merge(api::routes())
        .merge(monai::routes())
        .merge(proxy::routes())
        .split_for_parts();
    api::complete(&mut document);
    let limit = usize::try_from(app.max_upload).unwrap_or(usize::MAX);
    let guarded = api
        .route_layer(middleware::from_fn_with_state(app.clone(), auth::authorize))
        .layer(RequestBodyLimitLayer::new(limit))
        .layer(GlobalConcurrencyLimitLayer::new(MAX_REQUESTS));
    Router::new()
        .merge(guarded)
        .merge(api::open_routes(&document))
        .merge(page::routes())
        .merge(monai::open_routes())
        .fallback(async || ApiError::not_found("no such route; see /docs"))
        .method_not_allowed_fallback(async || {
            ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "the route has no such method; see /docs")
        })
        .layer(app.origins.cors())
        .layer(middleware::from_fn_with_state(app.clone(), origin::check))
        .layer(middleware::from_fn_with_state(app.clone(), count))
        .layer(middleware::from_fn(secure))
        .layer(CatchPanicLayer::new())
        .with_state(app)
}

async fn count(State(app): State<App>, request: Request, next: Next) -> Response {
    let method = request.method().clone();
    let response = next.run(request).await;
    app.engine.metrics.request(method.as_str(), response.status().as_u16());
    response
}

/// What a browser may do with the answers: run and show what this server sends, and nothing else. The viewer draws its
/// letters from an image in a `data:` URL.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Swagger UI styles its elements one by one.
const POLICY_OF_DOCS: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
    img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

async fn secure(request: Request, next: Next) -> Response {
    let policy = if request.uri().path().starts_with("/docs") { POLICY_OF_DOCS } else { POLICY };
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}
