//! Sentences from label statistics, by template.

use super::{ClassStatistics, DatasetStatistics, RelativePosition, prompt_title};
use bipvl_data::Modality;
use bipvl_text::{ClassName, Concept, Description};

/// Upper volume limits in ml.
const SIZES: [(f64, &str); 4] =
    [(1.0, "very small"), (10.0, "small"), (100.0, "medium-sized"), (1000.0, "large")];
/// Ratios of principal axis lengths.
const ROUND: f64 = 1.3;
const LONG: f64 = 2.0;
const VERY_LONG: f64 = 3.5;
/// Distance from the body's middle beyond which a class is on a side, as a fraction of the body's width.
const OFF_CENTER: f64 = 0.1;
/// Limits of z-scores.
const BRIGHT: f64 = 0.25;
const MUCH_BRIGHTER: f64 = 1.0;
/// Limits of contrast over standard deviation.
const SIMILAR: f64 = 0.5;
const CLEAR: f64 = 1.5;
/// Limits of 1 / sphericity.
const SMOOTH: f64 = 1.25;
const UNEVEN: f64 = 1.8;
/// Fraction of the largest component from which a class is in one piece.
const ONE_PIECE: f64 = 0.95;
/// Limits of the relative standard deviation.
const EVEN: f64 = 0.15;
const MIXED: f64 = 0.4;
/// Maximum number of neighbors in a location.
const MAX_NEIGHBORS: usize = 2;

impl DatasetStatistics {
    /// Renders the description of a class; `None` if no measured case contains it.
    ///
    /// # Panics
    ///
    /// If the class index is out of range.
    pub fn describe(&self, class: usize) -> Option<Description> {
        let own = self.classes[class].as_ref()?;
        let sentences = [
            ("shape", shape(own)),
            ("location", self.location(own)),
            ("appearance", self.appearance(class, own)),
            ("contour", self.contour(own)),
            ("texture", self.texture(class, own)),
        ];
        Some(Description {
            class: own.class.clone(),
            title: prompt_title(&ClassName::parse(&own.class).to_phrase(), self.modality),
            concepts: sentences.map(|(name, sentence)| Concept { name: name.to_owned(), sentence }).into(),
        })
    }

    fn location(&self, own: &ClassStatistics) -> String {
        let [x, y, z] = own.body_position;
        let side = grade(
            x,
            0.5 - OFF_CENTER,
            0.5 + OFF_CENTER,
            ["on the left side", "near the midline", "on the right side"],
        );
        let depth = grade(
            y,
            0.5 - OFF_CENTER,
            0.5 + OFF_CENTER,
            ["toward the back", "midway from back to front", "toward the front"],
        );
        let third = grade(z, 1.0 / 3.0, 2.0 / 3.0, ["lower", "middle", "upper"]);
        let relations = own.neighbors.iter().take(MAX_NEIGHBORS).map(|position| self.relation(position));
        let relations: Vec<String> = relations.collect();
        let relations =
            if relations.is_empty() { String::new() } else { format!(", {}", relations.join(" and ")) };
        format!("{} lies in the {third} third of the scan, {side}, {depth}{relations}.", the(own))
    }

    fn relation(&self, position: &RelativePosition) -> String {
        let [behind, ahead] =
            [["to the left of", "to the right of"], ["behind", "in front of"], ["below", "above"]]
                [position.axis];
        let direction = if position.offset_mm < 0.0 { behind } else { ahead };
        let other = self.classes[position.reference].as_ref();
        format!("{direction} {}", other.map_or_else(String::new, name))
    }

    fn appearance(&self, class: usize, own: &ClassStatistics) -> String {
        if self.modality == Modality::Mr && self.channels.len() > 1 {
            return self.channel_brightness(own);
        }
        let (high, low, same) = match self.modality {
            Modality::Ct => ("denser than", "less dense than", "about as dense as"),
            Modality::Mr => ("brighter than", "darker than", "about as bright as"),
        };
        let difference = |other: &ClassStatistics| own.mean[0] - other.mean[0];
        let is_similar = |other: &ClassStatistics| difference(other).abs() < SIMILAR * own.std.max(other.std);
        let nearest = |wanted: &dyn Fn(&ClassStatistics) -> bool| {
            let others = self.others(class).filter(|other| wanted(other));
            others.min_by(|one, other| difference(one).abs().total_cmp(&difference(other).abs()))
        };
        let mut clauses: Vec<String> = Vec::new();
        for (words, other) in [
            (same, nearest(&is_similar)),
            (high, nearest(&|other| !is_similar(other) && difference(other) > 0.0)),
            (low, nearest(&|other| !is_similar(other) && difference(other) < 0.0)),
        ] {
            clauses.extend(other.map(|other| format!("{words} {}", name(other))));
        }
        let level = match self.modality {
            Modality::Ct => format!("has a mean density of about {} HU", rounded(own.mean[0])),
            Modality::Mr => format!("is {} the average of the scan", brightness_phrase(own.z_score[0])),
        };
        let parts: Vec<String> = [level].into_iter().chain(clauses).collect();
        format!("{} {}.", the(own), parts.join(", "))
    }

