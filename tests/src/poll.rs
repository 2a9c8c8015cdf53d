//! A long poll, asked again and again.

use std::collections::VecDeque;
use std::net::SocketAddr;

use serde_json::value::RawValue;

use crate::http::{Answer, Http, request};
use crate::said::{Said, envelope};
use crate::wire::Ending;

/// Polls one list of channels. Its connection is kept and used again.
#[derive(Debug)]
pub struct Poller {
    to: SocketAddr,
    /// The path and its query, without cursor and wait; it has a `?`.
    target: String,
    headers: Vec<(String, Vec<u8>)>,
    every: Vec<(String, Vec<u8>)>,
    http: Option<Http>,
    http2: bool,
    queue: VecDeque<Said>,
    /// The query of the first request.
    first: String,
    /// The last answer's cursor.
    pub after: Option<String>,
    /// The last cursor seen: of a message's id, of an answer.
    pub last_id: Option<String>,
    /// Seconds that one request may wait.
    pub wait: u32,
    /// Answers so far.
    pub answers: usize,
}

impl Poller {
    /// A poller of the channels that `target` names. The first request has the
    /// query `first` (empty: from now), the others the cursor of the last answer.
    pub fn new(to: SocketAddr, target: &str, first: &str) -> Self {
        let mark = if target.contains('?') { '&' } else { '?' };
        Self {
            to,
            target: format!("{target}{mark}"),
            headers: Vec::new(),
            every: Vec::new(),
            http: None,
            http2: false,
            queue: VecDeque::new(),
            first: first.to_owned(),
            after: None,
            last_id: None,
            wait: 20,
            answers: 0,
        }
    }

    /// Polls over HTTP/2.
    #[must_use]
    pub fn over_http2(mut self, yes: bool) -> Self {
        self.http2 = yes;
        self
    }

    /// Adds a header to the first request.
    #[must_use]
    pub fn first_header(mut self, name: &str, value: &[u8]) -> Self {
        self.headers.push((name.to_owned(), value.to_vec()));
        self
    }

    /// Adds a header to every request.
    #[must_use]
    pub fn header(mut self, name: &str, value: &[u8]) -> Self {
        self.every.push((name.to_owned(), value.to_vec()));
        self
    }

    /// A first request that does not wait: from here on, nothing is missed.
    ///
    /// # Errors
    /// The ending, where no whole answer came.
    ///
    /// # Panics
    /// Where it is refused.
    pub async fn anchor(&mut self) -> Result<(), Ending> {
        match self.try_anchor().await? {
            Ok(()) => Ok(()),
            Err(answer) => panic!("{}: {} {}", self.target, answer.status, answer.text()),
        }
    }

    /// The same, where it may be refused.
    ///
    /// # Errors
    /// As [`Poller::anchor`].
    pub async fn try_anchor(&mut self) -> Result<Result<(), Answer>, Ending> {
        let wait = std::mem::take(&mut self.wait);
        let answer = self.ask().await;
        self.wait = wait;
        let answer = answer?;
        if answer.status != 200 {
            return Ok(Err(answer));
        }
        self.take(&answer);
        Ok(Ok(()))
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

    /// What [`Poller::next`] would give without asking again.
    pub fn peek(&self) -> Option<&Said> {
        self.queue.front()
    }

    /// One request and its answer.
    ///
    /// # Errors
    /// The ending, where no whole answer came.
    pub async fn ask(&mut self) -> Result<Answer, Ending> {
        let start = match &self.after {
            Some(after) => format!("after={after}"),
            None => self.first.clone(),
        };
        let mark = if start.is_empty() { "" } else { "&" };
        let target = format!("{}wait={}{mark}{start}", self.target, self.wait);
        let mut http = match self.http.take() {
            Some(http) => http,
            None if self.http2 => Http::connect2(self.to).await,
            None => Http::connect(self.to).await,
        };
        let host = self.to.to_string();
        let mut headers: Vec<(&str, &[u8])> = vec![("Host", host.as_bytes())];
        headers.extend(self.every.iter().map(|(n, v)| (n.as_str(), v.as_slice())));
        if self.after.is_none() {
            headers.extend(self.headers.iter().map(|(n, v)| (n.as_str(), v.as_slice())));
        }
        let _ = http
            .wire
            .send(&request("GET", &target, &headers, b""))
            .await;
        let answer = http.answer().await?;
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
