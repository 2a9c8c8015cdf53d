//! Acknowledgements that code waits for.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hashbrown::HashMap;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::args::Args;
use super::refusal::AckError;
use fanwire_core::error::{Code, Refusal};

/// Ids of questions to several sockets begin here, beyond what one socket counts to.
/// JavaScript holds numbers up to 2^53 exactly.
static SHARED: AtomicU64 = AtomicU64::new(1 << 40);

/// Those of one socket. Answers of nobody's question are ignored.
pub(crate) struct Acks {
    most: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    next: u64,
    waiting: HashMap<u64, oneshot::Sender<Args>>,
    closed: bool,
}

/// An answer to come. Dropped, it is waited for no more.
pub(crate) struct Awaited {
    acks: Arc<Acks>,
    id: u64,
    answer: oneshot::Receiver<Args>,
}

/// The id of a question to several sockets.
pub(crate) fn shared_id() -> u64 {
    SHARED.fetch_add(1, Ordering::Relaxed)
}

impl Acks {
    /// At most `most` at once.
    pub(crate) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self {
            most,
            state: Mutex::default(),
        })
    }

    /// Waits for an answer, under `id` or one of its own.
    ///
    /// # Errors
    /// Where the socket has gone, or too many are waited for.
    pub(crate) fn expect(self: &Arc<Self>, id: Option<u64>) -> Result<Awaited, AckError> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(AckError::Disconnected);
        }
        if state.waiting.len() >= self.most {
            let sentence = "too many acknowledgements are waited for";
            return Err(AckError::Refused(Refusal::new(Code::Overloaded, sentence)));
        }
        let id = id.unwrap_or_else(|| {
            state.next += 1;
            state.next - 1
        });
        let (sender, answer) = oneshot::channel();
        state.waiting.insert(id, sender);
        Ok(Awaited {
            acks: self.clone(),
            id,
            answer,
        })
    }

    /// An answer came.
    pub(crate) fn resolve(&self, id: u64, args: Args) {
        let waiting = self.state.lock().waiting.remove(&id);
        if let Some(waiting) = waiting {
            // Nobody may wait any more.
            let _ = waiting.send(args);
        }
    }

    /// No more will come.
    pub(crate) fn close(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        state.waiting = HashMap::new();
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.state.lock().waiting.len()
    }
}

impl Awaited {
    /// Of the question.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// The answer, within `time`.
    pub(crate) async fn within(mut self, time: Duration) -> Result<Args, AckError> {
        match tokio::time::timeout(time, &mut self.answer).await {
            Ok(Ok(args)) => Ok(args),
            Ok(Err(_)) => Err(AckError::Disconnected),
            Err(_) => Err(AckError::Timeout),
        }
    }
}

impl Drop for Awaited {
    fn drop(&mut self) {
        self.acks.state.lock().waiting.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn e12_what_was_waited_for_is_forgotten_in_time() {
        let acks = Acks::new(2);
        let one = acks.expect(None).unwrap();
        let two = acks.expect(None).unwrap();
        assert_eq!((one.id(), two.id()), (0, 1));
        assert!(matches!(acks.expect(None), Err(AckError::Refused(_))));
        acks.resolve(1, Args::default());
        acks.resolve(77, Args::default());
        let time = Duration::from_secs(1);
        assert_eq!(two.within(time).await, Ok(Args::default()));
        assert_eq!(one.within(time).await, Err(AckError::Timeout));
        assert_eq!(acks.len(), 0);
    }

    #[tokio::test]
    async fn who_goes_answers_nothing_any_more() {
        let acks = Acks::new(2);
        let one = acks.expect(Some(shared_id())).unwrap();
        acks.close();
        let told = one.within(Duration::from_secs(60)).await;
        assert_eq!(told, Err(AckError::Disconnected));
        assert!(matches!(acks.expect(None), Err(AckError::Disconnected)));
    }
}
