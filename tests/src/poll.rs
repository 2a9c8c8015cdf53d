//! A long poll, asked again and again.

use std::collections::VecDeque;
use std::net::SocketAddr;

use serde_json::value::RawValue;

use crate::http::{Answer, Http};
use crate::said::{Said, envelope};
use crate::wire::Ending;

/// Polls one list of channels. Its connection is kept and used again.
#[derive(Debug)]
pub struct Poller {
    to: SocketAddr,
    /// The path and its query, without cursor and wait; it has a `?`.
    target: String,
    headers: Vec<(String, String)>,
    http: Option<Http>,
    queue: VecDeque<Said>,
    /// What the next request asks for: a cursor, `earliest`, or nothing.
    pub after: Option<String>,
    /// The last cursor seen: of a message's id, of an answer.
    pub last_id: Option<String>,
    /// Seconds that one request may wait.
    pub wait: u32,
    /// Answers so far.
    pub answers: usize,
}

impl Poller {
    /// A poller that starts after `after` (now, without one). `target` names
    /// the channels.
    pub fn new(to: SocketAddr, target: &str, after: Option<String>) -> Self {
        let mark = if target.contains('?') { '&' } else { '?' };
        Self {
            to,
            target: format!("{target}{mark}"),
            headers: Vec::new(),
            http: None,
            queue: VecDeque::new(),
            after,
            last_id: None,
            wait: 20,
            answers: 0,
        }
    }

    /// Adds a header to every request.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The next message or gap; [`Said::Cursor`] after each answer's last.
    ///
    /// # Panics
    /// Where an answer is not of the form of section 4.
    pub async fn next(&mut self) -> Said {
        if self.queue.is_empty() {
            match self.ask().await {
                Ok(answer) => self.take(&answer),
                Err(_) => return Said::Cut,
            }
        }
        let said = self.queue.pop_front().unwrap_or(Said::Cut);
        match &said {
            Said::Heard(heard) if heard.id.is_some() => self.last_id = heard.id.clone(),
            Said::Cursor(cursor) => self.last_id = Some(cursor.clone()),
            _ => {}
        }
        said
    }

    /// One request and its answer.
    ///
    /// # Errors
    /// The ending, where no whole answer came.
    pub async fn ask(&mut self) -> Result<Answer, Ending> {
        let mut target = format!("{}wait={}", self.target, self.wait);
        if let Some(after) = &self.after {
            target.push_str("&after=");
            target.push_str(after);
        }
        let mut http = match self.http.take() {
            Some(http) => http,
            None => Http::connect(self.to).await,
        };
        let headers: Vec<(&str, &str)> = self
            .headers
            .iter()
            .map(|(n, v)| (n.as_str(), v.as_str()))
            .collect();
        let answer = http.try_ask("GET", &target, &headers, b"").await?;
        if answer.header("connection") != Some("close") {
            self.http = Some(http);
        }
        Ok(answer)
    }

    fn take(&mut self, answer: &Answer) {
        let (all, cursor) = read(answer);
        self.answers += 1;
        self.queue.extend(all);
        self.queue.push_back(Said::Cursor(cursor.clone()));
        self.after = Some(cursor);
    }
}

/// The messages and the cursor of a poll's or a history's answer.
///
/// # Panics
/// Where it is not of the form of section 4.
pub fn read(answer: &Answer) -> (Vec<Said>, String) {
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let text = answer.text();
    let members: std::collections::BTreeMap<String, Box<RawValue>> =
        match serde_json::from_slice(&answer.body) {
            Ok(members) => members,
            Err(error) => panic!("{error}: {text}"),
        };
    let (Some(messages), Some(cursor)) = (members.get("messages"), members.get("cursor")) else {
        panic!("not an answer: {text}")
    };
    let messages: Vec<Box<RawValue>> = match serde_json::from_str(messages.get()) {
        Ok(messages) => messages,
        Err(error) => panic!("{error}: {text}"),
    };
    let cursor: String = match serde_json::from_str(cursor.get()) {
        Ok(cursor) => cursor,
        Err(error) => panic!("{error}: {text}"),
    };
    (
        messages
            .iter()
            .map(|raw| envelope(raw.get().as_bytes()))
            .collect(),
        cursor,
    )
}
