//! What each path answers to.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use fanwire_core::error::{Code, Refusal};
use fanwire_core::message::Keys;
use fanwire_core::policy::Subject;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_MAX_AGE, ALLOW,
    CONNECTION, HeaderValue,
};
use http::{Method, Request, Response, StatusCode, Version, request};
use hyper::body::{Body as _, Incoming};

use super::coming::Coming;
use super::engineio;
use super::gate::{Exit, Hatch};
use super::handshake;
use super::listen::{self, Reply};
use super::negotiate::{is_event_stream, wants_websocket};
use super::pour::{Sends, sends};
use super::publish::{self, Sent};
use super::routes::Own;
use super::target::Query;
use super::wait::{Seen, Waiting};
use super::{api, next, paths, routes, target};
use crate::access::{self, Origin};
use crate::answer::{Answer, Dress, empty, full, not_allowed, problem, put_off};
use crate::app::{App, Peer, too_many};
use crate::browser_client;
use crate::forwarded;
use crate::rates::Payer;
use crate::refused::{Via, Who};

const PLAIN: &str = "text/plain; charset=utf-8";
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Answers one request of HTTP/1.1, or lets its socket leave.
pub(super) async fn handle(
    app: Arc<App>,
    peer: Arc<Peer>,
    hatch: Arc<Hatch>,
    request: Request<Incoming>,
) -> Result<Answer, Infallible> {
    let took = hatch.handling();
    let (head, body) = request.into_parts();
    let mut body = Coming::Ours(body);
    if let Some(routes) = routes::theirs(&app, &peer, &head) {
        let (method, version) = (head.method.clone(), head.version);
        let answer = match routed(&app, &peer, routes, head, body).await {
            Ok(answer) => answer,
            Err(waiting) => {
                hatch.leave(Exit::Waits(waiting));
                return std::future::pending().await;
            }
        };
        let mut answer = match sends(answer, &method, version).await {
            Sends::Whole(answer) => answer,
            Sends::Pours(pouring) => {
                hatch.leave(Exit::Pours(pouring));
                return std::future::pending().await;
            }
        };
        if peer.over_limit || app.is_stopping() {
            let close = HeaderValue::from_static("close");
            answer.headers_mut().insert(CONNECTION, close);
        }
        hatch.answering();
        return Ok(answer);
    }
    let mut answer = match judge(&app, &peer, took, &head, Sent::Coming(&mut body)).await {
        Reply::Answer(answer) => answer,
        Reply::Departs(departure) => {
            // The connection's task takes the socket away after this poll, and
            // drops this future with the rest of hyper's state.
            hatch.leave(Exit::Departs(departure));
            std::future::pending().await
        }
        Reply::Unproven(unproven) => {
            hatch.leave(Exit::Unproven(unproven));
            std::future::pending().await
        }
        Reply::Says { head, words, .. } => {
            hatch.leave(Exit::Says([head, words].concat().into()));
            std::future::pending().await
        }
        Reply::Engine(exit) => {
            hatch.leave(Exit::Engine(exit));
            std::future::pending().await
        }
    };
    if peer.over_limit || app.is_stopping() {
        let close = HeaderValue::from_static("close");
        answer.headers_mut().insert(CONNECTION, close);
    } else if answer.status() == StatusCode::OK && next::may_publish_again(&app, &peer, &head) {
        // The next message is read without hyper.
        hatch.leave(Exit::Rests(next::written(answer).await));
        return std::future::pending().await;
    }
    hatch.answering();
    Ok(answer)
}

/// What an application's route answers; where that takes its time, what to wait for.
async fn routed(
    app: &Arc<App>,
    peer: &Arc<Peer>,
    routes: routes::Routes,
    head: request::Parts,
    body: Coming,
) -> Result<Response<Own>, Box<Waiting>> {
    if !body.is_end_stream() {
        // hyper reads it.
        return Ok(routes::answer(app, peer, routes, head, body).await);
    }
    let (app, peer) = (app.clone(), peer.clone());
    let seen = Seen::of(&head);
    let answering = async move { routes::answer(&app, &peer, routes, head, body).await };
    Waiting::new(seen, Box::pin(answering)).soon().await
}

