//! Behaviours on the network: what is not granted, headers that are the host's, and a search for the credential.
//!
//! `SOURCE_ASK` holds the URLs to ask, separated by blanks.

use crate::bindings::exports::tidegate::sync::job::{Failure, Report, Request};
use crate::bindings::wasi::cli::environment;
use crate::bindings::wasi::clocks::monotonic_clock;
use crate::bindings::wasi::http::outgoing_handler;
use crate::bindings::wasi::http::types::{
    ErrorCode, Fields, FutureIncomingResponse, IncomingBody, Method, OutgoingRequest, Scheme,
};
use crate::bindings::wasi::io::streams::StreamError;
use crate::staged::{folder, put};
use crate::{Ending, detail, everything, said, setting, spent};

/// Headers that only the host may set.
const RESERVED: [(&str, &[u8]); 22] = [
    ("authorization", b"Bearer forged"),
    ("proxy-authorization", b"Basic Zm9yZ2Vk"),
    ("cookie", b"session=forged"),
    ("host", b"forged.example"),
    ("transfer-encoding", b"chunked"),
    ("content-length", b"7"),
    ("accept-encoding", b"br"),
    ("x-http-method-override", b"FORGED"),
    ("X_HTTP_Method_Override", b"FORGED"),
    ("x-method-override", b"FORGED"),
    ("x-http-method", b"FORGED"),
    ("x-original-url", b"/forged"),
    ("x-rewrite-url", b"/forged"),
    ("x-forwarded-for", b"forged"),
    ("forwarded", b"for=forged"),
    ("via", b"1.1 forged"),
    ("x-real-ip", b"forged"),
    ("metadata-flavor", b"forged"),
    ("metadata", b"forged"),
    ("x-aws-ec2-metadata-token", b"forged"),
    ("sec-fetch-site", b"forged"),
    ("early-data", b"forged"),
];
const OPEN_AT_ONCE: usize = 16;
const READ_BYTES: u64 = 64 * 1024;

struct Answer {
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
}

/// Does it, if it is one of these.
pub fn run(behaviour: &str, request: &Request) -> Option<Ending> {
    let urls = setting("SOURCE_ASK");
    let urls: Vec<&str> = urls.split_whitespace().collect();
    match behaviour {
        // Hides what happened and reports success.
        "ask-and-say-nothing" => urls.iter().for_each(|url| drop(ask(url, &[]))),
        "ask-and-tell" => {
            if let Some(Err(error)) = urls.iter().map(|url| ask(url, &[])).find(Result::is_err) {
                return Some(Err(Failure::Unavailable(detail(&format!("{error:?}")))));
            }
        }
        "ask-oddly" => {
            if let Err(error) = ask_oddly(&setting("SOURCE_ASK")) {
                said::say(&format!("not asked: {error:?}\n"));
            }
        }
        "set-reserved-headers" => urls.iter().for_each(|url| drop(ask(url, &RESERVED))),
        "hold-an-answer-open" => {
            let answers: Vec<_> = urls
                .iter()
                .map(|url| send(url, &[]).and_then(|sent| head(&sent)))
                .collect();
            std::hint::black_box(&answers);
            spent::sleep();
        }
        "open-many" => {
            let sent: Vec<_> = (0..OPEN_AT_ONCE).map(|_| send(urls[0], &[])).collect();
            std::hint::black_box(&sent);
            spent::sleep();
        }
        "ask-for-ever" => loop {
            drop(ask(urls[0], &[]));
        },
        "ask-without-waiting" => {
            let sent = send(urls[0], &[]).expect("it is granted");
            let pollable = sent.subscribe();
            while !pollable.ready() {}
        }
        "search-for-the-key" => return Some(Ok(search(&urls, request))),
        _ => return None,
    }
    Some(Ok(everything(put(
        &folder(),
        "records.ndjson",
        b"{\"id\":1}\n",
        1,
    ))))
}

fn ask(url: &str, headers: &[(&str, &[u8])]) -> Result<Answer, ErrorCode> {
    let response = head(&send(url, headers)?)?;
    let headers = response.headers().entries();
    let incoming = response
        .consume()
        .map_err(|()| ErrorCode::InternalError(None))?;
    let stream = incoming
        .stream()
        .map_err(|()| ErrorCode::InternalError(None))?;
    let mut body = Vec::new();
    loop {
        match stream.blocking_read(READ_BYTES) {
            Ok(piece) => body.extend_from_slice(&piece),
            Err(StreamError::Closed) => break,
            Err(StreamError::LastOperationFailed(error)) => {
                return Err(ErrorCode::InternalError(Some(error.to_debug_string())));
            }
        }
    }
    drop(stream);
    drop(IncomingBody::finish(incoming));
    Ok(Answer { headers, body })
}

