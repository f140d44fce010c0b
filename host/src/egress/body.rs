//! The body of an answer: capped on the wire, decoded once, capped again, and scrubbed of echoes, as a stream.
//!
//! It ends cleanly only when the framing, TLS and the compression all say that it is complete; after an error it gives
//! that error for ever, never an end. (A body that is framed by the connection's end over plain http has no such proof:
//! whoever reads it must see for itself whether it is whole.)

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};

use async_compression::tokio::bufread::GzipDecoder;
use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use http_body::{Body, Frame};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Sleep, sleep, sleep_until};
use tokio_util::io::{StreamReader, poll_read_buf};

use super::client::{Incoming, innermost};
use super::echo::{Scrubber, Signed};
use super::headers::Encoding;
use super::unzip::{self, Step, Unfit, Unzip};
use super::{BoxError, EgressError, Shared, exchanges, tls};

/// What a gzip file begins with.
const GZIP: &[u8] = b"\x1f\x8b";
/// As many first bytes show what kind of file a body is.
const TOLD_BY_BYTES: usize = 4;
/// Decoded bytes handed on at once.
const CHUNK_BYTES: usize = 64 * 1024;
/// Small bodies of much the same bytes compress well and harm nobody.
const RATIO_FREE_BYTES: u64 = 1024 * 1024;

/// The body of one answer.
pub struct EgressBody {
    state: State,
    decoded_bytes: u64,
    scrubber: Option<Scrubber>,
    /// Whether it is counted when it has ended: it may be a page.
    is_good: bool,
    shared: Arc<Shared>,
    /// Until it has ended, where its request is traced.
    traced: Option<exchanges::Open>,
    /// Behind the scrubber, which looks for the signatures to the end.
    _signed: Vec<Signed>,
}

enum State {
    Open(
        WireFormat,
        #[expect(dead_code, reason = "held until the body ends")] OwnedSemaphorePermit,
    ),
    Failed(EgressError),
    Complete,
}

enum WireFormat {
    Plain(Box<Wire>),
    /// The decoder, and the buffer it decodes into.
    Gzip(Box<GzipDecoder<StreamReader<Wire, Bytes>>>, BytesMut),
    /// A file with one in it, which is unpacked.
    Zip(Box<Wire>, Box<Unzip>),
    /// One of them, by its first bytes, which the wire keeps until then.
    Untold(Option<Box<Wire>>),
}

impl EgressBody {
    /// The body `incoming` of an answer from `origin`, to be complete by `deadline`; holds `permit` until it ends, and
    /// looks for the signatures of the request as long as it lives.
    pub(super) fn new(
        incoming: Incoming,
        encoding: Encoding,
        origin: &str,
        deadline: Instant,
        (permit, signed): (OwnedSemaphorePermit, Vec<Signed>),
        shared: Arc<Shared>,
    ) -> Self {
        let scrubber = shared.echoes.scrubber();
        // An answer that has no body (204, to HEAD, of length 0) has nothing to decode, whatever its headers say.
        let state = if incoming.is_end_stream() {
            State::Complete
        } else {
            let wire = Wire::new(incoming, origin, deadline, shared.clone());
            let source = match encoding {
                Encoding::Identity => WireFormat::Plain(Box::new(wire)),
                Encoding::Gzip => WireFormat::gzip(wire),
                Encoding::ByItsBytes => WireFormat::Untold(Some(Box::new(wire))),
            };
            State::Open(source, permit)
        };
        Self {
            state,
            decoded_bytes: 0,
            scrubber,
            is_good: false,
            shared,
            traced: None,
            _signed: signed,
        }
    }

    /// The same, which is counted when it has ended whole.
    pub(super) fn of_a_page(mut self, is_good: bool) -> Self {
        self.is_good = is_good;
        self
    }

    /// Its end is that of `traced`.
    pub(super) fn traced(&mut self, traced: exchanges::Open) {
        self.traced = Some(traced).filter(|_| !self.is_end_stream());
    }

