//! Descriptions by a language model behind an HTTP endpoint with the `OpenAI` chat protocol.

mod prompt;

use std::{fmt, ops::ControlFlow, thread::sleep, time::Duration};

use bipvl_data::{Dataset, Modality};
use bipvl_text::Description;
use serde_json::{Value, json};
use ureq::{
    Agent,
    http::{Uri, header::RETRY_AFTER},
    tls::{RootCerts, TlsConfig},
};

use crate::{Error, GeneratedDescription, Result, Source};

const PATH: &str = "/chat/completions";
/// Attempts per class.
const ATTEMPTS: u32 = 3;
/// Delay before the second attempt; doubles before each further one.
const RETRY_DELAY: Duration = Duration::from_secs(2);
/// The longest `Retry-After` that is waited for.
const MAX_RETRY_AFTER: Duration = Duration::from_mins(1);
/// Size limit of a response body.
const MAX_BYTES: u64 = 1 << 20;
/// Letters of a response that errors quote.
const MAX_EXCERPT: usize = 300;

/// Why an endpoint gives no description.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EndpointError {
    /// The URL is not of the form `http://host:port/path`.
    #[error("invalid endpoint URL `{url}`: {reason}, expected a URL like http://localhost:8080/v1")]
    InvalidUrl {
        /// The URL.
        url: String,
        /// What is wrong.
        reason: String,
    },
    /// The API key cannot be part of a header. The key is not shown.
    #[error("the API key contains blanks or characters beyond ASCII")]
    InvalidKey,
    /// No response within the timeout.
    #[error("{url}: no response within {} s", timeout.as_secs_f64())]
    Timeout {
        /// The endpoint.
        url: String,
        /// The timeout.
        timeout: Duration,
    },
    /// The response is larger than the limit.
    #[error("{url}: the response is larger than {limit} bytes")]
    ResponseTooLarge {
        /// The endpoint.
        url: String,
        /// The limit in bytes.
        limit: u64,
    },
    /// The server cannot be reached or breaks the connection.
    #[error("{url}: {reason}")]
    Connection {
        /// The endpoint.
        url: String,
        /// The error of the client.
        reason: String,
    },
    /// The server responds with 401 or 403.
    #[error("{url}: access denied with status {status}, {}: {body}", if *has_key { "the key was rejected" } else { "no API key was sent" })]
    AccessDenied {
        /// The endpoint.
        url: String,
        /// The HTTP status.
        status: u16,
        /// Whether a key was sent.
        has_key: bool,
        /// Start of the response.
        body: String,
    },
    /// The server responds with another status than 200.
    #[error("{url}: status {status}: {body}")]
    Status {
        /// The endpoint.
        url: String,
        /// The HTTP status.
        status: u16,
        /// Start of the response.
        body: String,
    },
    /// The response is not that of the chat protocol.
    #[error("{url}: the response has no choices[0].message.content: {body}")]
    Protocol {
        /// The endpoint.
        url: String,
        /// Start of the response.
        body: String,
    },
    /// The model's answer is no usable description.
    #[error("{model}: unusable answer: {reason}")]
    UnusableAnswer {
        /// The model.
        model: String,
        /// What is wrong, as reported to the model.
        reason: String,
    },
}

/// What a request states about a data set.
#[derive(Clone, Debug)]
pub struct DatasetContext<'a> {
    /// Name of the data set.
    pub name: &'a str,
    /// Imaging modality.
    pub modality: Modality,
    /// Names of the channels.
    pub channels: &'a [String],
    /// All classes.
    pub classes: Vec<String>,
}

impl<'a> From<&'a Dataset> for DatasetContext<'a> {
    fn from(dataset: &'a Dataset) -> Self {
        let Dataset { name, modality, channels, label_schema, .. } = dataset;
        Self { name, modality: *modality, channels, classes: label_schema.names() }
    }
}

