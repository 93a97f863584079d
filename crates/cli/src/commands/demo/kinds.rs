//! Which kinds of organs the bodies of the demo show, and which phrases training never uses.

use std::{fmt, str::FromStr};

use bipvl_imaging::phantom::attributes::{Attributes, Kind};
use rand::{SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;

/// Side, form, density and size of a kind.
type Code = (usize, usize, usize, usize);

/// Kinds that no training body shows; every pair of attributes still occurs. Those of size 1 serve without sizes too.
const UNSEEN: [Code; 6] =
    [(0, 0, 0, 0), (0, 2, 1, 1), (1, 1, 0, 1), (1, 3, 1, 0), (2, 0, 1, 1), (2, 2, 0, 0)];
/// Kinds whose full phrase no training prompt uses; bodies show them, and shorter phrases name them.
const HELD_OUT: [Code; 6] =
    [(0, 1, 1, 0), (0, 3, 0, 1), (1, 0, 1, 1), (1, 2, 0, 0), (2, 1, 1, 1), (2, 3, 0, 0)];

/// Draws the held-out phrases of fewer words.
const HELD_OUT_SEED: u64 = 1;

/// The kinds of a demo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kinds {
    /// Large rods and rings, by side and density.
    Twelve,
    /// Large organs, by side, form and density.
    TwentyFour,
    /// By side, form, density and size.
    FortyEight,
}

impl Kinds {
    pub(super) fn contains(self, kind: Kind) -> bool {
        match self {
            Self::Twelve => kind.size == 1 && kind.form % 2 == 1,
            Self::TwentyFour => kind.size == 1,
            Self::FortyEight => true,
        }
    }

    pub(super) fn all(self) -> impl Iterator<Item = Kind> {
        Kind::all().filter(move |kind| self.contains(*kind))
    }

    /// The full phrase of a kind.
    pub(super) fn phrase(self, kind: Kind) -> String {
        match self {
            Self::FortyEight => kind.to_string(),
            _ => Attributes { size: None, ..kind.into() }.to_string(),
        }
    }

    /// Phrases of fewer words, each with the phrases of the kinds that it names.
    pub(super) fn wholes(self) -> Vec<(String, Vec<String>)> {
        let with_kinds = |whole: Attributes| {
            let named = self.all().filter(|kind| whole.matches(*kind)).map(|kind| self.phrase(kind));
            (whole.to_string(), named.collect::<Vec<_>>())
        };
        let has_sizes = self == Self::FortyEight;
        let is_shorter = |whole: &Attributes| has_sizes || (whole.size.is_none() && whole.count() < 3);
        Attributes::unions().filter(is_shorter).map(with_kinds).filter(|(_, named)| named.len() > 1).collect()
    }

    pub(super) fn is_unseen(self, kind: Kind) -> bool {
        self.contains(kind) && UNSEEN.contains(&code(kind))
    }

    /// The phrases of the kinds that no training body shows.
    pub(super) fn unseen(self) -> Vec<String> {
        self.all().filter(|kind| self.is_unseen(*kind)).map(|kind| self.phrase(kind)).collect()
    }

    /// Phrases that training never uses: of kinds unseen or held out, and of a third of those with fewer words.
    pub(super) fn held_out(self) -> Vec<String> {
        let is_held_out = move |kind: &Kind| self.is_unseen(*kind) || HELD_OUT.contains(&code(*kind));
        // In random order, since every third in the order of the attributes would be all that one word occurs in.
        let mut wholes: Vec<String> = self.wholes().into_iter().map(|(whole, _)| whole).collect();
        wholes.shuffle(&mut ChaCha8Rng::seed_from_u64(HELD_OUT_SEED));
        wholes.truncate(wholes.len().div_ceil(3));
        self.all().filter(is_held_out).map(|kind| self.phrase(kind)).chain(wholes).collect()
    }
}

fn code(Kind { side, form, density, size }: Kind) -> Code {
    (side, form, density, size)
}

impl fmt::Display for Kinds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Twelve => "12",
            Self::TwentyFour => "24",
            Self::FortyEight => "48",
        })
    }
}

impl FromStr for Kinds {
    type Err = String;

    fn from_str(count: &str) -> Result<Self, String> {
        let all = [Self::Twelve, Self::TwentyFour, Self::FortyEight];
        all.into_iter()
            .find(|kinds| kinds.to_string() == count)
            .ok_or_else(|| "expected 12, 24 or 48".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By hand: (3 + 1)(4 + 1)(2 + 1)(2 + 1) − 1 − 48 choices of fewer attributes; without sizes (3 + 1)(4 + 1)(2 + 1) − 1 −
    /// 24; of two forms (3 + 1)(2 + 1)(2 + 1) − 1 − 12.
    #[test]
    fn kinds_and_their_phrases_are_counted_by_hand() {
        for (kinds, all, unseen, held_out, wholes) in [
            (Kinds::FortyEight, 48, 6, 12, 131),
            (Kinds::TwentyFour, 24, 3, 6, 35),
            (Kinds::Twelve, 12, 1, 3, 23),
        ] {
            assert_eq!(kinds.all().count(), all);
            assert_eq!(kinds.unseen().len(), unseen);
            assert_eq!(kinds.wholes().len(), wholes);
            assert_eq!(kinds.held_out().len(), held_out + wholes.div_ceil(3));
        }
        let wholes = Kinds::Twelve.wholes();
        let (_, named) = wholes.iter().find(|(whole, _)| whole == "bright rods").unwrap();
        let sides = ["left", "middle", "right"].map(|side| match side {
            "middle" => "bright rods in the middle".to_owned(),
            side => format!("bright rods on the {side}"),
        });
        assert_eq!(*named, sides);
    }

    #[test]
    fn every_word_is_in_a_shorter_phrase_of_the_training() {
        for kinds in [Kinds::FortyEight, Kinds::TwentyFour, Kinds::Twelve] {
            let held_out = kinds.held_out();
            let trained = kinds.wholes().into_iter().map(|(whole, _)| whole);
            let trained: Vec<String> = trained.filter(|whole| !held_out.contains(whole)).collect();
            let mut words: Vec<String> = kinds
                .all()
                .flat_map(|kind| kinds.phrase(kind).split(' ').map(str::to_owned).collect::<Vec<_>>())
                .collect();
            words.sort();
            words.dedup();
            for word in words.iter().map(|word| word.trim_end_matches('s')) {
                let count = trained.iter().filter(|whole| whole.contains(word)).count();
                assert!(count >= 2, "{kinds}: `{word}` is in {count} phrases");
            }
        }
    }

    /// Every pair of values of two attributes is shown by some training body.
    #[test]
    fn training_bodies_show_every_pair_of_attributes() {
        for kinds in [Kinds::FortyEight, Kinds::TwentyFour, Kinds::Twelve] {
            let pairs = |kind: Kind| {
                let Kind { side, form, density, size } = kind;
                [(0, side, form), (1, side, density), (2, form, density), (3, side, size), (4, form, size)]
            };
            let shown: Vec<_> = kinds.all().filter(|kind| !kinds.is_unseen(*kind)).flat_map(pairs).collect();
            assert!(kinds.all().flat_map(pairs).all(|pair| shown.contains(&pair)), "{kinds}");
        }
    }
}
