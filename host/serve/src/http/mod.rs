//! HTTP/1.1 as far as a page of a clinic needs it: one request a connection, read within limits of bytes and of time.
//!
//! What a request says is parsed by `httparse`. Bodies have a stated length; none is coded, so that no request can be read in
//! two ways.

use std::io::{self, Read, Write};

/// Most bytes of a request before its body.
pub(crate) const MAX_HEAD: usize = 16 * 1024;
/// Longest path with its query, in bytes.
const MAX_TARGET: usize = 2 * 1024;
/// Most lines of a head.
const MAX_HEADERS: usize = 64;

/// Why a request is not answered with what it asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// Nobody is there any more.
    Gone,
    /// It came too slowly.
    Slow,
    /// More bytes or lines than a head may have.
    LargeHead,
    /// It is no request, or one that can be read in two ways.
    Malformed,
    /// Another version of HTTP.
    Version,
    /// A body without a stated length.
    NoLength,
}

impl Wrong {
    /// The status that says so; `None` where nobody would read it.
    pub(crate) fn status(self) -> Option<u16> {
        match self {
            Self::Gone => None,
            Self::Slow => Some(408),
            Self::LargeHead => Some(431),
            Self::Malformed => Some(400),
            Self::Version => Some(505),
            Self::NoLength => Some(411),
        }
    }
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    Get,
    Post,
    Other,
}

/// Names and values of a query or a form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pairs(Vec<(String, String)>);

impl Pairs {
    /// Reads `a=b&c=d`. What is no UTF-8 becomes the sign for that.
    pub(crate) fn read(text: &str) -> Self {
        let pair = |part: &str| {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            (unescaped(name, true), unescaped(value, true))
        };
        Self(text.split('&').filter(|part| !part.is_empty()).map(pair).collect())
    }

    /// The first value of that name; nothing if there is none.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(other, _)| other == name).map_or("", |(_, value)| value)
    }
}

/// Text in which `%41` stands for `A`, and in a form `+` for a space.
fn unescaped(text: &str, form: bool) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        let code = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let code = code.filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        match (byte, code.and_then(|digits| u8::from_str_radix(digits, 16).ok())) {
            (b'%', Some(value)) => {
                bytes.push(value);
                rest = &after[2..];
            }
            (b'+', _) if form => bytes.push(b' '),
            _ => bytes.push(byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The head of a request.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: Method,
    /// The parts of the path between `/`, unescaped after they were parted.
    pub(crate) path: Vec<String>,
    pub(crate) query: Pairs,
    headers: Vec<(String, String)>,
    /// Bytes of the body.
    pub(crate) length: u64,
}

impl Request {
    /// The value of a header, if it is there once.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(other, _)| other == name);
        match (found.next(), found.next()) {
            (Some((_, value)), None) => Some(value),
            _ => None,
        }
    }

    /// The value of a cookie.
    pub(crate) fn cookie(&self, name: &str) -> Option<&str> {
        let pairs =
            self.headers.iter().filter(|(header, _)| header == "cookie").flat_map(|(_, value)| value.split(';'));
        pairs.filter_map(|pair| pair.trim().split_once('=')).find(|(other, _)| *other == name).map(|(_, value)| value)
    }
}

/// Reads the head of a request, and gives the bytes of its body that came with it.
pub(crate) fn read_head(stream: &mut impl Read) -> Result<(Request, Vec<u8>), Wrong> {
    let mut bytes = Vec::new();
    let end = loop {
        let mut block = [0; 4096];
        let read = match stream.read(&mut block) {
            Ok(0) => return Err(if bytes.is_empty() { Wrong::Gone } else { Wrong::Malformed }),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) if error.kind() == io::ErrorKind::TimedOut && !bytes.is_empty() => return Err(Wrong::Slow),
            Err(_) => return Err(Wrong::Gone),
        };
        // The empty line may have begun with the bytes before.
        let from = bytes.len().saturating_sub(3);
        bytes.extend_from_slice(&block[..read]);
        match bytes[from..].windows(4).position(|four| four == b"\r\n\r\n") {
            Some(place) if from + place + 4 <= MAX_HEAD => break from + place + 4,
            None if bytes.len() < MAX_HEAD => {}
            _ => return Err(Wrong::LargeHead),
        }
    };
    let rest = bytes.split_off(end);
    Ok((parsed(&bytes)?, rest))
}

