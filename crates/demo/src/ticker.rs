//! A stock ticker by long polling: a request says what it has seen and waits for what is
//! newer.
//!
//! `GET /ticker` answers `{"version":N,"quotes":[…]}` with all there is; with `?since=N`
//! the quotes that have changed since that version: at once where there are some, else as
//! soon as the market moves, after 25 s with none. A version that is too old, or none of
//! this server's, gets everything.
//!
//! Companies and prices are made up. The market has no task of its own: those who wait
//! sleep until it is due to move, and the first to wake moves it. So nothing happens while
//! nobody looks, and nothing is left behind by who has gone.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep_until};

use crate::demo::Demo;
use crate::problem::Problem;
use crate::time::now_ms;
use crate::timings::Timings;

pub(crate) const DEMO: Demo = Demo {
    name: "ticker",
    title: "Stock ticker",
    shows: "Prices of companies that do not exist, by long polling: each answer brings what has \
            changed, and the page counts what that costs.",
    by: "GET /ticker?since=VERSION",
    body: include_str!("assets/ticker.html"),
    script: include_str!("assets/ticker.js"),
    source: &[
        ("ticker.rs", include_str!("ticker.rs")),
        ("problem.rs", include_str!("problem.rs")),
    ],
};

/// Prices of the day that are kept of each company. Who is further behind gets them all.
const DAY: usize = 120;

/// Symbol, name, and the price in cents at which the day began.
const COMPANIES: [(&str, &str, u64); 8] = [
    ("LNTF", "Lanternfish Optics", 14_250),
    ("MOSS", "Moss & Copper", 3_180),
    ("NMBS", "Nimbus Bakeries", 875),
    ("PCRN", "Paper Crane Robotics", 41_990),
    ("QHBR", "Quiet Harbour Shipping", 6_405),
    ("SALT", "Saltwind Energy", 9_720),
    ("UMBR", "Umbra Glassworks", 2_260),
    ("VLVT", "Velvet Circuit", 118_300),
];

/// All requests share it.
#[derive(Clone)]
struct Ticker {
    market: Arc<Mutex<Market>>,
    /// How long a request waits.
    patience: Duration,
}

struct Market {
    /// Counts movements, from the time of opening in milliseconds: a version of an earlier
    /// run of the server is always lower.
    version: u64,
    opened: u64,
    /// Between two movements.
    pace: Duration,
    /// When it moves next, if anyone asks.
    due: Instant,
    dice: Dice,
    stocks: Vec<Stock>,
}

struct Stock {
    symbol: &'static str,
    name: &'static str,
    open: u64,
    price: u64,
    /// The version that brought this price.
    changed: u64,
    day: VecDeque<u64>,
}

#[derive(Deserialize)]
struct Asked {
    since: Option<u64>,
}

#[derive(Serialize)]
struct Answer {
    version: u64,
    quotes: Vec<Quote>,
}

/// Prices are in cents.
#[derive(Serialize)]
struct Quote {
    symbol: &'static str,
    price: u64,
    /// For who knows nothing of it yet.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    about: Option<About>,
}

#[derive(Serialize)]
struct About {
    name: &'static str,
    open: u64,
    /// The last prices of the day, one of each version, the present one last.
    day: VecDeque<u64>,
}

pub(crate) fn routes(timings: Timings) -> Router {
    let ticker = Ticker {
        market: Arc::new(Mutex::new(Market::new(timings.tick))),
        patience: timings.ticker,
    };
    Router::new()
        .route("/ticker", get(listen))
        .with_state(ticker)
}

