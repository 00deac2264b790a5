//! The reactor over real loopback sockets.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use synap_io::doorbell::Doorbell;
use synap_io::net::listener::{Sharing, bind};
use synap_io::reactor::{
    Completion, ListenerTag, NetCounters, Reactor, ReactorError, ReactorOptions,
};
use synap_shards::id::ConnId;

const TAG: ListenerTag = ListenerTag(7);
/// Output a connection may owe before it is not read any more.
const OWED_BYTES_MAX: usize = 256 * 1024;
const PATIENCE: Duration = Duration::from_secs(20);

/// What the echo server knows of one connection.
#[derive(Default)]
struct Peer {
    owed: Vec<u8>,
    sending: bool,
    paused: bool,
    ended: bool,
}

struct Echo {
    reactor: Reactor,
    peers: HashMap<ConnId, Peer>,
    /// Connections to look after when everything that happened has been seen.
    touched: Vec<ConnId>,
    lazily: bool,
    failed: u64,
}

impl Echo {
    fn handle(&mut self, completion: Completion) {
        match completion {
            Completion::Accepted { conn, listener, peer } => {
                assert_eq!(listener, TAG);
                assert_eq!(self.reactor.peer(conn), Some(peer));
                self.peers.insert(conn, Peer::default());
            }
            Completion::Received { conn, chunk } => {
                let bytes = self.reactor.bytes(&chunk);
                assert!(!bytes.is_empty());
                let peer = self.peers.get_mut(&conn).expect("accepted before");
                peer.owed.extend_from_slice(bytes);
                self.reactor.recycle(chunk);
                if peer.owed.len() > OWED_BYTES_MAX && !peer.paused {
                    peer.paused = true;
                    self.reactor.pause_reading(conn);
                }
                self.touched.push(conn);
            }
            Completion::Sent { conn, .. } => {
                self.peers.get_mut(&conn).expect("accepted before").sending = false;
                self.touched.push(conn);
            }
            Completion::ReadEnded { conn } => {
                self.peers.get_mut(&conn).expect("accepted before").ended = true;
                self.touched.push(conn);
            }
            Completion::Failed { conn, .. } => {
                self.failed += 1;
                self.reactor.shutdown(conn);
            }
            Completion::Closed { conn } => {
                self.peers.remove(&conn).expect("closed once");
            }
            _ => {}
        }
    }

    fn end_turn(&mut self) {
        for conn in std::mem::take(&mut self.touched) {
            self.advance(conn);
        }
    }

    fn advance(&mut self, conn: ConnId) {
        let Some(peer) = self.peers.get_mut(&conn) else { return };
        if peer.sending {
            return;
        }
        if !peer.owed.is_empty() {
            peer.sending = true;
            let owed = std::mem::take(&mut peer.owed);
            if self.lazily {
                self.reactor.send_lazily(conn, owed);
            } else {
                self.reactor.send(conn, owed);
            }
        } else if peer.ended {
            self.reactor.shutdown(conn);
        }
        if peer.paused && peer.owed.len() <= OWED_BYTES_MAX {
            peer.paused = false;
            self.reactor.resume_reading(conn);
        }
    }
}

struct Report {
    counters: NetCounters,
    failed: u64,
    connections_left: usize,
}

struct Server {
    address: SocketAddr,
    doorbell: Doorbell,
    stop: Arc<AtomicBool>,
    thread: thread::JoinHandle<Report>,
}

impl Server {
    /// An echo server, or nothing (said loudly) where io_uring is not to be had.
    fn start(options: ReactorOptions) -> Option<Self> {
        Self::start_with(options, false)
    }

    fn start_with(options: ReactorOptions, lazily: bool) -> Option<Self> {
        let (ready, started) = mpsc::channel();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let reactor = match Reactor::new(&options) {
                Ok(reactor) => reactor,
                Err(error @ ReactorError::Setup(_)) => {
                    ready.send(Err(error)).expect("the test waits");
                    return Report {
                        counters: NetCounters::default(),
                        failed: 0,
                        connections_left: 0,
                    };
                }
                Err(error) => panic!("{error}"),
            };
            let mut echo =
                Echo { reactor, peers: HashMap::new(), touched: Vec::new(), lazily, failed: 0 };
            let any_port = "127.0.0.1:0".parse().expect("an address");
            let listener = bind(any_port, Sharing::Shared).expect("bind");
            let address = listener.local_addr().expect("bound");
            echo.reactor.listen(listener, TAG);
            ready.send(Ok((address, echo.reactor.doorbell()))).expect("the test waits");
            while !stopped.load(Ordering::Acquire) {
                echo.reactor.turn(Duration::from_secs(5)).expect("turn");
                while let Some(completion) = echo.reactor.next() {
                    echo.handle(completion);
                }
                echo.end_turn();
            }
            let connections_left = echo.reactor.connections();
            Report { counters: echo.reactor.counters(), failed: echo.failed, connections_left }
        });
        match started.recv().expect("the server reports") {
            Ok((address, doorbell)) => Some(Self { address, doorbell, stop, thread }),
            Err(error) => {
                println!("SKIPPED, NOTHING TESTED: {error}");
                None
            }
        }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).expect("connect");
        stream.set_read_timeout(Some(PATIENCE)).expect("timeout");
        stream
    }

    fn stop(self) -> Report {
        self.stop.store(true, Ordering::Release);
        self.doorbell.ring();
        self.thread.join().expect("the server ends")
    }
}

/// Bytes that show where they belong.
fn pattern(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|index| (index as u32).wrapping_mul(2_654_435_761).to_le_bytes()[3]).collect()
}

fn exchange(stream: &mut TcpStream, message: &[u8]) {
    stream.write_all(message).expect("write");
    let mut answer = vec![0; message.len()];
    stream.read_exact(&mut answer).expect("read");
    assert!(answer == message, "the echo differs");
}

