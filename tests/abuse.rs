//! Clients that do what clients should not. Every time: a clear error or a closed connection,
//! memory bounded, and an ordinary client beside that notices nothing.

mod support;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::OnceLock;
use std::time::Duration;

use support::http::request;
use support::resp::{Resp, encode, show};
use support::{Beside, Plan, Server, holds_within, wait_for};

const MIB: u64 = 1024 * 1024;

/// A server, and an ordinary client beside what the test does to it.
fn beside(abuse: impl FnOnce(&Server)) {
    let server = Server::start();
    let client = Beside::client(&server);
    abuse(&server);
    client.end();
    server.stop();
}

#[test]
fn one_byte_at_a_time() {
    beside(|server| {
        let mut resp = server.resp();
        for byte in encode(&["SET", "slow", "value"]).iter().chain(b"GET slow\r\n") {
            resp.send(&[*byte]);
        }
        assert_eq!(show(&resp.reply()), "+OK");
        assert_eq!(show(&resp.reply()), "value");
        let mut http = server.http();
        for byte in request("POST", "/kv/set", "{\"key\":\"slow\",\"value\":\"v\"}").bytes() {
            http.send([byte]);
        }
        assert_eq!(http.answer("POST").status, 200);
        for byte in b"GET /kv/get/slow HTTP/1.1\r\nHost: x\r\n\r\n" {
            http.send([*byte]);
        }
        let answer = http.answer("GET");
        assert_eq!(answer.status, 200);
        assert!(answer.text().contains('v'), "{answer:?}");
    });
}

#[test]
fn requests_that_end_early() {
    beside(|server| {
        let whole = encode(&["SET", "half", "value"]);
        for end in 1..whole.len() {
            let mut resp = server.resp();
            resp.send(&whole[..end]);
            resp.finish_sending();
            assert_eq!(resp.rest(), b"", "cut at {end}");
        }
        let whole = request("POST", "/kv/set", "{\"key\":\"half\",\"value\":\"v\"}");
        for end in (1..whole.len()).step_by(5) {
            let mut http = server.http();
            http.send(&whole[..end]);
            http.finish_sending();
            if let Some(answer) = http.try_answer("POST") {
                assert_eq!(answer.status, 400, "cut at {end}");
            }
        }
        assert_eq!(server.resp().call(&["EXISTS", "half"]), ":0");
    });
}

