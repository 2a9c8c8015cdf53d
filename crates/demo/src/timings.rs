//! How long things take: what a test would have to wait for.

use std::time::Duration;

/// All times of the demos, as they are for people. Tests shorten them.
#[derive(Clone, Copy, Debug)]
pub struct Timings {
    /// How long a long poll waits for news: less than proxies do, usually 60 s.
    pub patience: Duration,
    /// Between two greetings of `/events`, and between two rounds of `/events/typed`.
    pub greeting: Duration,
    /// Between two numbers of `/events/resumable`.
    pub count: Duration,
    /// After how long away somebody has left the chat. Stock clients are back sooner,
    /// where they can.
    pub absence: Duration,
    /// A WebSocket that is silent for this long is pinged, and cut where it stays silent
    /// for as long again.
    pub ping: Duration,
    /// Between two states of a job's progress, at least.
    pub progress: Duration,
    /// Between two looks at the server's figures.
    pub figures: Duration,
    /// Between two movements of the stock market.
    pub tick: Duration,
    /// How long a request for stocks waits for one.
    pub ticker: Duration,
    /// Between two ticks of the game.
    pub pace: Duration,
}

impl Default for Timings {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            patience: seconds(30),
            greeting: seconds(5),
            count: seconds(1),
            absence: seconds(5),
            ping: seconds(30),
            progress: Duration::from_millis(150),
            figures: seconds(1),
            tick: Duration::from_millis(800),
            ticker: seconds(25),
            pace: Duration::from_millis(40),
        }
    }
}
