//! A small CT series in a folder, and changes to its files.

use std::{
    fs,
    path::{Path, PathBuf},
};

use bipvl_dicom::{Algorithm, SeriesVolume, Source, Study, phantom::write_ct_series};
use bipvl_imaging::{Affine, Grid, Segment, Volume};
use dicom_core::{DataElement, PrimitiveValue, Tag, VR};
use dicom_object::{InMemDicomObject, open_file};
use ndarray::Array3;
use tempfile::TempDir;

pub(crate) const SHAPE: [usize; 3] = [9, 7, 6];

/// A folder with a CT series.
pub(crate) struct Scene(pub(crate) TempDir);

impl Scene {
    /// An oblique series whose voxels all differ.
    pub(crate) fn new() -> Self {
        let scene = Self(tempfile::tempdir().unwrap());
        write_ct_series(&scene.series(), &volume(), "test").unwrap();
        scene
    }

    pub(crate) fn series(&self) -> PathBuf {
        self.0.path().join("series")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn slice(&self, index: usize) -> PathBuf {
        self.series().join(format!("CT{index:05}.dcm"))
    }

    /// Changes the file of a slice.
    pub(crate) fn change(&self, index: usize, change: impl FnOnce(&mut InMemDicomObject)) {
        let path = self.slice(index);
        let mut file = open_file(&path).unwrap();
        change(&mut file);
        file.write_to_file(&path).unwrap();
    }

    /// Replaces the bytes of every slice.
    pub(crate) fn rewrite(&self, rewritten: impl Fn(usize, Vec<u8>) -> Vec<u8>) {
        for index in 0..SHAPE[2] {
            let bytes = fs::read(self.slice(index)).unwrap();
            fs::write(self.slice(index), rewritten(index, bytes)).unwrap();
        }
    }

    pub(crate) fn study(&self) -> Study {
        Study::open(&self.series()).unwrap()
    }

    /// Why the only series cannot be read.
    pub(crate) fn problem(&self) -> String {
        self.study().choose(None).and_then(SeriesVolume::read).unwrap_err().to_string()
    }

    pub(crate) fn source(&self, is_deidentified: bool) -> Source {
        Source::new(self.study().choose(None).unwrap(), algorithm("a"), is_deidentified).unwrap()
    }
}

pub(crate) fn algorithm(key: &str) -> Algorithm {
    Algorithm { name: "test".to_owned(), version: "1".to_owned(), key: key.to_owned() }
}

pub(crate) fn grid() -> Grid {
    let rotation = nalgebra::Rotation3::from_euler_angles(0.2, -0.3, 0.4);
    let spacing = nalgebra::Matrix3::from_diagonal(&nalgebra::Vector3::new(0.75, 0.5, 2.5));
    let mut affine = Affine::identity();
    affine.fixed_view_mut::<3, 3>(0, 0).copy_from(&(rotation.matrix() * spacing));
    affine.fixed_view_mut::<3, 1>(0, 3).copy_from(&nalgebra::Vector3::new(-12.5, 33.0, 101.25));
    Grid::new(SHAPE, affine)
}

pub(crate) fn volume() -> Volume<f32> {
    let [_, rows, slices] = SHAPE;
    let voxels = Array3::from_shape_fn(SHAPE, |(x, y, z)| ((x * rows + y) * slices + z) as f32 - 500.0);
    Volume::new(voxels, grid())
}

pub(crate) fn segment(name: &str, label: u16) -> Segment {
    Segment { name: name.to_owned(), label, code: None }
}

pub(crate) fn put_text(object: &mut InMemDicomObject, tag: Tag, vr: VR, text: &str) {
    object.put(DataElement::new(tag, vr, PrimitiveValue::from(text)));
}

/// All text of all elements, sequences included.
pub(crate) fn texts(object: &InMemDicomObject) -> Vec<String> {
    let mut found = Vec::new();
    for element in object.iter() {
        match element.items() {
            Some(items) => found.extend(items.iter().flat_map(texts)),
            None => found.extend(element.to_multi_str().map(|texts| texts.to_vec()).unwrap_or_default()),
        }
    }
    found
}

pub(crate) fn texts_of_file(path: &Path) -> Vec<String> {
    texts(&open_file(path).unwrap())
}
