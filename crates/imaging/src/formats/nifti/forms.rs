//! qform and sform: the two transforms of a NIfTI header.

use std::path::Path;

use nalgebra::{Matrix3, Quaternion, Rotation3, UnitQuaternion, Vector3};

use crate::formats::Format;
use crate::{Affine, Error, Grid, Result};

/// Excess over 1 of the squared norm of a quaternion's vector part that counts as float32 rounding.
const QUATERNION_TOLERANCE: f64 = 3e-7;
/// Code of an sform that this crate makes: aligned to another file.
const ALIGNED: i16 = 2;

/// qform and sform of a NIfTI header, in mm, for copying to files on the same grid.
///
/// Programs choose differently between the two (nibabel the sform, ITK depending on both), so a mask is only placed
/// like its scan everywhere when it has both.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NiftiForms {
    /// Code of the qform: 0 unset, 1 scanner, 2 aligned, 3 Talairach, 4 MNI 152, 5 other template.
    pub qform_code: i16,
    /// Code of the sform.
    pub sform_code: i16,
    /// `pixdim[0]`, the handedness of the qform (1 or −1), and the spacing.
    pub pixdim: [f64; 4],
    /// `quatern_b`, `quatern_c`, `quatern_d`.
    pub quaternion: [f64; 3],
    /// `qoffset_x`, `qoffset_y`, `qoffset_z`.
    pub qoffset: [f64; 3],
    /// `srow_x`, `srow_y`, `srow_z`.
    pub srow: [[f64; 4]; 3],
}

impl NiftiForms {
    /// An sform of `affine`, beside an unset qform with the nearest rotation.
    pub(super) fn of_affine(affine: &Affine) -> Self {
        let mut directions: Matrix3<f64> = affine.fixed_view::<3, 3>(0, 0).into_owned();
        let mut spacing = [0.0; 3];
        for (axis, mut column) in directions.column_iter_mut().enumerate() {
            spacing[axis] = column.norm();
            column /= spacing[axis];
        }
        let qfac = if directions.determinant() > 0.0 { 1.0 } else { -1.0 };
        directions.column_mut(2).scale_mut(qfac);
        let svd = directions.svd(true, true);
        let rotation = svd.u.expect("computed") * svd.v_t.expect("computed");
        let quaternion = UnitQuaternion::from_rotation_matrix(&Rotation3::from_matrix_unchecked(rotation));
        let sign = if quaternion.w < 0.0 { -1.0 } else { 1.0 };
        let [dx, dy, dz] = spacing;
        Self {
            qform_code: 0,
            sform_code: ALIGNED,
            pixdim: [qfac, dx, dy, dz],
            quaternion: [quaternion.i, quaternion.j, quaternion.k].map(|part| part * sign),
            qoffset: std::array::from_fn(|axis| affine[(axis, 3)]),
            srow: std::array::from_fn(|row| std::array::from_fn(|column| affine[(row, column)])),
        }
    }

    /// Whether a reader that prefers the sform finds `grid`.
    pub(super) fn describe(&self, grid: &Grid) -> bool {
        let affine = self.affine(Path::new(""), grid.shape());
        affine.is_ok_and(|affine| Grid::new(grid.shape(), affine).approx_eq(grid))
    }

    /// The affine: that of the sform if its code is positive, else of the qform if its code is, else that of the
    /// spacing alone (with x to the left and the origin at the center), as nibabel chooses.
    pub(super) fn affine(&self, path: &Path, shape: [usize; 3]) -> Result<Affine> {
        if self.sform_code > 0 {
            return Ok(Affine::from_fn(|row, column| match self.srow.get(row) {
                Some(values) => values[column],
                None => f64::from(u8::from(column == 3)),
            }));
        }
        let spacing = std::array::from_fn(|axis| self.pixdim[axis + 1].abs());
        if let Some(axis) = spacing.iter().position(|mm| *mm == 0.0) {
            return Err(Error::ZeroSpacing { path: path.to_owned(), axis });
        }
        if self.qform_code > 0 {
            return self.qform_affine(path, spacing);
        }
        let [x, y, z] = spacing;
        let mut affine = Affine::from_diagonal(&[-x, y, z, 1.0].into());
        for axis in 0..3 {
            affine[(axis, 3)] = -(shape[axis] as f64 - 1.0) / 2.0 * affine[(axis, axis)];
        }
        Ok(affine)
    }

    /// NIfTI-1 standard, "method 2".
    fn qform_affine(&self, path: &Path, [dx, dy, dz]: [f64; 3]) -> Result<Affine> {
        let [b, c, d] = self.quaternion;
        let norm = b * b + c * c + d * d;
        if norm.is_nan() || norm > 1.0 + QUATERNION_TOLERANCE {
            let value = format!("{:?}", self.quaternion);
            return Err(Format::Nifti.invalid(
                path,
                "quatern_b, c, d",
                value,
                "the vector part of a unit quaternion",
            ));
        }
        let quaternion = Quaternion::new((1.0 - norm).max(0.0).sqrt(), b, c, d);
        let scale = Matrix3::from_diagonal(&Vector3::new(dx, dy, dz * self.pixdim[0]));
        let mut affine = Affine::identity();
        affine.fixed_view_mut::<3, 3>(0, 0).copy_from(&(rotation(quaternion) * scale));
        affine.fixed_view_mut::<3, 1>(0, 3).copy_from_slice(&self.qoffset);
        Ok(affine)
    }
}

/// The rotation matrix of a quaternion that need not be normalized, term by term as in nibabel.
fn rotation(q: Quaternion<f64>) -> Matrix3<f64> {
    let scale = 2.0 / (q.w * q.w + q.i * q.i + q.j * q.j + q.k * q.k);
    let (x, y, z) = (q.i * scale, q.j * scale, q.k * scale);
    let (wx, wy, wz) = (q.w * x, q.w * y, q.w * z);
    let (xx, xy, xz) = (q.i * x, q.i * y, q.i * z);
    let (yy, yz, zz) = (q.j * y, q.j * z, q.k * z);
    Matrix3::new(
        1.0 - (yy + zz),
        xy - wz,
        xz + wy, //
        xy + wz,
        1.0 - (xx + zz),
        yz - wx, //
        xz - wy,
        yz + wx,
        1.0 - (xx + yy),
    )
}
