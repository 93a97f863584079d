//! Reorients volumes by flips and permutations of their axes.

use std::fmt::{self, Display, Formatter};
use std::str::FromStr;

use nalgebra::{Matrix3, Matrix4};
use ndarray::Axis;

use crate::{Grid, GridMismatch, Volume};

/// The letters of the positive ends of the world axes x, y, z.
const POSITIVE: [char; 3] = ['R', 'A', 'S'];
/// The letters of their negative ends.
const NEGATIVE: [char; 3] = ['L', 'P', 'I'];

/// Directions of the voxel axes as a three-letter code, one each of R or L, A or P, S or I.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Orientation([Direction; 3]);

/// One end of one world axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Direction {
    world_axis: usize,
    is_negative: bool,
}

/// Not a three-letter orientation code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid orientation code {0:?}: it needs one each of R or L, A or P, S or I, such as RAS")]
pub struct InvalidOrientation(String);

impl Orientation {
    /// x right, y anterior, z superior: the orientation of the world.
    pub const RAS: Self = Self([
        Direction { world_axis: 0, is_negative: false },
        Direction { world_axis: 1, is_negative: false },
        Direction { world_axis: 2, is_negative: false },
    ]);

    /// The closest orientation to the voxel axes of `grid`.
    ///
    /// As nibabel's `io_orientation`: spacing and shear are removed from the affine by a polar decomposition,
    /// then axes are matched greedily by the largest direction cosine.
    pub fn of(grid: &Grid) -> Self {
        let cosines = polar_rotation(grid);
        let cosine = |&(voxel_axis, world_axis): &(usize, usize)| cosines[(world_axis, voxel_axis)];
        let mut pairs: Vec<_> = (0..9).map(|pair| (pair / 3, pair % 3)).collect();
        pairs.sort_by(|a, b| cosine(b).abs().total_cmp(&cosine(a).abs()));

        let mut directions: [Option<Direction>; 3] = [None; 3];
        for pair @ (voxel_axis, world_axis) in pairs {
            let is_taken = directions.iter().flatten().any(|taken| taken.world_axis == world_axis);
            if directions[voxel_axis].is_none() && !is_taken {
                directions[voxel_axis] = Some(Direction { world_axis, is_negative: cosine(&pair) < 0.0 });
            }
        }
        Self(directions.map(|direction| direction.expect("nine pairs match all three axes")))
    }

    /// The world axis (0 to 2 for x, y, z) of each voxel axis.
    pub fn world_axes(self) -> [usize; 3] {
        self.0.map(|direction| direction.world_axis)
    }
}

impl Display for Orientation {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let letters = self.0.map(|end| if end.is_negative { NEGATIVE } else { POSITIVE }[end.world_axis]);
        f.pad(&String::from_iter(letters))
    }
}

impl FromStr for Orientation {
    type Err = InvalidOrientation;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let directions: Vec<_> = text.chars().filter_map(direction_of_letter).collect();
        let is_each_axis_once = (0..3).all(|axis| directions.iter().any(|end| end.world_axis == axis));
        match <[Direction; 3]>::try_from(directions) {
            Ok(directions) if is_each_axis_once && text.chars().count() == 3 => Ok(Self(directions)),
            _ => Err(InvalidOrientation(text.to_owned())),
        }
    }
}

/// Reorients `volume` to `orientation` by flips and permutations; every voxel keeps its value and its world
/// position. Oblique axes stay oblique.
pub fn reorient<T: Clone>(volume: &Volume<T>, orientation: Orientation) -> Volume<T> {
    let current = Orientation::of(volume.grid());
    let axes = orientation.0.map(|target| {
        let (source, direction) = (current.0.into_iter().enumerate())
            .find(|(_, direction)| direction.world_axis == target.world_axis)
            .expect("an orientation names every world axis");
        (source, direction.is_negative != target.is_negative)
    });
    permute_and_flip(volume, axes)
}

/// Reorients `volume` to the axis order and directions of `grid`, which must cover the same voxels: a lossless
/// alternative to resampling. The result is exactly on `grid`.
///
/// # Errors
///
/// When no flips and permutations lead to `grid`.
pub fn reorient_like<T: Clone>(volume: &Volume<T>, grid: &Grid) -> Result<Volume<T>, GridMismatch> {
    let to_source = grid.voxel_to_voxel(volume.grid());
    let axes: [(usize, bool); 3] = std::array::from_fn(|axis| {
        let column = to_source.fixed_view::<3, 1>(0, axis);
        let source = column.iamax();
        (source, column[source] < 0.0)
    });
    if (0..3).all(|source| axes.iter().any(|(axis, _)| *axis == source)) {
        let reoriented = permute_and_flip(volume, axes);
        reoriented.grid().ensure_matches(grid)?;
        return Ok(Volume::new(reoriented.into_voxels(), grid.clone()));
    }
    Err(GridMismatch { found: Box::new(volume.grid().clone()), expected: Box::new(grid.clone()) })
}

/// [`reorient_like`] by value: unchanged if `volume` is on `grid` already, or covers other voxels.
#[must_use]
pub fn reoriented_like<T: Clone>(volume: Volume<T>, grid: &Grid) -> Volume<T> {
    if volume.grid().approx_eq(grid) {
        return volume;
    }
    reorient_like(&volume, grid).unwrap_or(volume)
}

/// For each new axis the source axis, and whether it is flipped.
fn permute_and_flip<T: Clone>(volume: &Volume<T>, axes: [(usize, bool); 3]) -> Volume<T> {
    let shape = volume.grid().shape();
    let mut voxels = volume.voxels().view().permuted_axes(axes.map(|(source, _)| source));
    // New voxel index → source voxel index.
    let mut step = Matrix4::zeros();
    step[(3, 3)] = 1.0;
    for (axis, (source, is_flipped)) in axes.into_iter().enumerate() {
        step[(source, axis)] = 1.0;
        if is_flipped {
            voxels.invert_axis(Axis(axis));
            step[(source, axis)] = -1.0;
            step[(source, 3)] = shape[source] as f64 - 1.0;
        }
    }
    let grid = Grid::new(axes.map(|(source, _)| shape[source]), volume.grid().affine() * step);
    Volume::new(voxels.as_standard_layout().into_owned(), grid)
}

/// [`reorient`] to RAS: x right, y anterior, z superior.
pub fn to_ras<T: Clone>(volume: &Volume<T>) -> Volume<T> {
    reorient(volume, Orientation::RAS)
}

/// [`to_ras`] by value, without a copy if the volume is in RAS already.
pub fn into_ras<T: Clone>(volume: Volume<T>) -> Volume<T> {
    if Orientation::of(volume.grid()) == Orientation::RAS { volume } else { to_ras(&volume) }
}

/// The orthogonal matrix closest to the directions of the voxel axes.
fn polar_rotation(grid: &Grid) -> Matrix3<f64> {
    let mut directions: Matrix3<f64> = grid.affine().fixed_view::<3, 3>(0, 0).into_owned();
    for mut column in directions.column_iter_mut() {
        let length = column.norm();
        if length > 0.0 {
            column /= length;
        }
    }
    let svd = directions.svd(true, true);
    svd.u.expect("computed") * svd.v_t.expect("computed")
}

fn direction_of_letter(letter: char) -> Option<Direction> {
    let find = |letters: [char; 3]| letters.into_iter().position(|known| known == letter);
    let positive = find(POSITIVE).map(|world_axis| Direction { world_axis, is_negative: false });
    positive.or_else(|| find(NEGATIVE).map(|world_axis| Direction { world_axis, is_negative: true }))
}
