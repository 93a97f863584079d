//! Which pages may ask: a browser sends requests of any page that a person opens, also to this machine.

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use tower_http::cors::{AllowHeaders, AllowMethods, CorsLayer};

use crate::{ApiError, ServeOptions, app::App};

/// The pages that may ask.
#[derive(Clone, Debug)]
pub(crate) struct Origins {
    allowed: Vec<String>,
    /// Without tokens, only names of this machine are answered to: a page could let its own name point here.
    loopback_only: bool,
}

impl Origins {
    pub(crate) fn new(options: &ServeOptions) -> Self {
        let allowed =
            options.allowed_origins.iter().map(|origin| origin.trim_end_matches('/').to_owned()).collect();
        Self { allowed, loopback_only: options.tokens.is_none() && !options.no_auth }
    }

    /// Lets the allowed pages read answers.
    pub(crate) fn cors(&self) -> CorsLayer {
        let origins = self.allowed.iter().filter_map(|origin| HeaderValue::from_str(origin).ok());
        CorsLayer::new()
            .allow_origin(origins.collect::<Vec<_>>())
            .allow_methods(AllowMethods::mirror_request())
            .allow_headers(AllowHeaders::mirror_request())
    }

    /// Why a request is refused.
    fn refusal(&self, headers: &HeaderMap) -> Option<&'static str> {
        let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        let host = text(header::HOST).unwrap_or_default();
        if self.loopback_only && !is_loopback(host) {
            return Some("without tokens, the server answers to the names of this machine alone");
        }
        let origin = text(header::ORIGIN)?;
        let is_own = origin.split_once("://").is_some_and(|(_, of_page)| of_page == host);
        let is_allowed = is_own || self.allowed.iter().any(|allowed| allowed == origin);
        (!is_allowed).then_some("pages of other origins may not ask; see --allow-origin")
    }
}

/// Whether a `Host` header names this machine.
fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Passes on the requests of allowed pages, and of programs, which send no `Origin`.
pub(crate) async fn check(State(app): State<App>, request: Request, next: Next) -> Response {
    match app.origins.refusal(request.headers()) {
        Some(reason) => ApiError::new(StatusCode::FORBIDDEN, reason).into_response(),
        None => next.run(request).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_this_machine_are_known() {
        for host in ["localhost", "LOCALHOST:8000", "127.0.0.1:80", "127.1.2.3", "[::1]:8000"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in
            ["", "example.org", "localhost.example.org:80", "10.0.0.1", "127.0.0.1.example.org", "[::2]"]
        {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
