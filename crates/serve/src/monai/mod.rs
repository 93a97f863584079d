//! The protocol of MONAI Label servers, as 3D Slicer and OHIF 3 call it.
//!
//! Final slashes are as there; the other form is answered as well, where `FastAPI` redirects.

mod active_learning;
mod datastore;
mod infer;
mod info;
mod session;

use axum::{
    Json, Router,
    extract::DefaultBodyLimit,
    routing::{MethodRouter, delete, get, post, put},
};
use serde_json::{Value, json};
use utoipa_axum::router::OpenApiRouter;

use crate::{ApiError, ApiResult, app::App};

/// All routes; they have no place in the `OpenAPI` document of the server's own REST.
pub(crate) fn routes() -> OpenApiRouter<App> {
    let mut router = OpenApiRouter::new();
    let both: [(&str, MethodRouter<App>); 4] = [
        ("/info", get(info::info)),
        ("/session", put(session::start)),
        ("/datastore", get(datastore::list).put(datastore::add)),
        ("/train", get(no_training)),
    ];
    for (path, route) in both {
        router = router.route(path, route.clone()).route(&format!("{path}/"), route);
    }
    router
        .route("/infer/{model}", post(infer::infer))
        .route("/session/{id}", get(session::show).delete(session::end))
        .route("/activelearning/{strategy}", post(active_learning::next))
        .route("/datastore/image", get(datastore::image).put(datastore::add))
        .route("/datastore/image/info", get(datastore::image_info))
        .route(
            "/datastore/label",
            get(datastore::label).put(datastore::save_label).delete(datastore::delete_label),
        )
        .route("/datastore/label/info", get(datastore::label_info))
        .route("/datastore/{id}", delete(datastore::delete))
        // Scans come in forms, up to the limit of uploads.
        .layer(DefaultBodyLimit::disable())
}

/// Routes that need no token.
pub(crate) fn open_routes() -> Router<App> {
    Router::new().route("/auth", get(auth)).route("/auth/", get(auth))
}

/// Clients ask before every call whether they need a token. Those that do not send one get 401 elsewhere.
async fn auth(axum::extract::State(app): axum::extract::State<App>) -> Json<Value> {
    Json(json!({ "enabled": app.tokens.is_required() }))
}

/// Clients read 404 as "no training runs".
async fn no_training() -> ApiResult<()> {
    Err(ApiError::not_found("no training runs"))
}
