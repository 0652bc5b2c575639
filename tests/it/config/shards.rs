//! `[[shard]]`.

use super::{Workplace, mistakes::GOOD};

/// The valid configuration with shards instead of a single upstream; they begin at line 9.
fn with_shards(shards: &str) -> String {
    let addresses = "web = \"http://web:8000\"\nxmpp = \"http://prosody:5280\"\n";
    assert_eq!(GOOD.matches(addresses).count(), 1);
    let (before, after) = GOOD.split_once("[oidc]").unwrap();
    format!("{}{shards}\n[oidc]{after}", before.replace(addresses, ""))
}

fn check(text: &str) -> String {
    let place = Workplace::new();
    place.private("gateway.toml", text);
    place.check(&[])
}

const ONE: &str = "[[shard]]\nname = \"s1\"\nweb = \"http://web-1\"\nxmpp = \"http://prosody-1\"\n";

#[test]
fn shards_replace_web_and_xmpp_of_the_upstream() {
    let another = ONE.replace("-1", "-2").replace("s1", "s2");
    let visitors = "[[shard.visitor]]\nname = \"v0\"\nxmpp = \"http://visitors-2\"\n";
    let more = format!("{ONE}weight = 50\nstate = \"drain\"\n{another}{visitors}");
    for shards in [ONE, &more] {
        assert_eq!(check(&with_shards(shards)), "");
    }
}

#[test]
fn a_problem_with_a_shard_names_its_position() {
    for (from, to, expected) in [
        (
            "\"s1\"",
            "\"eu.1\"",
            "10: shard[1].name: \"eu.1\" is not a shard name; write 1 to 64 letters, digits, dashes or underscores",
        ),
        (
            "name = \"s1\"\n",
            "",
            "9: shard[1].name: missing; add for example name = \"s1\"",
        ),
        (
            "http://web-1",
            "https://web-1",
            "11: shard[1].web: https upstreams are not supported yet; use http:// within a private network",
        ),
        (
            "name",
            "weight = 0\nname",
            "10: shard[1].weight: 0 is out of range; write a number from 1 to 10000; to accept no new rooms, write state = \"drain\"",
        ),
        (
            "name",
            "state = \"gone\"\nname",
            "10: shard[1].state: unknown value \"gone\"; write \"ready\", \"drain\" or \"down\"",
        ),
        (
            "name",
            "visitor = [{ name = \"v 0\", xmpp = \"http://v\" }]\nname",
            "10: shard[1].visitor[1].name: \"v 0\" is not a node name; write letters, digits, dashes or underscores, as v0",
        ),
    ] {
        let said = check(&with_shards(&ONE.replace(from, to)));
        assert_eq!(said, format!("gateway.toml:{expected}\n"), "{to}");
    }
}

#[test]
fn shard_names_are_unique_and_upstream_has_no_addresses() {
    assert_eq!(
        check(&with_shards(&format!("{ONE}\n{ONE}"))),
        "gateway.toml:15: shard[2].name: \"s1\" is the name of another shard; give each shard its own name\n"
    );
    assert_eq!(
        check(&format!("{GOOD}{ONE}")),
        "gateway.toml:7: upstream.web: conflicts with [[shard]]; remove it here, or remove the shards\n\
         gateway.toml:8: upstream.xmpp: conflicts with [[shard]]; remove it here, or remove the shards\n"
    );
    let text = with_shards(ONE).replace(
        "xmpp_domain",
        "visitor = [{ name = \"v0\", xmpp = \"http://v\" }]\nxmpp_domain",
    );
    assert_eq!(
        check(&text),
        "gateway.toml:7: upstream.visitor: conflicts with [[shard]]; move it below its shard, as [[shard.visitor]]\n"
    );
}

#[test]
fn each_shard_has_jicofo_or_none() {
    let with = format!("{ONE}jicofo = \"http://jicofo-1:8888\"\n");
    let another = ONE.replace("-1", "-2").replace("s1", "s2");
    assert_eq!(check(&with_shards(&with)), "");
    assert_eq!(
        check(&with_shards(&format!("{with}{another}"))),
        "gateway.toml:9: shard: \"s1\" has jicofo and \"s2\" has not; add jicofo to each shard, or remove it\n"
    );
    let text = with_shards(ONE).replace("xmpp_domain", "jicofo = \"http://jicofo\"\nxmpp_domain");
    assert_eq!(
        check(&text),
        "gateway.toml:7: upstream.jicofo: conflicts with [[shard]]; remove it here, or remove the shards\n"
    );
}
