//! What a probe asks: kinds of prompts, and one prompt with what is compared.

use serde::{Deserialize, Serialize};

use super::mask::Mask;

/// A kind of prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProbeKind {
    /// The name of a concept of the case, as trained.
    Trained,
    /// The name of a concept that training shows and never names.
    HeldOut,
    /// The name of a concept that training never shows.
    Unseen,
    /// A union, as trained.
    FewerWords,
    /// A union that training never names.
    FewerWordsHeldOut,
    /// The name of the same structure on the other side.
    SideExchanged,
    /// Another part of the same whole.
    Sibling,
    /// Another wording that training uses.
    ParaphraseTrained,
    /// Another wording that training does not use.
    ParaphraseHeldOut,
    /// The name with one wrong letter.
    Typo,
    /// A concept that the case does not show.
    Absent,
    /// A concept that only other sets label.
    OtherSet,
    /// Something that no scan shows.
    OtherWorld,
    /// Words that mean nothing.
    Nonsense,
    /// No words.
    Empty,
    /// A random string that stands for the concept in the code book.
    CodeBook,
}

impl ProbeKind {
    /// All kinds, in the order of tables.
    pub const ALL: [Self; 16] = [
        Self::Trained,
        Self::HeldOut,
        Self::Unseen,
        Self::FewerWords,
        Self::FewerWordsHeldOut,
        Self::SideExchanged,
        Self::Sibling,
        Self::ParaphraseTrained,
        Self::ParaphraseHeldOut,
        Self::Typo,
        Self::Absent,
        Self::OtherSet,
        Self::OtherWorld,
        Self::Nonsense,
        Self::Empty,
        Self::CodeBook,
    ];

    /// Its name in tables.
    pub fn title(self) -> &'static str {
        match self {
            Self::Trained => "trained name",
            Self::HeldOut => "held-out phrase",
            Self::Unseen => "concept never shown",
            Self::FewerWords => "fewer words",
            Self::FewerWordsHeldOut => "fewer words, held out",
            Self::SideExchanged => "side exchanged",
            Self::Sibling => "sibling",
            Self::ParaphraseTrained => "paraphrase, trained",
            Self::ParaphraseHeldOut => "paraphrase, held out",
            Self::Typo => "typo",
            Self::Absent => "absent",
            Self::OtherSet => "other data set",
            Self::OtherWorld => "other world",
            Self::Nonsense => "nonsense",
            Self::Empty => "empty",
            Self::CodeBook => "random string",
        }
    }

    /// Whether the right answer is silence, whatever the case shows.
    pub fn is_foreign(self) -> bool {
        matches!(
            self,
            Self::Absent | Self::OtherSet | Self::OtherWorld | Self::Nonsense | Self::Empty | Self::CodeBook
        )
    }

    /// Whether training does not use the prompt, so that a lookup has to answer with the nearest text.
    pub fn is_held_out(self) -> bool {
        matches!(self, Self::HeldOut | Self::Unseen | Self::FewerWordsHeldOut | Self::ParaphraseHeldOut)
    }

    /// Whether the prompt is the name of a concept of which the case says whether it is there.
    pub(super) fn is_own_name(self) -> bool {
        matches!(
            self,
            Self::Trained
                | Self::HeldOut
                | Self::Unseen
                | Self::FewerWords
                | Self::FewerWordsHeldOut
                | Self::Absent
        )
    }
}

/// One prompt about a case, and what its answer is compared with.
#[derive(Clone, Debug)]
pub(super) struct Question {
    pub(super) kind: ProbeKind,
    /// The concept that it is about.
    pub(super) concept: Option<usize>,
    pub(super) prompt: String,
    /// What the prompt names; `None` where the case does not say.
    pub(super) named: Option<Mask>,
    /// The concept whose words were exchanged.
    pub(super) first: Option<Mask>,
    /// The prompt whose Dice with the same mask is the base of a difference.
    pub(super) base: Option<String>,
    /// The nearest trained text.
    pub(super) nearest: Option<String>,
    /// The nearest trained text of concepts that share nothing with this one.
    pub(super) nearest_other: Option<String>,
}

impl Question {
    pub(super) fn new(
        kind: ProbeKind,
        concept: Option<usize>,
        prompt: impl Into<String>,
        named: Option<Mask>,
    ) -> Self {
        let prompt = prompt.into();
        Self { kind, concept, prompt, named, first: None, base: None, nearest: None, nearest_other: None }
    }

    /// Every prompt whose answer it needs.
    pub(super) fn prompts(&self) -> impl Iterator<Item = &String> {
        [Some(&self.prompt), self.base.as_ref(), self.nearest.as_ref(), self.nearest_other.as_ref()]
            .into_iter()
            .flatten()
    }
}
