//! What clients looked at lately: a viewer asks for a series slice by slice, and the audit notes it once.

use std::{
    collections::HashMap,
    sync::Mutex,
    time::{Duration, Instant},
};

/// How long a look goes on.
const LATELY: Duration = Duration::from_hours(1);
/// Looks that are remembered; with more, some are noted again.
const MAX_LOOKS: usize = 10_000;

/// Who looked at what, and when that was noted.
#[derive(Debug, Default)]
pub(crate) struct Viewed(Mutex<HashMap<(String, String), Instant>>);

impl Viewed {
    /// Whether this look is not one of the last hour, of which the first was noted.
    pub(crate) fn is_new(&self, who: &str, what: &str) -> bool {
        let mut looks = self.0.lock().expect("no thread panics while it holds the list");
        if looks.len() >= MAX_LOOKS {
            looks.clear();
        }
        let now = Instant::now();
        let look = (who.to_owned(), what.to_owned());
        let is_new = looks.get(&look).is_none_or(|last| now.duration_since(*last) > LATELY);
        if is_new {
            looks.insert(look, now);
        }
        is_new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_look_is_new() {
        let viewed = Viewed::default();
        assert!(viewed.is_new("a", "1") && viewed.is_new("b", "1") && viewed.is_new("a", "2"));
        assert!(!viewed.is_new("a", "1"));
    }
}
