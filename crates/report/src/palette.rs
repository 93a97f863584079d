//! Class colors, shared by curves, overlays and tables.

/// The color-blind safe palette of Okabe and Ito without black and yellow, which lack contrast on gray images or white
/// pages; neighbors also differ in lightness.
const HUES: [[u8; 3]; 6] =
    [[230, 159, 0], [0, 114, 178], [0, 158, 115], [213, 94, 0], [86, 180, 233], [204, 121, 167]];

/// Line style of the first, second, third and fourth cycle through the hues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stroke {
    /// First cycle.
    Solid,
    /// Second cycle; darker.
    Dashed,
    /// Third cycle; lighter.
    Dotted,
    /// Fourth cycle; less saturated.
    LongDashed,
}

/// RGB color of a class index.
pub(crate) fn color(class_index: usize) -> [u8; 3] {
    let hue = HUES[class_index % HUES.len()];
    match stroke(class_index) {
        Stroke::Solid => hue,
        Stroke::Dashed => hue.map(|channel| (f32::from(channel) * 0.6) as u8),
        Stroke::Dotted => hue.map(|channel| 255 - (f32::from(255 - channel) * 0.6) as u8),
        Stroke::LongDashed => hue.map(|channel| channel / 2 + 64),
    }
}

/// Line style of a class index; color and style are unique among the first 24.
pub(crate) fn stroke(class_index: usize) -> Stroke {
    match class_index / HUES.len() % 4 {
        0 => Stroke::Solid,
        1 => Stroke::Dashed,
        2 => Stroke::Dotted,
        _ => Stroke::LongDashed,
    }
}

/// Color of a class index as `#rrggbb`.
pub(crate) fn hex(class_index: usize) -> String {
    let [red, green, blue] = color(class_index);
    format!("#{red:02x}{green:02x}{blue:02x}")
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn twenty_four_classes_have_twenty_four_colors() {
        let colors: HashSet<_> = (0..24).map(color).collect();
        assert_eq!(colors.len(), 24);
        assert_eq!(color(24), color(0));
    }

    #[test]
    fn a_color_is_written_as_six_hexadecimal_digits() {
        assert_eq!(hex(0), "#e69f00");
    }
}
