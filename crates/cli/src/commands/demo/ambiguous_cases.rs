//! The ambiguous phantoms: which body and side each case shows, and its description.

use std::{fs, ops::Range, path::Path};

use anyhow::{Context, Result};
use bipvl_imaging::phantom::{AMBIGUOUS_CLASSES, Laterality, Phantom, draw_ambiguous};
use bipvl_io::atomic_write;

use super::phantoms::PhantomSet;

const SHAPE: [usize; 3] = [32; 3];
const SPACING: [f64; 3] = [6.0; 3];
/// Twelve training cases and forty new ones.
pub(super) const SET: PhantomSet<'static> =
    PhantomSet { name: "Ambiguous phantoms", classes: &AMBIGUOUS_CLASSES, cases: 12, new_cases: 40, id };
/// Training bodies with both texts, in consecutive cases.
const BOTH_SIDES: usize = 4;
/// Further training bodies with one text, their first organ on the right. The prior that this gives makes the image
/// branch discriminate sides early; with sides equally likely, neither branch has a gradient to start from.
const ONE_SIDE: usize = 4;

/// Draws a case.
pub(super) fn draw(case: u64) -> Phantom {
    let case = case as usize;
    draw_ambiguous(body(case) as u64, side(case), SHAPE, SPACING)
}

/// Both cases of a body share a patient id, so that a split keeps them together.
fn id(case: usize) -> String {
    let frame = match side(case) {
        Laterality::Right => 1,
        Laterality::Left => 2,
    };
    format!("body_{:03}_frame{frame:02}", body(case))
}

/// The body of a case.
fn body(case: usize) -> usize {
    match case.checked_sub(SET.cases) {
        Some(new) => BOTH_SIDES + ONE_SIDE + new / 2,
        None if case < 2 * BOTH_SIDES => case / 2,
        None => case - BOTH_SIDES,
    }
}

/// The side of the first organ of a case.
pub(super) fn side(case: usize) -> Laterality {
    let is_one_sided = (2 * BOTH_SIDES..SET.cases).contains(&case);
    if is_one_sided || case.is_multiple_of(2) { Laterality::Right } else { Laterality::Left }
}

/// Writes the per-case descriptions.
pub(super) fn describe(
    folder: &Path,
    cases: Range<usize>,
    side_of_first: impl Fn(usize) -> Laterality,
) -> Result<()> {
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

    /// By hand: cases 0 to 7 show bodies 0 to 3 twice, 8 to 11 bodies 4 to 7 once; the new cases are 20 bodies twice.
    #[test]
    fn new_bodies_are_not_in_the_training_set_and_have_both_sides() {
        let ids: Vec<String> = (0..SET.cases + SET.new_cases).map(id).collect();
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), 52);
        let training = "body_000_frame01 body_000_frame02 body_001_frame01 body_001_frame02 body_002_frame01 \
                       body_002_frame02 body_003_frame01 body_003_frame02 body_004_frame01 body_005_frame01 \
                       body_006_frame01 body_007_frame01";
        assert_eq!(ids[..SET.cases].join(" "), training);
        assert_eq!(ids[SET.cases], "body_008_frame01");
        assert_eq!(ids[SET.cases + 39], "body_027_frame02");
    }
}
