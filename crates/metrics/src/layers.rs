//! Classes that overlap, in layers of classes that do not: inside a layer a voxel has one class at most.

use std::borrow::Cow;

use bipvl_imaging::LabelMap;

/// Classes that share no label.
struct Layer {
    /// Where they stand in the list of classes.
    classes: Vec<usize>,
    /// The label that stands for each of them.
    labels: Vec<u16>,
    /// What each label becomes in this layer; nothing changes where every class is one label.
    becomes: Option<Vec<u16>>,
}

/// What `measure` gives for each of `classes`, which are sets of labels, in their order. It is asked layer by
/// layer, about label maps in which each class is one label.
pub(crate) fn per_slice<T>(
    prediction: &LabelMap,
    reference: &LabelMap,
    classes: &[&[u16]],
    measure: impl Fn(&LabelMap, &LabelMap, &[u16]) -> Vec<T>,
) -> Vec<T> {
    let mut measured = Vec::with_capacity(classes.len());
    for layer in layers(classes) {
        let values = measure(&layer.flat(prediction), &layer.flat(reference), &layer.labels);
        measured.extend(layer.classes.into_iter().zip(values));
    }
    measured.sort_by_key(|(class_index, _)| *class_index);
    measured.into_iter().map(|(_, value)| value).collect()
}

/// Puts each class into the first layer with which it shares no label.
fn layers(classes: &[&[u16]]) -> Vec<Layer> {
    let mut layers: Vec<Vec<usize>> = Vec::new();
    for (class_index, labels) in classes.iter().enumerate() {
        let is_apart = |other: &usize| classes[*other].iter().all(|label| !labels.contains(label));
        match layers.iter_mut().find(|layer| layer.iter().all(is_apart)) {
            Some(layer) => layer.push(class_index),
            None => layers.push(vec![class_index]),
        }
    }
    layers.into_iter().map(|members| Layer::new(members, classes)).collect()
}

impl Layer {
    fn new(members: Vec<usize>, classes: &[&[u16]]) -> Self {
        let sets = || members.iter().map(|class_index| classes[*class_index]);
        let labels = sets().map(|set| set[0]).collect();
        let last = sets().flatten().max().copied().unwrap_or(0);
        let becomes = sets().any(|set| set.len() > 1).then(|| {
            let mut becomes = vec![0; usize::from(last) + 1];
            for set in sets() {
                for label in set {
                    becomes[usize::from(*label)] = set[0];
                }
            }
            becomes
        });
        Self { classes: members, labels, becomes }
    }

    /// The label map in which each class of the layer is one label, and all else background.
    fn flat<'a>(&self, label_map: &'a LabelMap) -> Cow<'a, LabelMap> {
        match &self.becomes {
            None => Cow::Borrowed(label_map),
            Some(becomes) => {
                let become_one = |label: &u16| becomes.get(usize::from(*label)).copied().unwrap_or(0);
                Cow::Owned(label_map.map(become_one))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(classes: &[&[u16]]) -> Vec<Vec<usize>> {
        layers(classes).into_iter().map(|layer| layer.classes).collect()
    }

    #[test]
    fn classes_of_one_label_are_one_layer_and_the_label_map_stays_as_it_is() {
        let layers = layers(&[&[4], &[1], &[9]]);
        assert_eq!(layers.len(), 1);
        assert_eq!((&layers[0].classes[..], &layers[0].labels[..]), (&[0, 1, 2][..], &[4, 1, 9][..]));
        assert!(layers[0].becomes.is_none());
    }

    #[test]
    fn classes_that_share_a_label_are_in_layers_of_their_own() {
        assert_eq!(members(&[&[1, 2, 3], &[2, 3], &[3]]), [[0], [1], [2]]);
        assert_eq!(members(&[&[1, 2], &[3], &[2, 3], &[4]]), [vec![0, 1, 3], vec![2]]);
        assert_eq!(members(&[]), Vec::<Vec<usize>>::new());
    }
}
