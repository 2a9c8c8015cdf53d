//! `fanwire pub`.

use std::io::{self, BufReader, Read};

use clap::{Args, ValueEnum};
use fanwire_client::{Body, Error, Publication, PublishOptions, Published, Publisher};

use crate::failure::Failure;
use crate::lines::{Line, Lines};
use crate::output::{print, say};
use crate::server_options::ServerOptions;

/// Largest message from stdin, and the longest line: what no server takes.
const MAX_MESSAGE: usize = 64 << 20;

/// Publish to a channel
///
/// Without DATA the whole of stdin is one message. With --lines every line of
/// stdin is published as it comes, in order, each once: while the server is
/// away the line is tried again and nothing more is read. A line that the
/// server cannot take (too long, not UTF-8) is told and passed over, and the
/// command ends with 1.
#[derive(Args)]
#[command(after_help = "\
Examples:
  fanwire pub news 'hello, world'
  fanwire pub scores --event goal --json '{\"home\":1,\"away\":0}'
  tail -f app.log | fanwire pub logs --lines
  fanwire pub pictures --kind binary < picture.png
  FANWIRE_API_KEY=SECRET fanwire pub news hi --url https://events.example.org")]
pub(crate) struct Publish {
    /// The channel: news, chat:lobby, :user:5, chat:@all
    channel: String,
    /// The message
    #[arg(conflicts_with = "lines")]
    data: Option<String>,
    /// Publish every line of stdin as it comes
    #[arg(long)]
    lines: bool,
    /// The event name
    #[arg(long, value_name = "NAME")]
    event: Option<String>,
    /// What the message is
    #[arg(long, value_enum, default_value = "text")]
    kind: Kind,
    /// The same as --kind json
    #[arg(long, conflicts_with = "kind")]
    json: bool,
    /// The conflation key: a later message with it replaces earlier ones
    #[arg(long)]
    key: Option<String>,
    /// Not kept; only those who listen right now hear it
    #[arg(long)]
    volatile: bool,
    /// Print the id of each message
    #[arg(short, long)]
    verbose: bool,
    #[command(flatten)]
    server: ServerOptions,
}

#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    Json,
    Text,
    Binary,
}

/// Publishes.
pub(crate) fn run(args: Publish) -> Result<(), Failure> {
    let publisher = Publisher::new(PublishOptions {
        api_key: args.server.api_key()?,
        token: args.server.token(),
        trust: args.server.trust()?,
        backoff: ServerOptions::backoff(),
        ..PublishOptions::new(args.server.url.clone())
    })
    .map_err(Failure::new)?;
    // A second thread watches the connection while stdin is waited for.
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format_args!("cannot start the runtime: {error}")))?
        .block_on(async {
            match args.lines {
                true => lines(&args, publisher).await,
                false => one(&args, publisher).await,
            }
        })
}

async fn one(args: &Publish, mut publisher: Publisher) -> Result<(), Failure> {
    let data = match &args.data {
        Some(data) => data.clone().into_bytes(),
        None => {
            let mut data = Vec::new();
            io::stdin()
                .take(MAX_MESSAGE as u64 + 1)
                .read_to_end(&mut data)
                .map_err(unreadable)?;
            if data.len() > MAX_MESSAGE {
                return Err(Failure::new("a message has at most 64 MiB"));
            }
            data
        }
    };
    let published = publisher
        .publish(&args.publication(data))
        .await
        .map_err(|error| args.server.failure(&error))?;
    args.told(&published)
}

async fn lines(args: &Publish, mut publisher: Publisher) -> Result<(), Failure> {
    let run = run_id()?;
    let mut input = Lines::new(BufReader::new(io::stdin()), MAX_MESSAGE);
    let (mut number, mut refused) = (0u64, 0u64);
    loop {
        let reading = tokio::task::spawn_blocking(move || {
            let line = input.next_line();
            (input, line)
        });
        let (returned, line) = reading.await.map_err(Failure::new)?;
        input = returned;
        number += 1;
        let line = match line.map_err(unreadable)? {
            Line::Whole(line) => line,
            Line::TooLong => {
                refused += 1;
                say(format_args!("line {number}: over 64 MiB, passed over"));
                continue;
            }
            Line::End => break,
        };
        let mut publication = args.publication(line);
        let answer = if args.volatile {
            publisher.publish(&publication).await
        } else {
            publication.idempotency_key = Some(format!("{run}-{number}"));
            let tell = |error: &Error, wait: std::time::Duration| {
                let wait = wait.as_secs_f32();
                say(format_args!("line {number}: {error}; again in {wait:.1} s"));
            };
            publisher.publish_retrying(&publication, tell).await
        };
        match answer {
            Ok(published) => args.told(&published)?,
            Err(error) if passes_over(&error, args.volatile) => {
                refused += 1;
                say(format_args!("line {number}: {error}; passed over"));
            }
            Err(error) => return Err(Failure::new(format_args!("line {number}: {error}"))),
        }
    }
    match refused {
        0 => Ok(()),
        refused => Err(Failure::new(format_args!(
            "{refused} lines were not published"
        ))),
    }
}

/// Whether the fault is this line's alone, so that the next one may do better.
fn passes_over(error: &Error, volatile: bool) -> bool {
    match error {
        Error::Refused(refusal)
            if matches!(refusal.code.as_str(), "too_large" | "invalid_body") =>
        {
            true
        }
        error => volatile && error.is_retryable(),
    }
}

/// Names this run, so that its lines' idempotency keys are its own.
fn run_id() -> Result<String, Failure> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)
        .map_err(|error| Failure::new(format_args!("no randomness: {error}")))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn unreadable(error: io::Error) -> Failure {
    Failure::new(format_args!("cannot read stdin: {error}"))
}

impl Publish {
    fn publication(&self, data: Vec<u8>) -> Publication {
        let data = data.into();
        let body = match (self.json, self.kind) {
            (true, _) | (_, Kind::Json) => Body::Json(data),
            (_, Kind::Text) => Body::Text(data),
            (_, Kind::Binary) => Body::Binary(data),
        };
        Publication {
            event: self.event.clone(),
            key: self.key.clone(),
            volatile: self.volatile,
            ..Publication::new(&self.channel, body)
        }
    }

    fn told(&self, published: &Published) -> Result<(), Failure> {
        if !self.verbose {
            return Ok(());
        }
        let id = published.id.as_deref().unwrap_or("volatile");
        print(format!("{id}\n").as_bytes())
    }
}
