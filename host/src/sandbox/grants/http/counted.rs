//! `wasi:http` as wasmtime has it, with everything counted that makes the host hold more.
//!
//! Each function is named here, so that a new release of wasmtime brings none that is not counted.

use wasmtime::Result;
use wasmtime::component::{HasData, Linker, Resource};
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream, DynPollable};
use wasmtime_wasi_http::p2::bindings::http::outgoing_handler;
use wasmtime_wasi_http::p2::bindings::http::types::{
    self, Duration, ErrorCode, IoError, Method, Scheme, StatusCode, Trailers,
};
use wasmtime_wasi_http::p2::body::{HostFutureTrailers, HostIncomingBody, HostOutgoingBody};
use wasmtime_wasi_http::p2::types::{
    HostFutureIncomingResponse, HostIncomingRequest, HostIncomingResponse, HostOutgoingRequest,
    HostOutgoingResponse, HostResponseOutparam,
};
use wasmtime_wasi_http::p2::{HeaderError, HeaderResult, HttpError, HttpResult};
use wasmtime_wasi_http::{FieldMap, RequestOptions, WasiHttpCtxView};

use crate::sandbox::grants::exceeded::Exceeded;
use crate::sandbox::grants::held::{HEADER_BYTES, OUTGOING_BODY_BYTES, headers};
use crate::sandbox::grants::meter::Meter;

/// The component's HTTP for one call, and where what it holds is counted.
pub struct CountedHttp<'a> {
    /// wasmtime's own.
    pub http: WasiHttpCtxView<'a>,
    /// Where it is counted.
    pub meter: &'a mut Meter,
}

/// Names [`CountedHttp`] to the linker.
struct HasHttp;

impl HasData for HasHttp {
    type Data<'a> = CountedHttp<'a>;
}

/// Offers `wasi:http`.
pub fn link<T: Send + 'static>(
    linker: &mut Linker<T>,
    view: fn(&mut T) -> CountedHttp<'_>,
) -> Result<()> {
    let options = wasmtime_wasi_http::p2::bindings::LinkOptions::default();
    types::add_to_linker::<T, HasHttp>(linker, &(&options).into(), view)?;
    outgoing_handler::add_to_linker::<T, HasHttp>(linker, view)
}

/// Functions that make the host hold no more than a handle.
macro_rules! passed_on {
    ($interface:path: $(fn $name:ident($($argument:ident: $type:ty),*) -> $result:ty;)*) => {
        $(fn $name(&mut self, $($argument: $type),*) -> $result {
            <WasiHttpCtxView<'_> as $interface>::$name(&mut self.http, $($argument),*)
        })*
    };
}

impl CountedHttp<'_> {
    fn charge(&mut self, bytes: usize) -> std::result::Result<(), Exceeded> {
        self.meter.charge(bytes, self.http.table)
    }

    fn charge_header(&mut self, name: &str, value_bytes: usize) -> HeaderResult<()> {
        let bytes = name.len().saturating_add(value_bytes);
        self.charge(bytes.saturating_add(HEADER_BYTES))
            .map_err(HeaderError::trap)
    }

    /// A copy of headers; that it is shared at first is not counted on.
    fn charge_copy(&mut self, fields: &Resource<FieldMap>) -> Result<()> {
        let bytes = headers(self.http.table.get(fields)?);
        Ok(self.charge(bytes)?)
    }

    /// Counts a part of a request's head; `false` where it is too long.
    fn takes_part(&mut self, part: Option<&String>) -> Result<bool> {
        let bytes = part.map_or(0, String::len);
        if bytes > self.meter.request_head_bytes {
            return Ok(false);
        }
        self.charge(bytes)?;
        Ok(true)
    }
}

impl types::Host for CountedHttp<'_> {
    passed_on! { types::Host:
        fn convert_error_code(error: HttpError) -> Result<ErrorCode>;
        fn convert_header_error(error: HeaderError) -> Result<types::HeaderError>;
        fn http_error_code(error: Resource<IoError>) -> Result<Option<ErrorCode>>;
    }
}

