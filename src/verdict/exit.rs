//! What the process answers with, and how several answers become one.

use crate::base::Verdict;

/// How a run, or a command over several profiles, ended: the exit code of the process.
///
/// The order is that of badness: of several the greatest counts, a failure first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// 0: every requirement was met, or nothing was required.
    Pass,
    /// 3: whether a requirement was met isn't known.
    Inconclusive,
    /// 130: someone interrupted it, and nothing had failed until then.
    Interrupted,
    /// 4: the run could not be carried out (set-up failed, no connection to the target came up).
    NotCarriedOut,
    /// 2: the profile or the command line is wrong, so nothing was run.
    Usage,
    /// 1: an SLO or a check of `verify` failed.
    Fail,
}

impl Exit {
    /// The exit code.
    pub const fn code(self) -> u8 {
        match self {
            Self::Pass => 0,
            Self::Fail => 1,
            Self::Usage => 2,
            Self::Inconclusive => 3,
            Self::NotCarriedOut => 4,
            Self::Interrupted => 130,
        }
    }

    /// Of several profiles the worst, a failure first; of none a pass.
    pub fn worst(exits: impl IntoIterator<Item = Self>) -> Self {
        exits.into_iter().max().unwrap_or(Self::Pass)
    }
}

impl From<Verdict> for Exit {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::None | Verdict::Pass => Self::Pass,
            Verdict::Inconclusive => Self::Inconclusive,
            Verdict::Fail => Self::Fail,
        }
    }
}

/// The verdict over several: a failure beats inconclusive, which beats a pass, which beats none. Over nothing it is none.
pub fn combine(verdicts: impl IntoIterator<Item = Verdict>) -> Verdict {
    verdicts.into_iter().max().unwrap_or(Verdict::None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_beats_everything() {
        use Verdict::*;
        assert_eq!(combine([Pass, Inconclusive, Fail, Inconclusive]), Fail);
        assert_eq!(combine([Inconclusive, Pass]), Inconclusive);
        assert_eq!(combine([None, Pass, None]), Pass);
        assert_eq!(combine([]), None);
        let all = [Exit::Interrupted, Exit::Pass, Exit::Fail, Exit::NotCarriedOut, Exit::Inconclusive];
        assert_eq!(Exit::worst(all).code(), 1);
        assert_eq!(Exit::worst([Exit::Pass, Exit::from(Inconclusive)]).code(), 3);
        assert_eq!(Exit::worst([Exit::Inconclusive, Exit::NotCarriedOut]).code(), 4);
        assert_eq!(Exit::worst([Exit::Inconclusive, Exit::Interrupted]).code(), 130);
        assert_eq!(Exit::worst([]).code(), 0);
    }
}
