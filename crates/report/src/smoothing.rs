//! Thinning and smoothing of curves for display.

/// Step and value.
pub(crate) type Point = (f64, f64);

/// Maximum number of points of a drawn curve.
const MAX_POINTS: usize = 1000;

/// The half width of the moving average is the number of points divided by this.
const HALF_WIDTH_DIVISOR: usize = 50;

/// Keeps the minimum and maximum of each of up to 500 segments, so that spikes remain visible; short curves are
/// unchanged.
pub(crate) fn thin(points: &[Point]) -> Vec<Point> {
    if points.len() <= MAX_POINTS {
        return points.to_vec();
    }
    let segment = points.len().div_ceil(MAX_POINTS / 2);
    points
        .chunks(segment)
        .flat_map(|segment| {
            let lowest = segment.iter().copied().reduce(|a, b| if b.1 < a.1 { b } else { a });
            let highest = segment.iter().copied().reduce(|a, b| if b.1 > a.1 { b } else { a });
            match (lowest, highest) {
                (Some(low), Some(high)) if low.0 < high.0 => vec![low, high],
                (Some(low), Some(high)) if low.0 > high.0 => vec![high, low],
                (low, _) => low.into_iter().collect(),
            }
        })
        .collect()
}

/// Centered moving average, subsampled. The window is symmetric at the start, where losses decrease steeply, and truncated
/// at the end.
pub(crate) fn smooth(points: &[Point]) -> Vec<Point> {
    let mut sums = vec![0.0];
    sums.extend(points.iter().scan(0.0, |sum, point| {
        *sum += point.1;
        Some(*sum)
    }));
    let half_width = points.len() / HALF_WIDTH_DIVISOR;
    let average = |index: usize| {
        let half_width = half_width.min(index);
        let (first, end) = (index - half_width, (index + half_width + 1).min(points.len()));
        (points[index].0, (sums[end] - sums[first]) / (end - first) as f64)
    };
    let stride = points.len().div_ceil(MAX_POINTS - 1).max(1);
    let last = points.len().checked_sub(1).filter(|last| last % stride != 0);
    (0..points.len()).step_by(stride).chain(last).map(average).collect()
}

/// The range of the values, limited to the central 98 % extended by their span, so that single spikes do not flatten the
/// curve.
pub(crate) fn robust_range(points: &[Point]) -> (f64, f64) {
    let mut values: Vec<f64> = points.iter().map(|point| point.1).collect();
    values.sort_unstable_by(f64::total_cmp);
    let (Some(lowest), Some(highest)) = (values.first(), values.last()) else { return (0.0, 1.0) };
    let tail = values.len() / 100;
    let (low, high) = (values[tail], values[values.len() - 1 - tail]);
    let span = high - low;
    (lowest.max(low - span), highest.min(high + span))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rounding of sums of up to 100 000 values.
    const ROUNDING: f64 = 1e-9;

    fn curve(length: usize, value: impl Fn(usize) -> f64) -> Vec<Point> {
        (0..length).map(|index| (index as f64, value(index))).collect()
    }

    #[test]
    fn thinning_keeps_spikes_and_order() {
        for length in [0, 1, 2, 999, 1000, 1001, 1999, 100_000] {
            let points = curve(length, |index| if index == length / 3 { 50.0 } else { (index % 7) as f64 });
            let thinned = thin(&points);
            assert!(thinned.len() <= MAX_POINTS, "{length}: {}", thinned.len());
            assert!(thinned.is_sorted_by(|a, b| a.0 < b.0), "{length}");
            assert_eq!(thinned.iter().any(|point| point.1 > 49.0), length > 0, "{length}");
        }
    }

    #[test]
    fn smoothing_keeps_a_straight_line() {
        let points = curve(500, |index| 3.0 - index as f64);
        let smooth = smooth(&points);
        assert_eq!(smooth.len(), 500);
        // 10 points to each side are whole everywhere but at the end, where 11 points remain
        assert!((0..490).all(|index| (smooth[index].1 - points[index].1).abs() < ROUNDING));
        assert!((smooth[499].1 - (3.0 - 494.0)).abs() < ROUNDING);
    }

    #[test]
    fn smoothing_reduces_noise_and_keeps_both_ends() {
        for length in [1000, 1001, 5000, 100_000] {
            let smooth = smooth(&curve(length, |index| if index % 2 == 0 { 1.0 } else { -1.0 }));
            assert!(smooth.len() <= MAX_POINTS, "{length}: {}", smooth.len());
            assert_eq!((smooth[0].0, smooth[smooth.len() - 1].0), (0.0, (length - 1) as f64));
            // behind the start at least 21 values, of which all but one cancel
            let settled = smooth.iter().filter(|point| point.0 >= 20.0 && point.0 < length as f64 - 20.0);
            assert!(settled.into_iter().all(|point| point.1.abs() < 1.0 / 21.0 + ROUNDING), "{length}");
        }
    }

    #[test]
    fn short_curves_are_not_smoothed() {
        let points = curve(49, |index| index as f64);
        assert_eq!(smooth(&points), points);
        assert_eq!(smooth(&[]), []);
    }

    #[test]
    fn one_spike_does_not_flatten_the_rest() {
        let mut points = curve(200, |index| (index % 11) as f64);
        assert_eq!(robust_range(&points), (0.0, 10.0));
        points[100].1 = 1e9;
        assert_eq!(robust_range(&points), (0.0, 20.0)); // as much again as the usual values take
        points[100].1 = 15.0;
        assert_eq!(robust_range(&points), (0.0, 15.0));
        assert_eq!(robust_range(&points[..1]), (0.0, 0.0));
        assert_eq!(robust_range(&[]), (0.0, 1.0));
    }
}
