//! `pub` and `sub` through TLS: whom they believe, and whom they don't.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use common::{Ended, Running, fanwire};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

const TRANSPORTS: [&str; 3] = ["ws", "sse", "poll"];

/// A server that speaks TLS, and its port.
struct Secured {
    _running: Running,
    port: u16,
}

impl Secured {
    fn start(args: &[&str]) -> Self {
        let listen = ["serve", "--listen=127.0.0.1:0"];
        let running = Running::start(&mut fanwire(&[&listen[..], args].concat()));
        let port = loop {
            let line = running.line();
            if let Some((_, rest)) = line.split_once("https://127.0.0.1:") {
                let digits = rest.split(|c: char| !c.is_ascii_digit()).next();
                break digits.unwrap().parse().unwrap();
            }
        };
        Self {
            _running: running,
            port,
        }
    }

    fn command(&self, host: &str, args: &[&str]) -> Command {
        let url = format!("https://{host}:{}", self.port);
        fanwire(&[args, &["--url", &url]].concat())
    }

    fn run(&self, host: &str, args: &[&str]) -> Ended {
        self.command(host, args).output().unwrap().into()
    }
}

/// A certificate authority, and a certificate of it for `localhost`.
struct Ca {
    list: PathBuf,
    cert: PathBuf,
    key: PathBuf,
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n")
}

impl Ca {
    fn new(name: &str) -> Self {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir(&folder).unwrap();
        let path = |name: &str| folder.join(name);
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let list = pem("CERTIFICATE", params.self_signed(&key).unwrap().der());
        let issuer = Issuer::new(params, key);
        let own = KeyPair::generate().unwrap();
        let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        let cert = pem(
            "CERTIFICATE",
            params.signed_by(&own, &issuer).unwrap().der(),
        );
        let all = Self {
            list: path("ca.pem"),
            cert: path("cert.pem"),
            key: path("key.pem"),
        };
        fs::write(&all.list, list).unwrap();
        fs::write(&all.cert, cert).unwrap();
        fs::write(&all.key, pem("PRIVATE KEY", own.serialized_der())).unwrap();
        all
    }

    fn serve(&self) -> Secured {
        let (cert, key) = (self.cert.to_str().unwrap(), self.key.to_str().unwrap());
        Secured::start(&["--tls-cert", cert, "--tls-key", key])
    }
}

/// Publishes, and hears it on every transport.
fn works(server: &Secured, host: &str, trust: &[&str]) {
    for transport in TRANSPORTS {
        let channel = transport;
        let published = server.run(host, &[&["pub", channel, "hello"], trust].concat());
        assert_eq!(published.code, Some(0), "{}", published.stderr);
        let args = [
            "sub",
            channel,
            "--after=earliest",
            "--count=2",
            "--transport",
        ];
        let sub = server.command(host, &[&args[..], &[transport], trust].concat());
        let sub = Running::start(&mut { sub });
        assert_eq!(sub.line(), "hello", "{transport}");
        // And what comes later, on the open stream.
        let large = "x".repeat(60_000);
        let published = server.run(host, &[&["pub", channel, &large], trust].concat());
        assert_eq!(published.code, Some(0), "{}", published.stderr);
        assert_eq!(sub.line(), large, "{transport}");
        assert_eq!(sub.end().code, Some(0), "{transport}");
    }
}

#[test]
fn an_authority_that_is_named_is_believed_on_every_transport() {
    let ca = Ca::new("https-named");
    let server = ca.serve();
    works(
        &server,
        "localhost",
        &["--cacert", ca.list.to_str().unwrap()],
    );
}

#[test]
fn the_systems_list_counts_where_none_is_named() {
    let ca = Ca::new("https-system");
    let server = ca.serve();
    let mut command = server.command("localhost", &["pub", "news", "hello"]);
    let ended: Ended = command
        .env("SSL_CERT_FILE", &ca.list)
        .output()
        .unwrap()
        .into();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}

#[test]
fn a_self_signed_certificate_is_taken_only_when_that_is_asked_for() {
    let server = Secured::start(&["--tls-self-signed"]);
    works(&server, "127.0.0.1", &["--insecure"]);
    let ended = server.run("127.0.0.1", &["pub", "news", "hello"]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("--cacert"), "{}", ended.stderr);
}

#[test]
fn nobody_else_is_believed_and_nothing_is_sent_to_them() {
    let (ca, other) = (Ca::new("https-ours"), Ca::new("https-other"));
    let server = ca.serve();
    let ours = ["--cacert", ca.list.to_str().unwrap()];
    let theirs = ["--cacert", other.list.to_str().unwrap()];
    // The certificate is for localhost, not for this address.
    for (host, trust) in [("localhost", &theirs), ("127.0.0.1", &ours)] {
        let pub_ = server.run(host, &[&["pub", "news", "stolen"], &trust[..]].concat());
        assert_eq!(pub_.code, Some(1), "{host}");
        assert!(pub_.stderr.contains("not trusted"), "{}", pub_.stderr);
        for transport in TRANSPORTS {
            let args = ["sub", "news", "--transport", transport];
            let sub = server.run(host, &[&args[..], &trust[..]].concat());
            assert_eq!(sub.code, Some(1), "{host} {transport}");
            assert!(sub.stderr.contains("not trusted"), "{}", sub.stderr);
        }
    }
    let empty = ["--cacert", ca.key.to_str().unwrap()];
    let wrong = server.run("localhost", &[&["pub", "news", "x"], &empty[..]].concat());
    assert_eq!(wrong.code, Some(1));
    assert!(wrong.stderr.contains("no certificate"), "{}", wrong.stderr);
    // It was all refused before a byte of a request.
    let heard = ["sub", "news", "--after=earliest", "--count=1"];
    let sub = Running::start(&mut server.command("localhost", &[&heard[..], &ours].concat()));
    let good = server.run("localhost", &[&["pub", "news", "good"], &ours[..]].concat());
    assert_eq!(good.code, Some(0), "{}", good.stderr);
    assert_eq!(sub.line(), "good");
}

#[test]
fn tls_to_a_port_in_the_clear_and_the_other_way_round_are_told() {
    let plain = common::serve(&[]);
    let url = format!("https://127.0.0.1:{}", plain.port);
    let ended = common::run(&["pub", "news", "x", "--url", &url, "--insecure"]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("TLS"), "{}", ended.stderr);
    let server = Secured::start(&["--tls-self-signed"]);
    let url = format!("http://127.0.0.1:{}", server.port);
    let ended = common::run(&["pub", "news", "x", "--url", &url]);
    assert_eq!(ended.code, Some(1));
}
