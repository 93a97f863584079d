//! Which kinds of organs the bodies show, and which phrases training never uses.

use std::str::FromStr;

use bipvl_imaging::phantom::attributes::{Attributes, Kind};

/// Side, form, density, size of a kind.
type Code = (usize, usize, usize, usize);

/// Kinds that no training body shows; every pair of attributes still occurs. Those of size 1 serve without sizes too.
const UNSEEN: [Code; 6] =
    [(0, 0, 0, 0), (0, 2, 1, 1), (1, 1, 0, 1), (1, 3, 1, 0), (2, 0, 1, 1), (2, 2, 0, 0)];
/// Kinds whose full phrase no training prompt uses; bodies show them, and shorter phrases name them.
const HELD_OUT: [Code; 6] =
    [(0, 1, 1, 0), (0, 3, 0, 1), (1, 0, 1, 1), (1, 2, 0, 0), (2, 1, 1, 1), (2, 3, 0, 0)];

/// The kinds of an experiment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kinds {
    /// Side, form, density and size: 48.
    All,
    /// Large organs alone, named by side, form and density: 24.
    WithoutSizes,
}

impl Kinds {
    pub(crate) fn contains(self, kind: Kind) -> bool {
        self == Self::All || kind.size == 1
    }

    pub(crate) fn all(self) -> impl Iterator<Item = Kind> {
        Kind::all().filter(move |kind| self.contains(*kind))
    }

    /// The full phrase of a kind.
    pub(crate) fn phrase(self, kind: Kind) -> String {
        match self {
            Self::All => kind.to_string(),
            Self::WithoutSizes => Attributes { size: None, ..kind.into() }.to_string(),
        }
    }

    /// What prompts of fewer words can name.
    pub(crate) fn unions(self) -> impl Iterator<Item = Attributes> {
        let is_fewer =
            move |union: &Attributes| self == Self::All || (union.size.is_none() && union.count() < 3);
        Attributes::unions().filter(is_fewer)
    }

    pub(crate) fn is_unseen(self, kind: Kind) -> bool {
        self.contains(kind) && UNSEEN.contains(&code(kind))
    }

    /// Phrases that training never uses: of kinds unseen or held out, and of a third of the unions.
    pub(crate) fn held_out(self) -> Vec<String> {
        let is_held_out = move |kind: &Kind| self.is_unseen(*kind) || HELD_OUT.contains(&code(*kind));
        let unions = self.unions().enumerate().filter(|(place, _)| place.is_multiple_of(3));
        let phrases = self.all().filter(is_held_out).map(|kind| self.phrase(kind));
        phrases.chain(unions.map(|(_, union)| union.to_string())).collect()
    }
}

fn code(Kind { side, form, density, size }: Kind) -> Code {
    (side, form, density, size)
}

impl FromStr for Kinds {
    type Err = String;

    fn from_str(count: &str) -> Result<Self, String> {
        match count {
            "48" => Ok(Self::All),
            "24" => Ok(Self::WithoutSizes),
            _ => Err(format!("KINDS is 24 or 48, found \"{count}\"")),
        }
    }
}