/// What becomes of one request, whichever HTTP it came by. `took` is the time
/// that its head took to come.
pub(super) async fn judge(
    app: &Arc<App>,
    peer: &Peer,
    took: Duration,
    head: &request::Parts,
    body: Sent<'_>,
) -> Reply {
    peer.serves();
    let own = paths::translated(app, peer, head);
    let head = own.as_ref().unwrap_or(head);
    let mut dress = dress(head);
    let routed = route(app, peer, head, (Some(body), None), took, &mut dress).await;
    let mut answer = match routed {
        Ok(Reply::Answer(answer)) => {
            if answer.status() == StatusCode::METHOD_NOT_ALLOWED {
                app.refuses(&no_method(&answer), who(app, peer, head));
            }
            answer
        }
        Ok(departs) => return departs,
        Err(refusal) => {
            let who = who(app, peer, head);
            tracing::debug!(code = refusal.code.as_str(), client = %who.client, "refused");
            app.refuses(&refusal, who);
            let mut answer = problem(&refusal);
            if wants_websocket(&head.headers) && refusal.code == Code::BadRequest {
                // Who wrote that may mean something else by what follows, too.
                let close = HeaderValue::from_static("close");
                answer.headers_mut().insert(CONNECTION, close);
            }
            answer
        }
    };
    dress.put_on(answer.headers_mut());
    Reply::Answer(answer)
}

/// Why this answer is a 405.
fn no_method(answer: &Answer) -> Refusal {
    let allow = answer
        .headers()
        .get(ALLOW)
        .and_then(|allow| allow.to_str().ok());
    let sentence = format!("this path takes {}", allow.unwrap_or("nothing"));
    Refusal::new(Code::MethodNotAllowed, sentence)
}

/// Who sent this request, should it be refused.
pub(super) fn who<'a>(app: &App, peer: &Peer, head: &'a request::Parts) -> Who<'a> {
    let client = forwarded::client(&app.config.access, peer.address, &head.headers);
    let via = match app.on_refused {
        Some(_) => via(app, head),
        None => Via::Http,
    };
    Who::new(client.unwrap_or(peer.address), via).by(head)
}

/// By what it would be served.
fn via(app: &App, head: &request::Parts) -> Via {
    let (path, query) = (head.uri.path(), head.uri.query());
    if engineio::is_here(app, path) {
        return Via::EngineIo;
    }
    if channels_of(path).is_none() {
        return Via::Http;
    }
    let waits = |query: &str| {
        query
            .split('&')
            .any(|part| part.split('=').next() == Some("wait"))
    };
    if wants_websocket(&head.headers) {
        Via::WebSocket
    } else if head.method != Method::GET {
        Via::Http
    } else if is_event_stream(&head.headers, query) {
        Via::Sse
    } else if query.is_some_and(waits) {
        Via::Poll
    } else {
        Via::Http
    }
}

/// What the answer carries, before anything else is known.
pub(super) fn dress(head: &request::Parts) -> Dress {
    Dress {
        no_store: channels_of(head.uri.path()).is_some() || head.uri.path().starts_with("/api/"),
        ..Dress::default()
    }
}

/// The list after `/c/`, or nothing after `/c`; none for other paths.
pub(super) fn channels_of(path: &str) -> Option<Option<&str>> {
    match path.strip_prefix("/c")? {
        "" => Some(None),
        rest => rest.strip_prefix('/').map(Some),
    }
}

