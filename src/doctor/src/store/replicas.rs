//! Compares the announcements of replicas.

use std::collections::BTreeMap;

use cluster::replica::Announcement;

use crate::{Finding, FindingKind};

/// Compares the replicas; the most serious difference first.
pub(super) fn evaluate(replicas: &[Announcement]) -> Result<(), Finding> {
    let sent = format!(
        "a query for the announcements of {} replicas",
        replicas.len()
    );
    let differing = |of: &dyn Fn(&Announcement) -> String| {
        let mut counted = BTreeMap::<String, usize>::new();
        for replica in replicas {
            *counted.entry(of(replica)).or_default() += 1;
        }
        let listed = counted
            .iter()
            .map(|(value, times)| format!("{times} × {value}"));
        (counted.len() > 1).then(|| listed.collect::<Vec<_>>().join(", "))
    };
    let keys = |keys: &[String]| {
        if keys.is_empty() {
            "none".to_owned()
        } else {
            keys.join(" ")
        }
    };
    if let Some(got) = differing(&|announcement| keys(&announcement.cookie_keys)) {
        return Err(Finding::error(FindingKind::ReplicaCookieKeys)
            .with_exchange(sent, format!("key ids {got}"))
            .with_remedy(
                "replicas seal cookies with different keys, so users are signed out \
                 whenever another replica responds",
                "mount the same session.key_file on all of them; for a rotation, \
                 add the new key everywhere before it becomes the first",
            ));
    }
    if let Some(got) = differing(&|announcement| keys(&announcement.signing_keys)) {
        return Err(Finding::error(FindingKind::ReplicaSigningKeys)
            .with_exchange(sent, format!("key ids {got}"))
            .with_remedy(
                "replicas sign with different keys, so Prosody refuses some tokens",
                "configure the same [[token.key]] on all of them, and reload them (SIGHUP)",
            ));
    }
    if let Some(got) = differing(&|announcement| announcement.ring.clone()) {
        return Err(Finding::error(FindingKind::ReplicaRing)
            .with_exchange(sent, format!("rings {got}"))
            .with_remedy(
                "replicas send the same room to different shards, so its occupants \
                 are separated",
                "configure the same [upstream] and shards on all of them, and \
                 restart outdated ones",
            ));
    }
    if let Some(got) = differing(&|announcement| announcement.settings.clone()) {
        return Err(Finding::warning(FindingKind::ReplicaSettings)
            .with_exchange(sent, format!("configurations {got}"))
            .with_remedy(
                "replicas run with different configurations: a change has reached some of them \
                 only",
                "finish the rollout (kubectl rollout status), or revert a manual change",
            ));
    }
    if let Some(got) = differing(&|announcement| announcement.version.clone()) {
        return Err(Finding::warning(FindingKind::ReplicaVersion)
            .with_exchange(sent, format!("versions {got}"))
            .with_remedy("replicas run different versions", "finish the update"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    type Change = fn(&mut Announcement);

    fn replica(change: impl FnOnce(&mut Announcement)) -> Announcement {
        let mut announcement = Announcement {
            version: "1.0.0".to_owned(),
            settings: "a".to_owned(),
            cookie_keys: vec!["k".to_owned()],
            ..Announcement::default()
        };
        change(&mut announcement);
        announcement
    }

    #[test]
    fn control_characters_from_the_store_are_replaced() {
        let hostile = replica(|announcement| {
            announcement.version = "2\u{1b}]0;owned\u{7}\r\u{9b}2J".to_owned();
        });
        let found = evaluate(&[replica(|_| {}), hostile]).unwrap_err();
        assert!(!found.got.chars().any(char::is_control), "{:?}", found.got);
        assert!(found.got.contains("owned"), "{}", found.got);
    }

    #[test]
    fn each_difference_between_replicas_is_a_finding() {
        let with = |change: fn(&mut Announcement)| {
            evaluate(&[replica(|_| {}), replica(change), replica(|_| {})])
                .err()
                .map(|announcement| (announcement.id(), announcement.got.to_string()))
        };
        assert_eq!(with(|_| {}), None);
        assert_eq!(evaluate(&[replica(|_| {})]), Ok(()));
        let cases: [(Change, &str, &str); 5] = [
            (
                |announcement| announcement.cookie_keys.clear(),
                "R2.cookie-keys",
                "1 × none",
            ),
            (
                |announcement| announcement.signing_keys.push("x".to_owned()),
                "R2.signing-keys",
                "2 × none",
            ),
            (
                |announcement| announcement.ring = "r".to_owned(),
                "R2.ring",
                "1 × r",
            ),
            (
                |announcement| announcement.settings = "b".to_owned(),
                "R2.settings",
                "2 × a",
            ),
            (
                |announcement| announcement.version = "2".to_owned(),
                "R2.version",
                "2 × 1.0.0",
            ),
        ];
        for (change, id, part) in cases {
            let (found, got) = with(change).unwrap();
            assert_eq!(found, id);
            assert!(got.contains(part), "{got}");
        }
    }
}
