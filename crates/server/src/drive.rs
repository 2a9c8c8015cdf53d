//! The tasks that turn the hub: one per shard, and one for the broker's feed.

use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use fanwire_core::hub::{Hub, Shard};

use crate::clock::SystemClock;

/// Turns a shard for ever. Dropped (aborted) with the server.
pub(crate) async fn drive_shard(mut shard: Shard, clock: Arc<SystemClock>) {
    let mut timer = pin!(tokio::time::sleep(std::time::Duration::ZERO));
    loop {
        let turn = shard.turn();
        if turn.again {
            tokio::task::yield_now().await;
            continue;
        }
        if let Some(until) = turn.sleep_until {
            timer.as_mut().reset(clock.deadline(until));
        }
        poll_fn(|cx| {
            if shard.poll_work(cx) {
                return Poll::Ready(());
            }
            match turn.sleep_until {
                Some(_) => timer.as_mut().poll(cx),
                None => Poll::Pending,
            }
        })
        .await;
        stand_back().await;
    }
}

/// Lets every task that is ready go first. The runtime runs what was woken last
/// at once: after each message that it reads the shard, for a handful of writes.
/// Behind all readers that have something, it finds all that they brought, and
/// what belongs to one subscriber goes out together. Where nothing else is ready
/// this costs one more poll, some hundred nanoseconds.
async fn stand_back() {
    let mut stood = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut stood, true) {
            return Poll::Ready(());
        }
        // Woken while it runs, a task goes to the end of the queue.
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Hands the broker's feed to the shards for ever.
pub(crate) async fn drive_feed(hub: Arc<Hub>) {
    poll_fn(|cx| {
        hub.poll_feed(cx);
        Poll::<()>::Pending
    })
    .await;
}
