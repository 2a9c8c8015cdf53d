//! `cargo bench`: the codecs and the hub alone, without sockets, in about a
//! minute. `cargo bench -- WORD…` runs the rows that contain one of the words.
//!
//! A row is the median of nine samples of CPU time, with the smallest and the
//! largest: what others do on the machine at the same time shows little, and
//! ratios between rows mean more than absolute figures, which belong to the
//! machine.

mod codecs;
mod hub;
mod node;
mod table;

fn main() {
    let words = std::env::args().skip(1).filter(|word| word != "--bench");
    let mut table = table::Table::new(words.collect());
    codecs::run(&mut table);
    hub::run(&mut table);
}
