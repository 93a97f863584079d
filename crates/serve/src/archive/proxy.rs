//! `/proxy/dicom/…`: the archive for a viewer in a browser, under the paths of MONAI Label's server.
//!
//! What is passed on are searches, retrievals and stores below the configured root, nothing else that the archive may
//! offer: an Orthanc, for one, sends its studies to other servers when it is asked to.

use std::io;

use axum::{
    body::Body,
    extract::{DefaultBodyLimit, Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use futures_util::{StreamExt, TryStreamExt};
use mime::Mime;
use tokio::{sync::Semaphore, task::spawn_blocking};
use tokio_util::io::{StreamReader, SyncIoBridge};
use ureq::SendBody;
use utoipa_axum::router::OpenApiRouter;

use super::{Archive, body, with_credentials};
use crate::{ApiError, ApiResult, Result, app::App};

const ROOT: &str = "/proxy/dicom/";
/// MONAI Label's server can have a prefix for each service; here all are below one root.
const SERVICES: [&str; 3] = ["qido/", "wado/", "stow/"];
/// The resources of DICOM PS3.18 that are passed on.
const RESOURCES: [&str; 3] = ["studies", "series", "instances"];
/// Requests that are passed on at once; each keeps a thread busy while its answer is read.
const MAX_REQUESTS: usize = 64;

static REQUESTS: Semaphore = Semaphore::const_new(MAX_REQUESTS);

/// Kinds of answers, beside pictures, that a browser does not run.
const MEDIA_TYPES: [&str; 5] = [
    "application/json",
    "application/dicom",
    "application/dicom+json",
    "application/dicom+xml",
    "multipart/related",
];

/// All routes; they have no place in the `OpenAPI` document of the server's own REST.
pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .route("/proxy/dicom/{*path}", get(retrieve).post(store))
        // Studies are stored up to the limit of uploads.
        .layer(DefaultBodyLimit::disable())
}

/// QIDO-RS and WADO-RS.
async fn retrieve(State(app): State<App>, request: Request) -> ApiResult<Response> {
    let (archive, path) = (archive(&app)?, target(&request)?);
    let accept = request.headers().get(header::ACCEPT).cloned();
    pass_on(archive, move |archive| {
        let request = archive.agent.get(archive.url(&path));
        let request = accept.iter().fold(request, |request, accept| request.header(header::ACCEPT, accept));
        with_credentials(request).call()
    })
    .await
}

/// STOW-RS.
async fn store(State(app): State<App>, request: Request) -> ApiResult<Response> {
    let (archive, path) = (archive(&app)?, target(&request)?);
    let resource = path.split(['/', '?']).next();
    if resource != Some("studies") || path.split('/').count() > 2 {
        return Err(ApiError::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "objects are stored at studies or studies/UID",
        ));
    }
    let kept = [header::ACCEPT, header::CONTENT_TYPE, header::CONTENT_LENGTH];
    let kept = kept.into_iter().filter_map(|name| Some((name.clone(), request.headers().get(name)?.clone())));
    let headers: HeaderMap = kept.collect();
    let pieces = request.into_body().into_data_stream().map_err(io::Error::other);
    pass_on(archive, move |archive| {
        let mut reader = SyncIoBridge::new(StreamReader::new(Box::pin(pieces)));
        let request = archive.agent.post(archive.url(&path));
        let request = headers.iter().fold(request, |request, (name, value)| request.header(name, value));
        with_credentials(request).send(SendBody::from_reader(&mut reader))
    })
    .await
}

/// Answers as the archive does, while it does.
async fn pass_on(
    archive: Archive,
    ask: impl FnOnce(&Archive) -> std::result::Result<ureq::http::Response<ureq::Body>, ureq::Error>
    + Send
    + 'static,
) -> ApiResult<Response> {
    let permit = REQUESTS.acquire().await;
    let max_bytes = archive.max_bytes;
    let answer = spawn_blocking(move || -> Result<_> {
        let answer = ask(&archive).map_err(|error| archive.refused(error))?;
        match answer.status() {
            // What the server may not do is no fault of the viewer, and other places are not followed.
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
                Err(archive.refused(format!("status {}; see BIPVL_DICOMWEB_TOKEN", answer.status())))
            }
            status if status.is_redirection() => Err(archive.refused(format!("status {status}"))),
            _ => {
                match answer.body().content_length() {
                    Some(bytes) if bytes > max_bytes => Err(archive
                        .refused(format!("an answer of {bytes} bytes; at most {max_bytes} are passed on"))),
                    _ => Ok(answer),
                }
            }
        }
    })
    .await??;
    let status = answer.status();
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, media_type(answer.headers()));
    if let Some(length) = answer.headers().get(header::CONTENT_LENGTH) {
        headers.insert(header::CONTENT_LENGTH, length.clone());
    }
    let pieces = body::stream(answer.into_body(), max_bytes).map(move |piece| {
        let _ = &permit;
        piece
    });
    Ok((status, headers, Body::from_stream(pieces)).into_response())
}

