//! `/infer/{model}`: one request, one label map.

use std::{sync::Arc, time::Instant};

use axum::{
    Json,
    body::Body,
    extract::{Multipart, Path, Query, State},
    http::header,
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::session;
use crate::{
    ApiError, ApiResult,
    api::{attachment, job, result_file, submit},
    app::App,
    archive,
    engine::Engine,
    models::NamedModel,
    multipart::Form,
    queue::{Job, JobRequest, JobState},
    results::ResultFormat,
};

/// A person waits for the answer, so it goes before other jobs.
const PRIORITY: i64 = 10;

/// Forms of an answer.
const OUTPUTS: [&str; 5] = ["", "all", "image", "json", "dicom_seg"];

#[derive(Deserialize)]
pub(super) struct InferQuery {
    image: Option<String>,
    session_id: Option<String>,
    output: Option<String>,
}

/// Segments and answers in the form that `output` asks for. A client that goes away cancels.
pub(super) async fn infer(
    State(app): State<App>,
    Path(model): Path<String>,
    Query(query): Query<InferQuery>,
    form: Multipart,
) -> ApiResult<Response> {
    let form = Form::read(form, &["file", "label"], app.library()).await?;
    let params: Map<String, Value> = match form.text("params") {
        Some(text) if !text.trim().is_empty() => {
            serde_json::from_str(text).map_err(|error| ApiError::bad_request(format!("params: {error}")))?
        }
        _ => Map::new(),
    };
    let named = app.engine.models.get(&model);
    let named = named.ok_or_else(|| {
        ApiError::not_found(format!("no model `{model}`; there are {}", app.engine.models.names()))
    })?;
    if let Some(other) = query.output.as_deref().filter(|output| !OUTPUTS.contains(output)) {
        return Err(ApiError::bad_request(format!(
            "output `{other}`: expected image, json, all or dicom_seg"
        )));
    }
    let (prompts, exclusive) = (prompts(&params, named)?, params.get("exclusive") == Some(&json!(true)));
    let scan = scan_id(&app, &query, form).await?;
    let request = JobRequest { scan, model, prompts, exclusive, priority: PRIORITY, ..JobRequest::default() };
    let began = Instant::now();
    let job = wait(&app, submit(&app, request).await?).await?;
    let seconds = began.elapsed().as_secs_f64();
    answer(&app, &job, &query, &params, seconds).await
}

/// A file of the form wins over a session, which wins over an image of the data store.
async fn scan_id(app: &App, query: &InferQuery, form: Form) -> ApiResult<String> {
    if form.file("file").is_some() {
        return Ok(format!("session:{}", session::store(app, form).await?));
    }
    if let Some(session) = query.session_id.as_deref().filter(|id| !id.is_empty()) {
        return Ok(format!("session:{session}"));
    }
    let image = query.image.clone().filter(|id| !id.is_empty());
    let image = image.ok_or_else(|| {
        ApiError::bad_request("say what to segment: ?image=ID, ?session_id=ID or a part `file`")
    })?;
    // OHIF shows what the archive has.
    archive::ensure(app, &image).await?;
    Ok(image)
}

/// What the options of a client ask for: a text with semicolons or a list under `prompts`, one class or a list under
/// `classes`, or numbers of the default prompts under `label_prompt`, as VISTA-3D has it.
fn prompts(params: &Map<String, Value>, named: &NamedModel) -> ApiResult<Option<Vec<String>>> {
    if let Some(Value::Array(numbers)) = params.get("label_prompt").filter(|value| **value != json!([])) {
        let names = named.model.class_names();
        let name = |number: &Value| {
            let place = number.as_u64().and_then(|number| usize::try_from(number).ok()?.checked_sub(1));
            let name = place.and_then(|place| names.get(place)).cloned();
            name.ok_or_else(|| {
                ApiError::bad_request(format!("label_prompt: {number} is none of 1 to {}", names.len()))
            })
        };
        return numbers.iter().map(name).collect::<ApiResult<Vec<_>>>().map(Some);
    }
    let texts = |value: &Value| -> Vec<String> {
        match value {
            Value::String(text) => text.split([';', '\n']).map(|text| text.trim().to_owned()).collect(),
            Value::Array(list) => list.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            _ => Vec::new(),
        }
    };
    let key = if named.model.is_prompted() { "prompts" } else { "classes" };
    let mut asked = params.get(key).map(texts).unwrap_or_default();
    asked.retain(|text| !text.is_empty());
    Ok((!asked.is_empty() && asked != ["all"]).then_some(asked))
}

/// Cancels its job unless it was disarmed.
struct CancelOnDrop {
    engine: Arc<Engine>,
    job: Option<String>,
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        if let Some(id) = self.job.take() {
            let engine = self.engine.clone();
            tokio::spawn(async move { engine.cancel(&id).await });
        }
    }
}

async fn wait(app: &App, mut current: Job) -> ApiResult<Job> {
    let mut guard = CancelOnDrop { engine: app.engine.clone(), job: Some(current.id.clone()) };
    while !current.state.is_final() {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        current = job(app, &current.id).await?;
    }
    guard.job = None;
    match current.state {
        JobState::Done => Ok(current),
        _ => Err(ApiError::unusable(current.error.unwrap_or_else(|| current.state.name().to_owned()))),
    }
}

async fn answer(
    app: &App,
    job: &Job,
    query: &InferQuery,
    params: &Map<String, Value>,
    seconds: f64,
) -> ApiResult<Response> {
    let format = match params.get("result_extension").and_then(Value::as_str) {
        Some(".nrrd" | "nrrd") => ResultFormat::Nrrd,
        _ => ResultFormat::Nifti,
    };
    let name = format!("{}.{}", job.scan.replace("session:", ""), format.ending());
    match query.output.as_deref() {
        Some("json") => Ok(Json(result_params(job, seconds)).into_response()),
        Some("image") => attachment(&result_file(app, job, format).await?, &name, format.media_type()).await,
        Some("dicom_seg") => {
            let path = result_file(app, job, ResultFormat::Seg).await?;
            attachment(&path, &format!("{}.seg.dcm", job.scan), ResultFormat::Seg.media_type()).await
        }
        _ => {
            let path = result_file(app, job, format).await?;
            let voxels = tokio::fs::read(&path).await;
            let voxels = voxels.map_err(|reason| ApiError::from(bipvl_io::FileError::new(&path, reason)))?;
            Ok(form(&result_params(job, seconds), &name, &voxels))
        }
    }
}

fn result_params(job: &Job, seconds: f64) -> Value {
    let segments = job.segments.as_deref().unwrap_or_default();
    let names: Map<String, Value> =
        segments.iter().map(|segment| (segment.name.clone(), json!(segment.value))).collect();
    json!({
        "label_names": names,
        "latencies": { "total": (seconds * 100.0).round() / 100.0 },
        "segments": segments,
        "job": job.id,
    })
}

/// A form as an answer: Slicer reads it with Python's `cgi` and keeps the name of the file.
fn form(params: &Value, name: &str, voxels: &[u8]) -> Response {
    let boundary = Uuid::new_v4().simple().to_string();
    let mut body = format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"params\"\r\nContent-Type: application/json\r\n\r\n\
         {params}\r\n--{boundary}\r\nContent-Disposition: form-data; name=\"image\"; filename=\"{name}\"\r\n\
         Content-Type: application/octet-stream\r\n\r\n"
    )
    .into_bytes();
    body.extend_from_slice(voxels);
    body.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    let media_type = format!("multipart/form-data; boundary={boundary}");
    ([(header::CONTENT_TYPE, media_type)], Body::from(body)).into_response()
}
