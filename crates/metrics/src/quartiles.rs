//! Median, and statistics of a box plot.

/// Maximum length of a whisker in interquartile ranges (Tukey, Exploratory Data Analysis, 1977).
const WHISKER_IQR: f64 = 1.5;

/// Median, quartiles and whiskers.
///
/// The quantile `p` of `n` sorted values is at rank `(n − 1) · p`, linearly interpolated: definition 7 of Hyndman and
/// Fan (1996), the default of `NumPy` and R.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quartiles {
    /// First quartile.
    pub q1: f64,
    /// Second quartile.
    pub median: f64,
    /// Third quartile.
    pub q3: f64,
    /// The lowest and highest value within 1.5 interquartile ranges of the box; its edge if there is none.
    pub whiskers: [f64; 2],
}

impl Quartiles {
    /// Of finite values in any order; `None` for an empty slice.
    pub fn from_values(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let last = sorted.len().checked_sub(1)?;
        let [q1, median, q3] = [0.25, 0.5, 0.75].map(|p| {
            let rank = p * last as f64;
            let below = rank as usize;
            let above = (below + 1).min(last);
            sorted[below] + (sorted[above] - sorted[below]) * rank.fract()
        });
        let reach = WHISKER_IQR * (q3 - q1);
        let within = |value: &&f64| (q1 - reach..=q3 + reach).contains(*value);
        let lowest = sorted.iter().find(within).map_or(q1, |value| value.min(q1));
        let highest = sorted.iter().rev().find(within).map_or(q3, |value| value.max(q3));
        Some(Self { q1, median, q3, whiskers: [lowest, highest] })
    }
}

/// The median; `None` of no values.
pub fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let (low, high) = (values.get(values.len().checked_sub(1)? / 2)?, values.get(values.len() / 2)?);
    Some(f64::midpoint(*low, *high))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quartiles(values: &[f64]) -> [f64; 5] {
        let Quartiles { q1, median, q3, whiskers } = Quartiles::from_values(values).unwrap();
        [whiskers[0], q1, median, q3, whiskers[1]]
    }

    #[test]
    fn quartiles_are_interpolated_linearly() {
        // Ranks 1, 2, 3 of five values are values themselves.
        assert_eq!(quartiles(&[5.0, 1.0, 4.0, 2.0, 3.0]), [1.0, 2.0, 3.0, 4.0, 5.0]);
        // Ranks 0.75, 1.5, 2.25 of four: a quarter before the second, in the middle, a quarter after the third.
        assert_eq!(quartiles(&[1.0, 2.0, 3.0, 4.0]), [1.0, 1.75, 2.5, 3.25, 4.0]);
        assert_eq!(quartiles(&[0.5, 1.0]), [0.5, 0.625, 0.75, 0.875, 1.0]);
        assert_eq!(quartiles(&[0.5]), [0.5; 5]);
        assert_eq!(Quartiles::from_values(&[]), None);
    }

    #[test]
    fn the_median_of_an_even_count_is_the_mean_of_the_two_middle_values() {
        assert_eq!(median(vec![2.0]), Some(2.0));
        assert_eq!(median(vec![1.0, 2.0]), Some(1.5));
        assert_eq!(median(vec![1.0, 2.0, 9.0]), Some(2.0));
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![3.0, 1.0]), Some(2.0));
        assert_eq!(median(vec![9.0, 1.0, 2.0]), Some(2.0));
    }

    #[test]
    fn whiskers_end_at_the_last_value_within_reach() {
        // The box is 2 to 4, so values from −1 to 7 are within reach.
        assert_eq!(quartiles(&[1.0, 2.0, 3.0, 4.0, 7.0]), [1.0, 2.0, 3.0, 4.0, 7.0]);
        assert_eq!(quartiles(&[1.0, 2.0, 3.0, 4.0, 7.5]), [1.0, 2.0, 3.0, 4.0, 4.0]);
        assert_eq!(quartiles(&[-1.5, 2.0, 3.0, 4.0, 5.0]), [2.0, 2.0, 3.0, 4.0, 5.0]);
        // Rank 0.75 of 0, 8, 8, 8 is 6, and values from 3 are within reach: none is below the box.
        assert_eq!(quartiles(&[0.0, 8.0, 8.0, 8.0]), [6.0, 6.0, 8.0, 8.0, 8.0]);
    }
}
