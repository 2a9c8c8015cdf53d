//! Publishers: one message at a time or several at once, plain, to several
//! channels, with exclusions, volatile, conflated; under idempotency keys that
//! are used again where an outcome is unknown, and where it is not.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use fanwire_core::broker::Appended;
use fanwire_core::clock::{Clock, Instant};
use fanwire_core::error::{Code, Refusal};
use fanwire_core::hub::Draft;
use fanwire_core::key::{Key, Namespace, SocketId};
use fanwire_core::message::{Body, Keys};
use fanwire_core::policy::{Subject, Verb};

use crate::cx::{Cx, Verdict};
use crate::events::{Event, Said, namespace};
use crate::exec::Flag;
use crate::plan::key;

type Publishing = Pin<Box<dyn Future<Output = Result<Appended, Refusal>> + Send>>;

pub struct Publisher {
    name: String,
    at_once: usize,
    flying: Vec<Flight>,
    /// To be sent again, under the same key.
    again: Vec<Order>,
    /// The newest id of a publish that was acked before the next began.
    newest: Option<(String, u64)>,
}

struct Flight {
    order: Order,
    publishing: Publishing,
    flag: Arc<Flag>,
    since: Instant,
    cuts: usize,
    after: Option<(String, u64)>,
}

/// What is to be published.
#[derive(Clone)]
struct Order {
    targets: Vec<String>,
    draft: Draft,
    body: String,
    /// An earlier attempt may have been kept.
    unsure: bool,
    /// An earlier attempt was acked.
    acked: bool,
    attempts: usize,
    /// Its key is another message's.
    forged: bool,
}

impl Publisher {
    pub fn new(number: usize, cx: &mut Cx) -> Self {
        Self {
            name: format!("publisher{number}"),
            at_once: *cx.rng.pick(&[1, 1, 4]),
            flying: Vec::new(),
            again: Vec::new(),
            newest: None,
        }
    }

    /// True where an answer can be taken.
    pub fn ready(&self) -> bool {
        self.flying.iter().any(|flight| flight.flag.is_set())
    }

    pub fn idle(&self) -> bool {
        self.flying.is_empty()
    }

    /// Publishes something, or gives up on something.
    pub fn act(&mut self, cx: &mut Cx) -> Verdict {
        if cx.rng.percent(3) && !self.flying.is_empty() {
            // Gone in the middle: the outcome stays unknown.
            let at = cx.rng.below(self.flying.len());
            let mut flight = self.flying.swap_remove(at);
            cx.book.count("publish dropped");
            cx.book.line(format_args!(
                "{} drops {}",
                self.name,
                brief(&flight.order.body)
            ));
            flight.order.unsure = true;
            self.retry(flight.order);
            return Ok(());
        }
        if self.flying.len() >= self.at_once {
            return Ok(());
        }
        let order = match self.again.pop().filter(|_| cx.rng.percent(70)) {
            Some(order) => {
                cx.book.count("publish retried");
                order
            }
            None => self.compose(cx),
        };
        self.send(cx, order)
    }

    /// Sends one message to each channel, as the last of a run.
    pub fn mark(&mut self, cx: &mut Cx, channel: &str, size: usize) -> Verdict {
        let body = body(cx, size);
        let draft = Draft::new(Body::Text(Bytes::from(body.clone())));
        let targets = vec![channel.to_owned()];
        let order = Order {
            targets,
            draft,
            body,
            unsure: false,
            acked: false,
            attempts: 9,
            forged: false,
        };
        self.send(cx, order)
    }

    fn compose(&mut self, cx: &mut Cx) -> Order {
        let first = (*cx.rng.pick(&crate::plan::CHANNELS)).to_owned();
        let mut targets = vec![first.clone()];
        if cx.rng.percent(20) {
            let mut others = crate::plan::CHANNELS.to_vec();
            others.retain(|other| namespace(other) == namespace(&first) && *other != first);
            for other in others {
                if cx.rng.percent(40) {
                    targets.push(other.to_owned());
                }
            }
            cx.book.count("several targets");
        }
        let size = if cx.rng.percent(4) {
            3_000
        } else {
            cx.rng.between(0, cx.plan.body)
        };
        let body = body(cx, size);
        let mut draft = Draft::new(Body::Text(Bytes::from(body.clone())));
        if cx.rng.percent(10) {
            draft.volatile = true;
        }
        if cx.rng.percent(15) {
            draft.except.push(excluded(cx, &first));
            cx.book.count("exclusion");
        }
        if cx.rng.percent(60) && namespace(&first) == "last" {
            draft.key = Some(Arc::from(*cx.rng.pick(&["k1", "k2"])));
        }
        let mut order = Order {
            targets,
            draft,
            body,
            unsure: false,
            acked: false,
            attempts: 0,
            forged: false,
        };
        if cx.rng.percent(35) {
            cx.keys += 1;
            order.draft.idempotency_key = Some(format!("key{}", cx.keys).into());
            if cx.rng.percent(20) && !cx.used.is_empty() {
                let (name, space, used) = cx.rng.pick(&cx.used).clone();
                if name == self.name && space == namespace(&first) {
                    order.draft.idempotency_key = Some(used);
                    order.forged = true;
                }
            }
        }
        order
    }

