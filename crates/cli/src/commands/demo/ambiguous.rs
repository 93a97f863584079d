//! `bipvl demo --ambiguous`: bodies of which only the text of each case tells two organs apart, segmented with that text
//! and with the contrary.

use std::{fs, ops::Range, path::Path};

use anyhow::{Context, Result};
use bipvl_imaging::phantom::{AMBIGUOUS_CLASSES, Laterality, Phantom, draw_ambiguous};
use bipvl_io::atomic_write;

use super::{Set, learn, score, segment};
use crate::args::DemoArgs;

const SHAPE: [usize; 3] = [32; 3];
const SPACING: [f64; 3] = [6.0; 3];
const SET: Set<'static> =
    Set { name: "Told phantoms", classes: &AMBIGUOUS_CLASSES, cases: 12, new_cases: 40, id };
/// Bodies that are there once for each side, in cases that follow one another.
const BOTH_WAYS: usize = 4;
/// Further bodies to learn from, there once. Their first organ is on the right, as if that were usual: the image
/// then begins to tell sides apart, which nothing rewards while both are equally likely and no text is heeded.
const ONCE: usize = 4;
const DESCRIPTIONS: &str = include_str!("../../../../../descriptions/ambiguous.toml");
const CONFIG: &str = include_str!("../../../../../configs/ambiguous.toml");

/// Learns from cases with texts of their own, then segments new cases twice.
pub(super) fn run(args: &DemoArgs) -> Result<()> {
    let (folder, data) = (&args.out, args.out.join("data"));
    tracing::info!("1 of 4: drawing bodies in {}", folder.display());
    SET.write(&data, draw)?;
    let [(_, learned), (_, new)] = SET.parts();
    describe(&data.join("descriptionsTr"), learned, side)?;
    describe(&data.join("descriptionsTs"), new.clone(), side)?;
    describe(&folder.join("contrary"), new.clone(), |case| side(case).opposite())?;

    tracing::info!("2 of 4: training on two equal organs; only the text of a case says which is which");
    learn(folder, DESCRIPTIONS, CONFIG, args.steps, None)?;

    tracing::info!("3 of 4: segmenting {} new cases with their own text, then with the contrary", new.len());
    segment(folder, "predictions", None)?;
    segment(folder, "predictions-contrary", Some("contrary"))?;

    tracing::info!("4 of 4: scoring them, first with their own text");
    score(folder, "predictions", "scores.json")?;
    score(folder, "predictions-contrary", "scores-contrary.json")?;
    tracing::info!("open {} in a browser", folder.join("run/report.html").display());
    Ok(())
}

fn draw(case: u64) -> Phantom {
    let case = case as usize;
    draw_ambiguous(body(case) as u64, side(case), SHAPE, SPACING)
}

/// Both cases of a body are one patient's, so that none validates a body that was learned with its organs exchanged.
fn id(case: usize) -> String {
    let frame = match side(case) {
        Laterality::Right => 1,
        Laterality::Left => 2,
    };
    format!("body_{:03}_frame{frame:02}", body(case))
}

/// The body that a case shows.
fn body(case: usize) -> usize {
    match case.checked_sub(SET.cases) {
        Some(new) => BOTH_WAYS + ONCE + new / 2,
        None if case < 2 * BOTH_WAYS => case / 2,
        None => case - BOTH_WAYS,
    }
}

/// The side of its first organ.
fn side(case: usize) -> Laterality {
    let is_once = (2 * BOTH_WAYS..SET.cases).contains(&case);
    if is_once || case.is_multiple_of(2) { Laterality::Right } else { Laterality::Left }
}

/// Writes what each case says of its organs.
fn describe(folder: &Path, cases: Range<usize>, side_of_first: impl Fn(usize) -> Laterality) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    for case in cases {
        let first = side_of_first(case);
        let sides = [first, first.opposite()];
        let texts = AMBIGUOUS_CLASSES.iter().zip(sides).map(|((name, _), side)| {
            let word = side.as_str();
            format!(
                "[[class]]\nname = \"{name}\"\ntitle = \"{name} organ\"\n\n[class.concepts]\n\
                 location = \"On the {word}, on the {word} side.\"\n"
            )
        });
        let text = texts.collect::<Vec<_>>().join("\n");
        atomic_write(&folder.join(format!("{}.toml", id(case))), text.as_bytes())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// By hand: cases 0 to 7 show bodies 0 to 3 twice, 8 to 11 bodies 4 to 7 once, and new are 20 bodies twice.
    #[test]
    fn no_new_body_was_learned_and_each_is_there_for_both_sides() {
        let ids: Vec<String> = (0..SET.cases + SET.new_cases).map(id).collect();
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), 52);
        let learned = "body_000_frame01 body_000_frame02 body_001_frame01 body_001_frame02 body_002_frame01 \
                       body_002_frame02 body_003_frame01 body_003_frame02 body_004_frame01 body_005_frame01 \
                       body_006_frame01 body_007_frame01";
        assert_eq!(ids[..SET.cases].join(" "), learned);
        assert_eq!(ids[SET.cases], "body_008_frame01");
        assert_eq!(ids[SET.cases + 39], "body_027_frame02");
    }
}
