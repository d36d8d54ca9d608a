//! The closed sets behind the labels `outcome`, `reason` and `protocol`.
//!
//! Every set is an enum with a dense index, so that counters are arrays and a label can never be invented by traffic.

/// Declares a closed label set: an enum, its members in order, their label values.
macro_rules! label_set {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $label:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum $name { $($(#[$variant_doc])* $variant),+ }

        impl $name {
            /// Every member, in the order of its index.
            pub const ALL: &'static [$name] = &[$($name::$variant),+];
            /// How many members there are.
            pub const COUNT: usize = Self::ALL.len();

            /// The dense index of this member, below [`Self::COUNT`].
            #[inline]
            pub const fn index(self) -> usize {
                self as usize
            }

            /// The value of the label on `/metrics` and in `run.json`.
            pub const fn label(self) -> &'static str {
                match self { $($name::$variant => $label),+ }
            }

            /// The member with this label value.
            pub fn from_label(label: &str) -> Option<Self> {
                match label { $($label => Some($name::$variant),)+ _ => None }
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.label())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let label = <String as serde::Deserialize>::deserialize(deserializer)?;
                let known = || Self::ALL.iter().map(|one| one.label()).collect::<Vec<_>>().join(", ");
                Self::from_label(&label)
                    .ok_or_else(|| serde::de::Error::custom(format!("`{label}` is unknown here; there are {}", known())))
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.label())
            }
        }
    };
}

label_set! {
    /// How one timed piece of work ended.
    Outcome {
        /// Answered, and the answer was as expected.
        Ok = "ok",
        /// Failed, or answered with something that was not expected.
        Error = "error",
        /// No answer within the time limit; its duration is the time elapsed.
        Timeout = "timeout",
        /// Cut off by the end of the drain; its duration is a lower bound.
        Interrupted = "interrupted",
    }
}

impl Outcome {
    /// What latencies are over: answers, timeouts and interrupted work (at the time elapsed, a lower bound). Other errors are
    /// shown by their counts, so that fast failures flatter nobody.
    pub const TIMED: [Outcome; 3] = [Outcome::Ok, Outcome::Timeout, Outcome::Interrupted];
}

label_set! {
    /// Why a request, a connection or a session failed.
    Reason {
        /// The name could not be resolved.
        Dns = "dns",
        /// The peer refused the connection.
        Refused = "refused",
        /// The peer reset the connection.
        Reset = "reset",
        /// A time limit passed.
        Timeout = "timeout",
        /// The TLS handshake or a record failed.
        Tls = "tls",
        /// The peer broke the protocol (a bad frame, half a body, a wrong key).
        Protocol = "protocol",
        /// The status code is not among the expected ones.
        Status = "status",
        /// The expectation `that` does not hold.
        Expect = "expect",
        /// The peer closed a connection that nobody had asked it to close.
        Closed = "closed",
        /// An expression could not be evaluated, so nothing was sent.
        Template = "template",
        /// A data source had no row left, or a required extraction found nothing.
        Data = "data",
        /// The generator itself broke it: its descriptors, ports, memory or threads. Nothing is known of the target.
        Local = "local",
        /// Anything else.
        Other = "other",
    }
}

impl Reason {
    /// Whether a failure for this reason says that the target is away: nothing of it answered.
    pub const fn is_away(self) -> bool {
        matches!(self, Self::Dns | Self::Refused | Self::Reset | Self::Timeout | Self::Tls | Self::Closed)
    }
}

label_set! {
    /// Why an arrival that was due was not started.
    DropReason {
        /// No user was free in time.
        Busy = "busy",
        /// A data source had no row left.
        Data = "data",
        /// The target was away and the profile says not to knock.
        DeadTarget = "dead_target",
    }
}

label_set! {
    /// What a step speaks.
    Protocol {
        /// HTTP/1.1.
        Http = "http",
        /// WebSocket (RFC 6455).
        Websocket = "websocket",
        /// Socket.IO over Engine.IO.
        Socketio = "socketio",
        /// Plain TCP.
        Tcp = "tcp",
    }
}

label_set! {
    /// What a run, a phase or an SLO comes to. A failure beats inconclusive, which beats a pass, which beats none.
    #[derive(Default)]
    Verdict {
        /// Nothing was required, or nothing could be judged.
        #[default]
        None = "none",
        /// Every requirement was met.
        Pass = "pass",
        /// It is not known, and the reason is given.
        Inconclusive = "inconclusive",
        /// A requirement was not met.
        Fail = "fail",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_round_trip_and_indexes_are_dense() {
        for (i, reason) in Reason::ALL.iter().enumerate() {
            assert_eq!(reason.index(), i);
            assert_eq!(Reason::from_label(reason.label()), Some(*reason));
        }
        assert_eq!(Outcome::COUNT, 4);
        assert_eq!(DropReason::DeadTarget.label(), "dead_target");
        assert_eq!(Protocol::from_label("gopher"), None);
    }
}
