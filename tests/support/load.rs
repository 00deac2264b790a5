//! Clients that write as fast as they are answered, and books of what they were promised: after a
//! crash the books say what must be there, what may be there, and what must be whole.

use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::resp::{Resp, encode, show};
use super::{Server, wait_for};

/// Members of a group that is written by one MSET; they lie on several cores.
const GROUP: u64 = 5;
/// Steps asked for at once when the books are checked.
const ASKED_AT_ONCE: usize = 100;

/// What one writer knows. A step is a SET of a key of its own, a SET of the same key over and over,
/// an MSET of keys of its own, and an INCR.
#[derive(Default)]
struct Book {
    /// Steps before this one were checked.
    first: AtomicU64,
    /// Last step that was sent.
    sent: AtomicU64,
    /// Last step whose SETs were acknowledged; the same of its MSET.
    singles: AtomicU64,
    groups: AtomicU64,
    /// Count that the last acknowledged INCR gave; INCRs sent so far.
    counter: AtomicU64,
    increments: AtomicU64,
    /// Acknowledged steps of the present run and when they were.
    history: Mutex<Vec<(Instant, u64)>>,
}

/// What has been looked at, for the last line of a test.
#[derive(Clone, Copy, Default, Debug)]
pub struct Checked {
    /// Acknowledged writes that were found.
    pub writes: u64,
    /// Transactions that were found whole, or wholly absent where that was allowed.
    pub transactions: u64,
}

impl std::ops::AddAssign for Checked {
    fn add_assign(&mut self, other: Self) {
        self.writes += other.writes;
        self.transactions += other.transactions;
    }
}

impl std::fmt::Display for Checked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { writes, transactions } = self;
        write!(
            f,
            "{writes} acknowledged writes checked, 0 lost; {transactions} transactions checked, \
             0 torn"
        )
    }
}

/// The books of all writers.
#[derive(Clone)]
pub struct Books(Arc<Vec<Book>>);

/// Which acknowledged writes must be there.
#[derive(Clone, Copy)]
pub enum Promise {
    /// All.
    All,
    /// Those acknowledged before this moment.
    Until(Instant),
    /// None: the disk lied. Transactions are whole all the same.
    Nothing,
}

fn single(writer: usize, step: u64) -> String {
    format!("single:{writer}:{step}")
}

fn last(writer: usize) -> String {
    format!("last:{writer}")
}

fn counter(writer: usize) -> String {
    format!("counter:{writer}")
}

fn members(writer: usize, step: u64) -> impl Iterator<Item = String> {
    (0..GROUP).map(move |member| format!("group:{writer}:{step}:{member}"))
}

/// Values of many keys; nothing where there is no key.
fn values(client: &mut Resp, keys: &[String]) -> Vec<Option<u64>> {
    let mut words = vec!["MGET"];
    words.extend(keys.iter().map(String::as_str));
    let shown = client.call(&words);
    let list = shown.strip_prefix('[').and_then(|list| list.strip_suffix(']')).expect("an array");
    let number = |text: &str| (text != "(nil)").then(|| text.parse().expect("a number"));
    list.split(", ").map(number).collect()
}

fn value(client: &mut Resp, key: String) -> u64 {
    values(client, &[key])[0].unwrap_or(0)
}

impl Books {
    /// Empty books of so many writers.
    pub fn new(writers: usize) -> Self {
        Self(Arc::new((0..writers).map(|_| Book::default()).collect()))
    }

    /// Steps acknowledged to the end so far.
    pub fn acknowledged(&self) -> u64 {
        self.0.iter().map(|book| book.groups.load(Ordering::Relaxed)).sum()
    }

    /// Compares the books with what a server has; panics when a promise is broken. Afterwards they
    /// go on from what was found.
    pub fn check(&self, client: &mut Resp, promise: Promise) -> Checked {
        let mut checked = Checked::default();
        for (writer, book) in self.0.iter().enumerate() {
            checked += book.check(writer, client, promise);
        }
        checked
    }

    /// How many acknowledged SETs are not there: more than none only after a disk has lied.
    pub fn count_lost(&self, client: &mut Resp) -> u64 {
        let mut lost = 0;
        for (writer, book) in self.0.iter().enumerate() {
            let steps: Vec<u64> = book.acknowledged_steps(Promise::All).collect();
            for steps in steps.chunks(ASKED_AT_ONCE) {
                let keys: Vec<String> = steps.iter().map(|step| single(writer, *step)).collect();
                lost += values(client, &keys).iter().filter(|value| value.is_none()).count() as u64;
            }
        }
        lost
    }
}

impl Book {
    fn acknowledged_steps(&self, promise: Promise) -> RangeInclusive<u64> {
        let end = match promise {
            Promise::All => self.singles.load(Ordering::Relaxed),
            Promise::Until(moment) => {
                let history = self.history.lock().expect("nobody panics holding it");
                history.iter().rev().find(|(at, _)| *at < moment).map_or(0, |(_, step)| *step)
            }
            Promise::Nothing => 0,
        };
        self.first.load(Ordering::Relaxed) + 1..=end
    }

