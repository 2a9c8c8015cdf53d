//! Stands between the hub and the broker: writes down what the broker answered
//! and fed, and, over a broker that never fails, lets it fail at the seed's will.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use fanwire_core::broker::{
    Append, AppendError, Appended, Broker, BrokerFuture, Fed, Feed, FeedEvent, Held, ReadReply,
    ReadRequest, Tail, Top, Unavailable,
};
use fanwire_core::cursor::Seq;
use fanwire_core::hub::Runtime;
use fanwire_core::key::Key;
use fanwire_core::message::{Body, Keys, Message};
use parking_lot::Mutex;

use crate::events::{Entry, Event};
use crate::exec::{Exec, Time};
use crate::rng::Rng;

/// How often (in percent) what goes wrong.
#[derive(Clone, Copy, Default, Debug)]
pub struct Trouble {
    /// Reads, tails and tops that answer only after a while.
    pub slow: usize,
    /// Reads, tails and tops that cannot be had.
    pub unavailable: usize,
    /// Appends that are refused, and kept nowhere.
    pub refused: usize,
    /// Appends that are kept, and their outcome is not known.
    pub unknown: usize,
}

/// What the tap wrote down.
#[derive(Default)]
pub struct Notes {
    /// For the oracle, in order; taken by the world.
    pub events: Vec<Event>,
    /// Cuts handed to the hub.
    pub cuts: usize,
    /// The newest seq handed to the hub.
    pub fed: u64,
    pub counts: HashMap<&'static str, u64>,
    /// How many listeners each channel has, as the broker was told.
    pub listeners: HashMap<String, i64>,
}

/// The broker that the hub sees.
pub struct Tap {
    inner: Arc<dyn Broker>,
    /// True where acks are the truth: the broker orders and answers at once.
    acks: bool,
    pub notes: Arc<Mutex<Notes>>,
    pub trouble: Mutex<Trouble>,
    exec: Arc<Exec>,
    time: Arc<Time>,
    rng: Mutex<Rng>,
}

struct TapFeed {
    inner: Box<dyn Feed>,
    notes: Arc<Mutex<Notes>>,
    time: Arc<Time>,
    epoch: String,
}

/// A message in the oracle's words.
pub fn entry(message: &Message, epoch: String, seq: u64, at: u64) -> Entry {
    let body = match &message.body {
        Body::Text(text) | Body::Json(text) | Body::Binary(text) => {
            String::from_utf8_lossy(text).into_owned()
        }
        Body::Args { .. } => String::new(),
    };
    Entry {
        id: (epoch, seq),
        targets: message.targets.iter().map(ToString::to_string).collect(),
        except: message.except.iter().map(ToString::to_string).collect(),
        key: message.key.as_ref().map(ToString::to_string),
        body,
        cost: message.cost(),
        at,
        gone: false,
        volatile: false,
    }
}

impl Notes {
    pub fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }
}

impl Tap {
    pub fn new(
        inner: Arc<dyn Broker>,
        acks: bool,
        exec: Arc<Exec>,
        time: Arc<Time>,
        rng: Rng,
    ) -> Arc<Self> {
        Arc::new(Self {
            inner,
            acks,
            notes: Arc::default(),
            trouble: Mutex::default(),
            exec,
            time,
            rng: Mutex::new(rng),
        })
    }

    fn hit(&self, percent: usize) -> bool {
        percent > 0 && self.rng.lock().percent(percent)
    }

    /// Lets an answer come late or not at all.
    fn troubled<T: Send + 'static>(
        &self,
        what: &'static str,
        answer: BrokerFuture<Result<T, Unavailable>>,
    ) -> BrokerFuture<Result<T, Unavailable>> {
        let trouble = *self.trouble.lock();
        let fails = self.hit(trouble.unavailable);
        let late = self.hit(trouble.slow).then(|| {
            let wait = self.rng.lock().between(1, 400) as u64;
            self.exec.sleep(Duration::from_millis(wait))
        });
        let notes = self.notes.clone();
        Box::pin(async move {
            if let Some(late) = late {
                notes.lock().count("broker answered late");
                late.await;
            }
            let answer = if fails {
                Err(Unavailable)
            } else {
                answer.await
            };
            if answer.is_err() {
                notes.lock().count(what);
            }
            answer
        })
    }

    fn acked(&self, said: Entry, result: &Result<Appended, AppendError>) {
        let mut notes = self.notes.lock();
        match result {
            Ok(Appended::Kept {
                id,
                duplicate: false,
            }) => {
                let id = (id.epoch.to_string(), id.seq.0);
                notes.events.push(Event::Kept(Entry { id, ..said }));
            }
            Ok(Appended::Kept { .. } | Appended::Volatile) | Err(_) => {}
        }
    }
}

