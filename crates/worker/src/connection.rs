//! The connection to NATS: found again for as long as it takes.

use std::time::Duration;

use async_nats::{Client, ConnectOptions, Event, ServerAddr};
use tokio::sync::watch;

use crate::{Error, Result};

/// A link that is cut in silence is noticed after three of them.
const PING: Duration = Duration::from_secs(5);
/// How long an answer may take.
pub(crate) const ANSWER: Duration = Duration::from_secs(5);
/// The longest pause between two attempts to find the server again.
const MAX_PAUSE: Duration = Duration::from_secs(2);

/// Which queue, on which server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueOptions {
    /// `nats://HOST:PORT` or `tls://HOST:PORT`, with `USER:PASSWORD@` or `TOKEN@` where the server wants them; several
    /// servers of a cluster are separated by commas.
    pub url: String,
    /// A token that is not in the URL.
    pub token: Option<String>,
    /// The name of the queue.
    pub name: String,
    /// Studies that the queue holds, waiting and running; `None` for what it has, or 100 000 for a new one.
    pub max_studies: Option<u64>,
    /// What the server calls this client.
    pub client: String,
}

/// What happened to a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LinkState {
    /// Whether the server can be reached now.
    pub(crate) is_connected: bool,
    /// How often it was found, the first time included.
    pub(crate) connections: u64,
}

/// Connects, and tells of each loss and return.
pub(crate) async fn connect(options: &QueueOptions) -> Result<(Client, watch::Receiver<LinkState>)> {
    let addresses = addresses(&options.url)?;
    let (sender, link) = watch::channel(LinkState::default());
    let mut connect = ConnectOptions::new()
        .name(&options.client)
        .ping_interval(PING)
        .request_timeout(Some(ANSWER))
        .reconnect_delay_callback(pause)
        .event_callback(move |event| {
            tell(&sender, &event);
            std::future::ready(())
        });
    let first = &addresses[0];
    let in_url = (first.username(), first.password());
    connect = match (in_url, &options.token) {
        ((Some(user), Some(password)), _) => connect.user_and_password(user.to_owned(), password.to_owned()),
        ((Some(token), None), _) => connect.token(token.to_owned()),
        (_, Some(token)) => connect.token(token.clone()),
        _ => connect,
    };
    let failed = |reason: async_nats::ConnectError| Error::Connect {
        url: without_password(&options.url),
        reason: with_causes(&reason),
    };
    Ok((connect.connect(addresses).await.map_err(failed)?, link))
}

fn addresses(urls: &str) -> Result<Vec<ServerAddr>> {
    let parse = |url: &str| {
        url.trim()
            .parse::<ServerAddr>()
            .map_err(|reason| Error::Address { url: without_password(url), reason: reason.to_string() })
    };
    urls.split(',').map(parse).collect()
}

fn tell(link: &watch::Sender<LinkState>, event: &Event) {
    match event {
        Event::Connected => link.send_modify(|state| {
            if state.connections > 0 {
                tracing::info!("NATS can be reached again");
            }
            *state = LinkState { is_connected: true, connections: state.connections + 1 };
        }),
        Event::Disconnected => {
            tracing::warn!("NATS cannot be reached; trying on");
            link.send_modify(|state| state.is_connected = false);
        }
        other => tracing::debug!("NATS: {other}"),
    }
}

/// From a tenth of a second, doubled with each attempt.
fn pause(attempts: usize) -> Duration {
    let doublings = attempts.saturating_sub(1).min(10) as u32;
    (Duration::from_millis(100) * 2_u32.pow(doublings)).min(MAX_PAUSE)
}

/// The URLs, with nothing secret.
fn without_password(urls: &str) -> String {
    let public = |url: &str| match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://{host}"),
        (None, Some((_, host))) => host.to_owned(),
        _ => url.to_owned(),
    };
    urls.split(',').map(public).collect::<Vec<_>>().join(",")
}

/// An error with what caused it, each said once.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_not_shown() {
        assert_eq!(without_password("nats://me:secret@host:4222"), "nats://host:4222");
        assert_eq!(without_password("secret@host,nats://host"), "host,nats://host");
        let error = addresses("nats://me:secret@host:port").unwrap_err().to_string();
        assert!(
            error.starts_with("nats://host:port: not the address") && !error.contains("secret"),
            "{error}"
        );
    }

    #[test]
    fn pauses_grow_to_two_seconds() {
        let pauses: Vec<u128> = [0, 1, 2, 3, 6, 1000].map(|attempts| pause(attempts).as_millis()).into();
        assert_eq!(pauses, [100, 100, 200, 400, 2000, 2000]);
    }

    #[test]
    fn several_servers_are_separated_by_commas() {
        let servers = addresses("nats://a:1,b").unwrap();
        assert_eq!((servers[0].host(), servers[0].port()), ("a", 1));
        assert_eq!((servers[1].host(), servers[1].port()), ("b", 4222));
    }
}
