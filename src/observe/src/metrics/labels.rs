//! Label values. Each label is an enum, so the number of series is fixed at compile time and no
//! value comes from a client.

mod api;
mod cache;
mod connections;
mod control;
mod people;

pub use self::{
    api::{ApiOperation, ApiOutcome},
    cache::CacheOutcome,
    connections::{Handshake, LimitKind, StatusClass, StreamKind, UpstreamFailure, UpstreamKind},
    control::{
        AcmeOutcome, PlacementOutcome, ProviderOutcome, ProviderRequest, ReloadOutcome,
        RevalidationResult, StoreOutcome,
    },
    people::{AdmissionReason, CutReason, EntryRole, LogoutOutcome, SignInReason},
};
use model::route::{Label, Transport};

/// An enum that is a label: every value is known and has a number.
pub trait LabelValue: Copy + Send + Sync + 'static {
    /// All values, by `index`.
    const ALL: &'static [Self];

    /// The position in `ALL`.
    fn index(self) -> usize;

    /// The value as it is written.
    fn as_str(self) -> &'static str;
}

/// Declares an enum whose variants are the values of a label, each with its text.
macro_rules! label_values {
    (
        $(#[$about:meta])*
        pub enum $name:ident {
            $($(#[$variant_about:meta])* $variant:ident = $text:literal,)+
        }
    ) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$variant_about])* $variant,)+
        }

        impl $name {
            /// All values, in the order of their numbers.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The value as metrics and logs write it.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)+
                }
            }
        }

        impl $crate::metrics::labels::LabelValue for $name {
            const ALL: &'static [Self] = Self::ALL;

            fn index(self) -> usize {
                self as usize
            }

            fn as_str(self) -> &'static str {
                self.as_str()
            }
        }

        impl ::prometheus_client::encoding::EncodeLabelValue for $name {
            fn encode(
                &self,
                encoder: &mut ::prometheus_client::encoding::LabelValueEncoder<'_>,
            ) -> ::std::fmt::Result {
                ::prometheus_client::encoding::EncodeLabelValue::encode(
                    &self.as_str(),
                    encoder,
                )
            }
        }
    };
}
pub(super) use label_values;

// === impl Label ===

impl LabelValue for Label {
    const ALL: &'static [Self] = &Self::ALL;

    fn index(self) -> usize {
        self as usize
    }

    fn as_str(self) -> &'static str {
        self.as_str()
    }
}

// === impl Transport ===

impl LabelValue for Transport {
    const ALL: &'static [Self] = &[Self::Bosh, Self::WebSocket];

    fn index(self) -> usize {
        self as usize
    }

    fn as_str(self) -> &'static str {
        self.as_str()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn check<L: LabelValue>() {
        let texts: BTreeSet<_> = L::ALL.iter().map(|value| value.as_str()).collect();
        assert_eq!(texts.len(), L::ALL.len(), "{texts:?}");
        for (index, value) in L::ALL.iter().enumerate() {
            assert_eq!(value.index(), index, "{}", value.as_str());
        }
        for text in texts {
            let is_word = text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            assert!(is_word && !text.is_empty(), "{text}");
        }
    }

    #[test]
    fn values_are_distinct_words_in_the_order_of_their_numbers() {
        check::<AdmissionReason>();
        check::<ApiOperation>();
        check::<ApiOutcome>();
        check::<CacheOutcome>();
        check::<CutReason>();
        check::<EntryRole>();
        check::<Handshake>();
        check::<Label>();
        check::<LimitKind>();
        check::<LogoutOutcome>();
        check::<AcmeOutcome>();
        check::<PlacementOutcome>();
        check::<ProviderOutcome>();
        check::<ProviderRequest>();
        check::<ReloadOutcome>();
        check::<RevalidationResult>();
        check::<SignInReason>();
        check::<StatusClass>();
        check::<StoreOutcome>();
        check::<StreamKind>();
        check::<Transport>();
        check::<UpstreamFailure>();
        check::<UpstreamKind>();
    }
}
