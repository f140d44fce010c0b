//! What the host holds for a component, in bytes: headers, requests, bodies and whatever else it has a handle to.
//!
//! The sizes are upper bounds: what a thing could hold where that cannot be seen, and for each header what a map takes for it.

use std::fmt;

use http::HeaderMap;
use wasmtime::component::ResourceTable;
use wasmtime_wasi_http::FieldMap;
use wasmtime_wasi_http::p2::bindings::http::types::{Method, Scheme};
use wasmtime_wasi_http::p2::body::{HostFutureTrailers, HostIncomingBody, HostOutgoingBody};
use wasmtime_wasi_http::p2::types::{
    HostFutureIncomingResponse, HostIncomingResponse, HostOutgoingRequest, HostOutgoingResponse,
};

/// What any handle takes, with its place in the table.
pub const HANDLE_BYTES: usize = 512;
/// What a map of headers takes for each besides its name and its value.
pub const HEADER_BYTES: usize = 256;
/// One piece of a request's body on its way out.
pub const BODY_PIECE_BYTES: usize = 64 * 1024;
/// A request's body that is being written: two pieces wait at most.
pub const OUTGOING_BODY_BYTES: usize = 2 * BODY_PIECE_BYTES;
/// An answer's body that is being read: what came over the wire and was decoded, and not yet taken.
pub const INCOMING_BODY_BYTES: usize = 512 * 1024;

/// Bytes by what they are for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HeldBytes {
    /// Header fields that are in no request or answer yet.
    pub fields: usize,
    /// Requests that were not sent, and those whose answer did not come yet.
    pub requests: usize,
    pub request_bodies: usize,
    /// Answers, their headers and what was read of their bodies.
    pub answers: usize,
    /// Everything else: streams, pollables, files, errors.
    pub others: usize,
}

impl HeldBytes {
    pub fn bytes(&self) -> usize {
        let parts = [
            self.fields,
            self.requests,
            self.request_bodies,
            self.answers,
        ];
        parts.into_iter().fold(self.others, usize::saturating_add)
    }

    /// What is in `table`. `answer_head_bytes` is what an answer that has not come yet may bring; of the bodies of answers
    /// `bodies_open_max` are open, and the others at their end.
    pub fn in_table(
        table: &mut ResourceTable,
        answer_head_bytes: usize,
        bodies_open_max: usize,
    ) -> Self {
        let mut held = Self::default();
        let mut bodies = 0;
        for thing in table.iter_mut() {
            held.others += HANDLE_BYTES;
            if let Some(fields) = thing.downcast_ref::<FieldMap>() {
                held.fields += headers(fields);
            } else if let Some(request) = thing.downcast_ref::<HostOutgoingRequest>() {
                held.requests += outgoing(request);
                held.request_bodies += body(request.body.is_some());
            } else if thing.is::<HostOutgoingBody>() {
                held.request_bodies += OUTGOING_BODY_BYTES;
            } else if let Some(answer) = thing.downcast_ref::<HostFutureIncomingResponse>() {
                held.answers += match answer {
                    HostFutureIncomingResponse::Pending(_) => answer_head_bytes,
                    HostFutureIncomingResponse::Ready(Ok((answer, _))) => {
                        bodies += 1;
                        headers(answer.headers())
                    }
                    _ => 0,
                };
            } else if let Some(answer) = thing.downcast_ref::<HostIncomingResponse>() {
                bodies += usize::from(answer.body.is_some());
                held.answers += headers(&answer.headers);
            } else if thing.is::<HostIncomingBody>() || thing.is::<HostFutureTrailers>() {
                bodies += 1;
            } else if let Some(answer) = thing.downcast_ref::<HostOutgoingResponse>() {
                held.fields += headers(&answer.headers);
                held.request_bodies += body(answer.body.is_some());
            }
        }
        held.answers += bodies.min(bodies_open_max) * INCOMING_BODY_BYTES;
        held
    }
}

/// What was written of a body waits in its request, also when the body was finished or dropped.
fn body(is_there: bool) -> usize {
    if is_there { OUTGOING_BODY_BYTES } else { 0 }
}

/// What a map of headers takes.
pub fn headers(map: &HeaderMap) -> usize {
    map.iter()
        .map(|(name, value)| name.as_str().len() + value.len() + HEADER_BYTES)
        .sum()
}

fn outgoing(request: &HostOutgoingRequest) -> usize {
    let method = match &request.method {
        Method::Other(word) => word.len(),
        _ => 0,
    };
    let scheme = match &request.scheme {
        Some(Scheme::Other(word)) => word.len(),
        _ => 0,
    };
    let length = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    headers(&request.headers)
        + method
        + scheme
        + length(&request.authority)
        + length(&request.path_with_query)
}

/// As the end of a sentence; nothing where it is next to nothing.
impl fmt::Display for HeldBytes {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            (self.fields, "header fields"),
            (self.requests, "requests"),
            (self.request_bodies, "request bodies"),
            (self.answers, "answers"),
            (self.others, "handles"),
        ];
        let mib = |bytes: usize| bytes / (1024 * 1024);
        let told: Vec<String> = parts
            .into_iter()
            .filter(|(bytes, _)| mib(*bytes) > 0)
            .map(|(bytes, what)| format!("{} MiB of {what}", mib(bytes)))
            .collect();
        if told.is_empty() {
            return Ok(());
        }
        write!(out, ": the host held {} for it", told.join(", "))
    }
}
