//! Who may do what: bearer tokens, stored hashed, with roles.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    path::Path,
};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use rand::{Rng, distr::Alphanumeric};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

use crate::{ApiError, Error, Result, app::App, archive::proxy};

/// Letters of a new token: 190 bits.
const TOKEN_LENGTH: usize = 32;

/// What a token allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Look at scans and results.
    Read,
    /// Also upload, segment and save.
    Write,
    /// Also delete scans, and start trainings.
    Admin,
}

/// One line of a file of tokens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct StoredToken {
    name: String,
    role: Role,
    sha256: String,
}

/// The tokens of a server; without a file, everyone may do everything.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tokens(Option<Vec<StoredToken>>);

/// Who sends a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Client {
    pub(crate) name: String,
    pub(crate) role: Role,
}

impl Tokens {
    /// Reads a file of tokens, one JSON object per line.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let invalid = |reason: String| Error::Tokens { path: path.to_owned(), reason };
        let text = fs::read_to_string(path).map_err(|error| invalid(error.to_string()))?;
        let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        let parse = |(number, line): (usize, &str)| {
            serde_json::from_str(line).map_err(|error| invalid(format!("line {}: {error}", number + 1)))
        };
        let tokens: Vec<StoredToken> = lines.map(parse).collect::<Result<_>>()?;
        if tokens.is_empty() {
            return Err(invalid("no token; make one with `bipvl serve --new-token NAME`".to_owned()));
        }
        Ok(Self(Some(tokens)))
    }

    pub(crate) fn is_required(&self) -> bool {
        self.0.is_some()
    }

    /// Whose token it is.
    pub(crate) fn client(&self, token: Option<&str>) -> Option<Client> {
        let Some(tokens) = &self.0 else {
            return Some(Client { name: "anyone".to_owned(), role: Role::Admin });
        };
        let hash = hash(token?);
        let found = tokens.iter().find(|stored| stored.sha256 == hash)?;
        Some(Client { name: found.name.clone(), role: found.role })
    }
}

/// Adds a token to a file, readable by its owner alone, and returns it: it is stored nowhere else.
///
/// # Errors
///
/// When the name is empty, or the file cannot be read or written.
pub fn add_token(path: &Path, name: &str, role: Role) -> Result<String> {
    if name.trim().is_empty() {
        return Err(Error::Tokens { path: path.to_owned(), reason: "a token needs a name".to_owned() });
    }
    if path.exists() {
        Tokens::read(path)?;
    }
    let token: String = rand::rng().sample_iter(Alphanumeric).take(TOKEN_LENGTH).map(char::from).collect();
    let stored = StoredToken { name: name.to_owned(), role, sha256: hash(&token) };
    let line = serde_json::to_string(&stored).expect("a token becomes JSON");
    // One write at the end of the file, so that several programs may add tokens at once.
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written = options.open(path).and_then(|mut file| file.write_all(format!("{line}\n").as_bytes()));
    written.map_err(|reason| bipvl_io::FileError::new(path, reason))?;
    Ok(token)
}

fn hash(token: &str) -> String {
    format!("{:x}", Sha256::digest(token))
}

/// The token of a request.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// What a request made, for the audit: its path does not name it.
#[derive(Clone, Debug)]
pub(crate) struct Made(pub(crate) String);

/// Answers 401 or 403, or passes the request on with its [`Client`], and notes what it changes.
pub(crate) async fn authorize(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let Some(client) = app.tokens.client(bearer(request.headers())) else {
        let error = ApiError::new(StatusCode::UNAUTHORIZED, "send `Authorization: Bearer TOKEN`");
        return ([(header::WWW_AUTHENTICATE, "Bearer")], error).into_response();
    };
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let mut subject = request.uri().path_and_query().map_or_else(String::new, ToString::to_string);
    let needed = needed_role(&method, &path);
    if client.role < needed {
        let detail = format!("token `{}` has the role {:?}; this needs {needed:?}", client.name, client.role);
        return ApiError::new(StatusCode::FORBIDDEN, detail.to_lowercase()).into_response();
    }
    let who = client.name.clone();
    request.extensions_mut().insert(client);
    let response = next.run(request).await;
    if let Some(Made(what)) = response.extensions().get() {
        subject = format!("{subject} {what}");
    }
    let is_noted = match proxy::subject(&method, &path) {
        Some(series) => {
            subject = series;
            app.viewed.is_new(&who, &subject)
        }
        None => needed > Role::Read || shows_scan(&path),
    };
    if is_noted {
        let noted = app.engine.queue.audit(&who, method.as_str(), &subject, response.status().as_u16()).await;
        if let Err(error) = noted {
            tracing::error!("audit: {error}");
        }
    }
    response
}

/// Who looked at which scan matters as much as who changed it; lists and states are asked for all the time.
fn shows_scan(path: &str) -> bool {
    let of_one = path.strip_prefix("/api/scans/").is_some_and(|rest| rest.contains('/'));
    of_one
        || path.starts_with("/api/archive/")
        || path.starts_with("/proxy/")
        || path.contains("/result.")
        || path.starts_with("/datastore/image")
        || path.starts_with("/datastore/label")
}

fn needed_role(method: &Method, path: &str) -> Role {
    let is_safe = *method == Method::GET || *method == Method::HEAD;
    let is_scan = path.starts_with("/api/scans") || path.starts_with("/datastore");
    match () {
        () if is_safe || path.starts_with("/activelearning") => Role::Read,
        () if path.starts_with("/train") || (*method == Method::DELETE && is_scan) => Role::Admin,
        () => Role::Write,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_stored_as_its_hash_and_has_a_role() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens");
        let reader = add_token(&path, "viewer", Role::Read).unwrap();
        let writer = add_token(&path, "clinic", Role::Write).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert!(!text.contains(&reader) && !text.contains(&writer));
        let tokens = Tokens::read(&path).unwrap();
        assert_eq!(tokens.client(Some(&reader)).unwrap().role, Role::Read);
        assert_eq!(
            tokens.client(Some(&writer)).unwrap(),
            Client { name: "clinic".to_owned(), role: Role::Write }
        );
        assert!(tokens.client(Some("guess")).is_none() && tokens.client(None).is_none());
    }

    #[test]
    fn what_changes_something_needs_a_higher_role() {
        assert_eq!(needed_role(&Method::GET, "/api/jobs"), Role::Read);
        assert_eq!(needed_role(&Method::POST, "/activelearning/random"), Role::Read);
        assert_eq!(needed_role(&Method::POST, "/api/jobs"), Role::Write);
        assert_eq!(needed_role(&Method::DELETE, "/api/jobs/1"), Role::Write);
        assert_eq!(needed_role(&Method::DELETE, "/api/scans/1"), Role::Admin);
        assert_eq!(needed_role(&Method::POST, "/train/demo"), Role::Admin);
    }
}
