use std::collections::HashMap;

use super::*;

fn entry(name: &str, weight: u32, state: ShardState) -> ShardEntry {
    ShardEntry {
        name: ShardName::parse(name).unwrap(),
        weight,
        state,
    }
}

fn shards(entries: &[(&str, u32, ShardState)]) -> ShardSet {
    let entries = entries.iter();
    ShardSet::new(
        entries
            .map(|(name, weight, state)| entry(name, *weight, *state))
            .collect(),
    )
}

fn rooms() -> Vec<RoomKey> {
    (0..2000)
        .map(|n| RoomKey::from_text(&format!("room-{n}")).unwrap())
        .collect()
}

fn placed(shards: &ShardSet) -> HashMap<RoomKey, String> {
    let place = |room: RoomKey| {
        let shard = shards.place(&room).unwrap().to_string();
        (room, shard)
    };
    rooms().into_iter().map(place).collect()
}

fn counts(placed: &HashMap<RoomKey, String>) -> HashMap<&str, usize> {
    let mut counts = HashMap::new();
    for shard in placed.values() {
        *counts.entry(shard.as_str()).or_default() += 1;
    }
    counts
}

use ShardState::{Down, Drain, Ready};

#[test]
fn rooms_spread_within_a_tenth_of_the_weights() {
    for weights in [[100, 100, 100], [100, 200, 100], [1, 2, 3], [50, 100, 250]] {
        let [a, b, c] = weights;
        let shards = shards(&[("s1", a, Ready), ("s2", b, Ready), ("s3", c, Ready)]);
        let placed = placed(&shards);
        let counts = counts(&placed);
        for entry in &shards.0 {
            let share = f64::from(entry.weight) / f64::from(a + b + c);
            let count = u32::try_from(counts[entry.name.as_str()]).unwrap();
            let off = f64::from(count) / (share * 2000.0) - 1.0;
            assert!(
                off.abs() < 0.1,
                "{weights:?}: {} is off by {off:.3}",
                entry.name
            );
        }
    }
}

#[test]
fn the_hash_is_the_same_in_every_release() {
    let shards = shards(&[("s1", 100, Ready), ("s2", 100, Ready), ("s3", 200, Ready)]);
    let placed: Vec<_> = rooms()
        .iter()
        .take(12)
        .map(|room| shards.place(room).unwrap().to_string())
        .collect();
    insta::assert_snapshot!(placed.join(" "), @"s2 s3 s2 s1 s3 s3 s1 s3 s2 s2 s3 s1");
    insta::assert_snapshot!(shards.fingerprint(), @"hbmPIEUQ");
}

#[test]
fn a_new_shard_takes_its_share_and_no_other_room_moves() {
    let before = placed(&shards(&[("s1", 100, Ready), ("s2", 100, Ready)]));
    let with = shards(&[("s1", 100, Ready), ("s2", 100, Ready), ("s3", 100, Ready)]);
    let after = placed(&with);
    let moved: Vec<_> = rooms()
        .into_iter()
        .filter(|room| before[room] != after[room])
        .collect();
    assert!(moved.iter().all(|room| after[room] == "s3"));
    assert!((600..=733).contains(&moved.len()), "{}", moved.len());
}

#[test]
fn a_heavier_shard_only_gains_rooms() {
    let before = placed(&shards(&[("s1", 100, Ready), ("s2", 100, Ready)]));
    let after = placed(&shards(&[("s1", 150, Ready), ("s2", 100, Ready)]));
    let lost = rooms()
        .into_iter()
        .filter(|room| before[room] == "s1" && after[room] != "s1");
    assert_eq!(lost.count(), 0);
}

#[test]
fn rooms_of_a_removed_shard_spread_over_the_others_and_no_other_room_moves() {
    let all = [("s1", 100, Ready), ("s2", 100, Ready), ("s3", 100, Ready)];
    let before = placed(&shards(&all));
    for state in [Drain, Down] {
        let after = placed(&shards(&[all[0], ("s2", 100, state), all[2]]));
        for room in rooms() {
            if before[&room] == "s2" {
                assert_ne!(after[&room], "s2");
            } else {
                assert_eq!(before[&room], after[&room]);
            }
        }
        let counts = counts(&after);
        assert!(counts["s1"].abs_diff(counts["s3"]) < 200, "{counts:?}");
    }
}

#[test]
fn a_guess_includes_draining_shards_and_excludes_those_that_are_down() {
    let all = shards(&[("s1", 100, Ready), ("s2", 100, Ready), ("s3", 100, Ready)]);
    let drained = shards(&[("s1", 100, Ready), ("s2", 100, Drain), ("s3", 100, Ready)]);
    let down = shards(&[("s1", 100, Ready), ("s2", 100, Down), ("s3", 100, Ready)]);
    for room in rooms() {
        assert_eq!(drained.guess(&room), all.place(&room));
        assert_eq!(down.guess(&room), down.place(&room));
    }
}

#[test]
fn without_a_ready_shard_a_room_gets_a_draining_one_or_one_that_is_down() {
    let room = RoomKey::from_text("team").unwrap();
    let name = |name: Option<&ShardName>| name.unwrap().to_string();
    let drained = shards(&[("s1", 100, Down), ("s2", 100, Drain)]);
    assert_eq!(name(drained.place(&room)), "s2");
    assert_eq!(name(drained.common()), "s2");
    let down = shards(&[("s1", 100, Down)]);
    assert_eq!(name(down.place(&room)), "s1");
    assert_eq!(name(down.guess(&room)), "s1");
    assert_eq!(shards(&[]).place(&room), None);
}

#[test]
fn a_fingerprint_depends_on_every_entry_and_not_on_their_order() {
    let one = shards(&[("s1", 100, Ready), ("s2", 100, Ready)]);
    let same = shards(&[("s2", 100, Ready), ("s1", 100, Ready)]);
    assert_eq!(one.fingerprint(), same.fingerprint());
    for other in [
        shards(&[("s1", 100, Ready), ("s2", 101, Ready)]),
        shards(&[("s1", 100, Ready), ("s2", 100, Drain)]),
        shards(&[("s1", 100, Ready), ("s3", 100, Ready)]),
        shards(&[("s1", 100, Ready)]),
    ] {
        assert_ne!(one.fingerprint(), other.fingerprint(), "{other:?}");
    }
}
