//! The page: files that were built by Vite, in the program itself.

use axum::{
    Router,
    extract::Path,
    http::{HeaderValue, StatusCode, header},
    response::{Html, IntoResponse, Response},
    routing::get,
};
use rust_embed::Embed;
use tower_http::compression::CompressionLayer;

use crate::app::App;

#[derive(Embed)]
#[folder = "$BIPVL_PAGE"]
struct Files;

/// Names of built files have a hash of their content.
const FOREVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

/// The page without what it shows: its files go packed.
pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/", get(index))
        .route("/licenses.txt", get(licenses))
        .route("/assets/{*path}", get(asset))
        .layer(CompressionLayer::new())
}

async fn licenses() -> Response {
    let text = Files::get("licenses.txt").map(|file| file.data);
    text.map_or_else(
        || StatusCode::NOT_FOUND.into_response(),
        |text| ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response(),
    )
}

async fn index() -> Response {
    match Files::get("index.html") {
        Some(file) => Html(file.data).into_response(),
        None => Html(include_str!("no_page.html")).into_response(),
    }
}

async fn asset(Path(path): Path<String>) -> Response {
    let path = format!("assets/{path}");
    let Some(file) = Files::get(&path) else { return StatusCode::NOT_FOUND.into_response() };
    let media_type = mime_guess::from_path(&path).first_or_octet_stream();
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_str(media_type.as_ref()).expect("media types are ASCII")),
        (header::CACHE_CONTROL, FOREVER),
    ];
    (headers, file.data).into_response()
}
