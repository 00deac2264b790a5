//! The HTTP port while data is being recovered: it answers 503, so that whoever waits for the
//! server can tell "starting" from "down". It never reads a body, and serves one connection at a
//! time.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use synap_io::net::listener::{self, Sharing};

use super::recover::Progress;
use crate::fatal::Fatal;

/// How often the thread looks for a connection, and whether it is still wanted.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);
/// Time that a client may take to send its request, or to take the answer.
const CLIENT_TIMEOUT: Duration = Duration::from_millis(500);
/// Bytes of a request that are looked at.
const REQUEST_BYTES_MAX: usize = 4096;

/// Answers until dropped; then the port is free.
#[derive(Debug)]
pub(super) struct Starting {
    done: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Starting {
    /// Answers on `address` from now on.
    pub(super) fn answer(address: SocketAddr, progress: Arc<Progress>) -> Result<Self, Fatal> {
        let failed = |source| Fatal::Bind { key: "server.port", addr: address, source };
        let listener = listener::bind(address, Sharing::Exclusive).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let done = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&done);
        let thread = thread::Builder::new()
            .name("starting".to_owned())
            .spawn(move || serve(&listener, &seen, &progress))
            .map_err(super::start("start the thread that answers while starting"))?;
        Ok(Self { done, thread: Some(thread) })
    }
}

impl Drop for Starting {
    fn drop(&mut self) {
        self.done.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            thread.join().expect("the thread handles every error");
        }
    }
}

fn serve(listener: &TcpListener, done: &AtomicBool, progress: &Progress) {
    while !done.load(Ordering::Acquire) {
        match listener.accept() {
            Ok((client, _)) => {
                if let Err(error) = say_starting(client, progress) {
                    tracing::debug!(%error, "a client did not wait for the answer while starting");
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                thread::park_timeout(LOOK_INTERVAL)
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept connections while starting");
                thread::park_timeout(LOOK_INTERVAL);
            }
        }
    }
}

fn say_starting(mut client: TcpStream, progress: &Progress) -> std::io::Result<()> {
    client.set_nonblocking(false)?;
    client.set_read_timeout(Some(CLIENT_TIMEOUT))?;
    client.set_write_timeout(Some(CLIENT_TIMEOUT))?;
    let mut request = [0; REQUEST_BYTES_MAX];
    let bytes = client.read(&mut request)?;
    client.write_all(answer_to(&request[..bytes], progress).as_bytes())
}

fn answer_to(request: &[u8], progress: &Progress) -> String {
    let body = if request.starts_with(b"GET /health") {
        format!(
            r#"{{"status":"starting","service":"synap","version":"{}","recovery":{}}}"#,
            env!("CARGO_PKG_VERSION"),
            progress.json()
        )
    } else {
        r#"{"error":"The server is starting","code":503}"#.to_owned()
    };
    format!(
        "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nRetry-After: 1\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_answers_until_dropped() {
        let free = TcpListener::bind("127.0.0.1:0").expect("some port is free");
        let address = free.local_addr().expect("it has one");
        drop(free);
        let progress = Arc::new(Progress::new());
        let starting = Starting::answer(address, progress).expect("the port is free");
        let mut client = TcpStream::connect(address).expect("it listens");
        client.write_all(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n").expect("it reads");
        let mut answer = String::new();
        client.read_to_string(&mut answer).expect("it answers");
        assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
        let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
        let body: serde_json::Value = serde_json::from_str(body).expect("JSON");
        assert_eq!(body["status"], "starting");
        assert_eq!(body["recovery"]["bytes_total"], 0);
        drop(starting);
        assert!(TcpStream::connect(address).is_err());
    }
}