#[test]
fn echoes_whole_messages_and_single_bytes() {
    let Some(server) = Server::start(ReactorOptions::default()) else { return };
    let mut stream = server.connect();
    exchange(&mut stream, b"hello");
    exchange(&mut stream, &pattern(100_000));
    for byte in pattern(500) {
        exchange(&mut stream, &[byte]);
    }
    drop(stream);
    let report = server.stop();
    assert_eq!(report.counters.accepted, 1);
    assert_eq!(report.counters.received_bytes, 100_505);
    assert!(report.counters.sent_bytes == 100_505);
}

#[test]
fn answers_after_the_peer_finished_sending() {
    let Some(server) = Server::start(ReactorOptions::default()) else { return };
    let mut stream = server.connect();
    let message = pattern(300_000);
    let writer = {
        let mut stream = stream.try_clone().expect("clone");
        let message = message.clone();
        thread::spawn(move || {
            stream.write_all(&message).expect("write");
            stream.shutdown(Shutdown::Write).expect("half-close");
        })
    };
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("read to the end");
    writer.join().expect("writer");
    assert!(answer == message, "the echo differs");
    server.stop();
}

#[test]
fn survives_a_reset_by_the_peer() {
    let Some(server) = Server::start(ReactorOptions::default()) else { return };
    let mut stream = server.connect();
    exchange(&mut stream, b"once");
    let socket = socket2::SockRef::from(&stream);
    socket.set_linger(Some(Duration::ZERO)).expect("linger zero makes close a reset");
    drop(stream);
    let mut other = server.connect();
    exchange(&mut other, b"still there");
    let report = server.stop();
    assert_eq!((report.failed, report.connections_left), (1, 1));
}

#[test]
fn holds_two_thousand_idle_connections() {
    let Some(server) = Server::start(ReactorOptions::default()) else { return };
    let mut streams: Vec<_> = (0..2000).map(|_| server.connect()).collect();
    for stream in &mut streams {
        exchange(stream, b"a");
    }
    for stream in streams.iter_mut().rev().step_by(7) {
        exchange(stream, b"again");
    }
    drop(streams);
    let mut last = server.connect();
    exchange(&mut last, b"b");
    let report = server.stop();
    assert_eq!(report.counters.accepted, 2001);
    assert_eq!(report.counters.closed + report.connections_left as u64, 2001);
}

#[test]
fn refuses_connections_beyond_the_maximum() {
    let options = ReactorOptions { connections_max: 2, ..ReactorOptions::default() };
    let Some(server) = Server::start(options) else { return };
    let (mut first, mut second) = (server.connect(), server.connect());
    exchange(&mut first, b"1");
    exchange(&mut second, b"2");
    let mut third = server.connect();
    assert_eq!(third.read(&mut [0; 1]).unwrap_or(0), 0, "closed at once");
    exchange(&mut first, b"1");
    let report = server.stop();
    assert_eq!((report.counters.accepted, report.counters.refused), (2, 1));
}

/// Twenty megabytes each way; the reader starts late and so the server pauses reading.
#[test]
fn moves_much_data_both_ways_with_a_slow_reader() {
    for lazily in [false, true] {
        let Some(server) = Server::start_with(ReactorOptions::default(), lazily) else { return };
        much_data(server);
    }
}

fn much_data(server: Server) {
    let mut stream = server.connect();
    let message = pattern(20 << 20);
    let mut writing = stream.try_clone().expect("clone");
    let copy = message.clone();
    let writer = thread::spawn(move || writing.write_all(&copy).expect("write"));
    let started = Instant::now();
    let mut answer = Vec::with_capacity(message.len());
    let mut piece = vec![0; 3000];
    while answer.len() < message.len() {
        let bytes = stream.read(&mut piece).expect("read");
        assert!(bytes > 0 && started.elapsed() < PATIENCE);
        answer.extend_from_slice(&piece[..bytes]);
    }
    writer.join().expect("writer");
    assert!(answer == message, "the echo differs");
    server.stop();
}

/// Fewer buffers than connections with data: they take turns.
#[test]
fn serves_more_senders_than_it_has_buffers() {
    let options = ReactorOptions {
        receive_buffers: 2,
        receive_buffer_bytes: 64,
        ..ReactorOptions::default()
    };
    let Some(server) = Server::start(options) else { return };
    let address = server.address;
    let clients: Vec<_> = (0..16)
        .map(|client| {
            thread::spawn(move || {
                let mut stream = TcpStream::connect(address).expect("connect");
                stream.set_read_timeout(Some(PATIENCE)).expect("timeout");
                for round in 1..20 {
                    exchange(&mut stream, &pattern(client * 37 + round * 11 + 1));
                }
            })
        })
        .collect();
    for client in clients {
        client.join().expect("client");
    }
    let report = server.stop();
    assert!(report.counters.starved > 0, "the test is meant to starve somebody");
}

#[test]
fn a_ring_ends_a_long_sleep() {
    let Some(server) = Server::start(ReactorOptions::default()) else { return };
    let started = Instant::now();
    server.stop();
    assert!(started.elapsed() < Duration::from_secs(4), "it slept through the ring");
}

#[test]
fn a_lazy_send_costs_one_call_and_its_buffer_still_comes_back() {
    const ROUNDS: u64 = 1000;
    let Some(server) = Server::start_with(ReactorOptions::default(), true) else { return };
    let mut stream = server.connect();
    for _ in 0..ROUNDS {
        exchange(&mut stream, b"small");
    }
    let report = server.stop();
    assert_eq!(report.counters.sends, ROUNDS);
    assert!(report.counters.enters < ROUNDS * 3 / 2, "{} calls", report.counters.enters);
}
