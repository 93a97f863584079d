//! What becomes of a delivery: a table without I/O.

use std::time::Duration;

use crate::worker::Failure;

/// Pause before the second attempt; it doubles with each further one.
const FIRST_RETRY: Duration = Duration::from_secs(1);
/// The longest pause.
const LAST_RETRY: Duration = Duration::from_mins(1);

/// What an attempt came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The result was written.
    Done,
    /// The result was there.
    WasDone,
    /// It was given to workers as often as allowed, and none of them said what became of it.
    Exhausted,
    /// There is no result.
    Failed(Failure),
}

/// What the queue is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// The study is done and leaves the queue.
    Acknowledge,
    /// Another worker should take it at once.
    GiveBack,
    /// As [`Self::GiveBack`], but as a new message: this delivery was the last one, and the study is not to blame.
    Resubmit,
    /// It is tried again after a pause.
    Retry(Duration),
    /// It becomes a dead letter, with a reason.
    Bury(String),
}

/// Decides on the delivery number `delivery` (from 1) of at most `max_deliveries`.
pub(crate) fn decide(outcome: &Outcome, delivery: u64, max_deliveries: u64) -> Decision {
    let is_last = delivery >= max_deliveries;
    match outcome {
        Outcome::Done | Outcome::WasDone => Decision::Acknowledge,
        Outcome::Exhausted => Decision::Bury(format!(
            "given to a worker {} times; each ended or lost the queue before it was done",
            delivery - 1
        )),
        Outcome::Failed(Failure::Interrupted) if is_last => Decision::Resubmit,
        Outcome::Failed(Failure::Interrupted) => Decision::GiveBack,
        Outcome::Failed(Failure::Transient(_)) if !is_last => Decision::Retry(pause(delivery)),
        Outcome::Failed(Failure::Permanent(reason) | Failure::Transient(reason)) => {
            Decision::Bury(reason.clone())
        }
    }
}

/// The pause after a failed delivery.
fn pause(delivery: u64) -> Duration {
    let doublings = delivery.saturating_sub(1).min(16) as u32;
    (FIRST_RETRY * 2_u32.pow(doublings)).min(LAST_RETRY)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: u64 = 3;

    fn failed(failure: fn(String) -> Failure) -> Outcome {
        Outcome::Failed(failure("the reason".to_owned()))
    }

    #[test]
    fn a_result_is_acknowledged_however_often_it_took() {
        for delivery in [1, MAX, MAX + 5] {
            assert_eq!(decide(&Outcome::Done, delivery, MAX), Decision::Acknowledge);
            assert_eq!(decide(&Outcome::WasDone, delivery, MAX), Decision::Acknowledge);
        }
    }

    #[test]
    fn what_no_retry_mends_is_buried_at_once() {
        assert_eq!(decide(&failed(Failure::Permanent), 1, MAX), Decision::Bury("the reason".to_owned()));
    }

    #[test]
    fn what_may_pass_is_tried_three_times() {
        let outcome = failed(Failure::Transient);
        assert_eq!(decide(&outcome, 1, MAX), Decision::Retry(Duration::from_secs(1)));
        assert_eq!(decide(&outcome, 2, MAX), Decision::Retry(Duration::from_secs(2)));
        assert_eq!(decide(&outcome, 3, MAX), Decision::Bury("the reason".to_owned()));
        assert_eq!(pause(1000), LAST_RETRY);
    }

    #[test]
    fn a_worker_that_leaves_costs_no_delivery() {
        let outcome = Outcome::Failed(Failure::Interrupted);
        assert_eq!(decide(&outcome, 1, MAX), Decision::GiveBack);
        assert_eq!(decide(&outcome, MAX, MAX), Decision::Resubmit);
    }

    #[test]
    fn a_study_that_kills_workers_is_buried_by_the_next() {
        let Decision::Bury(reason) = decide(&Outcome::Exhausted, MAX + 1, MAX) else { unreachable!() };
        assert!(reason.starts_with("given to a worker 3 times"), "{reason}");
    }
}
