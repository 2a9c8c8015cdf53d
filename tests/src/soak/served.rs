//! The program under test, as a process.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::{Mutex, mpsc};
use tokio::time::timeout;

use super::figures::Figures;

const PATIENCE: Duration = Duration::from_secs(20);

/// A running `fanwire serve`; dropped, it is killed.
pub(super) struct Served {
    child: Child,
    pid: u32,
    pub(super) addr: SocketAddr,
    pub(super) url: String,
    said: Mutex<mpsc::Receiver<String>>,
}

impl Served {
    /// Starts one on a free port.
    pub(super) async fn start(program: &Path, settings: &[(&str, &str)]) -> Result<Self, String> {
        let mut child = Command::new(program)
            .args(["serve", "--listen", "127.0.0.1:0", "--log", "off"])
            .envs(settings.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| format!("{}: {error}", program.display()))?;
        let mut greeting = lines(child.stdout.take());
        let said = lines(child.stderr.take());
        let mut url = None;
        while let Some(line) = within("a greeting", greeting.recv()).await? {
            let mut words = line.split([' ', ',']);
            url = url.or(words
                .find(|word| word.starts_with("http://"))
                .map(str::to_owned));
            if line.contains("Ctrl-C") {
                break;
            }
        }
        let url = url.ok_or("the server does not say where it listens")?;
        let addr = url.trim_start_matches("http://").parse();
        Ok(Self {
            pid: child.id().ok_or("the server has ended")?,
            child,
            addr: addr.map_err(|_| format!("not an address: {url}"))?,
            url,
            said: Mutex::new(said),
        })
    }

    pub(super) fn is_alive(&self) -> bool {
        Path::new(&format!("/proc/{}/smaps_rollup", self.pid)).exists()
    }

    /// What it holds now.
    pub(super) async fn figures(&self) -> Result<Figures, String> {
        self.signal("USR1").await?;
        let line = self.line("figures:").await?;
        Figures::read(self.pid, &line)
    }

    /// SIGTERM; its last line, once it has ended with 0.
    pub(super) async fn stop(mut self) -> Result<String, String> {
        self.signal("TERM").await?;
        let last = self.line("stopped").await?;
        let status = within("its end", self.child.wait()).await?;
        match status {
            Ok(status) if status.success() => Ok(last),
            other => Err(format!("{last}: {other:?}")),
        }
    }

    async fn signal(&self, name: &str) -> Result<(), String> {
        let mut kill = Command::new("kill");
        let status = kill
            .arg(format!("-{name}"))
            .arg(self.pid.to_string())
            .status()
            .await;
        match status {
            Ok(status) if status.success() => Ok(()),
            other => Err(format!("kill -{name}: {other:?}")),
        }
    }

    /// The next line on stderr that begins so.
    async fn line(&self, begins: &str) -> Result<String, String> {
        let mut said = self.said.lock().await;
        loop {
            match within(begins, said.recv()).await? {
                Some(line) if line.starts_with(begins) => return Ok(line),
                Some(_) => {}
                None => return Err(format!("it ended without saying {begins}")),
            }
        }
    }
}

async fn within<T>(what: &str, future: impl Future<Output = T>) -> Result<T, String> {
    let bounded = timeout(PATIENCE, future).await;
    bounded.map_err(|_| format!("waited {} s in vain for {what}", PATIENCE.as_secs()))
}

fn lines(stream: Option<impl AsyncRead + Send + Unpin + 'static>) -> mpsc::Receiver<String> {
    let (send, receive) = mpsc::channel(1000);
    if let Some(stream) = stream {
        tokio::spawn(async move {
            let mut lines = BufReader::new(stream).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                // Nobody listens any more: it must not block for that.
                let _ = send.try_send(line);
            }
        });
    }
    receive
}
