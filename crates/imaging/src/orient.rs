//! Flips and permutes axes to RAS, or to any other orientation, and back.

use std::fmt::{self, Display, Formatter};
use std::str::FromStr;

use nalgebra::{Matrix3, Matrix4};
use ndarray::Axis;

use crate::{Grid, Volume};

/// The letters of the positive ends of the world axes x, y, z.
const POSITIVE: [char; 3] = ['R', 'A', 'S'];
/// The letters of their negative ends.
const NEGATIVE: [char; 3] = ['L', 'P', 'I'];

/// Where the three voxel axes point: three letters, one each of R or L, A or P, S or I.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Orientation([Direction; 3]);

/// One end of one world axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Direction {
    world_axis: usize,
    is_negative: bool,
}

/// A text that is not an orientation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected three letters such as RAS, one each of R or L, A or P, S or I, found {0:?}")]
pub struct InvalidOrientation(String);

impl Orientation {
    /// x right, y anterior, z superior: the orientation of the world.
    pub const RAS: Self = Self([
        Direction { world_axis: 0, is_negative: false },
        Direction { world_axis: 1, is_negative: false },
        Direction { world_axis: 2, is_negative: false },
    ]);

    /// The orientation closest to the voxel axes of `grid`.
    ///
    /// As nibabel does, the affine is first freed of spacing and shear; what is left says how far each
    /// voxel axis runs along each world axis. The pair with the largest share is matched first.
    pub fn of(grid: &Grid) -> Self {
        let shares = polar_rotation(grid);
        let share = |&(voxel_axis, world_axis): &(usize, usize)| shares[(world_axis, voxel_axis)];
        let mut pairs: Vec<_> = (0..9).map(|pair| (pair / 3, pair % 3)).collect();
        pairs.sort_by(|a, b| share(b).abs().total_cmp(&share(a).abs()));

        let mut directions: [Option<Direction>; 3] = [None; 3];
        for pair @ (voxel_axis, world_axis) in pairs {
            let is_taken = directions.iter().flatten().any(|taken| taken.world_axis == world_axis);
            if directions[voxel_axis].is_none() && !is_taken {
                directions[voxel_axis] = Some(Direction { world_axis, is_negative: share(&pair) < 0.0 });
            }
        }
        Self(directions.map(|direction| direction.expect("nine pairs match all three axes")))
    }

    /// The world axis, 0 to 2 for x, y, z, that each voxel axis runs along.
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

/// Turns the voxel axes to the nearest `orientation` by flips and permutations alone: every voxel keeps
/// its value and its place in the world.
pub fn reorient<T: Clone>(volume: &Volume<T>, orientation: Orientation) -> Volume<T> {
    let present = Orientation::of(volume.grid());
    let shape = volume.grid().shape();
    // Column k says where the new voxel axis k runs among the present ones.
    let mut step = Matrix4::zeros();
    step[(3, 3)] = 1.0;
    let mut order = [0; 3];
    let mut flipped = Vec::new();
    for (new_axis, wanted) in orientation.0.into_iter().enumerate() {
        let (axis, end) = (present.0.into_iter().enumerate())
            .find(|(_, end)| end.world_axis == wanted.world_axis)
            .expect("an orientation names every world axis");
        order[new_axis] = axis;
        if end.is_negative == wanted.is_negative {
            step[(axis, new_axis)] = 1.0;
        } else {
            flipped.push(Axis(new_axis));
            step[(axis, new_axis)] = -1.0;
            step[(axis, 3)] = shape[axis] as f64 - 1.0;
        }
    }

    let mut voxels = volume.voxels().view().permuted_axes(order);
    for axis in flipped {
        voxels.invert_axis(axis);
    }
    let grid = Grid::new(order.map(|axis| shape[axis]), volume.grid().affine() * step);
    Volume::new(voxels.as_standard_layout().into_owned(), grid)
}

/// Turns the voxel axes to RAS: x right, y anterior, z superior, as closely as flips and permutations can.
pub fn to_ras<T: Clone>(volume: &Volume<T>) -> Volume<T> {
    reorient(volume, Orientation::RAS)
}

/// [`to_ras`] of a volume that is needed no more: one that is in RAS already is given back as it is.
pub fn into_ras<T: Clone>(volume: Volume<T>) -> Volume<T> {
    if Orientation::of(volume.grid()) == Orientation::RAS { volume } else { to_ras(&volume) }
}

/// The rotation (or reflection) nearest to the voxel axes' directions.
fn polar_rotation(grid: &Grid) -> Matrix3<f64> {
    let mut directions: Matrix3<f64> = grid.affine().fixed_view::<3, 3>(0, 0).into_owned();
    for mut column in directions.column_iter_mut() {
        let length = column.norm();
        if length > 0.0 {
            column /= length;
        }
    }
    let svd = directions.svd(true, true);
    svd.u.expect("u was asked for") * svd.v_t.expect("v was asked for")
}

fn direction_of_letter(letter: char) -> Option<Direction> {
    let find = |letters: [char; 3]| letters.into_iter().position(|known| known == letter);
    let positive = find(POSITIVE).map(|world_axis| Direction { world_axis, is_negative: false });
    positive.or_else(|| find(NEGATIVE).map(|world_axis| Direction { world_axis, is_negative: true }))
}
