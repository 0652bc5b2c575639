"""What the program is made of, against the policy of deny.toml."""

from suite import complaints_of


def check(suite):
    deny = (suite.tool("cargo-deny"), "--offline", "--locked", "--log-level", "error", "check", "--hide-inclusion-graph")
    for part in ("bans", "licenses", "sources"):
        suite.check(f"supply: cargo deny check {part}", lambda p=part: complaints_of(*deny, p))
