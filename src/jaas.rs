//! 8x8 JaaS in place of a Jitsi of one's own.
