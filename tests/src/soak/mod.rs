//! Churn: clients that come, go, return, dawdle, flood and misbehave, for as long as
//! wanted, against the real program. When all have gone, it must hold what it held
//! before; and who behaved has heard every message once, in order.
//!
//! Memory is compared once the server is warm: after a stretch of the same churn.

mod figures;
mod rng;
mod rough;
mod served;
mod steady;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use figures::Figures;
use rng::Rng;
use served::Served;
use steady::{Log, Tally};

/// What is done.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The program.
    pub server: PathBuf,
    /// How long the churn lasts, warming up not counted.
    pub time: Duration,
    /// Who does what when.
    pub seed: u64,
}

/// Clients that behave, and those that do not.
const STEADY: usize = 36;
const ROUGH: usize = 10;
/// Memory may be more at the end by a tenth and this.
const MARGIN_KIB: u64 = 4 * 1024;
/// How long the server may take to notice that all have gone.
const REST: Duration = Duration::from_secs(30);

/// Warms up, looks, churns, looks again.
///
/// # Errors
/// What differs, or what someone missed, in one sentence.
pub async fn run(plan: &Plan) -> Result<(), String> {
    println!("soak: {} s, seed {}", plan.time.as_secs(), plan.seed);
    let served = Served::start(&plan.server, &settings()).await?;
    let log = Arc::new(Log::default());
    let warm = (plan.time / 5).clamp(Duration::from_secs(2), Duration::from_secs(40));
    log.fill(&served.url).await?;
    churn(plan, &served, &log, warm, plan.seed ^ 0x5eed).await?;
    let before = at_rest(&served).await?;
    println!("before  {before}");
    let tally = churn(plan, &served, &log, plan.time, plan.seed).await?;
    let after = at_rest(&served).await?;
    println!("after   {after}");
    println!("{tally}");
    let last = served.stop().await?;
    println!("{last}");
    before.holds(&after, MARGIN_KIB)?;
    match last.ends_with(", cut 0") {
        true => Ok(()),
        false => Err(format!("the end was not orderly: {last}")),
    }
}

/// Times as short as a short run needs them, and a history that is full soon.
fn settings() -> Vec<(&'static str, &'static str)> {
    vec![
        ("FANWIRE_RULES_HISTORY", "messages=400"),
        ("FANWIRE_LIMITS_RING_BYTES", "1MiB"),
        ("FANWIRE_LIMITS_WRITE_PROGRESS", "3s"),
        ("FANWIRE_LIMITS_IDEMPOTENCY_TTL", "2s"),
        ("FANWIRE_HTTP_FIRST_BYTE_TIMEOUT", "2s"),
        ("FANWIRE_HTTP_HEADER_TIMEOUT", "2s"),
        ("FANWIRE_HTTP_BODY_TIMEOUT", "2s"),
        ("FANWIRE_HTTP_KEEP_ALIVE", "3s"),
        ("FANWIRE_WS_PING", "2s"),
        ("FANWIRE_WS_TIMEOUT", "2s"),
        ("FANWIRE_WS_DEFLATE", "true"),
        ("FANWIRE_SSE_COMMENT_MIN", "1s"),
        ("FANWIRE_SSE_COMMENT_MAX", "2s"),
        ("FANWIRE_SSE_RETRY_MIN", "10ms"),
        ("FANWIRE_SSE_RETRY_MAX", "50ms"),
        ("FANWIRE_LISTEN_DRAIN_WINDOW", "500ms"),
    ]
}

/// Everyone at work for `time`; then all go, the steady ones once they have heard all.
async fn churn(
    plan: &Plan,
    served: &Served,
    log: &Arc<Log>,
    time: Duration,
    seed: u64,
) -> Result<Tally, String> {
    let over = Arc::new(AtomicBool::new(false));
    let ended = Arc::new(AtomicBool::new(false));
    let rough_done = Arc::new(AtomicU64::new(0));
    let mut rng = Rng::new(seed);
    let mut others = JoinSet::new();
    for _ in 0..ROUGH {
        let (over, done) = (over.clone(), rough_done.clone());
        others.spawn(rough::misbehave(served.addr, rng.fork(), over, done));
    }
    others.spawn(drains(
        plan.server.clone(),
        rng.fork(),
        over.clone(),
        time / 5,
    ));
    let mut publishers = JoinSet::new();
    publishers.spawn(
        log.clone()
            .publish(served.url.clone(), rng.fork(), over.clone()),
    );
    publishers.spawn(steady::flood(served.url.clone(), rng.fork(), over.clone()));
    let mut steady = JoinSet::new();
    for number in 0..STEADY {
        let (log, ended) = (log.clone(), ended.clone());
        steady.spawn(log.listen(served.url.clone(), number, rng.fork(), ended));
    }
    let until = Instant::now() + time;
    while Instant::now() < until {
        sleep(Duration::from_millis(100)).await;
        if !served.is_alive() {
            return Err("the server is gone".to_owned());
        }
        // Whoever ends before the time is up failed, and says so at once.
        for set in [&mut steady, &mut publishers] {
            if let Some(early) = set.try_join_next() {
                early.map_err(|error| error.to_string())??;
                return Err("someone went home early".to_owned());
            }
        }
    }
    over.store(true, Relaxed);
    let mut tally = Tally::default();
    join(publishers)
        .await?
        .into_iter()
        .for_each(|each| tally.add(each));
    ended.store(true, Relaxed);
    join(steady)
        .await?
        .into_iter()
        .for_each(|each| tally.add(each));
    join(others)
        .await?
        .into_iter()
        .for_each(|each| tally.add(each));
    tally.rough = rough_done.load(Relaxed);
    Ok(tally)
}

async fn join(mut set: JoinSet<Result<Tally, String>>) -> Result<Vec<Tally>, String> {
    let mut all = Vec::new();
    while let Some(ended) = set.join_next().await {
        all.push(ended.map_err(|error| error.to_string())??);
    }
    Ok(all)
}

/// Other servers start, are listened to, and are told to stop.
async fn drains(
    server: PathBuf,
    mut rng: Rng,
    over: Arc<AtomicBool>,
    every: Duration,
) -> Result<Tally, String> {
    let mut tally = Tally::default();
    let every = every.clamp(Duration::from_secs(1), Duration::from_secs(30));
    loop {
        let until = Instant::now() + every;
        while Instant::now() < until {
            if over.load(Relaxed) {
                return Ok(tally);
            }
            sleep(Duration::from_millis(50)).await;
        }
        let other = Served::start(&server, &settings()).await?;
        let readers = rough::readers(other.addr, 10 + rng.below(20)).await;
        let count = readers.len();
        let told = tokio::spawn(rough::read_all(readers));
        let last = other.stop().await?;
        if last != format!("stopped: ended {count}, cut 0") {
            return Err(format!("{count} readers were drained: {last}"));
        }
        let told = told.await.map_err(|error| error.to_string())?;
        if told != count {
            return Err(format!("of {count} readers {told} were told to come back"));
        }
        tally.drains += 1;
    }
}

/// The figures once nobody is there any more.
async fn at_rest(served: &Served) -> Result<Figures, String> {
    let until = Instant::now() + REST;
    loop {
        let now = served.figures().await?;
        if now.is_empty() || Instant::now() > until {
            // What is freed by others may come back a moment later.
            sleep(Duration::from_millis(500)).await;
            return served.figures().await;
        }
        sleep(Duration::from_millis(100)).await;
    }
}
