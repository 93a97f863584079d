//! Surfaces as surfels: the corners where eight voxels meet, weighted by marching-cubes areas.
//!
//! Follows DeepMind's surface-distance. The neighbor code of a corner has one bit per voxel, set inside the mask. Its
//! area is that of the marching-cubes surface between the centers of the eight voxels, which cuts each edge of that cube
//! halfway. The surface encloses whichever of set and unset voxels are fewer, the set ones if four, so that a code and
//! its complement have the same area.

use crate::class_index::ClassIndex;
use crate::planes::{PlaneWindow, is_background};
use crate::surface::SurfaceElement;

/// The neighbor code of a corner inside the mask.
const INSIDE: usize = 255;

/// The midpoint of an edge of the cube, in units of half an edge.
type Crossing = [u8; 3];

/// Surfel area in mm² by neighbor code.
pub(crate) struct SurfelAreas([f64; INSIDE + 1]);

impl SurfelAreas {
    /// For a grid with `spacing` in mm.
    pub(crate) fn new(spacing: [f64; 3]) -> Self {
        Self(std::array::from_fn(|code| {
            let enclosed = if code.count_ones() > 4 { INSIDE - code } else { code };
            let outlines = outlines(enclosed);
            let triangles = outlines.iter().flat_map(|outline| triangles(outline));
            triangles.map(|triangle| area(triangle, spacing)).sum()
        }))
    }
}

/// The surfels of all classes between a plane and the one before.
pub(crate) fn surfels(
    planes: &PlaneWindow<'_>,
    classes: &ClassIndex,
    areas: &SurfelAreas,
) -> Vec<SurfaceElement> {
    let [ny, _] = planes.shape();
    let mut elements = Vec::new();
    let (mut across, mut corners) = (Vec::new(), Vec::new());
    for y in 0..=ny {
        let rows = [(0, y.checked_sub(1)), (0, Some(y)), (1, y.checked_sub(1)), (1, Some(y))]
            .map(|(dx, y)| planes.row(dx, y));
        if rows.into_iter().all(is_background) {
            continue;
        }
        differences(rows, &mut across, &mut corners);
        for (z, _) in corners.iter().enumerate().filter(|(_, difference)| **difference != 0) {
            let voxels: [u16; 8] = std::array::from_fn(|bit| {
                let z = if bit % 2 == 0 { z.checked_sub(1) } else { Some(z) };
                z.and_then(|z| rows[bit / 2].get(z)).copied().unwrap_or(0)
            });
            elements.extend(neighbor_codes(voxels, classes).map(|(class_index, code)| SurfaceElement {
                class_index: class_index as u16,
                index: [planes.x, y, z].map(|index| index as u32),
                weight: areas.0[code],
            }));
        }
    }
    elements
}

/// Fills `corners` with a number per corner along z that is 0 where its eight voxels are equal. `across` is scratch: the
/// same of the four voxels with one z. Both loops are read a vector at a time.
fn differences(rows: [&[u16]; 4], across: &mut Vec<u16>, corners: &mut Vec<u16>) {
    let [a, b, c, d] = rows;
    across.clear();
    across.extend(a.iter().zip(b).zip(c).zip(d).map(|(((a, b), c), d)| (a ^ b) | (a ^ c) | (a ^ d)));
    corners.clear();
    corners.extend(across.first().zip(a.first()).map(|(across, a)| across | a));
    let pairs = across.iter().zip(&across[1..]).zip(a.iter().zip(&a[1..]));
    corners.extend(pairs.map(|((before, after), (a, next))| before | after | (a ^ next)));
    corners.extend(across.last().zip(a.last()).map(|(across, a)| across | a));
}

