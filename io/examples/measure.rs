//! Measures the two decisions of this crate that numbers must justify: how bytes move (echo over
//! loopback, the reactor against a plain epoll loop) and how commits are carried out (ring or
//! thread). `measure echo <uring|epoll> <connections> <seconds>` and
//! `measure wal <ring|thread> <bytes> <seconds> <directory>`. The server runs on CPU 0, the load on
//! CPU 1. Not a test: it prints, it judges nothing.
#![expect(unsafe_code, reason = "the epoll loop to compare with is written against the system")]
#![expect(clippy::print_stdout, reason = "printing is its purpose")]

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use synap_io::clock::monotonic_ns;
use synap_io::executor::{CorePlan, start};
use synap_io::net::listener::{Sharing, bind};
use synap_io::reactor::{Completion, ListenerTag, Reactor, ReactorOptions};
use synap_io::wal::{CommitPath, LogStart, WalOptions, Writer};
use synap_shards::id::CoreId;

const MESSAGE_BYTES: usize = 100;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["echo", kind, connections, seconds] => {
            let connections = connections.parse().expect("a number of connections");
            let time = Duration::from_secs(seconds.parse().expect("a number of seconds"));
            echo(kind == "uring", connections, time);
        }
        ["wal", kind, bytes, seconds, directory] => {
            let path = if kind == "ring" { CommitPath::Ring } else { CommitPath::Thread };
            let bytes = bytes.parse().expect("a number of bytes");
            let time = Duration::from_secs(seconds.parse().expect("a number of seconds"));
            wal(path, bytes, time, directory.into());
        }
        _ => println!("see the head of this file for its arguments"),
    }
}

fn on_cpu<R: Send + 'static>(cpu: usize, body: impl Fn() -> R + Send + Clone + 'static) -> R {
    let plan = CorePlan { core: CoreId::new(0), cpu: Some(cpu) };
    let main = move |_| {
        let body = body.clone();
        async move { body() }
    };
    let cores = start(&[plan], main).expect("an executor");
    assert!(cores.warnings().is_empty(), "CPU {cpu} cannot be had");
    cores.join().remove(0).expect("no panic")
}

/// Nanoseconds this thread has been on a CPU.
fn cpu_ns() -> u64 {
    let statistics = std::fs::read_to_string("/proc/thread-self/schedstat").expect("schedstat");
    let ran = statistics.split_whitespace().next().expect("three numbers");
    ran.parse().expect("a number")
}

fn echo(uring: bool, connections: usize, time: Duration) {
    let listener = bind("127.0.0.1:0".parse().expect("an address"), Sharing::Shared).expect("bind");
    let address = listener.local_addr().expect("bound");
    let listener = Arc::new(listener);
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let server = std::thread::spawn(move || {
        on_cpu(0, move || {
            let listener = listener.try_clone().expect("clone");
            let begun = cpu_ns();
            let served = match uring {
                true => serve_uring(listener, &stopped),
                false => serve_epoll(listener, &stopped),
            };
            (served, cpu_ns() - begun)
        })
    });
    let load = std::thread::spawn(move || on_cpu(1, move || load(address, connections, time)));
    let (operations, elapsed) = load.join().expect("load");
    stop.store(true, Ordering::Release);
    let (enters, cpu) = server.join().expect("server");
    println!(
        "{} {connections} connections: {:.0} op/s, {:.2} us server CPU/op, {:.3} syscalls/op",
        if uring { "uring" } else { "epoll" },
        operations as f64 / elapsed.as_secs_f64(),
        cpu as f64 / 1000.0 / operations as f64,
        enters as f64 / operations as f64,
    );
}