/// What becomes of a request. `body`: none where it is known to have none; `read`:
/// what has been read of its target already.
pub(super) async fn route(
    app: &Arc<App>,
    peer: &Peer,
    head: &request::Parts,
    (body, read): (Option<Sent<'_>>, Option<(Keys, Query)>),
    took: Duration,
    dress: &mut Dress,
) -> Result<Reply, Refusal> {
    let authority = head.uri.authority().map(http::uri::Authority::as_str);
    let http_10 = head.version < Version::HTTP_11;
    let loopback = peer.loopback_bind;
    app.access
        .admit(&head.headers, authority, loopback, http_10)?;
    let origin = app.access.origin(&head.headers, authority, loopback);
    if let Origin::Allowed(value) = &origin {
        dress.origin = Some(value.clone());
        dress.credentials = app.access.credentials();
    }
    let target = head.uri.path_and_query();
    if target.is_some_and(|target| target.as_str().len() > app.config.http.uri_bytes) {
        return Err(Refusal::new(
            Code::UriTooLong,
            "the request's target is too long",
        ));
    }
    let proxied = forwarded::client(&app.config.access, peer.address, &head.headers);
    let client = proxied.unwrap_or(peer.address);
    let caller = app
        .auth
        .caller(head, client, app.now(), &app.metrics)
        .await?;
    if caller.by_cookie && origin == Origin::Denied {
        return Err(Refusal::new(
            Code::OriginDenied,
            "this page's origin may not act as its visitor; start the server with \
             --allow-origin ORIGIN",
        ));
    }
    let subject = caller.subject;
    if peer.admin && !for_operators(head.uri.path()) {
        let sentence = "here are /metrics, /healthz, /readyz and /api/…, for operators";
        return Err(Refusal::new(Code::NotFound, sentence));
    }
    let answer = match (head.uri.path(), &head.method) {
        // Mounted, the page is the application's, and its links would lead elsewhere.
        ("/", _) if peer.mounted => return Err(not_found(app, peer)),
        ("/", &Method::GET) => app.page.answer(),
        ("/healthz", &Method::GET) => full(StatusCode::OK, PLAIN, "ok"),
        ("/readyz", &Method::GET) => ready(app).await?,
        ("/metrics", &Method::GET) => metrics(app, peer, &subject)?,
        ("/" | "/healthz" | "/readyz" | "/metrics", _) => not_allowed("GET"),
        (path, method) if browser_client::is_here(app.config.socketio.path.as_str(), path) => {
            browser_client::answer(path, method, &head.headers)
        }
        (path, method) if path.starts_with("/api/") => {
            let path = &path["/api/".len()..];
            let asked = api::Asked {
                path,
                query: head.uri.query().unwrap_or_default(),
                method,
                headers: &head.headers,
            };
            api::answer(app, &subject, asked, body).await?
        }
        (path, _) if engineio::is_here(app, path) => {
            let place = proxied.map(|client| peer.place_of(client));
            let account = app.rates.account(&subject, client, proxied.is_some());
            let asked = engineio::Asked {
                head,
                subject,
                client,
                account,
                foreign: origin == Origin::Denied,
                took,
                place,
            };
            return Ok(
                match engineio::answer(app, peer, asked, body, dress).await {
                    engineio::Said::Answer(answer) => Reply::Answer(answer),
                    engineio::Said::Leaves(exit) => Reply::Engine(exit),
                    engineio::Said::Closes(head, words) => Reply::Says {
                        head,
                        named: false,
                        words,
                    },
                },
            );
        }
        (path, method) => {
            let Some(list) = channels_of(path) else {
                return Err(not_found(app, peer));
            };
            let upgrade = wants_websocket(&head.headers);
            match *method {
                Method::GET | Method::POST => {}
                Method::OPTIONS => {
                    return Ok(Reply::Answer(options(paths::methods(head), &origin)));
                }
                _ => return Ok(Reply::Answer(not_allowed(paths::methods(head)))),
            }
            // Held while the request is served, and as long as its stream lasts.
            let place = proxied.map(|client| peer.place_of(client));
            if peer.over_limit || matches!(place, Some(None)) {
                return over_limit(app, peer, head, dress);
            }
            if origin == Origin::Denied && (method == Method::POST || upgrade) {
                return Err(access::origin_denied());
            }
            if upgrade && took > app.config.ws.handshake {
                let sentence = "the handshake came too slowly; send it at once";
                return Err(Refusal::new(Code::RequestTimeout, sentence));
            }
            let (keys, query) = match read {
                Some(read) => read,
                None => target::read(list, head.uri.query())?,
            };
            let account = app.rates.account(&subject, client, proxied.is_some());
            let payer = Payer {
                buckets: &peer.buckets,
                account,
            };
            if method == Method::GET {
                let who = (subject, payer, client);
                let mut reply = listen::get(app, peer, who, keys, &query, head, dress).await?;
                let place = place.flatten().map(Box::new);
                let told = || app.remembers(self::who(app, peer, head));
                match &mut reply {
                    Reply::Departs(departure) => {
                        (departure.place, departure.client) = (place, Some(client));
                        departure.who = told();
                    }
                    Reply::Unproven(unproven) => {
                        (unproven.place, unproven.client) = (place, Some(client));
                        unproven.who = told();
                    }
                    Reply::Answer(_) | Reply::Says { .. } | Reply::Engine(_) => {}
                }
                return Ok(reply);
            }
            if upgrade {
                let sentence = "a WebSocket is opened by a GET";
                return Err(Refusal::new(Code::BadRequest, sentence));
            }
            let Some(body) = body else {
                let sentence = "a message is the body of its request";
                return Err(Refusal::new(Code::BadRequest, sentence));
            };
            let who = (subject, payer, client);
            publish::publish(app, who, keys, query, head, body).await?
        }
    };
    Ok(Reply::Answer(answer))
}

fn not_found(app: &App, peer: &Peer) -> Refusal {
    let socketio = &app.config.socketio.path;
    let page = match peer.mounted {
        true => "",
        false => " and the page at /",
    };
    let sentence = format!("there is /c/CHANNEL, {socketio}, /api/…, /healthz{page}");
    Refusal::new(Code::NotFound, sentence)
}

/// What is served on the addresses of operators.
fn for_operators(path: &str) -> bool {
    matches!(path, "/metrics" | "/healthz" | "/readyz") || path.starts_with("/api/")
}

/// Whether new streams can be taken: it does not stop, its shards turn, and the
/// broker answers.
async fn ready(app: &App) -> Result<Answer, Refusal> {
    if app.is_stopping() {
        let sentence = "the server is shutting down";
        return Err(Refusal::new(Code::Unavailable, sentence));
    }
    app.hub.is_ready(app.config.limits.operator_wait).await?;
    Ok(full(StatusCode::OK, PLAIN, "ready"))
}

/// The figures: on the addresses of operators. Where there are none, for holders of
/// an API key, and for programs of this machine as long as nobody chose who may
/// come in.
fn metrics(app: &App, peer: &Peer, subject: &Subject) -> Result<Answer, Refusal> {
    if !peer.admin {
        // Mounted, there is no other address.
        if !app.config.listen.admin_addresses.is_empty() && !peer.mounted {
            let sentence = "the figures are on another address (listen.admin_addresses)";
            return Err(Refusal::new(Code::NotFound, sentence));
        }
        if !app.config.is_unconfigured() {
            api::key(subject)?;
        }
    }
    let counts = app.reload.counts.get().map(|counts| &**counts);
    let sockets = app.spaces.len();
    let text = app
        .metrics
        .text(&app.hub.stats(), app.hub.keys(), counts, sockets);
    Ok(full(StatusCode::OK, METRICS, text))
}

/// `OPTIONS`: what is allowed, and to an allowed page that it is.
fn options(methods: &'static str, origin: &Origin) -> Answer {
    let mut answer = empty(StatusCode::NO_CONTENT);
    let headers = answer.headers_mut();
    let methods = HeaderValue::from_static(methods);
    headers.insert(ALLOW, methods.clone());
    if matches!(origin, Origin::Allowed(_)) {
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, methods);
        headers.insert(
            ACCESS_CONTROL_ALLOW_HEADERS,
            HeaderValue::from_static(
                "authorization, content-type, idempotency-key, last-event-id, cache-control",
            ),
        );
        headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    }
    answer
}

