//! One request over HTTP/1.1, plain or encrypted: a JSON text there, a text back.
//!
//! No client crate: each looked at switches on features of crates that Burn is built on, or brings a large library in
//! C. What is left of HTTP for one question is short.

use std::{
    fmt::{self, Display, Formatter},
    io::{self, ErrorKind, Read, Write},
    net::{TcpStream, ToSocketAddrs},
    str::FromStr,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, pki_types::ServerName};

/// Of an answer with its headers.
const MAX_BYTES: usize = 1 << 20;
const MAX_HEADERS: usize = 100;
const BUFFER_BYTES: usize = 16 * 1024;

/// Where to ask: `http://host:port/path` or `https://…`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Url {
    is_encrypted: bool,
    /// Without the brackets of IPv6.
    host: String,
    port: u16,
    path: String,
}

impl FromStr for Url {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
        let is_encrypted = match scheme {
            "https" => true,
            "http" => false,
            _ => bail!("expected an address that begins with http:// or https://, found \"{text}\""),
        };
        let (authority, path) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
        let colon = authority.rfind(':').filter(|colon| !authority[*colon..].contains(']'));
        let (host, port) =
            colon.map_or((authority, None), |colon| (&authority[..colon], Some(&authority[colon + 1..])));
        let port = match port {
            Some(port) => {
                port.parse().with_context(|| format!("expected a port in \"{text}\", found \"{port}\""))?
            }
            None if is_encrypted => 443,
            None => 80,
        };
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let is_clean = |part: &str| part.chars().all(|letter| letter.is_ascii_graphic());
        if host.is_empty() || host.contains(['@', '?', '#']) || !is_clean(&host) || !is_clean(path) {
            bail!("expected an address like http://localhost:8080/v1, found \"{text}\"");
        }
        Ok(Self { is_encrypted, host, port, path: path.to_owned() })
    }
}

impl Display for Url {
    fn fmt(&self, formatter: &mut Formatter) -> fmt::Result {
        let scheme = if self.is_encrypted { "https" } else { "http" };
        write!(formatter, "{scheme}://{}{}", self.authority(), self.path)
    }
}

impl Url {
    /// The address below this one, unless it is this one already.
    pub(super) fn below(&self, path: &str) -> Self {
        let own = self.path.trim_end_matches('/');
        let path = if own.ends_with(path) { own.to_owned() } else { format!("{own}{path}") };
        Self { path, ..self.clone() }
    }

    fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        format!("{host}:{}", self.port)
    }
}

/// What a server said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reply {
    pub(super) status: u16,
    /// How long it asks to be left alone.
    pub(super) retry_after: Option<Duration>,
    pub(super) body: String,
}

/// Sends a JSON text, with a key if there is one, and waits for the whole answer.
///
/// # Errors
///
/// When the server cannot be reached or does not speak HTTP, and when it takes longer than `timeout` in all.
pub(super) fn post(url: &Url, key: Option<&str>, json: &str, timeout: Duration) -> Result<Reply> {
    let deadline = Instant::now() + timeout;
    let reply = exchange(url, key, json, deadline);
    reply.with_context(|| {
        let late = if Instant::now() >= deadline {
            format!(" within {} s", timeout.as_secs_f64())
        } else {
            String::new()
        };
        format!("{url}: expected an answer{late}")
    })
}

fn exchange(url: &Url, key: Option<&str>, json: &str, deadline: Instant) -> Result<Reply> {
    let request = request(url, key, json)?;
    let stream = connect(url, deadline)?;
    if !url.is_encrypted {
        return talk(stream, &request);
    }
    let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let name = ServerName::try_from(url.host.clone())?;
    talk(StreamOwned::new(ClientConnection::new(Arc::new(config), name)?, stream), &request)
}

fn request(url: &Url, key: Option<&str>, json: &str) -> Result<String> {
    let path = if url.path.is_empty() { "/" } else { &url.path };
    let mut head = format!("POST {path} HTTP/1.1\r\nHost: {}\r\nUser-Agent: bipvl\r\n", url.authority());
    head += "Accept: application/json\r\nContent-Type: application/json\r\nConnection: close\r\n";
    let authorization = key.map_or_else(String::new, |key| format!("Authorization: Bearer {key}\r\n"));
    if key.is_some_and(|key| !key.chars().all(|letter| letter.is_ascii_graphic())) {
        bail!("expected a key of letters, digits and signs without spaces");
    }
    Ok(format!("{head}{authorization}Content-Length: {}\r\n\r\n{json}", json.len()))
}

fn connect(url: &Url, deadline: Instant) -> Result<Timed> {
    let mut last = None;
    for address in (url.host.as_str(), url.port).to_socket_addrs().context("no such server")? {
        match TcpStream::connect_timeout(&address, left(deadline)?) {
            Ok(stream) => return Ok(Timed { stream, deadline }),
            Err(error) => last = Some(error),
        }
    }
    Err(last.map_or_else(|| anyhow::anyhow!("the name has no address"), anyhow::Error::from))
}

