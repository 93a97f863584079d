//! The questions about one case.

use bipvl_text::perturbations::{add_typos, swap_laterality};
use rand::seq::{IndexedRandom, index};
use rand_chacha::ChaCha8Rng;

use super::{
    ProbeConfig,
    case::{ProbeCase, Truth, of_other_sets, truths},
    mask::Mask,
    nearest::TrainedTexts,
    nonsense::nonsense,
    question::{ProbeKind, Question},
    wording::wordings,
};
use crate::{Vocabulary, code_book::code_book};

/// What all cases of a probe share.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    vocabulary: &'a Vocabulary,
    config: &'a ProbeConfig,
    siblings: Vec<Vec<usize>>,
    trained: TrainedTexts,
}

/// A case while its questions are collected.
struct Draft<'a> {
    plan: &'a Plan<'a>,
    case: &'a ProbeCase,
    truths: Vec<Truth>,
    rng: &'a mut ChaCha8Rng,
    questions: Vec<Question>,
}

impl<'a> Plan<'a> {
    pub(super) fn new(vocabulary: &'a Vocabulary, config: &'a ProbeConfig) -> Self {
        let is_trained = |place: usize| config.is_trained(&vocabulary.concepts[place].name);
        Self {
            vocabulary,
            config,
            siblings: vocabulary.hard_negatives(),
            trained: TrainedTexts::new(vocabulary, is_trained),
        }
    }

    /// Everything that is asked about a case but company.
    pub(super) fn questions(&self, case: &ProbeCase, rng: &mut ChaCha8Rng) -> Vec<Question> {
        let mut draft = Draft { plan: self, case, truths: truths(case), rng, questions: Vec::new() };
        draft.names();
        draft.other_words();
        draft.exchanged();
        draft.foreign();
        let mut questions = draft.questions;
        for kind in ProbeKind::ALL {
            self.limit(kind, &mut questions, rng);
        }
        for question in &mut questions {
            self.add_nearest(question, rng);
        }
        questions
    }

    /// Keeps a random choice of the questions of a kind.
    fn limit(&self, kind: ProbeKind, questions: &mut Vec<Question>, rng: &mut ChaCha8Rng) {
        let count = questions.iter().filter(|question| question.kind == kind).count();
        if count <= self.config.per_kind {
            return;
        }
        let kept: Vec<usize> = index::sample(rng, count, self.config.per_kind).into_vec();
        let mut place = 0..;
        questions.retain(|question| {
            question.kind != kind || place.next().is_some_and(|place| kept.contains(&place))
        });
    }

    /// What a lookup would answer a held-out prompt with.
    fn add_nearest(&self, question: &mut Question, rng: &mut ChaCha8Rng) {
        let Some(concept) = question.concept.filter(|_| question.kind.is_held_out()) else { return };
        question.nearest = self.trained.nearest(&question.prompt, |_| true, rng);
        let is_other = |place: usize| !self.vocabulary.overlap(place, concept);
        question.nearest_other = self.trained.nearest(&question.prompt, is_other, rng);
    }
}

