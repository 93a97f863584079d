//! Scans and their saved labels.

use axum::{
    Extension, Json,
    extract::{Multipart, Path, Query, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::{attachment, blocking, scan};
use crate::{
    ApiError, ApiResult, ErrorBody,
    app::App,
    auth::Made,
    beside::beside,
    library::{LabelSegment, Scan, Uploaded},
    multipart::Form,
};

#[derive(Deserialize, IntoParams)]
pub(super) struct Search {
    /// Part of the id, description or modality.
    search: Option<String>,
}

/// The form of an upload.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the form in the OpenAPI document")]
struct UploadForm {
    #[schema(format = Binary, content_media_type = "application/octet-stream")]
    file: Vec<u8>,
}

/// The form of a saved label.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the form in the OpenAPI document")]
struct LabelForm {
    /// A label map on the grid of the scan.
    #[schema(format = Binary, content_media_type = "application/octet-stream")]
    label: Vec<u8>,
    /// JSON: `[{"name": "left kidney", "value": 1}]`.
    segments: Option<String>,
}

/// All scans, the newest first.
#[utoipa::path(get, path = "/api/scans", tag = "scans", params(Search),
    responses((status = 200, body = Vec<Scan>)))]
pub(super) async fn list(State(app): State<App>, Query(query): Query<Search>) -> ApiResult<Json<Vec<Scan>>> {
    let mut scans = blocking(move || app.library().scans()).await?;
    if let Some(text) = query.search.map(|text| text.to_lowercase()) {
        let contains = |field: &str| field.to_lowercase().contains(&text);
        scans.retain(|scan| {
            let optional = [&scan.description, &scan.modality].into_iter().flatten();
            contains(&scan.id) || optional.into_iter().any(|field| contains(field))
        });
    }
    Ok(Json(scans))
}

/// Adds scans: images (NIfTI, NRRD, MetaImage), a zip archive with DICOM, or the files of a DICOM study.
#[utoipa::path(post, path = "/api/scans", tag = "scans",
    request_body(content = inline(UploadForm), content_type = "multipart/form-data"),
    responses((status = 201, body = Vec<Scan>), (status = 400, body = ErrorBody), (status = 409, body = ErrorBody),
        (status = 413), (status = 422, body = ErrorBody)))]
pub(super) async fn upload(
    State(app): State<App>,
    form: Multipart,
) -> ApiResult<(StatusCode, Extension<Made>, Json<Vec<Scan>>)> {
    let form = Form::read(form, &["file"], app.library()).await?;
    let checked = beside(move || Uploaded::check(form.incoming)).await?;
    let uploaded = checked.map_err(ApiError::unusable)?;
    let scans = blocking(move || app.library().add(&uploaded, None)).await?;
    let ids: Vec<&str> = scans.iter().map(|scan| scan.id.as_str()).collect();
    let made = Made(format!("scans {}", ids.join(", ")));
    Ok((StatusCode::CREATED, Extension(made), Json(scans)))
}

/// One scan.
#[utoipa::path(get, path = "/api/scans/{id}", tag = "scans", params(("id" = String, Path)),
    responses((status = 200, body = Scan), (status = 404, body = ErrorBody)))]
pub(super) async fn show(State(app): State<App>, Path(id): Path<String>) -> ApiResult<Json<Scan>> {
    Ok(Json(scan(&app, &id).await?))
}

/// Deletes a scan with its labels. A DICOM study with several volumes goes as a whole.
#[utoipa::path(delete, path = "/api/scans/{id}", tag = "scans", params(("id" = String, Path)),
    responses((status = 204), (status = 404, body = ErrorBody)))]
pub(super) async fn delete(State(app): State<App>, Path(id): Path<String>) -> ApiResult<StatusCode> {
    let scan = scan(&app, &id).await?;
    blocking(move || app.library().delete(&scan)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The volume of a scan as NIfTI.
#[utoipa::path(get, path = "/api/scans/{id}/image.nii.gz", tag = "scans", params(("id" = String, Path)),
    responses((status = 200, content_type = "application/octet-stream"), (status = 404, body = ErrorBody)))]
pub(super) async fn image(State(app): State<App>, Path(id): Path<String>) -> ApiResult<Response> {
    let scan = scan(&app, &id).await?;
    let name = format!("{}.nii.gz", scan.id);
    let path = blocking(move || app.library().nifti(&scan)).await?;
    attachment(&path, &name, "application/octet-stream").await
}

/// A picture of the middle axial slice.
#[utoipa::path(get, path = "/api/scans/{id}/thumbnail.png", tag = "scans", params(("id" = String, Path)),
    responses((status = 200, content_type = "image/png"), (status = 404, body = ErrorBody)))]
pub(super) async fn thumbnail(
    State(app): State<App>,
    Path(id): Path<String>,
) -> ApiResult<impl IntoResponse> {
    let scan = scan(&app, &id).await?;
    let png = blocking(move || app.library().thumbnail(&scan)).await?;
    Ok(([(header::CONTENT_TYPE, "image/png")], png))
}

/// Labels that were saved under a tag, as `TAG.nii.gz`.
#[utoipa::path(get, path = "/api/scans/{id}/labels/{tag}", tag = "scans",
    params(("id" = String, Path), ("tag" = String, Path, description = "`final.nii.gz` for the labels, `final.json` for the names of their values")),
    responses((status = 200, content_type = "application/octet-stream"), (status = 404, body = ErrorBody)))]
pub(super) async fn label(
    State(app): State<App>,
    Path((id, file)): Path<(String, String)>,
) -> ApiResult<Response> {
    let scan = scan(&app, &id).await?;
    let missing = || ApiError::not_found(format!("scan `{id}` has no labels `{file}`"));
    if let Some(tag) = file.strip_suffix(".json") {
        return Ok(Json(app.library().labels(&scan, tag).ok_or_else(missing)?.segments).into_response());
    }
    let tag = file.strip_suffix(".nii.gz").ok_or_else(missing)?;
    let saved = app.library().labels(&scan, tag).ok_or_else(missing)?;
    attachment(&saved.path, &format!("{}.nii.gz", scan.id), "application/octet-stream").await
}

/// Saves labels under a tag, such as `final`; those that were there are replaced.
#[utoipa::path(put, path = "/api/scans/{id}/labels/{tag}", tag = "scans",
    params(("id" = String, Path), ("tag" = String, Path)),
    request_body(content = inline(LabelForm), content_type = "multipart/form-data"),
    responses((status = 200, body = Scan), (status = 400, body = ErrorBody), (status = 404, body = ErrorBody),
        (status = 413), (status = 422, body = ErrorBody)))]
pub(super) async fn save_label(
    State(app): State<App>,
    Path((id, tag)): Path<(String, String)>,
    form: Multipart,
) -> ApiResult<Json<Scan>> {
    let found = scan(&app, &id).await?;
    let form = Form::read(form, &["label"], app.library()).await?;
    let segments: Vec<LabelSegment> = serde_json::from_str(form.text("segments").unwrap_or("[]"))
        .map_err(|error| ApiError::unusable(format!("segments: {error}")))?;
    let saving = app.clone();
    let saved = beside(move || {
        let file = form.file("label").ok_or("no file was sent; send a part called `label`")?;
        let labels = found.read_labels(file)?;
        saving.library().save_labels(&found, &tag, &labels, &segments)
    });
    saved.await?.map_err(ApiError::unusable)?;
    Ok(Json(scan(&app, &id).await?))
}