/// Closed loop over all connections, polling, so that the server sees them as they come.
fn load(address: SocketAddr, connections: usize, time: Duration) -> (u64, Duration) {
    let connect = |_| {
        let mut stream = TcpStream::connect(address).expect("connect");
        stream.set_nodelay(true).expect("nodelay");
        stream.write_all(&[1; MESSAGE_BYTES]).expect("write");
        stream.set_nonblocking(true).expect("nonblocking");
        stream
    };
    let mut streams: Vec<TcpStream> = (0..connections).map(connect).collect();
    let mut buffer = [0; MESSAGE_BYTES];
    let (begun, mut operations) = (Instant::now(), 0);
    while begun.elapsed() < time {
        for stream in &mut streams {
            match stream.read(&mut buffer) {
                Ok(bytes) => {
                    assert_eq!(bytes, MESSAGE_BYTES);
                    stream.write_all(&buffer).expect("write");
                    operations += 1;
                }
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
        }
    }
    (operations, begun.elapsed())
}

fn serve_uring(listener: TcpListener, stopped: &AtomicBool) -> u64 {
    let mut reactor = Reactor::new(&ReactorOptions::default()).expect("reactor");
    reactor.listen(listener, ListenerTag(0));
    let mut buffers: Vec<Vec<u8>> = Vec::new();
    while !stopped.load(Ordering::Acquire) {
        reactor.turn(Duration::from_millis(100)).expect("turn");
        while let Some(completion) = reactor.next() {
            match completion {
                Completion::Received { conn, chunk } => {
                    let mut buffer = buffers.pop().unwrap_or_default();
                    buffer.extend_from_slice(reactor.bytes(&chunk));
                    reactor.recycle(chunk);
                    reactor.send_lazily(conn, buffer);
                }
                Completion::Sent { mut buffer, .. } => {
                    buffer.clear();
                    buffers.push(buffer);
                }
                Completion::ReadEnded { conn } | Completion::Failed { conn, .. } => {
                    reactor.shutdown(conn);
                }
                _ => {}
            }
        }
    }
    reactor.counters().enters
}

fn serve_epoll(listener: TcpListener, stopped: &AtomicBool) -> u64 {
    const EVENTS: usize = 256;
    listener.set_nonblocking(true).expect("nonblocking");
    // SAFETY: epoll calls with valid descriptors and an array of the stated length.
    let poll = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
    let add = |fd: i32| {
        let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: fd as u64 };
        // SAFETY: as above.
        assert_eq!(unsafe { libc::epoll_ctl(poll, libc::EPOLL_CTL_ADD, fd, &raw mut event) }, 0);
    };
    add(listener.as_raw_fd());
    let mut streams: HashMap<u64, TcpStream> = HashMap::new();
    let mut events = [libc::epoll_event { events: 0, u64: 0 }; EVENTS];
    let (mut buffer, mut calls) = ([0; 8192], 0);
    while !stopped.load(Ordering::Acquire) {
        // SAFETY: as above.
        let count = unsafe { libc::epoll_wait(poll, events.as_mut_ptr(), EVENTS as i32, 100) };
        calls += 1;
        for event in &events[..count.max(0) as usize] {
            let id = event.u64;
            let Some(stream) = streams.get_mut(&id) else {
                let (stream, _) = listener.accept().expect("accept");
                stream.set_nonblocking(true).expect("nonblocking");
                stream.set_nodelay(true).expect("nodelay");
                add(stream.as_raw_fd());
                streams.insert(stream.as_raw_fd() as u64, stream);
                continue;
            };
            calls += 2;
            match stream.read(&mut buffer) {
                Ok(bytes) if bytes > 0 => stream.write_all(&buffer[..bytes]).expect("write"),
                _ => {
                    streams.remove(&id);
                }
            }
        }
    }
    calls
}

fn wal(path: CommitPath, bytes: usize, time: Duration, directory: PathBuf) {
    let (mut latencies, cpu) = on_cpu(0, move || commit_for(path, bytes, time, directory.clone()));
    latencies.sort_unstable();
    let at = |share: f64| latencies[((latencies.len() - 1) as f64 * share) as usize] / 1000;
    println!(
        "{path:?} {bytes} bytes: {:.0} commits/s, p50 {} us, p99 {} us, max {} us, {:.1} us core \
         CPU/commit",
        latencies.len() as f64 / time.as_secs_f64(),
        at(0.5),
        at(0.99),
        at(1.0),
        cpu as f64 / 1000.0 / latencies.len() as f64,
    );
}

fn commit_for(
    path: CommitPath,
    bytes: usize,
    time: Duration,
    directory: PathBuf,
) -> (Vec<u64>, u64) {
    let mut reactor = Reactor::new(&ReactorOptions::default()).expect("reactor");
    let mut options = WalOptions::new(directory, 0, 1);
    options.path = path;
    let mut writer = Writer::open(options, LogStart::fresh(), &reactor).expect("open");
    let run = vec![7; bytes];
    let (begun, cpu) = (Instant::now(), cpu_ns());
    let mut latencies = Vec::new();
    while begun.elapsed() < time {
        let from = monotonic_ns();
        writer.append(&run);
        while writer.durable() < writer.appended() {
            writer.turn_end(monotonic_ns(), &mut reactor).expect("turn end");
            reactor.turn(Duration::from_millis(100)).expect("turn");
            let now = monotonic_ns();
            writer.collect(now).expect("collect");
            while let Some(completion) = reactor.next() {
                if let Completion::Log(done) = completion {
                    writer.on_completion(done, now).expect("commit");
                }
            }
        }
        latencies.push(monotonic_ns() - from);
        if writer.segment() > 4 && latencies.len() % 1000 == 0 {
            writer.release_through(writer.segment() - 1).expect("release");
        }
    }
    let cpu = cpu_ns() - cpu;
    writer.close(&mut reactor).expect("close");
    (latencies, cpu)
}
