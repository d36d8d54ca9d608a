//! Addresses as people write them: `:10797`, `127.0.0.1:10797`, `[::1]:0`, `localhost:10797`.

use std::io;

use tokio::net::TcpListener;

/// Why an address can't be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on `{address}`: {source}; choose another with `--web.listen-address`")]
pub struct ListenError {
    address: String,
    source: io::Error,
}

/// Listens on an address. Without a host: on all of them, IPv6 and IPv4.
///
/// # Errors
/// The address is no address, or taken.
pub async fn bind(address: &str) -> Result<TcpListener, ListenError> {
    let wrong = |source| ListenError { address: address.to_owned(), source };
    match address.strip_prefix(':') {
        None => TcpListener::bind(address).await.map_err(wrong),
        Some(port) => {
            let port: u16 = port.parse().map_err(|_| wrong(io::Error::other("the port must be from 0 to 65535")))?;
            match TcpListener::bind(("::", port)).await {
                // A machine without IPv6.
                Err(error) if error.kind() != io::ErrorKind::AddrInUse => {
                    TcpListener::bind(("0.0.0.0", port)).await.map_err(wrong)
                }
                bound => bound.map_err(wrong),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn binds_what_people_write_and_names_what_fails() {
        let listener = bind(":0").await.unwrap();
        let taken = format!("127.0.0.1:{}", bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port());
        let held = bind(&taken).await.unwrap();
        let error = bind(&taken).await.unwrap_err().to_string();
        assert!(error.contains(&taken) && error.contains("--web.listen-address"), "{error}");
        assert!(bind(":99999").await.is_err());
        drop((listener, held));
    }
}
