//! One page that someone understands who has never seen the project: what was
//! done, plots, the table, what each word means, how to do it again.

use std::fmt::Write;

use super::figure::{Better, def, text};
use super::outcome::About;
use super::plot::{Bar, Line, bars, escape, latencies};
use super::summary::Row;

/// Colours of the page's style.
const COLOURS: usize = 8;
const STYLE: &str = include_str!("page.css");

/// Figures that the sentence about faults tells.
const FAULTS: [(&str, &str); 3] = [
    ("lost", "lost"),
    ("doubled", "delivered twice"),
    ("out_of_order", "out of order"),
];

/// What the transports are, for those who ask.
const TRANSPORTS: [(&str, &str); 5] = [
    (
        "longpoll",
        "<b>Long polling</b>: the client asks over plain HTTP, the server holds the answer back until there is something to tell, and the client asks again. Works everywhere; every message costs a request.",
    ),
    (
        "sse",
        "<b>SSE</b> (Server-Sent Events): one HTTP answer that never ends, to which the server adds messages. Built into browsers, which also reconnect by themselves. One direction; what clients send goes by requests of their own.",
    ),
    (
        "ws",
        "<b>WebSocket</b>: one connection for both directions, with a few bytes of framing for each message.",
    ),
    (
        "socketio",
        "<b>Socket.IO</b>: a protocol with rooms and acknowledgements on top of WebSocket.",
    ),
    (
        "socketio-poll",
        "<b>Socket.IO over polling</b>: the same protocol by repeated requests, where WebSocket does not get through.",
    ),
];

/// The page.
pub(crate) fn page(about: &About, rows: &[Row]) -> String {
    let names = names(rows);
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <title>fanwire bench: {}</title><style>{STYLE}</style></head><body><main>\n",
        escape(&about.scenario)
    );
    let _ = write!(
        out,
        "<h1>What real-time messaging costs</h1><p class=\"what\">Measured: {}.</p>",
        escape(&about.what)
    );
    out.push_str(&transports(rows));
    out.push_str(&faults(rows, &names));
    out.push_str(&latency(rows, &names));
    out.push_str("<div class=\"grid-of-bars\">");
    out.push_str(&all_bars(about, rows, &names));
    out.push_str("</div>");
    out.push_str(&table(about, rows, &names));
    out.push_str(&how(about));
    out.push_str("</main></body></html>\n");
    out
}

/// A row's name: with its server where there are several.
fn names(rows: &[Row]) -> Vec<String> {
    let several = rows.iter().any(|row| row.target != rows[0].target);
    let name = |row: &Row| match several {
        true => format!("{}:{}", row.target, row.transport),
        false => row.transport.clone(),
    };
    rows.iter().map(name).collect()
}

fn transports(rows: &[Row]) -> String {
    let here = TRANSPORTS
        .iter()
        .filter(|(name, _)| rows.iter().any(|row| row.transport == *name));
    let items: String = here.map(|(_, what)| format!("<li>{what}</li>")).collect();
    match items.is_empty() {
        true => String::new(),
        false => format!("<h2>What is compared</h2><ul>{items}</ul>"),
    }
}

/// Whether every message arrived once and in order.
fn faults(rows: &[Row], names: &[String]) -> String {
    let mut found = Vec::new();
    let mut checked = false;
    for (row, name) in rows.iter().zip(names) {
        for (key, what) in FAULTS {
            let Some(spread) = row.figures.get(key) else {
                continue;
            };
            checked = true;
            if spread.most > 0.0 {
                found.push(format!("{}: {} {what}", escape(name), text(spread.most)));
            }
        }
    }
    match (checked, found.is_empty()) {
        (false, _) => String::new(),
        (true, true) => "<p class=\"good\">✓ Every subscriber checked every message: none was lost, none came twice, none out of order.</p>".to_owned(),
        (true, false) => format!(
            "<p class=\"bad\">✗ Every subscriber checked every message. Deliveries that went wrong: {}.</p>",
            found.join("; ")
        ),
    }
}

