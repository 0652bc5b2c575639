//! The whole gateway with stand-ins for the provider and Jitsi.

mod access;
mod admission;
mod api;
mod apps;
mod attacks;
mod audited_streams;
mod balancers;
mod bosh_streams;
mod broken_polls;
mod client_certificate;
mod closing_upstream;
mod conference_requests;
mod connection_limits;
mod corpus;
mod crashes;
mod events;
mod field_values;
mod flood;
mod frames;
mod frontchannel_logout;
mod guest_names;
mod handoff;
mod handover;
mod handshakes;
mod held_connections;
mod hostile;
mod http2_conformance;
mod http2_sockets;
mod http_semantics;
mod integrations;
mod killed_sign_ins;
mod link_times;
mod links;
mod location_ends;
mod locations;
mod logout_address;
mod made_up_credentials;
mod occupants;
mod outage;
mod over_tokens;
mod page_links;
mod provider_faults;
mod pushed_requests;
mod recorders;
mod refused_apps;
mod regions;
mod reloads;
mod request_rates;
mod restarts;
mod revalidation;
mod reverse_proxies;
mod revocation;
mod room_names;
mod rooms;
mod secrets;
mod several_providers;
mod shard_names;
mod sign_in;
mod sign_in_parameters;
mod sign_in_rush;
mod silent_renewals;
mod step_up;
mod stopping;
mod store_faults;
mod stream_limits;
mod systems;
mod transport;
mod unauthenticated;
mod uncompleted_pages;
mod upstream_faults;
mod visits;
mod wakeups;
mod without_provider;

/// A BOSH body that creates a session.
pub(crate) const CREATE: &str = "<body xmlns='http://jabber.org/protocol/httpbind' rid='100' to='meet.jitsi' \
    ver='1.6' wait='60' hold='1' xml:lang='en' xmpp:version='1.0' xmlns:xmpp='urn:xmpp:xbosh'/>";

/// The `sid` in the response to `CREATE`, as the gateway issues it.
pub(crate) fn sid_of(answer: &str) -> &str {
    let (_, rest) = answer
        .split_once(" sid=")
        .unwrap_or_else(|| panic!("no id in {answer}"));
    let quote = rest.chars().next().unwrap();
    rest[1..].split(quote).next().unwrap()
}