impl types::HostFields for CountedHttp<'_> {
    passed_on! { types::HostFields:
        fn new() -> Result<Resource<FieldMap>>;
        fn drop(fields: Resource<FieldMap>) -> Result<()>;
        fn get(fields: Resource<FieldMap>, name: String) -> Result<Vec<Vec<u8>>>;
        fn has(fields: Resource<FieldMap>, name: String) -> Result<bool>;
        fn delete(fields: Resource<FieldMap>, name: String) -> HeaderResult<()>;
        fn entries(fields: Resource<FieldMap>) -> Result<Vec<(String, Vec<u8>)>>;
    }

    fn from_list(&mut self, entries: Vec<(String, Vec<u8>)>) -> HeaderResult<Resource<FieldMap>> {
        for (name, value) in &entries {
            self.charge_header(name, value.len())?;
        }
        types::HostFields::from_list(&mut self.http, entries)
    }

    fn set(
        &mut self,
        fields: Resource<FieldMap>,
        name: String,
        values: Vec<Vec<u8>>,
    ) -> HeaderResult<()> {
        for value in &values {
            self.charge_header(&name, value.len())?;
        }
        types::HostFields::set(&mut self.http, fields, name, values)
    }

    fn append(
        &mut self,
        fields: Resource<FieldMap>,
        name: String,
        value: Vec<u8>,
    ) -> HeaderResult<()> {
        self.charge_header(&name, value.len())?;
        types::HostFields::append(&mut self.http, fields, name, value)
    }

    fn clone(&mut self, fields: Resource<FieldMap>) -> Result<Resource<FieldMap>> {
        self.charge_copy(&fields)?;
        types::HostFields::clone(&mut self.http, fields)
    }
}

impl types::HostIncomingRequest for CountedHttp<'_> {
    passed_on! { types::HostIncomingRequest:
        fn method(request: Resource<HostIncomingRequest>) -> Result<Method>;
        fn path_with_query(request: Resource<HostIncomingRequest>) -> Result<Option<String>>;
        fn scheme(request: Resource<HostIncomingRequest>) -> Result<Option<Scheme>>;
        fn authority(request: Resource<HostIncomingRequest>) -> Result<Option<String>>;
        fn headers(request: Resource<HostIncomingRequest>) -> Result<Resource<FieldMap>>;
        fn consume(
            request: Resource<HostIncomingRequest>
        ) -> Result<std::result::Result<Resource<HostIncomingBody>, ()>>;
        fn drop(request: Resource<HostIncomingRequest>) -> Result<()>;
    }
}

impl types::HostOutgoingRequest for CountedHttp<'_> {
    passed_on! { types::HostOutgoingRequest:
        fn new(headers: Resource<FieldMap>) -> Result<Resource<HostOutgoingRequest>>;
        fn drop(request: Resource<HostOutgoingRequest>) -> Result<()>;
        fn method(request: Resource<HostOutgoingRequest>) -> Result<Method>;
        fn path_with_query(request: Resource<HostOutgoingRequest>) -> Result<Option<String>>;
        fn scheme(request: Resource<HostOutgoingRequest>) -> Result<Option<Scheme>>;
        fn authority(request: Resource<HostOutgoingRequest>) -> Result<Option<String>>;
    }

    fn body(
        &mut self,
        request: Resource<HostOutgoingRequest>,
    ) -> Result<std::result::Result<Resource<HostOutgoingBody>, ()>> {
        self.charge(OUTGOING_BODY_BYTES)?;
        types::HostOutgoingRequest::body(&mut self.http, request)
    }

    fn set_method(
        &mut self,
        request: Resource<HostOutgoingRequest>,
        method: Method,
    ) -> Result<std::result::Result<(), ()>> {
        let word = match &method {
            Method::Other(word) => Some(word),
            _ => None,
        };
        if !self.takes_part(word)? {
            return Ok(Err(()));
        }
        types::HostOutgoingRequest::set_method(&mut self.http, request, method)
    }

    fn set_path_with_query(
        &mut self,
        request: Resource<HostOutgoingRequest>,
        path: Option<String>,
    ) -> Result<std::result::Result<(), ()>> {
        if !self.takes_part(path.as_ref())? {
            return Ok(Err(()));
        }
        types::HostOutgoingRequest::set_path_with_query(&mut self.http, request, path)
    }

    fn set_scheme(
        &mut self,
        request: Resource<HostOutgoingRequest>,
        scheme: Option<Scheme>,
    ) -> Result<std::result::Result<(), ()>> {
        let word = match &scheme {
            Some(Scheme::Other(word)) => Some(word),
            _ => None,
        };
        if !self.takes_part(word)? {
            return Ok(Err(()));
        }
        types::HostOutgoingRequest::set_scheme(&mut self.http, request, scheme)
    }

    fn set_authority(
        &mut self,
        request: Resource<HostOutgoingRequest>,
        authority: Option<String>,
    ) -> Result<std::result::Result<(), ()>> {
        if !self.takes_part(authority.as_ref())? {
            return Ok(Err(()));
        }
        types::HostOutgoingRequest::set_authority(&mut self.http, request, authority)
    }

    fn headers(&mut self, request: Resource<HostOutgoingRequest>) -> Result<Resource<FieldMap>> {
        let bytes = headers(&self.http.table.get(&request)?.headers);
        self.charge(bytes)?;
        types::HostOutgoingRequest::headers(&mut self.http, request)
    }
}