    fn send(&mut self, cx: &mut Cx, order: Order) -> Verdict {
        let keys: Keys = order.targets.iter().map(|channel| key(channel)).collect();
        let subject = Subject::Key(self.name.as_str().into());
        let permit = cx
            .door
            .admit(subject, Verb::Publish, keys)
            .map_err(|refusal| refusal.to_string())?;
        cx.book.line(format_args!(
            "{} publishes {} to {:?}{} key {:?}",
            self.name,
            brief(&order.body),
            order.targets,
            if order.draft.volatile {
                " volatile"
            } else {
                ""
            },
            order.draft.idempotency_key,
        ));
        let publishing: Publishing = Box::pin(cx.hub.publish(&permit, order.draft.clone()));
        let (since, cuts) = (cx.time.now(), cx.tap.notes.lock().cuts);
        let after = self.newest.clone();
        let flag = Flag::set();
        self.flying.push(Flight {
            order,
            publishing,
            flag,
            since,
            cuts,
            after,
        });
        Ok(())
    }

    /// Polls one publish that was woken.
    pub fn poll(&mut self, cx: &mut Cx) -> Verdict {
        let woken: Vec<usize> = (0..self.flying.len())
            .filter(|at| self.flying[*at].flag.is_set())
            .collect();
        if woken.is_empty() {
            return Ok(());
        }
        let at = *cx.rng.pick(&woken);
        let flight = &mut self.flying[at];
        flight.flag.take();
        let waker = Waker::from(flight.flag.clone());
        let polled = flight
            .publishing
            .as_mut()
            .poll(&mut Context::from_waker(&waker));
        cx.sync()?;
        match polled {
            Poll::Pending => Ok(()),
            Poll::Ready(answer) => {
                let flight = self.flying.swap_remove(at);
                self.answered(cx, flight, answer)
            }
        }
    }

    fn answered(
        &mut self,
        cx: &mut Cx,
        flight: Flight,
        answer: Result<Appended, Refusal>,
    ) -> Verdict {
        let mut order = flight.order;
        cx.book.line(format_args!(
            "{} hears {answer:?} for {}",
            self.name,
            brief(&order.body)
        ));
        let scope = order.draft.idempotency_key.as_ref();
        let scope =
            scope.map(|key| format!("{}/{}/{key}", self.name, namespace(&order.targets[0])));
        match answer {
            Ok(Appended::Volatile) => {
                cx.book.count("volatile");
                // A cut forgets keys with their messages.
                let forged = order.forged && cx.cuts == 0;
                let mistaken = !order.draft.volatile || forged;
                if mistaken {
                    Err("P4: answered as volatile".into())
                } else {
                    Ok(())
                }
            }
            Ok(Appended::Kept { id, duplicate }) => {
                let id = (id.epoch.to_string(), id.seq.0);
                if duplicate {
                    cx.book.count("duplicate");
                }
                if duplicate && !order.unsure && !order.acked {
                    return Err(format!(
                        "P4: {} is called a duplicate at its first",
                        brief(&order.body)
                    ));
                }
                let waited = cx.time.now() - flight.since >= cx.plan.limits.applied_wait;
                let cut = flight.cuts != cx.tap.notes.lock().cuts;
                if !waited && !cut && cx.hub.applied().0 < id.1 {
                    return Err(format!("acked {id:?} before it was delivered here"));
                }
                let fresh = !duplicate && !order.unsure;
                if let Some(after) = flight.after.filter(|_| fresh && !cut)
                    && after.0 == id.0
                    && after.1 >= id.1
                {
                    return Err(format!(
                        "P1: {id:?} follows {after:?} of the same publisher"
                    ));
                }
                if self.at_once == 1 && fresh {
                    self.newest = Some(id.clone());
                }
                if let Some(key) = &order.draft.idempotency_key {
                    let space = namespace(&order.targets[0]).to_owned();
                    cx.used.push((self.name.clone(), space, key.clone()));
                    if cx.rng.percent(25) && order.attempts < 3 {
                        let mut twin = order.clone();
                        (twin.acked, twin.attempts) = (true, order.attempts + 1);
                        self.again.push(twin);
                    }
                }
                cx.judge(Event::Published(
                    scope,
                    order.body,
                    Said::Kept { id, duplicate },
                ))
            }
            Err(refusal) => {
                cx.book.count(refusal.code.as_str());
                // After a cut a key may have become another message's.
                let mismatch = refusal.code == Code::IdempotencyMismatch;
                if mismatch && !order.forged && cx.cuts == 0 {
                    return Err("P4: a mismatch without one".into());
                }
                order.unsure |= refusal.code == Code::OutcomeUnknown;
                let final_word = order.attempts >= 3 || cx.rng.percent(30);
                if !order.unsure && !order.acked && final_word {
                    return cx.judge(Event::Published(scope, order.body, Said::Never));
                }
                self.retry(order);
                Ok(())
            }
        }
    }

    /// Only what has a key can be sent again without harm.
    fn retry(&mut self, mut order: Order) {
        order.attempts += 1;
        if order.draft.idempotency_key.is_some() && order.attempts < 5 && !order.forged {
            self.again.push(order);
        }
    }
}

/// A socket or a channel of the same namespace.
fn excluded(cx: &mut Cx, target: &str) -> Key {
    let space = namespace(target);
    if cx.rng.percent(50) && !cx.open.is_empty() {
        let namespace = Namespace::new(space).unwrap_or_else(|_| Namespace::root());
        return Key::Socket(namespace, SocketId::new(cx.rng.pick::<String>(&cx.open)));
    }
    let mut others = crate::plan::CHANNELS.to_vec();
    others.retain(|other| namespace(other) == space);
    key(cx.rng.pick::<&str>(&others))
}

/// A text like no other, with line ends and more than ASCII in it.
fn body(cx: &mut Cx, size: usize) -> String {
    cx.bodies += 1;
    let mut body = format!("m{}.", cx.bodies);
    while body.len() < size {
        body.push(
            *cx.rng
                .pick(&['x', '\n', '\r', ' ', '\u{fc}', '\u{1f600}', 'M']),
        );
    }
    body
}

fn brief(body: &str) -> &str {
    body.split('.').next().unwrap_or(body)
}
