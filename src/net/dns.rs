//! Names to addresses, through the system's resolver.
//!
//! An answer, and a failure too, is used again for [`FRESH`] or as long as is asked for, so that a thousand users who connect at once ask once: as
//! visitors behind one resolver would. Users who share an answer start at different addresses of it.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, oneshot};

use super::local::{self, Limit};
use crate::base::Reason;

/// How long an answer is used again. Short, so that a name that moves is followed.
const FRESH: Duration = Duration::from_secs(1);
/// More names than any profile writes down; names made by templates are forgotten beyond it.
const MAX_NAMES: usize = 1024;

/// Look-ups at a time, each on a thread of its own: the system's resolver makes its caller wait.
static LOOK_UPS: Semaphore = Semaphore::const_new(256);

/// Why there is no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unresolved {
    /// The resolver says so, in these words.
    #[error("{0}")]
    Unknown(String),
    /// This machine could not ask.
    #[error("{0}")]
    Local(Limit),
}

impl Unresolved {
    /// The label under which it is counted.
    pub(super) fn reason(&self) -> Reason {
        match self {
            Unresolved::Unknown(_) => Reason::Dns,
            Unresolved::Local(_) => Reason::Local,
        }
    }

    fn by(error: &io::Error) -> Self {
        Limit::of_file(error).map_or_else(|| Self::Unknown(error.to_string()), Self::Local)
    }
}

/// The addresses of a host, in the order to try them.
pub(super) struct FoundAddresses {
    pub addresses: Vec<SocketAddr>,
    /// Whether a name was resolved at all; an address as written needs no DNS.
    pub asked: bool,
}

#[derive(Default)]
struct Answer {
    at: Option<Instant>,
    addresses: Vec<IpAddr>,
    failure: Option<Unresolved>,
    uses: usize,
}

type Slot = Arc<tokio::sync::Mutex<Answer>>;
static NAMES: LazyLock<Mutex<HashMap<String, Slot>>> = LazyLock::new(Mutex::default);

fn slot(host: &str) -> Slot {
    // A panic while the lock is held leaves the map whole, so a poisoned lock is as good as any.
    let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(slot) = names.get(host) {
        return Arc::clone(slot);
    }
    if names.len() >= MAX_NAMES {
        names.clear();
    }
    Arc::clone(names.entry(host.to_owned()).or_default())
}

/// Resolves `host`, an address with or without the brackets of IPv6 or a name, by an answer no older than `refresh`.
pub(super) async fn resolve(host: &str, port: u16, refresh: Option<Duration>) -> Result<FoundAddresses, Unresolved> {
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    if let Ok(address) = bare.parse::<IpAddr>() {
        return Ok(FoundAddresses { addresses: vec![SocketAddr::new(address, port)], asked: false });
    }
    resolve_by(&slot(host), port, refresh, Instant::now, look_up(host.to_owned())).await
}

/// Asks the system's resolver.
async fn look_up(host: String) -> Result<Vec<IpAddr>, Unresolved> {
    // Never closed.
    let _turn = LOOK_UPS.acquire().await;
    let (sender, receiver) = oneshot::channel();
    let ask = move || {
        // A resolver that can't open its files or sockets says that the name isn't known.
        let short = local::is_short_of_files();
        let found = (host.as_str(), 0).to_socket_addrs().map(|found| found.map(|address| address.ip()).collect());
        let found = found.map_err(|error| {
            let short = short.or_else(local::is_short_of_files);
            short.map_or_else(|| Unresolved::by(&error), Unresolved::Local)
        });
        let _ = sender.send(found); // nobody waits any more
    };
    std::thread::Builder::new()
        .name("resolver".to_owned())
        .spawn(ask)
        .map_err(|error| Unresolved::Local(Limit::of_thread(&error)))?;
    receiver.await.unwrap_or_else(|_| Err(Unresolved::Unknown("the system's resolver panicked".to_owned())))
}