    /// Counts `chunk` and replaces echoes in it.
    fn take(&mut self, chunk: Chunk) -> Result<Bytes, EgressError> {
        let State::Open(source, _) = &self.state else {
            return Ok(Bytes::new());
        };
        let wire = source.wire();
        let (chunk, bytes) = match chunk {
            Chunk::Shown(chunk) => {
                let bytes = chunk.len() as u64;
                (chunk, bytes)
            }
            Chunk::Passed(bytes) => (Bytes::new(), bytes),
        };
        self.decoded_bytes += bytes;
        let run = self
            .shared
            .record
            .decoded_bytes
            .fetch_add(bytes, Ordering::Relaxed)
            + bytes;
        let (limits, origin) = (&self.shared.limits, || wire.origin.clone());
        if self.decoded_bytes > limits.response_decoded_bytes {
            let limit = limits.response_decoded_bytes;
            return Err(EgressError::TooLarge {
                origin: origin(),
                what: "response_decoded_bytes",
                limit,
            });
        }
        let expected = wire.bytes.saturating_mul(limits.decode_ratio);
        if self.decoded_bytes > RATIO_FREE_BYTES && self.decoded_bytes > expected {
            let limit = limits.decode_ratio;
            return Err(EgressError::TooLarge {
                origin: origin(),
                what: "decode_ratio",
                limit,
            });
        }
        if run > limits.run_decoded_bytes {
            let limit = limits.run_decoded_bytes;
            return Err(EgressError::Budget {
                origin: origin(),
                what: "response_bytes",
                limit,
                policy: self.shared.policy.by(),
            });
        }
        Ok(self
            .scrub(|scrubber| scrubber.push(&chunk))
            .unwrap_or(chunk))
    }

    fn scrub(&mut self, pass: impl FnOnce(&mut Scrubber) -> Bytes) -> Option<Bytes> {
        let scrubber = self.scrubber.as_mut()?;
        let found_before = scrubber.found;
        let shown = pass(scrubber);
        let found = scrubber.found - found_before;
        if let State::Open(source, _) = &self.state
            && found > 0
        {
            self.shared.echoed(&source.wire().origin, found);
        }
        Some(shown)
    }

    fn fail(&mut self, error: EgressError) -> Poll<Option<Result<Frame<Bytes>, EgressError>>> {
        self.shared.keep(&error);
        self.shared.record.set_last(Some(&error));
        self.scrubber = None;
        if let Some(traced) = self.traced.take() {
            traced.failed(&error);
        }
        self.state = State::Failed(error.clone());
        Poll::Ready(Some(Err(error)))
    }
}

impl Body for EgressBody {
    type Data = Bytes;
    type Error = EgressError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, EgressError>>> {
        let this = &mut *self;
        loop {
            let source = match &mut this.state {
                State::Open(source, _) => source,
                State::Failed(error) => return Poll::Ready(Some(Err(error.clone()))),
                State::Complete => return Poll::Ready(None),
            };
            match ready!(source.poll_chunk(cx)) {
                Ok(Some(chunk)) => match this.take(chunk) {
                    Ok(shown) if shown.is_empty() => {}
                    Ok(shown) => return Poll::Ready(Some(Ok(Frame::data(shown)))),
                    Err(error) => return this.fail(error),
                },
                Ok(None) => {
                    let rest = this.scrub(Scrubber::finish).unwrap_or_default();
                    // A component may keep a body that has ended: nothing is held for it then.
                    this.scrubber = None;
                    this.state = State::Complete;
                    this.traced = None;
                    if this.is_good {
                        this.shared.record.pages.fetch_add(1, Ordering::Relaxed);
                    }
                    return Poll::Ready((!rest.is_empty()).then(|| Ok(Frame::data(rest))));
                }
                Err(error) => return this.fail(error),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.state, State::Complete)
    }
}

/// What was decoded.
enum Chunk {
    Shown(Bytes),
    /// So many bytes that nobody sees, and that count.
    Passed(u64),
}

impl WireFormat {
    fn gzip(wire: Wire) -> Self {
        let mut decoder = GzipDecoder::new(StreamReader::new(wire));
        // RFC 1952 allows a file of several; anything else after the first is an error.
        decoder.multiple_members(true);
        Self::Gzip(Box::new(decoder), BytesMut::new())
    }

