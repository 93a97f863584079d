//! Answers Prometheus, and whoever watches over processes.

use std::net::SocketAddr;

use axum::{Router, http::StatusCode, routing::get};
use tokio::{net::TcpListener, runtime::Runtime, sync::watch};

use crate::{Error, Result, connection::LinkState, metrics::Metrics};

/// What Prometheus expects of a text.
const TEXT: [(&str, &str); 1] =
    [("content-type", "application/openmetrics-text; version=1.0.0; charset=utf-8")];

/// Offers `/metrics`, `/healthz` (the process lives) and `/readyz` (NATS can be reached); says where, as a port of 0 is any.
pub(crate) fn start(
    runtime: &Runtime,
    address: SocketAddr,
    metrics: Metrics,
    link: watch::Receiver<LinkState>,
) -> Result<SocketAddr> {
    let failed = |reason| Error::Listen { address, reason };
    let listener = runtime.block_on(TcpListener::bind(address)).map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let is_ready = link.clone();
    let ready = move || {
        let is_connected = is_ready.borrow().is_connected;
        std::future::ready(if is_connected { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE })
    };
    let text = move || std::future::ready((TEXT, metrics.text(*link.borrow())));
    let router = Router::new()
        .route("/metrics", get(text))
        .route("/healthz", get(|| std::future::ready(StatusCode::OK)))
        .route("/readyz", get(ready));
    runtime.spawn(async move {
        if let Err(reason) = axum::serve(listener, router).await {
            tracing::error!("{address}: no figures any more: {reason}");
        }
    });
    Ok(address)
}
