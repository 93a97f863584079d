//! The legend of an overlay: a colored square and the name of each class.

use bipvl_imaging::LabelClass;

use crate::{palette, svg::text_element};

/// Pixels before the first entry.
const LEFT: usize = 4;
/// Pixels between the square and the name.
const SWATCH_GAP: usize = 2;
/// Pixels between two entries.
const ENTRY_GAP: usize = 16;
/// Approximate width of a character in units of the font size.
const CHARACTER_WIDTH: f64 = 0.6;

/// Class names from left to right, wrapped.
pub(crate) struct Legend<'a> {
    entries: Vec<Entry<'a>>,
    /// Number of rows.
    pub(crate) rows: usize,
    font_size: usize,
}

struct Entry<'a> {
    class_index: usize,
    name: &'a str,
    x: usize,
    row: usize,
}

impl<'a> Legend<'a> {
    /// Arranges the names in rows of `width` pixels.
    pub(crate) fn new(classes: &'a [LabelClass], width: usize, font_size: usize) -> Self {
        let (mut x, mut row) = (LEFT, 0);
        let mut entries = Vec::with_capacity(classes.len());
        for (class_index, LabelClass { name, .. }) in classes.iter().enumerate() {
            let characters = name.chars().count() as f64;
            let name_width = (characters * CHARACTER_WIDTH * font_size as f64) as usize;
            let entry_width = font_size + SWATCH_GAP + name_width + ENTRY_GAP;
            if x > LEFT && x + entry_width > width {
                (x, row) = (LEFT, row + 1);
            }
            entries.push(Entry { class_index, name, x, row });
            x += entry_width;
        }
        let rows = if classes.is_empty() { 0 } else { row + 1 };
        Self { entries, rows, font_size }
    }

    /// The entries as SVG; `baseline` is the y coordinate of the text of a row.
    pub(crate) fn svg(&self, baseline: impl Fn(usize) -> usize) -> String {
        let entry = |Entry { class_index, name, x, row }: &Entry| {
            let y = baseline(*row);
            let swatch = format!(" fill=\"{}\"", palette::hex(*class_index));
            let name = text_element([x + self.font_size + SWATCH_GAP, y], "", name);
            text_element([*x, y], &swatch, "■") + &name
        };
        self.entries.iter().map(entry).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_legend_is_wrapped() {
        let class = |index: u16| LabelClass::new(format!("some structure {index}"), vec![index]);
        let classes: Vec<LabelClass> = (1..=10).map(class).collect();
        let legend = Legend::new(&classes, 500, 14);
        assert!(legend.rows > 1 && legend.rows < 10, "{}", legend.rows);
        assert_eq!(legend.entries.last().unwrap().row, legend.rows - 1);
        assert!(legend.entries.iter().all(|entry| entry.x < 500));
        assert_eq!(Legend::new(&[], 500, 14).rows, 0);
    }
}
