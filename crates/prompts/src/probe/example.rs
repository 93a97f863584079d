//! Pictures of some results: the first of a kind, not the best.

use bipvl_imaging::{LabelMap, Volume};
use ndarray::{Array3, Axis};

use super::{
    case::ProbeCase,
    mask::Mask,
    question::{ProbeKind, Question},
    results::PromptResults,
};

/// Kinds that are shown.
const SHOWN: [ProbeKind; 7] = [
    ProbeKind::Trained,
    ProbeKind::HeldOut,
    ProbeKind::FewerWordsHeldOut,
    ProbeKind::SideExchanged,
    ProbeKind::Absent,
    ProbeKind::OtherWorld,
    ProbeKind::Nonsense,
];

/// One result to be drawn.
#[derive(Clone, Debug)]
pub struct ProbeExample {
    /// What was asked.
    pub kind: ProbeKind,
    /// Name of the case.
    pub case: String,
    /// The words.
    pub prompt: String,
    /// Dice with what the prompt names.
    pub dice: Option<f64>,
    /// The first channel.
    pub image: Volume<f32>,
    /// 1 where the prompt found something.
    pub found: LabelMap,
    /// 1 where what the prompt names is; `None` where the case does not say.
    pub reference: Option<LabelMap>,
    /// 1 where the concept is whose words were exchanged.
    pub first: Option<LabelMap>,
}

/// The first result of each kind to be shown, where there are fewer than `most` of it.
pub(super) fn add_examples(
    examples: &mut Vec<ProbeExample>,
    most: usize,
    case: &ProbeCase,
    questions: &[Question],
    results: &PromptResults,
) {
    for kind in SHOWN {
        if examples.iter().filter(|example| example.kind == kind).count() >= most {
            continue;
        }
        // Of an exchange both structures should be seen.
        let is_telling = |question: &&Question| {
            question.kind == kind
                && (kind != ProbeKind::SideExchanged
                    || question.named.as_ref().is_some_and(|mask| !mask.is_empty()))
        };
        let Some(question) = questions.iter().find(is_telling) else { continue };
        let mask = &results.get(&question.prompt).mask;
        examples.push(ProbeExample {
            kind,
            case: case.id.clone(),
            prompt: question.prompt.clone(),
            dice: question
                .named
                .as_ref()
                .filter(|named| !named.is_empty())
                .and_then(|named| mask.dice(named)),
            image: Volume::new(case.image.index_axis(Axis(0), 0).to_owned(), case.grid.clone()),
            found: label_map(mask, case),
            reference: question.named.as_ref().map(|named| label_map(named, case)),
            first: question.first.as_ref().map(|first| label_map(first, case)),
        });
    }
}

fn label_map(mask: &Mask, case: &ProbeCase) -> LabelMap {
    let mut labels = vec![0; case.labels.len()];
    mask.places().iter().for_each(|place| labels[*place as usize] = 1);
    let voxels = Array3::from_shape_vec(case.labels.dim(), labels).expect("one label per voxel");
    Volume::new(voxels, case.grid.clone())
}
