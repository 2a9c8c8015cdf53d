//! `fanwire sub`.

use std::path::PathBuf;
use std::pin::pin;

use clap::{Args, ValueEnum};
use fanwire_client::{Event, Message, MessageBody, Start, SubscribeOptions, Subscriber, Transport};

use crate::cursor_file::CursorFile;
use crate::envelope;
use crate::failure::Failure;
use crate::output::{print, reader_gone, say};
use crate::server_options::ServerOptions;

/// Listen to channels
///
/// Prints the data of each message, followed by a line end. Comes back by
/// itself after every loss of the connection and goes on where it was; where
/// the server says that messages are missing, stderr says so.
#[derive(Args)]
#[command(after_help = "\
Examples:
  fanwire sub news
  fanwire sub chat:lobby chat:help --json
  fanwire sub logs --transport sse --rewind 20
  fanwire sub logs --cursor-file logs.cursor >> logs.txt   # goes on where it was killed
  fanwire sub news --after earliest --count 10
  fanwire sub news --token-file ada.token   # read again when the token has ended

With --cursor-file the cursor is written after the line: a kill loses no line, and
repeats at most the one that it fell upon.")]
pub(crate) struct Subscribe {
    /// The channels: news, chat:lobby, :user:5 (at most 16)
    #[arg(required = true, value_name = "CHANNEL")]
    channels: Vec<String>,
    /// How to listen
    #[arg(long, value_enum, default_value = "ws")]
    transport: Wire,
    /// Start after this cursor, or `earliest`, or `latest`
    #[arg(long, value_name = "CURSOR", conflicts_with = "rewind")]
    after: Option<String>,
    /// Start with the last N messages of each channel
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=1000))]
    rewind: Option<u32>,
    /// Print each message in its envelope, as JSON on one line
    #[arg(long)]
    json: bool,
    /// End after N messages
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Keep the place in this file and start from it; wins over --after and --rewind
    #[arg(long, value_name = "FILE")]
    cursor_file: Option<PathBuf>,
    #[command(flatten)]
    server: ServerOptions,
}

#[derive(Clone, Copy, ValueEnum)]
enum Wire {
    Ws,
    Sse,
    Poll,
}

/// Listens.
pub(crate) fn run(args: Subscribe) -> Result<(), Failure> {
    let cursor_file = args
        .cursor_file
        .as_deref()
        .map(CursorFile::open)
        .transpose()?;
    let options = args.options(cursor_file.as_ref().and_then(CursorFile::cursor))?;
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format_args!("cannot start the runtime: {error}")))?
        .block_on(listen(&args, options, cursor_file))
}

async fn listen(
    args: &Subscribe,
    options: SubscribeOptions,
    mut cursor_file: Option<CursorFile>,
) -> Result<(), Failure> {
    let mut subscriber = Subscriber::connect(options).map_err(Failure::new)?;
    let mut left = args.count;
    let mut reader_gone = pin!(reader_gone());
    loop {
        let event = tokio::select! {
            biased;
            event = subscriber.next() => event.map_err(|error| args.server.failure(&error))?,
            () = &mut reader_gone => return Err(Failure::ClosedOutput),
        };
        match event {
            Event::Message(message) => {
                print(&args.line(&message))?;
                left = left.map(|left| left - 1);
            }
            Event::Gap {
                channel,
                reason,
                lost_through,
                ..
            } => {
                let through = lost_through.map_or_else(String::new, |id| format!(", up to {id}"));
                say(format_args!(
                    "gap: messages of {channel} may be missing ({reason}{through})"
                ));
            }
            Event::Disconnected { why, retry_in } => {
                let wait = retry_in.as_secs_f32();
                say(format_args!("not connected: {why}; again in {wait:.1} s"));
            }
            Event::Ready { .. } | Event::Cursor { .. } => {}
        }
        // After the line was flushed: a kill in between repeats it, none is lost.
        if let (Some(file), Some(cursor)) = (&mut cursor_file, subscriber.cursor()) {
            file.write(cursor)?;
        }
        if left == Some(0) {
            return Ok(());
        }
    }
}

impl Subscribe {
    fn options(&self, kept: Option<&str>) -> Result<SubscribeOptions, Failure> {
        let start = match (kept, &self.after, self.rewind) {
            (Some(cursor), ..) => Start::After(cursor.to_owned()),
            (None, Some(after), _) => Start::After(after.clone()),
            (None, None, Some(count)) => Start::Rewind(count),
            (None, None, None) => Start::Latest,
        };
        let transport = match self.transport {
            Wire::Ws => Transport::Ws,
            Wire::Sse => Transport::Sse,
            Wire::Poll => Transport::Poll,
        };
        Ok(SubscribeOptions {
            transport,
            start,
            api_key: self.server.api_key()?,
            token: self.server.token(),
            trust: self.server.trust()?,
            backoff: ServerOptions::backoff(),
            ..SubscribeOptions::new(self.server.url.clone(), self.channels.iter().cloned())
        })
    }

    fn line(&self, message: &Message) -> Vec<u8> {
        let mut line = match &message.body {
            _ if self.json => envelope::write(message),
            MessageBody::Text(text) => text.clone().into_bytes(),
            MessageBody::Binary(bytes) => bytes.to_vec(),
            MessageBody::Json(json) | MessageBody::Args(json) => json.get().as_bytes().to_vec(),
        };
        line.push(b'\n');
        line
    }
}
