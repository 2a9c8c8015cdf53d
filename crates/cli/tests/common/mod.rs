//! The built binary, for tests. Whatever is waited for is waited for at most
//! [`PATIENCE`]; nothing sleeps.
#![allow(dead_code)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

/// How long anything may take before a test calls it stuck.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// `fanwire` with these arguments and an empty environment.
pub(crate) fn fanwire(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fanwire"));
    command.args(args).env_clear().stdin(Stdio::null());
    command
}

/// A path for a file of this test's own; nothing is there yet.
pub(crate) fn fresh(name: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_file(&path);
    path
}

/// What a finished command said and how it ended.
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// Runs a command that ends by itself.
pub(crate) fn run(args: &[&str]) -> Ended {
    fanwire(args).output().unwrap().into()
}

/// A command that runs beside the test; killed with it.
pub(crate) struct Running {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Receiver<String>,
    stderr: Receiver<String>,
}

impl Running {
    /// Starts `command` with all its streams piped, but for a stdin that was set.
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            stdin: child.stdin.take(),
            stdout: lines(child.stdout.take().unwrap()),
            stderr: lines(child.stderr.take().unwrap()),
            child,
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The next line on stdout.
    pub(crate) fn line(&self) -> String {
        match self.stdout.recv_timeout(PATIENCE) {
            Ok(line) => line,
            Err(why) => panic!("no line on stdout: {why}; stderr: {:?}", self.said()),
        }
    }

    /// The next `count` lines on stdout.
    pub(crate) fn lines(&self, count: usize) -> Vec<String> {
        (0..count).map(|_| self.line()).collect()
    }

    /// The next line on stderr that holds `part`.
    pub(crate) fn hears(&self, part: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.stderr.recv_timeout(deadline - Instant::now()) {
                Ok(line) if line.contains(part) => return line,
                Ok(_) => {}
                Err(why) => panic!("no {part:?} on stderr: {why}"),
            }
        }
    }

    /// What stands on stderr and was not heard yet.
    pub(crate) fn said(&self) -> Vec<String> {
        self.stderr.try_iter().collect()
    }

    /// Writes to its stdin.
    pub(crate) fn feed(&mut self, text: &str) {
        let stdin = self.stdin.as_mut().unwrap();
        stdin.write_all(text.as_bytes()).unwrap();
        stdin.flush().unwrap();
    }

    pub(crate) fn take_stdin(&mut self) -> ChildStdin {
        self.stdin.take().unwrap()
    }

    /// Sends a signal by its name.
    pub(crate) fn signal(&self, name: &str) {
        let line = format!("kill -{name} {}", self.child.id());
        let status = Command::new("sh").args(["-c", &line]).status().unwrap();
        assert!(status.success());
    }

    /// SIGKILL, and its end.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// The lines that a killed command had still printed; a line cut short by
    /// the kill is none.
    pub(crate) fn end_of_killed(&self) -> Vec<String> {
        std::iter::from_fn(|| self.stdout.recv_timeout(PATIENCE).ok()).collect()
    }

    /// Everything that it still prints, and how it ended; its stdin is closed.
    pub(crate) fn end(mut self) -> Ended {
        drop(self.stdin.take());
        let (mut stdout, mut stderr) = (String::new(), String::new());
        for (from, into) in [(&self.stdout, &mut stdout), (&self.stderr, &mut stderr)] {
            loop {
                match from.recv_timeout(PATIENCE) {
                    Ok(line) => *into += &(line + "\n"),
                    Err(RecvTimeoutError::Disconnected) => break,
                    Err(RecvTimeoutError::Timeout) => panic!("it does not end"),
                }
            }
        }
        // Both streams are closed: it is at its end.
        let code = self.child.wait().unwrap().code();
        Ended {
            code,
            stdout,
            stderr,
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lines(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for line in BufReader::new(stream).lines() {
            let Ok(line) = line else { return };
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

/// A server on a port of its own.
pub(crate) struct Served {
    pub(crate) running: Running,
    pub(crate) url: String,
    pub(crate) port: u16,
    pub(crate) greeting: Vec<String>,
}

/// Serves on a free port.
pub(crate) fn serve(args: &[&str]) -> Served {
    serve_on(0, &mut fanwire(args))
}

/// Serves on a port; `command` holds the flags.
pub(crate) fn serve_on(port: u16, command: &mut Command) -> Served {
    let mut all = fanwire(&["serve", &format!("--listen=127.0.0.1:{port}")]);
    all.args(command.get_args());
    all.envs(
        command
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    let running = Running::start(&mut all);
    let mut greeting = Vec::new();
    while !greeting
        .last()
        .is_some_and(|line: &String| line.contains("Ctrl-C"))
    {
        greeting.push(running.line());
    }
    let url = greeting
        .iter()
        .flat_map(|line| line.split([' ', ',']))
        .find(|word| word.starts_with("http://127.0.0.1:"))
        .unwrap()
        .to_owned();
    let port = url.rsplit(':').next().unwrap().parse().unwrap();
    Served {
        running,
        url,
        port,
        greeting,
    }
}

/// One request, and the answer's head and body.
pub(crate) fn request(port: u16, head: &str, body: &str) -> (String, String) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let length = body.len();
    write!(
        stream,
        "{head} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

/// Waits until `done`, which asks for something that another process does.
pub(crate) fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "never: {what}");
        thread::yield_now();
    }
}
