use std::collections::HashMap;

use super::*;

fn member(name: &str, weight: u32, state: ShardState) -> ShardEntry {
    ShardEntry {
        name: ShardName::parse(name).unwrap(),
        weight,
        state,
    }
}

fn ring(members: &[(&str, u32, ShardState)]) -> ShardSet {
    let members = members.iter();
    ShardSet::new(
        members
            .map(|(name, weight, state)| member(name, *weight, *state))
            .collect(),
    )
}

fn rooms() -> Vec<RoomKey> {
    (0..2000)
        .map(|n| RoomKey::from_text(&format!("room-{n}")).unwrap())
        .collect()
}

fn placed(ring: &ShardSet) -> HashMap<RoomKey, String> {
    let place = |room: RoomKey| {
        let shard = ring.place(&room).unwrap().to_string();
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
fn two_thousand_rooms_are_spread_within_a_tenth_of_the_weights() {
    for weights in [[100, 100, 100], [100, 200, 100], [1, 2, 3], [50, 100, 250]] {
        let [a, b, c] = weights;
        let ring = ring(&[("s1", a, Ready), ("s2", b, Ready), ("s3", c, Ready)]);
        let placed = placed(&ring);
        let counts = counts(&placed);
        for member in ring.members() {
            let share = f64::from(member.weight) / f64::from(a + b + c);
            let count = u32::try_from(counts[member.name.as_str()]).unwrap();
            let off = f64::from(count) / (share * 2000.0) - 1.0;
            assert!(
                off.abs() < 0.1,
                "{weights:?}: {} is off by {off:.3}",
                member.name
            );
        }
    }
}

#[test]
fn the_hash_is_the_same_in_every_release() {
    let ring = ring(&[("s1", 100, Ready), ("s2", 100, Ready), ("s3", 200, Ready)]);
    let placed: Vec<_> = rooms()
        .iter()
        .take(12)
        .map(|room| ring.place(room).unwrap().to_string())
        .collect();
    insta::assert_snapshot!(placed.join(" "), @"s2 s3 s2 s1 s3 s3 s1 s3 s2 s2 s3 s1");
    insta::assert_snapshot!(ring.fingerprint(), @"hbmPIEUQ");
}

#[test]
fn a_new_shard_takes_its_share_and_no_other_room_moves() {
    let before = placed(&ring(&[("s1", 100, Ready), ("s2", 100, Ready)]));
    let with = ring(&[("s1", 100, Ready), ("s2", 100, Ready), ("s3", 100, Ready)]);
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
    let before = placed(&ring(&[("s1", 100, Ready), ("s2", 100, Ready)]));
    let after = placed(&ring(&[("s1", 150, Ready), ("s2", 100, Ready)]));
    let lost = rooms()
        .into_iter()
        .filter(|room| before[room] == "s1" && after[room] != "s1");
    assert_eq!(lost.count(), 0);
}

#[test]
fn rooms_of_a_shard_that_goes_are_spread_over_the_others_and_no_other_room_moves() {
    let all = [("s1", 100, Ready), ("s2", 100, Ready), ("s3", 100, Ready)];
    let before = placed(&ring(&all));
    for state in [Drain, Down] {
        let after = placed(&ring(&[all[0], ("s2", 100, state), all[2]]));
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
fn a_guess_counts_what_drains_and_not_what_is_down() {
    let all = ring(&[("s1", 100, Ready), ("s2", 100, Ready), ("s3", 100, Ready)]);
    let drained = ring(&[("s1", 100, Ready), ("s2", 100, Drain), ("s3", 100, Ready)]);
    let down = ring(&[("s1", 100, Ready), ("s2", 100, Down), ("s3", 100, Ready)]);
    for room in rooms() {
        assert_eq!(drained.guess(&room), all.place(&room));
        assert_eq!(down.guess(&room), down.place(&room));
    }
}

#[test]
fn nobody_is_refused_because_no_shard_is_ready() {
    let room = RoomKey::from_text("team").unwrap();
    let name = |name: Option<&ShardName>| name.unwrap().to_string();
    let drained = ring(&[("s1", 100, Down), ("s2", 100, Drain)]);
    assert_eq!(name(drained.place(&room)), "s2");
    assert_eq!(name(drained.common()), "s2");
    let down = ring(&[("s1", 100, Down)]);
    assert_eq!(name(down.place(&room)), "s1");
    assert_eq!(name(down.guess(&room)), "s1");
    assert_eq!(ring(&[]).place(&room), None);
}

#[test]
fn a_fingerprint_tells_of_every_difference_but_the_order() {
    let one = ring(&[("s1", 100, Ready), ("s2", 100, Ready)]);
    let same = ring(&[("s2", 100, Ready), ("s1", 100, Ready)]);
    assert_eq!(one.fingerprint(), same.fingerprint());
    for other in [
        ring(&[("s1", 100, Ready), ("s2", 101, Ready)]),
        ring(&[("s1", 100, Ready), ("s2", 100, Drain)]),
        ring(&[("s1", 100, Ready), ("s3", 100, Ready)]),
        ring(&[("s1", 100, Ready)]),
    ] {
        assert_ne!(one.fingerprint(), other.fingerprint(), "{other:?}");
    }
}

#[test]
fn names_can_stand_in_headers_ids_and_metrics() {
    for good in ["s1", "eu-central_1-A"] {
        assert_eq!(ShardName::parse(good).unwrap().as_str(), good);
    }
    for bad in ["", "a.b", "a b", "a/b", "\u{e9}", "a\r\nb", &"x".repeat(65)] {
        assert!(ShardName::parse(bad).is_err(), "{bad:?}");
    }
}
