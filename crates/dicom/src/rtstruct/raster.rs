//! Polygons into pixels.

use super::outline::Point;

/// The pixels whose centers are inside, by the even-odd rule over all polygons: a polygon in another is a hole. A center
/// on an edge is inside if the edge is on its left or above, so that polygons side by side share no pixel.
pub(super) fn fill(polygons: &[Vec<Point>], [columns, rows]: [usize; 2]) -> Vec<bool> {
    let mut inside = vec![false; columns * rows];
    let mut crossings: Vec<f64> = Vec::new();
    for row in 0..rows {
        let y = row as f64;
        crossings.clear();
        for polygon in polygons {
            for (index, a) in polygon.iter().enumerate() {
                let b = polygon[(index + 1) % polygon.len()];
                if (a[1] <= y) != (b[1] <= y) {
                    crossings.push(a[0] + (y - a[1]) / (b[1] - a[1]) * (b[0] - a[0]));
                }
            }
        }
        crossings.sort_by(f64::total_cmp);
        for pair in crossings.chunks_exact(2) {
            let first = pair[0].ceil().max(0.0) as usize;
            let end = (pair[1].ceil().max(0.0) as usize).min(columns);
            if first < end {
                inside[row * columns + first..row * columns + end]
                    .iter_mut()
                    .for_each(|pixel| *pixel = !*pixel);
            }
        }
    }
    inside
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn centers_are_tested_and_shared_edges_belong_to_one_side() {
        let square = |left: f64, right: f64| vec![[left, -0.5], [right, -0.5], [right, 1.0], [left, 1.0]];
        // Columns 1 and 2 of row 0; row 1 is the lower edge, outside.
        assert_eq!(fill(&[square(1.0, 3.0)], [4, 2]), [false, true, true, false, false, false, false, false]);
        let both = fill(&[square(0.0, 2.0), square(2.0, 4.0)], [4, 2]);
        assert_eq!(both[..4], [true; 4]);
    }

    #[test]
    fn a_polygon_in_another_is_a_hole() {
        let square = |low: f64, high: f64| vec![[low, low], [high, low], [high, high], [low, high]];
        let filled = fill(&[square(-0.5, 4.5), square(0.5, 3.5)], [5, 5]);
        assert_eq!(filled.iter().filter(|pixel| **pixel).count(), 25 - 9);
    }
}