/// Looks, sleeps until the market is due to move, looks again.
async fn listen(
    State(ticker): State<Ticker>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Json<Answer>, Problem> {
    let Query(Asked { since }) = asked.map_err(|why| {
        let why = why.body_text();
        Problem::bad(format!(
            "{why}; `since` is the `version` of an answer, or left out"
        ))
    })?;
    let end = Instant::now() + ticker.patience;
    loop {
        let (answer, due) = ticker.lock().look(since);
        if !answer.quotes.is_empty() || Instant::now() >= end {
            return Ok(Json(answer));
        }
        sleep_until(due.min(end)).await;
    }
}

impl Ticker {
    fn lock(&self) -> MutexGuard<'_, Market> {
        // A panic elsewhere leaves prices as they were.
        self.market.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Market {
    fn new(pace: Duration) -> Self {
        let opened = now_ms();
        let stock = |(symbol, name, open)| Stock {
            symbol,
            name,
            open,
            price: open,
            changed: opened,
            day: VecDeque::from([open]),
        };
        Self {
            version: opened,
            opened,
            pace,
            due: Instant::now() + pace,
            dice: Dice(1907),
            stocks: COMPANIES.into_iter().map(stock).collect(),
        }
    }

    /// What is newer than `since`, and when to look again.
    fn look(&mut self, since: Option<u64>) -> (Answer, Instant) {
        if Instant::now() >= self.due {
            self.tick();
            self.due = Instant::now() + self.pace;
        }
        let oldest = self.opened.max(self.version.saturating_sub(DAY as u64));
        let known = since.filter(|since| (oldest..=self.version).contains(since));
        let new = self.stocks.iter().filter_map(|stock| match known {
            Some(since) => (stock.changed > since).then(|| stock.quote(None)),
            None => Some(stock.quote(Some(stock.about()))),
        });
        let answer = Answer {
            version: self.version,
            quotes: new.collect(),
        };
        (answer, self.due)
    }

    /// A random walk: some prices move, by up to one in a hundred.
    fn tick(&mut self) {
        self.version += 1;
        for stock in &mut self.stocks {
            if self.dice.roll() < 0.35 {
                let change = 1.0 + (self.dice.roll() - 0.5) / 50.0;
                let price = ((stock.price as f64 * change).round() as u64).max(1);
                if price != stock.price {
                    stock.price = price;
                    stock.changed = self.version;
                }
            }
            if stock.day.len() == DAY {
                stock.day.pop_front();
            }
            stock.day.push_back(stock.price);
        }
    }
}

impl Stock {
    fn quote(&self, about: Option<About>) -> Quote {
        Quote {
            symbol: self.symbol,
            price: self.price,
            about,
        }
    }

    fn about(&self) -> About {
        About {
            name: self.name,
            open: self.open,
            day: self.day.clone(),
        }
    }
}

/// Numbers that look random and are the same in every run (SplitMix64).
struct Dice(u64);

impl Dice {
    /// From 0 up to 1.
    fn roll(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) as f64 / 2_f64.powi(64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn versions_that_are_not_of_here_or_too_old_get_everything() {
        let pace = Duration::from_millis(10);
        let mut market = Market::new(pace);
        let opened = market.opened;
        let all = |market: &mut Market, since| {
            let (answer, _) = market.look(since);
            answer.quotes.len() == 8 && answer.quotes.iter().all(|quote| quote.about.is_some())
        };
        assert!(all(&mut market, None));
        for strange in [0, opened - 1, opened + 1, u64::MAX] {
            assert!(all(&mut market, Some(strange)), "{strange}");
        }
        assert!(market.look(Some(opened)).0.quotes.is_empty());
        for _ in 0..DAY {
            tokio::time::advance(pace).await;
            let before = market.version;
            assert!(!all(&mut market, Some(before)));
            assert_eq!(market.version, before + 1);
        }
        assert!(!all(&mut market, Some(opened)));
        tokio::time::advance(pace).await;
        assert!(
            all(&mut market, Some(opened)),
            "a version of {DAY} movements ago"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn it_moves_once_however_long_nobody_looked() {
        let mut market = Market::new(Duration::from_secs(1));
        tokio::time::advance(Duration::from_secs(3600)).await;
        market.look(None);
        assert_eq!(market.version, market.opened + 1);
    }

    #[test]
    fn what_a_reader_adds_up_is_the_present_price() {
        let mut market = Market::new(Duration::ZERO);
        let (first, _) = market.look(None);
        let mut prices: Vec<_> = first.quotes.iter().map(|q| (q.symbol, q.price)).collect();
        let mut seen = first.version;
        for _ in 0..500 {
            let (answer, _) = market.look(Some(seen));
            seen = answer.version;
            for quote in &answer.quotes {
                assert!(quote.price > 0);
                let known = prices
                    .iter_mut()
                    .find(|(symbol, _)| *symbol == quote.symbol);
                let (_, price) = known.expect("a company that was told");
                assert_ne!(*price, quote.price, "{} did not change", quote.symbol);
                *price = quote.price;
            }
            let present = market.stocks.iter().map(|s| (s.symbol, s.price));
            assert!(present.eq(prices.iter().copied()));
        }
    }
}
