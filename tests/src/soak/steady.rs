//! Publishers, and clients that come and go and must miss nothing.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use fanwire_client::{
    Body, Event, MessageBody, Publication, PublishOptions, Publisher, Start, SubscribeOptions,
    Subscriber, Transport,
};
use tokio::time::{Instant, sleep, timeout};

use super::rng::Rng;

const CHANNELS: usize = 12;
/// More than history keeps of a channel, so that it is full from the start.
const FILL: u64 = 410;
/// How long one may take, at the end, to have heard everything.
const PATIENCE: Duration = Duration::from_secs(60);
/// Bytes of one message of a flood.
const FLOOD_BYTES: usize = 8 * 1024;

/// What was done.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) published: u64,
    pub(super) heard: u64,
    pub(super) connected: u64,
    pub(super) drains: u64,
    pub(super) rough: u64,
}

impl Tally {
    pub(super) fn add(&mut self, other: Self) {
        self.published += other.published;
        self.heard += other.heard;
        self.connected += other.connected;
        self.drains += other.drains;
        self.rough += other.rough;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            published,
            heard,
            connected,
            drains,
            rough,
        } = self;
        write!(
            f,
            "{published} messages published; {heard} heard, each once and in order, over \
             {connected} connections; {rough} misbehaved; {drains} servers drained"
        )
    }
}

/// The number of the last message of each channel.
#[derive(Debug, Default)]
pub(super) struct Log([AtomicU64; CHANNELS]);

fn channel(number: usize) -> String {
    format!("s{number}")
}

fn publisher(url: &str) -> Result<Publisher, String> {
    Publisher::new(PublishOptions::new(url)).map_err(|error| error.to_string())
}

async fn publish(publisher: &mut Publisher, to: String, text: String) -> Result<(), String> {
    let publication = Publication::new(to, Body::Text(text.into_bytes().into()));
    let published = publisher.publish_retrying(&publication, |_, _| {}).await;
    published
        .map(drop)
        .map_err(|error| format!("a publish: {error}"))
}

impl Log {
    /// Publishes the next message of a channel, with so many bytes behind its
    /// number.
    async fn next(&self, to: usize, bytes: usize, by: &mut Publisher) -> Result<(), String> {
        let number = self.0[to].load(Relaxed) + 1;
        let text = format!("{number} {}", "x".repeat(bytes));
        publish(by, channel(to), text).await?;
        self.0[to].store(number, Relaxed);
        Ok(())
    }

    /// Fills all histories.
    pub(super) async fn fill(&self, url: &str) -> Result<(), String> {
        let mut publisher = publisher(url)?;
        for _ in 0..FILL {
            for to in 0..CHANNELS {
                self.next(to, 700, &mut publisher).await?;
            }
            publish(&mut publisher, "flood".to_owned(), "x".repeat(FLOOD_BYTES)).await?;
        }
        Ok(())
    }

    /// Some fifty messages a second, until it is over.
    pub(super) async fn publish(
        self: Arc<Self>,
        url: String,
        mut rng: Rng,
        over: Arc<AtomicBool>,
    ) -> Result<Tally, String> {
        let mut publisher = publisher(&url)?;
        let mut tally = Tally::default();
        while !over.load(Relaxed) {
            let (to, bytes) = (rng.below(CHANNELS), rng.below(1400));
            self.next(to, bytes, &mut publisher).await?;
            tally.published += 1;
            sleep(rng.ms(5, 30)).await;
        }
        Ok(tally)
    }

    /// Comes, is cut, stays away for a while, comes back where it was, until
    /// nothing more will come; then stays until it has heard everything.
    pub(super) async fn listen(
        self: Arc<Self>,
        url: String,
        number: usize,
        mut rng: Rng,
        ended: Arc<AtomicBool>,
    ) -> Result<Tally, String> {
        let count = 1 + rng.below(3);
        let first = rng.below(CHANNELS);
        let channels: Vec<usize> = (0..count).map(|n| (first + n) % CHANNELS).collect();
        let mut tally = Tally::default();
        let mut last: BTreeMap<String, u64> = BTreeMap::new();
        let mut cursor: Option<String> = None;
        loop {
            let mut options = SubscribeOptions::new(&*url, channels.iter().map(|n| channel(*n)));
            options.transport = [Transport::Ws, Transport::Sse, Transport::Poll][rng.below(3)];
            options.poll_wait = Duration::from_secs(1);
            options.start = match &cursor {
                Some(cursor) => Start::After(cursor.clone()),
                // The last of each: what comes after it is known, too.
                None => {
                    last.clear();
                    Start::Rewind(1)
                }
            };
            let transport = options.transport;
            let mut subscriber = Subscriber::connect(options).map_err(|error| error.to_string())?;
            tally.connected += 1;
            let mut until = Instant::now() + rng.ms(50, 4000);
            loop {
                let staying = ended.load(Relaxed);
                if staying && self.is_whole(&channels, &last) {
                    return Ok(tally);
                }
                let now = Instant::now();
                if now >= until {
                    if !staying {
                        break;
                    }
                    until = now + PATIENCE;
                }
                let wait = (until - now).min(Duration::from_millis(100));
                let Ok(event) = timeout(wait, subscriber.next()).await else {
                    if staying && until - now <= Duration::from_millis(100) {
                        return Err(format!("client {number} has {last:?} of {:?}", self.0));
                    }
                    continue;
                };
                let who = || format!("client {number} on {transport:?} after {cursor:?}");
                match event.map_err(|error| format!("{}: {error}", who()))? {
                    Event::Message(message) => {
                        let MessageBody::Text(text) = &message.body else {
                            return Err(format!("{}: not a text", who()));
                        };
                        let is: u64 = text
                            .split(' ')
                            .next()
                            .and_then(|word| word.parse().ok())
                            .ok_or("not a number")?;
                        let was = last.insert(message.channel.clone(), is);
                        if was.is_some_and(|was| was + 1 != is) {
                            let channel = &message.channel;
                            return Err(format!("{}: {channel}: {is} after {was:?}", who()));
                        }
                        tally.heard += 1;
                    }
                    gap @ Event::Gap { .. } => return Err(format!("{}: {gap:?}", who())),
                    Event::Ready { .. } | Event::Cursor { .. } | Event::Disconnected { .. } => {}
                }
            }
            cursor = subscriber.cursor().map(str::to_owned);
            drop(subscriber);
            if rng.below(3) > 0 {
                sleep(rng.ms(1, 1500)).await;
            }
        }
    }

    fn is_whole(&self, channels: &[usize], last: &BTreeMap<String, u64>) -> bool {
        channels.iter().all(|number| {
            let heard = last.get(&channel(*number)).copied().unwrap_or(0);
            heard >= self.0[*number].load(Relaxed)
        })
    }
}

/// Now and then a great many messages at once, on a channel where others dawdle.
pub(super) async fn flood(
    url: String,
    mut rng: Rng,
    over: Arc<AtomicBool>,
) -> Result<Tally, String> {
    let mut publisher = publisher(&url)?;
    let mut tally = Tally::default();
    let mut pause = Instant::now();
    while !over.load(Relaxed) {
        if Instant::now() < pause {
            sleep(Duration::from_millis(50)).await;
            continue;
        }
        pause = Instant::now() + rng.ms(2000, 6000);
        for _ in 0..100 {
            publish(&mut publisher, "flood".to_owned(), "x".repeat(FLOOD_BYTES)).await?;
            tally.published += 1;
        }
    }
    Ok(tally)
}
