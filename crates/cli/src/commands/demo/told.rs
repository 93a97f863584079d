//! `bipvl demo --text`: bodies of which only the text of each case says which organ is meant, segmented with
//! that text and with the contrary.

use std::{fs, ops::Range, path::Path};

use anyhow::{Context, Result};
use bipvl_volume::{
    phantom::{Phantom, Side, TOLD_CLASSES, draw_told},
    replace_file,
};

use super::{Set, id, learn, score, segment};
use crate::args::DemoArgs;

const SHAPE: [usize; 3] = [32; 3];
const SPACING: [f64; 3] = [6.0; 3];
const SET: Set<'static> = Set { name: "Told phantoms", classes: &TOLD_CLASSES, cases: 12, new_cases: 40 };
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

    tracing::info!("2 of 4: training on two equal organs, of which the text of a case names one");
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

/// Two cases with following numbers show one body and mean its two sides.
fn draw(case: u64) -> Phantom {
    draw_told(case / 2, side(case as usize), SHAPE, SPACING)
}

fn side(case: usize) -> Side {
    if case.is_multiple_of(2) { Side::Right } else { Side::Left }
}

/// Writes what each case says of the target.
fn describe(folder: &Path, cases: Range<usize>, side: impl Fn(usize) -> Side) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    for case in cases {
        let word = side(case).word();
        let text = format!(
            "[[class]]\nname = \"target\"\ntitle = \"Target\"\n\n[class.concepts]\n\
             location = \"On the {word}, on the {word} side.\"\n"
        );
        replace_file(&folder.join(format!("{}.toml", id(case))), text.as_bytes())?;
    }
    Ok(())
}
