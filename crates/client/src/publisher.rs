//! Publishing over HTTP.

use std::time::Duration;

use bytes::Bytes;
use fanwire_proto::native::answer::Published;
use http_body_util::Full;
use hyper::{Method, Request, header};
use tokio::time::timeout;

use crate::error::Error;
use crate::net::http::{self, Connection};
use crate::net::tls::Tls;
use crate::net::{jitter, random};
use crate::options::PublishOptions;
use crate::proof::Proof;
use crate::session::Schedule;
use crate::session::target::{self, Base, Query};

/// Largest answer to a publish that is read.
const ANSWER_BYTES: usize = 64 * 1024;

/// What is published, by kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// JSON text, kept byte for byte.
    Json(Bytes),
    /// UTF-8 text.
    Text(Bytes),
    /// Bytes.
    Binary(Bytes),
    /// A JSON array of several arguments, binary as `{"$bin":"<base64>"}`.
    Args(Bytes),
}

/// One message to publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publication {
    /// 1–16 channels of one namespace.
    pub channels: Vec<String>,
    /// The body.
    pub body: Body,
    /// The event name; `message` where none is given.
    pub event: Option<String>,
    /// The conflation key.
    pub key: Option<String>,
    /// The connection that shall not hear it.
    pub exclude: Option<String>,
    /// Names this message, so that it is taken once however often it is sent.
    pub idempotency_key: Option<String>,
    /// Not kept; for those who listen right now.
    pub volatile: bool,
}

impl Publication {
    /// A message for one channel, with nothing else set.
    pub fn new(channel: impl Into<String>, body: Body) -> Self {
        Self {
            channels: vec![channel.into()],
            body,
            event: None,
            key: None,
            exclude: None,
            idempotency_key: None,
            volatile: false,
        }
    }
}

/// Publishes over one connection, which it makes and keeps as needed.
#[derive(Debug)]
pub struct Publisher {
    base: Base,
    tls: Option<Tls>,
    proof: Proof,
    options: PublishOptions,
    connection: Option<Connection>,
}

/// A failed attempt, with what the server asked for.
struct Failure {
    error: Error,
    retry_after: Option<Duration>,
    /// The token had ended, and the next attempt comes with another.
    renewed: bool,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self {
            error,
            retry_after: None,
            renewed: false,
        }
    }
}

impl Publisher {
    /// A publisher; the first publish connects.
    ///
    /// # Errors
    /// `Config` where the address cannot be used.
    pub fn new(options: PublishOptions) -> Result<Self, Error> {
        let base = Base::parse(&options.base_url)?;
        Ok(Self {
            tls: Tls::new(&base, &options.trust)?,
            base,
            proof: Proof::new(options.api_key.as_deref(), options.token.clone())?,
            options,
            connection: None,
        })
    }

    /// Publishes, in one attempt. The id in the answer means that the message
    /// is kept as strongly as the server's broker promises.
    ///
    /// # Errors
    /// `Refused` with the server's code; `Connection` where no answer came: the
    /// message may or may not have been taken.
    pub async fn publish(&mut self, publication: &Publication) -> Result<Published, Error> {
        self.attempt(publication)
            .await
            .map_err(|failure| failure.error)
    }

    /// Publishes until it is taken: attempts again, with backoff, while the
    /// server is away or answers 408, 429 or 5xx, and honours `Retry-After`.
    /// Every attempt bears the same idempotency key (a random one where none is
    /// given), so the message is taken once. That holds for ten minutes from
    /// the attempt that was taken, which is how long servers remember keys.
    /// `on_retry` hears of every failed attempt and of the wait that follows.
    ///
    /// # Errors
    /// What no retry can mend: any other 4xx, a bad address. A token that has ended
    /// is mended by the next one, where it comes from a supplier.
    pub async fn publish_retrying(
        &mut self,
        publication: &Publication,
        mut on_retry: impl FnMut(&Error, Duration),
    ) -> Result<Published, Error> {
        let mut publication = publication.clone();
        publication.idempotency_key.get_or_insert_with(|| {
            random::<16>()
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect()
        });
        let mut schedule = Schedule::new(self.options.backoff);
        loop {
            let Failure {
                error,
                retry_after,
                renewed,
            } = match self.attempt(&publication).await {
                Ok(published) => return Ok(published),
                Err(failure) => failure,
            };
            if !error.is_retryable() && !renewed {
                return Err(error);
            }
            if let Some(wait) = retry_after {
                schedule.at_least(wait);
            }
            let wait = schedule.next(jitter());
            on_retry(&error, wait);
            tokio::time::sleep(wait).await;
        }
    }

    async fn attempt(&mut self, publication: &Publication) -> Result<Published, Failure> {
        let request = self.request(publication)?;
        let proof = &self.proof;
        let limit = self.options.timeout;
        // Taken out while it is used: an attempt that is given up, or dropped,
        // leaves no connection with a late answer behind.
        let kept = self.connection.take();
        let exchange = async {
            let mut request = request;
            if let Some(header) = proof.header().await? {
                request.headers_mut().insert(header::AUTHORIZATION, header);
            }
            let (connection, response) =
                http::exchange(&self.base, self.tls.as_ref(), kept, request).await?;
            if response.status() != 200 {
                let retry_after = http::retry_after(response.headers());
                let refusal = http::refusal(response).await;
                return Err(Failure {
                    renewed: refusal.is_expired() && proof.ended(),
                    error: Error::Refused(refusal),
                    retry_after,
                });
            }
            Ok((
                connection,
                http::body(response.into_body(), ANSWER_BYTES).await?,
            ))
        };
        let (connection, answer) = timeout(limit, exchange)
            .await
            .map_err(|_| Error::Connection(format!("no answer in {} s", limit.as_secs())))??;
        self.connection = Some(connection);
        let published = serde_json::from_slice(&answer)
            .map_err(|_| Error::Protocol("the answer to a publish has no id".to_owned()))?;
        Ok(published)
    }

    fn request(&self, publication: &Publication) -> Result<Request<Full<Bytes>>, Error> {
        target::check_channels(&publication.channels)?;
        let mut query = Query::default();
        let (kind, body) = match &publication.body {
            Body::Json(body) => ("application/json", body),
            Body::Text(body) => ("text/plain; charset=utf-8", body),
            Body::Binary(body) => ("application/octet-stream", body),
            Body::Args(body) => {
                query.push("args", "1");
                ("application/json", body)
            }
        };
        let named = [
            ("event", &publication.event),
            ("key", &publication.key),
            ("exclude", &publication.exclude),
        ];
        for (name, value) in named {
            if let Some(value) = value {
                query.push(name, value);
            }
        }
        if publication.volatile {
            query.push("volatile", "1");
        }
        let target = format!(
            "{}{}{query}",
            self.base.prefix,
            target::path(&publication.channels)
        );
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(target)
            .header(header::HOST, &self.base.authority)
            .header(header::CONTENT_TYPE, kind);
        if let Some(key) = &publication.idempotency_key {
            request = request.header("idempotency-key", key);
        }
        request
            .body(Full::new(body.clone()))
            .map_err(|e| Error::Config(format!("a request that cannot be made: {e}")))
    }
}
