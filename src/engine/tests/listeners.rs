//! Users that listen to a server that publishes all the time.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::SinkExt as _;
use tokio_tungstenite::tungstenite::Message;

use super::*;
use crate::measure::{Heard, MessageTotals};

/// Publishes a number every 20 ms to everyone, on a thread of its own. Only the first `at_once` handshakes are answered at once, the others
/// after `later`.
pub(super) struct Publisher {
    address: SocketAddr,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
}

const EVERY: Duration = Duration::from_millis(20);

impl Publisher {
    pub(super) fn start(at_once: u64, later: Duration) -> Self {
        let (sender, receiver) = std::sync::mpsc::channel();
        let (stop, stopping) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let (began, came) = (Instant::now(), Arc::new(AtomicU64::new(0)));
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
                sender.send(listener.local_addr().unwrap()).unwrap();
                let accept = async {
                    while let Ok((stream, _)) = listener.accept().await {
                        let late = came.fetch_add(1, Ordering::SeqCst) >= at_once;
                        tokio::spawn(async move {
                            if late {
                                tokio::time::sleep(later).await;
                            }
                            let mut peer = tokio_tungstenite::accept_async(stream).await.ok()?;
                            let mut turns = tokio::time::interval(EVERY);
                            loop {
                                turns.tick().await;
                                let number = began.elapsed().as_millis() / EVERY.as_millis();
                                peer.send(Message::text(format!("{{\"seq\": {number}}}"))).await.ok()?;
                            }
                            #[expect(unreachable_code, reason = "says what the block answers")]
                            Some(())
                        });
                    }
                };
                tokio::select! { () = accept => {}, _ = stopping => {} }
            });
        });
        Self { address: receiver.recv().unwrap(), stop: Some(stop) }
    }

    /// A plan of a scenario whose users listen for so long.
    pub(super) fn plan(&self, listen: &str, phases: &str) -> Plan {
        let server = Server::start();
        plan(
            &server,
            &format!(
                "scenarios: {{s: {{flow: {{websocket: {{connect: 'ws://{}/', name: room, session: [{{{listen}}}], on: [{{name: m, every: 20ms}}]}}}}}}}}\n\
                 phases: {phases}",
                self.address
            ),
        )
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        drop(self.stop.take());
    }
}

fn heard(drained: &Drained) -> Heard {
    drained.totals.messages.first().map(MessageTotals::heard).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silence_in_which_the_worker_stood_still_is_known_in_either_kind_of_load() {
    for load in ["users: 3", "at_once: 3"] {
        let publisher = Publisher::start(u64::MAX, Duration::ZERO);
        let phases = format!("[{{name: a, duration: 2s, drain: 5s, load: {{s: {{{load}}}}}}}]");
        let mut going = Going::start(publisher.plan("listen: {for: 2500ms}", &phases), workers(1));
        going.until_started(0).await;
        until("all listen", || going.store.gauges.connections(ScenarioId(0), crate::base::Protocol::Websocket) == 3).await;
        going.stall(0, Duration::from_millis(700));
        let done = going.finish().await;
        let heard = heard(&done.drained[0]);
        let seconds = |nanos: u64| nanos as f64 / 1e9;
        assert!(seconds(heard.stood) >= 3.0 * 0.64, "{load}: {heard:?}");
        assert!(heard.stood <= heard.silent && seconds(heard.silent) < seconds(heard.stood) + 1.0, "{load}: {heard:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_long_for_its_session_is_away_until_it_is_open() {
    // Two of four are late; what is awaited is a part of each phase.
    for (later, lasts, repeat, away) in [(0, 1000, 1, 0.0), (400, 1000, 2, 0.0), (1500, 3000, 1, 3.0), (3000, 2000, 2, 6.0)] {
        let publisher = Publisher::start(2, Duration::from_millis(later));
        let phases = format!("[{{name: a, duration: {lasts}ms, drain: 100ms, load: {{s: {{users: 4}}}}}}]\nrepeat: {repeat}");
        let done = Going::start(publisher.plan("hold: ", &phases), workers(2)).finish().await;
        let listeners: Vec<_> = done.drained.iter().map(|drained| heard(drained).listeners).collect();
        let sum = |of: &dyn Fn(&crate::measure::Presence) -> u64| listeners.iter().map(of).sum::<u64>() as f64 / 1e9;
        let (present, was_away) = (sum(&|of| of.present), sum(&|of| of.away));
        assert!((away..=away + 1.0).contains(&was_away), "after {later} ms: {was_away} s of {listeners:?}");
        let all = (4 * lasts * repeat) as f64 / 1e3;
        assert!(present + was_away > all - 1.5 && present + was_away < all + 1.5, "after {later} ms: {listeners:?}");
        if later > lasts {
            assert!(listeners[0].away as f64 / 1e9 > 3.9, "of the first phase all: {listeners:?}");
        }
    }
}
