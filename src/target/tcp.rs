//! Plain TCP: every line is sent back.
//!
//! A line that begins with `!` is an order instead and is not sent back: `!listen 2/s` (and `!listen 2/s 200`: of so many bytes at
//! least) sends an event as a line of JSON twice a second from then on, `!close` closes, `!reset` resets, `!half` closes in the
//! middle of a line, `!deaf` reads no more, `!mute` answers no more.

use std::io;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::broadcast::Receiver;
use tokio::sync::watch;

use super::TargetState;
use super::counts::{Session, SocketKind};
use super::fanout::{Event, Hub, Topic};
use super::socket::Open;
use super::websocket::next;

/// What is read at once.
const READ_BUFFER: usize = 4096;
/// The longest line, in bytes; a longer one ends the connection.
const MAX_LINE: usize = 16 * 1024 * 1024;

type Events = Option<Receiver<Event>>;

/// Serves one connection to its end.
pub(super) async fn serve(socket: TcpStream, shared: Arc<TargetState>, mut stopping: watch::Receiver<bool>) {
    let _counted = Open::new(Arc::clone(&shared));
    let counts = shared.counts.of(SocketKind::Tcp);
    let _open = Session::begin(counts);
    let mut talk = Talk { socket, read: BytesMut::new(), scanned: 0, mute: false, shared: &shared };
    let mut events = None;
    loop {
        let came = tokio::select! {
            read = talk.read() => read.map(|()| None),
            event = next(&mut events) => Ok(Some(event)),
            _ = stopping.changed() => return,
        };
        let goes_on = match came {
            Ok(None) => talk.answer(&mut events, &mut stopping).await,
            Ok(Some(Ok(event))) => {
                let sent = talk.socket.write_all(&event.line).await;
                counts.sent_event();
                sent
            }
            Ok(Some(Err(skipped))) => {
                counts.skipped(skipped);
                Ok(())
            }
            Err(error) => Err(error),
        };
        if goes_on.is_err() {
            return;
        }
    }
}

struct Talk<'s> {
    socket: TcpStream,
    read: BytesMut,
    /// How many of the bytes read hold no newline.
    scanned: usize,
    mute: bool,
    shared: &'s Arc<TargetState>,
}

impl Talk<'_> {
    /// Reads what there is. Holds no buffer while there is nothing.
    async fn read(&mut self) -> io::Result<()> {
        loop {
            self.socket.readable().await?;
            if self.read.is_empty() {
                self.read = BytesMut::new();
            }
            self.read.reserve(READ_BUFFER);
            match self.socket.try_read_buf(&mut self.read) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) if self.read.len() > MAX_LINE => return Err(io::ErrorKind::InvalidData.into()),
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Answers the lines that are complete; an error is the end of the connection.
    async fn answer(&mut self, events: &mut Events, stopping: &mut watch::Receiver<bool>) -> io::Result<()> {
        while let Some(at) = self.read[self.scanned..].iter().position(|byte| *byte == b'\n') {
            let line = self.read.split_to(self.scanned + at + 1).freeze();
            self.scanned = 0;
            let counts = self.shared.counts.of(SocketKind::Tcp);
            counts.received();
            if line.first() == Some(&b'!') {
                self.obey(&line, events, stopping).await?;
                continue;
            }
            if let Some(freeze) = &self.shared.freeze {
                freeze.hold().await;
            }
            if !self.mute {
                self.socket.write_all(&line).await?;
                counts.sent();
            }
        }
        self.scanned = self.read.len();
        Ok(())
    }

    async fn obey(&mut self, line: &Bytes, events: &mut Events, stopping: &mut watch::Receiver<bool>) -> io::Result<()> {
        let over = || Err(io::ErrorKind::ConnectionAborted.into());
        let text = String::from_utf8_lossy(line);
        let mut words = text.trim_start_matches('!').split_whitespace();
        match (words.next(), words.next(), words.next()) {
            (Some("listen"), rate, bytes) => {
                let bytes = bytes.map_or(Ok(0), str::parse).map_err(|error| format!("{error}"));
                let topic = bytes.and_then(|bytes| Topic::parse(rate.unwrap_or("2"), bytes));
                match topic.and_then(|topic| Hub::listen(self.shared, topic)) {
                    Ok(listening) => *events = Some(listening),
                    Err(problem) => self.socket.write_all(format!("! {problem}\n").as_bytes()).await?,
                }
                Ok(())
            }
            (Some("close"), ..) => over(),
            (Some("reset"), ..) => {
                let _ = self.socket.set_zero_linger();
                over()
            }
            (Some("half"), ..) => {
                self.socket.write_all(b"half a li").await?;
                over()
            }
            (Some("deaf"), ..) => {
                let _ = stopping.changed().await;
                over()
            }
            (Some("mute"), ..) => {
                self.mute = true;
                Ok(())
            }
            _ => self.socket.write_all(b"! the orders are listen, close, reset, half, deaf and mute\n").await,
        }
    }
}