    fn wire(&self) -> &Wire {
        match self {
            Self::Plain(wire) | Self::Zip(wire, _) => wire,
            Self::Gzip(decoder, _) => decoder.get_ref().get_ref(),
            Self::Untold(wire) => wire.as_ref().expect("the kind is decided once"),
        }
    }

    /// Tells by its first bytes what it is, once they are there.
    fn poll_told(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), EgressError>> {
        let Self::Untold(held) = self else {
            return Poll::Ready(Ok(()));
        };
        let wire = held.as_mut().expect("the kind is decided once");
        while wire.first.len() < TOLD_BY_BYTES {
            match ready!(wire.poll_new_bytes(cx)) {
                Some(Ok(bytes)) => wire.first.extend_from_slice(&bytes),
                Some(Err(error)) => return Poll::Ready(Err(error)),
                None => break,
            }
        }
        let wire = held.take().expect("the kind is decided once");
        let is_zip = [unzip::FILE, unzip::NOTHING]
            .iter()
            .any(|start| wire.first.starts_with(start));
        *self = if wire.first.starts_with(GZIP) {
            Self::gzip(*wire)
        } else if is_zip {
            Self::Zip(wire, Box::new(Unzip::new()))
        } else {
            Self::Plain(wire)
        };
        Poll::Ready(Ok(()))
    }

    /// The next decoded bytes; `None` at the verified end.
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Chunk>, EgressError>> {
        if let Err(error) = ready!(self.poll_told(cx)) {
            return Poll::Ready(Err(error));
        }
        match self {
            Self::Untold(_) => Poll::Ready(Ok(None)),
            Self::Plain(wire) => wire
                .poll_bytes(cx)
                .map(|bytes| Ok(bytes.transpose()?.map(Chunk::Shown))),
            Self::Zip(wire, zip) => poll_unzipped(wire, zip, cx),
            Self::Gzip(decoder, buffer) => {
                buffer.reserve(CHUNK_BYTES);
                let read = ready!(poll_read_buf(Pin::new(decoder.as_mut()), cx, buffer));
                Poll::Ready(match read {
                    Ok(0) => Ok(None),
                    Ok(_) => Ok(Some(Chunk::Shown(buffer.split().freeze()))),
                    Err(error) => Err(self.decode_error(&error)),
                })
            }
        }
    }

    fn decode_error(&self, error: &io::Error) -> EgressError {
        let wire = self.wire();
        tls::find::<EgressError>(error)
            .cloned()
            .unwrap_or_else(|| wire.cut_off(&format!("its gzip is damaged: {error}")))
    }
}

/// The next bytes of the file in a zip file; `None` at its verified end.
fn poll_unzipped(
    wire: &mut Wire,
    zip: &mut Unzip,
    cx: &mut Context<'_>,
) -> Poll<Result<Option<Chunk>, EgressError>> {
    loop {
        match zip.step() {
            Ok(Step::Bytes(bytes)) => return Poll::Ready(Ok(Some(Chunk::Shown(bytes)))),
            Ok(Step::Passed(bytes)) => return Poll::Ready(Ok(Some(Chunk::Passed(bytes)))),
            Ok(Step::More) => {}
            Err(unfit) => return Poll::Ready(Err(wire.unfit(unfit))),
        }
        match ready!(wire.poll_bytes(cx)) {
            Some(Ok(bytes)) => zip.push(&bytes),
            Some(Err(error)) => return Poll::Ready(Err(error)),
            None => {
                let end = zip.end().map(|()| None);
                return Poll::Ready(end.map_err(|unfit| wire.unfit(unfit)));
            }
        }
    }
}

/// The body as it comes over the wire, within its limits of size and time.
struct Wire {
    incoming: Incoming,
    /// What came before it was known what it is.
    first: BytesMut,
    bytes: u64,
    origin: String,
    deadline: Pin<Box<Sleep>>,
    /// Runs only while we wait for the server, not while the component takes its time.
    idle: Option<Pin<Box<Sleep>>>,
    shared: Arc<Shared>,
}

impl Wire {
    fn new(incoming: Incoming, origin: &str, deadline: Instant, shared: Arc<Shared>) -> Self {
        let deadline = Box::pin(sleep_until(deadline));
        Self {
            incoming,
            first: BytesMut::new(),
            bytes: 0,
            origin: origin.to_owned(),
            deadline,
            idle: None,
            shared,
        }
    }