fn parsed(head: &[u8]) -> Result<Request, Wrong> {
    let mut lines = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut lines);
    match request.parse(head) {
        Ok(httparse::Status::Complete(_)) => {}
        Err(httparse::Error::TooManyHeaders) => return Err(Wrong::LargeHead),
        Err(httparse::Error::Version) => return Err(Wrong::Version),
        Ok(httparse::Status::Partial) | Err(_) => return Err(Wrong::Malformed),
    }
    let method = match request.method {
        Some("GET") => Method::Get,
        Some("POST") => Method::Post,
        _ => Method::Other,
    };
    let target = request.path.unwrap_or_default();
    if target.len() > MAX_TARGET {
        return Err(Wrong::LargeHead);
    }
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let path = path.strip_prefix('/').ok_or(Wrong::Malformed)?;
    let path = path.split('/').filter(|part| !part.is_empty()).map(|part| unescaped(part, false)).collect();
    let text = |line: &httparse::Header<'_>| {
        let value = std::str::from_utf8(line.value).map_err(|_| Wrong::Malformed)?;
        Ok((line.name.to_ascii_lowercase(), value.trim().to_owned()))
    };
    let headers = request.headers.iter().map(text).collect::<Result<_, Wrong>>()?;
    let mut this = Request { method, path, query: Pairs::read(query), headers, length: 0 };
    let count = |name: &str| this.headers.iter().filter(|(other, _)| other == name).count();
    // Coded bodies, and two lengths, are how one request is made to look like another one.
    if count("transfer-encoding") > 0 {
        return Err(Wrong::NoLength);
    }
    if count("content-length") > 1 || count("host") != 1 {
        return Err(Wrong::Malformed);
    }
    this.length = match this.header("content-length") {
        Some(digits) if digits.bytes().all(|digit| digit.is_ascii_digit()) => {
            digits.parse().map_err(|_| Wrong::Malformed)?
        }
        Some(_) => return Err(Wrong::Malformed),
        None if method == Method::Post => return Err(Wrong::NoLength),
        None => 0,
    };
    Ok(this)
}

/// A body of a stated length: its end before that is an error.
pub(crate) struct Body<R> {
    stream: R,
    left: u64,
}

impl<R: Read> Body<R> {
    pub(crate) fn new(stream: R, length: u64) -> Self {
        Self { stream, left: length }
    }
}

impl<R: Read> Read for Body<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        if most == 0 {
            return Ok(0);
        }
        let read = self.stream.read(&mut buffer[..most])?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= read as u64;
        Ok(read)
    }
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    kind: &'static str,
    headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
}

/// What every answer says besides: nothing is kept in any cache, nothing is fetched from elsewhere, and nobody else frames it.
/// The referrer stays, for without one browsers do not say from where a form is.
const ALWAYS: &str = "Cache-Control: no-store\r\n\
    Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
    form-action 'self'; base-uri 'none'; frame-ancestors 'none'\r\n\
    X-Content-Type-Options: nosniff\r\n\
    X-Frame-Options: DENY\r\n\
    Referrer-Policy: same-origin\r\n\
    Cross-Origin-Opener-Policy: same-origin\r\n\
    Cross-Origin-Resource-Policy: same-origin\r\n\
    Permissions-Policy: camera=(), microphone=(), geolocation=()\r\n\
    Connection: close\r\n";

impl Response {
    pub(crate) fn new(status: u16, kind: &'static str, body: impl Into<Vec<u8>>) -> Self {
        Self { status, kind, headers: Vec::new(), body: body.into() }
    }

    pub(crate) fn html(status: u16, page: String) -> Self {
        Self::new(status, "text/html; charset=utf-8", page)
    }

    pub(crate) fn json(status: u16, value: &serde_json::Value) -> Self {
        Self::new(status, "application/json", value.to_string())
    }

    /// A few words for whoever sees no page.
    pub(crate) fn words(status: u16, words: &str) -> Self {
        Self::new(status, "text/plain; charset=utf-8", format!("{words}\n"))
    }

    /// Asks the browser to fetch a page of this server.
    pub(crate) fn see(place: String) -> Self {
        Self::new(303, "text/plain; charset=utf-8", Vec::new()).with("Location", place)
    }

    /// With one more header, whose value is of this program's own making.
    pub(crate) fn with(mut self, name: &'static str, value: String) -> Self {
        debug_assert!(!value.contains(['\r', '\n']), "{name}");
        self.headers.push((name, value));
        self
    }

    pub(crate) fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let mut head = format!("HTTP/1.1 {} {}\r\n{ALWAYS}", self.status, reason(self.status));
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        head += &format!("Content-Type: {}\r\nContent-Length: {}\r\n\r\n", self.kind, self.body.len());
        out.write_all(head.as_bytes())?;
        out.write_all(&self.body)?;
        out.flush()
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        303 => "See Other",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        411 => "Length Required",
        413 => "Content Too Large",
        421 => "Misdirected Request",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        507 => "Insufficient Storage",
        _ => "Internal Server Error",
    }
}

#[cfg(test)]
mod tests;
