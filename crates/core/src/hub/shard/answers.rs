//! Polls that wait for the same message are told the same: their answer is
//! made once.

use bytes::Bytes;

use super::super::encode::{Encoder, FormId};
use crate::cursor::Cursor;

/// An answer of at most so many bytes is kept from turn to turn.
const KEPT: usize = 4 * 1024;

/// The last answer made, and of what.
struct Made {
    form: FormId,
    preface: Bytes,
    units: Vec<Bytes>,
    cursor: Cursor,
    answer: Bytes,
}

/// Remembers the last answer.
#[derive(Default)]
pub(super) struct Answers(Option<Made>);

impl Answers {
    /// The answer of these units: the last one, where it was made of the very
    /// same.
    pub(super) fn of(
        &mut self,
        form: FormId,
        preface: Bytes,
        units: Vec<Bytes>,
        cursor: Cursor,
        encoder: &dyn Encoder,
    ) -> Bytes {
        let made = self.0.as_ref().filter(|made| {
            made.form == form
                && made.cursor == cursor
                && made.preface == preface
                && made.units.len() == units.len()
                && made.units.iter().zip(&units).all(|(a, b)| is_same(a, b))
        });
        if let Some(made) = made {
            return made.answer.clone();
        }
        let answer = encoder.answer(&preface, &units, cursor);
        self.0 = Some(Made {
            form,
            preface,
            units,
            cursor,
            answer: answer.clone(),
        });
        answer
    }

    /// A turn is over: nothing large is kept.
    pub(super) fn rest(&mut self) {
        if self.0.as_ref().is_some_and(|made| made.answer.len() > KEPT) {
            self.0 = None;
        }
    }
}

/// True where both are the same bytes in memory. Equal ones elsewhere are not
/// worth comparing.
fn is_same(a: &Bytes, b: &Bytes) -> bool {
    a.as_ptr() == b.as_ptr() && a.len() == b.len()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use super::*;
    use crate::cursor::{Epoch, Lineage, Seq};
    use crate::hub::encode::{Delivery, End, Gap, GapForm, Ready};

    /// Counts what it makes; an answer says what it was made of.
    #[derive(Default)]
    struct Counting(AtomicUsize);

    impl Encoder for Counting {
        fn message(&self, _: Delivery<'_>) -> Bytes {
            Bytes::new()
        }

        fn gap(&self, _: &Gap) -> GapForm {
            GapForm::Ends
        }

        fn ready(&self, _: &Ready<'_>) -> Bytes {
            Bytes::new()
        }

        fn cursor(&self, _: Cursor) -> Option<Bytes> {
            None
        }

        fn keep_alive(&self) -> Option<Bytes> {
            None
        }

        fn end(&self, _: &End, _: u64) -> Bytes {
            Bytes::new()
        }

        fn answer(&self, preface: &Bytes, units: &[Bytes], cursor: Cursor) -> Bytes {
            self.0.fetch_add(1, Relaxed);
            format!("{preface:?}{units:?}{cursor}").into()
        }
    }

    #[test]
    fn only_the_very_same_answer_is_made_once() {
        let lineage = Lineage::fresh(Epoch(1));
        let encoder = Counting::default();
        let mut answers = Answers::default();
        let (one, two) = (Bytes::from(vec![1; 9]), Bytes::from(vec![2; 9]));
        let head = |text: &'static str| Bytes::from(text.to_owned());
        let big = Bytes::from(vec![3; 2 * KEPT]);
        let cases = [
            (0, "h", vec![one.clone()], 1, 1),
            (0, "h", vec![one.clone()], 1, 1),
            (0, "g", vec![one.clone()], 1, 2),
            (1, "g", vec![one.clone()], 1, 3),
            (1, "g", vec![one.clone()], 2, 4),
            (1, "g", vec![two.clone()], 2, 5),
            (1, "g", vec![two.clone(), one.clone()], 2, 6),
            (1, "g", vec![two, one], 2, 6),
            (1, "g", vec![], 2, 7),
            (1, "g", vec![big.clone()], 2, 8),
        ];
        for (number, (form, preface, units, seq, made)) in cases.into_iter().enumerate() {
            let cursor = lineage.cursor(Seq(seq));
            let direct = Counting::default().answer(&head(preface), &units, cursor);
            let answer = answers.of(FormId(form), head(preface), units, cursor, &encoder);
            assert_eq!(answer, direct, "{number}");
            assert_eq!(encoder.0.load(Relaxed), made, "{number}");
        }
        // A large one is not kept beyond its turn.
        answers.rest();
        let cursor = lineage.cursor(Seq(2));
        answers.of(FormId(1), head("g"), vec![big], cursor, &encoder);
        assert_eq!(encoder.0.load(Relaxed), 9);
    }
}
