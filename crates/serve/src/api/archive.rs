//! The archive of the server: searched, and its series fetched.

use axum::{
    Extension, Json,
    extract::{Path, Query, State, rejection::QueryRejection},
    http::StatusCode,
};
use chrono::NaiveDate;
use serde::Deserialize;
use tokio::task::spawn_blocking;
use utoipa::IntoParams;

use super::blocking;
use crate::{
    ApiError, ApiResult, ErrorBody,
    app::App,
    archive::{Archive, ArchiveSeries, ArchiveStudy, StudyFilter, fetch, is_uid},
    auth::Made,
    library::Scan,
};

/// Studies of an answer, unless it says otherwise.
const LIST: u32 = 50;

#[derive(Deserialize, IntoParams)]
pub(super) struct StudyQuery {
    /// Part of the patient's name, the patient id or the description; an accession number; a `StudyInstanceUID`. `*` and
    /// `?` are wildcards.
    search: Option<String>,
    /// As in DICOM, such as `CT`.
    modality: Option<String>,
    /// The first day, `YYYY-MM-DD`.
    #[param(format = Date)]
    from: Option<String>,
    /// The last day, `YYYY-MM-DD`.
    #[param(format = Date)]
    until: Option<String>,
    /// At most so many, at most 500.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
}

/// Studies of the archive, the newest first.
#[utoipa::path(get, path = "/api/archive/studies", tag = "archive", params(StudyQuery),
    responses((status = 200, body = Vec<ArchiveStudy>), (status = 400, body = ErrorBody),
        (status = 409, body = ErrorBody), (status = 502, body = ErrorBody)))]
pub(super) async fn studies(
    State(app): State<App>,
    search: Result<Query<StudyQuery>, QueryRejection>,
) -> ApiResult<Json<Vec<ArchiveStudy>>> {
    let Query(search) = search.map_err(|error| ApiError::new(error.status(), error.body_text()))?;
    let archive = archive(&app)?;
    let filter = StudyFilter {
        text: search.search,
        modality: search.modality.filter(|modality| !modality.is_empty()),
        from: day("from", search.from.as_deref())?,
        until: day("until", search.until.as_deref())?,
        limit: search.limit.unwrap_or(LIST).clamp(1, 500),
        offset: 0,
    };
    Ok(Json(spawn_blocking(move || archive.studies(&filter)).await??))
}

/// The series of a study.
#[utoipa::path(get, path = "/api/archive/studies/{uid}/series", tag = "archive", params(("uid" = String, Path)),
    responses((status = 200, body = Vec<ArchiveSeries>), (status = 404, body = ErrorBody),
        (status = 409, body = ErrorBody), (status = 502, body = ErrorBody)))]
pub(super) async fn series(
    State(app): State<App>,
    Path(uid): Path<String>,
) -> ApiResult<Json<Vec<ArchiveSeries>>> {
    let archive = archive(&app)?;
    let missing = ApiError::not_found(format!("the archive has no study `{uid}`"));
    if !is_uid(&uid) {
        return Err(missing);
    }
    let mut series = spawn_blocking(move || archive.series(&uid)).await??;
    if series.is_empty() {
        return Err(missing);
    }
    let scans = blocking(move || app.library().scans()).await?;
    for series in &mut series {
        series.in_library = scans.iter().any(|scan| scan.series_uid.as_ref() == Some(&series.uid));
    }
    Ok(Json(series))
}

/// Fetches a series into the library. One that is there is not fetched again.
#[utoipa::path(post, path = "/api/archive/series/{uid}/fetch", tag = "archive", params(("uid" = String, Path)),
    responses((status = 200, body = Vec<Scan>, description = "It was there"), (status = 201, body = Vec<Scan>),
        (status = 404, body = ErrorBody), (status = 409, body = ErrorBody), (status = 422, body = ErrorBody),
        (status = 502, body = ErrorBody)))]
pub(super) async fn fetch_series(
    State(app): State<App>,
    Path(uid): Path<String>,
) -> ApiResult<(StatusCode, Extension<Made>, Json<Vec<Scan>>)> {
    let fetched = fetch(&archive(&app)?, &app.engine, &uid).await?;
    let status = if fetched.is_new { StatusCode::CREATED } else { StatusCode::OK };
    let ids: Vec<&str> = fetched.scans.iter().map(|scan| scan.id.as_str()).collect();
    let made = Made(format!("scans {}", ids.join(", ")));
    Ok((status, Extension(made), Json(fetched.scans)))
}

pub(super) fn archive(app: &App) -> ApiResult<Archive> {
    app.archive.clone().ok_or_else(|| ApiError::conflict("the server has no archive; see --dicomweb"))
}

fn day(name: &str, text: Option<&str>) -> ApiResult<Option<NaiveDate>> {
    let parse = |text: &str| {
        NaiveDate::parse_from_str(text, "%Y-%m-%d")
            .map_err(|_| ApiError::bad_request(format!("{name}: `{text}` is no day; YYYY-MM-DD is expected")))
    };
    text.filter(|text| !text.is_empty()).map(parse).transpose()
}
