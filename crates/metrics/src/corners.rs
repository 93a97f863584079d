//! Surfaces as corners, where eight voxels meet, each with the area of the surface that runs between them.
//!
//! A corner's code has one bit per voxel, set inside the mask. Its area is that of the marching-cubes
//! surface between the centers of the eight voxels, which cuts each edge of that cube halfway. DeepMind's
//! surface-distance draws it around the set voxels when these are at most four, and around the others when
//! they are fewer; this makes a code and its complement agree.

use crate::classes::ClassIndices;
use crate::rows::Rows;
use crate::surface::Surfel;

/// The code of a corner inside the mask.
const INSIDE: usize = 255;

/// A point halfway along an edge of the cube, in half edges.
type Crossing = [u8; 3];

/// The corner codes' areas in mm² on a grid.
pub(crate) struct Areas([f64; INSIDE + 1]);

impl Areas {
    /// The areas on a grid of `spacing` mm.
    pub(crate) fn new(spacing: [f64; 3]) -> Self {
        Self(std::array::from_fn(|code| {
            let around = if code.count_ones() > 4 { INSIDE - code } else { code };
            let outlines = outlines(around);
            let triangles = outlines.iter().flat_map(|outline| triangles(outline));
            triangles.map(|triangle| area(triangle, spacing)).sum()
        }))
    }
}

/// The surface corners of all classes in the plane between the voxels at `x - 1` and `x`.
pub(crate) fn surface_corners(x: usize, rows: &Rows, classes: &ClassIndices, areas: &Areas) -> Vec<Surfel> {
    let [_, ny, nz] = rows.shape();
    let mut elements = Vec::new();
    for y in 0..=ny {
        let (left, behind) = (x.checked_sub(1), y.checked_sub(1));
        let columns = [(left, behind), (left, Some(y)), (Some(x), behind), (Some(x), Some(y))]
            .map(|(x, y)| rows.at(x, y));
        let mut below = [0; 4];
        for z in 0..=nz {
            let above = columns.map(|column| column.get(z).copied().unwrap_or(0));
            if above != below || above != [above[0]; 4] {
                let voxels: [u16; 8] =
                    std::array::from_fn(|bit| if bit % 2 == 0 { below[bit / 2] } else { above[bit / 2] });
                elements.extend(codes(voxels, classes).map(|(class_index, code)| Surfel {
                    class_index,
                    element: [x, y, z],
                    area: areas.0[code],
                }));
            }
            below = above;
        }
    }
    elements
}

/// The classes among the eight voxels around a corner, each with its code.
fn codes(voxels: [u16; 8], classes: &ClassIndices) -> impl Iterator<Item = (usize, usize)> {
    (0..8).filter_map(move |first| {
        let label = voxels[first];
        if label == 0 || voxels[..first].contains(&label) {
            return None;
        }
        let code = (first..8).filter(|&bit| voxels[bit] == label).map(|bit| 1 << bit).sum();
        Some((classes.of(label)?, code))
    })
}

/// The closed outlines in which the surface around the set corners of a cube meets its edges. Set corners
/// that meet only across a face stay apart.
fn outlines(code: usize) -> Vec<Vec<Crossing>> {
    let mut segments: Vec<(Crossing, Crossing)> = faces().iter().flat_map(|face| cuts(face, code)).collect();
    let mut outlines = Vec::new();
    while let Some((start, mut end)) = segments.pop() {
        let mut outline = vec![start];
        while end != start {
            let next = segments.iter().position(|(from, _)| *from == end).expect("outlines are closed");
            outline.push(end);
            end = segments.swap_remove(next).1;
        }
        outlines.push(outline);
    }
    outlines
}

/// The four corners of each face of the cube, counterclockwise seen from outside. Every edge is walked once
/// each way, so that the cuts of neighboring faces join end to start.
fn faces() -> [[[u8; 3]; 4]; 6] {
    std::array::from_fn(|face| {
        let (axis, side) = (face / 2, (face % 2) as u8);
        let mut corners = [(0, 0), (1, 0), (1, 1), (0, 1)].map(|(u, v)| {
            let mut corner = [side; 3];
            corner[(axis + 1) % 3] = u;
            corner[(axis + 2) % 3] = v;
            corner
        });
        if side == 0 {
            corners.reverse();
        }
        corners
    })
}

/// The segments that cut each run of set corners off a face.
fn cuts(face: &[[u8; 3]; 4], code: usize) -> Vec<(Crossing, Crossing)> {
    let is_set = |at: usize| {
        let [x, y, z] = face[at % 4].map(usize::from);
        code & (1 << (4 * x + 2 * y + z)) != 0
    };
    let crossing = |at: usize| -> Crossing {
        let (a, b) = (face[at % 4], face[(at + 1) % 4]);
        std::array::from_fn(|axis| a[axis] + b[axis])
    };
    let enters = (0..4).filter(|&at| !is_set(at) && is_set(at + 1));
    enters
        .map(|enter| {
            let leave =
                (enter + 1..enter + 4).find(|&at| !is_set(at + 1)).expect("the run ends where it began");
            (crossing(enter), crossing(leave))
        })
        .collect()
}

