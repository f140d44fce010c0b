//! Behaviours that make the host hold memory: by handles that are never let go, or by one call that asks for much.
//!
//! Each takes all it can, and none of it out of its own memory. One that is not stopped reports an honest run.

use crate::bindings::wasi::clocks::monotonic_clock;
use crate::bindings::wasi::filesystem::types::{DescriptorFlags, OpenFlags, PathFlags};
use crate::bindings::wasi::http::outgoing_handler;
use crate::bindings::wasi::http::types::{
    Fields, Method, OutgoingBody, OutgoingRequest, OutgoingResponse, RequestOptions, Scheme,
};
use crate::bindings::wasi::io::poll;
use crate::bindings::wasi::io::streams::OutputStream;
use crate::staged::{folder, put};
use crate::{Ending, everything, setting};

/// More than any limit allows of anything.
const MANY: u32 = 200_000;
/// As long as a part of a request may be, nearly.
const VALUE_BYTES: usize = 60_000;
/// As much as a call can carry, nearly.
const LONG_BYTES: usize = 7 * 1024 * 1024;

/// Does it, if it is one of these.
pub fn run(behaviour: &str) -> Option<Ending> {
    match behaviour {
        "hoard-fields" => each(fields_of_two),
        "hoard-small-fields" => each(small_fields),
        "hoard-listed-fields" => each(|| {
            let entries = vec![("x-a".to_owned(), vec![b'x'; VALUE_BYTES])];
            drop_never(Fields::from_list(&entries).expect("a list of one header"));
        }),
        "hoard-cloned-fields" => {
            let first = two();
            each(|| drop_never(first.clone()));
        }
        "hoard-set-fields" => each(|| {
            let fields = Fields::new();
            let _ = fields.set("x-a", &[vec![b'x'; VALUE_BYTES], vec![b'y'; VALUE_BYTES]]);
            drop_never(fields);
        }),
        "hoard-requests" => each(|| drop_never(OutgoingRequest::new(two()))),
        "hoard-answers-of-its-own" => each(|| drop_never(OutgoingResponse::new(two()))),
        "hoard-request-options" => each(|| drop_never(RequestOptions::new())),
        "hoard-methods" => {
            each_part(|request, text| request.set_method(&Method::Other(text.to_owned())))
        }
        "hoard-paths" => {
            each_part(|request, text| request.set_path_with_query(Some(&format!("/{text}"))))
        }
        "hoard-authorities" => {
            each_part(|request, text| request.set_authority(Some(text)));
        }
        "hoard-request-bodies" => each(|| {
            let request = OutgoingRequest::new(Fields::new());
            fill(&request);
            drop_never(request);
        }),
        "hoard-finished-bodies" => each(|| {
            let request = OutgoingRequest::new(Fields::new());
            let (body, out) = filled(&request);
            drop(out);
            let _ = OutgoingBody::finish(body, Some(two()));
            drop_never(request);
        }),
        "hoard-dropped-bodies" => each(|| {
            let request = OutgoingRequest::new(Fields::new());
            let (body, out) = filled(&request);
            drop(out);
            drop(body);
            drop_never(request);
        }),
        "hoard-finished-answers" => each(|| {
            let answer = OutgoingResponse::new(Fields::new());
            let body = answer.body().expect("the first body");
            drop(write_all(&body));
            let _ = OutgoingBody::finish(body, None);
            drop_never(answer);
        }),
        "hoard-pending-requests" => each(|| drop_never(sent(&setting("SOURCE_ASK")))),
        "drop-requests-at-once" => {
            (0..20_000).for_each(|_| drop(sent(&setting("SOURCE_ASK"))));
        }
        "hoard-answers" => each(|| {
            let answer = sent(&setting("SOURCE_ASK"));
            answer.subscribe().block();
            drop_never(answer);
        }),
        "hoard-pollables" => each(|| drop_never(monotonic_clock::subscribe_duration(u64::MAX))),
        "hoard-descriptors" => {
            put(&folder(), "records.ndjson", b"", 0);
            each(|| drop_never(opened()));
        }
        "hoard-streams" => {
            put(&folder(), "records.ndjson", b"", 0);
            let file = opened();
            each(|| drop_never(file.write_via_stream(0)));
        }
        "hoard-listings" => {
            for number in 0..30 {
                put(&folder(), &format!("{number}{}", "n".repeat(250)), b"", 0);
            }
            each(|| drop_never(folder().read_directory()));
        }
        "poll-a-long-list" => {
            let ready = monotonic_clock::subscribe_duration(0);
            let list: Vec<_> = (0..1_000_000).map(|_| &ready).collect();
            (0..20).for_each(|_| drop(poll::poll(&list)));
        }
        "log-more-than-is-taken" => {
            let text = vec![b'\n'; LONG_BYTES];
            let _ = crate::bindings::wasi::cli::stderr::get_stderr().write(&text);
        }
        "write-many-zeroes" => {
            let file = crate::staged::create(&folder(), "zeroes");
            let _ = file
                .write_via_stream(0)
                .map(|out| out.write_zeroes(1 << 40));
        }
        "read-what-is-not-there" => {
            let file = opened_anew("rejected.ndjson");
            let _ = file.set_size(4 << 30);
            let _ = file.read(1 << 40, 0);
            let _ = file.read_via_stream(0).map(|from| from.read(1 << 40));
            let _ = file.set_size(0);
        }
        _ => return None,
    }
    let lines = put(&folder(), "records.ndjson", b"{\"id\":1}\n", 1);
    Some(Ok(everything(lines)))
}

