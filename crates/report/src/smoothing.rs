//! Curves of any length made fit for a picture.

/// Step and value.
pub(crate) type Point = (f64, f64);

/// Points of a drawn curve at most.
const DRAWN_POINTS: usize = 1000;

/// A smoothed value is the mean of one part in so many of the points to each side.
const PARTS: usize = 50;

/// Keeps the lowest and the highest point of each of up to 500 runs of points, so that no spike is
/// lost; short curves are kept as they are.
pub(crate) fn thin(points: &[Point]) -> Vec<Point> {
    if points.len() <= DRAWN_POINTS {
        return points.to_vec();
    }
    let run = points.len().div_ceil(DRAWN_POINTS / 2);
    points
        .chunks(run)
        .flat_map(|run| {
            let lowest = run.iter().copied().reduce(|a, b| if b.1 < a.1 { b } else { a });
            let highest = run.iter().copied().reduce(|a, b| if b.1 > a.1 { b } else { a });
            match (lowest, highest) {
                (Some(low), Some(high)) if low.0 < high.0 => vec![low, high],
                (Some(low), Some(high)) if low.0 > high.0 => vec![high, low],
                (low, _) => low.into_iter().collect(),
            }
        })
        .collect()
}

/// The moving average around each point, thinned by leaving out points at even distances. At the start,
/// where losses fall steeply, it looks no further ahead than back, so that it does not begin too low.
pub(crate) fn smooth(points: &[Point]) -> Vec<Point> {
    let mut sums = vec![0.0];
    sums.extend(points.iter().scan(0.0, |sum, point| {
        *sum += point.1;
        Some(*sum)
    }));
    let reach = points.len() / PARTS;
    let average = |index: usize| {
        let reach = reach.min(index);
        let (first, end) = (index - reach, (index + reach + 1).min(points.len()));
        (points[index].0, (sums[end] - sums[first]) / (end - first) as f64)
    };
    let stride = points.len().div_ceil(DRAWN_POINTS - 1).max(1);
    let last = points.len().checked_sub(1).filter(|last| last % stride != 0);
    (0..points.len()).step_by(stride).chain(last).map(average).collect()
}

/// The range of the values; a spike far beyond all but a hundredth of them is left out, so that it does
/// not flatten the rest.
pub(crate) fn usual_range(points: &[Point]) -> (f64, f64) {
    let mut values: Vec<f64> = points.iter().map(|point| point.1).collect();
    values.sort_unstable_by(f64::total_cmp);
    let (Some(lowest), Some(highest)) = (values.first(), values.last()) else { return (0.0, 1.0) };
    let rare = values.len() / 100;
    let (low, high) = (values[rare], values[values.len() - 1 - rare]);
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
            assert!(thinned.len() <= DRAWN_POINTS, "{length}: {}", thinned.len());
            assert!(thinned.is_sorted_by(|a, b| a.0 < b.0), "{length}");
            assert_eq!(thinned.iter().any(|point| point.1 > 49.0), length > 0, "{length}");
        }
    }

    #[test]
    fn a_straight_line_stays_in_place_when_smoothed() {
        let points = curve(500, |index| 3.0 - index as f64);
        let smooth = smooth(&points);
        assert_eq!(smooth.len(), 500);
        // 10 points to each side are whole everywhere but at the end, where 11 points remain
        assert!((0..490).all(|index| (smooth[index].1 - points[index].1).abs() < ROUNDING));
        assert!((smooth[499].1 - (3.0 - 494.0)).abs() < ROUNDING);
    }

    #[test]
    fn noise_shrinks_and_both_ends_stay_when_smoothed() {
        for length in [1000, 1001, 5000, 100_000] {
            let smooth = smooth(&curve(length, |index| if index % 2 == 0 { 1.0 } else { -1.0 }));
            assert!(smooth.len() <= DRAWN_POINTS, "{length}: {}", smooth.len());
            assert_eq!((smooth[0].0, smooth[smooth.len() - 1].0), (0.0, (length - 1) as f64));
            // behind the start at least 21 values, of which all but one cancel
            let settled = smooth.iter().filter(|point| point.0 >= 20.0 && point.0 < length as f64 - 20.0);
            assert!(settled.into_iter().all(|point| point.1.abs() < 1.0 / 21.0 + ROUNDING), "{length}");
        }
    }

    #[test]
    fn few_points_are_not_smoothed() {
        let points = curve(49, |index| index as f64);
        assert_eq!(smooth(&points), points);
        assert_eq!(smooth(&[]), []);
    }

    #[test]
    fn one_spike_does_not_flatten_the_rest() {
        let mut points = curve(200, |index| (index % 11) as f64);
        assert_eq!(usual_range(&points), (0.0, 10.0));
        points[100].1 = 1e9;
        assert_eq!(usual_range(&points), (0.0, 20.0)); // as much again as the usual values take
        points[100].1 = 15.0;
        assert_eq!(usual_range(&points), (0.0, 15.0));
        assert_eq!(usual_range(&points[..1]), (0.0, 0.0));
        assert_eq!(usual_range(&[]), (0.0, 1.0));
    }
}