/// A connection over the limit is answered once: an event stream so that it
/// comes back later, a WebSocket by a close code, because a page never sees the
/// status of a handshake; everything else with 429.
fn over_limit(
    app: &App,
    peer: &Peer,
    head: &request::Parts,
    dress: &Dress,
) -> Result<Reply, Refusal> {
    let refusal = peer.too_fast.clone().unwrap_or_else(too_many);
    if wants_websocket(&head.headers) {
        let said = handshake::close_at_once(head, dress, &refusal)?;
        app.refuses(&refusal, who(app, peer, head));
        return Ok(said);
    }
    if is_event_stream(&head.headers, head.uri.query()) {
        app.refuses(&refusal, who(app, peer, head));
        return Ok(Reply::Answer(put_off(app.put_off_ms_for(&refusal))));
    }
    Err(refusal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_after_c_is_the_list() {
        assert_eq!(channels_of("/c/a/b,c"), Some(Some("a/b,c")));
        assert_eq!(channels_of("/c/"), Some(Some("")));
        assert_eq!(channels_of("/c"), Some(None));
        assert_eq!(channels_of("/channels"), None);
        assert_eq!(channels_of("/"), None);
        assert_eq!(channels_of("*"), None);
    }

    #[test]
    fn o4_options_tells_allowed_pages_what_they_may_send() {
        let methods = "GET, POST, OPTIONS";
        let denied = options(methods, &Origin::Denied);
        assert_eq!(denied.status(), StatusCode::NO_CONTENT);
        assert_eq!(denied.headers()[ALLOW], methods);
        assert!(!denied.headers().contains_key(ACCESS_CONTROL_ALLOW_METHODS));
        let page = Origin::Allowed(HeaderValue::from_static("https://a.org"));
        let allowed = options(methods, &page);
        assert_eq!(allowed.headers()[ACCESS_CONTROL_ALLOW_METHODS], methods);
        assert!(allowed.headers().contains_key(ACCESS_CONTROL_ALLOW_HEADERS));
    }
}