/// Settings of an [`Endpoint`].
#[derive(Clone)]
pub struct EndpointConfig {
    /// Base URL of the API, such as `http://localhost:11434/v1`.
    pub url: String,
    /// Name of the model.
    pub model: String,
    /// API key, sent as a bearer token.
    pub key: Option<String>,
    /// Timeout of a request, from name resolution to the end of the response.
    pub timeout: Duration,
}

/// A language model behind an HTTP endpoint. Proxies are taken from the environment (`HTTPS_PROXY`, `NO_PROXY`, …),
/// trusted certificates from the system.
pub struct Endpoint {
    url: String,
    config: EndpointConfig,
    retry_delay: Duration,
    agent: Agent,
}

/// What follows a failed attempt.
enum Retry {
    /// Another attempt, after the server's delay if it states one.
    After(EndpointError, Option<Duration>),
    /// Another attempt at once, with the reason in the dialog.
    Correct(EndpointError),
    Never(EndpointError),
}

impl Endpoint {
    /// Connects lazily: no request is sent before [`Endpoint::describe`].
    ///
    /// # Errors
    ///
    /// [`EndpointError::InvalidUrl`] or [`EndpointError::InvalidKey`].
    pub fn new(config: EndpointConfig) -> std::result::Result<Self, EndpointError> {
        if config.key.as_ref().is_some_and(|key| !key.chars().all(|letter| letter.is_ascii_graphic())) {
            return Err(EndpointError::InvalidKey);
        }
        let tls = TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build();
        let agent = Agent::config_builder()
            .timeout_global(Some(config.timeout))
            .tls_config(tls)
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .max_idle_connections(0)
            .user_agent("bipvl")
            .build()
            .new_agent();
        Ok(Self { url: chat_url(&config.url)?, config, retry_delay: RETRY_DELAY, agent })
    }

    /// The name of the model.
    pub fn model(&self) -> &str {
        &self.config.model
    }

    /// Requests a description of a class with the concepts of the paper. An answer that the linter rejects
    /// is sent back with the reason.
    ///
    /// # Errors
    ///
    /// [`Error::Endpoint`] after a final failure or three attempts.
    pub fn describe(&self, class: &str, dataset: &DatasetContext) -> Result<Description> {
        let mut messages = prompt::messages(class, dataset);
        let mut delay = self.retry_delay;
        let mut attempt = 1;
        loop {
            let (reason, wait) = match self.attempt(class, dataset.modality, &mut messages) {
                Ok(description) => return Ok(description),
                Err(Retry::Never(reason)) => {
                    return Err(Error::Endpoint { class: class.to_owned(), attempts: attempt, reason });
                }
                Err(Retry::Correct(reason)) => (reason, Duration::ZERO),
                Err(Retry::After(reason, wait)) => (reason, wait.unwrap_or(delay)),
            };
            if attempt == ATTEMPTS {
                return Err(Error::Endpoint { class: class.to_owned(), attempts: attempt, reason });
            }
            tracing::warn!("{class}: attempt {attempt} of {ATTEMPTS}: {reason}");
            sleep(wait);
            delay *= 2;
            attempt += 1;
        }
    }

    /// Describes all classes of a data set. `on_class` is called before each one and can cancel.
    ///
    /// # Errors
    ///
    /// As [`Self::describe`], and [`Error::Cancelled`].
    pub fn describe_all(
        &self,
        dataset: &Dataset,
        mut on_class: impl FnMut(&str) -> ControlFlow<()>,
    ) -> Result<Vec<GeneratedDescription>> {
        let context = DatasetContext::from(dataset);
        let describe = |class: &String| {
            if on_class(class).is_break() {
                return Err(Error::Cancelled);
            }
            let description = self.describe(class, &context)?;
            Ok(GeneratedDescription::new(description, Source::Model(self.config.model.clone())))
        };
        context.classes.iter().map(describe).collect()
    }

