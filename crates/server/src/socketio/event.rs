//! A client's events: handled by code, or by the namespace's rules.

use std::sync::Arc;

use fanwire_core::broker::Appended;
use fanwire_core::clock::Clock as _;
use fanwire_core::error::{Code as ErrorCode, Refusal};
use fanwire_core::hub::Draft;
use fanwire_core::key::{Key, Name};
use fanwire_core::message::{EventName, Keys};
use fanwire_core::policy::Verb;

use super::conversation::Conversation;
use super::joined::{Joined, Member};
use super::units;
use crate::handlers::{Args, Link as _, Rejected, Reply};
use crate::rates::Payer;

impl Conversation {
    /// Handles one event and answers it.
    pub(super) async fn event(&self, member: &Member, name: String, args: Args, id: Option<u64>) {
        let reply = match self.pays(&member.joined, &args) {
            Ok(()) => self.handled(member, &name, args).await,
            Err(refusal) => Reply::Rejected(refusal.into()),
        };
        let joined = &member.joined;
        match (reply, id) {
            (Reply::Ack(args), Some(id)) => joined.reply(units::ack(&joined.written, id, &args)),
            (Reply::Rejected(why), Some(id)) => {
                let told = units::error(&why, None);
                joined.reply(units::ack(&joined.written, id, &told));
            }
            (Reply::Rejected(why), None) => {
                joined.send("$error", &units::error(&why, Some(&name)), None);
            }
            (Reply::None, _) | (Reply::Ack(_), None) => {}
        }
    }

    fn pays(&self, joined: &Joined, args: &Args) -> Result<(), Refusal> {
        let payer = Payer {
            buckets: &self.buckets,
            account: joined.account,
        };
        let now = self.app.clock.now();
        let rates = &self.app.rates;
        let paid = rates.publishes(payer, &joined.namespace, args.size(), now);
        paid.inspect_err(|refusal| self.refuses(joined, refusal))
    }

    /// An event was refused: not by code, by what the server goes by.
    fn refuses(&self, joined: &Joined, refusal: &Refusal) {
        let Some(engine) = self.engine() else { return };
        let who = engine.handshake.who.within(&joined.written);
        let told = who.tell_frame(refusal);
        self.app.metrics.refuses(refusal.code, told);
    }

    async fn handled(&self, member: &Member, name: &str, args: Args) -> Reply {
        if let Some(code) = member.socket.space().code.clone() {
            let (socket, args) = (member.socket.clone(), args.clone());
            if let Some(reply) = code.event(socket, name.to_owned(), args).await {
                return reply;
            }
        } else if let "subscribe" | "unsubscribe" = name {
            let done = self.moves(member, name == "subscribe", args);
            return match done {
                Ok(()) => ok(None),
                Err(why) => Reply::Rejected(why),
            };
        }
        match self.published(&member.joined, name, args).await {
            Ok(Appended::Kept { id, .. }) => ok(Some(id.to_string())),
            Ok(Appended::Volatile) => ok(None),
            Err(refusal) => {
                self.refuses(&member.joined, &refusal);
                Reply::Rejected(refusal.into())
            }
        }
    }

    /// Without code a client says itself which rooms it wants to be in.
    fn moves(&self, member: &Member, subscribe: bool, args: Args) -> Result<(), Rejected> {
        let room: String = args.read(0)?;
        let name = Name::new(&room)
            .map_err(|why| Refusal::new(ErrorCode::InvalidChannel, why.to_string()))?;
        let joined = &member.joined;
        if !subscribe {
            joined.asked.lock().retain(|asked| *asked != name);
            member.socket.leave(&room);
            return Ok(());
        }
        let key = Key::Channel(joined.namespace.clone(), name.clone());
        let payer = Payer {
            buckets: &self.buckets,
            account: joined.account,
        };
        let keys = Keys::from_iter([key.clone()]);
        let now = self.app.clock.now();
        let rates = self.app.rates.listens(payer, &keys, false, now);
        let may = rates.and_then(|()| self.app.door.ask(&joined.subject, Verb::Subscribe, &key));
        may.inspect_err(|refusal| self.refuses(joined, refusal))?;
        member.socket.join(&room)?;
        let mut asked = joined.asked.lock();
        if !asked.contains(&name) {
            asked.push(name);
        }
        Ok(())
    }

    /// Publishes an event that nothing handles, where the namespace says where to.
    async fn published(
        &self,
        joined: &Arc<Joined>,
        name: &str,
        args: Args,
    ) -> Result<Appended, Refusal> {
        let rules = self.app.config.socket_rules(&joined.namespace);
        let target = rules.client_events.target(&joined.namespace);
        let Some(target) = target else {
            let sentence = "nothing here takes this event";
            return Err(Refusal::new(ErrorCode::Forbidden, sentence));
        };
        let event = EventName::new(name)
            .map_err(|why| Refusal::new(ErrorCode::InvalidEvent, why.to_string()))?;
        let door = &self.app.door;
        door.ask(&joined.subject, Verb::Publish, &target)?;
        let keys = Keys::from_iter([target]);
        let permit = door.give(joined.subject.clone(), Verb::Publish, keys)?;
        let bytes = args.size();
        let mut draft = Draft::new(args.into_body());
        draft.event = event;
        let result = self.app.hub.publish(&permit, draft).await;
        self.app.metrics.publishes(bytes, &result);
        result
    }
}

fn ok(id: Option<String>) -> Reply {
    let mut told = serde_json::json!({ "ok": true });
    if let Some(id) = id {
        told["id"] = id.into();
    }
    Reply::Ack(Args::received(&told.to_string(), Vec::new()))
}
