//! Results of jobs as files.

use std::path::{Path as FilePath, PathBuf};

use axum::{
    Json,
    body::Body,
    extract::{Path, State},
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use bipvl_imaging::{Compression, WriteOptions, read_labels, write_with};
use bipvl_io::FileError;
use tokio_util::io::ReaderStream;

use super::{archive::archive, jobs::job};
use crate::{
    ApiError, ApiResult, ErrorBody,
    app::App,
    queue::{Job, JobState},
    results::ResultFormat,
};

/// A result: `result.nii.gz`, `result.nrrd`, `result.json`, and of a DICOM scan `result.seg.dcm`,
/// `result.rtstruct.dcm`, `result.sr.dcm`.
#[utoipa::path(get, path = "/api/jobs/{id}/{file}", tag = "jobs",
    params(("id" = String, Path), ("file" = String, Path)),
    responses((status = 200, content_type = "application/octet-stream"), (status = 404, body = ErrorBody),
        (status = 409, body = ErrorBody)))]
pub(super) async fn download(
    State(app): State<App>,
    Path((id, file)): Path<(String, String)>,
) -> ApiResult<Response> {
    let format = file.strip_prefix("result.").and_then(ResultFormat::from_ending);
    let format = format.ok_or_else(|| ApiError::not_found(format!("no result is called `{file}`")))?;
    let job = job(&app, &id).await?;
    let path = result_file(&app, &job, format).await?;
    attachment(&path, &format!("{}.{}", job.scan, format.ending()), format.media_type()).await
}

/// Stores the result of a DICOM scan in the archive, as SEG and SR.
#[utoipa::path(post, path = "/api/jobs/{id}/send", tag = "jobs", params(("id" = String, Path)),
    responses((status = 200, body = Job), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody),
        (status = 502, body = ErrorBody)))]
pub(super) async fn store(State(app): State<App>, Path(id): Path<String>) -> ApiResult<Json<Job>> {
    let archive = archive(&app)?;
    let job = job(&app, &id).await?;
    let mut files = Vec::new();
    for format in [ResultFormat::Seg, ResultFormat::Report] {
        files.push(result_file(&app, &job, format).await?);
    }
    super::blocking(move || archive.store(&files)).await?;
    Ok(Json(job))
}

/// The file of a result, converted if need be.
pub(crate) async fn result_file(app: &App, job: &Job, format: ResultFormat) -> ApiResult<PathBuf> {
    if job.state != JobState::Done {
        return Err(ApiError::conflict(format!(
            "job {} is {}; only a job that is done has a result",
            job.id,
            job.state.name()
        )));
    }
    let folder = app.library().results(&job.id);
    let path = format.path(&folder);
    if path.exists() {
        return Ok(path);
    }
    if format.is_dicom() {
        return Err(ApiError::conflict(format!("scan `{}` is not DICOM; results are files alone", job.scan)));
    }
    if format != ResultFormat::Nrrd {
        return Err(ApiError::not_found(format!("the result of job {} is gone", job.id)));
    }
    let target = path.clone();
    super::blocking(move || {
        let labels = read_labels(&ResultFormat::Nifti.path(&folder))?;
        // OHIF takes the voxels as they are in the file.
        let options = WriteOptions { compression: Compression::None, ..WriteOptions::default() };
        Ok(write_with(&target, &labels, &options)?)
    })
    .await?;
    Ok(path)
}

/// A file as an answer, read while it is sent.
pub(crate) async fn attachment(path: &FilePath, name: &str, media_type: &'static str) -> ApiResult<Response> {
    let failed = |reason| ApiError::from(FileError::new(path, reason));
    let file = tokio::fs::File::open(path).await.map_err(failed)?;
    let length = file.metadata().await.map_err(failed)?.len();
    let disposition = format!("attachment; filename=\"{}\"", name.replace(['"', '\\'], "_"));
    let disposition = HeaderValue::from_str(&disposition).unwrap_or(HeaderValue::from_static("attachment"));
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(media_type)),
        (header::CONTENT_LENGTH, HeaderValue::from(length)),
        (header::CONTENT_DISPOSITION, disposition),
    ];
    Ok((headers, Body::from_stream(ReaderStream::new(file))).into_response())
}
