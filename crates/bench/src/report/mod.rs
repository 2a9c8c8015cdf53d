//! What a measurement says: figures by name, put together over repeats, and
//! written as a table, Markdown, JSON or a page.

mod figure;
mod html;
mod json;
mod outcome;
mod plot;
mod ratio;
mod summary;
mod table;

pub(crate) use figure::def;
pub(crate) use html::page;
pub(crate) use json::json;
pub(crate) use outcome::{About, Outcome, Run};
pub(crate) use ratio::{carried, ratios};
pub(crate) use summary::{Row, rows};
pub(crate) use table::{Style, table};
