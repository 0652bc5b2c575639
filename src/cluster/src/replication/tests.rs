use super::*;
use crate::store::{StoreError, testing::FaultyStore};

/// Publishes its inputs as texts and keeps a log of its calls.
struct Recorder {
    log: UnboundedSender<String>,
    undelivered: usize,
}

/// A replication of a [`Recorder`] over a store.
struct Harness {
    store: Arc<FaultyStore>,
    inputs: UnboundedSender<&'static str>,
    log: UnboundedReceiver<String>,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

// === impl Recorder ===

impl StateMachine for Recorder {
    const TOPIC: Topic = Topic::Presence;

    type Input = &'static str;
    type Completion = Result<(), StoreError>;

    fn apply(&mut self, inputs: Vec<&'static str>, outbox: &mut Outbox<Self::Completion>) {
        for text in inputs {
            self.undelivered += 1;
            outbox.write(|store| async move { store.publish(Self::TOPIC, text).await });
        }
    }

    fn receive(&mut self, text: &str, _: &mut Outbox<Self::Completion>) {
        let _ = self.log.send(format!("message {text}"));
    }

    fn resync(&mut self, _: &mut Outbox<Self::Completion>) {
        let _ = self.log.send("resync".to_owned());
    }

    fn disconnect(&mut self) {
        let _ = self.log.send("disconnect".to_owned());
    }

    fn complete(&mut self, completion: Self::Completion, _: &mut Outbox<Self::Completion>) {
        self.undelivered -= usize::from(completion.is_ok());
    }

    fn deadline(&self) -> Option<Instant> {
        None
    }

    fn expire(&mut self, _: Instant, _: &mut Outbox<Self::Completion>) {}

    fn queue_final_writes(&mut self, outbox: &mut Outbox<Self::Completion>) {
        self.undelivered += 1;
        outbox.write(|store| async move { store.publish(Self::TOPIC, "final").await });
    }

    fn undelivered(&self) -> usize {
        self.undelivered
    }
}

// === impl Harness ===

impl Harness {
    fn start() -> Self {
        let store = FaultyStore::new();
        let (inputs, received_inputs) = inbox();
        let (log, received_lines) = inbox();
        let machine = Recorder {
            log,
            undelivered: 0,
        };
        let stop = CancellationToken::new();
        let replication = Replication::new(machine, received_inputs);
        let task = tokio::spawn(replication.run(Arc::clone(&store) as _, stop.clone()));
        Self {
            store,
            inputs,
            log: received_lines,
            stop,
            task,
        }
    }

    async fn run_until_idle(&mut self) -> Vec<String> {
        testing::run_until_idle().await;
        let mut log = Vec::new();
        while let Ok(line) = self.log.try_recv() {
            log.push(line);
        }
        log
    }
}

#[tokio::test(start_paused = true)]
async fn resync_runs_at_start_on_reconnect_and_on_lag() {
    let mut harness = Harness::start();
    assert_eq!(harness.run_until_idle().await, ["resync"]);
    harness.store.disconnect();
    harness.store.reconnect();
    assert_eq!(harness.run_until_idle().await, ["disconnect", "resync"]);
    for _ in 0..2000 {
        harness.store.inject(StoreEvent::Message {
            topic: Topic::Shard,
            text: "foreign".into(),
        });
    }
    assert_eq!(harness.run_until_idle().await, ["resync"]);
}

#[tokio::test(start_paused = true)]
async fn writes_keep_their_order_while_the_store_is_slow() {
    let mut harness = Harness::start();
    harness.run_until_idle().await;
    harness.store.stall();
    for text in ["1", "2", "3"] {
        harness.inputs.send(text).unwrap();
    }
    assert!(harness.run_until_idle().await.is_empty());
    harness.store.recover();
    let expected = ["message 1", "message 2", "message 3"];
    assert_eq!(harness.run_until_idle().await, expected);
}

#[tokio::test(start_paused = true)]
async fn queued_inputs_and_final_writes_are_delivered_at_stop() {
    let harness = Harness::start();
    let mut events = harness.store.subscribe();
    harness.inputs.send("queued").unwrap();
    harness.stop.cancel();
    harness.task.await.unwrap();
    for expected in ["queued", "final"] {
        let (_, text) = crate::store::testing::next_message(&mut events).await;
        assert_eq!(&*text, expected);
    }
    assert!(harness.inputs.is_closed());
}

#[tokio::test(start_paused = true)]
async fn a_store_that_never_responds_delays_the_stop_by_the_limit_only() {
    let mut harness = Harness::start();
    harness.run_until_idle().await;
    harness.store.stall();
    harness.inputs.send("stuck").unwrap();
    harness.run_until_idle().await;
    let began = Instant::now();
    harness.stop.cancel();
    harness.task.await.unwrap();
    assert_eq!(began.elapsed().as_secs(), FINAL_WRITES_TIMEOUT.as_secs());
}
