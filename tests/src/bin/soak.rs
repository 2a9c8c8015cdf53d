//! `soak SERVER SECONDS SEED`: churn against a `fanwire` program; ends with 0 where it is as it was.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use fanwire_tests::soak::{Plan, run};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let plan = match words.as_slice() {
        [server, seconds, seed] => {
            seconds
                .parse()
                .ok()
                .zip(seed.parse().ok())
                .map(|(seconds, seed)| Plan {
                    server: PathBuf::from(server),
                    time: Duration::from_secs(seconds),
                    seed,
                })
        }
        _ => None,
    };
    let Some(plan) = plan else {
        eprintln!("soak SERVER SECONDS SEED");
        return ExitCode::from(2);
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(run(&plan)),
        Err(error) => Err(error.to_string()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            println!("FAILED {why}");
            ExitCode::FAILURE
        }
    }
}
