//! Whether presence is right, and right as often as it says.

use serde::{Deserialize, Serialize};

/// Bins of a reliability table.
const BINS: usize = 10;

/// Presence against truth.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// Prompts.
    pub n: usize,
    /// The probability that a concept that is there has a higher presence than one that is not; `None` without one of
    /// either.
    pub auroc: Option<f64>,
    /// Expected calibration error: the mean distance of presence from the share that is there, weighted by the bins.
    pub ece: f64,
    /// Ten bins of equal width.
    pub bins: Vec<ReliabilityBin>,
}

/// Prompts of similar presence.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReliabilityBin {
    /// Lowest presence of the bin.
    pub low: f64,
    /// Highest presence of the bin.
    pub high: f64,
    /// Prompts in it.
    pub n: usize,
    /// Their mean presence.
    pub presence: Option<f64>,
    /// The share of them that is there.
    pub present: Option<f64>,
}

impl Calibration {
    /// Of pairs of presence and whether the concept is there; `None` without pairs.
    pub fn new(pairs: &[(f64, bool)]) -> Option<Self> {
        if pairs.is_empty() {
            return None;
        }
        let bins: Vec<ReliabilityBin> = (0..BINS).map(|bin| ReliabilityBin::new(bin, pairs)).collect();
        let distance = |bin: &ReliabilityBin| Some(bin.n as f64 * (bin.presence? - bin.present?).abs());
        let ece = bins.iter().filter_map(distance).sum::<f64>() / pairs.len() as f64;
        Some(Self { n: pairs.len(), auroc: auroc(pairs), ece, bins })
    }
}

impl ReliabilityBin {
    fn new(bin: usize, pairs: &[(f64, bool)]) -> Self {
        let place = |presence: f64| ((presence * BINS as f64) as usize).min(BINS - 1);
        let inside: Vec<&(f64, bool)> =
            pairs.iter().filter(|(presence, _)| place(*presence) == bin).collect();
        let share = |sum: f64| (!inside.is_empty()).then(|| sum / inside.len() as f64);
        Self {
            low: bin as f64 / BINS as f64,
            high: (bin + 1) as f64 / BINS as f64,
            n: inside.len(),
            presence: share(inside.iter().map(|(presence, _)| presence).sum()),
            present: share(inside.iter().filter(|(_, is_there)| *is_there).count() as f64),
        }
    }
}

/// The area under the receiver operating characteristic, by ranks; equal scores count as one half.
pub fn auroc(pairs: &[(f64, bool)]) -> Option<f64> {
    let mut sorted = pairs.to_vec();
    sorted.sort_by(|one, other| one.0.total_cmp(&other.0));
    let (mut below, mut wins) = (0.0, 0.0);
    for equal in sorted.chunk_by(|one, other| one.0 == other.0) {
        let positives = equal.iter().filter(|(_, is_there)| *is_there).count() as f64;
        let negatives = equal.len() as f64 - positives;
        wins += positives * (below + 0.5 * negatives);
        below += negatives;
    }
    let positives = pairs.len() as f64 - below;
    (below > 0.0 && positives > 0.0).then(|| wins / (below * positives))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rounding of a sum of six quotients.
    const TOLERANCE: f64 = 1e-12;

    const SIX: [(f64, bool); 6] =
        [(0.95, true), (0.91, false), (0.55, true), (0.55, false), (0.21, true), (0.05, false)];

    #[test]
    fn auroc_of_six_points_by_hand() {
        // Pairs won: 0.95 wins 3; 0.55 wins 1 and shares 1; 0.21 wins 1: 5.5 of 9.
        assert_eq!(auroc(&SIX), Some(5.5 / 9.0));
        assert_eq!(auroc(&[(0.9, true), (0.1, false)]), Some(1.0));
        assert_eq!(auroc(&SIX.map(|(presence, _)| (presence, true))), None);
    }

    #[test]
    fn ece_of_six_points_by_hand() {
        let calibration = Calibration::new(&SIX).unwrap();
        // Bins: 0.91, 0.95 mean 0.93, half are there; 0.55 twice, half; 0.21, all; 0.05, none.
        let expected = (2.0 * 0.43 + 2.0 * 0.05 + 0.79 + 0.05) / 6.0;
        assert!((calibration.ece - expected).abs() < TOLERANCE, "{}", calibration.ece);
        let counts: Vec<usize> = calibration.bins.iter().map(|bin| bin.n).collect();
        assert_eq!(counts, [1, 0, 1, 0, 0, 2, 0, 0, 0, 2]);
        assert_eq!(calibration.bins[5].present, Some(0.5));
        assert_eq!(calibration.bins[1].present, None);
    }

    #[test]
    fn a_presence_of_one_is_in_the_last_bin() {
        let calibration = Calibration::new(&[(1.0, true), (0.0, false)]).unwrap();
        assert_eq!((calibration.bins[9].n, calibration.bins[0].n, calibration.ece), (1, 1, 0.0));
        assert_eq!(Calibration::new(&[]), None);
    }
}
