//! A job as server-sent events.

use std::{convert::Infallible, time::Duration};

use axum::{
    extract::{Path, State},
    response::sse::{Event, KeepAlive, Sse},
};
use futures_util::{Stream, stream};

use super::jobs::job;
use crate::{ApiResult, ErrorBody, app::App, queue::Job};

/// How often a job is looked at.
const INTERVAL: Duration = Duration::from_millis(200);

/// Events named `job`, one at once and one after each change; the stream ends with the job.
#[utoipa::path(get, path = "/api/jobs/{id}/events", tag = "jobs", params(("id" = String, Path)),
    responses((status = 200, content_type = "text/event-stream"), (status = 404, body = ErrorBody)))]
pub(super) async fn watch(
    State(app): State<App>,
    Path(id): Path<String>,
) -> ApiResult<Sse<impl Stream<Item = Result<Event, Infallible>>>> {
    job(&app, &id).await?;
    let changes = stream::unfold((app, id, None), |(app, id, last): (App, String, Option<Job>)| async move {
        if last.as_ref().is_some_and(|job| job.state.is_final()) {
            return None;
        }
        loop {
            // A job that was deleted meanwhile ends the stream.
            let now = job(&app, &id).await.ok()?;
            if last.as_ref() != Some(&now) {
                let event = Event::default().event("job").json_data(&now).ok()?;
                return Some((Ok(event), (app, id, Some(now))));
            }
            tokio::time::sleep(INTERVAL).await;
        }
    });
    Ok(Sse::new(changes).keep_alive(KeepAlive::default()))
}
