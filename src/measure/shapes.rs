//! The buckets of every histogram, by the layout.

use super::hist::Buckets;
use super::layout::{Layout, OwnKind};

/// The buckets of every histogram of a layout, made once and shared by all sets.
#[derive(Debug)]
pub struct Shapes {
    /// By [`StepId`](super::StepId).
    pub response: Vec<Buckets>,
    /// By [`StepId`](super::StepId).
    pub service: Vec<Buckets>,
    /// By [`ScenarioId`](super::ScenarioId).
    pub iteration: Vec<Buckets>,
    /// By [`ScenarioId`](super::ScenarioId).
    pub connect: Vec<Buckets>,
    /// By [`GroupId`](super::GroupId).
    pub group: Vec<Buckets>,
    /// By [`StepId`](super::StepId): how long sessions last; those of other steps aren't used.
    pub session: Vec<Buckets>,
    /// By [`MessageId`](super::MessageId).
    pub message: Vec<Buckets>,
    /// By [`OwnId`](super::OwnId); those of other kinds aren't used.
    pub own: Vec<Buckets>,
    /// Bytes a second.
    pub speed: Buckets,
    /// Durations without thresholds.
    pub plain: Buckets,
}

impl Shapes {
    /// The buckets of a layout's histograms.
    pub fn new(layout: &Layout) -> Self {
        Self {
            response: layout.steps.iter().map(|step| Buckets::seconds(&step.thresholds)).collect(),
            service: layout.steps.iter().map(|step| Buckets::seconds(&step.service_thresholds)).collect(),
            iteration: layout.scenarios.iter().map(|s| Buckets::seconds(&s.iteration_thresholds)).collect(),
            connect: layout.scenarios.iter().map(|s| Buckets::seconds(&s.connect_thresholds)).collect(),
            group: layout.groups.iter().map(|group| Buckets::seconds(&group.thresholds)).collect(),
            session: layout.steps.iter().map(|step| Buckets::seconds(step.session.as_deref().unwrap_or_default())).collect(),
            message: layout.messages.iter().map(|message| Buckets::seconds(&message.thresholds)).collect(),
            own: layout
                .own
                .iter()
                .map(|own| match &own.kind {
                    OwnKind::Histogram { bounds: Some(bounds), .. } => Buckets::values(bounds),
                    OwnKind::Histogram { unit, bounds: None } => Buckets::of_unit(unit),
                    _ => Buckets::values(&[]),
                })
                .collect(),
            speed: Buckets::of_unit("bytes_per_second"),
            plain: Buckets::seconds(&[]),
        }
    }
}
