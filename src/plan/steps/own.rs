//! `set`, `count` and `record`: variables, and metrics of the profile's own.

use super::Builder;
use crate::base::written::{At, Expr};
use crate::flow::{Amounts, SetValue, StepKind};
use crate::measure::{OwnId, OwnKind};

impl Builder<'_, '_> {
    /// Variables in written order.
    pub(super) fn set<'w>(&mut self, values: impl Iterator<Item = &'w (At<String>, Expr)>) -> Option<StepKind> {
        let values: Vec<_> = values.map(|(name, expr)| (self.symbol(name), self.expression(expr))).collect();
        let values: Option<Vec<_>> =
            values.into_iter().map(|(name, expr)| expr.map(|expr| (name, SetValue::Expression(expr)))).collect();
        values.map(StepKind::Set)
    }

    /// Metrics of the profile's own, and by how much.
    pub(super) fn amounts<'w>(&mut self, entries: impl Iterator<Item = &'w (At<String>, Expr)>, count: bool) -> Option<Amounts> {
        let mut amounts = Vec::new();
        let mut wrong = false;
        for (name, expr) in entries {
            let expression = self.expression(&amount(expr));
            let Some(index) = self.layout.own.iter().position(|own| own.name == name.value) else {
                let known: Vec<&str> = self.layout.own.iter().map(|own| own.name.as_str()).collect();
                self.resolver.unknown(name.at, "metric", &name.value, known);
                wrong = true;
                continue;
            };
            let own = &mut self.layout.own[index];
            let mistake = match (&own.kind, count) {
                (OwnKind::Counter, true) | (OwnKind::Gauge | OwnKind::Histogram { .. }, false) => None,
                (OwnKind::GaugeFrom { metric, .. }, _) => Some(format!("`{}` shows {metric}; it can't be set", own.name)),
                (OwnKind::Counter, false) => Some(format!("`{}` is a counter; write count: {{{}: …}}", own.name, own.name)),
                (_, true) => Some(format!("`{}` is no counter; write record: {{{}: …}}", own.name, own.name)),
            };
            if let Some(message) = mistake {
                self.resolver.error(name.at, message);
                wrong = true;
                continue;
            }
            if !own.scenarios.contains(&self.id) {
                own.scenarios.push(self.id);
            }
            self.amounts.push((OwnId::at(index), self.steps));
            match expression {
                Some(expression) => amounts.push((OwnId::at(index), expression)),
                None => wrong = true,
            }
        }
        (!wrong).then_some(amounts)
    }
}

/// An amount that is written as a template, `{{ … }}` alone, as the expression in it; at its place.
fn amount(written: &Expr) -> Expr {
    let source = written.source.trim_end();
    let inner = source.strip_prefix("{{").and_then(|rest| rest.strip_suffix("}}"));
    match inner.filter(|inner| !inner.contains("{{") && !inner.contains("}}")) {
        Some(inner) => Expr { source: format!("  {inner}  "), ..written.clone() },
        None => written.clone(),
    }
}
