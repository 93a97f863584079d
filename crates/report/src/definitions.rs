//! What each number means under each convention, in words for the foot of a report.

use bipvl_metrics::Convention;

/// Term and meaning, in the order of the columns.
pub(crate) fn definitions(convention: Convention) -> Vec<(&'static str, &'static str)> {
    vec![
        (
            "Dice",
            "Twice the voxels that prediction and reference share, divided by the voxels of both together: 1 is perfect, 0 shares nothing.",
        ),
        ("HD95", hd95(convention)),
        ("NSD", nsd(convention)),
        ("ASSD", assd(convention)),
        (
            "Empty masks",
            "Missed: the reference holds the class and the prediction does not; Dice and NSD are 0. False alarm: the other way round. Absent: neither holds it. A dash is a score that does not exist.",
        ),
        ("False alarms and absent classes", empty_reference(convention)),
        (
            "Means",
            "Over the cases in which the score exists, ± the standard deviation of these cases. A missed class is never left out of Dice and NSD. It has no distance; “misses penalized” counts the diagonal of its volume instead. The mean Dice of a case leaves absent classes out and counts a false alarm as 0.",
        ),
    ]
}

fn hd95(convention: Convention) -> &'static str {
    match convention {
        Convention::Monai | Convention::MetricsReloaded => {
            "95 % Hausdorff distance in mm, smaller is better: from each edge voxel of one mask to the nearest edge voxel of the other; the 95th percentile in each direction, interpolated linearly; the larger of the two."
        }
        Convention::DeepMind => {
            "95 % Hausdorff distance in mm, smaller is better: from each surface element of one mask to the nearest of the other; in each direction the first distance that covers 95 % of the surface's area; the larger of the two."
        }
        Convention::Medpy => {
            "95 % Hausdorff distance in mm, smaller is better: from each edge voxel of one mask to the nearest edge voxel of the other; the 95th percentile of both directions joined, interpolated linearly."
        }
    }
}

fn nsd(convention: Convention) -> &'static str {
    match convention {
        Convention::DeepMind => {
            "Normalized surface Dice: the share of the area of both surfaces that lies within the tolerance of the other surface; 1 is perfect."
        }
        Convention::Monai | Convention::MetricsReloaded | Convention::Medpy => {
            "Normalized surface Dice: the share of the edge voxels of both masks that lie within the tolerance of the other's edge; 1 is perfect."
        }
    }
}

fn assd(convention: Convention) -> &'static str {
    match convention {
        Convention::DeepMind => {
            "Average symmetric surface distance in mm, smaller is better: the mean distance between the surfaces in both directions, weighted by area."
        }
        Convention::Monai | Convention::MetricsReloaded | Convention::Medpy => {
            "Average symmetric surface distance in mm, smaller is better: the mean over the edge voxels of both masks of the distance to the other's edge."
        }
    }
}

fn empty_reference(convention: Convention) -> &'static str {
    match convention {
        Convention::Monai => {
            "Of a false alarm Dice does not exist and NSD is 0; an absent class has no scores."
        }
        Convention::DeepMind => "Of a false alarm Dice and NSD are 0; an absent class has no scores.",
        Convention::MetricsReloaded => {
            "Of a false alarm Dice and NSD are 0; an absent class is perfect: Dice and NSD 1, distances 0."
        }
        Convention::Medpy => {
            "Of a false alarm Dice and NSD are 0; an absent class has Dice 1 and no other score."
        }
    }
}
