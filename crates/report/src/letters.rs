//! The six letters that say where in the body the edge of a picture points.

use image::{Rgb, RgbImage};

/// Pixels of the picture per dot of a letter.
const DOT: u32 = 2;

/// Width and height of a letter, in pixels of the picture.
pub(crate) const LETTER_SHAPE: [u32; 2] = [5 * DOT, 7 * DOT];

const INK: Rgb<u8> = Rgb([255, 255, 255]);
const SHADE: Rgb<u8> = Rgb([0, 0, 0]);

/// Draws one of `A`, `P`, `R`, `L`, `S`, `I` with its upper left corner at `left`, `top`; a dark rim
/// keeps it legible on a bright image. Other letters leave the picture as it is.
pub(crate) fn draw_letter(picture: &mut RgbImage, letter: char, [left, top]: [u32; 2]) {
    let rows = dots(letter);
    for (reach, color) in [(1, SHADE), (0, INK)] {
        for (row, bits) in (0..).zip(rows) {
            for column in (0..5).filter(|column| bits >> (4 - column) & 1 == 1) {
                let (x, y) = (left + column * DOT, top + row * DOT);
                for y in y.saturating_sub(reach)..(y + DOT + reach).min(picture.height()) {
                    for x in x.saturating_sub(reach)..(x + DOT + reach).min(picture.width()) {
                        picture.put_pixel(x, y, color);
                    }
                }
            }
        }
    }
}

/// Seven rows of five dots.
fn dots(letter: char) -> [u8; 7] {
    match letter {
        'A' => [0b01110, 0b10001, 0b10001, 0b11111, 0b10001, 0b10001, 0b10001],
        'P' => [0b11110, 0b10001, 0b10001, 0b11110, 0b10000, 0b10000, 0b10000],
        'R' => [0b11110, 0b10001, 0b10001, 0b11110, 0b10100, 0b10010, 0b10001],
        'L' => [0b10000, 0b10000, 0b10000, 0b10000, 0b10000, 0b10000, 0b11111],
        'S' => [0b01111, 0b10000, 0b10000, 0b01110, 0b00001, 0b00001, 0b11110],
        'I' => [0b01110, 0b00100, 0b00100, 0b00100, 0b00100, 0b00100, 0b01110],
        _ => [0; 7],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_covers_its_dots_and_no_more() {
        let mut picture = RgbImage::from_pixel(14, 18, Rgb([9, 9, 9]));
        draw_letter(&mut picture, 'L', [2, 2]);
        let ink = picture.pixels().filter(|&&pixel| pixel == INK).count() as u32;
        assert_eq!(ink, (7 + 4) * DOT * DOT); // seven dots down, four more along the foot
        assert_eq!(picture.get_pixel(2, 2), &INK);
        assert_eq!(picture.get_pixel(13, 2), &Rgb([9, 9, 9]));
    }

    #[test]
    fn a_letter_beyond_the_edge_is_cut() {
        draw_letter(&mut RgbImage::new(3, 3), 'A', [0, 0]);
        draw_letter(&mut RgbImage::new(3, 3), 'A', [50, 50]);
    }
}
