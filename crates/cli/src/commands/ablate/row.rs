//! The rows of the table: each turns one switch of the full method, and has a name on the command line.

use std::path::Path;

use bipvl::{
    config::Config,
    data::Dataset,
    nn::bifusion::Exchange,
    text::{Descriptions, Rewrite, permuted_across_cases},
    train::loss::{Aligned, LossWeighting},
};

use crate::args::AblateArgs;

/// One row.
#[derive(Debug)]
pub(crate) struct Row {
    /// On the command line, and as the folder of its runs.
    pub(crate) name: &'static str,
    /// What is varied.
    pub(crate) factor: &'static str,
    /// What it is instead.
    pub(crate) what: &'static str,
    switch: Switch,
}

/// What a row changes.
#[derive(Clone, Copy, Debug)]
enum Switch {
    Nothing,
    Fusion(Exchange),
    /// Neither fusion nor alignment: no text at all.
    VisionOnly,
    Alignment(Aligned),
    Weighting(LossWeighting),
    Text(Rewrite),
    /// Each case has the text of another.
    OtherCases,
    Encoder(Encoder),
}

/// A published text encoder that the user has.
#[derive(Clone, Copy, Debug)]
enum Encoder {
    MiniLm,
    Bert,
}

/// What a run learns from in words.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Texts {
    /// The descriptions of the data set.
    pub(super) common: Descriptions,
    /// The descriptions of the cases that have some of their own, by the case's id.
    pub(super) of_cases: Vec<(String, Descriptions)>,
}

/// The row that all others are compared with.
pub(super) const FULL: &Row = &ROWS[0];

/// All rows, in the order of the table.
pub(super) const ROWS: [Row; 17] = [
    row("full", "method", "bidirectional fusion, both alignments, homoscedastic weights", Switch::Nothing),
    row("vision-only", "fusion", "vision only: no text at all", Switch::VisionOnly),
    row("late", "fusion", "late: once, at the bottleneck", Switch::Fusion(Exchange::Late)),
    row("text-to-vision", "fusion", "one way, text to vision", Switch::Fusion(Exchange::TextToVision)),
    row("vision-to-text", "fusion", "one way, vision to text", Switch::Fusion(Exchange::VisionToText)),
    row("no-alignment", "alignment", "none", Switch::Alignment(Aligned::None)),
    row("global-alignment", "alignment", "global", Switch::Alignment(Aligned::Global)),
    row("local-alignment", "alignment", "local", Switch::Alignment(Aligned::Local)),
    row("fixed-weights", "loss weighting", "fixed", Switch::Weighting(LossWeighting::Fixed)),
    row("names", "text", "class names only", Switch::Text(Rewrite::Names)),
    row("ambiguous", "text", "ambiguous: the same vague sentences for all", Switch::Text(Rewrite::Ambiguous)),
    row(
        "misaligned",
        "text",
        "misaligned: the whole text of another class",
        Switch::Text(Rewrite::Misaligned),
    ),
    row(
        "shuffled",
        "text",
        "shuffled: sentences of other classes below the titles",
        Switch::Text(Rewrite::Shuffled),
    ),
    row("other-cases", "text", "the text of another case", Switch::OtherCases),
    row("report", "text", "free-form report sentences", Switch::Text(Rewrite::Report)),
    row("minilm", "text encoder", "MiniLM", Switch::Encoder(Encoder::MiniLm)),
    row("bert", "text encoder", "BERT", Switch::Encoder(Encoder::Bert)),
];

const fn row(name: &'static str, factor: &'static str, what: &'static str, switch: Switch) -> Row {
    Row { name, factor, what, switch }
}