fn each(mut take: impl FnMut()) {
    (0..MANY).for_each(|_| take());
}

/// Requests with one part that is as long as it may be.
fn each_part(set: impl Fn(&OutgoingRequest, &str) -> Result<(), ()>) {
    let request = OutgoingRequest::new(Fields::new());
    assert_eq!(set(&request, &"x".repeat(LONG_BYTES)), Err(()));
    let text = "x".repeat(VALUE_BYTES);
    each(|| {
        let request = OutgoingRequest::new(Fields::new());
        let _ = set(&request, &text);
        drop_never(request);
    });
}

fn two() -> Fields {
    let value = [b'x'; VALUE_BYTES];
    let fields = Fields::new();
    let _ = fields.append("x-a", &value);
    let _ = fields.append("x-b", &value);
    fields
}

fn fields_of_two() {
    drop_never(two());
}

/// Many headers of one byte: what a map takes for each is more than that.
fn small_fields() {
    let fields = Fields::new();
    for _ in 0..1_000 {
        let _ = fields.append("x", b"y");
    }
    drop_never(fields);
}

/// A body of which as much is written as is taken, and never finished.
fn fill(request: &OutgoingRequest) {
    drop_never(filled(request));
}

fn filled(request: &OutgoingRequest) -> (OutgoingBody, OutputStream) {
    let body = request.body().expect("the first body");
    let out = write_all(&body);
    (body, out)
}

fn write_all(body: &OutgoingBody) -> OutputStream {
    let out = body.write().expect("the first stream");
    while let Ok(bytes @ 1..) = out.check_write() {
        let bytes = usize::try_from(bytes).expect("it fits");
        if out.write(&vec![b'x'; bytes]).is_err() {
            break;
        }
    }
    out
}

fn sent(url: &str) -> crate::bindings::wasi::http::types::FutureIncomingResponse {
    let (_, rest) = url.split_once("://").expect("an absolute URL");
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let fields = Fields::new();
    let _ = fields.append("x-a", &[b'x'; VALUE_BYTES]);
    let request = OutgoingRequest::new(fields);
    let _ = request.set_scheme(Some(&Scheme::Http));
    let _ = request.set_authority(Some(authority));
    let _ = request.set_path_with_query(Some(path));
    outgoing_handler::handle(request, Some(RequestOptions::new())).expect("a request that is sent")
}

fn opened() -> crate::bindings::wasi::filesystem::types::Descriptor {
    let open = folder().open_at(
        PathFlags::empty(),
        "records.ndjson",
        OpenFlags::empty(),
        DescriptorFlags::WRITE,
    );
    open.expect("a file that is there")
}

fn opened_anew(name: &str) -> crate::bindings::wasi::filesystem::types::Descriptor {
    let both = DescriptorFlags::READ | DescriptorFlags::WRITE;
    let open = folder().open_at(PathFlags::empty(), name, OpenFlags::CREATE, both);
    open.expect("a file of its own")
}

fn drop_never<T>(thing: T) {
    std::mem::forget(thing);
}
