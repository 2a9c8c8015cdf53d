//! What is seen in a browser: a page for each demo, its source, and the index. All of
//! it is in the binary.

use axum::Router;
use axum::extract::{Path, State};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY};

use crate::demo::Demo;

/// All demos, in the order of the index.
type Demos = &'static [&'static Demo];

const SHELL: &str = include_str!("assets/shell.html");
const STYLE: &str = include_str!("assets/style.css");
const COMMON: &str = include_str!("assets/common.js");
const CHART: &str = include_str!("assets/chart.js");
const FRONT: &str = include_str!("assets/index.js");
const READING: &str = include_str!("assets/source.js");

/// Scripts and styles from here alone; connections to this server, by any of its
/// addresses.
const POLICY: &str = "default-src 'self'; connect-src 'self' ws: wss:; img-src 'self' data: blob:; \
                      media-src 'self' blob:; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";

/// `/`, `/demo/…`, `/source/…` and `/assets/…`.
pub(crate) fn routes(demos: Demos) -> Router {
    Router::new()
        .route(
            "/",
            get(async move || page("Fanwire", &index(demos), Some("index"))),
        )
        .route("/demo/{name}", get(demo))
        .route("/source/{name}/{file}", get(source))
        .route("/assets/{file}", get(asset))
        .fallback(async || {
            let lost = "<h1>Nothing here</h1><p>The demos are <a href=\"/\">on this page</a>.</p>";
            (StatusCode::NOT_FOUND, page("Not found", lost, None))
        })
        .with_state(demos)
}

async fn demo(State(demos): State<Demos>, Path(name): Path<String>) -> Response {
    match find(demos, &name) {
        Some(demo) => page(demo.title, &body(demo), Some(demo.name)),
        None => missing(),
    }
}

async fn source(
    State(demos): State<Demos>,
    Path((name, file)): Path<(String, String)>,
) -> Response {
    let Some(demo) = find(demos, &name) else {
        return missing();
    };
    let Some((_, text)) = demo.source.iter().find(|(known, _)| *known == file) else {
        return missing();
    };
    let tabs: String = demo
        .source
        .iter()
        .map(|(known, _)| {
            let here = if *known == file {
                " aria-current=\"page\""
            } else {
                ""
            };
            format!("<a href=\"/source/{name}/{known}\"{here}>{known}</a> ")
        })
        .collect();
    let lines = text.lines().count();
    let body = format!(
        "<header class=\"title\"><p class=\"kind\">Source, {lines} lines</p><h1>{title}</h1>\
         <p><a href=\"/demo/{name}\">To the demo</a></p></header>\
         <nav class=\"tabs\" aria-label=\"Files\">{tabs}</nav>\
         <pre class=\"source\" tabindex=\"0\"><code>{code}</code></pre>",
        title = escaped(demo.title),
        code = escaped(text),
    );
    page(demo.title, &body, Some("source"))
}

async fn asset(State(demos): State<Demos>, Path(file): Path<String>) -> Response {
    let (kind, text) = match file.as_str() {
        "style.css" => ("text/css", STYLE),
        "common.js" => ("text/javascript", COMMON),
        "chart.js" => ("text/javascript", CHART),
        "index.js" => ("text/javascript", FRONT),
        "source.js" => ("text/javascript", READING),
        script => {
            let name = script.strip_suffix(".js").unwrap_or_default();
            match find(demos, name) {
                Some(demo) => ("text/javascript", demo.script),
                None => return missing(),
            }
        }
    };
    ([(CONTENT_TYPE, kind), (CACHE_CONTROL, "no-cache")], text).into_response()
}

fn find(demos: Demos, name: &str) -> Option<&'static Demo> {
    demos.iter().copied().find(|demo| demo.name == name)
}

fn missing() -> Response {
    (StatusCode::NOT_FOUND, "there is no such page").into_response()
}

fn index(demos: Demos) -> String {
    let cards: String = demos.iter().map(|demo| card(demo)).collect();
    include_str!("assets/index.html").replace("{{cards}}", &cards)
}

fn card(demo: &Demo) -> String {
    let source = first_source(demo);
    format!(
        "<li class=\"card\"><p class=\"kind\">{by}</p>\
         <h2><a href=\"/demo/{name}\">{title}</a></h2><p>{shows}</p>\
         <p class=\"more\"><a href=\"{source}\">Its Rust source</a></p></li>",
        by = escaped(demo.by),
        name = demo.name,
        title = escaped(demo.title),
        shows = escaped(demo.shows),
    )
}

fn body(demo: &Demo) -> String {
    format!(
        "<header class=\"title\"><p class=\"kind\">{by}</p><h1>{title}</h1><p>{shows} \
         <a href=\"{source}\">Read its Rust source.</a></p></header>{body}",
        by = escaped(demo.by),
        title = escaped(demo.title),
        shows = escaped(demo.shows),
        source = first_source(demo),
        body = demo.body,
    )
}

fn first_source(demo: &Demo) -> String {
    let file = demo.source.first().map_or("", |(file, _)| file);
    format!("/source/{}/{file}", demo.name)
}

fn page(title: &str, body: &str, script: Option<&str>) -> Response {
    let script = script.map_or_else(String::new, |name| {
        format!("<script type=\"module\" src=\"/assets/{name}.js\"></script>")
    });
    let title = match title {
        "Fanwire" => "Fanwire: real-time demos".to_owned(),
        title => format!("{} · Fanwire", escaped(title)),
    };
    let html = SHELL
        .replace("{{title}}", &title)
        .replace("{{script}}", &script)
        .replace("{{body}}", body);
    let headers = [
        (CONTENT_SECURITY_POLICY, POLICY),
        (REFERRER_POLICY, "no-referrer"),
        (CACHE_CONTROL, "no-cache"),
    ];
    (headers, Html(html)).into_response()
}

/// As text of HTML and inside its attributes.
fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len() + text.len() / 8);
    for character in text.chars() {
        match character {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            other => html.push(other),
        }
    }
    html
}