/// The same by an answer in its slot, which `ask` fills where it is too old.
async fn resolve_by(
    slot: &Slot,
    port: u16,
    refresh: Option<Duration>,
    clock: impl Fn() -> Instant,
    ask: impl Future<Output = Result<Vec<IpAddr>, Unresolved>>,
) -> Result<FoundAddresses, Unresolved> {
    // Whoever comes first asks; the others wait here for its answer. If it is dropped, the next one asks.
    let mut answer = slot.lock().await;
    // A failure is not kept for longer than others would keep it: the name may be back in a moment.
    let lasts = refresh.filter(|_| answer.failure.is_none()).unwrap_or(FRESH);
    if answer.at.is_none_or(|at| clock().saturating_duration_since(at) > lasts) {
        match ask.await {
            Ok(found) => {
                answer.addresses = alternate(found.into_iter());
                answer.failure = None;
            }
            // Nothing was asked, so that there is nothing to keep.
            Err(error @ Unresolved::Local(_)) => return Err(error),
            Err(error) => answer.failure = Some(error),
        }
        answer.at = Some(clock());
    }
    if let Some(failure) = &answer.failure {
        return Err(failure.clone());
    }
    if answer.addresses.is_empty() {
        return Err(Unresolved::Unknown("the name has no address".to_owned()));
    }
    answer.uses = answer.uses.wrapping_add(1);
    let addresses = rotate(&answer.addresses, answer.uses - 1);
    Ok(FoundAddresses { addresses: addresses.map(|ip| SocketAddr::new(ip, port)).collect(), asked: true })
}

/// The families in turn, each in the resolver's order, so that a family that leads nowhere costs one attempt (RFC 8305).
fn alternate(found: impl Iterator<Item = IpAddr>) -> Vec<IpAddr> {
    let mut all: Vec<IpAddr> = Vec::new();
    for address in found {
        if !all.contains(&address) {
            all.push(address);
        }
    }
    let Some(first) = all.first().map(IpAddr::is_ipv6) else { return all };
    let (mut leading, mut others) = (Vec::new(), Vec::new());
    for address in all {
        if address.is_ipv6() == first { leading.push(address) } else { others.push(address) }
    }
    let mut others = others.into_iter();
    let mut mixed = Vec::new();
    for address in leading {
        mixed.push(address);
        mixed.extend(others.next());
    }
    mixed.extend(others);
    mixed
}

