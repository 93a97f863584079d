//! `bipvl demo --text`: bodies of which only the text of each case tells two organs apart, segmented with that text
//! and with the contrary.

use std::{fs, ops::Range, path::Path};

use anyhow::{Context, Result};
use bipvl_volume::{
    phantom::{Phantom, Side, TOLD_CLASSES, draw_told},
    replace_file,
};

use super::{Set, learn, score, segment};
use crate::args::DemoArgs;

const SHAPE: [usize; 3] = [32; 3];
const SPACING: [f64; 3] = [6.0; 3];
const SET: Set<'static> = Set { name: "Told phantoms", classes: &TOLD_CLASSES, cases: 12, new_cases: 40, id };
const DESCRIPTIONS: &str = include_str!("../../../../../descriptions/told.toml");
const CONFIG: &str = include_str!("../../../../../configs/told.toml");

/// Learns from cases with texts of their own, then segments new cases twice.
pub(super) fn run(args: &DemoArgs) -> Result<()> {
    let (folder, data) = (&args.out, args.out.join("data"));
    let bodies = (SET.cases + SET.new_cases).div_ceil(2);
    tracing::info!("1 of 4: drawing {bodies} bodies in {}", folder.display());
    SET.write(&data, draw)?;
    let [(_, learned), (_, new)] = SET.parts();
    describe(&data.join("descriptionsTr"), learned, side)?;
    describe(&data.join("descriptionsTs"), new.clone(), side)?;
    describe(&folder.join("contrary"), new.clone(), |case| side(case + 1))?;

    tracing::info!("2 of 4: training on two equal organs; only the text of a case says which is which");
    learn(folder, DESCRIPTIONS, CONFIG, args.steps)?;

    tracing::info!("3 of 4: segmenting {} new cases with their own text, then with the contrary", new.len());
    segment(folder, "predictions", None)?;
    segment(folder, "predictions-contrary", Some("contrary"))?;

    tracing::info!("4 of 4: scoring them, first with their own text");
    score(folder, "predictions", "scores.json")?;
    score(folder, "predictions-contrary", "scores-contrary.json")?;
    tracing::info!("open {} in a browser", folder.join("run/report.html").display());
    Ok(())
}

/// Two cases with following numbers show one body, with its organs exchanged.
fn draw(case: u64) -> Phantom {
    draw_told(case / 2, side(case as usize), SHAPE, SPACING)
}

/// Both cases of a body are one patient's, so that none validates a body that was learned with its organs exchanged.
fn id(case: usize) -> String {
    format!("body_{:03}_frame{:02}", case / 2, case % 2 + 1)
}

fn side(case: usize) -> Side {
    if case.is_multiple_of(2) { Side::Right } else { Side::Left }
}

/// Writes what each case says of its organs.
fn describe(folder: &Path, cases: Range<usize>, side_of_first: impl Fn(usize) -> Side) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    for case in cases {
        let first = side_of_first(case);
        let sides = [first, first.opposite()];
        let texts = TOLD_CLASSES.iter().zip(sides).map(|((name, _), side)| {
            let word = side.word();
            format!(
                "[[class]]\nname = \"{name}\"\ntitle = \"{name} organ\"\n\n[class.concepts]\n\
                 location = \"On the {word}, on the {word} side.\"\n"
            )
        });
        let text = texts.collect::<Vec<_>>().join("\n");
        replace_file(&folder.join(format!("{}.toml", id(case))), text.as_bytes())?;
    }
    Ok(())
}
