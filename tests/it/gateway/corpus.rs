//! Every file of `tests/corpus`: published attacks on the edge, by real TCP, TLS and HTTP/2, between a real
//! gateway and upstreams that record what arrives.

mod rig;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use self::rig::Rig;
use crate::support::corpus::{AttackClass, LEFT_OUT};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_class_of_attacks_is_answered_as_its_file_demands() {
    let classes = AttackClass::read_all(&directory());
    let rig = Rig::start().await;
    let (mut requests, mut unexpected) = (0, Vec::new());
    for class in &classes {
        let given: Vec<_> = class
            .over
            .iter()
            .map(|channel| class.requests(&rig.given(*channel, class.signed_in)))
            .collect();
        // The requests of a class go by its channels in turn.
        for (number, turn) in (0..class.over.len())
            .cycle()
            .take(given[0].len())
            .enumerate()
        {
            let (channel, hostile) = (class.over[turn], &given[turn][number]);
            requests += 1;
            for fault in rig.attempt(class, channel, hostile).await {
                unexpected.push(format!("{} {channel:?}: {fault}", hostile.name));
            }
            if requests % SAMPLED == 0 {
                unexpected.extend(rig.honest(requests).await);
            }
        }
        unexpected.extend(rig.honest(requests).await);
    }
    println!(
        "{} classes, {requests} requests, {} unexpected",
        numbers(&classes).len(),
        unexpected.len()
    );
    assert!(unexpected.is_empty(), "{}", unexpected.join("\n"));
    assert!(requests >= 1500, "{requests}");
}

/// A class has a file, or a reason why it has none.
#[test]
fn every_class_has_a_file_or_a_reason() {
    let classes = AttackClass::read_all(&directory());
    let with_file = numbers(&classes);
    let left_out = fs::read_to_string(directory().join(LEFT_OUT)).unwrap();
    let mut without = BTreeSet::new();
    for line in left_out
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        let (number, reason) = line.split_once(' ').unwrap_or_else(|| panic!("{line}"));
        assert!(reason.len() > 20, "{line}");
        assert!(
            without.insert(number.parse::<u16>().unwrap()),
            "{number} is there twice"
        );
    }
    for number in 1..=CLASSES {
        let (file, reason) = (with_file.contains(&number), without.contains(&number));
        assert!(
            file != reason,
            "class {number}: a file {file}, a reason {reason}"
        );
    }
}

fn numbers(classes: &[AttackClass]) -> BTreeSet<u16> {
    classes.iter().map(|class| class.number).collect()
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus")
}

/// The classes that the directory counts.
const CLASSES: u16 = 148;

/// After so many hostile requests an honest one is sent.
const SAMPLED: usize = 20;