/// The same addresses, those of the leading family turned by `by`.
fn rotate(addresses: &[IpAddr], by: usize) -> impl Iterator<Item = IpAddr> + '_ {
    let family = addresses.first().is_some_and(IpAddr::is_ipv6);
    let leading: Vec<IpAddr> = addresses.iter().copied().filter(|ip| ip.is_ipv6() == family).collect();
    let mut next = by;
    addresses.iter().map(move |ip| {
        if ip.is_ipv6() != family {
            return *ip;
        }
        next += 1;
        leading[(next - 1) % leading.len()]
    })
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use super::*;

    fn ips(text: &str) -> Vec<IpAddr> {
        text.split_whitespace().map(|ip| ip.parse().unwrap()).collect()
    }

    #[test]
    fn families_alternate_and_addresses_rotate() {
        let mixed = alternate(ips("::1 ::2 ::1 10.0.0.1 10.0.0.2 10.0.0.3").into_iter());
        assert_eq!(mixed, ips("::1 10.0.0.1 ::2 10.0.0.2 10.0.0.3"));
        assert_eq!(rotate(&mixed, 1).collect::<Vec<_>>(), ips("::2 10.0.0.1 ::1 10.0.0.2 10.0.0.3"));
        assert_eq!(rotate(&mixed, 2).collect::<Vec<_>>(), mixed);
        assert!(alternate(std::iter::empty()).is_empty());
    }

    /// A resolver that gives each answer once, and a clock that is put forward.
    struct Script {
        slot: Slot,
        answers: RefCell<Vec<Result<&'static str, Unresolved>>>,
        now: Cell<Instant>,
    }

    impl Script {
        fn new(answers: Vec<Result<&'static str, Unresolved>>) -> Self {
            Self { slot: Slot::default(), answers: RefCell::new(answers), now: Cell::new(Instant::now()) }
        }

        fn pass(&self, time: Duration) {
            self.now.set(self.now.get() + time);
        }

        /// The first address that connecting gets, or what failed.
        async fn first(&self, refresh: Option<Duration>) -> String {
            let ask = async { self.answers.borrow_mut().remove(0).map(ips) };
            match resolve_by(&self.slot, 80, refresh, || self.now.get(), ask).await {
                Ok(found) => found.addresses[0].ip().to_string(),
                Err(error) => error.to_string(),
            }
        }
    }

    #[tokio::test]
    async fn an_answer_is_used_for_as_long_as_is_asked_for_and_then_asked_anew() {
        for (refresh, lasts) in [(None, FRESH), (Some(Duration::from_secs(30)), Duration::from_secs(30))] {
            let script = Script::new(vec![Ok("10.0.0.1"), Ok("10.0.0.2"), Ok("10.0.0.3")]);
            assert_eq!(script.first(refresh).await, "10.0.0.1");
            script.pass(lasts);
            assert_eq!(script.first(refresh).await, "10.0.0.1");
            script.pass(Duration::from_millis(1));
            assert_eq!(script.first(refresh).await, "10.0.0.2");
            script.pass(lasts);
            // Another way to the same target may ask for a fresher one.
            assert_eq!(script.first(Some(lasts / 2)).await, "10.0.0.3");
        }
    }

    #[tokio::test]
    async fn a_failure_is_not_kept_for_longer_than_an_answer_without_refresh() {
        let refresh = Some(Duration::from_secs(30));
        let away = |text: &str| Err(Unresolved::Unknown(text.to_owned()));
        let script = Script::new(vec![away("away"), Ok("10.0.0.1"), away("away again")]);
        assert_eq!(script.first(refresh).await, "away");
        script.pass(FRESH);
        assert_eq!(script.first(refresh).await, "away");
        script.pass(Duration::from_millis(1));
        assert_eq!(script.first(refresh).await, "10.0.0.1");
        script.pass(Duration::from_secs(31));
        assert_eq!(script.first(refresh).await, "away again");
    }

    #[tokio::test]
    async fn a_look_up_that_this_machine_could_not_make_is_made_by_the_next_who_asks() {
        let short = Unresolved::by(&io::Error::from_raw_os_error(libc::EMFILE));
        assert_eq!((short.reason(), Unresolved::by(&io::Error::other("no")).reason()), (Reason::Local, Reason::Dns));
        let script = Script::new(vec![Err(short), Ok("10.0.0.1")]);
        assert_eq!(script.first(None).await, "too many open files: raise `ulimit -n`");
        assert_eq!(script.first(None).await, "10.0.0.1");
    }

    #[tokio::test]
    async fn who_comes_at_once_shares_one_answer_and_starts_at_different_addresses() {
        let slot = Slot::default();
        let asked = Cell::new(0);
        let ask = || async {
            asked.set(asked.get() + 1);
            tokio::task::yield_now().await;
            Ok(ips("10.0.0.1 10.0.0.2"))
        };
        let all = futures_util::future::join_all((0..4).map(|_| resolve_by(&slot, 80, None, Instant::now, ask()))).await;
        let firsts: Vec<String> = all.into_iter().map(|found| found.unwrap().addresses[0].ip().to_string()).collect();
        assert_eq!((asked.get(), firsts), (1, ["10.0.0.1", "10.0.0.2", "10.0.0.1", "10.0.0.2"].map(str::to_owned).to_vec()));
    }

    #[tokio::test]
    async fn addresses_need_no_resolver_and_names_do() {
        let literal = resolve("[::1]", 80, None).await.unwrap();
        assert_eq!((literal.addresses, literal.asked), (vec!["[::1]:80".parse().unwrap()], false));
        let named = resolve("localhost", 81, None).await.unwrap();
        assert!(named.asked && named.addresses.iter().all(|a| a.ip().is_loopback() && a.port() == 81));
        assert!(resolve("no-such-host.invalid", 80, None).await.is_err());
    }
}