#[test]
fn lengths_that_cannot_be() {
    beside(|server| {
        for bytes in [
            &b"*-5\r\n$4\r\nPING\r\nX"[..],
            b"*1048577\r\n",
            b"*99999999999999999999\r\n",
            b"*1\r\n$-1\r\n",
            b"*1\r\n$536870913\r\n",
            b"*1\r\n$99999999999999999999\r\n",
            b"*1\r\n$abc\r\n",
            b"*1\r\n:4\r\n",
            b"*2\r\n$3\r\nGET\r\n$3\r\nabcde\r\n",
            b"*abc\r\n",
        ] {
            let mut resp = server.resp();
            resp.send(bytes);
            resp.finish_sending();
            let said = String::from_utf8_lossy(&resp.rest()).into_owned();
            let is_refused = said.is_empty() || said.starts_with("-ERR");
            assert!(is_refused, "{:?}: {said}", String::from_utf8_lossy(bytes));
        }
        let before = server.rss();
        let mut open = Vec::new();
        for _ in 0..50 {
            let mut resp = server.resp();
            resp.send(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$536870912\r\nabc");
            let mut many = server.resp();
            many.send(b"*1048576\r\n$3\r\nDEL\r\n");
            open.push((resp, many));
        }
        assert_eq!(server.resp().call(&["PING"]), "+PONG");
        let grown = server.rss().saturating_sub(before);
        assert!(grown < 64 * MIB, "announced lengths are not allocated: {grown}");
    });
}

#[test]
fn bodies_and_lines_that_are_too_long() {
    beside(|server| {
        let mut http = server.http();
        http.send("POST /kv/set HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n");
        assert_eq!(http.answer("POST").status, 413);
        assert!(http.is_closed());
        let mut http = server.http();
        http.send("POST /kv/set HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
        http.send("ffffffffff\r\n");
        assert!(matches!(http.answer("POST").status, 400 | 413));
        let mut http = server.http();
        http.try_send(format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(100_000)));
        if let Some(answer) = http.try_answer("GET") {
            assert!(matches!(answer.status, 400 | 414 | 431), "{answer:?}");
        }
        let mut http = server.http();
        let fields = "X-Long: y\r\n".repeat(20_000);
        http.try_send(format!("GET /health HTTP/1.1\r\nHost: x\r\n{fields}\r\n"));
        if let Some(answer) = http.try_answer("GET") {
            assert!(matches!(answer.status, 400 | 431), "{answer:?}");
        }
        let mut resp = server.resp();
        resp.try_send(&vec![b'a'; 300_000]);
        let said = String::from_utf8_lossy(&resp.rest()).into_owned();
        assert!(said.is_empty() || said.starts_with("-ERR Protocol error"), "{said}");
    });
}

#[test]
fn garbage_in_a_pipeline() {
    beside(|server| {
        let mut resp = server.resp();
        let mut bytes = encode(&["SET", "before", "1"]);
        bytes.extend(b"*1\r\n!garbage\r\n");
        bytes.extend(encode(&["SET", "behind", "1"]));
        resp.send(&bytes);
        let said = String::from_utf8(resp.rest()).expect("text");
        assert!(said.starts_with("+OK\r\n-ERR Protocol error"), "{said}");
        let mut client = server.resp();
        assert_eq!(client.call(&["EXISTS", "before"]), ":1");
        assert_eq!(client.call(&["EXISTS", "behind"]), ":0");
        let mut noise = 0x9e37_79b9_u32;
        for _ in 0..50 {
            let bytes: Vec<u8> = (0..2000)
                .map(|_| {
                    noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (noise >> 24) as u8
                })
                .collect();
            let mut resp = server.resp();
            resp.try_send(&bytes);
            let mut http = server.http();
            http.try_send(&bytes);
        }
    });
}

#[test]
fn smuggling() {
    beside(|server| {
        let hidden = "GET /kv/set-by-smuggling HTTP/1.1\r\nHost: x\r\n\r\n";
        for head in [
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
            "Content-Length: 0\r\nContent-Length: 5\r\n\r\n",
            "Content-Length: 0, 5\r\n\r\n",
            "Content-Length: +5\r\n\r\nabcde",
            "Content-Length: -5\r\n\r\nabcde",
            "Content-Length: 0x5\r\n\r\nabcde",
            "Content-Length : 5\r\n\r\nabcde",
            "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
            "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
            "Transfer-Encoding: chunked\r\n\r\n-1\r\nabc\r\n0\r\n\r\n",
            "Transfer-Encoding: chunked\r\n\r\n3\nabc\r\n0\r\n\r\n",
            "Transfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n",
            "X: a\r\n folded: b\r\n\r\n",
            "X: a\n\n",
            "X: a\nContent-Length: 5\r\n\r\nabcde",
            "X\0: a\r\n\r\n",
            " X: a\r\n\r\n",
        ] {
            let mut http = server.http();
            http.try_send(format!("POST /kv/set HTTP/1.1\r\nHost: x\r\n{head}{hidden}"));
            let answer = http.try_answer("POST");
            let answer = answer.unwrap_or_else(|| panic!("no answer to {head:?}"));
            assert!(matches!(answer.status, 400 | 501), "{head:?}: {answer:?}");
            assert!(answer.json().get("error").is_some(), "{answer:?}");
            assert!(http.is_closed(), "what follows {head:?} must not be read as a request");
        }
    });
}

#[test]
fn half_closed_sockets_get_every_reply() {
    beside(|server| {
        let mut resp = server.resp();
        let big = "b".repeat(100_000);
        assert_eq!(resp.call(&["SET", "big", &big]), "+OK");
        let mut bytes = Vec::new();
        for at in 0..5000 {
            let key = format!("half:{at}");
            bytes.extend(encode(&["SET", &key, &key]));
            bytes.extend(encode(&["GET", &key]));
            if at % 25 == 0 {
                bytes.extend(encode(&["GET", "big"]));
            }
        }
        let mut writer = resp.socket().try_clone().expect("a second handle");
        let sender = std::thread::spawn(move || {
            writer.write_all(&bytes).expect("the server reads");
            writer.shutdown(std::net::Shutdown::Write).expect("the socket is open");
        });
        for at in 0..5000 {
            assert_eq!(show(&resp.reply()), "+OK");
            assert_eq!(show(&resp.reply()), format!("half:{at}"));
            if at % 25 == 0 {
                assert_eq!(show(&resp.reply()), big);
            }
        }
        assert_eq!(resp.rest(), b"");
        sender.join().expect("everything was sent");
        let mut http = server.http();
        http.send("GET /kv/get/half:1 HTTP/1.1\r\nHost: x\r\n\r\n".repeat(500));
        http.finish_sending();
        for _ in 0..500 {
            assert_eq!(http.answer("GET").status, 200);
        }
        assert!(http.is_closed());
    });
}

#[test]
fn a_client_that_never_reads() {
    let server = Plan::new().env("SYNAP_NETWORK__OUTPUT_BUFFER_LIMIT_MB", 32).start();
    let mut setter = server.resp();
    let value = "x".repeat(1024 * 1024);
    for at in 0..8 {
        assert_eq!(setter.call(&["SET", &format!("large:{at}"), &value]), "+OK");
    }
    let client = Beside::client(&server);
    let before = server.rss();
    let mut open = Vec::new();
    let mut most = 0;
    for _ in 0..4 {
        let mut deaf = server.resp();
        let timeout = Some(Duration::from_millis(200));
        deaf.socket().set_write_timeout(timeout).expect("a socket option");
        let bytes: Vec<u8> =
            (0..2000).flat_map(|at| encode(&["GET", &format!("large:{}", at % 8)])).collect();
        deaf.try_send(&bytes);
        open.push(deaf);
        for _ in 0..20 {
            assert_eq!(setter.call(&["PING"]), "+PONG");
            most = most.max(server.rss().saturating_sub(before));
        }
    }
    holds_within(Duration::from_millis(500), || {
        most = most.max(server.rss().saturating_sub(before));
        false
    });
    client.end();
    assert!(most < 400 * MIB, "grew by {} MiB", most / MIB);
    drop(open);
    assert_eq!(setter.call(&["GET", "large:0"]).len(), value.len());
    server.stop();
}

#[test]
fn idle_connections() {
    static LIMIT: OnceLock<usize> = OnceLock::new();
    let count = *LIMIT.get_or_init(|| {
        let limits = std::fs::read_to_string("/proc/self/limits").expect("the kernel tells");
        let line = limits.lines().find(|line| line.starts_with("Max open files"));
        let soft = line.and_then(|line| line.split_whitespace().nth(3));
        let soft: usize = soft.and_then(|text| text.parse().ok()).unwrap_or(1024);
        if soft > 12_000 { 10_000 } else { (soft / 2).min(2_000) }
    });
    eprintln!("{count} idle connections");
    let server = Server::start();
    let client = Beside::client(&server);
    let before = server.rss();
    let open: Vec<TcpStream> = (0..count)
        .map(|at| {
            let port = if at % 2 == 0 { server.plan.resp } else { server.plan.http };
            TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("the server accepts")
        })
        .collect();
    let mut asked = server.resp();
    wait_for("all to be accepted", || {
        let info = asked.call(&["INFO", "clients"]);
        let line = info.lines().find_map(|line| line.strip_prefix("connected_clients:"));
        line.and_then(|text| text.trim().parse::<usize>().ok()) >= Some(count)
    });
    let each = server.rss().saturating_sub(before) / count as u64;
    assert!(each < 8 * 1024, "{each} bytes per idle connection");
    for stream in [&open[0], &open[count - 2]] {
        let mut stream = stream;
        stream.write_all(b"PING\r\n").expect("the server reads");
        let mut reply = [0; 7];
        stream.read_exact(&mut reply).expect("a reply");
        assert_eq!(&reply, b"+PONG\r\n");
    }
    drop(open);
    client.end();
    wait_for("all to be gone", || {
        let info = asked.call(&["INFO", "clients"]);
        info.contains("connected_clients:1\r\n")
    });
    server.stop();
}

#[test]
fn clients_that_vanish() {
    beside(|server| {
        for round in 0..200 {
            let mut resp = server.resp();
            let mut bytes = Vec::new();
            for at in 0..100 {
                let (one, two) = (format!("gone:{round}:{at}"), format!("gone:{at}"));
                bytes.extend(encode(&["MSET", &one, "1", &two, "1"]));
                bytes.extend(encode(&["MGET", &one, &two]));
            }
            let end = bytes.len() - round % 50;
            resp.send(&bytes[..end]);
        }
        let mut later = Resp::connect(server.plan.resp);
        assert_eq!(later.call(&["PING"]), "+PONG");
    });
}
