//! HEAD at routes of an application's own: what is said of a body that does not come.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use fanwire::{Client, Config, RequestBody, Server};
use fanwire_tests::http::{Head, Http, chunk, request};
use fanwire_tests::wait::within;
use http::{Method, Request, Response};
use tower_service::Service;

/// A route that leaves it to its server to send no body to a HEAD. At paths that begin with
/// `/late` it takes longer than what hyper waits for; one that ends in `/endless` has a body
/// without a length, which must not be waited for; the others have one of four bytes.
#[derive(Clone)]
struct Plain;

impl Service<Request<RequestBody>> for Plain {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        Box::pin(async move {
            let path = request.uri().path();
            if path.starts_with("/late") {
                tokio::time::sleep(Duration::from_millis(150)).await;
            }
            let endless = path.ends_with("/endless") && request.method() == Method::HEAD;
            Ok(Response::new(match endless {
                true => Body::from_stream(tokio_stream::pending::<Result<Bytes, Infallible>>()),
                false => Body::from("four"),
            }))
        })
    }
}

fn server() -> Server {
    let mut config = Config::default();
    config.listen.addresses = vec![SocketAddr::from(([127, 0, 0, 1], 0))];
    config.listen.drain_window = Duration::ZERO;
    Server::new(config).unwrap().routes(Plain)
}

/// What is said of the length of each, asked one after the other on one connection.
async fn lengths(mut http: Http, second: bool) {
    for (path, length) in [
        ("/known", Some("4")),
        ("/endless", None),
        ("/late/known", Some("4")),
        ("/late/endless", None),
    ] {
        let asked = request("HEAD", path, &[("Host", b"127.0.0.1")], b"");
        http.wire.send(&asked).await.unwrap();
        let head = Head::read(&mut http.wire).await.unwrap();
        let said = head
            .headers
            .iter()
            .filter(|(name, _)| name == "content-length");
        let said: Vec<_> = said.map(|(_, length)| length.as_str()).collect();
        assert_eq!((head.status, said), (200, Vec::from_iter(length)), "{path}");
        if second && length.is_none() {
            // The bridge's own, for what has no length.
            assert_eq!(chunk(&mut http.wire).await.unwrap(), None, "{path}");
        }
        // Nothing of a body: the next answer begins there.
        let next = http.ask("GET", path, &[], b"").await;
        assert_eq!((next.status, next.text().as_str()), (200, "four"), "{path}");
    }
}

#[tokio::test]
async fn a_head_tells_the_length_that_a_get_would_have_or_none() {
    let running = server().start().await.unwrap();
    let to = running.addr();
    let first = lengths(Http::connect(to).await, false);
    within("all over HTTP/1.1", Box::pin(first)).await;
    let second = lengths(Http::connect2(to).await, true);
    within("all over HTTP/2", Box::pin(second)).await;
    within("the server to end", running.shutdown()).await;
}

#[tokio::test]
#[allow(clippy::disallowed_methods)] // axum's own server is what this is about.
async fn a_mounted_routes_head_tells_no_length_that_is_not_known() {
    let mounted = server().mount().await.unwrap();
    let whose = axum::middleware::map_request(|mut request: axum::extract::Request| {
        request
            .extensions_mut()
            .insert(Client([127, 0, 0, 1].into()));
        std::future::ready(request)
    });
    let app = Router::new().fallback_service(mounted.service).layer(whose);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = listener.local_addr().unwrap();
    let serving = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    let first = lengths(Http::connect(to).await, false);
    within("all over HTTP/1.1", Box::pin(first)).await;
    let second = lengths(Http::connect2(to).await, true);
    within("all over HTTP/2", Box::pin(second)).await;
    // A preflight's answer has no body, and says nothing of its length either.
    let mut http = Http::connect(to).await;
    let answer = http.ask("OPTIONS", "/c/news", &[], b"").await;
    assert_eq!(
        (answer.status, answer.header("content-length")),
        (204, None)
    );
    within("the server to end", mounted.running.shutdown()).await;
    serving.abort();
}