    fn poll_bytes(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, EgressError>>> {
        if !self.first.is_empty() {
            return Poll::Ready(Some(Ok(self.first.split().freeze())));
        }
        self.poll_new_bytes(cx)
    }

    fn poll_new_bytes(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, EgressError>>> {
        if self.deadline.as_mut().poll(cx).is_ready() {
            let limit = self.shared.limits.response_timeout;
            return Poll::Ready(Some(Err(EgressError::AnswerTimeout {
                origin: self.origin.clone(),
                limit,
            })));
        }
        loop {
            let frame = match Pin::new(&mut self.incoming).poll_frame(cx) {
                Poll::Ready(frame) => frame,
                Poll::Pending => return self.poll_idle(cx).map(|error| Some(Err(error))),
            };
            self.idle = None;
            match frame {
                None => return Poll::Ready(None),
                Some(Err(error)) => return Poll::Ready(Some(Err(self.wire_error(&error)))),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(bytes) if !bytes.is_empty() => return Poll::Ready(Some(self.count(bytes))),
                    // Trailers are nobody's concern here.
                    _ => {}
                },
            }
        }
    }

    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<EgressError> {
        let limit = self.shared.limits.idle_timeout;
        let idle = self.idle.get_or_insert_with(|| Box::pin(sleep(limit)));
        idle.as_mut().poll(cx).map(|()| EgressError::IdleTimeout {
            origin: self.origin.clone(),
            limit,
        })
    }

    fn count(&mut self, bytes: Bytes) -> Result<Bytes, EgressError> {
        self.bytes += bytes.len() as u64;
        self.shared
            .record
            .wire_bytes
            .fetch_add(bytes.len() as u64, Ordering::Relaxed);
        let limit = self.shared.limits.response_wire_bytes;
        if self.bytes > limit {
            return Err(EgressError::TooLarge {
                origin: self.origin.clone(),
                what: "response_wire_bytes",
                limit,
            });
        }
        Ok(bytes)
    }

    fn wire_error(&self, error: &BoxError) -> EgressError {
        use io::ErrorKind::{InvalidData, InvalidInput};
        let error: &(dyn std::error::Error + 'static) = error.as_ref();
        let io_kind = tls::find::<io::Error>(error).map(io::Error::kind);
        let reason = innermost(error);
        if tls::cause(error).is_none() && matches!(io_kind, Some(InvalidData | InvalidInput)) {
            return EgressError::BadFraming {
                origin: self.origin.clone(),
                reason,
            };
        }
        self.cut_off(&reason)
    }

    fn unfit(&self, unfit: Unfit) -> EgressError {
        match unfit {
            Unfit::Damaged(why) => self.cut_off(&format!("its zip is damaged: {why}")),
            Unfit::Refused(reason) => EgressError::BadFile {
                origin: self.origin.clone(),
                reason: self.shared.echoes.hide_in_text(&reason),
            },
        }
    }

    fn cut_off(&self, reason: &str) -> EgressError {
        EgressError::CutOff {
            origin: self.origin.clone(),
            wire_bytes: self.bytes,
            reason: reason.to_owned(),
        }
    }
}

impl Stream for Wire {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_bytes(cx)
            .map(|bytes| bytes.map(|bytes| bytes.map_err(io::Error::other)))
    }
}
