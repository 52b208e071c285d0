//! Requests as people have them at hand: a curl command's flags, or the bytes as they go over the wire.

use std::io::Read;
use std::path::Path;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST};
use http::{HeaderName, HeaderValue, Method, Request, Uri};

use crate::failure::Failure;

/// Longest request that is read.
const LONGEST: u64 = 16 * 1024 * 1024;
const MOST_HEADERS: usize = 128;
const FORM: &str = "application/x-www-form-urlencoded";

/// A request from a curl command's flags.
pub(super) fn from_flags(
    url: &str,
    method: Option<&str>,
    headers: &[String],
    data: Option<&str>,
) -> Result<Request<Bytes>, Failure> {
    let body = match data.map(|data| data.strip_prefix('@').ok_or(data)) {
        None => Bytes::new(),
        Some(Ok(path)) => bytes_of(Path::new(path))?.into(),
        Some(Err(text)) => Bytes::copy_from_slice(text.as_bytes()),
    };
    let method = method.unwrap_or(if data.is_some() { "POST" } else { "GET" });
    let uri: Uri = url.parse().map_err(|error| Failure::usage(format!("'{url}' is no URL: {error}")))?;
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    let mut lines = Vec::new();
    for header in headers {
        let (name, value) = header
            .split_once(':')
            .ok_or_else(|| Failure::usage(format!("'{header}' is no header; write it as 'Name: value'")))?;
        lines.push((name.trim().to_owned(), value.trim().as_bytes().to_vec()));
    }
    let named =
        |wanted: &HeaderName| lines.iter().any(|(name, _)| name.eq_ignore_ascii_case(wanted.as_str()));
    let host = uri.authority().filter(|_| !named(&HOST)).map(|authority| (HOST, authority.as_str()));
    // What curl says of a body unless it is told.
    let form = (data.is_some() && !named(&CONTENT_TYPE)).then_some((CONTENT_TYPE, FORM));
    let added =
        host.into_iter().chain(form).map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()));
    lines.extend(added.collect::<Vec<_>>());
    build(method, target, lines, body)
}

/// A request as it goes over the wire.
pub(super) fn from_file(path: &Path) -> Result<Request<Bytes>, Failure> {
    read(&bytes_of(path)?, &path.display().to_string())
}

/// Request line, headers, empty line, body. Lines may end without CR, as in a text editor.
pub(super) fn read(bytes: &[u8], name: &str) -> Result<Request<Bytes>, Failure> {
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut head = httparse::Request::new(&mut headers);
    let broken = |why: String| {
        Failure::usage(format!("{name} is no HTTP request: {why}"))
            .hint("it begins like 'POST / HTTP/1.1', then the headers, an empty line and the body")
    };
    let length = match head.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Err(broken("no empty line behind the headers".to_owned())),
        Err(error) => return Err(broken(error.to_string())),
    };
    let lines = head.headers.iter().map(|header| (header.name.to_owned(), header.value.to_vec())).collect();
    let (method, target) = (head.method.unwrap_or_default(), head.path.unwrap_or_default());
    let body = body(&bytes[length..], head.headers);
    build(method, target, lines, Bytes::copy_from_slice(body))
}

/// As long as the request says or, where it says nothing, without the line end that a text editor leaves.
fn body<'a>(rest: &'a [u8], headers: &[httparse::Header<'_>]) -> &'a [u8] {
    let said = headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"));
    let length = said.and_then(|header| std::str::from_utf8(header.value).ok()?.trim().parse().ok());
    match length {
        Some(length) => rest.get(..length).unwrap_or(rest),
        None => rest.strip_suffix(b"\n").unwrap_or(rest),
    }
}

fn build(
    method: &str,
    target: &str,
    headers: Vec<(String, Vec<u8>)>,
    body: Bytes,
) -> Result<Request<Bytes>, Failure> {
    let unfit = |what: &str, text: &str| Failure::usage(format!("'{text}' is no {what}"));
    let mut request = Request::new(body);
    *request.method_mut() = Method::from_bytes(method.as_bytes()).map_err(|_| unfit("method", method))?;
    *request.uri_mut() = target.parse().map_err(|_| unfit("path", target))?;
    for (name, value) in headers {
        let key = HeaderName::from_bytes(name.as_bytes()).map_err(|_| unfit("header name", &name))?;
        let value = HeaderValue::from_bytes(&value).map_err(|_| unfit("header value", &name))?;
        request.headers_mut().append(key, value);
    }
    Ok(request)
}

fn bytes_of(path: &Path) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let read = if path == Path::new("-") {
        std::io::stdin().lock().take(LONGEST).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(LONGEST).read_to_end(&mut bytes))
    };
    read.map_err(|error| Failure::file(format!("cannot read {}", path.display()), &error))?;
    Ok(bytes)
}
