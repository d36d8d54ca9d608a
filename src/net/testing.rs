//! What the tests' own HTTP servers have in common.

use tokio::io::{AsyncRead, AsyncReadExt};

/// The next request on a connection: its head as it came, and its body by `content-length`. `buffer` is for what has come
/// beyond it. None once the peer has closed.
pub(crate) async fn request(stream: &mut (impl AsyncRead + Unpin), buffer: &mut Vec<u8>) -> Option<(String, String)> {
    let end = loop {
        if let Some(at) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
    let length = head.to_ascii_lowercase().lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    let whole = end + length.unwrap_or(0);
    while buffer.len() < whole {
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
    let body = String::from_utf8_lossy(&buffer[end..whole]).into_owned();
    buffer.drain(..whole);
    Some((head, body))
}
