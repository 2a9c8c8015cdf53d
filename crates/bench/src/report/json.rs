//! Everything, for programs.

use serde_json::{Map, Value, json};

use super::figure::def;
use super::outcome::{About, Run};
use super::summary::Row;

/// What was measured, the rows, every run, and what each figure means.
pub(crate) fn json(about: &About, rows: &[Row], runs: &[Run]) -> Value {
    let keys = rows.iter().flat_map(|row| row.figures.keys());
    let defs = keys.filter_map(|key| def(key));
    let figures: Map<String, Value> = defs
        .map(|def| {
            (
                def.key.to_owned(),
                json!({ "label": def.label, "means": def.means }),
            )
        })
        .collect();
    json!({ "about": about, "rows": rows, "runs": runs, "figures": figures })
}
