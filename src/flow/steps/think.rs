//! `think`: a pause, after which the next step is due.

use crate::flow::run::Run;
use crate::flow::sink::Sink;
use crate::flow::stop::Broken;
use crate::flow::types::Think;

pub(in crate::flow) async fn run<S: Sink>(think: Think, run: &mut Run<'_, S>) -> Result<(), Broken> {
    let length = think.draw(&mut run.user.scope.random());
    run.due += length;
    run.user.scope.waits();
    run.wait_until(run.due).await
}
