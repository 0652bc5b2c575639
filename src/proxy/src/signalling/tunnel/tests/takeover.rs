//! Streams that their own connection does not end.

use super::*;

/// A takeover that notes whose stream it was called for.
fn takeover() -> (Takeover, Rc<RefCell<Vec<LostStream>>>) {
    let taken = Rc::new(RefCell::new(Vec::new()));
    let notes = Rc::clone(&taken);
    let takeover: Takeover = Rc::new(move |lost| {
        notes.borrow_mut().push(lost);
        Box::pin(std::future::ready(()))
    });
    (takeover, taken)
}

/// The same with a takeover.
fn rig_with_takeover(buffer: usize) -> (Rig, Rc<RefCell<Vec<LostStream>>>) {
    let (people, registration) = People::new();
    let (client, client_end) = duplex(buffer);
    let (prosody, prosody_end) = duplex(buffer);
    let (takeover, taken) = takeover();
    let tunnel = Tunnel {
        takeover: Some(takeover),
        ..tunnel(client_end, prosody_end, registration)
    };
    let rig = Rig {
        people,
        client,
        prosody,
        tunnel: spawn_local(run(tunnel, Duration::from_hours(1))),
    };
    (rig, taken)
}

#[test]
fn a_stream_that_prosody_does_not_end_is_taken_over_within_a_second() {
    // How full the way to Prosody is; whether the client stays, and whether Prosody ends the stream.
    let cases = [
        (0, true, false),
        (0, false, false),
        (600, true, false),
        (600, false, false),
        (0, true, true),
    ];
    for (sent, stays, ends) in cases {
        local(async {
            let (mut rig, taken) = rig_with_takeover(512);
            rig.negotiate(true).await;
            for message in ["<message/>", "<r/>", "<iq xmlns='jabber:client'/>"] {
                exchange(&mut rig.prosody, &mut rig.client, &text(message)).await;
            }
            for _ in 0..sent / 20 {
                rig.client
                    .write_all(&masked("<message xmlns='x'/>"))
                    .await
                    .unwrap();
            }
            sleep(Duration::from_millis(1)).await;
            let mut watching = None;
            if !stays {
                drop(rig.client);
                // A full way to Prosody hides the end of the client.
                if sent == 0 {
                    let (_, held) = rig.tunnel.await.unwrap();
                    watching = Some(spawn_local(held.unwrap().watch(Duration::from_hours(1))));
                }
            }
            rig.people.revoke();
            let began = Instant::now();
            if ends {
                let mut end = vec![0; stream_end().len()];
                rig.prosody.read_exact(&mut end).await.unwrap();
                drop(rig.prosody);
                sleep(Duration::from_secs(1)).await;
                assert!(taken.borrow().is_empty());
                return;
            }
            while taken.borrow().is_empty() {
                sleep(Duration::from_millis(10)).await;
            }
            assert!(
                began.elapsed() < Duration::from_millis(600),
                "{:?}",
                began.elapsed()
            );
            let lost = taken.borrow()[0].clone();
            assert_eq!(
                (&*lost.stream.id, lost.stanzas, lost.connected),
                ("1", 2, true)
            );
            assert_eq!(lost.stream.domain, "meet.jitsi");
            if let Some(watching) = watching {
                watching.await.unwrap();
            }
        });
    }
}

#[test]
fn a_stream_whose_connection_prosody_closed_is_taken_over_when_its_person_is_revoked() {
    // Whether Prosody had closed the stream, too.
    for over in [false, true] {
        local(async {
            let (mut rig, taken) = rig_with_takeover(512);
            rig.negotiate(true).await;
            if over {
                let close = text("<close xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>");
                exchange(&mut rig.prosody, &mut rig.client, &close).await;
            }
            drop(rig.prosody);
            assert!(rest_of(&mut rig.client).await.is_empty());
            drop(rig.client);
            let (_, held) = rig.tunnel.await.unwrap();
            assert_eq!(held.is_none(), over);
            let Some(held) = held else { return };
            let watching = spawn_local(held.watch(Duration::from_hours(1)));
            rig.people.revoke();
            assert!(matches!(
                watching.await.unwrap(),
                Some(CloseReason::Revoked(_))
            ));
            assert!(!taken.borrow()[0].connected);
        });
    }
}