/// The classes of the eight voxels around a corner, each with its neighbor code.
fn neighbor_codes(voxels: [u16; 8], classes: &ClassIndex) -> impl Iterator<Item = (usize, usize)> {
    (0..8).filter_map(move |first| {
        let label = voxels[first];
        if label == 0 || voxels[..first].contains(&label) {
            return None;
        }
        let code = (first..8).filter(|&bit| voxels[bit] == label).map(|bit| 1 << bit).sum();
        Some((classes.get(label)?, code))
    })
}

/// The closed polygons in which the surface around the set corners of a cube intersects its edges. Set corners that are
/// diagonal neighbors on a face are not connected.
fn outlines(code: usize) -> Vec<Vec<Crossing>> {
    let mut segments: Vec<(Crossing, Crossing)> =
        faces().iter().flat_map(|face| separating_segments(face, code)).collect();
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

/// The four corners of each face of the cube, counterclockwise seen from outside. Every edge is traversed once in each
/// direction, so segments of adjacent faces connect end to start.
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

/// The segments that separate each run of set corners from the rest of a face.
fn separating_segments(face: &[[u8; 3]; 4], code: usize) -> Vec<(Crossing, Crossing)> {
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

/// Triangulates an outline with the largest total area on a unit cube, as the published table does; outlines of five and
/// six points need not be planar.
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
    fn a_code_and_its_complement_have_the_same_area() {
        let SurfelAreas(areas) = SurfelAreas::new(SPACING);
        for code in 0..=INSIDE {
            assert_close(areas[code], areas[INSIDE - code]);
        }
    }

    #[test]
    fn only_corners_inside_or_outside_have_zero_area() {
        let SurfelAreas(areas) = SurfelAreas::new(SPACING);
        let without: Vec<usize> = (0..=INSIDE).filter(|&code| areas[code] == 0.0).collect();
        assert_eq!(without, [0, INSIDE]);
    }

    #[test]
    fn one_voxel_cuts_off_a_triangle_between_three_half_edges() {
        // An equilateral triangle of side √½ has the area √3/8.
        assert_close(SurfelAreas::new([1.0; 3]).0[0b1], 3.0_f64.sqrt() / 8.0);
    }

    #[test]
    fn four_voxels_of_a_face_are_bounded_by_a_plane() {
        let [x, y, z] = SPACING;
        let SurfelAreas(areas) = SurfelAreas::new(SPACING);
        assert_close(areas[0b1111_0000], y * z);
        assert_close(areas[0b1100_1100], x * z);
        assert_close(areas[0b1010_1010], x * y);
    }

    #[test]
    fn diagonal_voxels_are_not_connected() {
        let SurfelAreas(areas) = SurfelAreas::new(SPACING);
        for code in [0b0000_1001, 0b1000_0001] {
            assert_close(areas[code], 2.0 * areas[0b1]);
        }
    }

    #[test]
    fn an_l_of_three_voxels_has_the_larger_of_its_areas() {
        // Of the five points three form a triangle parallel to the face, of area ½; the other four form a
        // trapezoid of sides √2 and √½, √(⅛ + ¼) apart. Triangulations across the crease have less area.
        let trapezoid = f64::midpoint(2.0_f64.sqrt(), 0.5_f64.sqrt()) * 0.375_f64.sqrt();
        let by_hand = 0.5 + trapezoid;
        assert_close(SurfelAreas::new([1.0; 3]).0[0b0001_0101], by_hand);
    }

    #[test]
    fn areas_are_invariant_to_swapping_axes() {
        // Swapping x and z swaps the bits 1 ↔ 4 and 3 ↔ 6, and the spacing with them.
        let swapped = |code: usize| {
            (0..8)
                .filter(|bit| code & (1 << bit) != 0)
                .map(|bit| [1, 16, 4, 64, 2, 32, 8, 128][bit])
                .sum::<usize>()
        };
        let (SurfelAreas(areas), SurfelAreas(turned)) =
            (SurfelAreas::new(SPACING), SurfelAreas::new([2.5, 0.9, 0.7]));
        for code in 0..=INSIDE {
            assert_close(areas[code], turned[swapped(code)]);
        }
    }
}
