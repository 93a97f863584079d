//! How the values of many cases spread: quartiles and whiskers.

/// How far a whisker may reach, in interquartile ranges (Tukey, Exploratory Data Analysis, 1977).
const REACH: f64 = 1.5;

/// Median, quartiles and whiskers of some values: what a box plot draws.
///
/// The quantile `p` of `n` values in rising order stands at rank `(n − 1) · p`, counted from 0, linear between
/// neighbors: definition 7 of Hyndman and Fan (1996), which `NumPy` and R take by default.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quartiles {
    /// A quarter of the values lies below.
    pub low: f64,
    /// Half of them.
    pub median: f64,
    /// Three quarters.
    pub high: f64,
    /// The lowest and the highest value within 1.5 interquartile ranges of the box; its edge where there is none.
    pub whiskers: [f64; 2],
}

impl Quartiles {
    /// Of finite values, in any order; `None` of none.
    pub fn of(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let last = sorted.len().checked_sub(1)?;
        let [low, median, high] = [0.25, 0.5, 0.75].map(|share| {
            let rank = share * last as f64;
            let below = rank as usize;
            let above = (below + 1).min(last);
            sorted[below] + (sorted[above] - sorted[below]) * rank.fract()
        });
        let reach = REACH * (high - low);
        let within = |value: &&f64| (low - reach..=high + reach).contains(*value);
        let lowest = sorted.iter().find(within).map_or(low, |value| value.min(low));
        let highest = sorted.iter().rev().find(within).map_or(high, |value| value.max(high));
        Some(Self { low, median, high, whiskers: [lowest, highest] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quartiles(values: &[f64]) -> [f64; 5] {
        let Quartiles { low, median, high, whiskers } = Quartiles::of(values).unwrap();
        [whiskers[0], low, median, high, whiskers[1]]
    }

    #[test]
    fn quartiles_counted_by_hand() {
        // Ranks 1, 2, 3 of five values are values themselves.
        assert_eq!(quartiles(&[5.0, 1.0, 4.0, 2.0, 3.0]), [1.0, 2.0, 3.0, 4.0, 5.0]);
        // Ranks 0.75, 1.5, 2.25 of four: a quarter before the second, in the middle, a quarter behind the third.
        assert_eq!(quartiles(&[1.0, 2.0, 3.0, 4.0]), [1.0, 1.75, 2.5, 3.25, 4.0]);
        assert_eq!(quartiles(&[0.5, 1.0]), [0.5, 0.625, 0.75, 0.875, 1.0]);
        assert_eq!(quartiles(&[0.5]), [0.5; 5]);
        assert_eq!(Quartiles::of(&[]), None);
    }

    #[test]
    fn whiskers_end_at_the_last_value_that_is_not_far_away() {
        // The box is 2 to 4, so that values from −1 to 7 are near.
        assert_eq!(quartiles(&[1.0, 2.0, 3.0, 4.0, 7.0]), [1.0, 2.0, 3.0, 4.0, 7.0]);
        assert_eq!(quartiles(&[1.0, 2.0, 3.0, 4.0, 7.5]), [1.0, 2.0, 3.0, 4.0, 4.0]);
        assert_eq!(quartiles(&[-1.5, 2.0, 3.0, 4.0, 5.0]), [2.0, 2.0, 3.0, 4.0, 5.0]);
        // Rank 0.75 of 0, 8, 8, 8 is 6, and values from 3 on are near: none of them lies below the box.
        assert_eq!(quartiles(&[0.0, 8.0, 8.0, 8.0]), [6.0, 6.0, 8.0, 8.0, 8.0]);
    }
}
