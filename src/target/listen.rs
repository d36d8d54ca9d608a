//! Accepting, spreading connections over threads, and stopping.

use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpStream as StdStream};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::{Addresses, TargetState, http, tcp};
use crate::net;

/// How many connections may wait to be accepted: thousands of users start at once.
const BACKLOG: u32 = 4096;
/// How long requests in flight may take to end after a stop.
const GRACE: Duration = Duration::from_secs(5);
/// How long to wait when there is no descriptor left to accept with.
const PAUSE: Duration = Duration::from_millis(10);

/// What is spoken over a connection.
#[derive(Debug, Clone, Copy)]
enum Door {
    Http,
    Tcp,
}

/// What a thread has, beside its runtime.
struct Seat {
    shared: Arc<TargetState>,
    stopping: watch::Receiver<bool>,
    /// Dropped at the end of the thread, which is how that is known.
    _ending: mpsc::Sender<()>,
}

/// Starts the threads: the first one accepts, and all serve in turn.
pub(super) fn start(
    wanted: Addresses,
    threads: usize,
    shared: &Arc<TargetState>,
    stopping: &watch::Receiver<bool>,
    ending: &mpsc::Sender<()>,
) -> io::Result<(Addresses, Vec<JoinHandle<()>>)> {
    let seat = || Seat { shared: Arc::clone(shared), stopping: stopping.clone(), _ending: ending.clone() };
    let first = runtime()?;
    let listening =
        listen(wanted.http, &first).and_then(|http| Ok((http, wanted.tcp.map(|address| listen(address, &first)).transpose()?)));
    let (http, tcp) = match listening {
        Ok(listening) => listening,
        Err(error) => {
            // A runtime may not be dropped where it would block, and this may be called from a task.
            first.shutdown_background();
            return Err(error);
        }
    };
    let tcp_address = tcp.as_ref().map(TcpListener::local_addr).transpose()?;
    let addresses = Addresses { http: http.local_addr()?, tcp: tcp_address };
    let mut handles = Vec::new();
    let mut others = Vec::new();
    for number in 1..threads {
        let (hand_over, handed) = mpsc::unbounded_channel();
        others.push(hand_over);
        let seat = seat();
        handles.push(spawn(number, runtime()?, |tasks| serve_handed(handed, seat, tasks))?);
    }
    let seat = seat();
    handles.push(spawn(0, first, |tasks| accept(http, tcp, others, seat, tasks))?);
    Ok((addresses, handles))
}

fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

fn listen(address: SocketAddr, runtime: &Runtime) -> io::Result<TcpListener> {
    let _inside = runtime.enter();
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// A thread that runs `work` and then lets its connections end.
fn spawn<F>(number: usize, runtime: Runtime, work: impl FnOnce(Connections) -> F + Send + 'static) -> io::Result<JoinHandle<()>>
where
    F: Future<Output = (Connections, Seat)>,
{
    net::thread::start(format!("target-{number}"), runtime, move |runtime| {
        let seat = runtime.block_on(async {
            let (mut connections, seat) = work(JoinSet::new()).await;
            // What is left after the time of grace is closed with the runtime.
            let _ = tokio::time::timeout(GRACE, async { while connections.join_next().await.is_some() {} }).await;
            seat
        });
        drop(runtime);
        drop(seat);
    })
}

type Connections = JoinSet<()>;

/// Accepts at both doors; the second may not be there.
async fn accept_any(http: &TcpListener, tcp: Option<&TcpListener>) -> io::Result<(Door, TcpStream)> {
    let other = async {
        match tcp {
            Some(listener) => listener.accept().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        accepted = http.accept() => accepted.map(|(socket, _)| (Door::Http, socket)),
        accepted = other => accepted.map(|(socket, _)| (Door::Tcp, socket)),
    }
}

async fn accept(
    http: TcpListener,
    tcp: Option<TcpListener>,
    others: Vec<mpsc::UnboundedSender<(Door, StdStream)>>,
    mut seat: Seat,
    mut connections: Connections,
) -> (Connections, Seat) {
    let mut turn = 0;
    loop {
        let accepted = tokio::select! {
            accepted = accept_any(&http, tcp.as_ref()) => accepted,
            // An error means that the target was dropped.
            _ = seat.stopping.changed() => return (connections, seat),
        };
        let Ok((door, socket)) = accepted else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        turn = (turn + 1) % (others.len() + 1);
        match others.get(turn) {
            None => serve(door, socket, &seat, &mut connections),
            // A thread that has ended takes its connections with it; so does a socket that cannot change hands.
            Some(other) => drop(socket.into_std().map(|socket| other.send((door, socket)))),
        }
    }
}

async fn serve_handed(
    mut handed: mpsc::UnboundedReceiver<(Door, StdStream)>,
    mut seat: Seat,
    mut connections: Connections,
) -> (Connections, Seat) {
    loop {
        tokio::select! {
            handed = handed.recv() => match handed.map(|(door, socket)| (door, TcpStream::from_std(socket))) {
                Some((door, Ok(socket))) => serve(door, socket, &seat, &mut connections),
                Some((_, Err(_))) => {}
                None => return (connections, seat),
            },
            _ = seat.stopping.changed() => return (connections, seat),
        }
    }
}

fn serve(door: Door, socket: TcpStream, seat: &Seat, connections: &mut Connections) {
    // Those that have ended are forgotten, so that the set does not grow with time.
    while connections.try_join_next().is_some() {}
    let _ = socket.set_nodelay(true);
    let (shared, stopping) = (Arc::clone(&seat.shared), seat.stopping.clone());
    match door {
        Door::Http => connections.spawn(http::serve(socket, shared, stopping)),
        Door::Tcp => connections.spawn(tcp::serve(socket, shared, stopping)),
    };
}
