//! The stages that put other people's clients in front of the real binary: browsers, npm and
//! PyPI packages, curl. Each is a Node script that prints TAP.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use super::Context;
use super::cargo::cargo;
use crate::process::{self, Ended, Output};
use crate::setup::{self, BROWSER_PROJECT, CLIENTS_PROJECT};
use crate::tally::{Tally, Tap};

const BUILD_LIMIT: Duration = Duration::from_secs(20 * 60);
/// The scripts bound each of their tests themselves; this is for a script that is stuck.
const SCRIPT_LIMIT: Duration = Duration::from_secs(10 * 60);

/// npm `eventsource`, `ws`, `socket.io-client` and `engine.io-client`, PyPI `websockets` and
/// `python-socketio`, `curl`.
pub(super) fn clients(context: &Context) -> Tally {
    let prepared = setup::debian(&["curl"], "curl").and_then(|curl| {
        setup::npm(&context.root, CLIENTS_PROJECT)?;
        Ok((curl, setup::python(&context.root, CLIENTS_PROJECT)?))
    });
    let (curl, python) = match prepared {
        Err(reason) => return Tally::missing(format!("clients: {reason}")),
        Ok(prepared) => prepared,
    };
    let app = match built(context, "fanwire-tests", "socketio-app") {
        Err(reason) => return Tally::fail(format!("clients: {reason}")),
        Ok(app) => app,
    };
    script(
        context,
        "clients",
        &format!("{CLIENTS_PROJECT}/run.mjs"),
        |node| {
            node.env("FANWIRE_CURL", curl)
                .env("FANWIRE_PYTHON", python)
                .env("FANWIRE_APP", app);
        },
    )
}

/// The page suite in Debian's Chromium.
pub(super) fn chromium(context: &Context) -> Tally {
    browser(context, "chromium", &["chromium"], "chromium")
}

/// The page suite in Debian's Firefox ESR.
pub(super) fn firefox(context: &Context) -> Tally {
    browser(context, "firefox", &["firefox-esr"], "firefox-esr")
}

/// The demos in Debian's Chromium.
pub(super) fn demos(context: &Context) -> Tally {
    let program = match installed(context, "demos", &["chromium"], "chromium") {
        Err(missing) => return missing,
        Ok(program) => program,
    };
    script(
        context,
        "demos",
        &format!("{BROWSER_PROJECT}/demos.mjs"),
        |node| {
            node.env("FANWIRE_BROWSER", program);
        },
    )
}

/// A browser's program, with what drives it.
fn installed(
    context: &Context,
    name: &str,
    programs: &[&str],
    package: &str,
) -> Result<PathBuf, Tally> {
    setup::npm(&context.root, BROWSER_PROJECT)
        .and_then(|()| setup::debian(programs, package))
        .map_err(|reason| Tally::missing(format!("{name}: {reason}")))
}

fn browser(context: &Context, name: &str, programs: &[&str], package: &str) -> Tally {
    let program = match installed(context, name, programs, package) {
        Err(missing) => return missing,
        Ok(program) => program,
    };
    let app = match built(context, "fanwire-tests", "socketio-page") {
        Err(reason) => return Tally::fail(format!("{name}: {reason}")),
        Ok(app) => app,
    };
    script(
        context,
        name,
        &format!("{BROWSER_PROJECT}/run.mjs"),
        |node| {
            node.arg(name)
                .env("FANWIRE_BROWSER", program)
                .env("FANWIRE_PAGE_APP", app);
        },
    )
}

/// Builds the server and runs a Node script against it; the script is told the binary's path.
fn script(context: &Context, what: &str, path: &str, prepare: impl FnOnce(&mut Command)) -> Tally {
    let server = match built(context, "fanwire-cli", "fanwire") {
        Ok(server) => server,
        Err(reason) => return Tally::fail(format!("{what}: {reason}")),
    };
    let mut node = Command::new("node");
    node.arg(context.root.join(path))
        .current_dir(&context.root)
        .env("FANWIRE_BIN", server);
    prepare(&mut node);
    let mut count = Tap::default();
    let ended = process::run(&mut node, Output::Stdout, SCRIPT_LIMIT, |line| {
        println!("{line}");
        count.line(line);
    });
    match ended {
        Err(reason) => Tally::fail(format!("{what}: {reason}")),
        Ok(ended) => {
            let mut tally = count.finish(ended.succeeded(), what);
            if matches!(ended, Ended::TimedOut) {
                tally
                    .failures
                    .push(format!("{what} ran for {} s", SCRIPT_LIMIT.as_secs()));
            }
            tally
        }
    }
}

/// The debug build of a package's binary.
fn built(context: &Context, package: &str, name: &str) -> Result<PathBuf, String> {
    let arguments = ["build", "--quiet", "--package", package, "--bin", name];
    let mut command = cargo(context, &arguments);
    let ended = process::run(&mut command, Output::Stdout, BUILD_LIMIT, |line| {
        println!("{line}")
    })?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or("target".into(), PathBuf::from);
    let binary = context.root.join(target).join("debug").join(name);
    if ended.succeeded() && binary.is_file() {
        Ok(binary)
    } else {
        Err(format!("the build of {name} {}", ended.describe()))
    }
}