    fn attempt(
        &self,
        class: &str,
        modality: Modality,
        messages: &mut Vec<Value>,
    ) -> std::result::Result<Description, Retry> {
        let body = json!({
            "model": self.config.model,
            "messages": messages,
            "response_format": { "type": "json_object" },
        });
        let content = self.post(&body)?;
        prompt::parse_answer(class, modality, &content).map_err(|reason| {
            messages.push(json!({ "role": "assistant", "content": content }));
            messages.push(
                json!({ "role": "user", "content": format!("That does not fit: {reason}. Answer again.") }),
            );
            Retry::Correct(EndpointError::UnusableAnswer { model: self.config.model.clone(), reason })
        })
    }

    /// Sends a request and extracts the message of the model.
    fn post(&self, request: &Value) -> std::result::Result<String, Retry> {
        let mut builder = self.agent.post(&self.url).header("Accept", "application/json");
        if let Some(key) = &self.config.key {
            builder = builder.header("Authorization", format!("Bearer {key}"));
        }
        let response = builder.header("Content-Type", "application/json").send(request.to_string());
        let mut response = response.map_err(|error| self.client_error(error))?;
        let status = response.status().as_u16();
        let retry_after =
            response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        let body = response.body_mut().with_config().limit(MAX_BYTES).lossy_utf8(true).read_to_string();
        let text = body.map_err(|error| self.client_error(error))?;

        let (url, body) = (self.url.clone(), text.chars().take(MAX_EXCERPT).collect());
        match status {
            200 => {
                let answer: Value = serde_json::from_str(&text).unwrap_or_default();
                let content = answer["choices"][0]["message"]["content"].as_str().map(str::to_owned);
                content.ok_or(Retry::Never(EndpointError::Protocol { url, body }))
            }
            408 | 429 | 500..=599 => {
                let error = EndpointError::Status { url, status, body };
                let wait = retry_after.map(Duration::from_secs);
                let is_long = wait.is_some_and(|wait| wait > MAX_RETRY_AFTER);
                Err(if is_long { Retry::Never(error) } else { Retry::After(error, wait) })
            }
            401 | 403 => {
                let has_key = self.config.key.is_some();
                Err(Retry::Never(EndpointError::AccessDenied { url, status, has_key, body }))
            }
            _ => Err(Retry::Never(EndpointError::Status { url, status, body })),
        }
    }

    fn client_error(&self, error: ureq::Error) -> Retry {
        let url = self.url.clone();
        Retry::After(
            match error {
                ureq::Error::Timeout(_) => EndpointError::Timeout { url, timeout: self.config.timeout },
                ureq::Error::BodyExceedsLimit(limit) => EndpointError::ResponseTooLarge { url, limit },
                other => EndpointError::Connection { url, reason: other.to_string() },
            },
            None,
        )
    }
}

/// Without the key.
impl fmt::Debug for EndpointConfig {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        let Self { url, model, key, timeout } = self;
        let key = key.as_ref().map(|_| "…");
        let mut debug = formatter.debug_struct("EndpointConfig");
        debug.field("url", url).field("model", model).field("key", &key).field("timeout", timeout).finish()
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.debug_struct("Endpoint").field("config", &self.config).finish_non_exhaustive()
    }
}

/// The URL of the chat resource below a base URL, unless it is that already.
fn chat_url(base: &str) -> std::result::Result<String, EndpointError> {
    let invalid =
        |reason: &str| EndpointError::InvalidUrl { url: base.to_owned(), reason: reason.to_owned() };
    let uri: Uri = base.parse().map_err(|error: ureq::http::uri::InvalidUri| invalid(&error.to_string()))?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err(invalid("it does not start with http:// or https://"));
    }
    let has_host = uri.host().is_some_and(|host| !host.is_empty());
    if !has_host || base.contains(['@', '?', '#']) {
        return Err(invalid("it has no host, or has a user, query or fragment"));
    }
    let has_port = uri
        .authority()
        .is_some_and(|authority| authority.as_str().rsplit(']').next().unwrap_or_default().contains(':'));
    if has_port && uri.port_u16().is_none() {
        return Err(invalid("its port is not a number up to 65535"));
    }
    let base = base.trim_end_matches('/');
    Ok(if base.ends_with(PATH) { base.to_owned() } else { format!("{base}{PATH}") })
}

#[cfg(test)]
mod tests;