impl Draft<'_> {
    fn name(&self, concept: usize) -> &str {
        &self.plan.vocabulary.concepts[concept].name
    }

    fn is_union(&self, concept: usize) -> bool {
        !self.plan.vocabulary.concepts[concept].parts.is_empty()
    }

    fn mask(&self, concept: usize) -> Option<Mask> {
        self.truths[concept].mask(self.case)
    }

    /// Concepts of the case that are no unions and have been trained, each with its voxels.
    fn trained(&self) -> Vec<(usize, Mask)> {
        let is_asked = |concept: &usize| {
            matches!(self.truths[*concept], Truth::Present(_))
                && !self.is_union(*concept)
                && self.plan.config.is_trained(self.name(*concept))
        };
        (0..self.truths.len())
            .filter(is_asked)
            .filter_map(|concept| Some((concept, self.mask(concept)?)))
            .collect()
    }

    /// Every concept under its own name.
    fn names(&mut self) {
        for concept in 0..self.truths.len() {
            let (config, name) = (self.plan.config, self.name(concept));
            let kind = match (&self.truths[concept], self.is_union(concept)) {
                (Truth::Unknown, _) => continue,
                (Truth::Absent, _) => ProbeKind::Absent,
                (Truth::Present(_), false) if config.unseen.iter().any(|unseen| unseen == name) => {
                    ProbeKind::Unseen
                }
                (Truth::Present(_), false) if config.is_trained(name) => ProbeKind::Trained,
                (Truth::Present(_), false) => ProbeKind::HeldOut,
                (Truth::Present(_), true) if config.is_trained(name) => ProbeKind::FewerWords,
                (Truth::Present(_), true) => ProbeKind::FewerWordsHeldOut,
            };
            self.questions.push(Question::new(kind, Some(concept), name, self.mask(concept)));
        }
    }

    /// Trained concepts in other words, compared with their names.
    fn other_words(&mut self) {
        let config = self.plan.config;
        for (concept, mask) in self.trained() {
            let of_vocabulary = &self.plan.vocabulary.concepts[concept];
            let given = config.paraphrases.get(&of_vocabulary.name).map_or(&[][..], Vec::as_slice);
            let wordings = wordings(of_vocabulary, given, &config.synonyms);
            let typo = vec![add_typos(&of_vocabulary.name, 1, self.rng)];
            for (kind, texts) in [
                (ProbeKind::ParaphraseTrained, wordings.trained),
                (ProbeKind::ParaphraseHeldOut, wordings.held_out),
                (ProbeKind::Typo, typo),
            ] {
                for text in texts.choose_multiple(self.rng, config.wordings) {
                    let question = Question::new(kind, Some(concept), text, Some(mask.clone()));
                    self.questions.push(Question { base: Some(of_vocabulary.name.clone()), ..question });
                }
            }
        }
    }

    /// Other structures in the words of trained ones: the other side, and another part of the same whole.
    fn exchanged(&mut self) {
        for (concept, mask) in self.trained() {
            let twin = self.plan.vocabulary.concepts[concept].contralateral;
            let is_seen =
                |twin: &usize| !self.plan.config.unseen.iter().any(|unseen| unseen == self.name(*twin));
            let side = match twin.filter(is_seen) {
                Some(twin) => Some((self.name(twin).to_owned(), self.mask(twin))),
                None if twin.is_some() => None,
                None => Some((swap_laterality(self.name(concept)), None)),
            };
            let side = side.filter(|(prompt, _)| prompt != self.name(concept));
            let sibling =
                self.sibling(concept).map(|sibling| (self.name(sibling).to_owned(), self.mask(sibling)));
            for (kind, exchanged) in [(ProbeKind::SideExchanged, side), (ProbeKind::Sibling, sibling)] {
                let Some((prompt, named)) = exchanged else { continue };
                let question = Question::new(kind, Some(concept), prompt, named);
                self.questions.push(Question { first: Some(mask.clone()), ..question });
            }
        }
    }

    /// Another part of the same whole of which the case says whether it is there, one that is there if any.
    fn sibling(&mut self, concept: usize) -> Option<usize> {
        let twin = self.plan.vocabulary.concepts[concept].contralateral;
        let known: Vec<usize> = self.plan.siblings[concept]
            .iter()
            .copied()
            .filter(|sibling| Some(*sibling) != twin && self.truths[*sibling] != Truth::Unknown)
            .filter(|sibling| self.plan.config.is_trained(self.name(*sibling)))
            .collect();
        let is_there = |sibling: &usize| matches!(self.truths[*sibling], Truth::Present(_));
        let there: Vec<usize> = known.iter().copied().filter(is_there).collect();
        there.choose(self.rng).or_else(|| known.choose(self.rng)).copied()
    }

    /// Prompts that name nothing in the case.
    fn foreign(&mut self) {
        let config = self.plan.config;
        let nothing = || Some(Mask::default());
        for concept in of_other_sets(self.case, self.plan.vocabulary) {
            let question = Question::new(ProbeKind::OtherSet, Some(concept), self.name(concept), None);
            self.questions.push(question);
        }
        for text in config.other_world.choose_multiple(self.rng, config.foreign) {
            self.questions.push(Question::new(ProbeKind::OtherWorld, None, text, nothing()));
        }
        for _ in 0..config.foreign {
            let text = nonsense(self.plan.vocabulary, self.rng);
            self.questions.push(Question::new(ProbeKind::Nonsense, None, text, nothing()));
        }
        self.questions.push(Question::new(ProbeKind::Empty, None, "", nothing()));
        for (concept, mask) in self.trained() {
            let code = code_book(self.name(concept), config.seed);
            self.questions.push(Question::new(ProbeKind::CodeBook, Some(concept), code, Some(mask)));
        }
    }
}
