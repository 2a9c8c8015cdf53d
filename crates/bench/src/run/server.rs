//! Starts and stops a server.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use rustix::time::Timespec;

use crate::adapter::{Adapter, Launch, Template};
use crate::error::{Error, Result};
use crate::host::{self, Signals};

/// Longest time until a server accepts connections, and until it ends.
const START: Duration = Duration::from_secs(20);
const END: Duration = Duration::from_secs(3);
/// Between two looks at whether it accepts connections.
const LOOK: Duration = Duration::from_millis(20);

/// A server that was started here. Dropped, it is told to end, and ended.
#[derive(Debug)]
pub(super) struct Server {
    child: Child,
    ended: OwnedFd,
    pub(super) addr: SocketAddr,
    temp: PathBuf,
}

impl Server {
    /// Starts an adapter's server, with TLS if asked for, on one CPU if given,
    /// and waits until it accepts connections.
    ///
    /// # Errors
    /// It cannot be started, or ended at once; with the end of what it said.
    pub(super) fn start(
        adapter: &Adapter,
        tls: bool,
        cpu: Option<usize>,
        this: &[String],
        signals: &Signals,
    ) -> Result<Server> {
        let Some(launch) = &adapter.server else {
            return Err(Error::new(format_args!(
                "{} cannot be started",
                adapter.name
            )));
        };
        let port = free_port()?;
        let temp = temp_folder()?;
        let words = Words::new(adapter, this, port, &temp)?;
        for (name, text) in &launch.files {
            fs::write(temp.join(name), words.fill(text)?)?;
        }
        let log = File::create(temp.join("log"))?;
        let more = launch.tls.iter().filter(|_| tls);
        let line: Vec<String> = launch.command.iter().chain(more).cloned().collect();
        let mut command = words.command(&line, adapter)?;
        for (name, value) in &launch.env {
            command.env(name, words.fill(value)?);
        }
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        // A process starts where its parent may run.
        let undo = cpu.map(host::pin).transpose()?;
        let child = command.spawn();
        if let Some(undo) = undo {
            undo();
        }
        let child = child.map_err(|error| {
            Error::from(error).doing(format_args!(
                "starting {} ({})",
                adapter.name,
                launch.command.first().map_or("", String::as_str)
            ))
        })?;
        let ended = pidfd_open(pid(&child)?, PidfdFlags::empty())?;
        let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut server = Server {
            child,
            ended,
            addr,
            temp,
        };
        server.wait_until_up(adapter, signals)?;
        Ok(server)
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    fn wait_until_up(&mut self, adapter: &Adapter, signals: &Signals) -> Result<()> {
        let deadline = Instant::now() + START;
        while TcpStream::connect_timeout(&self.addr, LOOK).is_err() {
            signals.check()?;
            if self.has_ended(LOOK)? {
                return Err(Error::new(format_args!(
                    "{} ended at once:\n{}",
                    adapter.name,
                    self.last_words()
                )));
            }
            if Instant::now() > deadline {
                return Err(Error::new(format_args!(
                    "{} accepts no connection on {} after {} s:\n{}",
                    adapter.name,
                    self.addr,
                    START.as_secs(),
                    self.last_words()
                )));
            }
        }
        Ok(())
    }

    fn has_ended(&self, within: Duration) -> Result<bool> {
        let timeout = Timespec {
            tv_sec: within.as_secs() as i64,
            tv_nsec: within.subsec_nanos().into(),
        };
        let mut watched = [PollFd::new(&self.ended, PollFlags::IN)];
        Ok(poll(&mut watched, Some(&timeout))? > 0)
    }

    /// The end of what it said.
    fn last_words(&self) -> String {
        let text = fs::read(self.temp.join("log")).unwrap_or_default();
        let text = String::from_utf8_lossy(&text[text.len().saturating_sub(2000)..]).into_owned();
        if text.trim().is_empty() {
            "(it said nothing)".to_owned()
        } else {
            text
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Ok(pid) = pid(&self.child) {
            // It may have ended by itself.
            let _ = kill_process(pid, Signal::TERM);
        }
        if !self.has_ended(END).unwrap_or(false) {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.temp);
    }
}

/// What an adapter's commands may name.
pub(super) struct Words {
    values: BTreeMap<&'static str, String>,
    this: Vec<String>,
}

impl Words {
    pub(super) fn new(adapter: &Adapter, this: &[String], port: u16, temp: &Path) -> Result<Words> {
        let mut values = BTreeMap::new();
        values.insert("port", port.to_string());
        values.insert("temp", temp.display().to_string());
        values.insert("fanwire", fanwire()?);
        if let Some(folder) = &adapter.folder {
            let folder = fs::canonicalize(folder)?;
            values.insert("folder", folder.display().to_string());
        }
        Ok(Words {
            values,
            this: this.to_vec(),
        })
    }

    pub(super) fn fill(&self, text: &str) -> Result<String> {
        let mut out = Vec::new();
        let value = |name: &str| self.values.get(name).map(|value| value.as_bytes());
        if !Template::parse(text).render(value, &mut out) {
            return Err(Error::new(format_args!(
                "{text:?} has a variable without a value; {{folder}} needs --peers, or the adapter's own file"
            )));
        }
        Ok(String::from_utf8_lossy(&out).into_owned())
    }

    /// A command, to be run in the adapter's folder where it has one.
    pub(super) fn command(&self, words: &[String], adapter: &Adapter) -> Result<Command> {
        let mut filled = Vec::new();
        for word in words {
            match word.as_str() {
                "{self}" => filled.extend(self.this.iter().cloned()),
                word => filled.push(self.fill(word)?),
            }
        }
        let Some((program, arguments)) = filled.split_first() else {
            return Err(Error::new("an adapter's command is empty"));
        };
        let mut command = Command::new(program);
        command.args(arguments);
        if let Some(folder) = &adapter.folder {
            command.current_dir(folder);
        }
        Ok(command)
    }
}

/// What a server says about its version, in its first line.
pub(super) fn version(adapter: &Adapter, launch: &Launch, this: &[String]) -> Option<String> {
    let words = Words::new(adapter, this, 0, Path::new("")).ok()?;
    let output = words
        .command(&launch.version, adapter)
        .ok()?
        .output()
        .ok()?;
    let text = if output.stdout.is_empty() {
        output.stderr
    } else {
        output.stdout
    };
    let text = String::from_utf8_lossy(&text).into_owned();
    let line = text.lines().next()?.trim();
    (output.status.success() && !line.is_empty()).then(|| line.chars().take(80).collect())
}

/// The `fanwire` program: this one, or its neighbour.
fn fanwire() -> Result<String> {
    let this = std::env::current_exe()?;
    let neighbour = this.with_file_name("fanwire");
    let found = match this.file_name().is_some_and(|name| name == "fanwire") {
        true => this,
        false if neighbour.is_file() => neighbour,
        false => PathBuf::from("fanwire"),
    };
    Ok(found.display().to_string())
}

fn pid(child: &Child) -> Result<Pid> {
    let raw = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    raw.ok_or_else(|| Error::new("a process without a number"))
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
        .local_addr()?
        .port())
}

fn temp_folder() -> Result<PathBuf> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = format!("fanwire-bench-{}-{count}", std::process::id());
    let folder = std::env::temp_dir().join(name);
    fs::create_dir(&folder)?;
    Ok(folder)
}