/// What the archive says, unless a browser might run it.
fn media_type(headers: &HeaderMap) -> HeaderValue {
    let value = headers.get(header::CONTENT_TYPE);
    let parsed = value.and_then(|value| value.to_str().ok()?.parse::<Mime>().ok());
    let is_harmless = parsed.is_some_and(|media_type| {
        let is_picture = media_type.type_() == mime::IMAGE && media_type.subtype() != mime::SVG;
        is_picture || MEDIA_TYPES.contains(&media_type.essence_str())
    });
    let unknown = HeaderValue::from_static("application/octet-stream");
    value.filter(|_| is_harmless).cloned().unwrap_or(unknown)
}

fn archive(app: &App) -> ApiResult<Archive> {
    app.archive.clone().ok_or_else(|| ApiError::not_found("the server has no archive; see --dicomweb"))
}

/// The path and query below the root of the archive.
fn target(request: &Request) -> ApiResult<String> {
    let path = request.uri().path().strip_prefix(ROOT).unwrap_or_default();
    let path = SERVICES.iter().find_map(|service| path.strip_prefix(service)).unwrap_or(path);
    let mut parts = path.split('/');
    let is_resource = parts.next().is_some_and(|first| RESOURCES.contains(&first));
    if !is_resource || !parts.all(is_plain) {
        let detail = format!("`{path}` is not passed on to the archive; studies, series and instances are");
        return Err(ApiError::not_found(detail));
    }
    let query = request.uri().query().map_or_else(String::new, |query| format!("?{query}"));
    Ok(format!("{path}{query}"))
}

/// Whether a part of a path is a UID, a name or a list of frames, and no way out of the root.
fn is_plain(part: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.,".contains(&byte);
    !part.is_empty() && !part.bytes().all(|byte| byte == b'.') && part.bytes().all(is_allowed)
}

/// The part of a path that an audit notes: a viewer asks for each slice, and its series is enough.
pub(crate) fn subject(method: &Method, path: &str) -> Option<String> {
    let path = path.strip_prefix(ROOT).filter(|_| *method != Method::POST)?;
    let path = SERVICES.iter().find_map(|service| path.strip_prefix(service)).unwrap_or(path);
    let mut parts = path.split('/');
    let of_series: Vec<&str> = parts.by_ref().take(4).collect();
    let is_series = of_series.len() == 4 && of_series[2] == "series";
    is_series.then(|| format!("{ROOT}{}", of_series.join("/")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target_of(uri: &str) -> Option<String> {
        target(&Request::builder().uri(uri).body(Body::empty()).unwrap()).ok()
    }

    #[test]
    fn only_studies_series_and_instances_are_passed_on() {
        for (uri, expected) in [
            ("/proxy/dicom/studies?PatientName=a%2A", "studies?PatientName=a%2A"),
            ("/proxy/dicom/qido/studies/1.2/series", "studies/1.2/series"),
            (
                "/proxy/dicom/wado/studies/1.2/series/1.3/instances/1.4/frames/1,2",
                "studies/1.2/series/1.3/instances/1.4/frames/1,2",
            ),
            ("/proxy/dicom/stow/studies", "studies"),
        ] {
            assert_eq!(target_of(uri).as_deref(), Some(expected));
        }
        for uri in [
            "/proxy/dicom/servers/other/stow",
            "/proxy/dicom/wado",
            "/proxy/dicom/studies/../system",
            "/proxy/dicom/studies/%2e%2e/system",
            "/proxy/dicom/studies//1.2",
            "/proxy/dicom/studies/1.2/",
            "/proxy/dicom/studies/...",
            "/proxy/dicom/../system",
            "/proxy/dicom/wado/wado/studies",
            "/proxy/dicom/studies/a:80@b",
        ] {
            assert_eq!(target_of(uri), None, "{uri}");
        }
    }

    #[test]
    fn what_a_browser_would_run_is_a_file() {
        let of = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(text));
            media_type(&headers)
        };
        let related = "multipart/related; type=\"application/dicom\"; boundary=b";
        assert_eq!(of(related), related);
        assert_eq!(of("image/jpeg"), "image/jpeg");
        for text in ["text/html", "image/svg+xml", "text/javascript", "nonsense"] {
            assert_eq!(of(text), "application/octet-stream");
        }
    }

    #[test]
    fn all_slices_of_a_series_are_one_subject() {
        let path = "/proxy/dicom/wado/studies/1.2/series/1.3/instances/1.4/frames/1";
        assert_eq!(subject(&Method::GET, path).as_deref(), Some("/proxy/dicom/studies/1.2/series/1.3"));
        assert_eq!(subject(&Method::GET, "/proxy/dicom/studies"), None);
        assert_eq!(subject(&Method::POST, path), None);
    }
}
