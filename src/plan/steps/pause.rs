//! `think`, and other waits of a drawn length.

use std::time::Duration;

use super::Builder;
use crate::base::written::{Form, Of};
use crate::flow::{StepKind, Think};
use crate::profile::written::{self, Spread, ThinkSpan};

impl Builder<'_, '_> {
    pub(super) fn think(&mut self, think: &written::Think) -> StepKind {
        let (resolved, mean, longest) = drawn(think);
        self.pace.pause(mean, longest);
        StepKind::Think(resolved)
    }
}

/// A length, its mean, and about the longest that it can be.
pub(super) type Length = (Think, Duration, Duration);

/// A length as written.
pub(super) fn drawn(think: &written::Think) -> Length {
    match think {
        Form::Short(written) => span(written),
        Form::Long(details) => spread(details.mean.value, details.distribution.map(|distribution| distribution.value)),
    }
}

/// A length, or a range of them.
pub(super) fn span(written: &Of<ThinkSpan>) -> Length {
    let (from, to) = (written.value.from, written.value.to);
    let think = if from == to { Think::Constant(from) } else { Think::Range(from, to) };
    (think, (from + to) / 2, to)
}

/// A length that is spread around its mean.
pub(super) fn spread(mean: Duration, distribution: Option<Spread>) -> Length {
    let think = match distribution.unwrap_or(Spread::Exponential) {
        Spread::Exponential => Think::Exponential(mean),
        Spread::Normal => Think::Normal(mean),
    };
    (think, mean, mean * 3)
}
