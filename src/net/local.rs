//! Errors that this machine's own limits and rules cause. They say nothing of the target, so they are never counted against it.
//!
//! What the peer or the network says is not among them: a route that leads nowhere or a refusal may come from either side. EACCES
//! and EPERM are, since no answer from outside becomes one of the two: a security rule or a route of this machine forbids the
//! call. A firewall of this machine that drops or rejects looks like one elsewhere: it stays a `timeout` or `refused`.

use std::io;

/// What this machine lacks, or doesn't allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Limit {
    /// The process has as many files open as it may.
    #[error("too many open files: raise `ulimit -n`")]
    Files,
    /// The machine has as many files open as it may.
    #[error("this machine has too many open files: raise fs.file-max")]
    AllFiles,
    /// No local address and port is left.
    #[error("no local port is left: reuse connections, connect `from` more addresses, or widen net.ipv4.ip_local_port_range")]
    Ports,
    /// The kernel has no memory for it.
    #[error("the kernel has no memory for it: ask for less load, or give this machine more memory")]
    Memory,
    /// No thread can be started.
    #[error("no thread can be started: raise the limit of processes (`ulimit -u`, `TasksMax` of systemd, `pids` of a container)")]
    Threads,
    /// The kernel takes no more sockets to watch.
    #[error("no more sockets can be watched: raise fs.epoll.max_user_watches")]
    Watches,
    /// A rule of this machine forbids it.
    #[error("this machine doesn't allow it: look at its firewall, its routes and its security rules")]
    Rules,
}

impl Limit {
    /// What stood in the way, if an error of a socket is this machine's own.
    pub fn of(error: &io::Error) -> Option<Self> {
        match code(error).unwrap_or_default() {
            libc::EADDRNOTAVAIL | libc::EADDRINUSE => Some(Self::Ports),
            libc::ENOSPC => Some(Self::Watches),
            libc::EACCES | libc::EPERM => Some(Self::Rules),
            _ => Self::of_file(error),
        }
    }

    /// The same of an error of a file: whether it may be read is the profile's matter, not this machine's.
    pub fn of_file(error: &io::Error) -> Option<Self> {
        if let Some(limit) = error.get_ref().and_then(|inner| inner.downcast_ref::<Self>()) {
            return Some(*limit);
        }
        match code(error)? {
            libc::EMFILE => Some(Self::Files),
            libc::ENFILE => Some(Self::AllFiles),
            libc::ENOMEM | libc::ENOBUFS => Some(Self::Memory),
            _ => None,
        }
    }

    /// The same of an error of starting a thread: whatever keeps it from that is of this machine.
    pub fn of_thread(error: &io::Error) -> Self {
        Self::of_file(error).unwrap_or(Self::Threads)
    }
}

/// The system's number of an error, which may stand within others.
fn code(error: &io::Error) -> Option<i32> {
    if let Some(code) = error.raw_os_error() {
        return Some(code);
    }
    let mut inner = error.get_ref().map(|inner| inner as &(dyn std::error::Error + 'static));
    while let Some(cause) = inner {
        if let Some(io) = cause.downcast_ref::<io::Error>() {
            return code(io);
        }
        inner = cause.source();
    }
    None
}

/// Whether the process can't open two files more, which is what a look-up of a name needs: its own errors don't say so.
pub(super) fn is_short_of_files() -> Option<Limit> {
    let open = || std::fs::File::open("/");
    match open().and_then(|first| open().map(|second| (first, second))) {
        Ok(_) => None,
        Err(error) => Limit::of_file(&error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Reason;
    use crate::net::dial::{explain, reason_of};

    fn by(code: i32) -> io::Error {
        io::Error::from_raw_os_error(code)
    }

    #[test]
    fn what_this_machine_lacks_is_local_and_says_what_to_do() {
        for (code, words) in [
            (libc::EMFILE, "too many open files: raise `ulimit -n`"),
            (libc::ENFILE, "raise fs.file-max"),
            (libc::EADDRNOTAVAIL, "no local port is left: reuse connections"),
            (libc::EADDRINUSE, "net.ipv4.ip_local_port_range"),
            (libc::ENOMEM, "give this machine more memory"),
            (libc::ENOBUFS, "no memory"),
            (libc::ENOSPC, "fs.epoll.max_user_watches"),
            (libc::EACCES, "this machine doesn't allow it"),
            (libc::EPERM, "its firewall"),
        ] {
            let error = by(code);
            assert_eq!(reason_of(&error), Reason::Local, "{error}");
            assert!(explain(&error).contains(words), "{}", explain(&error));
            // However deep it stands.
            let within = io::Error::other(io::Error::new(io::ErrorKind::InvalidData, error));
            assert_eq!((reason_of(&within), explain(&within)), (Reason::Local, explain(&by(code))));
        }
        assert!(Limit::of_thread(&by(libc::EAGAIN)).to_string().contains("ulimit -u"));
        assert_eq!(Limit::of_thread(&by(libc::ENOMEM)), Limit::Memory);
    }

    #[test]
    fn what_the_peer_or_the_network_says_is_not() {
        for (code, reason) in [
            (libc::ECONNREFUSED, Reason::Refused),
            (libc::ECONNRESET, Reason::Reset),
            (libc::EPIPE, Reason::Reset),
            (libc::ETIMEDOUT, Reason::Timeout),
            (libc::EHOSTUNREACH, Reason::Other),
            (libc::ENETUNREACH, Reason::Other),
            (libc::EAGAIN, Reason::Other),
        ] {
            assert_eq!((reason_of(&by(code)), Limit::of(&by(code))), (reason, None));
        }
        // An address that isn't this machine's is the profile's mistake.
        let foreign = io::Error::new(io::ErrorKind::AddrNotAvailable, "`from: 192.0.2.1` cannot be used on this machine");
        assert_eq!(reason_of(&foreign), Reason::Other);
        for code in [libc::EACCES, libc::ENOENT, libc::EPERM] {
            assert_eq!(Limit::of_file(&by(code)), None, "a file that may not be read");
        }
        assert_eq!(is_short_of_files(), None);
    }
}
