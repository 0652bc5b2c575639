//! The claims of a person that tokens have.

/// Which of a person's claims tokens have beside the id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PersonalClaims {
    /// The display name.
    pub name: bool,
    /// The e-mail address, which Jitsi shows to everybody in the room, and from whose hash its clients make
    /// the address of a picture at Gravatar.
    pub email: bool,
    /// The address of a picture.
    pub avatar: bool,
}

// === impl PersonalClaims ===

impl PersonalClaims {
    /// All that the gateway knows.
    pub const ALL: Self = Self {
        name: true,
        email: true,
        avatar: true,
    };
}
