//! A WebSocket of somebody who could not show a token with the request, as a
//! page cannot: the first frame is to show it. Until then nothing is opened, the
//! hub knows nothing of the socket, and what it may send is bounded.

use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use fanwire_core::clock::Clock as _;
use fanwire_core::error::{Code, Refusal};
use fanwire_core::hub::Start;
use fanwire_core::message::Keys;
use fanwire_core::policy::{Permit, Verb};
use fanwire_proto::native::Request;
use fanwire_proto::ws::{CloseCode, Decoder, Event, Limits, Opcode, Role, close_frame, frame};

use super::depart::{Back, Departure, Purpose, closing, depart, refused_by_code};
use super::stream::{Stream, linger, with_scratch};
use crate::answer::Dress;
use crate::app::{App, Peer};
use crate::auth::MAX_TOKEN;
use crate::clock::connection_id;
use crate::handlers::{Comer, Hears, Visit};
use crate::limit::Place;
use crate::metrics::Opened;
use crate::rates::{Account, Payer};
use crate::refused::Kept;
use crate::shutdown::Stage;

/// Bytes of the first message: a token and what stands around it.
const MAX_FIRST: usize = MAX_TOKEN + 256;

/// Bytes of everything before that message is whole, pings among them.
const MAX_BEFORE: usize = 2 * MAX_FIRST;

/// A request to listen of somebody yet to be known.
pub(crate) struct Unproven {
    /// To what.
    pub(crate) keys: Keys,
    /// Live, or with what was.
    pub(crate) verb: Verb,
    /// From where.
    pub(crate) start: Start,
    /// The 101; empty where it is out.
    pub(crate) head: Bytes,
    /// The subprotocol was offered and chosen.
    pub(crate) named: bool,
    /// As a departure's.
    pub(crate) dress: Dress,
    /// As a departure's.
    pub(crate) back: &'static Back,
    /// As a departure's, of nobody in particular yet.
    pub(crate) account: Account,
    /// As a departure's.
    pub(crate) place: Option<Box<Place>>,
    /// As a departure's.
    pub(crate) client: Option<IpAddr>,
    /// As a departure's.
    pub(crate) who: Kept,
    /// Where code serves: what is to be asked, once it is known who it is.
    pub(crate) comer: Option<Box<Comer>>,
}

/// Who it is and pays, and what came behind that.
type Known = (Permit, Account, Vec<u8>);

/// How it ends without having begun.
enum Ends {
    /// The peer is gone.
    Gone,
    /// These are its last bytes.
    Says(Vec<u8>),
    /// So are these, and this is why.
    Refused(Vec<u8>, Refusal),
}

impl Ends {
    fn close(code: CloseCode, reason: &str) -> Self {
        Self::Says(close_frame(Some(code), reason).to_vec())
    }

    /// The same for frames that are none.
    fn broken(code: CloseCode, reason: &str) -> Self {
        Self::fault(code, Code::BadRequest, reason)
    }

    /// The same for what the peer did, by a code of the table of errors.
    fn fault(code: CloseCode, why: Code, reason: &str) -> Self {
        let words = close_frame(Some(code), reason).to_vec();
        Self::Refused(words, Refusal::new(why, reason))
    }

    fn refused(refusal: Refusal) -> Self {
        Self::Refused(closing(&refusal), refusal)
    }
}

/// Opens the socket, hears who it is and goes on as with any other, in a task of
/// its own. `read` is what was read beyond the request.
pub(crate) fn prove(
    app: Arc<App>,
    peer: Arc<Peer>,
    stream: Stream,
    read: Bytes,
    unproven: Unproven,
) {
    tokio::spawn(run(app, peer, stream, read, unproven));
}

async fn run(
    app: Arc<App>,
    peer: Arc<Peer>,
    mut stream: Stream,
    read: Bytes,
    mut unproven: Unproven,
) {
    let comer = unproven.comer.take();
    let known = {
        let hears = pin!(hear((&app, &peer), &mut stream, read, &unproven));
        let stops = pin!(app.reached(Stage::Draining));
        tokio::select! {
            known = tokio::time::timeout(app.config.ws.auth_timeout, hears) => match known {
                Ok(known) => known,
                Err(_) => Err(Ends::fault(
                    CloseCode::AUTH_TIMEOUT,
                    Code::RequestTimeout,
                    "no token came in time; send {\"auth\":\"TOKEN\"} first",
                )),
            },
            () = stops => Err(Ends::close(CloseCode::RESTART, "the server shuts down")),
        }
    };
    let known = match known {
        Ok(known) => asked(&app, comer, known).await,
        Err(ends) => Err(ends),
    };
    match known {
        Ok(((permit, account, rest), visit)) => {
            let departure = Departure {
                permit,
                start: unproven.start,
                head: Bytes::new(),
                dress: unproven.dress,
                purpose: Purpose::WebSocket {
                    envelope: true,
                    named: unproven.named,
                    agreed: None,
                },
                back: unproven.back,
                account,
                place: unproven.place,
                client: unproven.client,
                who: unproven.who,
                visit,
            };
            depart(app, peer, stream, &rest, departure);
        }
        Err(Ends::Gone) => {}
        Err(Ends::Says(words)) => say_last(&app, stream, &words).await,
        Err(Ends::Refused(words, refusal)) => {
            app.refuses_kept(&refusal, &unproven.who);
            say_last(&app, stream, &words).await;
        }
    }
}