fn latency(rows: &[Row], names: &[String]) -> String {
    let lines: Vec<Line> = rows
        .iter()
        .zip(names)
        .enumerate()
        .map(|(place, (row, name))| Line {
            name: name.clone(),
            colour: place % COLOURS,
            dashed: place / COLOURS % 2 == 1,
            points: row.latency.clone(),
        })
        .collect();
    let plot = latencies(&lines);
    match plot.is_empty() {
        true => String::new(),
        false => format!(
            "<h2>How long a message takes</h2><p>From the moment when it was due to be published \
             until a subscriber has it. Lower is better; both axes grow by factors of ten, so that \
             the slow ones show, which users notice.</p>{plot}"
        ),
    }
}

fn all_bars(about: &About, rows: &[Row], names: &[String]) -> String {
    let both_ways = |row: &Row| {
        let up = row.figures.get("up_mb_min")?.median;
        Some((up, row.figures.get("down_mb_min")?.median))
    };
    let mut out = String::new();
    for key in &about.columns {
        let Some(def) = def(key) else {
            continue;
        };
        let fault = FAULTS.iter().any(|(fault, _)| fault == key);
        if def.better == Better::Neither || fault || key.contains("p50") || key.contains("p999") {
            continue;
        }
        if key == "up_mb_min" {
            let shown = rows
                .iter()
                .zip(names)
                .enumerate()
                .filter_map(|(place, (row, name))| {
                    let (up, down) = both_ways(row)?;
                    Some(Bar {
                        name: name.clone(),
                        colour: place % COLOURS,
                        parts: vec![up, down],
                        says: format!("{} + {}", text(up), text(down)),
                    })
                });
            out.push_str(&bars(
                "MB per minute on the wire",
                "To the server (pale) and from the server: what TCP carried, without its own headers. Less is better.",
                &shown.collect::<Vec<_>>(),
            ));
            continue;
        }
        if key == "down_mb_min" {
            continue;
        }
        let shown = rows
            .iter()
            .zip(names)
            .enumerate()
            .filter_map(|(place, (row, name))| {
                let spread = row.figures.get(key)?;
                Some(Bar {
                    name: name.clone(),
                    colour: place % COLOURS,
                    parts: vec![spread.median],
                    says: text(spread.median),
                })
            });
        let shown: Vec<Bar> = shown.collect();
        if !shown.is_empty() {
            let better = if def.better == Better::More {
                "More"
            } else {
                "Less"
            };
            out.push_str(&bars(
                def.label,
                &format!("{}. {better} is better.", capital(def.means)),
                &shown,
            ));
        }
    }
    out
}

fn capital(sentence: &str) -> String {
    let mut chars = sentence.chars();
    let first = chars.next().map(|c| c.to_uppercase().to_string());
    first.unwrap_or_default() + chars.as_str()
}

