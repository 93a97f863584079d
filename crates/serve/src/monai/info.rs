//! `/info/`: what a client shows before anything is asked.

use std::collections::BTreeMap;

use axum::{Json, extract::State};
use serde_json::{Map, Value, json};

use super::datastore::statistics;
use crate::{ApiResult, api::blocking, app::App, models::NamedModel};

/// Choices of the next scan.
pub(super) const STRATEGIES: [(&str, &str); 2] =
    [("random", "A scan without final labels, by chance"), ("first", "The first scan without final labels")];

/// There must be no key `config` on top: Slicer takes such a server for an old one.
pub(super) async fn info(State(app): State<App>) -> ApiResult<Json<Value>> {
    let models: Map<String, Value> =
        app.engine.models.iter().map(|named| (named.name.clone(), model(named))).collect();
    let mut labels: Vec<String> =
        app.engine.models.iter().flat_map(|named| named.model.class_names()).collect();
    labels.sort();
    labels.dedup();
    let strategies: BTreeMap<&str, Value> =
        STRATEGIES.iter().map(|(name, text)| (*name, json!({ "description": text }))).collect();
    let scans = blocking(move || app.library().scans()).await?;
    Ok(Json(json!({
        "name": "bipvl",
        "description": "Segmentation of 3-D medical scans from words",
        "version": env!("CARGO_PKG_VERSION"),
        "labels": labels,
        "models": models,
        "trainers": {},
        "strategies": strategies,
        "scoring": {},
        "train_stats": {},
        "datastore": statistics(&scans),
    })))
}

/// The values of `config` become a table of options in Slicer, which come back in `params` of a request.
fn model(named: &NamedModel) -> Value {
    let labels: Map<String, Value> = named
        .model
        .class_names()
        .into_iter()
        .enumerate()
        .map(|(index, name)| (name, json!(index + 1)))
        .collect();
    let (description, config) = if named.model.is_prompted() {
        (
            "Segments what the prompts say; several are separated by semicolons",
            json!({ "prompts": "", "exclusive": false }),
        )
    } else {
        let all = std::iter::once("all".to_owned());
        (
            "Segments fixed classes",
            json!({ "classes": all.chain(named.model.class_names()).collect::<Vec<_>>() }),
        )
    };
    json!({
        "type": "segmentation",
        "labels": labels,
        "dimension": 3,
        "description": description,
        "config": config,
    })
}
