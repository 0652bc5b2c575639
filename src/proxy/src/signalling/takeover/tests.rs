use model::negotiation::ResumableStream;
use tokio::io::{DuplexStream, duplex};

use super::*;

/// A Prosody that has the stream, with the acknowledgements that its client sent.
struct Server {
    stream: DuplexStream,
    received: Vec<u8>,
    /// Prosody 0.12 ends a stream with a failed acknowledgement, Prosody 13 does not.
    ends_by_count: bool,
    stanzas: std::ops::RangeInclusive<u32>,
}

// === impl Server ===

impl Server {
    /// The next message; none at the end.
    async fn message(&mut self) -> Option<Element> {
        loop {
            // A client's frame with a mask of zero.
            let [_, second, rest @ ..] = &self.received[..] else {
                self.read().await?;
                continue;
            };
            let (extended, length) = match second & 0x7f {
                126 => (
                    2,
                    rest.first_chunk().map(|chunk| u16::from_be_bytes(*chunk)),
                ),
                short => (0, Some(u16::from(short))),
            };
            let begin = 2 + extended + 4;
            let payload = length.and_then(|length| {
                let range = begin..begin + usize::from(length);
                self.received.get(range.clone()).map(|_| range)
            });
            let Some(payload) = payload else {
                self.read().await?;
                continue;
            };
            let text = String::from_utf8(self.received[payload.clone()].to_vec()).unwrap();
            self.received.drain(..payload.end);
            return Some(Element::parse(&text).unwrap_or_else(|_| Element::new("garbage", "")));
        }
    }

    async fn read(&mut self) -> Option<()> {
        let read = self.stream.read_buf(&mut self.received).await.unwrap();
        (read > 0).then_some(())
    }

    /// Serves one connection; gives the names of what it was sent, and whether the stream has ended.
    async fn serve(mut self) -> (Vec<String>, bool) {
        let mut names = Vec::new();
        let mut resumed = false;
        while let Some(message) = self.message().await {
            names.push(message.name().to_owned());
            let handled = || message.attribute("h").unwrap().parse::<u32>().unwrap();
            let answers: &[&str] = match message.name() {
                "open" => &["<open/>", "<stream:features><sm/></stream:features>"],
                "auth" => &["<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>"],
                "resume" if self.stanzas.contains(&handled()) => {
                    resumed = true;
                    &["<resumed xmlns='urn:xmpp:sm:3'/>", "<message/>"]
                }
                "resume" => &["<failed xmlns='urn:xmpp:sm:3'/>"],
                "close" if resumed => return (names, true),
                _ => &[],
            };
            for answer in answers {
                let frame = [
                    &[0x81, u8::try_from(answer.len()).unwrap()],
                    answer.as_bytes(),
                ];
                self.stream.write_all(&frame.concat()).await.unwrap();
            }
            if message.name() == "resume" && !resumed && self.ends_by_count {
                return (names, true);
            }
        }
        (names, false)
    }
}

#[test]
fn a_stream_ends_by_its_count_or_as_the_client_would_end_it() {
    // Prosody 0.12, whether it has the connection; the client's count, and the stanzas since.
    let cases = [
        (true, true, 0, 0, vec!["resume"], true),
        (
            false,
            true,
            5,
            4,
            vec!["resume", "resume", "presence", "close"],
            true,
        ),
        (true, false, 5, 4, vec!["resume", "presence", "close"], true),
        (
            false,
            false,
            5,
            4,
            vec!["resume", "presence", "close"],
            true,
        ),
        (false, true, 50, 4, vec!["resume", "resume"], false),
    ];
    for (ends_by_count, connected, handled, stanzas, expected, ends) in cases {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build_local(tokio::runtime::LocalOptions::default());
        runtime.unwrap().block_on(async {
            let (own, stream) = duplex(4096);
            let server = Server {
                stream,
                received: Vec::new(),
                ends_by_count,
                stanzas: 7..=11,
            };
            let serving = tokio::task::spawn_local(server.serve());
            let lost = LostStream {
                stream: ResumableStream {
                    id: "abc".to_owned(),
                    domain: "meet.jitsi".to_owned(),
                    handled,
                },
                stanzas,
                connected,
            };
            end_over(own, &lost).await.unwrap();
            let (names, ended) = serving.await.unwrap();
            assert_eq!(names[..3], ["open", "auth", "open"]);
            assert_eq!(
                names[3..],
                expected,
                "{ends_by_count} {connected} {handled}"
            );
            assert_eq!(ended, ends);
        });
    }
}
