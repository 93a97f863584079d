//! The bootstrap against closed-form distributions.

use bipvl_metrics::bootstrap::{Bootstrap, Interval};
use proptest::prelude::*;

fn ones_and_zeros(ones: usize, cases: usize) -> Vec<f64> {
    (0..cases).map(|case| if case < ones { 1.0 } else { 0.0 }).collect()
}

#[test]
fn there_is_no_interval_without_cases() {
    assert_eq!(Bootstrap::with_seed(1).mean(&[]), None);
    assert_eq!(Bootstrap::with_seed(1).paired_mean_difference(&[], &[]), None);
}

#[test]
fn equal_differences_give_an_interval_of_width_0() {
    let gain = Bootstrap::with_seed(1).paired_mean_difference(&[0.75, 0.5, 1.0], &[0.5, 0.25, 0.75]);
    assert_eq!(gain, Some(Interval { mean: 0.25, low: 0.25, high: 0.25, cases: 3 }));
    assert!(gain.is_some_and(|gain| gain.excludes_zero()));
    let nothing = Bootstrap::with_seed(1).paired_mean_difference(&[0.75, 0.5], &[0.75, 0.5]).unwrap();
    assert!(!nothing.excludes_zero());
}

/// The mean of two draws from {0, 1} is 0, ½ or 1 with probabilities ¼, ½, ¼: the central 40 % are ½, the central 95 %
/// reach from 0 to 1.
#[test]
fn two_cases_are_resampled_like_two_coins() {
    let ends = |confidence| {
        let interval = Bootstrap { confidence, ..Bootstrap::with_seed(3) }.mean(&[0.0, 1.0]).unwrap();
        (interval.low, interval.high)
    };
    assert_eq!(ends(0.4), (0.5, 0.5));
    assert_eq!(ends(0.95), (0.0, 1.0));
}

/// Ten draws from five ones and five zeros hold binomially many ones: P(X ≤ 1) = 11/1024 < 2.5 % and
/// P(X ≤ 2) = 56/1024 > 2.5 %, so the interval of 95 % reaches from 2 to 8 tenths.
#[test]
fn fractions_follow_the_binomial_distribution() {
    let interval = Bootstrap::with_seed(5).mean(&ones_and_zeros(5, 10)).unwrap();
    assert_eq!((interval.mean, interval.low, interval.high), (0.5, 0.2, 0.8));
}

/// With many cases the interval is mean ± 1.96 standard errors. For 300 ones of 1000 the standard error is
/// √(0.3 · 0.7 / 1000) = 0.01449; the ends of 10,000 draws scatter by 0.0004 around the limit, and means come in
/// steps of 0.001.
#[test]
fn many_cases_approach_the_normal_interval() {
    let interval = Bootstrap::with_seed(11).mean(&ones_and_zeros(300, 1000)).unwrap();
    let half = 1.959_964 * (0.3f64 * 0.7 / 1000.0).sqrt();
    assert!((interval.low - (0.3 - half)).abs() < 2e-3, "{interval:?}");
    assert!((interval.high - (0.3 + half)).abs() < 2e-3, "{interval:?}");
}

/// Unpaired, these scores overlap widely; paired, every case gains between 0.01 and 0.03.
#[test]
fn differences_are_paired() {
    let without = [0.1, 0.9, 0.4, 0.7, 0.2];
    let with = [0.12, 0.91, 0.43, 0.72, 0.21];
    let gain = Bootstrap::with_seed(2).paired_mean_difference(&with, &without).unwrap();
    assert!(gain.low > 0.01 - 1e-12 && gain.high < 0.03 + 1e-12 && gain.excludes_zero(), "{gain:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn the_interval_is_antisymmetric_and_affine_equivariant(
        pairs in prop::collection::vec((0.0..1.0f64, 0.0..1.0f64), 1..20),
        seed: u64,
    ) {
        let (one, other): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
        let bootstrap = Bootstrap { resamples: 500, ..Bootstrap::with_seed(seed) };
        let there = bootstrap.paired_mean_difference(&one, &other).unwrap();
        let back = bootstrap.paired_mean_difference(&other, &one).unwrap();
        prop_assert_eq!((there.mean, there.low, there.high), (-back.mean, -back.high, -back.low));
        prop_assert!(there.low <= there.high);
        prop_assert_eq!(there, bootstrap.paired_mean_difference(&one, &other).unwrap());
        let percent: Vec<f64> = one.iter().map(|value| 100.0 * value + 7.0).collect();
        let (plain, percent) = (bootstrap.mean(&one).unwrap(), bootstrap.mean(&percent).unwrap());
        prop_assert!((100.0 * plain.low + 7.0 - percent.low).abs() < 1e-9);
        prop_assert!((100.0 * plain.high + 7.0 - percent.high).abs() < 1e-9);
    }
}
