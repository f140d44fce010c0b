//! A body whose small pieces that are there at once go on as one.
//!
//! A source may send every record, or every few bytes, as a chunk of its own. Each would be a frame of its own on the socket for
//! requests, and the process that does not read them would have to keep that many.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};

/// A piece of so many bytes goes on as it is.
const PIECE_BYTES: usize = 16 * 1024;

/// The pieces of another body, small ones together.
pub struct Merged<B: Body> {
    body: B,
    /// What came behind the pieces that were put together: trailers, a large piece, or an error.
    next: Option<Result<Frame<Bytes>, B::Error>>,
    has_ended: bool,
}

impl<B: Body> Merged<B> {
    pub fn new(body: B) -> Self {
        Self {
            body,
            next: None,
            has_ended: false,
        }
    }
}

impl<B> Body for Merged<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Unpin,
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        if let Some(next) = self.next.take() {
            return Poll::Ready(Some(next));
        }
        let mut merged = BytesMut::new();
        while !self.has_ended && merged.len() < PIECE_BYTES {
            match Pin::new(&mut self.body).poll_frame(context) {
                Poll::Ready(Some(frame)) => match small(frame) {
                    Ok(piece) => merged.extend_from_slice(&piece),
                    Err(other) if merged.is_empty() => return Poll::Ready(Some(other)),
                    Err(other) => {
                        self.next = Some(other);
                        break;
                    }
                },
                Poll::Ready(None) => self.has_ended = true,
                Poll::Pending if merged.is_empty() => return Poll::Pending,
                Poll::Pending => break,
            }
        }
        let merged = (!merged.is_empty()).then(|| Ok(Frame::data(merged.freeze())));
        Poll::Ready(merged)
    }

    fn is_end_stream(&self) -> bool {
        self.next.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        match &self.next {
            // What is kept back still counts.
            Some(_) => SizeHint::default(),
            None => self.body.size_hint(),
        }
    }
}

/// A piece of few bytes; `Err`: anything else.
fn small<E>(frame: Result<Frame<Bytes>, E>) -> Result<Bytes, Result<Frame<Bytes>, E>> {
    let data = match frame {
        Ok(frame) => frame.into_data(),
        Err(error) => return Err(Err(error)),
    };
    match data {
        Ok(piece) if piece.len() < PIECE_BYTES => Ok(piece),
        Ok(piece) => Err(Ok(Frame::data(piece))),
        Err(trailers) => Err(Ok(trailers)),
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::{FutureExt as _, StreamExt as _, stream};
    use http_body_util::{BodyExt as _, StreamBody};

    use super::*;

    type Piece = Result<Frame<Bytes>, &'static str>;

    fn piece(bytes: usize) -> Frame<Bytes> {
        Frame::data(Bytes::from(vec![b'x'; bytes]))
    }

    /// How long the pieces are that come of these, and how it ends.
    fn lengths(pieces: Vec<Piece>) -> (Vec<usize>, Option<&'static str>) {
        let mut merged = Merged::new(StreamBody::new(stream::iter(pieces)));
        let mut lengths = Vec::new();
        loop {
            match merged.frame().now_or_never().unwrap() {
                Some(Ok(frame)) => lengths.push(frame.into_data().unwrap().len()),
                Some(Err(error)) => return (lengths, Some(error)),
                None => return (lengths, None),
            }
        }
    }

    #[test]
    fn small_pieces_that_are_there_are_one_and_large_ones_stay() {
        let of = |bytes: &[usize]| lengths(bytes.iter().map(|bytes| Ok(piece(*bytes))).collect()).0;

        assert_eq!(of(&vec![7; 10_000]).len(), 5);
        assert_eq!(of(&[7, 7, PIECE_BYTES, 0, 9]), [14, PIECE_BYTES, 9]);
        assert_eq!(of(&[0]), [0_usize; 0]);
    }

    #[test]
    fn an_error_comes_behind_what_was_there_before_it() {
        let broken = lengths(vec![
            Ok(piece(7)),
            Ok(piece(7)),
            Err("cut off"),
            Ok(piece(7)),
        ]);

        assert_eq!(broken, (vec![14], Some("cut off")));
    }

    #[test]
    fn a_piece_does_not_wait_for_the_next() {
        let pieces = stream::iter([Ok::<_, Infallible>(piece(7))]).chain(stream::pending());
        let mut merged = Merged::new(StreamBody::new(Box::pin(pieces)));

        assert!(merged.frame().now_or_never().is_some());
        assert!(merged.frame().now_or_never().is_none());
    }
}
