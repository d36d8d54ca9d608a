//! `http`: a request, the judgement of its answer, extraction and checks.

use std::time::{Duration, Instant};

use crate::base::trace::TraceId;
use crate::base::units::nanos;
use crate::base::{Outcome, Reason};
use crate::expr::{Response, Value};
use crate::flow::expect::Wrong;
use crate::flow::flight::{Flight, Talk, connections};
use crate::flow::run::Run;
use crate::flow::session::alongside;
use crate::flow::sink::{Failure, Sink};
use crate::flow::stop::Broken;
use crate::flow::types::HttpStep;
use crate::measure::{LEAST_BODY, Sample, Transfer};
use crate::protocol::Sent;
use crate::protocol::http::{Exchange, Uploaded};

pub(in crate::flow) async fn run<S: Sink>(step: &HttpStep, run: &mut Run<'_, S>) -> Result<(), Broken> {
    let due = run.due;
    let exchange = {
        let user = &mut *run.user;
        match step.request.prepare(&user.scope) {
            Ok(mut prepared) => {
                let trace = if step.trace { prepared.begin_trace() } else { None };
                let credentials = step.request.credentials(&prepared);
                user.http.knock().is_for(step.id);
                let flight = Flight::new(run.sink, step.id, due, true);
                let talk = Talk { http: &mut user.http, flight: &flight, expect: &step.expect };
                let exchange = match &mut run.session {
                    None => talk.http.perform(&step.request, prepared, user.pool.as_deref()).await,
                    Some(session) => {
                        let exchange = talk.http.perform(&step.request, prepared, user.pool.as_deref());
                        Box::pin(alongside(session, Box::pin(exchange))).await
                    }
                };
                drop(talk);
                flight.landed();
                Ok((exchange, credentials, trace))
            }
            Err(error) => Err(error),
        }
    };
    match exchange {
        Ok((exchange, credentials, trace)) => {
            run.due = exchange.ended;
            run.sink.credentials(&credentials, &exchange.headers);
            connections(run.sink, exchange.ended, &exchange.connects, &exchange.disconnects);
            if let Some(detail) = &exchange.stray {
                // No error of this request, and yet what a report should show.
                let secrets = |text: &str| run.user.secrets(text);
                let failure = Failure { reason: Reason::Protocol, status: 0, detail, body: &[], secrets: &secrets };
                run.sink.failure(step.id, due, &failure);
            }
            answered(step, due, exchange, (credentials, trace), run)
        }
        Err(error) => {
            run.due = due.max(Instant::now());
            let nothing = Exchanged {
                outcome: Outcome::Error,
                status: 0,
                service: Duration::ZERO,
                sent: 0,
                received: 0,
                uploaded: None,
                downloaded: 0,
                processing: Duration::ZERO,
                lost: false,
                credentials: Sent::default(),
                trace: None,
            };
            let wrong = Some((error.reason(), error.to_string()));
            let response = Response { error: Some(error.reason()), ..Response::default() };
            conclude(step, due, &nothing, response, wrong, run)
        }
    }
}

/// What a sample needs of an exchange.
struct Exchanged {
    outcome: Outcome,
    status: u16,
    service: Duration,
    sent: u64,
    received: u64,
    /// The upload, if it was one.
    uploaded: Option<Box<Uploaded>>,
    /// Bytes of the answer's body.
    downloaded: u64,
    processing: Duration,
    /// It was sent and not answered.
    lost: bool,
    credentials: Sent,
    /// The trace that it was sent with.
    trace: Option<TraceId>,
}

impl Exchanged {
    /// What it moved: speeds of bodies that are long enough, by the service time.
    fn transfer(&self, download: bool) -> Transfer {
        let speed = |bytes: u64| {
            let rate = bytes as f64 / self.service.as_secs_f64();
            (bytes >= LEAST_BODY && rate.is_finite()).then_some(rate)
        };
        // An upload whose answer came before its end shows nothing.
        let uploaded = self.uploaded.as_ref().filter(|uploaded| uploaded.complete);
        Transfer {
            upload: uploaded.and_then(|uploaded| speed(uploaded.length)),
            download: if download { speed(self.downloaded) } else { None },
            processing: uploaded.map(|_| nanos(self.processing)),
        }
    }
}

