//! `think`: pauses.

use super::Builder;
use crate::base::written::Form;
use crate::flow::{StepKind, Think};
use crate::profile::written::{self, Spread};

impl Builder<'_, '_> {
    pub(super) fn think(&mut self, think: &written::Think) -> StepKind {
        let (resolved, mean, longest) = match think {
            Form::Short(span) => {
                let (from, to) = (span.value.from, span.value.to);
                let think = if from == to { Think::Constant(from) } else { Think::Range(from, to) };
                (think, (from + to) / 2, to)
            }
            Form::Long(spread) => {
                let mean = spread.mean.value;
                let think = match spread.distribution.map_or(Spread::Exponential, |spread| spread.value) {
                    Spread::Exponential => Think::Exponential(mean),
                    Spread::Normal => Think::Normal(mean),
                };
                (think, mean, mean * 3)
            }
        };
        self.pace.pause(mean, longest);
        StepKind::Think(resolved)
    }
}
