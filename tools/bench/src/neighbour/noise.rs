//! The neighbours: each in threads of its own, until told to stop. They count what they did and
//! what failed; none of them ends the run.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::NeighbourArgs;
use crate::load::LoadError;

/// Bytes taken from a socket at once.
const READ_BYTES: usize = 256 * 1024;
/// How long a socket may take before its thread looks whether it is over.
const PATIENCE: Duration = Duration::from_millis(200);
/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The key of large values.
const LARGE: &str = "neighbour:large";
/// What slow senders send, over and over.
const SLOW_COMMAND: &[u8] = b"*2\r\n$3\r\nGET\r\n$9\r\nneighbour\r\n";

/// What neighbours did, and whether they should go on.
#[derive(Debug, Default)]
struct Done {
    stop: AtomicBool,
    flood_bytes: AtomicU64,
    large_bytes: AtomicU64,
    slow_open: AtomicU64,
    connects: AtomicU64,
    failures: AtomicU64,
}

impl Done {
    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }

    fn failed(&self) {
        self.failures.fetch_add(1, Ordering::Relaxed);
    }
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        write!(
            f,
            "{} MiB of answers to floods, {} MiB of large values, {} slow connections, {} \
             connections made and closed, {} failures",
            of(&self.flood_bytes) >> 20,
            of(&self.large_bytes) >> 20,
            of(&self.slow_open),
            of(&self.connects),
            of(&self.failures),
        )
    }
}

/// Neighbours at work.
pub(super) struct Noise {
    done: Arc<Done>,
    threads: Vec<JoinHandle<()>>,
    /// Their sockets, closed to end them.
    sockets: Vec<TcpStream>,
}

impl Noise {
    /// Begins with all of them.
    pub(super) fn begin(addr: SocketAddr, args: &NeighbourArgs) -> Result<Self, LoadError> {
        let failed = |source| LoadError::Connect { addr, source };
        let done = Arc::new(Done::default());
        let mut noise = Self { done, threads: Vec::new(), sockets: Vec::new() };
        if args.large > 0 {
            store_large(addr, args.large_size as usize).map_err(failed)?;
        }
        let ping = b"*1\r\n$4\r\nPING\r\n".repeat(args.pipeline as usize);
        for _ in 0..args.flood {
            noise.stream(addr, ping.clone(), |done| &done.flood_bytes).map_err(failed)?;
        }
        let get = format!("*2\r\n$3\r\nGET\r\n${}\r\n{LARGE}\r\n", LARGE.len()).into_bytes();
        for _ in 0..args.large {
            noise.stream(addr, get.clone(), |done| &done.large_bytes).map_err(failed)?;
        }
        if args.slow > 0 {
            let slow: Vec<TcpStream> = (0..args.slow)
                .filter_map(|_| TcpStream::connect_timeout(&addr, CONNECT_TIMEOUT).ok())
                .collect();
            noise.done.slow_open.store(slow.len() as u64, Ordering::Relaxed);
            noise.spawn(move |done| trickle(&slow, done));
        }
        if args.connects > 0 {
            let pause = Duration::from_secs(1) / args.connects;
            noise.spawn(move |done| connect_often(addr, pause, done));
        }
        Ok(noise)
    }

    fn spawn(&mut self, work: impl FnOnce(&Done) + Send + 'static) {
        let done = Arc::clone(&self.done);
        self.threads.push(thread::spawn(move || work(&done)));
    }

    /// A connection that sends `request` without end, and one thread that reads the answers.
    fn stream(
        &mut self,
        addr: SocketAddr,
        request: Vec<u8>,
        count: fn(&Done) -> &AtomicU64,
    ) -> io::Result<()> {
        let mut writer = TcpStream::connect_timeout(&addr, CONNECT_TIMEOUT)?;
        let mut reader = writer.try_clone()?;
        self.sockets.push(writer.try_clone()?);
        self.spawn(move |done| {
            while done.goes_on() {
                if writer.write_all(&request).is_err() {
                    if done.goes_on() {
                        done.failed();
                    }
                    return;
                }
            }
        });
        self.spawn(move |done| {
            let mut chunk = vec![0; READ_BYTES];
            while let Ok(read @ 1..) = reader.read(&mut chunk) {
                count(done).fetch_add(read as u64, Ordering::Relaxed);
            }
        });
        Ok(())
    }

    /// Ends all of them; what they did.
    pub(super) fn end(self) -> String {
        self.done.stop.store(true, Ordering::Relaxed);
        for socket in &self.sockets {
            // One that the server has closed is as good.
            let _closed = socket.shutdown(Shutdown::Both);
        }
        for thread in self.threads {
            if thread.join().is_err() {
                self.done.failed();
            }
        }
        self.done.to_string()
    }
}

fn store_large(addr: SocketAddr, bytes: usize) -> io::Result<()> {
    let mut stream = TcpStream::connect_timeout(&addr, CONNECT_TIMEOUT)?;
    let head = format!("*3\r\n$3\r\nSET\r\n${}\r\n{LARGE}\r\n${bytes}\r\n", LARGE.len());
    stream.write_all(head.as_bytes())?;
    stream.write_all(&vec![b'x'; bytes])?;
    stream.write_all(b"\r\n")?;
    let mut reply = [0; 5];
    stream.read_exact(&mut reply)?;
    match &reply {
        b"+OK\r\n" => Ok(()),
        _ => Err(io::Error::other("the large value was refused")),
    }
}

/// A byte on each connection every second.
fn trickle(connections: &[TcpStream], done: &Done) {
    let mut at = 0;
    while done.goes_on() {
        let next = Instant::now() + Duration::from_secs(1);
        for mut connection in connections {
            // The server may close those; that is what it is for.
            let _closed = connection.write(&SLOW_COMMAND[at..=at]);
        }
        at = (at + 1) % SLOW_COMMAND.len();
        while done.goes_on() && Instant::now() < next {
            thread::sleep(PATIENCE.min(next.saturating_duration_since(Instant::now())));
        }
    }
}

fn connect_often(addr: SocketAddr, pause: Duration, done: &Done) {
    let mut due = Instant::now();
    while done.goes_on() {
        match use_once(addr) {
            Ok(()) => done.connects.fetch_add(1, Ordering::Relaxed),
            Err(_) => done.failures.fetch_add(1, Ordering::Relaxed),
        };
        due += pause;
        thread::sleep(due.saturating_duration_since(Instant::now()));
    }
}

fn use_once(addr: SocketAddr) -> io::Result<()> {
    let mut stream = TcpStream::connect_timeout(&addr, CONNECT_TIMEOUT)?;
    stream.set_read_timeout(Some(CONNECT_TIMEOUT))?;
    stream.write_all(b"*1\r\n$4\r\nPING\r\n")?;
    let mut reply = [0; 7];
    stream.read_exact(&mut reply)
}
