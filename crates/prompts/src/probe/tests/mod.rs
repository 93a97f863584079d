//! Artificial readers that a probe must tell apart, and counts by hand.

mod bodies;
mod readers;

use std::{collections::HashMap, ops::ControlFlow};

use bipvl_imaging::{Grid, phantom::attributes::Kind};
use ndarray::{Array3, ArrayView4, Axis};

use super::*;
use crate::{Concept, Knowledge, PromptTexts, code_book::code_book};
use bodies::{cases, config, run, vocabulary};
use readers::{Deaf, LookingUp, Reading, answer};

fn mean(probe: &Probe, kind: ProbeKind, measure: fn(&Measures<Mean>) -> Option<Mean>) -> f64 {
    measure(&probe.result.kind(kind).unwrap_or_else(|| panic!("{kind:?} was asked")).measures)
        .unwrap_or_else(|| panic!("{kind:?} was measured"))
        .mean
}

#[test]
fn a_reader_is_right_in_any_words_and_silent_where_it_should_be() {
    let probe = run(&Reading);
    for kind in [
        ProbeKind::Trained,
        ProbeKind::HeldOut,
        ProbeKind::FewerWords,
        ProbeKind::FewerWordsHeldOut,
        ProbeKind::ParaphraseHeldOut,
        ProbeKind::Sibling,
    ] {
        assert_eq!(mean(&probe, kind, |measures| measures.dice), 1.0, "{kind:?}");
    }
    for kind in [
        ProbeKind::Absent,
        ProbeKind::OtherSet,
        ProbeKind::OtherWorld,
        ProbeKind::Nonsense,
        ProbeKind::Empty,
        ProbeKind::CodeBook,
    ] {
        assert_eq!(mean(&probe, kind, |measures| measures.silent), 1.0, "{kind:?}");
    }
    assert_eq!(mean(&probe, ProbeKind::SideExchanged, |measures| measures.dice_first), 0.0);
    assert!(mean(&probe, ProbeKind::HeldOut, |measures| measures.dice_nearest_other) < 0.01);
    let calibration = probe.result.calibration.as_ref().unwrap();
    assert_eq!(calibration.auroc, Some(1.0));
    assert!((calibration.ece - 0.02).abs() < 1e-12, "{}", calibration.ece);
    assert!(probe.result.company.iter().all(|company| company.changed.unwrap().mean == 0.0));
}

#[test]
fn a_lookup_is_as_good_on_trained_names_and_found_out_on_others() {
    let probe = run(&LookingUp::new());
    assert_eq!(mean(&probe, ProbeKind::Trained, |measures| measures.dice), 1.0);
    assert_eq!(mean(&probe, ProbeKind::FewerWords, |measures| measures.dice), 1.0);
    let held_out = mean(&probe, ProbeKind::HeldOut, |measures| measures.dice);
    let nearest = mean(&probe, ProbeKind::HeldOut, |measures| measures.dice_nearest);
    // Both draw among equally near texts, so they agree but for chance.
    assert!(held_out < 0.3 && nearest < 0.3, "{held_out}, {nearest}");
    assert!(mean(&probe, ProbeKind::Nonsense, |measures| measures.silent) < 1.0);
    assert!(mean(&probe, ProbeKind::SideExchanged, |measures| measures.dice_first) < 0.5);
}

#[test]
fn one_that_ignores_its_text_is_found_out_by_every_question() {
    let probe = run(&Deaf);
    for kind in [ProbeKind::Absent, ProbeKind::OtherWorld, ProbeKind::Nonsense, ProbeKind::Empty] {
        assert_eq!(mean(&probe, kind, |measures| measures.silent), 0.0, "{kind:?}");
    }
    assert!(mean(&probe, ProbeKind::Typo, |measures| measures.difference).abs() < 0.01);
    assert!(mean(&probe, ProbeKind::SideExchanged, |measures| measures.dice_first) > 0.1);
    assert_eq!(probe.result.calibration.as_ref().unwrap().auroc, Some(0.5));
    for company in &probe.result.company {
        assert!(company.changed.unwrap().mean > 0.0, "{company:?}");
    }
    let sizes: Vec<usize> = probe.result.company.iter().map(|company| company.others).collect();
    assert_eq!(sizes, [4, 16, 48]);
}

/// Ten voxels of the left kidney; two of it and eight of the right one.
struct Half;

impl PromptReader for Half {
    fn read(&self, _: ArrayView4<f32>, prompts: &[String]) -> Vec<PromptResult> {
        let of_prompt = |prompt: &String| match prompt.as_str() {
            "right kidney" => (0..2).chain(30..38).collect(),
            "left kidney" => (0..10).collect(),
            _ => Vec::new(),
        };
        prompts
            .iter()
            .map(|prompt| PromptResult { mask: Mask::new(of_prompt(prompt)), presence: None })
            .collect()
    }
}

