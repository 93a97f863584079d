//! Metric definitions of each convention, for the footer of a report.

use bipvl_metrics::Convention;

/// Terms and their definitions, in the order of the columns.
pub(crate) fn definitions(convention: Convention) -> Vec<(&'static str, &'static str)> {
    vec![
        (
            "Dice",
            "Dice similarity coefficient: 2 |P ∩ R| / (|P| + |R|) in voxels, with prediction P and reference R. 1 is perfect, 0 no overlap.",
        ),
        ("HD95", hd95(convention)),
        ("NSD", nsd(convention)),
        ("ASSD", assd(convention)),
        (
            "Empty masks",
            "Missed: the class is only in the reference; Dice and NSD are 0. False alarm: only in the prediction. Absent: in neither. – is an undefined score.",
        ),
        ("False alarm, absent", empty_reference(convention)),
        (
            "Means",
            "Mean ± standard deviation (population, divided by n) over the cases in which the metric is defined. Missed classes are included in Dice and NSD as 0. Their distance is undefined; “HD95 penalized” counts it as the diagonal of the volume. The mean Dice of a case excludes absent classes and counts a false alarm as 0.",
        ),
        (
            "95 % CI",
            "Confidence interval of the mean Dice: percentile bootstrap over the cases, 10 000 resamples, fixed seed.",
        ),
    ]
}

fn hd95(convention: Convention) -> &'static str {
    match convention {
        Convention::Monai | Convention::MetricsReloaded => {
            "95th-percentile Hausdorff distance in mm, lower is better: the larger of the two directed 95th percentiles (linear interpolation) of the distances from each edge voxel to the nearest edge voxel of the other mask."
        }
        Convention::DeepMind => {
            "95th-percentile Hausdorff distance in mm, lower is better: the larger of the two directed distances within which 95 % of the surface area lies, from surface element to nearest surface element."
        }
        Convention::Medpy => {
            "95th-percentile Hausdorff distance in mm, lower is better: the 95th percentile (linear interpolation) of the pooled distances of both directions, from edge voxel to nearest edge voxel."
        }
    }
}

fn nsd(convention: Convention) -> &'static str {
    match convention {
        Convention::DeepMind => {
            "Normalized surface Dice: the fraction of the area of both surfaces within the tolerance of the other. 1 is perfect."
        }
        Convention::Monai | Convention::MetricsReloaded | Convention::Medpy => {
            "Normalized surface Dice: the fraction of the edge voxels of both masks within the tolerance of the other’s edge. 1 is perfect."
        }
    }
}

fn assd(convention: Convention) -> &'static str {
    match convention {
        Convention::DeepMind => {
            "Average symmetric surface distance in mm, lower is better: the mean of the two area-weighted directed mean distances."
        }
        Convention::Monai | Convention::MetricsReloaded | Convention::Medpy => {
            "Average symmetric surface distance in mm, lower is better: the mean over the edge voxels of both masks of the distance to the other’s edge."
        }
    }
}

fn empty_reference(convention: Convention) -> &'static str {
    match convention {
        Convention::Monai => {
            "A false alarm has undefined Dice and NSD 0; all scores of an absent class are undefined."
        }
        Convention::DeepMind => {
            "A false alarm has Dice and NSD 0; all scores of an absent class are undefined."
        }
        Convention::MetricsReloaded => {
            "A false alarm has Dice and NSD 0; an absent class scores perfectly: Dice and NSD 1, distances 0."
        }
        Convention::Medpy => {
            "A false alarm has Dice and NSD 0; an absent class has Dice 1 and no other score."
        }
    }
}
