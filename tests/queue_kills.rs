//! Fifty consumers and eight publishers of one queue in mode always, while the server is killed
//! every few seconds and consumers die with messages in their hands: everything that was promised
//! is delivered, each message is done once, and it comes again only when it may.
//! `SYNAP_QUEUE_MESSAGES` runs it longer.

mod support;

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use support::resp::{Resp, encode, show};
use support::{Plan, holds_within, wait_for};

const QUEUE: &str = "kills";
const PUBLISHERS: usize = 8;
const CONSUMERS: usize = 50;
/// Messages that a publisher sends before it reads the answers.
const AT_ONCE: usize = 16;
/// How long a consumer may keep a message.
const DEADLINE: Duration = Duration::from_secs(3);
/// How much sooner it may seem over to a client: the server reckons from the beginning of the turn
/// that served it, and a turn on a busy machine may have begun before the request was sent.
const TURN: Duration = Duration::from_millis(100);
/// One message in so many is the last that its consumer takes.
const LAST_OF: usize = 100;
/// Between two kills; a small run is killed after each quarter of its messages.
const KILL_INTERVAL: Duration = Duration::from_secs(4);

fn messages() -> usize {
    let messages = std::env::var("SYNAP_QUEUE_MESSAGES").ok();
    messages.and_then(|text| text.parse().ok()).unwrap_or(6000)
}

/// A message in somebody's hands: when it was asked for, and how far the count of kills was.
#[derive(Clone, Copy)]
struct Delivery {
    asked: Instant,
    kills: u64,
}

#[derive(Default)]
struct Books {
    published: HashSet<String>,
    last: HashMap<String, Delivery>,
    /// An acknowledgement was sent; whether it arrived is not known.
    tried: HashSet<String>,
    /// The server said that it is done.
    done: HashSet<String>,
    again_after_kill: usize,
    again_after_deadline: usize,
}

/// Ends the run when a thread fails: the others would wait for it.
struct Alarm<'a>(&'a Run);

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.ended.store(true, SeqCst);
        }
    }
}

struct Run {
    port: u16,
    wanted: usize,
    books: Mutex<Books>,
    published: AtomicUsize,
    /// Two for each kill.
    kills: AtomicU64,
    ended: AtomicBool,
}

impl Run {
    fn wants_more(&self) -> bool {
        self.published.load(SeqCst) < self.wanted && !self.ended.load(SeqCst)
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().expect("nobody panics holding the books")
    }

    /// A connection, as soon as the server takes one; nothing when the run has ended.
    fn connect(&self) -> Option<Resp> {
        let mut client = None;
        wait_for("the server to be back", || {
            client = Resp::try_connect(self.port);
            client.is_some() || self.ended.load(SeqCst)
        });
        client
    }

    /// Publishes until enough is; connects again when the server was killed.
    fn publish(&self, seed: usize) {
        let _alarm = Alarm(self);
        let mut number = seed;
        while self.wants_more() {
            let Some(mut client) = self.connect() else { return };
            while self.wants_more() {
                if self.publish_some(&mut client, &mut number).is_none() {
                    break;
                }
            }
        }
    }

    fn publish_some(&self, client: &mut Resp, number: &mut usize) -> Option<()> {
        let mut bytes = Vec::new();
        for _ in 0..AT_ONCE {
            let body = format!("{number}:{}", "x".repeat(*number * 37 % 200));
            bytes.extend(encode(&["QPUBLISH", QUEUE, &body]));
            *number += PUBLISHERS;
        }
        client.try_send(&bytes).then_some(())?;
        for _ in 0..AT_ONCE {
            let id = show(&client.try_reply()?);
            assert_eq!(id.len(), 36, "{id}");
            self.published.fetch_add(1, SeqCst);
            assert!(self.books().published.insert(id), "every message has an id of its own");
        }
        Some(())
    }

    /// The lives of one consumer after another.
    fn consume(&self, seat: usize) {
        let _alarm = Alarm(self);
        let mut life = 0;
        while let Some(mut client) = self.connect() {
            let name = format!("consumer-{seat}-{life}");
            life += 1;
            let mut taken = seat;
            while self.consume_one(&mut client, &name).is_some_and(|some| {
                taken += usize::from(some);
                !some || !taken.is_multiple_of(LAST_OF)
            }) {}
            if self.ended.load(SeqCst) {
                return;
            }
            // Dies with a message in its hands, which comes to somebody else.
            let _died = self.take(&mut client, &name);
        }
    }