#[test]
fn side_exchange_is_counted_by_hand() {
    // Two organs of ten voxels each on either side; asked for the right one, the reader finds eight voxels of it and two of
    // the left one.
    let concept = |name: &str, label: u8, contralateral| Concept {
        name: name.to_owned(),
        parts: Vec::new(),
        contralateral: Some(contralateral),
        texts: PromptTexts::from_names(vec![name.to_owned()]),
        sets: vec![Knowledge::Labeled(vec![label])],
    };
    let vocabulary = Vocabulary {
        sets: vec!["set".to_owned()],
        concepts: vec![concept("left kidney", 1, 1), concept("right kidney", 2, 0)],
    };
    let labels = Array3::from_shape_fn([4, 10, 1], |(x, ..)| [1, 0, 0, 2][x]);
    let case = ProbeCase {
        id: "one".to_owned(),
        set: "set".to_owned(),
        grid: Grid::with_spacing([4, 10, 1], [1.0; 3]),
        image: labels.mapv(f32::from).insert_axis(Axis(0)),
        labels,
        knowledge: vocabulary.knowledge(0, None),
    };
    let probe =
        probe(&Half, &vocabulary, [case], &ProbeConfig::default(), &mut |_| ControlFlow::Continue(()))
            .unwrap();
    let asked_right = probe.result.records.iter().find(|record| {
        record.kind == ProbeKind::SideExchanged && record.concept.as_deref() == Some("left kidney")
    });
    let Measures { dice, inside, inside_first, dice_first, .. } = asked_right.unwrap().measures;
    assert_eq!((dice, inside), (Some(0.8), Some(0.8)));
    assert_eq!((inside_first, dice_first), (Some(0.2), Some(0.2)));
    assert_eq!(probe.result.calibration, None);
}

#[test]
fn results_depend_on_seed_and_case_and_are_can_be_read_from_json() {
    let one = run(&Reading).result;
    assert_eq!(run(&Reading).result, one);
    let text = serde_json::to_string(&one).unwrap();
    // The parser may be off by the last bit of a number, so that numbers are compared as they count.
    let read: ProbeResult = serde_json::from_str(&text).unwrap();
    let counts = |result: &ProbeResult| -> Vec<_> {
        result.records.iter().map(|record| (record.prompt.clone(), record.found, record.reference)).collect()
    };
    assert_eq!(counts(&read), counts(&one));
    assert_eq!(read.kind(ProbeKind::HeldOut).unwrap().measures.dice, Some(Mean { mean: 1.0, n: 18 }));
    assert_eq!(read.company, one.company);
    for key in ["\"auroc\":", "\"ece\":", "\"dice\":{\"mean\":1.0,\"n\":", "\"kind\":\"side_exchanged\""] {
        assert!(text.contains(key), "{key}");
    }
    let vocabulary = vocabulary();
    let last = cases(&vocabulary).pop();
    let alone =
        probe(&Reading, &vocabulary, last, &config(&vocabulary), &mut |_| ControlFlow::Continue(())).unwrap();
    let of_case = |record: &&ProbeRecord| record.case == "body 5";
    assert!(one.records.iter().filter(of_case).eq(&alone.result.records));
}

#[test]
fn a_break_gives_no_result() {
    let vocabulary = vocabulary();
    let config = config(&vocabulary);
    assert!(
        probe(&Reading, &vocabulary, cases(&vocabulary), &config, &mut |_| ControlFlow::Break(())).is_none()
    );
}

#[test]
fn a_code_book_reader_answers_trained_names_and_nothing_else() {
    /// Finds what a string stands for, if it is in the book.
    struct Book(HashMap<String, u8>);
    impl PromptReader for Book {
        fn read(&self, image: ArrayView4<f32>, prompts: &[String]) -> Vec<PromptResult> {
            let in_code = prompts.iter().map(|prompt| code_book(prompt, 9));
            in_code.map(|code| answer(image, |label| self.0.get(&code) == Some(&label))).collect()
        }
    }
    let vocabulary = vocabulary();
    let config = config(&vocabulary);
    let trained = Kind::all().filter(|kind| config.is_trained(&kind.to_string()));
    let book = trained.map(|kind| (code_book(&kind.to_string(), 9), kind.label() as u8)).collect();
    let probe = run(&Book(book));
    assert_eq!(mean(&probe, ProbeKind::Trained, |measures| measures.dice), 1.0);
    assert_eq!(mean(&probe, ProbeKind::HeldOut, |measures| measures.dice), 0.0);
    assert_eq!(mean(&probe, ProbeKind::Nonsense, |measures| measures.silent), 1.0);
}
