//! Labels of connections, streams and upstreams.

use http::StatusCode;

use super::label_values;

label_values! {
    /// The class of a response's status.
    pub enum StatusClass {
        /// Informational, `101 Switching Protocols` among them.
        Informational = "1xx",
        /// Successful.
        Success = "2xx",
        /// Redirection, `304 Not Modified` among them.
        Redirection = "3xx",
        /// The client's fault.
        ClientError = "4xx",
        /// The gateway's or an upstream's fault.
        ServerError = "5xx",
    }
}

label_values! {
    /// A limit that a client or the system exceeded.
    pub enum LimitKind {
        /// A request head was too large, or had too many fields or HTTP/2 CONTINUATION frames.
        Head = "head_size",
        /// A request head, or the preface of HTTP/2, did not arrive in time; idle connections end this
        /// way, too.
        HeadTime = "head_time",
        /// A request body was too large.
        Body = "body_size",
        /// A request body did not arrive in time, or its connection broke off.
        BodyTime = "body_time",
        /// A client took too little of what was sent to it.
        SlowReader = "slow_reader",
        /// A client reset too many HTTP/2 streams, or made the gateway reset them.
        StreamResets = "stream_resets",
        /// A client sent too many HTTP/2 PINGs.
        Pings = "http2_pings",
        /// A client sent too many HTTP/2 SETTINGS.
        Settings = "http2_settings",
        /// A client updated HTTP/2 windows too often for what it was sent.
        WindowUpdates = "http2_window_updates",
        /// A client sent too many HTTP/2 DATA frames with no or few bytes.
        SmallData = "http2_small_data",
        /// A client sent too many HTTP/2 frames of other kinds, such as priorities.
        OtherFrames = "http2_other_frames",
        /// Too many connections to an upstream were in use.
        UpstreamConnections = "upstream_connections",
        /// Too many WebSockets and BOSH sessions were open, of one session or address.
        Streams = "streams",
        /// Bodies of BOSH requests took too much memory.
        BodyBytes = "body_bytes",
        /// Too many event streams were open, of one session or in all.
        Events = "event_streams",
        /// Too many WebSockets of locations were open, of one session or address.
        Sockets = "location_sockets",
        /// An address made too many requests.
        Requests = "requests_per_address",
        /// An address began too many sign-ins, or guessed too often.
        SignIns = "sign_ins_per_address",
        /// An API key made too many requests.
        Api = "api_requests",
        /// Too many client connections were open, of all.
        Connections = "connections",
        /// Too many client connections were open, of one address.
        ConnectionsOfAddress = "connections_per_address",
        /// The system provided no socket for a connection, or one of the last
        /// descriptors.
        Accept = "accept",
    }
}

label_values! {
    /// A kind of server behind the gateway.
    pub enum UpstreamKind {
        /// Jitsi's web server.
        Web = "web",
        /// Prosody.
        Xmpp = "xmpp",
        /// The server of a location.
        Location = "location",
        /// Jicofo's HTTP server.
        Jicofo = "jicofo",
    }
}

label_values! {
    /// Why an upstream gave no usable response.
    pub enum UpstreamFailure {
        /// The TCP connection was refused or reset, or the name does not resolve.
        Connect = "connect",
        /// The TCP connection took too long.
        ConnectTimeout = "connect_timeout",
        /// The HTTP handshake on a new connection failed.
        Handshake = "handshake",
        /// Too many connections to it were in use.
        Busy = "busy",
        /// The connection ended before the response began.
        NoAnswer = "no_answer",
        /// The response took too long to begin.
        Timeout = "timeout",
        /// The body of the response paused for too long.
        SilentBody = "silent_body",
        /// The response violates its protocol.
        InvalidResponse = "invalid_response",
    }
}

label_values! {
    /// A kind of long-lived stream.
    pub enum StreamKind {
        /// A WebSocket to Prosody.
        WebSocket = "websocket",
        /// A BOSH session that polls.
        Bosh = "bosh",
        /// Server-sent events for a waiting visitor.
        Events = "events",
        /// A WebSocket of a location.
        Location = "location",
    }
}

label_values! {
    /// How a TLS handshake with a client ended.
    pub enum Handshake {
        /// Completed.
        Ok = "ok",
        /// Refused by either side, or not TLS.
        Failed = "failed",
        /// Not completed in time.
        Timeout = "timeout",
    }
}

// === impl StatusClass ===

impl From<StatusCode> for StatusClass {
    fn from(status: StatusCode) -> Self {
        match status.as_u16() {
            100..=199 => Self::Informational,
            200..=299 => Self::Success,
            300..=399 => Self::Redirection,
            400..=499 => Self::ClientError,
            // hyper parses statuses up to 999; the gateway relays none above 599.
            _ => Self::ServerError,
        }
    }
}
