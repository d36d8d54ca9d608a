//! The way to a target: from which addresses of this machine, by how fresh an answer of DNS, through which proxy, to which address.
//!
//! One [`Route`] serves all connections that are made alike; the addresses of [`RouteOptions::from`] are taken in turn over
//! all of them, so that they carry evenly much. The environment (`HTTP_PROXY` and the like) is never asked.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::net::{TcpSocket, TcpStream};

use super::host_port::HostPort;
use super::local::Limit;
use super::proxy::Proxy;

/// What can be said of the way, as plain data: `from`, `dns`, `http_proxy`, `connect_to`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct RouteOptions {
    /// Addresses of this machine to connect from, in turn; the kernel chooses if there is none.
    pub from: Vec<IpAddr>,
    /// How long an answer of DNS is used; if absent, each connection asks anew, where answers of the last second count for
    /// all.
    pub refresh: Option<Duration>,
    /// The proxy to go through.
    pub proxy: Option<Proxy>,
    /// Where connections go instead of a place that is asked for (`connect_to`).
    pub connect_to: Vec<(HostPort, HostPort)>,
}

/// One way, shared by all connections that take it.
#[derive(Debug, Default)]
pub struct Route {
    options: RouteOptions,
    /// How many connections have been made from [`RouteOptions::from`].
    turns: AtomicUsize,
}

impl Route {
    /// The way with these options.
    pub fn new(options: RouteOptions) -> Arc<Self> {
        Arc::new(Self { options, turns: AtomicUsize::new(0) })
    }

    /// Straight to the target, as the system has it. One for all of the process.
    pub fn direct() -> Arc<Self> {
        static DIRECT: OnceLock<Arc<Route>> = OnceLock::new();
        Arc::clone(DIRECT.get_or_init(Arc::default))
    }

    /// What was asked for.
    pub fn options(&self) -> &RouteOptions {
        &self.options
    }

    /// The proxy, if there is one.
    pub fn proxy(&self) -> Option<&Proxy> {
        self.options.proxy.as_ref()
    }

    /// Where connections to this host and port go instead, if a place is named. An entry with a port goes first.
    pub fn instead_of(&self, host: &str, port: u16) -> Option<(&str, u16)> {
        let fits = |with_port| {
            let mut all = self.options.connect_to.iter();
            all.find(|(asked, _)| asked.port.is_some() == with_port && asked.covers(host, port))
        };
        let (_, to) = fits(true).or_else(|| fits(false))?;
        Some((&to.host, to.port.unwrap_or(port)))
    }

    /// Connects to `to`, from the address whose turn it is. One that has no port left is passed over.
    pub(super) async fn connect(&self, to: SocketAddr) -> io::Result<TcpStream> {
        let all = &self.options.from;
        if all.is_empty() {
            return TcpStream::connect(to).await;
        }
        let turn = self.turns.fetch_add(1, Ordering::Relaxed);
        let fitting: Vec<IpAddr> = all.iter().copied().filter(|from| from.is_ipv4() == to.is_ipv4()).collect();
        let mut last = io::Error::new(
            io::ErrorKind::AddrNotAvailable,
            format!("no address of `from` can reach {}; add one of its family (IPv4 or IPv6)", to.ip()),
        );
        for n in 0..fitting.len() {
            match connect_from(fitting[(turn + n) % fitting.len()], to).await {
                // That one has no port left says more than that another can't be used.
                Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => {
                    if Limit::of(&last).is_none() {
                        last = error;
                    }
                }
                done => return done,
            }
        }
        Err(last)
    }
}

impl PartialEq for Route {
    fn eq(&self, other: &Self) -> bool {
        self.options == other.options
    }
}

async fn connect_from(from: IpAddr, to: SocketAddr) -> io::Result<TcpStream> {
    let socket = if to.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    choose_port_late(&socket)?;
    socket
        .bind(SocketAddr::new(from, 0))
        .map_err(|error| io::Error::new(error.kind(), format!("`from: {from}` cannot be used on this machine ({error})")))?;
    socket.connect(to).await
}

/// The port is chosen when the destination is known, so that each destination has all of them: see ip(7).
#[cfg(target_os = "linux")]
fn choose_port_late(socket: &TcpSocket) -> io::Result<()> {
    use std::os::fd::AsRawFd;
    let on: libc::c_int = 1;
    let length = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the descriptor is open, and the value is an int of the length given.
    let result = unsafe {
        libc::setsockopt(socket.as_raw_fd(), libc::IPPROTO_IP, libc::IP_BIND_ADDRESS_NO_PORT, (&raw const on).cast(), length)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Elsewhere a port is taken at once.
#[cfg(not(target_os = "linux"))]
fn choose_port_late(_: &TcpSocket) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    fn from(addresses: &[&str]) -> Arc<Route> {
        let from = addresses.iter().map(|address| address.parse().unwrap()).collect();
        Route::new(RouteOptions { from, ..RouteOptions::default() })
    }

    #[tokio::test]
    async fn addresses_take_turns() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let to = listener.local_addr().unwrap();
        let route = from(&["127.0.0.2", "127.0.0.3"]);
        let mut seen = Vec::new();
        for _ in 0..4 {
            let _stream = route.connect(to).await.unwrap();
            seen.push(listener.accept().await.unwrap().1.ip().to_string());
        }
        assert_eq!(seen, ["127.0.0.2", "127.0.0.3", "127.0.0.2", "127.0.0.3"]);
    }

    #[test]
    fn an_entry_with_the_port_goes_before_one_without() {
        let place = |text: &str| HostPort::parse(text).unwrap();
        let connect_to = vec![
            (place("Shop.test"), place("127.0.0.2")),
            (place("shop.test:81"), place("[::1]:82")),
            (place("127.0.0.1:80"), place("other")),
        ];
        let route = Route::new(RouteOptions { connect_to, ..RouteOptions::default() });
        assert_eq!(route.instead_of("shop.TEST", 80), Some(("127.0.0.2", 80)));
        assert_eq!(route.instead_of("shop.test", 81), Some(("::1", 82)));
        assert_eq!(route.instead_of("127.0.0.1", 80), Some(("other", 80)));
        assert_eq!(route.instead_of("www.shop.test", 80), None);
    }

    #[tokio::test]
    async fn one_port_serves_several_destinations_since_it_is_chosen_late() {
        // A socket that is bound early holds its port for itself; one that is bound late shows none until it connects.
        let socket = TcpSocket::new_v4().unwrap();
        choose_port_late(&socket).unwrap();
        socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
        assert_eq!(socket.local_addr().unwrap().port(), 0);
    }

    #[tokio::test]
    async fn what_cannot_be_used_says_so() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let to = listener.local_addr().unwrap();
        let error = from(&["192.0.2.1"]).connect(to).await.unwrap_err();
        assert!(error.to_string().starts_with("`from: 192.0.2.1` cannot be used on this machine"), "{error}");
        let error = from(&["::1"]).connect(to).await.unwrap_err();
        assert_eq!(error.to_string(), "no address of `from` can reach 127.0.0.1; add one of its family (IPv4 or IPv6)");
        // One that can't be is passed over while another can.
        assert!(from(&["192.0.2.1", "127.0.0.2"]).connect(to).await.is_ok());
    }
}