impl Row {
    /// The row of a name.
    pub(crate) fn named(name: &str) -> Result<&'static Self, String> {
        ROWS.iter().find(|row| row.name == name).ok_or_else(|| {
            let names = ROWS.map(|row| row.name).join(", ");
            format!("expected one of {names}, found \"{name}\"")
        })
    }

    /// The configuration of the full method with the switch of this row turned.
    pub(super) fn config(&self, mut config: Config) -> Config {
        match self.switch {
            Switch::Fusion(exchange) => config.model.fusion.exchange = exchange,
            Switch::VisionOnly => {
                config.model.fusion.exchange = Exchange::None;
                config.train.loss.alignment = Aligned::None;
            }
            Switch::Alignment(aligned) => config.train.loss.alignment = aligned,
            Switch::Weighting(weighting) => config.train.loss.weighting = weighting,
            Switch::Nothing | Switch::Text(_) | Switch::OtherCases | Switch::Encoder(_) => {}
        }
        config
    }

    /// What this row makes of the descriptions of the data set and of those of its cases; what is drawn follows from
    /// `seed`. `None` where a single class has no other whose text it could get.
    pub(super) fn texts(&self, texts: Texts, seed: u64) -> Option<Texts> {
        let Texts { common, of_cases } = texts;
        let rewrite = match self.switch {
            Switch::Text(rewrite) => rewrite,
            Switch::OtherCases => {
                return Some(Texts { of_cases: permuted_across_cases(&of_cases, seed), common });
            }
            _ => return Some(Texts { common, of_cases }),
        };
        let rewritten = of_cases.into_iter().map(|(case, own)| Some((case, rewrite.apply(&own, seed)?)));
        Some(Texts { of_cases: rewritten.collect::<Option<_>>()?, common: rewrite.apply(&common, seed)? })
    }

    /// The folder of the text encoder that this row begins with.
    pub(super) fn text_encoder<'a>(&self, args: &'a AblateArgs) -> Option<&'a Path> {
        match self.switch {
            Switch::Encoder(Encoder::MiniLm) => args.minilm.as_deref(),
            Switch::Encoder(Encoder::Bert) => args.bert.as_deref(),
            _ => None,
        }
    }

    /// What this row needs and has not got.
    pub(super) fn lacks(&self, args: &AblateArgs, dataset: &Dataset) -> Option<&'static str> {
        let told = || dataset.cases.iter().filter(|case| case.descriptions().is_some()).count();
        match self.switch {
            Switch::Encoder(Encoder::MiniLm) if args.minilm.is_none() => Some("--minilm DIR"),
            Switch::Encoder(Encoder::Bert) if args.bert.is_none() => Some("--bert DIR"),
            Switch::Text(Rewrite::Misaligned | Rewrite::Shuffled) if dataset.classes.len() < 2 => {
                Some("two classes")
            }
            Switch::OtherCases if told() < 2 => Some("two cases with texts of their own"),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use bipvl::text::{Concept, Description};

    use super::*;

    #[test]
    fn every_row_is_found_by_its_name_and_no_two_share_one() {
        assert_eq!(ROWS.iter().map(|row| row.name).collect::<BTreeSet<_>>().len(), ROWS.len());
        for row in &ROWS {
            assert_eq!(Row::named(row.name).unwrap().what, row.what);
        }
        assert!(Row::named("both").unwrap_err().contains("vision-only, late"));
        assert_eq!(FULL.name, "full");
    }

    fn described(sentences: &[&str]) -> Descriptions {
        let class = |(place, sentence): (usize, &&str)| Description {
            class: format!("class {place}"),
            title: format!("Number {place}"),
            concepts: vec![Concept { name: "location".to_owned(), sentence: (*sentence).to_owned() }],
        };
        Descriptions { classes: sentences.iter().enumerate().map(class).collect() }
    }

    #[test]
    fn what_cases_say_of_their_own_is_rewritten_too() {
        let own = |case: &str, words: [&str; 2]| (case.to_owned(), described(&words));
        let texts = Texts {
            common: described(&["Somewhere.", "Anywhere."]),
            of_cases: vec![own("a", ["Left.", "Right."]), own("b", ["Right.", "Left."])],
        };
        let made = |row: &str| Row::named(row).unwrap().texts(texts.clone(), 0).unwrap();
        let full =
            |of: &Descriptions| -> Vec<String> { of.classes.iter().map(Description::prompt).collect() };
        assert_eq!(made("full"), texts);
        assert_eq!(made("bert"), texts);
        let names = ["class 0. Name: class 0", "class 1. Name: class 1"];
        assert!(made("names").of_cases.iter().all(|(_, own)| full(own) == names));
        let misaligned = ["Number 1. Location: Right.", "Number 0. Location: Left."];
        assert_eq!(full(&made("misaligned").of_cases[0].1), misaligned);
        assert_eq!(
            full(&made("shuffled").of_cases[1].1),
            ["Number 0. Location: Left.", "Number 1. Location: Right."]
        );
        let swapped = vec![own("a", ["Right.", "Left."]), own("b", ["Left.", "Right."])];
        assert_eq!(made("other-cases"), Texts { of_cases: swapped, ..texts.clone() });
        let one = Texts { common: described(&["Here."]), of_cases: Vec::new() };
        assert_eq!(Row::named("misaligned").unwrap().texts(one, 0), None);
    }
}