    /// The brightness in each channel.
    fn channel_brightness(&self, own: &ClassStatistics) -> String {
        let groups = [
            ("bright", BRIGHT, f64::INFINITY),
            ("medium gray", -BRIGHT, BRIGHT),
            ("dark", f64::NEG_INFINITY, -BRIGHT),
        ];
        let clauses = groups.iter().filter_map(|(word, low, high)| {
            let channels = self.channels.iter().zip(&own.z_score);
            let names: Vec<&str> = channels
                .filter(|(_, level)| *low <= **level && **level < *high)
                .map(|(name, _)| name.as_str())
                .collect();
            (!names.is_empty()).then(|| format!("{word} in {}", names.join(" and ")))
        });
        let clauses: Vec<String> = clauses.collect();
        format!("{} is {}, compared with the average of the scan.", the(own), clauses.join(", "))
    }

    fn contour(&self, own: &ClassStatistics) -> String {
        let outline = grade(
            own.inverse_sphericity,
            SMOOTH,
            UNEVEN,
            ["a compact, smooth", "a slightly uneven", "a strongly uneven or branching"],
        );
        let pieces =
            if own.largest_component_fraction >= ONE_PIECE { "in one piece" } else { "in several pieces" };
        let (more, less) = match self.modality {
            Modality::Ct => ("denser", "less dense"),
            Modality::Mr => ("brighter", "darker"),
        };
        let strength = own.contrast.abs() / own.std.max(f64::MIN_POSITIVE);
        let comparison = if own.contrast > 0.0 { more } else { less };
        let surroundings = if strength < SIMILAR || own.contrast == 0.0 {
            "hardly different from its surroundings".to_owned()
        } else {
            let degree = if strength < CLEAR { "slightly" } else { "clearly" };
            format!("{degree} {comparison} than its surroundings")
        };
        format!("{} has {outline} outline {pieces} and is {surroundings}.", the(own))
    }

    fn texture(&self, class: usize, own: &ClassStatistics) -> String {
        let word = grade(own.relative_std, EVEN, MIXED, ["even", "moderately mixed", "strongly mixed"]);
        let amount = match self.modality {
            Modality::Ct => format!("vary by about {} HU", rounded(own.std)),
            Modality::Mr => {
                format!("vary by {} percent as much as the scan", rounded(100.0 * own.relative_std))
            }
        };
        let below = self.others(class).filter(|other| other.std < own.std);
        let below = below.max_by(|one, other| one.std.total_cmp(&other.std));
        let above = self.others(class).filter(|other| other.std > own.std);
        let above = above.min_by(|one, other| one.std.total_cmp(&other.std));
        let clauses = [("more", below), ("less", above)].map(|(word, other)| {
            other.map_or_else(String::new, |other| format!(", {word} than in {}", name(other)))
        });
        format!("{} is {word} inside; its intensities {amount}{}.", the(own), clauses.concat())
    }

    fn others(&self, class: usize) -> impl Iterator<Item = &ClassStatistics> {
        let others = self.classes.iter().enumerate().filter(move |(index, _)| *index != class);
        others.filter_map(|(_, other)| other.as_ref())
    }
}

fn shape(own: &ClassStatistics) -> String {
    let [long, middle, short] = own.axis_lengths_mm.map(|length| length.max(f64::MIN_POSITIVE));
    let largest = largest(own.extents_mm, |one, other| one > other);
    let smallest = self::largest(own.extents_mm, |one, other| one < other);
    let along = |axis: usize| ["from side to side", "from front to back", "from top to bottom"][axis];
    let size = SIZES.iter().find(|(limit, _)| own.volume_ml < *limit).map_or("very large", |(_, size)| size);
    let longest = format!("longest {}", along(largest));
    let (form, direction) = if long / middle >= VERY_LONG {
        ("very elongated", longest)
    } else if long / middle >= LONG {
        ("elongated", longest)
    } else if middle / short >= LONG {
        ("flat", format!("thinnest {}", along(smallest)))
    } else if long / short < ROUND {
        ("nearly round", "about as long as it is wide".to_owned())
    } else {
        ("oval", longest)
    };
    format!("{} is a {size}, {form} structure of about {} ml, {direction}.", the(own), rounded(own.volume_ml))
}

fn largest(extents: [f64; 3], is_better: fn(f64, f64) -> bool) -> usize {
    (1..3).fold(0, |best, axis| if is_better(extents[axis], extents[best]) { axis } else { best })
}

/// The word for a value below `low`, in between, or from `high` on.
fn grade(value: f64, low: f64, high: f64, words: [&'static str; 3]) -> &'static str {
    if value < low {
        words[0]
    } else if value < high {
        words[1]
    } else {
        words[2]
    }
}

fn brightness_phrase(level: f64) -> &'static str {
    match level {
        level if level >= MUCH_BRIGHTER => "much brighter than",
        level if level >= BRIGHT => "brighter than",
        level if level > -BRIGHT => "about as bright as",
        level if level > -MUCH_BRIGHTER => "darker than",
        _ => "much darker than",
    }
}

fn name(class: &ClassStatistics) -> String {
    format!("the {}", ClassName::parse(&class.class).to_phrase())
}

fn the(class: &ClassStatistics) -> String {
    format!("The {}", ClassName::parse(&class.class).to_phrase())
}

/// A number with about two significant digits.
fn rounded(value: f64) -> String {
    match value.abs() {
        size if size < 0.005 => "0".to_owned(),
        size if size >= 100.0 => format!("{:.0}", (value / 10.0).round() * 10.0),
        size if size >= 10.0 => format!("{value:.0}"),
        size if size >= 1.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}
