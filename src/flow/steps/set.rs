//! `set`: variables, in written order.

use crate::base::Reason;
use crate::expr::Symbol;
use crate::flow::run::Run;
use crate::flow::sink::Sink;
use crate::flow::stop::Broken;
use crate::flow::types::SetValue;

pub(in crate::flow) fn run<S: Sink>(values: &[(Symbol, SetValue)], run: &mut Run<'_, S>) -> Result<(), Broken> {
    for (symbol, value) in values {
        let value = match value {
            SetValue::Constant(value) => value.clone(),
            SetValue::Expression(expression) => {
                expression.value(&run.user.scope).map_err(|error| run.broken(Reason::Template, format!("set: {error}")))?
            }
        };
        run.user.scope.assign(*symbol, value);
    }
    Ok(())
}
