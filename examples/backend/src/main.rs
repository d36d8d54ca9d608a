//! The backend as a process: configuration, connections, serving until SIGTERM or SIGINT, then a bounded drain.
//!
//! Prints `listening on ADDRESS` once it answers, so that whoever gave port 0 learns the port.

use std::process::ExitCode;
use std::time::Duration;

use axum::serve::ListenerExt;
use example_backend::{App, Config, router};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

/// How long requests in flight may take to end once the process was asked to.
const DRAIN: Duration = Duration::from_secs(5);

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("example-backend: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn std::error::Error>> {
    let config = Config::from_env(|name| std::env::var(name).ok())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let listener = TcpListener::bind(&config.listen).await.map_err(|error| format!("LISTEN={}: {error}", config.listen))?;
    let address = listener.local_addr()?;
    let app = App::connect(config).await?;
    println!("listening on {address}");

    // An answer is one small write; without this it may wait for the ACK of the one before.
    let listener = listener.tap_io(|stream| {
        let _ = stream.set_nodelay(true);
    });
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let server = axum::serve(listener, router(app)).with_graceful_shutdown(async {
        let _ = stopped.await;
    });
    let mut server = tokio::spawn(async move { server.await });
    tokio::select! {
        ended = &mut server => return Ok(ended??),
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    let _ = stop.send(());
    match tokio::time::timeout(DRAIN, server).await {
        Ok(ended) => Ok(ended??),
        Err(_) => Ok(()),
    }
}
