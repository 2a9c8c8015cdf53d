//! The newest message seen, to tell a repetition.

/// A mark that only rises. Message ids read `<epoch>-<seq>`; within an epoch
/// they rise with every message. What is not of that form, or of another epoch,
/// cannot be compared and counts as new unless it is the very same.
#[derive(Debug, Default)]
pub(super) struct Floor(Option<String>);

impl Floor {
    /// Raises the mark to `id`; false where `id` does not lie above it.
    pub(super) fn rise(&mut self, id: &str) -> bool {
        if let Some(mark) = &self.0 {
            let below = match (split(mark), split(id)) {
                (Some((epoch, seq)), Some((new_epoch, new_seq))) if epoch == new_epoch => {
                    new_seq <= seq
                }
                _ => mark == id,
            };
            if below {
                return false;
            }
        }
        self.0 = Some(id.to_owned());
        true
    }
}

fn split(id: &str) -> Option<(&str, u64)> {
    let (epoch, seq) = id.rsplit_once('-')?;
    Some((epoch, seq.parse().ok()?))
}