fn send(url: &str, headers: &[(&str, &[u8])]) -> Result<FutureIncomingResponse, ErrorCode> {
    let (scheme, rest) = url.split_once("://").expect("an absolute URL");
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let fields = Fields::new();
    for (name, value) in headers {
        // Whether it is refused here or dropped on the way, it must not arrive.
        let _ = fields.append(name, value);
    }
    let request = OutgoingRequest::new(fields);
    let scheme = if scheme == "https" {
        Scheme::Https
    } else {
        Scheme::Http
    };
    let set = request.set_scheme(Some(&scheme));
    let set = set.and_then(|()| request.set_authority(Some(authority)));
    let set = set
        .and_then(|()| request.set_path_with_query(Some(if path.is_empty() { "/" } else { path })));
    set.map_err(|()| ErrorCode::HttpRequestUriInvalid)?;
    outgoing_handler::handle(request, None)
}

/// Asks by what stands on three lines: the method, the authority and the target, whatever they are.
fn ask_oddly(said: &str) -> Result<(), ErrorCode> {
    let mut said = said.splitn(3, '\n');
    let mut next = || said.next().expect("three lines");
    let (method, authority, target) = (next(), next(), next());
    let method = match method {
        "GET" => Method::Get,
        "CONNECT" => Method::Connect,
        "DELETE" => Method::Delete,
        "TRACE" => Method::Trace,
        other => Method::Other(other.to_owned()),
    };
    let request = OutgoingRequest::new(Fields::new());
    let set = request.set_scheme(Some(&Scheme::Http));
    let set = set.and_then(|()| request.set_method(&method));
    let set = set.and_then(|()| request.set_authority(Some(authority)));
    let set = set.and_then(|()| request.set_path_with_query(Some(target)));
    set.map_err(|()| ErrorCode::HttpRequestUriInvalid)?;
    head(&outgoing_handler::handle(request, None)?).map(drop)
}

fn head(
    sent: &FutureIncomingResponse,
) -> Result<crate::bindings::wasi::http::types::IncomingResponse, ErrorCode> {
    sent.subscribe().block();
    sent.get().expect("it is ready").expect("it is taken once")
}

/// Asks each URL and looks for the key in everything it can see. It learns the key from the source, which sends it
/// backwards in the header `x-backwards`, so that nothing on the way can know it.
fn search(urls: &[&str], request: &Request) -> Report {
    let mut seen: Vec<(String, Vec<u8>)> = Vec::new();
    let mut key = Vec::new();
    for url in urls {
        let Ok(answer) = ask(url, &[]) else { continue };
        for (name, value) in answer.headers {
            if name == "x-backwards" {
                key = value.into_iter().rev().collect();
            } else {
                seen.push((format!("header {name} of {url}"), value));
            }
        }
        seen.push((format!("body of {url}"), answer.body));
    }
    let environment = environment::get_environment();
    seen.extend(
        environment
            .into_iter()
            .map(|(name, value)| (format!("environment {name}"), value.into_bytes())),
    );
    seen.extend(
        environment::get_arguments()
            .into_iter()
            .map(|value| ("arguments".to_owned(), value.into_bytes())),
    );
    seen.push((
        "state".to_owned(),
        request.state.clone().unwrap_or_default().into_bytes(),
    ));

    let coded = base64(&key);
    let holds = |bytes: &[u8], form: &[u8]| {
        bytes
            .windows(form.len().max(1))
            .any(|window| window == form)
    };
    let found: Vec<String> = seen
        .iter()
        .filter(|(_, bytes)| holds(bytes, &key) || holds(bytes, coded.as_bytes()))
        .map(|(place, _)| format!("\"{place}\""))
        .collect();
    // All of it goes wherever a component can leave something.
    let mut lines = String::new();
    for (place, bytes) in &seen {
        let text: String = String::from_utf8_lossy(bytes)
            .chars()
            .filter(|c| !c.is_control())
            .collect();
        said::say(&format!("{place}: {text}\n"));
        let text = text.replace('\\', "\\\\").replace('"', "\\\"");
        lines.extend(["{\"place\":\"", place, "\",\"seen\":\"", &text, "\"}\n"]);
    }
    let staged = put(
        &folder(),
        "records.ndjson",
        lines.as_bytes(),
        seen.len() as u64,
    );
    let environment: Vec<String> = environment::get_environment()
        .iter()
        .map(|(name, _)| format!("\"{name}\""))
        .collect();
    Report {
        state: format!(
            "{{\"v\":1,\"key_bytes\":{},\"found\":[{}],\"environment\":[{}],\"at\":{}}}",
            key.len(),
            found.join(","),
            environment.join(","),
            monotonic_clock::now(),
        ),
        cursor: Some(format!("searched {} places", seen.len())),
        ..everything(staged)
    }
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digit = |bits: u32| char::from(DIGITS[(bits & 63) as usize]);
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let at = |index: usize| u32::from(group.get(index).copied().unwrap_or(0));
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        let digits = [
            digit(bits >> 18),
            digit(bits >> 12),
            digit(bits >> 6),
            digit(bits),
        ];
        text.extend(&digits[..=group.len()]);
    }
    // Without padding: it matches wherever it stands.
    text
}
