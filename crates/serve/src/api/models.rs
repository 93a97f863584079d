//! Models and what they were trained on.

use axum::{
    Json,
    extract::{Path, State},
};

use crate::{
    ApiError, ApiResult, ErrorBody,
    app::App,
    models::{ModelInfo, VocabularyInfo},
};

/// The models that are loaded.
#[utoipa::path(get, path = "/api/models", tag = "models", responses((status = 200, body = Vec<ModelInfo>)))]
pub(super) async fn list(State(app): State<App>) -> Json<Vec<ModelInfo>> {
    Json(app.engine.models.iter().map(crate::models::NamedModel::info).collect())
}

/// The concepts of a model: names, wordings, sentences, parts.
#[utoipa::path(get, path = "/api/models/{name}/vocabulary", tag = "models", params(("name" = String, Path)),
    responses((status = 200, body = VocabularyInfo), (status = 404, body = ErrorBody)))]
pub(super) async fn vocabulary(
    State(app): State<App>,
    Path(name): Path<String>,
) -> ApiResult<Json<VocabularyInfo>> {
    let named = app.engine.models.get(&name);
    let named = named.ok_or_else(|| {
        ApiError::not_found(format!("no model `{name}`; there are {}", app.engine.models.names()))
    })?;
    Ok(Json(named.vocabulary()))
}
