//! Set-up, verify and teardown: one flow, once for the whole run, by one user on a thread of its own.
//!
//! It has a deadline, at which what is under way is cut off. Asked to end before, it begins nothing new: what is on its way
//! comes in and is remembered, so that a teardown knows of all that a set-up made. Asked to end at once it is cut off.

mod sink;

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use tokio::sync::{oneshot, watch};
use tokio::task::LocalSet;

use crate::base::Outcome;
use crate::base::units::nanos;
use crate::expr::{Layer, Symbol, Value};
use crate::flow::{self, End, User};
use crate::load::Share;
use crate::measure::{CheckId, Set, Store, Totals};
use crate::plan::{Plan, Stage, StageKind};
use crate::protocol::http;

use super::examples::{ErrorExample, Examples};
use super::picker::{Picker, Who};
use super::stock::Stock;
use super::{Carried, Options};
use sink::StageSink;

/// What is to be done.
pub struct StageOrder {
    /// The plan; it has the stage.
    pub plan: Arc<Plan>,
    /// Where it is recorded.
    pub store: Arc<Store>,
    /// Which.
    pub kind: StageKind,
    /// How the run is carried out.
    pub options: Options,
    /// What came before.
    pub carried: Carried,
}

/// A stage under way.
pub struct StageRun {
    /// How it ended, once it has.
    pub end: oneshot::Receiver<StageEnd>,
    wish: watch::Sender<Wish>,
    set: Arc<Set>,
}

/// How a stage ended.
#[derive(Debug)]
pub struct StageEnd {
    /// When it began.
    pub started: SystemTime,
    /// When it was over.
    pub ended: SystemTime,
    /// How it went.
    pub how: StageHow,
    /// The variables that its steps set; for set-up: what all that follows can read.
    pub variables: Vec<(Symbol, Value)>,
    /// What it recorded.
    pub totals: Totals,
    /// How checks failed, each the first time that it did.
    pub unheld: Vec<(CheckId, String)>,
    /// Examples of its errors.
    pub examples: Vec<ErrorExample>,
}

/// How a stage went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StageHow {
    /// All steps were done. A check may have failed, which the totals tell.
    Completed,
    /// A check failed, and what followed was left out.
    CheckFailed,
    /// A step failed: which, and why.
    Failed(String),
    /// Its time was over.
    OutOfTime,
    /// It was asked to end before all was done.
    Stopped,
}

/// What a stage is wanted to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Wish {
    GoOn,
    /// Begin nothing new.
    End,
    /// Be cut off.
    EndAtOnce,
}

impl StageRun {
    /// Begins nothing new: what is on its way comes in and is remembered.
    pub fn stop(&self) {
        self.wish(Wish::End);
    }

    /// Cuts it off.
    pub fn interrupt(&self) {
        self.wish(Wish::EndAtOnce);
    }

    fn wish(&self, wish: Wish) {
        self.wish.send_if_modified(|before| std::mem::replace(before, wish.max(*before)) < wish);
    }

    /// What it has recorded so far.
    pub fn totals(&self) -> Totals {
        self.set.totals()
    }
}

/// Begins a stage, recording into `order.store`.
///
/// # Errors
/// The plan has no such stage, or no thread or runtime can be had.
pub fn stage(order: StageOrder) -> io::Result<StageRun> {
    let phase = order.plan.stages.get(order.kind).map(|stage| stage.phase);
    let phase = phase.ok_or_else(|| io::Error::other(format!("the profile has no `{}`", order.kind.label())))?;
    let set = order.store.open(phase);
    let (wish, wished) = watch::channel(Wish::GoOn);
    let (tell, end) = oneshot::channel();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let recording = set.clone();
    std::thread::Builder::new().name(order.kind.label().to_owned()).spawn(move || {
        let end = LocalSet::new().block_on(&runtime, carry_out(&order, &recording, wished));
        order.store.retire(recording);
        // Nobody waits for it any more: then nobody wants to know.
        let _ = tell.send(end);
    })?;
    Ok(StageRun { end, wish, set })
}

async fn carry_out(order: &StageOrder, set: &Arc<Set>, mut wished: watch::Receiver<Wish>) -> StageEnd {
    let (started, began) = (SystemTime::now(), Instant::now());
    let examples = Rc::new(Examples::default());
    let mut end = StageEnd {
        started,
        ended: started,
        how: StageHow::Stopped,
        variables: Vec::new(),
        totals: Totals::empty(&order.plan.layout),
        unheld: Vec::new(),
        examples: Vec::new(),
    };
    let Some(stage) = order.plan.stages.get(order.kind) else { return end };
    let sink = StageSink::new(order, stage, set.clone(), examples.clone(), wished.clone());
    let mut user = new_user(order, stage);
    let how = {
        let flow = flow::once(&stage.flow, &mut user, &sink);
        tokio::select! {
            biased;
            // Whoever could have asked for an end is gone: it is not wanted any more.
            _ = wished.wait_for(|wish| *wish == Wish::EndAtOnce) => StageHow::Stopped,
            done = flow => how(done, &sink),
            () = tokio::time::sleep(stage.timeout) => StageHow::OutOfTime,
        }
    };
    user.close(&sink);
    let outcome = match &how {
        StageHow::Completed => Outcome::Ok,
        StageHow::CheckFailed | StageHow::Failed(_) => Outcome::Error,
        StageHow::OutOfTime => Outcome::Timeout,
        StageHow::Stopped => Outcome::Interrupted,
    };
    set.iteration(stage.scenario, nanos(began.elapsed()), outcome);
    order.carried.lists.publish();
    end.variables = user.take_variables();
    end.ended = SystemTime::now();
    end.how = how;
    end.totals = set.totals();
    end.unheld = sink.unheld();
    end.examples = examples.all();
    end
}

fn new_user(order: &StageOrder, stage: &Stage) -> User {
    let parts = order.carried.shared(&order.plan, order.options, stage.scenario.index());
    let mut user = User::new(0, &Arc::new(parts));
    user.enter_phase(order.kind.label());
    if let Some(all) = super::pool::shared_connections(&stage.flow) {
        user.share(Rc::new(http::Pool::new(all)));
    }
    if !stage.rows.is_empty() {
        // None of them can run out: a plan has no stage that names such data.
        let (data, stock) = (&order.plan.data, Arc::new(Stock::new(&order.plan.data, 1)));
        let picker = Picker::new(data, order.plan.seed, stock, order.carried.lists.clone(), Share::ALONE);
        let who = Who { scenario: stage.scenario.index() as u64, user: 0, iteration: Who::LIFE };
        picker.put(&stage.rows, None, who, Layer::Start, user.scope_mut());
    }
    user
}

fn how(done: Result<(), (End, String)>, sink: &StageSink) -> StageHow {
    match done {
        Ok(()) => StageHow::Completed,
        Err((End::CutShort, _)) if sink.a_check_failed() => StageHow::CheckFailed,
        Err((End::CutShort, _)) => StageHow::Stopped,
        Err((_, why)) if why.is_empty() => StageHow::Failed("a step failed, and its user was to end".to_owned()),
        Err((_, why)) => StageHow::Failed(why),
    }
}
