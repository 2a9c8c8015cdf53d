//! `POST /api/reload`: reads the configuration again.

use std::sync::Arc;

use fanwire_core::error::{Code, Refusal};
use serde::Serialize;

use crate::answer::{Answer, json};
use crate::app::App;
use crate::renew;

#[derive(Serialize)]
struct Done<'a> {
    changed: &'a [&'static str],
    needs_restart: &'a [&'static str],
}

/// Reads the configuration again, and puts it in force.
///
/// # Errors
/// `invalid_config`, with everything that is wrong: one line each. Nothing has
/// changed then.
pub(super) async fn reload(app: Arc<App>) -> Result<Answer, Refusal> {
    // It reads files.
    let asked = app.clone();
    let again = tokio::task::spawn_blocking(move || renew::again(&asked)).await;
    let again = again.map_err(|_| Refusal::new(Code::Internal, "the reload broke off"))?;
    match again {
        Ok(reloaded) => {
            tracing::warn!("reloaded: {reloaded}");
            let done = Done {
                changed: &reloaded.changed,
                needs_restart: &reloaded.needs_restart,
            };
            let body = serde_json::to_vec(&done);
            body.map(json)
                .map_err(|why| Refusal::new(Code::Internal, why.to_string()))
        }
        Err(problems) => {
            tracing::error!("not reloaded: {problems}");
            Err(Refusal::new(Code::InvalidConfig, problems.to_string()))
        }
    }
}