fn table(about: &About, rows: &[Row], names: &[String]) -> String {
    let keys: Vec<&String> = about
        .columns
        .iter()
        .filter(|key| rows.iter().any(|row| row.figures.contains_key(*key)))
        .collect();
    let mut out = "<h2>All figures</h2><div class=\"wide\"><table><thead><tr><th></th>".to_owned();
    for def in keys.iter().filter_map(|key| def(key)) {
        let _ = write!(
            out,
            "<th title=\"{}\">{}</th>",
            escape(def.means),
            escape(def.label)
        );
    }
    out.push_str("</tr></thead><tbody>");
    for (row, name) in rows.iter().zip(names) {
        let _ = write!(out, "<tr><th>{}</th>", escape(name));
        for key in &keys {
            let cell = match row.figures.get(*key) {
                Some(spread) if row.repeats > 1 && spread.least != spread.most => format!(
                    "{}<small> {}–{}</small>",
                    text(spread.median),
                    text(spread.least),
                    text(spread.most)
                ),
                Some(spread) => text(spread.median),
                None => "–".to_owned(),
            };
            let _ = write!(out, "<td>{cell}</td>");
        }
        out.push_str("</tr>");
    }
    out.push_str("</tbody></table></div>");
    let notes: String = rows
        .iter()
        .zip(names)
        .flat_map(|(row, name)| row.notes.iter().map(move |note| (name, note)))
        .map(|(name, note)| format!("<li>{}: {}</li>", escape(name), escape(note)))
        .collect();
    if !notes.is_empty() {
        let _ = write!(out, "<h3>To be known</h3><ul>{notes}</ul>");
    }
    out.push_str("<details><summary>What the figures mean</summary><dl>");
    for def in keys.iter().filter_map(|key| def(key)) {
        let _ = write!(
            out,
            "<dt>{}</dt><dd>{}</dd>",
            escape(def.label),
            escape(def.means)
        );
    }
    out.push_str("</dl></details>");
    out
}

fn how(about: &About) -> String {
    let mut out = "<h2>How it was measured</h2><p>One process sends and listens for all clients, \
        on a core of its own, and checks every message; the server runs beside it on this machine. \
        Latency counts from the time when a message was due, so a server that falls behind cannot \
        hide it."
        .to_owned();
    if about.repeats > 1 {
        let _ = write!(
            out,
            " Everything was done {} times, servers in turns: figures are medians, with the least and the most.",
            about.repeats
        );
    }
    out.push_str("</p><dl>");
    for (name, value) in about
        .machine
        .iter()
        .map(|(n, v)| (n, v))
        .chain(&about.versions)
    {
        let _ = write!(out, "<dt>{}</dt><dd>{}</dd>", escape(name), escape(value));
    }
    let _ = write!(
        out,
        "</dl><p>To do it again: <code>{}</code></p>",
        escape(&about.command)
    );
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Outcome, Run, rows};

    fn a_page(lost: f64) -> String {
        let mut outcome = Outcome::default();
        for (key, value) in [
            ("p99_ms", 2.0),
            ("lost", lost),
            ("up_mb_min", 1.0),
            ("down_mb_min", 3.0),
        ] {
            outcome.set(key, value);
        }
        outcome.latency = vec![(0.0, 100.0), (50.0, 400.0), (99.0, 2000.0)];
        outcome.notes.push("a <note>".to_owned());
        let run = Run {
            target: "floor".to_owned(),
            transport: "ws".to_owned(),
            repeat: 0,
            outcome: Some(outcome),
            error: None,
        };
        let about = About {
            scenario: "classic".to_owned(),
            what: "a & b".to_owned(),
            command: "fanwire bench --html x.html".to_owned(),
            seed: 1,
            repeats: 1,
            machine: vec![("CPU".to_owned(), "one".to_owned())],
            versions: Default::default(),
            columns: ["p99_ms", "up_mb_min", "down_mb_min", "lost"]
                .map(str::to_owned)
                .into(),
        };
        page(&about, &rows(&[run]))
    }

    #[test]
    fn the_page_stands_alone_and_explains_itself() {
        let page = a_page(0.0);
        for part in [
            "<svg",
            "WebSocket",
            "none was lost",
            "a &amp; b",
            "a &lt;note&gt;",
            "MB per minute",
        ] {
            assert!(page.contains(part), "{part}");
        }
        for fetched in ["<script", "src=", "href=", "http://", "https://", "url("] {
            assert!(!page.contains(fetched), "{fetched}");
        }
        let opened = page.matches("<div").count();
        assert_eq!(opened, page.matches("</div>").count());
    }

    #[test]
    fn what_went_wrong_stands_above_the_plots() {
        let page = a_page(7.0);
        let wrong = page.find("ws: 7 lost");
        assert!(wrong.is_some() && wrong < page.find("<svg"));
        assert!(!page.contains("none was lost"));
    }
}
