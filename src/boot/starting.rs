//! The HTTP ports while data is being recovered: they answer 503, so that whoever waits for the
//! server can tell "starting" from "down". They never read a body, and one connection is served at
//! a time, under TLS where the port is.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use synap_io::net::listener::{self, Sharing};

use super::recover::Progress;
use crate::fatal::Fatal;
use crate::protocol::http::dss::{self, Surface};

/// How often the thread looks for a connection, and whether it is still wanted.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);
/// Time that a client has for all of it: handshake, request, answer.
const CLIENT_TIMEOUT: Duration = Duration::from_millis(500);
/// Bytes of a request that are looked at.
const REQUEST_BYTES_MAX: usize = 4096;

/// Answers until dropped; then the port is free.
#[derive(Debug)]
pub(super) struct Starting {
    done: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// A port to answer on.
#[derive(Debug)]
pub(super) struct Door {
    /// The key that names it.
    pub(super) key: &'static str,
    /// Where it is.
    pub(super) address: SocketAddr,
    /// What it shows under TLS; nothing where it is plain.
    pub(super) tls: Option<Arc<ServerConfig>>,
    /// What is served there.
    pub(super) surface: Surface,
}

/// A door that is open.
struct Open {
    listener: TcpListener,
    tls: Option<Arc<ServerConfig>>,
    surface: Surface,
}

impl Starting {
    /// Answers on these ports from now on.
    pub(super) fn answer(doors: &[Door], progress: Arc<Progress>) -> Result<Self, Fatal> {
        let open = doors.iter().map(listen).collect::<Result<Vec<_>, _>>()?;
        let done = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&done);
        let thread = thread::Builder::new()
            .name("starting".to_owned())
            .spawn(move || serve(&open, &seen, &progress))
            .map_err(super::start("start the thread that answers while starting"))?;
        Ok(Self { done, thread: Some(thread) })
    }
}

fn listen(door: &Door) -> Result<Open, Fatal> {
    let failed = |source| Fatal::Bind { key: door.key, addr: door.address, source };
    let listener = listener::bind(door.address, Sharing::Exclusive).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    Ok(Open { listener, tls: door.tls.clone(), surface: door.surface })
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

fn serve(open: &[Open], done: &AtomicBool, progress: &Progress) {
    while !done.load(Ordering::Acquire) {
        let mut rests = true;
        for Open { listener, tls, surface } in open {
            match listener.accept() {
                Ok((client, _)) => {
                    rests = false;
                    if let Err(error) = greet(client, tls.as_ref(), (*surface, progress)) {
                        tracing::debug!(%error, "a client did not wait for the answer");
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => tracing::warn!(%error, "cannot accept connections while starting"),
            }
        }
        if rests {
            thread::park_timeout(LOOK_INTERVAL);
        }
    }
}

fn greet(
    client: TcpStream,
    tls: Option<&Arc<ServerConfig>>,
    told: (Surface, &Progress),
) -> io::Result<()> {
    client.set_nonblocking(false)?;
    let mut client = Hurried { client, until: Instant::now() + CLIENT_TIMEOUT };
    let Some(tls) = tls else { return say_starting(&mut client, told) };
    let session = ServerConnection::new(Arc::clone(tls)).map_err(io::Error::other)?;
    let mut stream = StreamOwned::new(session, client);
    say_starting(&mut stream, told)?;
    stream.conn.send_close_notify();
    stream.flush()
}

fn say_starting(
    client: &mut (impl Read + Write),
    (surface, progress): (Surface, &Progress),
) -> io::Result<()> {
    let mut request = [0; REQUEST_BYTES_MAX];
    let bytes = client.read(&mut request)?;
    client.write_all(answer_to(&request[..bytes], surface, progress).as_bytes())?;
    client.flush()
}

/// A client that has until a moment, however often it is waited for.
struct Hurried {
    client: TcpStream,
    until: Instant,
}

impl Hurried {
    fn left(&self) -> io::Result<Option<Duration>> {
        match self.until.saturating_duration_since(Instant::now()) {
            Duration::ZERO => Err(ErrorKind::TimedOut.into()),
            left => Ok(Some(left)),
        }
    }
}

impl Read for Hurried {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.client.set_read_timeout(self.left()?)?;
        self.client.read(bytes)
    }
}

impl Write for Hurried {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.client.set_write_timeout(self.left()?)?;
        self.client.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.client.flush()
    }
}

fn answer_to(request: &[u8], surface: Surface, progress: &Progress) -> String {
    let body = if request.starts_with(b"GET /health") {
        format!(
            r#"{{"status":"starting","service":"synap","version":"{}","recovery":{}}}"#,
            env!("CARGO_PKG_VERSION"),
            progress.json()
        )
    } else {
        match surface {
            Surface::Synap => r#"{"error":"The server is starting","code":503}"#.to_owned(),
            Surface::DssQueue => dss::error(503, "The server is starting"),
        }
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
        let door = Door { key: "server.port", address, tls: None, surface: Surface::Synap };
        let starting = Starting::answer(&[door], progress).expect("the port is free");
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
