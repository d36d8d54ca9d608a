//! What is under way: cut off before it ends, it still leaves a sample, and says what became of its connections.

use std::cell::Cell;
use std::time::Instant;

use super::expect::Expect;
use super::sink::{Sink, Work, why_ended};
use crate::base::units::nanos;
use crate::base::{Outcome, Protocol, Reason};
use crate::measure::{self, Sample, StepId};
use crate::net::DialTimes;
use crate::protocol::Connect;
use crate::protocol::http::{Client, Disconnect, Unreported};

/// A timed piece of work under way. Dropped before it has landed, it was interrupted, and its sample says how long it had been
/// until then, and which status had come. How long the connecting took isn't known here, so its service time runs from when it was handed to the driver;
/// nor whether it was sent, so one that sends something is lost.
pub(super) struct Flight<'a, S: Sink> {
    sink: &'a S,
    step: StepId,
    due: Instant,
    began: Instant,
    sends: bool,
    /// What it opens a connection of, where it does nothing else.
    opens: Option<Protocol>,
    in_flight: bool,
    /// The status that has come of its answer, and whether that is an error by itself.
    answered: Cell<Option<(u16, bool)>>,
    begun: S::Begun,
}

impl<'a, S: Sink> Flight<'a, S> {
    /// `sends`: something is sent for it that the peer may act on.
    pub(super) fn new(sink: &'a S, step: StepId, due: Instant, sends: bool) -> Self {
        let begun = sink.begins(Work::Request(step), due);
        Self { sink, step, due, began: Instant::now(), sends, opens: None, in_flight: true, answered: Cell::new(None), begun }
    }

    /// The opening of a session's connection, which began at `began`. TCP sends nothing for it.
    pub(super) fn opening(sink: &'a S, step: StepId, (due, began): (Instant, Instant), protocol: Protocol) -> Self {
        let mut flight = Self::new(sink, step, due, protocol != Protocol::Tcp);
        (flight.opens, flight.began) = (Some(protocol), began);
        flight
    }

    /// It ended, and its sample is reported by somebody else.
    pub(super) fn landed(mut self) {
        self.in_flight = false;
    }
}

impl<S: Sink> Drop for Flight<'_, S> {
    fn drop(&mut self) {
        self.sink.ends(Work::Request(self.step), self.due, std::mem::take(&mut self.begun));
        if !self.in_flight {
            return;
        }
        let now = Instant::now();
        let answered = self.answered.get();
        let sample = Sample {
            response: nanos(now.saturating_duration_since(self.due)),
            service: nanos(now.saturating_duration_since(self.began)),
            outcome: Outcome::Interrupted,
            reason: answered.filter(|(_, wrong)| *wrong).map(|_| Reason::Status),
            status: answered.map_or(0, |(status, _)| status),
            sent: 0,
            received: 0,
        };
        self.sink.sample(self.step, self.due, &sample);
        if self.sends {
            self.sink.lost(self.step, self.due);
        }
        if let Some(protocol) = self.opens {
            self.sink.unconnected(protocol, self.began, None, now.saturating_duration_since(self.began));
            // Until now it heard nothing, whatever would have come of it.
            self.sink.listener_refused(self.step, self.due, now);
        }
    }
}

/// A user's HTTP while it does a request. What became of connections, and of the answer, is reported even where the request is dropped.
pub(super) struct Talk<'a, S: Sink> {
    pub(super) http: &'a mut Client,
    pub(super) flight: &'a Flight<'a, S>,
    pub(super) expect: &'a Expect,
}

impl<S: Sink> Drop for Talk<'_, S> {
    fn drop(&mut self) {
        let unreported = self.http.unreported();
        if unreported.status > 0 {
            self.flight.answered.set(Some((unreported.status, !self.expect.allows(unreported.status))));
        }
        report_connections(self.flight.sink, &unreported);
    }
}

/// Reports connections over HTTP that were not reported yet.
pub(super) fn report_connections<S: Sink>(sink: &S, unreported: &Unreported) {
    if !unreported.is_empty() {
        connections(sink, Instant::now(), &unreported.connects, &unreported.disconnects);
    }
}

/// Reports connections over HTTP that were opened, or ended at `at`.
pub(super) fn connections<S: Sink>(sink: &S, at: Instant, connects: &[Connect], disconnects: &[Disconnect]) {
    connects.iter().for_each(|connect| report_connect(sink, connect));
    for disconnect in disconnects {
        sink.disconnected(Protocol::Http, at, disconnect.reason.map(|reason| why_ended(sink, at, reason)));
    }
}

/// Reports how an attempt to open a connection over HTTP came out.
pub fn report_connect<S: Sink>(sink: &S, connect: &Connect) {
    let began = connect.at.checked_sub(connect.lasted).unwrap_or(connect.at);
    match &connect.result {
        Ok(times) => sink.connected(Protocol::Http, began, connect.at, &connect_times(times)),
        Err(reason) => sink.unconnected(Protocol::Http, began, *reason, connect.lasted),
    }
}

fn connect_times(times: &DialTimes) -> measure::ConnectTimes {
    measure::ConnectTimes {
        total: nanos(times.total),
        dns: times.dns.map(nanos),
        tcp: nanos(times.tcp),
        tls: times.tls.map(nanos),
        handshake: None,
    }
}