/// Whether code lets it in, where any serves.
async fn asked(
    app: &App,
    comer: Option<Box<Comer>>,
    known: Known,
) -> Result<(Known, Option<Box<Visit>>), Ends> {
    let visit = match comer {
        None => None,
        Some(comer) => {
            let asked = comer.asks(connection_id(), &known.0, Hears::Envelope).await;
            let visit = asked.map_err(|why| {
                Ends::Refused(refused_by_code(Hears::Envelope, &why), why.as_refusal())
            })?;
            Some(Box::new(visit))
        }
    };
    app.metrics.opens(Opened::WebSocket);
    Ok((known, visit))
}

async fn say_last(app: &App, mut stream: Stream, words: &[u8]) {
    let wait = app.config.ws.close_wait;
    let written = tokio::time::timeout(wait, stream.write_all(words)).await;
    if matches!(written, Ok(Ok(()))) {
        linger(stream, wait).await;
    }
}

/// The permit of whoever the first message says it is, and what came behind it.
async fn hear(
    (app, peer): (&Arc<App>, &Peer),
    stream: &mut Stream,
    read: Bytes,
    unproven: &Unproven,
) -> Result<Known, Ends> {
    write(stream, &unproven.head).await?;
    let (text, rest) = first(stream, read.to_vec()).await?;
    let Ok(Request::Auth(auth)) = Request::parse(&text) else {
        let refusal = Refusal::new(
            Code::Unauthorized,
            "the first frame is {\"auth\":\"TOKEN\"} where no key or token came with the request",
        );
        return Err(Ends::refused(refusal));
    };
    let asked = app.auth.user(&auth.token, app.now(), &app.metrics).await;
    let permit = asked
        .and_then(|subject| {
            app.door
                .admit(subject, unproven.verb, unproven.keys.clone())
        })
        .map_err(Ends::refused)?;
    let account = app.rates.becomes(unproven.account, permit.subject());
    let payer = Payer {
        buckets: &peer.buckets,
        account,
    };
    app.rates
        .listens(payer, permit.keys(), true, app.clock.now())
        .map_err(Ends::refused)?;
    Ok((permit, account, rest))
}

/// The first message, and what came behind it.
async fn first(stream: &mut Stream, mut read: Vec<u8>) -> Result<(Bytes, Vec<u8>), Ends> {
    let limits = Limits {
        max_message: MAX_FIRST,
        max_fragments: 16,
    };
    let mut decoder = Decoder::new(Role::Server, limits);
    let mut taken = 0;
    loop {
        let mut input = &read[..];
        loop {
            let before = input.len();
            let decoded = decoder.decode(&mut input);
            taken += before - input.len();
            let event =
                decoded.map_err(|broken| Ends::broken(CloseCode(broken.close_code), broken.why))?;
            if taken > MAX_BEFORE {
                let reason = "too much came before the token";
                return Err(Ends::fault(CloseCode::POLICY, Code::TooLarge, reason));
            }
            match event {
                Some(Event::Text(text)) => return Ok((text, input.to_vec())),
                Some(Event::Binary(_)) => {
                    let reason = "an envelope socket takes text frames";
                    return Err(Ends::broken(CloseCode::UNSUPPORTED, reason));
                }
                Some(Event::Ping(payload)) => {
                    write(stream, &frame(Opcode::Pong, &payload)).await?;
                }
                Some(Event::Pong(_)) => {}
                Some(Event::Close(code, _)) => {
                    return Err(Ends::close(code.unwrap_or(CloseCode::NORMAL), ""));
                }
                None => break,
            }
        }
        read = poll_fn(|cx| {
            with_scratch(|buffer| {
                let count = stream.poll_read(cx, buffer);
                count.map(|count| match count {
                    Ok(0) | Err(_) => Err(Ends::Gone),
                    Ok(count) => Ok(buffer[..count].to_vec()),
                })
            })
        })
        .await?;
    }
}

async fn write(stream: &mut Stream, bytes: &[u8]) -> Result<(), Ends> {
    stream.write_all(bytes).await.map_err(|_| Ends::Gone)
}
