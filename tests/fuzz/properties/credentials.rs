//! Credentials: sealed cookies, tokens, and the provider's documents.

use std::{sync::LazyLock, time::Duration};

use jsonwebtoken::Algorithm;
use model::{
    clock::{Clock, Timestamp},
    jws::{Jws, KeySet},
    seal::{Keyring, Purpose},
    session::{SessionCodec, SessionSettings},
};
use oidc::{EndpointRewriter, ProviderMetadata};

/// What was sealed opens, and only as it was sealed.
pub(crate) fn cookie(bytes: &[u8]) {
    let keyring = Keyring::single([7; 32]);
    let sealer = keyring.sealer(Purpose::Session, "https://meet.example.org");
    if let Ok(text) = std::str::from_utf8(bytes) {
        assert!(sealer.open(text).is_none(), "{text}");
    }
    let sealed = sealer.seal(bytes);
    let opened = sealer.open(&sealed).expect("what was sealed opens");
    assert_eq!(&opened[..], bytes);
    let other = keyring.sealer(Purpose::Pass, "https://meet.example.org");
    assert!(other.open(&sealed).is_none());
    let at = bytes.iter().map(|byte| usize::from(*byte)).sum::<usize>() % sealed.len();
    let mut changed = sealed.into_bytes();
    changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
    let changed = String::from_utf8(changed).unwrap_or_default();
    // The last character has bits that stand for nothing.
    if at + 1 < changed.len() {
        assert!(sealer.open(&changed).is_none(), "{at}");
    }
}

static SESSIONS: LazyLock<SessionCodec> = LazyLock::new(|| {
    let settings = SessionSettings {
        idle: Duration::from_hours(12),
        absolute: Duration::from_hours(24),
    };
    let keyring = Keyring::single([7; 32]);
    let (clock, _) = Clock::manual(Timestamp::from_unix(1_800_000_000));
    SessionCodec::new(&keyring, "https://meet.example.org", settings, clock)
});

/// The codec reads a session that another version sealed, or refuses it; a session that it reads stays the same
/// when it is sealed and read again.
pub(crate) fn session(bytes: &[u8]) {
    let keyring = Keyring::single([7; 32]);
    let sealer = keyring.sealer(Purpose::Session, "https://meet.example.org");
    let Some(session) = SESSIONS.open(&sealer.seal(bytes)) else {
        return;
    };
    if let Ok(sealed) = SESSIONS.seal(&session) {
        assert_eq!(SESSIONS.open(&sealed).as_ref(), Some(&session));
    }
}

/// A token that is read has three parts and an algorithm that is permitted.
pub(crate) fn token(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let allowed = [Algorithm::RS256, Algorithm::ES256];
    if let Ok(jws) = Jws::parse(text, &allowed) {
        assert_eq!(text.split('.').count(), 3, "{text}");
        assert!(allowed.contains(&jws.algorithm()));
    }
}

/// An endpoint that is used is one of HTTPS, and has no credentials.
pub(crate) fn discovery(bytes: &[u8]) {
    const ISSUER: &str = "https://sso.example.org/realms/main";
    let rewriter = EndpointRewriter::new(ISSUER, None).expect("an issuer");
    match ProviderMetadata::parse(bytes, ISSUER, &rewriter) {
        Ok(metadata) => {
            let required = [&metadata.authorization, &metadata.token, &metadata.key_set];
            let optional = [&metadata.end_session, &metadata.userinfo];
            for url in required.into_iter().chain(optional.into_iter().flatten()) {
                assert_eq!(url.scheme(), "https", "{url}");
                assert!(url.domain().is_some() && url.username().is_empty(), "{url}");
            }
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// A key set that is read has a key.
pub(crate) fn key_set(bytes: &[u8]) {
    if let Err(error) = KeySet::parse(bytes) {
        assert!(!error.to_string().is_empty());
    }
}
