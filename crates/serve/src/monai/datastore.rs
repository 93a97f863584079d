//! `/datastore/`: scans and labels as MONAI Label names them.

use axum::{
    Json,
    extract::{Multipart, Path, Query, State},
    response::{IntoResponse, Response},
};
use bipvl_imaging::LabelMap;
use ndarray::{Array3, ShapeBuilder};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{
    ApiError, ApiResult,
    api::{attachment, blocking, scan},
    app::App,
    archive,
    beside::beside,
    library::{LabelSegment, SavedLabels, Scan, Uploaded},
    multipart::Form,
};

/// The tag of labels that a person has finished.
pub(super) const FINAL: &str = "final";

#[derive(Deserialize)]
pub(super) struct Output {
    output: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct OfImage {
    #[serde(alias = "label", alias = "id")]
    image: Option<String>,
    tag: Option<String>,
}

impl OfImage {
    fn tag(&self) -> &str {
        self.tag.as_deref().filter(|tag| !tag.is_empty()).unwrap_or(FINAL)
    }

    async fn scan(&self, app: &App) -> ApiResult<Scan> {
        let id = self.image.as_deref();
        scan(app, id.ok_or_else(|| ApiError::bad_request("say which image: ?image=ID"))?).await
    }
}

/// How many scans there are and how many have labels.
pub(super) fn statistics(scans: &[Scan]) -> Value {
    let mut tags: Map<String, Value> = Map::new();
    for tag in scans.iter().flat_map(|scan| &scan.labels) {
        let count = tags.get(tag).and_then(Value::as_u64).unwrap_or(0);
        tags.insert(tag.clone(), json!(count + 1));
    }
    let completed = scans.iter().filter(|scan| scan.labels.iter().any(|tag| tag == FINAL)).count();
    json!({ "total": scans.len(), "completed": completed, "label_tags": tags, "train": [] })
}

pub(super) async fn list(State(app): State<App>, Query(query): Query<Output>) -> ApiResult<Json<Value>> {
    let scans = blocking(move || app.library().scans()).await?;
    Ok(Json(match query.output.as_deref() {
        Some("stats") => statistics(&scans),
        Some("train") => {
            let labeled = scans.iter().filter(|scan| scan.labels.iter().any(|tag| tag == FINAL));
            labeled.map(|scan| json!({ "image": scan.id, "label": scan.id })).collect()
        }
        _ => {
            let objects: Map<String, Value> =
                scans.iter().map(|scan| (scan.id.clone(), object(scan))).collect();
            json!({ "name": "bipvl", "objects": objects })
        }
    }))
}

fn object(scan: &Scan) -> Value {
    let label = |tag: &String| (tag.clone(), json!({ "ext": ".nii.gz", "info": {} }));
    let labels: Map<String, Value> = scan.labels.iter().map(label).collect();
    json!({ "image": { "ext": ".nii.gz", "info": image_values(scan) }, "labels": labels })
}

fn image_values(scan: &Scan) -> Value {
    json!({
        "name": format!("{}.nii.gz", scan.id),
        "Modality": scan.modality,
        "SeriesInstanceUID": scan.series_uid,
        "shape": scan.shape,
        "spacing": scan.spacing,
    })
}

/// Adds the `file` of the form under the id that the client wants, and from then on uses.
pub(super) async fn add(
    State(app): State<App>,
    Query(query): Query<OfImage>,
    form: Multipart,
) -> ApiResult<Json<Value>> {
    let form = Form::read(form, &["file"], app.library()).await?;
    let checked = beside(move || Uploaded::check(form.incoming)).await?;
    let uploaded = checked.map_err(ApiError::unusable)?;
    let scans = blocking(move || app.library().add(&uploaded, query.image.as_deref())).await?;
    let id = scans.first().map(|scan| scan.id.clone());
    Ok(Json(json!({ "image": id.ok_or_else(|| ApiError::unusable("no scan was found in the file"))? })))
}

pub(super) async fn image(State(app): State<App>, Query(query): Query<OfImage>) -> ApiResult<Response> {
    let scan = query.scan(&app).await?;
    let name = format!("{}.nii.gz", scan.id);
    let path = blocking(move || app.library().nifti(&scan)).await?;
    attachment(&path, &name, "application/octet-stream").await
}

pub(super) async fn image_info(
    State(app): State<App>,
    Query(query): Query<OfImage>,
) -> ApiResult<Json<Value>> {
    Ok(Json(image_values(&query.scan(&app).await?)))
}

pub(super) async fn delete(State(app): State<App>, Path(id): Path<String>) -> ApiResult<Json<Value>> {
    let scan = scan(&app, &id).await?;
    blocking(move || app.library().delete(&scan)).await?;
    Ok(Json(json!({})))
}

async fn saved(app: &App, query: &OfImage) -> ApiResult<(Scan, SavedLabels)> {
    let scan = query.scan(app).await?;
    let saved = app.library().labels(&scan, query.tag());
    let saved = saved
        .ok_or_else(|| ApiError::not_found(format!("scan `{}` has no labels `{}`", scan.id, query.tag())));
    Ok((scan, saved?))
}

/// Slicer takes the kind of file from the name in `Content-Disposition`.
pub(super) async fn label(State(app): State<App>, Query(query): Query<OfImage>) -> ApiResult<Response> {
    let (scan, saved) = saved(&app, &query).await?;
    attachment(&saved.path, &format!("{}.nii.gz", scan.id), "application/octet-stream").await
}

pub(super) async fn label_info(
    State(app): State<App>,
    Query(query): Query<OfImage>,
) -> ApiResult<Json<Value>> {
    let (_, saved) = saved(&app, &query).await?;
    let names: Vec<Value> =
        saved.segments.iter().map(|segment| json!({ "name": segment.name, "idx": segment.value })).collect();
    Ok(Json(json!({ "label_info": names })))
}

pub(super) async fn delete_label(
    State(app): State<App>,
    Query(query): Query<OfImage>,
) -> ApiResult<Json<Value>> {
    let scan = query.scan(&app).await?;
    if app.library().delete_label(&scan, query.tag()) {
        return Ok(Json(json!({})));
    }
    Err(ApiError::not_found(format!("scan `{}` has no labels `{}`", scan.id, query.tag())))
}

/// The names of values in `params` of a saved label.
#[derive(Default, Deserialize)]
struct LabelParams {
    #[serde(default)]
    label_info: Vec<LabelName>,
}

#[derive(Deserialize)]
struct LabelName {
    name: String,
    /// Slicer numbers from 1 in the order of the list and leaves it out.
    idx: Option<u16>,
}

/// Saves the `label` of the form.
pub(super) async fn save_label(
    State(app): State<App>,
    Query(query): Query<OfImage>,
    form: Multipart,
) -> ApiResult<Response> {
    // A viewer may have labeled what it saw in the archive.
    archive::ensure(&app, query.image.as_deref().unwrap_or_default()).await?;
    let found = query.scan(&app).await?;
    let form = Form::read(form, &["label"], app.library()).await?;
    let params: LabelParams = serde_json::from_str(form.text("params").unwrap_or("{}"))
        .map_err(|error| ApiError::unusable(format!("params: {error}")))?;
    let named = params.label_info.into_iter().zip(1..);
    let segments: Vec<LabelSegment> = named
        .map(|(label, place)| LabelSegment { name: label.name, value: label.idx.unwrap_or(place) })
        .collect();
    let (tag, id) = (query.tag().to_owned(), found.id.clone());
    let saved = beside(move || {
        let file = form.file("label").ok_or("no file was sent; send a part called `label`")?;
        let is_raw = file.extension().is_some_and(|ending| ending == "bin");
        let labels = if is_raw {
            raw_labels(&std::fs::read(file).map_err(|error| error.to_string())?, &found)
        } else {
            found.read_labels(file)
        };
        app.library().save_labels(&found, &tag, &labels?, &segments)
    });
    saved.await?.map_err(ApiError::unusable)?;
    Ok(Json(json!({ "image": id, "label": id })).into_response())
}

/// OHIF sends voxels of one byte without a header, x fastest, in the order of the scan.
fn raw_labels(bytes: &[u8], scan: &Scan) -> Result<LabelMap, String> {
    let grid = scan.grid().map_err(|error| error.to_string())?;
    let shape = grid.shape();
    let expected = shape.iter().product::<usize>();
    if bytes.len() != expected {
        return Err(format!("{} bytes of labels; the scan has {expected} voxels of {shape:?}", bytes.len()));
    }
    let voxels = bytes.iter().map(|value| u16::from(*value)).collect();
    let voxels = Array3::from_shape_vec(shape.f(), voxels).map_err(|error| error.to_string())?;
    // The other voxels of the project are in C order.
    Ok(LabelMap::new(voxels.as_standard_layout().into_owned(), grid))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn params_number_labels_from_one_unless_they_say_otherwise() {
        let params: LabelParams =
            serde_json::from_str(r#"{"label_info": [{"name": "a"}, {"name": "b", "idx": 7}]}"#).unwrap();
        let values: Vec<Option<u16>> = params.label_info.iter().map(|label| label.idx).collect();
        assert_eq!(values, [None, Some(7)]);
    }
}
