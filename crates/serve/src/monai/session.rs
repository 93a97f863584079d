//! Sessions: a scan that a client sends to have it segmented, and that is not kept.

use axum::{
    Json,
    extract::{Multipart, Path, State},
};
use serde_json::{Value, json};

use crate::{
    ApiError, ApiResult,
    api::blocking,
    app::{App, SESSION},
    beside::beside,
    library::{Scan, Uploaded},
    multipart::Form,
};

/// Starts a session with the files of the form.
pub(super) async fn start(State(app): State<App>, form: Multipart) -> ApiResult<Json<Value>> {
    let form = Form::read(form, &["files"], app.library()).await?;
    let session = store(&app, form).await?;
    Ok(Json(json!({ "session_id": session, "session_info": information(&find(&app, &session).await?) })))
}

/// Moves the files of a form into a session; its id.
pub(super) async fn store(app: &App, form: Form) -> ApiResult<String> {
    let checked = beside(move || Uploaded::check(form.incoming)).await?;
    let uploaded = checked.map_err(ApiError::unusable)?;
    let app = app.clone();
    blocking(move || app.library().start_session(&uploaded)).await
}

pub(super) async fn show(State(app): State<App>, Path(session): Path<String>) -> ApiResult<Json<Value>> {
    Ok(Json(information(&find(&app, &session).await?)))
}

pub(super) async fn end(State(app): State<App>, Path(session): Path<String>) -> ApiResult<Json<Value>> {
    find(&app, &session).await?;
    app.library().end_session(&session);
    Ok(Json(json!({})))
}

async fn find(app: &App, session: &str) -> ApiResult<Scan> {
    let (app, wanted) = (app.clone(), session.to_owned());
    let found = blocking(move || Ok(app.library().session(&wanted))).await?;
    found.ok_or_else(|| {
        ApiError::not_found(format!("no session `{session}`; sessions end an hour after their scan came"))
    })
}

fn information(scan: &Scan) -> Value {
    json!({
        "name": scan.id,
        "image": scan.id,
        "meta": { "shape": scan.shape, "spacing": scan.spacing },
        "create_ts": scan.created,
        "expiry": SESSION.as_secs(),
    })
}