/// Cuts an outline into the triangles that have the largest area on a cube, the choice of the published
/// table: outlines of five and six points need not be flat.
fn triangles(outline: &[Crossing]) -> Vec<[Crossing; 3]> {
    let cube_area = |triangles: &[[Crossing; 3]]| -> f64 {
        triangles.iter().map(|triangle| area(*triangle, [1.0; 3])).sum()
    };
    let [first, middle @ .., last] = outline else { return Vec::new() };
    (1..=middle.len())
        .map(|apex| {
            let mut triangles = vec![[*first, outline[apex], *last]];
            triangles.extend(self::triangles(&outline[..=apex]));
            triangles.extend(self::triangles(&outline[apex..]));
            triangles
        })
        .max_by(|a, b| cube_area(a).total_cmp(&cube_area(b)))
        .unwrap_or_default()
}

fn area(triangle: [Crossing; 3], spacing: [f64; 3]) -> f64 {
    let [a, b, c] =
        triangle.map(|crossing| [0, 1, 2].map(|axis| f64::from(crossing[axis]) / 2.0 * spacing[axis]));
    let (u, v) = ([0, 1, 2].map(|axis| b[axis] - a[axis]), [0, 1, 2].map(|axis| c[axis] - a[axis]));
    let normal = [u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]];
    normal.iter().map(|component| component * component).sum::<f64>().sqrt() / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPACING: [f64; 3] = [0.7, 0.9, 2.5];
    /// A few f64 operations on numbers near 1.
    const ROUNDING: f64 = 1e-12;

    #[track_caller]
    fn assert_close(found: f64, expected: f64) {
        assert!((found - expected).abs() <= ROUNDING, "expected {expected}, found {found}");
    }

    #[test]
    fn a_code_and_its_complement_have_one_area() {
        let Areas(areas) = Areas::new(SPACING);
        for code in 0..=INSIDE {
            assert_close(areas[code], areas[INSIDE - code]);
        }
    }

    #[test]
    fn only_corners_inside_or_outside_have_no_area() {
        let Areas(areas) = Areas::new(SPACING);
        let without: Vec<usize> = (0..=INSIDE).filter(|&code| areas[code] == 0.0).collect();
        assert_eq!(without, [0, INSIDE]);
    }

    #[test]
    fn one_voxel_cuts_off_a_triangle_between_three_half_edges() {
        // An equilateral triangle of side √½ has the area √3/8.
        assert_close(Areas::new([1.0; 3]).0[0b1], 3.0_f64.sqrt() / 8.0);
    }

    #[test]
    fn four_voxels_of_a_face_are_bounded_by_a_plane() {
        let [x, y, z] = SPACING;
        let Areas(areas) = Areas::new(SPACING);
        assert_close(areas[0b1111_0000], y * z);
        assert_close(areas[0b1100_1100], x * z);
        assert_close(areas[0b1010_1010], x * y);
    }

    #[test]
    fn voxels_that_meet_only_across_a_face_or_the_cube_stay_apart() {
        let Areas(areas) = Areas::new(SPACING);
        for code in [0b0000_1001, 0b1000_0001] {
            assert_close(areas[code], 2.0 * areas[0b1]);
        }
    }

    #[test]
    fn an_l_of_three_voxels_has_the_larger_of_its_areas() {
        // Of the five points three form a triangle parallel to the face, of area ½; the other four of its
        // neighbors form a trapezoid of sides √2 and √½, √(⅛ + ¼) apart. Cuts across the crease between
        // triangle and trapezoid have less area.
        let trapezoid = f64::midpoint(2.0_f64.sqrt(), 0.5_f64.sqrt()) * 0.375_f64.sqrt();
        let by_hand = 0.5 + trapezoid;
        assert_close(Areas::new([1.0; 3]).0[0b0001_0101], by_hand);
    }

    #[test]
    fn areas_turn_with_the_cube() {
        // Swapping x and z swaps the bits 1 ↔ 4 and 3 ↔ 6, and the spacing with them.
        let swapped = |code: usize| {
            (0..8)
                .filter(|bit| code & (1 << bit) != 0)
                .map(|bit| [1, 16, 4, 64, 2, 32, 8, 128][bit])
                .sum::<usize>()
        };
        let (Areas(areas), Areas(turned)) = (Areas::new(SPACING), Areas::new([2.5, 0.9, 0.7]));
        for code in 0..=INSIDE {
            assert_close(areas[code], turned[swapped(code)]);
        }
    }
}
