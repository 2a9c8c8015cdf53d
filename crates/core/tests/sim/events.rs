//! What happened, in strings and numbers: the words between the simulated world
//! and the [`crate::oracle`]. Nothing of core is in here.

use std::fmt;

/// A place in the order as the wire writes it: epoch and seq.
pub type At = (String, u64);

/// What a namespace promises to keep of each channel.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Keeps {
    /// Messages; 0: no history.
    pub messages: usize,
    /// Bytes, by [`Entry::cost`].
    pub bytes: usize,
    /// Milliseconds.
    pub ttl: u64,
    /// A later value of a key replaces earlier ones on catch-up.
    pub conflate: bool,
}

/// A message.
#[derive(Clone, Default)]
pub struct Entry {
    pub id: At,
    pub targets: Vec<String>,
    pub except: Vec<String>,
    pub key: Option<String>,
    /// Unlike every other message's.
    pub body: String,
    pub cost: usize,
    /// When it was sequenced, in milliseconds.
    pub at: u64,
    /// The broker lost it.
    pub gone: bool,
    /// It has no place of its own, but stands after that of its id.
    pub volatile: bool,
}

/// Where a stream asked to start.
#[derive(Clone, PartialEq, Debug, Default)]
pub enum From {
    #[default]
    Latest,
    Earliest,
    Rewind(usize),
    Newest(usize),
    After(String),
}

/// A listener that comes.
#[derive(Clone, Debug, Default)]
pub struct Sub {
    /// Its connection's id: a new one each time.
    pub conn: String,
    pub channels: Vec<String>,
    /// Where each was joined in an earlier connection; empty: none was.
    pub since: Vec<Option<At>>,
    pub from: From,
    /// What the node had handed out when it came: through where, and how many cuts.
    pub applied: u64,
    pub cuts: usize,
}

/// One unit that a listener received. A poll has no `Ready`, and ends with `Answer`.
#[derive(Clone, Debug)]
pub enum Rx {
    Ready(At),
    Message(Heard),
    Gap(Told),
    Cursor(At),
    Answer(At),
    /// The form has no place for a gap: the stream ended with one.
    EndGap(At),
}

#[derive(Clone, PartialEq)]
pub struct Heard {
    /// None on volatile messages.
    pub id: Option<At>,
    /// Of a volatile one, the place before it.
    pub after: Option<At>,
    pub channel: String,
    pub body: String,
}

#[derive(Clone, Debug)]
pub struct Told {
    pub channel: String,
    pub reason: String,
    pub lost: Option<At>,
    pub cursor: At,
    pub id: Option<At>,
}

/// What a publisher was told.
#[derive(Clone, Debug)]
pub enum Said {
    Kept {
        id: At,
        duplicate: bool,
    },
    /// Refused, and no earlier attempt can have been kept either.
    Never,
}

/// One thing that happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// It is now so many milliseconds.
    Time(u64),
    /// The broker ordered and kept a message.
    Kept(Entry),
    /// The broker gave a message a place after `id`, and did not keep it.
    Volatile(Entry),
    /// A new epoch from this seq on.
    Cut(String, u64),
    /// Everything up to here will never come again.
    Lost(u64),
    Attach(Sub),
    /// By connection; with how many cuts, and through where, the node had handed out.
    Join(String, Vec<String>, (usize, u64)),
    Leave(String, Vec<String>, (usize, u64)),
    /// By connection.
    Rx(String, Rx),
    /// Under which scope (publisher, namespace and key), which body, and the answer.
    Published(Option<String>, String, Said),
}

/// The namespace of a channel's text form.
pub fn namespace(channel: &str) -> &str {
    channel.split_once(':').map_or("", |(name, _)| name)
}

/// A cursor's text, read strictly.
pub fn read(text: &str) -> Option<At> {
    let (epoch, seq) = text.split_once('-')?;
    let number: u64 = seq.parse().ok()?;
    let digit = |b: u8| b.is_ascii_digit() || b.is_ascii_lowercase();
    let plain = !epoch.is_empty() && epoch.len() <= 13 && epoch.bytes().all(digit);
    (plain && number.to_string() == seq).then(|| (epoch.to_owned(), number))
}

/// A body in a trace: its number and length are enough.
pub struct Brief<'a>(pub &'a str);

impl fmt::Debug for Brief<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.0.split('.').next().unwrap_or_default();
        write!(f, "{number}({} B)", self.0.len())
    }
}

impl fmt::Debug for Heard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (id, channel) = (Name(self.id.as_ref()), &self.channel);
        write!(f, "{id:?} in {channel} {:?}", Brief(&self.body))
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = Name(Some(&self.id));
        write!(f, "{id:?} {:?} to {:?}", Brief(&self.body), self.targets)?;
        if !self.except.is_empty() {
            write!(f, " except {:?}", self.except)?;
        }
        self.key
            .as_ref()
            .map_or(Ok(()), |key| write!(f, " key {key}"))?;
        write!(f, " cost {} at {} ms", self.cost, self.at)
    }
}

/// An id as the wire writes it.
pub struct Name<'a>(pub Option<&'a At>);

impl fmt::Debug for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some((epoch, seq)) => write!(f, "{epoch}-{seq}"),
            None => f.write_str("(no id)"),
        }
    }
}
