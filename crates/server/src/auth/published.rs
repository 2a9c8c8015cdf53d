//! The keys that issuers publish, by issuer, and the tasks that fetch them. Both
//! outlive a reload for every issuer that is as it was.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::Uri;
use tokio::task::JoinHandle;

use super::fetch::Trust;
use super::jwks::{KeySet, Pace};
use crate::config::{Config, Tokens};

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Published {
    trust: Arc<Trust>,
    /// By the issuer's name in the configuration.
    sets: BTreeMap<String, Arc<KeySet>>,
}

impl Published {
    /// Those of `config`, with everything that is known of those that were there
    /// `before`: by the same name, from the same place, at the same pace.
    ///
    /// # Errors
    /// A place that is no URL; the issuer's name.
    pub(super) fn after(before: &Self, config: &Config) -> Result<Self, String> {
        let pace = pace(&config.tokens);
        let mut sets = BTreeMap::new();
        for (name, issuer) in &config.issuers.by_name {
            let Some(url) = &issuer.jwks else { continue };
            let url: Uri = url
                .parse()
                .map_err(|_| format!("issuers.{name}: jwks is not a URL"))?;
            let known = before.sets.get(name).filter(|set| set.is_from(&url, pace));
            let fresh = || KeySet::new(url.clone(), pace, before.trust.clone());
            sets.insert(name.clone(), known.cloned().unwrap_or_else(fresh));
        }
        let trust = before.trust.clone();
        Ok(Self { trust, sets })
    }

    /// Those of one issuer.
    pub(super) fn of(&self, name: &str) -> Option<Arc<KeySet>> {
        self.sets.get(name).cloned()
    }
}

fn pace(tokens: &Tokens) -> Pace {
    Pace {
        refresh: tokens.jwks_refresh,
        at_most_every: tokens.jwks_at_most_every,
        timeout: tokens.jwks_timeout,
    }
}

/// The tasks that fetch. They end with this.
#[derive(Debug, Default)]
pub(crate) struct Fetching(Vec<(Arc<KeySet>, JoinHandle<()>)>);

impl Fetching {
    /// Fetches these and no others. What is fetched already goes on.
    pub(super) fn follow(&mut self, published: &Published) {
        let wanted = |set: &Arc<KeySet>| published.sets.values().any(|one| Arc::ptr_eq(one, set));
        self.0.retain(|(set, task)| {
            let stays = wanted(set);
            if !stays {
                task.abort();
            }
            stays
        });
        for set in published.sets.values() {
            if !self.0.iter().any(|(known, _)| Arc::ptr_eq(known, set)) {
                let task = tokio::spawn(set.clone().run());
                self.0.push((set.clone(), task));
            }
        }
    }
}

impl Drop for Fetching {
    fn drop(&mut self) {
        self.0.iter().for_each(|(_, task)| task.abort());
    }
}
