//! A request's body, whoever reads it from the wire.

use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::BodyExt as _;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::{Body, Frame, Incoming, SizeHint};

/// An error of whatever kind.
pub(crate) type BoxError = Box<dyn Error + Send + Sync>;

/// A body on its way.
pub(super) enum Coming {
    /// Read by our own hyper.
    Ours(Incoming),
    /// Brought by somebody else's server.
    Brought(UnsyncBoxBody<Bytes, BoxError>),
}

impl Coming {
    /// One that somebody else's server brings.
    pub(super) fn brought<B>(body: B) -> Self
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        Self::Brought(body.map_err(Into::into).boxed_unsync())
    }
}

impl Body for Coming {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut *self {
            Self::Ours(body) => {
                let frame = Pin::new(body).poll_frame(cx);
                frame.map(|frame| frame.map(|frame| frame.map_err(Into::into)))
            }
            Self::Brought(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Ours(body) => body.is_end_stream(),
            Self::Brought(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Ours(body) => body.size_hint(),
            Self::Brought(body) => body.size_hint(),
        }
    }
}
