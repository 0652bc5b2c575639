//! Labels of the control plane: provider, store, shards and reloads.

use super::label_values;

label_values! {
    /// An endpoint of the OpenID provider.
    pub enum ProviderRequest {
        /// The discovery document (OpenID Connect Discovery 1.0 § 4).
        Description = "description",
        /// The key set (RFC 7517 § 5).
        Keys = "keys",
        /// The endpoint of pushed authorization requests (RFC 9126).
        PushedRequest = "pushed_request",
        /// The token endpoint.
        Tokens = "tokens",
        /// The userinfo endpoint.
        Userinfo = "userinfo",
        /// The directory of groups (`oidc.group_lookup`).
        Groups = "groups",
    }
}

label_values! {
    /// How a request to the OpenID provider ended.
    pub enum ProviderOutcome {
        /// A `2xx` response.
        Ok = "ok",
        /// A `4xx` response other than `429`.
        Refused = "refused",
        /// No connection.
        Unreachable = "unreachable",
        /// The connection ended before the response did.
        BrokenOff = "broken_off",
        /// The exchange took too long.
        Timeout = "timeout",
        /// The response is larger than permitted.
        TooLarge = "too_large",
        /// A redirect, which is not followed.
        Redirected = "redirected",
        /// `429` or a `5xx` response.
        Overloaded = "overloaded",
    }
}

label_values! {
    /// How a session was revalidated with the provider.
    pub enum RevalidationResult {
        /// The provider confirmed it, as the same identity.
        Unchanged = "unchanged",
        /// The provider confirmed it with other claims.
        Changed = "changed",
        /// Another replica had asked.
        Shared = "shared",
        /// The provider no longer confirms it: the session ended.
        Ended = "ended",
        /// The provider or the store did not answer: tried again later.
        Failed = "failed",
        /// The store has no refresh token of the session, or the provider refuses it after a lost response.
        NoGrant = "no_grant",
    }
}

label_values! {
    /// How an operation on the store ended.
    pub enum StoreOutcome {
        /// Done.
        Ok = "ok",
        /// No connection.
        Unreachable = "unreachable",
        /// No reply in time.
        Timeout = "timeout",
        /// An error reply.
        Refused = "refused",
    }
}

label_values! {
    /// How a room got its shard.
    pub enum PlacementOutcome {
        /// This replica pinned the room in the store.
        New = "new",
        /// The store had a pin of another replica.
        Existing = "existing",
        /// The pinned shard is down or no longer configured.
        Moved = "moved",
        /// The store was not available; the hash ring decided.
        WithoutStore = "without_store",
        /// Too many rooms are pinned; this one was placed without a pin.
        Unpinned = "unpinned",
    }
}

label_values! {
    /// How a reload ended.
    pub enum ReloadOutcome {
        /// The new version is in use.
        Ok = "ok",
        /// The new version is unusable; the previous one stays in use.
        Failed = "failed",
    }
}

label_values! {
    /// How an order of a certificate ended.
    pub enum AcmeOutcome {
        /// The authority issued the certificate.
        Ok = "ok",
        /// It did not; the previous certificate stays in use.
        Failed = "failed",
    }
}