    fn check(&self, writer: usize, client: &mut Resp, promise: Promise) -> Checked {
        let mut checked = Checked::default();
        let promised = self.acknowledged_steps(promise);
        let sent = self.sent.load(Ordering::Relaxed);
        let groups = self.groups.load(Ordering::Relaxed).min(*promised.end());
        let steps: Vec<u64> = (*promised.start()..=sent).collect();
        for steps in steps.chunks(ASKED_AT_ONCE) {
            let keys: Vec<String> = steps.iter().map(|step| single(writer, *step)).collect();
            for (step, found) in steps.iter().zip(values(client, &keys)) {
                assert!(found.is_none_or(|found| found == *step), "{found:?} in step {step}");
                let must = promised.contains(step);
                assert!(!must || found.is_some(), "writer {writer}: SET {step} is lost");
                checked.writes += u64::from(must);
            }
            let keys: Vec<String> = steps.iter().flat_map(|step| members(writer, *step)).collect();
            let found = values(client, &keys);
            for (step, found) in steps.iter().zip(found.chunks(GROUP as usize)) {
                let whole = found.iter().all(|value| *value == Some(*step));
                let absent = found.iter().all(Option::is_none);
                let must = *step <= groups;
                assert!(whole || absent, "writer {writer}: torn group {step}: {found:?}");
                assert!(!must || whole, "writer {writer}: MSET {step} is lost");
                checked.writes += u64::from(must);
                checked.transactions += 1;
            }
        }
        checked += self.check_rewritten(writer, client, promise, *promised.end());
        self.first.store(sent, Ordering::Relaxed);
        self.singles.store(sent, Ordering::Relaxed);
        self.groups.store(sent, Ordering::Relaxed);
        self.history.lock().expect("nobody panics holding it").clear();
        checked
    }

    /// The keys that each step writes anew.
    fn check_rewritten(
        &self,
        writer: usize,
        client: &mut Resp,
        promise: Promise,
        promised: u64,
    ) -> Checked {
        let sent = self.sent.load(Ordering::Relaxed);
        let found = value(client, last(writer));
        assert!(found <= sent, "writer {writer}: {found} was never sent");
        assert!(found >= promised, "writer {writer}: {found} is older than {promised}");
        let found = value(client, counter(writer));
        assert!(found <= self.increments.load(Ordering::Relaxed), "an INCR was done twice");
        if let Promise::All = promise {
            let acknowledged = self.counter.load(Ordering::Relaxed);
            assert!(found >= acknowledged, "writer {writer}: {acknowledged} INCRs, {found} there");
        }
        // Later ones build upon what is there.
        self.counter.store(found, Ordering::Relaxed);
        self.increments.store(found, Ordering::Relaxed);
        Checked { writes: 2, transactions: 0 }
    }

    /// Takes steps until the connection breaks or it is told to stop.
    fn write(&self, writer: usize, port: u16, stop: &AtomicBool) {
        let mut client = Resp::connect(port);
        let (last, counter) = (last(writer), counter(writer));
        let mut step = self.sent.load(Ordering::Relaxed);
        while !stop.load(Ordering::Relaxed) {
            step += 1;
            let tag = step.to_string();
            let members: Vec<String> = members(writer, step).collect();
            let mut words = vec!["MSET"];
            for member in &members {
                words.extend([member.as_str(), tag.as_str()]);
            }
            let mut bytes = encode(&["SET", &single(writer, step), &tag]);
            bytes.extend(encode(&["SET", &last, &tag]));
            bytes.extend(encode(&words));
            bytes.extend(encode(&["INCR", &counter]));
            self.sent.store(step, Ordering::Relaxed);
            self.increments.fetch_add(1, Ordering::Relaxed);
            if !client.try_send(&bytes) || self.take_replies(&mut client, step).is_none() {
                return;
            }
        }
    }

    fn take_replies(&self, client: &mut Resp, step: u64) -> Option<()> {
        for _ in 0..2 {
            assert_eq!(show(&client.try_reply()?), "+OK");
        }
        self.singles.store(step, Ordering::Relaxed);
        let mut history = self.history.lock().expect("nobody panics holding it");
        history.push((Instant::now(), step));
        drop(history);
        assert_eq!(show(&client.try_reply()?), "+OK");
        self.groups.store(step, Ordering::Relaxed);
        let count = show(&client.try_reply()?)[1..].parse().expect("a count");
        self.counter.store(count, Ordering::Relaxed);
        Some(())
    }
}

/// Writers at work on a server.
pub struct Load {
    books: Books,
    before: u64,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    /// Sets every writer of the books to work.
    pub fn start(server: &Server, books: &Books) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let port = server.plan.resp;
        let threads = (0..books.0.len()).map(|writer| {
            let (books, stop) = (books.clone(), Arc::clone(&stop));
            std::thread::spawn(move || books.0[writer].write(writer, port, &stop))
        });
        let threads = threads.collect();
        Self { books: books.clone(), before: books.acknowledged(), stop, threads }
    }

    /// Waits until so much time has passed and every writer has been answered a few times on
    /// average.
    pub fn go_on_for(&self, time: Duration) {
        let until = Instant::now() + time;
        let enough = self.before + 3 * self.books.0.len() as u64;
        wait_for("writes to be acknowledged", || {
            Instant::now() >= until && self.books.acknowledged() > enough
        });
    }

    /// Ends the writers; those whose server is gone have ended. Panics if one saw anything wrong.
    pub fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().expect("the writer saw nothing wrong");
        }
    }
}