impl Broker for Tap {
    fn append(&self, batch: Vec<Append>) -> Vec<BrokerFuture<Result<Appended, AppendError>>> {
        let trouble = *self.trouble.lock();
        let now = self.time.ms();
        let mut answers: Vec<BrokerFuture<Result<Appended, AppendError>>> = Vec::new();
        for append in batch {
            if self.acks && self.hit(trouble.refused) {
                self.notes.lock().count("append refused");
                answers.push(Box::pin(async { Err(AppendError::Unavailable) }));
                continue;
            }
            let said = entry(&append.message, String::new(), 0, now);
            let Some(mut answer) = self.inner.append(vec![append]).pop() else {
                continue;
            };
            if !self.acks {
                answers.push(answer);
                continue;
            }
            let mut cx = Context::from_waker(Waker::noop());
            let Poll::Ready(result) = Pin::new(&mut answer).poll(&mut cx) else {
                panic!("the memory broker answers at once");
            };
            self.acked(said, &result);
            if result.is_ok() && self.hit(trouble.unknown) {
                self.notes.lock().count("outcome unknown, kept");
                answers.push(Box::pin(async { Err(AppendError::OutcomeUnknown) }));
            } else {
                answers.push(Box::pin(async move { result }));
            }
        }
        answers
    }

    fn follow(&self, from: Seq) -> Box<dyn Feed> {
        Box::new(TapFeed {
            inner: self.inner.follow(from),
            notes: self.notes.clone(),
            time: self.time.clone(),
            epoch: self.inner.start().lineage.current().to_string(),
        })
    }

    fn read(&self, request: ReadRequest) -> BrokerFuture<Result<ReadReply, Unavailable>> {
        self.troubled("read unavailable", self.inner.read(request))
    }

    fn tail(&self, channels: Keys, n: usize) -> BrokerFuture<Result<Tail, Unavailable>> {
        self.troubled("tail unavailable", self.inner.tail(channels, n))
    }

    fn held(&self, channels: Vec<Key>) -> BrokerFuture<Result<Vec<Held>, Unavailable>> {
        self.inner.held(channels)
    }

    fn top(&self) -> BrokerFuture<Result<Top, Unavailable>> {
        self.troubled("top unavailable", self.inner.top())
    }

    fn start(&self) -> Top {
        self.inner.start()
    }

    fn listening(&self, channel: &Key, on: bool) {
        let mut notes = self.notes.lock();
        let count = notes.listeners.entry(channel.to_string()).or_default();
        *count += if on { 1 } else { -1 };
        assert!(*count >= 0, "a listener of {channel} left twice");
        drop(notes);
        self.inner.listening(channel, on);
    }
}

impl Feed for TapFeed {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<FeedEvent> {
        let event = self.inner.poll_next(cx);
        if let Poll::Ready(event) = &event {
            let mut notes = self.notes.lock();
            match event {
                FeedEvent::Batch(batch) => {
                    for fed in batch {
                        match fed {
                            Fed::Stored(stored, _) => notes.fed = stored.id.seq.0,
                            Fed::Volatile(message, ..) => {
                                let (epoch, after) = (self.epoch.clone(), notes.fed);
                                let entry = Entry {
                                    volatile: true,
                                    ..entry(message, epoch, after, self.time.ms())
                                };
                                notes.events.push(Event::Volatile(entry));
                            }
                        }
                    }
                }
                FeedEvent::Cut { epoch, first } => {
                    self.epoch = epoch.to_string();
                    notes.cuts += 1;
                    notes.fed = notes.fed.min(first.0 - 1);
                    notes.count("cut fed");
                }
                FeedEvent::Lost { through } => {
                    notes.fed = notes.fed.max(through.0);
                    notes.count("loss fed");
                }
            }
        }
        event
    }
}
