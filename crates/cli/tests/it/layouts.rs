//! Miniature copies of published data sets: a few drawn volumes with the labels, names and folders of the real ones.

use bipvl_imaging::{Grid, LabelMap, Volume};
use ndarray::Array3;
use serde_json::{Value, json};

use crate::scene::{Scene, repeat_channels};

/// Of every drawn volume, in voxels.
pub(crate) const SHAPE: [usize; 3] = [20, 18, 16];
pub(crate) const SPACING: [f64; 3] = [3.0, 3.5, 4.0];

/// AMOS22 in the folder `amos22`: twenty-four CT and six MR to train on, one of each to test on.
pub(crate) fn amos22(scene: &Scene) {
    let mut lists: [Vec<Value>; 2] = [Vec::new(), Vec::new()];
    let training: Vec<u32> = (1..=23).chain(499..=505).collect();
    for (list, part, numbers) in [(0, "Tr", training), (1, "Va", vec![42, 518])] {
        for number in numbers {
            let name = format!("amos_{number:04}.nii.gz");
            let (image, label) = (format!("./images{part}/{name}"), format!("./labels{part}/{name}"));
            draw(scene, "amos22", [&image[2..], &label[2..]], &(1..=15).collect::<Vec<u16>>());
            lists[list].push(json!({ "image": image, "label": label }));
        }
    }
    let names = [
        "background",
        "spleen",
        "right kidney",
        "left kidney",
        "gall bladder",
        "esophagus",
        "liver",
        "stomach",
        "arota",
        "postcava",
        "pancreas",
        "right adrenal gland",
        "left adrenal gland",
        "duodenum",
        "bladder",
        "prostate/uterus",
    ];
    let [training, validation] = lists;
    let about = json!({
        "name": "AMOS",
        "modality": { "0": "CT" },
        "labels": by_number(&names),
        "training": training,
        "validation": validation,
    });
    scene.write_json("amos22/dataset.json", &about);
}

/// MM-WHS in the folder `mmwhs`: eight of the twenty cases of each modality, those of the test among them. MR case
/// 1010 has the label 421 that the real one has.
pub(crate) fn mmwhs(scene: &Scene) {
    for modality in ["ct", "mr"] {
        for number in [1001, 1002, 1003, 1006, 1009, 1010, 1016, 1018] {
            let mut labels = vec![500, 600, 420, 550, 205, 820, 850];
            if (modality, number) == ("mr", 1010) {
                labels.push(421);
            }
            let file = |kind: &str| format!("{modality}_train/{modality}_train_{number}_{kind}.nii.gz");
            draw(scene, "mmwhs", [&file("image"), &file("label")], &labels);
        }
    }
}

/// ACDC in the folder `acdc`: twenty patients of two frames to train on, one to test on.
pub(crate) fn acdc(scene: &Scene) {
    for patient in (1..=20).chain([101]) {
        let part = if patient > 100 { "testing" } else { "training" };
        let folder = format!("{part}/patient{patient:03}");
        let about = "ED: 1\nES: 12\nGroup: DCM\nHeight: 184.0\nNbFrame: 30\nWeight: 95.0\n";
        scene.write_text(&format!("acdc/{folder}/Info.cfg"), about);
        for frame in ["frame01", "frame12"] {
            let stem = format!("{folder}/patient{patient:03}_{frame}");
            draw(scene, "acdc", [&format!("{stem}.nii.gz"), &format!("{stem}_gt.nii.gz")], &[1, 2, 3]);
        }
    }
}

/// A task of the Decathlon in the folder of its name: so many cases, channels in one file.
pub(crate) fn decathlon(scene: &Scene, name: &str, channels: &[&str], classes: &[&str], cases: usize) {
    let labels: Vec<u16> = (1..classes.len() as u16).collect();
    let training: Vec<Value> = (0..cases)
        .map(|case| {
            let files = ["images", "labels"].map(|kind| format!("{kind}Tr/{name}_{case:03}.nii"));
            draw(scene, name, [&files[0], &files[1]], &labels);
            scene.spoil(&format!("{name}/{}", files[0]), |bytes| repeat_channels(bytes, channels.len()));
            json!({ "image": format!("./{}", files[0]), "label": format!("./{}", files[1]) })
        })
        .collect();
    let about = json!({
        "name": name,
        "modality": by_number(channels),
        "labels": by_number(classes),
        "training": training,
    });
    scene.write_json(&format!("{name}/dataset.json"), &about);
}

fn by_number(names: &[&str]) -> Value {
    names.iter().enumerate().map(|(number, name)| (number.to_string(), json!(name))).collect()
}

/// Writes an image and its labels below `root`.
fn draw(scene: &Scene, root: &str, [image, labels]: [&str; 2], all: &[u16]) {
    let voxels = boxes(all);
    let intensities = voxels.mapv(|label| 10.0 + f32::from(label % 97));
    let grid = Grid::with_spacing(SHAPE, SPACING);
    scene.write(&format!("{root}/{image}"), &Volume::new(intensities, grid.clone()));
    scene.write_labels(&format!("{root}/{labels}"), &LabelMap::new(voxels, grid));
}

/// Each label fills a box of [`BOX_VOXELS`] voxels, on a lattice of five by three.
fn boxes(labels: &[u16]) -> Array3<u16> {
    Array3::from_shape_fn(SHAPE, |(x, y, z)| {
        let is_inside = x % 4 < 3 && y % 6 < 4 && (4..9).contains(&z);
        let label = labels.get(x / 4 + 5 * (y / 6)).copied();
        label.filter(|_| is_inside).unwrap_or(0)
    })
}

/// 3 × 4 × 5.
pub(crate) const BOX_VOXELS: u64 = 60;
