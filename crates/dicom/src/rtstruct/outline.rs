//! The outline of a mask in one slice, as polygons without holes.
//!
//! Marching squares at ½ put every vertex half-way between the center of a pixel inside and one outside, so a test of
//! pixel centers gives the mask back. A hole is joined to its outline by a channel without width ("keyhole"), as
//! PS3.3, C.8.8.6.3 has it.

use contour::ContourBuilder;

/// A point in pixels: column and row, whole numbers at centers.
pub(super) type Point = [f64; 2];

/// Where the library has the center of the first pixel.
const CENTER: f64 = 0.5;

/// Closed polygons around the pixels that are inside; `mask` has rows after each other.
pub(super) fn outlines(mask: &[bool], [columns, rows]: [usize; 2]) -> Vec<Vec<Point>> {
    let values: Vec<f64> = mask.iter().map(|is_inside| f64::from(u8::from(*is_inside))).collect();
    let contours = ContourBuilder::new(columns, rows, false).contours(&values, &[0.5]).unwrap_or_default();
    let polygons = contours.into_iter().flat_map(|contour| contour.into_inner().0.0);
    polygons
        .map(|polygon| {
            let (outer, holes) = polygon.into_inner();
            let corners = |ring: &[geo_types::Coord]| {
                corners(ring.iter().map(|at| [at.x - CENTER, at.y - CENTER]).collect())
            };
            with_keyholes(corners(&outer.0), holes.iter().map(|hole| corners(&hole.0)).collect())
        })
        .filter(|polygon| polygon.len() > 2)
        .collect()
}

/// The vertices of a ring, each once, without those on a straight line.
fn corners(mut points: Vec<Point>) -> Vec<Point> {
    if points.len() > 1 && points.first() == points.last() {
        points.pop();
    }
    let count = points.len();
    let is_corner = |index: usize| {
        let [a, b, c] = [points[(index + count - 1) % count], points[index], points[(index + 1) % count]];
        ((b[0] - a[0]) * (c[1] - b[1]) - (b[1] - a[1]) * (c[0] - b[0])).abs() > 1e-9
    };
    (0..count).filter(|index| is_corner(*index)).map(|index| points[index]).collect()
}

/// One polygon: each hole is entered and left along the row of its rightmost vertex.
fn with_keyholes(mut outline: Vec<Point>, mut holes: Vec<Vec<Point>>) -> Vec<Point> {
    let rightmost = |ring: &[Point]| {
        let mut best = 0;
        for (index, point) in ring.iter().enumerate() {
            if point[0] > ring[best][0] {
                best = index;
            }
        }
        best
    };
    holes.retain(|hole| !hole.is_empty());
    // A hole on the right may be hit by the ray of one on its left.
    holes.sort_by(|a, b| b[rightmost(b)][0].total_cmp(&a[rightmost(a)][0]));
    for hole in holes {
        let start = rightmost(&hole);
        let from = hole[start];
        let Some((edge, hit)) = first_edge_to_the_right(&outline, from) else { continue };
        let mut joined = outline[..=edge].to_vec();
        joined.push(hit);
        joined.extend((0..=hole.len()).map(|step| hole[(start + step) % hole.len()]));
        joined.push(hit);
        joined.extend_from_slice(&outline[edge + 1..]);
        outline = joined;
    }
    outline
}

/// The edge that a ray along the row meets first, by the index of its first vertex, and where.
fn first_edge_to_the_right(outline: &[Point], [x, y]: Point) -> Option<(usize, Point)> {
    let hits = (0..outline.len()).filter_map(|index| {
        let [a, b] = [outline[index], outline[(index + 1) % outline.len()]];
        if (a[1] > y) == (b[1] > y) {
            return None;
        }
        let at = a[0] + (y - a[1]) / (b[1] - a[1]) * (b[0] - a[0]);
        (at > x).then_some((index, [at, y]))
    });
    hits.min_by(|a, b| a.1[0].total_cmp(&b.1[0]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtstruct::raster::fill;

    fn mask(rows: &[&str]) -> (Vec<bool>, [usize; 2]) {
        (rows.concat().chars().map(|c| c == '#').collect(), [rows[0].len(), rows.len()])
    }

    #[test]
    fn outlines_give_their_mask_back_with_holes_and_pieces() {
        let drawings: [&[&str]; 5] = [
            &["....", ".##.", ".#..", "...."],
            // Holes side by side, and one in a hole's island.
            &[
                "#########",
                "#..#.#..#",
                "#..#.#.##",
                "####.####",
                "#.......#",
                "#.#####.#",
                "#.#...#.#",
                "#.#.#.#.#",
                "#.#####.#",
                "#.......#",
                "#########",
            ],
            &["#.#", ".#.", "#.#"],
            &["#"],
            &["###", "#.#", "###"],
        ];
        for rows in drawings {
            let (mask, size) = mask(rows);
            let outlines = outlines(&mask, size);
            assert_eq!(fill(&outlines, size), mask, "{rows:?}");
            // Each polygon by itself is a piece without holes: a union gives the same.
            let mut union = vec![false; mask.len()];
            for outline in &outlines {
                let piece = fill(std::slice::from_ref(outline), size);
                union.iter_mut().zip(piece).for_each(|(all, one)| *all |= one);
            }
            assert_eq!(union, mask, "{rows:?}");
        }
    }

    #[test]
    fn an_empty_mask_has_no_outline() {
        assert!(outlines(&[false; 6], [3, 2]).is_empty());
    }
}
