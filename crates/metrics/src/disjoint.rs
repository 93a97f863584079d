//! Splits overlapping classes (regions) into groups of disjoint ones, so that each group is a plain label map.

use crate::labels::{Labels, Relabeled};

/// Classes without common labels.
struct DisjointGroup {
    /// Indices into the list of classes.
    classes: Vec<usize>,
    /// The label that represents each of them in the group.
    labels: Vec<u16>,
    /// New label by old label; `None` if every class has one label, so that nothing changes.
    lookup: Option<Vec<u16>>,
}

/// Calls `measure` once per group of disjoint classes and returns its values in the order of `classes`, which are sets
/// of labels. `measure` gets labels in which each class has one label, and these labels.
pub(crate) fn per_disjoint_group<T>(
    prediction: &dyn Labels,
    reference: &dyn Labels,
    classes: &[&[u16]],
    measure: impl Fn(&dyn Labels, &dyn Labels, &[u16]) -> Vec<T>,
) -> Vec<T> {
    let mut measured = Vec::with_capacity(classes.len());
    for group in disjoint_groups(classes) {
        let values = match &group.lookup {
            None => measure(prediction, reference, &group.labels),
            Some(lookup) => {
                let merged = |labels| Relabeled { labels, lookup };
                measure(&merged(prediction), &merged(reference), &group.labels)
            }
        };
        measured.extend(group.classes.into_iter().zip(values));
    }
    measured.sort_by_key(|(class_index, _)| *class_index);
    measured.into_iter().map(|(_, value)| value).collect()
}

/// Adds each class to the first group with which it has no label in common.
fn disjoint_groups(classes: &[&[u16]]) -> Vec<DisjointGroup> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for (class_index, labels) in classes.iter().enumerate() {
        let is_disjoint = |other: &usize| classes[*other].iter().all(|label| !labels.contains(label));
        match groups.iter_mut().find(|group| group.iter().all(is_disjoint)) {
            Some(group) => group.push(class_index),
            None => groups.push(vec![class_index]),
        }
    }
    groups.into_iter().map(|members| DisjointGroup::new(members, classes)).collect()
}

impl DisjointGroup {
    fn new(members: Vec<usize>, classes: &[&[u16]]) -> Self {
        let sets = || members.iter().map(|class_index| classes[*class_index]);
        let labels = sets().map(|set| set[0]).collect();
        let last = sets().flatten().max().copied().unwrap_or(0);
        let lookup = sets().any(|set| set.len() > 1).then(|| {
            let mut lookup = vec![0; usize::from(last) + 1];
            for set in sets() {
                for label in set {
                    lookup[usize::from(*label)] = set[0];
                }
            }
            lookup
        });
        Self { classes: members, labels, lookup }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(classes: &[&[u16]]) -> Vec<Vec<usize>> {
        disjoint_groups(classes).into_iter().map(|group| group.classes).collect()
    }

    #[test]
    fn classes_of_one_label_are_one_group_and_leave_the_label_map_unchanged() {
        let groups = disjoint_groups(&[&[4], &[1], &[9]]);
        assert_eq!(groups.len(), 1);
        assert_eq!((&groups[0].classes[..], &groups[0].labels[..]), (&[0, 1, 2][..], &[4, 1, 9][..]));
        assert!(groups[0].lookup.is_none());
    }

    #[test]
    fn classes_with_a_common_label_are_in_different_groups() {
        assert_eq!(members(&[&[1, 2, 3], &[2, 3], &[3]]), [[0], [1], [2]]);
        assert_eq!(members(&[&[1, 2], &[3], &[2, 3], &[4]]), [vec![0, 1, 3], vec![2]]);
        assert_eq!(members(&[]), Vec::<Vec<usize>>::new());
    }
}