impl outgoing_handler::Host for CountedHttp<'_> {
    fn handle(
        &mut self,
        request: Resource<HostOutgoingRequest>,
        options: Option<Resource<RequestOptions>>,
    ) -> HttpResult<Resource<HostFutureIncomingResponse>> {
        self.meter
            .charge_exchange(self.http.table)
            .map_err(HttpError::trap)?;
        // It was given away with the request, and wasmtime-wasi-http 48 would keep it until the end.
        if let Some(options) = options {
            self.http.table.delete(options).map_err(HttpError::trap)?;
        }
        outgoing_handler::Host::handle(&mut self.http, request, None)
    }
}

impl types::HostResponseOutparam for CountedHttp<'_> {
    passed_on! { types::HostResponseOutparam:
        fn drop(outparam: Resource<HostResponseOutparam>) -> Result<()>;
        fn set(
            outparam: Resource<HostResponseOutparam>,
            answer: std::result::Result<Resource<HostOutgoingResponse>, ErrorCode>
        ) -> Result<()>;
        fn send_informational(
            outparam: Resource<HostResponseOutparam>,
            status: u16,
            headers: Resource<FieldMap>
        ) -> HttpResult<()>;
    }
}

impl types::HostIncomingResponse for CountedHttp<'_> {
    passed_on! { types::HostIncomingResponse:
        fn drop(answer: Resource<HostIncomingResponse>) -> Result<()>;
        fn status(answer: Resource<HostIncomingResponse>) -> Result<StatusCode>;
        fn consume(
            answer: Resource<HostIncomingResponse>
        ) -> Result<std::result::Result<Resource<HostIncomingBody>, ()>>;
    }

    fn headers(&mut self, answer: Resource<HostIncomingResponse>) -> Result<Resource<FieldMap>> {
        let bytes = headers(&self.http.table.get(&answer)?.headers);
        self.charge(bytes)?;
        types::HostIncomingResponse::headers(&mut self.http, answer)
    }
}

impl types::HostFutureTrailers for CountedHttp<'_> {
    passed_on! { types::HostFutureTrailers:
        fn drop(trailers: Resource<HostFutureTrailers>) -> Result<()>;
        fn subscribe(trailers: Resource<HostFutureTrailers>) -> Result<Resource<DynPollable>>;
        // Egress drops the trailers of an answer.
        fn get(
            trailers: Resource<HostFutureTrailers>
        ) -> Result<Option<std::result::Result<
            std::result::Result<Option<Resource<Trailers>>, ErrorCode>, ()
        >>>;
    }
}