/// There was an exchange: an answer, or why there is none.
fn answered<S: Sink>(
    step: &HttpStep,
    due: Instant,
    exchange: Exchange,
    (credentials, trace): (Sent, Option<TraceId>),
    run: &mut Run<'_, S>,
) -> Result<(), Broken> {
    let (service, lost) = (exchange.service(), exchange.is_lost());
    let wrong = match exchange.outcome {
        Outcome::Ok => step.expect.judge_status(exchange.status),
        _ => Some((exchange.reason.unwrap_or(Reason::Other), exchange.detail.unwrap_or_default())),
    };
    let exchanged = Exchanged {
        lost,
        outcome: exchange.outcome,
        status: exchange.status,
        service,
        sent: exchange.sent,
        received: exchange.received,
        uploaded: exchange.upload,
        downloaded: exchange.body_bytes,
        processing: exchange.processing,
        credentials,
        trace,
    };
    let response = Response {
        // An answer that broke off is none.
        status: if exchange.outcome == Outcome::Ok { exchange.status } else { 0 },
        headers: exchange.headers,
        body: exchange.body,
        duration: exchange.ended.saturating_duration_since(due).as_secs_f64(),
        service: service.as_secs_f64(),
        wait: exchange.wait.as_secs_f64(),
        processing: exchange.processing.as_secs_f64(),
        bytes: exchange.received,
        body_bytes: exchange.body_bytes,
        sent_bytes: exchange.sent,
        sha256: exchange.sha256,
        error: wrong.as_ref().map(|(reason, _)| *reason),
    };
    conclude(step, due, &exchanged, response, wrong, run)
}

/// Extraction, the rest of the judgement, the sample, the checks; in this order, since each may use what is before it.
fn conclude<S: Sink>(
    step: &HttpStep,
    due: Instant,
    exchanged: &Exchanged,
    response: Response,
    wrong: Option<Wrong>,
    run: &mut Run<'_, S>,
) -> Result<(), Broken> {
    let (sink, ended) = (run.sink, run.due);
    let scope = &mut run.user.scope;
    let body = response.body.clone();
    scope.set_response(response);
    digests(step, exchanged.uploaded.as_deref(), scope);
    let missing = extract(step, scope);
    let wrong = wrong.or(missing).or_else(|| step.expect.judge_that(scope));
    let outcome = match (exchanged.outcome, &wrong) {
        (Outcome::Ok, Some(_)) => Outcome::Error,
        (outcome, _) => outcome,
    };
    let sample = Sample {
        response: nanos(ended.saturating_duration_since(due)),
        service: nanos(exchanged.service),
        outcome,
        reason: wrong.as_ref().map(|(reason, _)| *reason),
        status: exchanged.status,
        sent: exchanged.sent,
        received: exchanged.received,
    };
    sink.sample(step.id, due, &sample);
    if exchanged.lost {
        sink.lost(step.id, due);
    }
    if let Some(trace) = exchanged.trace {
        sink.traced(step.id, due, &sample, trace);
    }
    if outcome == Outcome::Ok && (exchanged.uploaded.is_some() || step.request.spec().discard_body) {
        sink.transfer(step.id, due, &exchanged.transfer(step.request.spec().discard_body));
    }
    let sent = || -> Vec<String> { exchanged.credentials.secrets().collect() };
    if let Some((reason, detail)) = &wrong {
        let secrets = |text: &str| run.user.secrets(text).into_iter().chain(sent()).collect();
        let failure = Failure { reason: *reason, status: exchanged.status, detail, body: &body, secrets: &secrets };
        sink.failure(step.id, due, &failure);
    }
    for (check, expression) in &step.checks {
        run.check(*check, due, expression, &sent);
    }
    match wrong {
        None => Ok(()),
        Some((reason, detail)) => Err(Broken::because(reason, format!("step `{}` failed ({reason}): {detail}", step.name))),
    }
}

/// Sets the variables of what was uploaded; those of parts that weren't sent to their end are unset.
fn digests(step: &HttpStep, uploaded: Option<&Uploaded>, scope: &mut crate::expr::Scope) {
    for (index, symbol) in step.digests.iter().enumerate() {
        match uploaded.and_then(|uploaded| uploaded.digests.get(index)?.as_deref()) {
            Some(hex) => scope.assign(*symbol, Value::from(hex)),
            None => scope.unset(*symbol),
        }
    }
}

/// Sets the step's variables; those that aren't found are unset. Reports the first that is required and missing.
fn extract(step: &HttpStep, scope: &mut crate::expr::Scope) -> Option<Wrong> {
    let mut missing = None;
    for (symbol, extract) in &step.extract {
        let found = match scope.response() {
            Some(response) => extract.from_response(response),
            None => Ok(None),
        };
        match found {
            Ok(Some(value)) => scope.assign(*symbol, value),
            Ok(None) => scope.unset(*symbol),
            Err(error) => {
                scope.unset(*symbol);
                missing = missing.or_else(|| Some((Reason::Data, error.to_string())));
            }
        }
    }
    missing
}
