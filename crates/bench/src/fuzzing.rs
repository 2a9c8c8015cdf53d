//! The decoders of the load generator, for the fuzz targets alone.

use crate::adapter::{Adapter, Template};
use crate::http;

/// An HTTP answer, owned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Without its chunks.
    pub body: Vec<u8>,
    /// Bytes of all of it.
    pub len: usize,
}

/// The answer at the front, once it is whole.
///
/// # Errors
/// What is wrong with it.
pub fn answer(bytes: &[u8], ended: bool) -> Result<Option<Answer>, String> {
    let answer = http::answer(bytes, ended).map_err(|error| error.to_string())?;
    Ok(answer.map(|answer| Answer {
        status: answer.status,
        body: answer.body.into_owned(),
        len: answer.len,
    }))
}

/// What a server's HTTP/2 said to three requests, and whether all of it could be
/// read. Pieces of one body stand together.
pub fn http2<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<(String, Vec<u8>)>, bool) {
    crate::load::told(pieces)
}

/// Whether a text is an adapter.
pub fn adapter(text: &str) -> bool {
    Adapter::parse(text).is_ok()
}

/// A template with every variable replaced by its own name in braces.
pub fn template(text: &str) -> Vec<u8> {
    let names: std::cell::RefCell<Vec<String>> = std::cell::RefCell::default();
    let mut out = Vec::new();
    // A first pass for the names, so that the second can lend them.
    Template::parse(text).render(
        |name| {
            names.borrow_mut().push(format!("{{{name}}}"));
            Some(b"")
        },
        &mut out,
    );
    let names = names.into_inner();
    out.clear();
    Template::parse(text).render(
        |name| {
            let shown = names
                .iter()
                .find(|shown| shown[1..].strip_suffix('}') == Some(name));
            shown.map(|shown| shown.as_bytes())
        },
        &mut out,
    );
    out
}