impl types::HostIncomingBody for CountedHttp<'_> {
    passed_on! { types::HostIncomingBody:
        fn stream(
            body: Resource<HostIncomingBody>
        ) -> Result<std::result::Result<Resource<DynInputStream>, ()>>;
        fn finish(body: Resource<HostIncomingBody>) -> Result<Resource<HostFutureTrailers>>;
        fn drop(body: Resource<HostIncomingBody>) -> Result<()>;
    }
}

impl types::HostOutgoingResponse for CountedHttp<'_> {
    passed_on! { types::HostOutgoingResponse:
        fn new(headers: Resource<FieldMap>) -> Result<Resource<HostOutgoingResponse>>;
        fn status_code(answer: Resource<HostOutgoingResponse>) -> Result<StatusCode>;
        fn set_status_code(
            answer: Resource<HostOutgoingResponse>,
            status: StatusCode
        ) -> Result<std::result::Result<(), ()>>;
        fn drop(answer: Resource<HostOutgoingResponse>) -> Result<()>;
    }

    fn body(
        &mut self,
        answer: Resource<HostOutgoingResponse>,
    ) -> Result<std::result::Result<Resource<HostOutgoingBody>, ()>> {
        self.charge(OUTGOING_BODY_BYTES)?;
        types::HostOutgoingResponse::body(&mut self.http, answer)
    }

    fn headers(&mut self, answer: Resource<HostOutgoingResponse>) -> Result<Resource<FieldMap>> {
        let bytes = headers(&self.http.table.get(&answer)?.headers);
        self.charge(bytes)?;
        types::HostOutgoingResponse::headers(&mut self.http, answer)
    }
}

impl types::HostFutureIncomingResponse for CountedHttp<'_> {
    passed_on! { types::HostFutureIncomingResponse:
        fn drop(answer: Resource<HostFutureIncomingResponse>) -> Result<()>;
        // What it may bring was counted when the request was sent.
        fn get(
            answer: Resource<HostFutureIncomingResponse>
        ) -> Result<Option<std::result::Result<
            std::result::Result<Resource<HostIncomingResponse>, ErrorCode>, ()
        >>>;
        fn subscribe(answer: Resource<HostFutureIncomingResponse>) -> Result<Resource<DynPollable>>;
    }
}

impl types::HostOutgoingBody for CountedHttp<'_> {
    passed_on! { types::HostOutgoingBody:
        fn write(
            body: Resource<HostOutgoingBody>
        ) -> Result<std::result::Result<Resource<DynOutputStream>, ()>>;
        fn drop(body: Resource<HostOutgoingBody>) -> Result<()>;
    }

    fn finish(
        &mut self,
        body: Resource<HostOutgoingBody>,
        trailers: Option<Resource<Trailers>>,
    ) -> HttpResult<()> {
        // Egress sends none; they would wait in the body, where nothing counts them.
        if let Some(trailers) = trailers {
            self.http.table.delete(trailers).map_err(HttpError::trap)?;
        }
        types::HostOutgoingBody::finish(&mut self.http, body, None)
    }
}

impl types::HostRequestOptions for CountedHttp<'_> {
    passed_on! { types::HostRequestOptions:
        fn new() -> Result<Resource<RequestOptions>>;
        fn connect_timeout(options: Resource<RequestOptions>) -> Result<Option<Duration>>;
        fn set_connect_timeout(
            options: Resource<RequestOptions>,
            duration: Option<Duration>
        ) -> Result<std::result::Result<(), ()>>;
        fn first_byte_timeout(options: Resource<RequestOptions>) -> Result<Option<Duration>>;
        fn set_first_byte_timeout(
            options: Resource<RequestOptions>,
            duration: Option<Duration>
        ) -> Result<std::result::Result<(), ()>>;
        fn between_bytes_timeout(options: Resource<RequestOptions>) -> Result<Option<Duration>>;
        fn set_between_bytes_timeout(
            options: Resource<RequestOptions>,
            duration: Option<Duration>
        ) -> Result<std::result::Result<(), ()>>;
        fn drop(options: Resource<RequestOptions>) -> Result<()>;
    }
}
