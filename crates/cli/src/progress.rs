//! Progress bars with the time left, on the standard error and only when that is a terminal.

use std::ops::ControlFlow;

use bipvl::infer::InferenceProgress;
use indicatif::{ProgressBar, ProgressStyle};

use crate::{interrupt, ranks};

/// A bar over `length` things called `what`.
pub(crate) fn bar(what: &str, length: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{prefix:>12} {bar:30} {pos}/{len}  {eta} left  {msg}")
        .expect("the template is valid");
    if !ranks::is_main() {
        return ProgressBar::hidden();
    }
    ProgressBar::new(length as u64).with_style(style).with_prefix(what.to_owned())
}

/// Shows the progress of a case beside a bar over cases, until a signal arrives.
pub(crate) fn patches(bar: &ProgressBar, case: &str) -> impl FnMut(InferenceProgress) -> ControlFlow<()> {
    let (bar, case) = (bar.clone(), case.to_owned());
    bar.set_message(case.clone());
    move |progress| {
        bar.set_message(format!("{case}: {} of {} patches", progress.done, progress.total));
        interrupt::poll()
    }
}
