use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::testing::principal;

/// When each of so many sockets was ended, in the order in which they were opened, and how long
/// ending all took.
fn ended(sockets: usize, spread: DrainSchedule, random: &Random) -> (Vec<Duration>, Duration) {
    local(async {
        let (live, session) = (ConnectionRegistry::default(), session());
        let began = Instant::now();
        let open: Vec<_> = (0..sockets)
            .map(|_| {
                let mut socket = live.register(Rc::clone(&session), ConnectionKind::Socket, None);
                tokio::task::spawn_local(async move {
                    assert_eq!(socket.closed().await, CloseReason::Shutdown);
                    began.elapsed()
                })
            })
            .collect();
        live.end_sockets(spread, random).await;
        let all = began.elapsed();
        let mut times = Vec::new();
        for socket in open {
            times.push(socket.await.unwrap());
        }
        (times, all)
    })
}

fn session() -> Rc<Principal> {
    principal()
}

fn local<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build_local(tokio::runtime::LocalOptions::default())
        .unwrap()
        .block_on(test)
}

const WINDOW: Duration = Duration::from_secs(45);

#[test]
fn sockets_end_evenly_over_the_window_in_random_order() {
    let spread = DrainSchedule {
        window: WINDOW,
        head_start: 0.5,
    };
    let (times, all) = ended(90, spread, &Random::predictable(7));
    assert_eq!(all, WINDOW);
    let mut sorted = times.clone();
    sorted.sort_unstable();
    for (position, time) in (0u32..).zip(&sorted) {
        let due = Duration::from_millis(250) + Duration::from_millis(500) * position;
        let late = time.saturating_sub(due);
        assert!(
            *time >= due && late < Duration::from_millis(5),
            "{position}: {time:?}"
        );
    }
    assert_ne!(times, sorted);
    // Those who came one after another, as the people of one meeting do, go far apart.
    let near = times
        .windows(2)
        .filter(|pair| pair[0].abs_diff(pair[1]) < WINDOW / 20);
    assert!(near.count() < 20, "{times:?}");
    assert_ne!(times, ended(90, spread, &Random::predictable(8)).0);
}

#[test]
fn without_a_window_all_end_at_once() {
    let (times, all) = ended(50, DrainSchedule::AT_ONCE, &Random::system());
    assert_eq!((times, all), (vec![Duration::ZERO; 50], Duration::ZERO));
}

#[test]
fn who_comes_while_sockets_end_may_stay_until_the_end_as_polls_may() {
    local(async {
        let (live, session) = (ConnectionRegistry::default(), session());
        let spread = DrainSchedule {
            window: WINDOW,
            head_start: 0.0,
        };
        let began = Instant::now();
        let ending = tokio::task::spawn_local({
            let live = live.clone();
            async move { live.end_sockets(spread, &Random::system()).await }
        });
        tokio::time::sleep(Duration::from_secs(1)).await;
        let mut late = live.register(Rc::clone(&session), ConnectionKind::Socket, None);
        let mut poll = live.register(Rc::clone(&session), ConnectionKind::Poll, None);
        let both = async { (late.closed().await, poll.closed().await) };
        assert_eq!(both.await, (CloseReason::Shutdown, CloseReason::Shutdown));
        assert_eq!(began.elapsed(), WINDOW);
        ending.await.unwrap();
        for kind in [ConnectionKind::Socket, ConnectionKind::Poll] {
            let mut later = live.register(Rc::clone(&session), kind, None);
            let later = tokio::time::timeout(WINDOW, later.closed()).await;
            assert_eq!(later, Ok(CloseReason::Shutdown), "{kind:?}");
        }
    });
}

#[test]
fn an_immediate_end_ends_the_rest_of_a_spread() {
    local(async {
        let (live, session) = (ConnectionRegistry::default(), session());
        let mut open: Vec<_> = (0..10)
            .map(|_| live.register(Rc::clone(&session), ConnectionKind::Socket, None))
            .collect();
        let spread = DrainSchedule {
            window: WINDOW,
            head_start: 1.0,
        };
        tokio::task::spawn_local({
            let live = live.clone();
            async move { live.end_sockets(spread, &Random::system()).await }
        });
        tokio::time::sleep(Duration::from_secs(1)).await;
        live.end_sockets(DrainSchedule::AT_ONCE, &Random::system())
            .await;
        let began = Instant::now();
        for socket in &mut open {
            assert_eq!(socket.closed().await, CloseReason::Shutdown);
        }
        assert_eq!(began.elapsed(), Duration::ZERO);
    });
}

proptest! {
    #[test]
    fn none_is_forgotten_and_none_outlives_the_window(
        sockets in 0usize..200,
        seconds in 0u64..100,
        head_start in 0.0f64..=1.0,
    ) {
        let window = Duration::from_secs(seconds);
        let (times, all) = ended(sockets, DrainSchedule { window, head_start }, &Random::system());
        prop_assert_eq!(times.len(), sockets);
        // Tokio's clock has steps of a millisecond.
        let limit = window + Duration::from_millis(2);
        prop_assert!(all <= limit + window / 100 && times.iter().all(|time| *time <= limit));
    }
}

#[test]
fn the_streams_of_clients_that_are_away_are_bounded() {
    local(async {
        let live = ConnectionRegistry::default();
        let register =
            |person: &Rc<Principal>| live.register(Rc::clone(person), ConnectionKind::Socket, None);
        let one = session();
        let mut of_one: Vec<_> = (0..MAX_HELD_OF_ONE).map(|_| register(&one)).collect();
        assert!(of_one.iter().all(Registration::hold));
        let next = register(&one);
        assert!(!next.hold());
        of_one.pop();
        assert!(next.hold());
        let mut others: Vec<_> = (MAX_HELD_OF_ONE..MAX_HELD)
            .map(|_| register(&session()))
            .collect();
        assert!(others.iter().all(Registration::hold));
        let last = register(&session());
        assert!(!last.hold());
        others.pop();
        assert!(last.hold());
        drop((of_one, next, others, last));
        assert_eq!(live.0.borrow().held, 0);
    });
}

#[test]
fn one_owner_has_a_bounded_number_of_sockets_at_locations() {
    let live = ConnectionRegistry::default();
    let kind = ConnectionKind::LocationSocket;
    let school = ConnectionOwner::Address(Some([192, 0, 2, 1].into()));
    let home = ConnectionOwner::Address(Some([192, 0, 2, 2].into()));
    for (owner, other, most) in [
        (
            ConnectionOwner::Principal(session()),
            ConnectionOwner::Principal(session()),
            MAX_LOCATION_SOCKETS_OF_ONE,
        ),
        (school, home, MAX_LOCATION_SOCKETS_OF_ADDRESS),
    ] {
        let open = || live.register_location(owner.clone(), kind);
        let mut sockets: Vec<_> = (0..most).map(|_| open().unwrap()).collect();
        assert!(open().is_none(), "{owner:?}");
        // Requests, and the sockets of others, are not counted.
        let request = live.register_location(owner.clone(), ConnectionKind::LocationRequest);
        assert!(request.is_some(), "{owner:?}");
        assert!(live.register_location(other, kind).is_some());
        sockets.pop();
        assert!(open().is_some(), "{owner:?}");
    }
}