    /// Takes one message and acknowledges it: whether there was one. Nothing when it is over.
    fn consume_one(&self, client: &mut Resp, name: &str) -> Option<bool> {
        if self.ended.load(SeqCst) {
            return None;
        }
        let Some((id, delivery)) = self.take(client, name)? else { return Some(false) };
        self.books().tried.insert(id.clone());
        client.try_send(&encode(&["QACK", QUEUE, "CONSUMER", name, &id])).then_some(())?;
        let reply = show(&client.try_reply()?);
        match reply.as_str() {
            ":1" => assert!(self.books().done.insert(id.clone()), "{id} was done twice"),
            // It came too late.
            _ => assert!(delivery.asked.elapsed() + TURN >= DEADLINE, "{id}: {reply}"),
        }
        Some(true)
    }

    /// Takes a message, if there is one, and checks that it may come.
    fn take(&self, client: &mut Resp, name: &str) -> Option<Option<(String, Delivery)>> {
        let delivery = Delivery { asked: Instant::now(), kills: self.kills.load(SeqCst) };
        let words = ["QCONSUME", QUEUE, "CONSUMER", name, "WAIT", "100"];
        client.try_send(&encode(&words)).then_some(())?;
        let reply = show(&client.try_reply()?);
        let Some(id) = id_in(&reply) else { return Some(None) };
        let kills = self.kills.load(SeqCst);
        let mut books = self.books();
        assert!(!books.done.contains(&id), "{id} is done, and came again");
        if let Some(before) = books.last.insert(id.clone(), delivery) {
            if kills > before.kills {
                books.again_after_kill += 1;
            } else {
                let held = before.asked.elapsed();
                assert!(held + TURN >= DEADLINE, "{id} came again after {held:?}");
                books.again_after_deadline += 1;
            }
        }
        Some(Some((id, delivery)))
    }
}

/// The id in the reply to `QCONSUME`.
fn id_in(reply: &str) -> Option<String> {
    let words: Vec<&str> = reply.trim_matches(['[', ']']).split(", ").collect();
    let at = words.iter().position(|word| *word == "message_id")?;
    words.get(at + 1).map(|word| (*word).to_owned())
}

#[test]
fn every_message_is_done_once_whoever_dies() {
    let plan = Plan::new().fsync("always");
    let mut server = plan.start();
    let seconds = DEADLINE.as_secs().to_string();
    let create = ["QCREATE", QUEUE, "DEADLINE", &seconds, "RETRIES", "50", "MAXDEPTH", "10000000"];
    assert_eq!(server.resp().call(&create), "+OK");
    let run = Run {
        port: plan.resp,
        wanted: messages(),
        books: Mutex::default(),
        published: AtomicUsize::new(0),
        kills: AtomicU64::new(0),
        ended: AtomicBool::new(false),
    };
    std::thread::scope(|scope| {
        let run = &run;
        let publishers: Vec<_> =
            (0..PUBLISHERS).map(|seed| scope.spawn(move || run.publish(seed))).collect();
        for seat in 0..CONSUMERS {
            scope.spawn(move || run.consume(seat));
        }
        let mut quarter = 1;
        while run.wants_more() {
            let enough = run.wanted * quarter / 4;
            holds_within(KILL_INTERVAL, || run.published.load(SeqCst) >= enough);
            quarter += usize::from(run.published.load(SeqCst) >= enough);
            // Odd while it is being done: what is still delivered then may come again after it.
            run.kills.fetch_add(1, SeqCst);
            server.signal("KILL");
            server.wait();
            run.kills.fetch_add(1, SeqCst);
            server = plan.start();
        }
        for publisher in publishers {
            publisher.join().expect("it saw nothing wrong");
        }
        drain(run);
        run.ended.store(true, SeqCst);
    });
    server.stop();
    report(&run);
}

/// Waits until nothing is left in the queue, as long as it becomes less.
fn drain(run: &Run) {
    let mut client = Resp::connect(run.port);
    let mut left = usize::MAX;
    while left > 0 && !run.ended.load(SeqCst) {
        let before = left;
        wait_for("the queue to become shorter", || {
            let stats = client.call(&["QSTATS", QUEUE]);
            let number = |name: &str| -> usize {
                let behind = stats.split(&format!("{name}, :")).nth(1).expect("a figure");
                behind.split([',', ']']).next().expect("a number").parse().expect("a number")
            };
            left = number("depth") + number("pending");
            left < before || run.ended.load(SeqCst)
        });
    }
}

fn report(run: &Run) {
    let books = run.books();
    for id in &books.published {
        assert!(books.done.contains(id) || books.tried.contains(id), "{id} is lost");
    }
    let unsure = books.tried.difference(&books.done).count();
    eprintln!(
        "{} messages published and acknowledged by the server, {} kills: {} done once, {unsure} \
         whose acknowledgement a kill or a deadline cut off; came again: {} after a kill, {} after \
         their deadline; lost: 0",
        books.published.len(),
        run.kills.load(SeqCst) / 2,
        books.done.len(),
        books.again_after_kill,
        books.again_after_deadline,
    );
}
