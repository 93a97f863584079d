//! `/activelearning/{strategy}`: which scan to label next.

use axum::{
    Json,
    extract::{Path, State},
};
use rand::seq::IndexedRandom;
use serde_json::{Value, json};

use super::{datastore::FINAL, info::STRATEGIES};
use crate::{ApiError, ApiResult, api::blocking, app::App, library::Scan};

/// The next scan without final labels; `{}` if all have them.
pub(super) async fn next(State(app): State<App>, Path(strategy): Path<String>) -> ApiResult<Json<Value>> {
    if STRATEGIES.iter().all(|(name, _)| *name != strategy) {
        let names: Vec<&str> = STRATEGIES.iter().map(|(name, _)| *name).collect();
        return Err(ApiError::not_found(format!("no strategy `{strategy}`; there are {}", names.join(", "))));
    }
    let mut scans = blocking(move || app.library().scans()).await?;
    scans.retain(|scan| scan.labels.iter().all(|tag| tag != FINAL));
    scans.sort_by(|a, b| a.id.cmp(&b.id));
    let chosen = if strategy == "random" { scans.choose(&mut rand::rng()) } else { scans.first() };
    Ok(Json(chosen.map_or_else(|| json!({}), sample)))
}

/// Slicer fetches the scan by its id and names it so; the paths of the server are its own.
fn sample(scan: &Scan) -> Value {
    json!({
        "id": scan.id,
        "name": format!("{}.nii.gz", scan.id),
        "SeriesInstanceUID": scan.series_uid,
        "weight": 1.0,
    })
}