/// A stream that ends at a moment, however slowly it drips.
struct Timed {
    stream: TcpStream,
    deadline: Instant,
}

fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(ErrorKind::TimedOut.into()) } else { Ok(left) }
}

/// A timeout of the socket is told as "resource temporarily unavailable" on some systems.
fn in_words(error: io::Error) -> io::Error {
    if error.kind() == ErrorKind::WouldBlock { ErrorKind::TimedOut.into() } else { error }
}

impl Read for Timed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(left(self.deadline)?))?;
        self.stream.read(buffer).map_err(in_words)
    }
}

impl Write for Timed {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(Some(left(self.deadline)?))?;
        self.stream.write(buffer).map_err(in_words)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

fn talk(mut stream: impl Read + Write, request: &str) -> Result<Reply> {
    stream.write_all(request.as_bytes())?;
    stream.flush()?;
    let mut bytes = Vec::new();
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let count = match stream.read(&mut buffer) {
            // Servers that end an encrypted stream without a word have said all they wanted.
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => 0,
            other => other?,
        };
        bytes.extend_from_slice(&buffer[..count]);
        if bytes.len() > MAX_BYTES {
            bail!("the answer is longer than {MAX_BYTES} bytes");
        }
        if let Some(reply) = parse(&bytes, count == 0)? {
            return Ok(reply);
        }
        if count == 0 {
            bail!("the answer broke off after {} bytes", bytes.len());
        }
    }
}

/// The answer, once it is complete.
fn parse(bytes: &[u8], is_all: bool) -> Result<Option<Reply>> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(start) = response.parse(bytes).context("the answer is not HTTP")? else {
        return Ok(None);
    };
    let header = |name: &str| {
        let header = response.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
        header.and_then(|header| std::str::from_utf8(header.value).ok()).map(str::trim)
    };
    let rest = &bytes[start..];
    let body = if header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
        unchunked(rest)?
    } else if let Some(length) = header("content-length") {
        let length: usize = length.parse().context("the length of the answer is no number")?;
        rest.get(..length).map(<[u8]>::to_vec)
    } else {
        is_all.then(|| rest.to_vec())
    };
    let retry_after = header("retry-after").and_then(|value| value.parse().ok()).map(Duration::from_secs);
    let status = response.code.unwrap_or_default();
    Ok(body.map(|body| Reply { status, retry_after, body: String::from_utf8_lossy(&body).into_owned() }))
}

/// A body that comes in chunks, each behind its length; none while one is missing.
fn unchunked(mut rest: &[u8]) -> Result<Option<Vec<u8>>> {
    let mut body = Vec::new();
    loop {
        let size = httparse::parse_chunk_size(rest);
        let size = size.map_err(|_| anyhow::anyhow!("a chunk of the answer has no length"))?;
        let httparse::Status::Complete((start, length)) = size else { return Ok(None) };
        if length == 0 {
            return Ok(Some(body));
        }
        let end = usize::try_from(length).ok().and_then(|length| start.checked_add(length));
        let Some((end, chunk)) = end.and_then(|end| Some((end, rest.get(start..end)?))) else {
            return Ok(None);
        };
        body.extend_from_slice(chunk);
        let Some(next) = rest.get(end + 2..) else { return Ok(None) };
        rest = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_apart_and_put_together() {
        for (text, whole) in [
            ("http://localhost:11434/v1", "http://localhost:11434/v1/chat/completions"),
            ("https://api.example.org/v1/", "https://api.example.org:443/v1/chat/completions"),
            ("http://[::1]:80", "http://[::1]:80/chat/completions"),
            ("http://box/v1/chat/completions", "http://box:80/v1/chat/completions"),
        ] {
            assert_eq!(text.parse::<Url>().unwrap().below("/chat/completions").to_string(), whole);
        }
        for text in
            ["localhost:80", "ftp://box", "http://", "http://a:key@box/", "http://box:no", "http://bo x"]
        {
            assert!(text.parse::<Url>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_body_ends_by_length_by_chunks_or_with_the_stream() {
        let body = |text: &str, is_all| parse(text.as_bytes(), is_all).unwrap().map(|reply| reply.body);
        let by_length = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabcd";
        assert_eq!(body(by_length, false).unwrap(), "abcd");
        assert_eq!(body(&by_length[..by_length.len() - 1], true), None);
        let chunked =
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\na\r\n0123456789\r\n0\r\n\r\n";
        assert_eq!(body(chunked, false).unwrap(), "abc0123456789");
        for end in 0..chunked.len() - 4 {
            assert_eq!(body(&chunked[..end], true), None, "{end}");
        }
        let open = "HTTP/1.1 200 OK\r\n\r\nall";
        assert_eq!((body(open, false), body(open, true).unwrap().as_str()), (None, "all"));
    }
}
