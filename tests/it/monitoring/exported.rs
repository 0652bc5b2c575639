//! A parser of the text of `/metrics`.

use std::collections::{BTreeMap, BTreeSet};

/// The metric families of a text.
pub(super) struct Exported(pub(super) BTreeMap<String, Family>);

/// A metric family: its type and labels, without the bounds of histograms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Family {
    pub(super) kind: String,
    pub(super) labels: BTreeSet<String>,
}

// === impl Exported ===

impl Exported {
    pub(super) fn of(text: &str) -> Self {
        let mut families = BTreeMap::new();
        let mut current = String::new();
        for line in text.lines() {
            if let Some(described) = line.strip_prefix("# TYPE ") {
                let (name, kind) = described.split_once(' ').unwrap();
                name.clone_into(&mut current);
                let family = Family {
                    kind: kind.to_owned(),
                    labels: BTreeSet::new(),
                };
                assert!(
                    families.insert(current.clone(), family).is_none(),
                    "{name} twice"
                );
            } else if !line.starts_with('#') {
                assert!(line.starts_with(&*current), "{line} after {current}");
                let family = families.get_mut(&current).unwrap();
                let labels = pairs(line).into_iter().map(|(label, _)| label);
                family.labels.extend(labels.filter(|label| label != "le"));
            }
        }
        Self(families)
    }
}

/// All labels with all their values.
pub(super) fn values(text: &str) -> BTreeSet<(String, String)> {
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    samples.flat_map(pairs).collect()
}

/// The number of samples.
pub(crate) fn series(text: &str) -> usize {
    text.lines().filter(|line| !line.starts_with('#')).count()
}

/// The labels of a sample; values contain no quotes.
fn pairs(sample: &str) -> Vec<(String, String)> {
    let Some((_, rest)) = sample.split_once('{') else {
        return Vec::new();
    };
    let (labels, _) = rest.split_once('}').unwrap();
    let labels = labels
        .split_terminator("\",")
        .map(|pair| pair.trim_end_matches('"'));
    labels
        .map(|pair| {
            let (label, value) = pair.split_once("=\"").unwrap();
            (label.to_owned(), value.to_owned())
        })
        .collect()
}
