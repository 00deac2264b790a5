//! Concurrent clients, a server that is killed and started again under them, and the question
//! whether one order of all operations explains every answer that anybody got.

mod support;

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use support::faulty::Faults;
use support::history::{
    Object, Recorded, Recorder, Recorders, Rng, is_linearizable, print, recorders,
};
use support::{Plan, Server, wait_for};
use todc_utils::linearizability::history::Action;
use todc_utils::specifications::Specification;

/// Objects of each kind.
const OBJECTS: usize = 3;
/// Clients of one object. Each may leave a request unanswered at each kill, and what the checker
/// has to try doubles with every such request: so clients and kills of one history are few, and
/// there are many histories.
const CLIENTS: usize = 3;
/// Kills that one history spans.
const KILLS: u64 = 2;
/// Operations of a client between two kills, at most.
const OPERATIONS: usize = 30;

fn rounds() -> usize {
    let given = std::env::var("SYNAP_LINEARIZABILITY_ROUNDS").ok();
    given.and_then(|text| text.parse().ok()).unwrap_or(3)
}

/// An answer; nothing when it never came.
type Answer<T> = Option<T>;

/// What is done to a key that holds a number or nothing.
#[derive(Clone, Debug)]
enum Cell {
    Get(Answer<Option<u64>>),
    Set(u64),
    SetIfEqual { expected: u64, new: u64, done: Answer<bool> },
    SetIfAbsent { new: u64, done: Answer<bool> },
    Take(Answer<Option<u64>>),
    Increment(Answer<u64>),
}

/// A number or nothing, and whether the answer is the right one.
fn apply_cell(operation: &Cell, state: &Option<u64>) -> (bool, Option<u64>) {
    /// An answer that never came is as good as any.
    fn fits<T: PartialEq>(answer: &Answer<T>, right: T) -> bool {
        answer.as_ref().is_none_or(|answer| *answer == right)
    }
    match operation {
        Cell::Get(seen) => (fits(seen, *state), *state),
        Cell::Set(new) => (true, Some(*new)),
        Cell::SetIfEqual { expected, new, done } => {
            let equal = *state == Some(*expected);
            (fits(done, equal), if equal { Some(*new) } else { *state })
        }
        Cell::SetIfAbsent { new, done } => {
            (fits(done, state.is_none()), if state.is_none() { Some(*new) } else { *state })
        }
        Cell::Take(taken) => (fits(taken, *state), None),
        Cell::Increment(count) => {
            let next = state.unwrap_or(0) + 1;
            (fits(count, next), Some(next))
        }
    }
}

fn cell_words(operation: &Cell, key: &str) -> Vec<String> {
    let text = match operation {
        Cell::Get(_) => format!("GET {key}"),
        Cell::Set(new) => format!("SET {key} {new}"),
        Cell::SetIfEqual { expected, new, .. } => format!("SET {key} {new} IFEQ {expected}"),
        Cell::SetIfAbsent { new, .. } => format!("SET {key} {new} NX"),
        Cell::Take(_) => format!("GETDEL {key}"),
        Cell::Increment(_) => format!("INCR {key}"),
    };
    text.split(' ').map(str::to_owned).collect()
}

fn cell_answered(operation: Cell, reply: &str) -> Cell {
    let number = |text: &str| text.trim_start_matches(':').parse().expect("a number");
    let value = || (reply != "(nil)").then(|| number(reply));
    match operation {
        Cell::Get(_) => Cell::Get(Some(value())),
        Cell::Set(new) => {
            assert_eq!(reply, "+OK");
            Cell::Set(new)
        }
        Cell::SetIfEqual { expected, new, .. } => {
            Cell::SetIfEqual { expected, new, done: Some(reply == "+OK") }
        }
        Cell::SetIfAbsent { new, .. } => Cell::SetIfAbsent { new, done: Some(reply == "+OK") },
        Cell::Take(_) => Cell::Take(Some(value())),
        Cell::Increment(_) => Cell::Increment(Some(number(reply))),
    }
}

/// Declares a kind of object whose state is a number or nothing.
macro_rules! cell_object {
    ($(#[$doc:meta])* $name:ident, $text:literal, |$rng:ident, $tag:ident| $draw:expr) => {
        $(#[$doc])*
        struct $name;

        impl Specification for $name {
            type State = Option<u64>;
            type Operation = Cell;

            fn init() -> Option<u64> {
                None
            }

            fn apply(operation: &Cell, state: &Option<u64>) -> (bool, Option<u64>) {
                apply_cell(operation, state)
            }
        }

        impl Object for $name {
            const NAME: &'static str = $text;

            fn draw($rng: &mut Rng, $tag: u64) -> Cell {
                $draw
            }

            fn is_read(operation: &Cell) -> bool {
                matches!(operation, Cell::Get(_))
            }

            fn words(operation: &Cell, key: &str) -> Vec<String> {
                cell_words(operation, key)
            }

            fn answered(operation: Cell, reply: &str) -> Cell {
                cell_answered(operation, reply)
            }
        }
    };
}

cell_object!(
    /// Read and written.
    Register,
    "register",
    |rng, tag| match rng.below(2) {
        0 => Cell::Get(None),
        _ => Cell::Set(tag),
    }
);

cell_object!(
    /// Counted up and read.
    Counter,
    "counter",
    |rng, _tag| match rng.below(3) {
        0 => Cell::Get(None),
        _ => Cell::Increment(None),
    }
);

cell_object!(
    /// Compared and set: few values, so that comparisons often succeed.
    Compared,
    "compared",
    |rng, _tag| match rng.below(4) {
        0 => Cell::Get(None),
        1 => Cell::SetIfAbsent { new: rng.below(3), done: None },
        _ => Cell::SetIfEqual { expected: rng.below(3), new: rng.below(3), done: None },
    }
);

cell_object!(
    /// Put where nothing is, and taken by one only.
    Token,
    "token",
    |rng, tag| match rng.below(3) {
        0 => Cell::Get(None),
        1 => Cell::SetIfAbsent { new: tag, done: None },
        _ => Cell::Take(None),
    }
);

/// Grows at its end: every read shows the order of all that came before.
struct Journal;

#[derive(Clone, Debug)]
enum Line {
    Append { text: String, bytes: Answer<usize> },
    Read(Answer<String>),
}

impl Specification for Journal {
    type State = String;
    type Operation = Line;

    fn init() -> String {
        String::new()
    }

    fn apply(operation: &Line, state: &String) -> (bool, String) {
        match operation {
            Line::Append { text, bytes } => {
                let state = format!("{state}{text}");
                (bytes.is_none_or(|bytes| bytes == state.len()), state)
            }
            Line::Read(seen) => (seen.as_ref().is_none_or(|seen| seen == state), state.clone()),
        }
    }
}

impl Object for Journal {
    const NAME: &'static str = "journal";

    fn draw(rng: &mut Rng, tag: u64) -> Line {
        match rng.below(3) {
            0 => Line::Read(None),
            _ => Line::Append { text: format!("{tag}."), bytes: None },
        }
    }

    fn is_read(operation: &Line) -> bool {
        matches!(operation, Line::Read(_))
    }

    fn words(operation: &Line, key: &str) -> Vec<String> {
        match operation {
            Line::Append { text, .. } => vec!["APPEND".into(), key.into(), text.clone()],
            Line::Read(_) => vec!["GET".into(), key.into()],
        }
    }

    fn answered(operation: Line, reply: &str) -> Line {
        match operation {
            Line::Append { text, .. } => {
                let bytes = Some(reply[1..].parse().expect("a length"));
                Line::Append { text, bytes }
            }
            Line::Read(_) if reply == "(nil)" => Line::Read(Some(String::new())),
            Line::Read(_) => Line::Read(Some(reply.to_owned())),
        }
    }
}

/// Clients of every object of a kind.
fn clients<O: Object>(objects: &Recorders<O>, port: u16, seed: u64) -> Vec<JoinHandle<()>> {
    let mut threads = Vec::new();
    for at in 0..objects.len() {
        for client in 0..CLIENTS {
            let objects = Arc::clone(objects);
            let seed = seed * 1000 + (at * CLIENTS + client) as u64;
            threads.push(std::thread::spawn(move || {
                objects[at].run_client(port, seed, OPERATIONS);
            }));
        }
    }
    threads
}

/// Checks every history of a kind; answered and unanswered requests of all of them.
fn verdicts<O: Object>(objects: Recorders<O>) -> (usize, usize) {
    let Ok(objects) = Arc::try_unwrap(objects) else { panic!("the clients have ended") };
    let (mut answered, mut pending) = (0, 0);
    for recorded in objects.into_iter().map(Recorder::finish) {
        if !is_linearizable::<O>(&recorded.actions) {
            print(&recorded);
            panic!("the history of {} has no explanation", recorded.key);
        }
        answered += recorded.answered;
        pending += recorded.pending;
    }
    (answered, pending)
}

/// Objects of every kind.
struct World {
    registers: Recorders<Register>,
    counters: Recorders<Counter>,
    compared: Recorders<Compared>,
    tokens: Recorders<Token>,
    journals: Recorders<Journal>,
}

impl World {
    fn new(round: usize) -> Self {
        let first = round * OBJECTS;
        Self {
            registers: recorders(first, OBJECTS),
            counters: recorders(first, OBJECTS),
            compared: recorders(first, OBJECTS),
            tokens: recorders(first, OBJECTS),
            journals: recorders(first, OBJECTS),
        }
    }

    fn clients(&self, server: &Server, seed: u64) -> Vec<JoinHandle<()>> {
        let port = server.plan.resp;
        let mut threads = clients(&self.registers, port, seed);
        threads.extend(clients(&self.counters, port, seed));
        threads.extend(clients(&self.compared, port, seed));
        threads.extend(clients(&self.tokens, port, seed));
        threads.extend(clients(&self.journals, port, seed));
        threads
    }

    fn verdicts(self) -> (usize, usize) {
        let all = [
            verdicts(self.registers),
            verdicts(self.counters),
            verdicts(self.compared),
            verdicts(self.tokens),
            verdicts(self.journals),
        ];
        all.into_iter().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
    }
}

fn join(threads: Vec<JoinHandle<()>>) {
    for thread in threads {
        thread.join().expect("the client saw nothing wrong");
    }
}

#[test]
fn histories_under_kill_9_in_mode_always_have_an_explanation() {
    let begun = Instant::now();
    let mut plan = Plan::new().fsync("always").env("SYNAP_PERSISTENCE__WAL__SEGMENT_SIZE_MB", 1);
    let (mut answered, mut pending) = (0, 0);
    for round in 0..rounds() {
        let world = World::new(round);
        for kill in 0..KILLS {
            let seed = round as u64 * KILLS + kill + 1;
            let server = plan.workers(seed as usize % 3 + 1).fresh_ports().start();
            plan = server.plan.clone();
            let threads = world.clients(&server, seed);
            let until = Instant::now() + Duration::from_millis(5 + seed * 11 % 60);
            wait_for("the time to kill", || Instant::now() >= until);
            server.kill();
            join(threads);
        }
        // Whoever asks last sees what is left of it all.
        let server = plan.fresh_ports().start();
        join(world.clients(&server, 0));
        plan = server.plan.clone();
        server.stop();
        let found = world.verdicts();
        (answered, pending) = (answered + found.0, pending + found.1);
    }
    let objects = rounds() * OBJECTS * 5;
    eprintln!(
        "{objects} histories over {} kills: {answered} operations answered, {pending} not, all \
         explained; {:.1?}",
        rounds() as u64 * KILLS,
        begun.elapsed()
    );
    assert!(answered > 0 && pending > 0, "the kills hit clients at work");
}

#[test]
fn a_disk_that_lied_is_found_out() {
    let Some((plan, faults)) = Faults::plan() else { return };
    let mut server = plan.fsync("always").start();
    faults.set("sync lie in synap.wal");
    let registers: Recorders<Register> = recorders(0, 1);
    join(clients(&registers, server.plan.resp, 1));
    faults.set("power cut\nsync lie in synap.wal");
    join(clients(&registers, server.plan.resp, 2));
    assert_eq!(server.wait().code(), None, "it was aborted");
    faults.set("");
    let server = server.plan.clone().fresh_ports().start();
    join(clients(&registers, server.plan.resp, 3));
    server.stop();
    let Ok(mut registers) = Arc::try_unwrap(registers) else { panic!("the clients have ended") };
    let recorded = registers.remove(0).finish();
    assert!(!is_linearizable::<Register>(&recorded.actions), "what was lost was acknowledged");
}

/// A history in which each operation ends before the next begins.
fn one_by_one(operations: &[Cell]) -> Recorded<Cell> {
    let both = |operation: &Cell| {
        [(0, Action::Call(operation.clone())), (0, Action::Response(operation.clone()))]
    };
    let actions: Vec<_> = operations.iter().flat_map(both).collect();
    Recorded { key: "made up".to_owned(), answered: operations.len(), actions, pending: 0 }
}

#[test]
fn broken_histories_are_refused() {
    use Cell::{Get, Increment, Set, SetIfAbsent, SetIfEqual, Take};
    let swapped = |new| SetIfEqual { expected: 1, new, done: Some(true) };
    let broken: [(&str, &[Cell]); 6] = [
        ("an acknowledged write is lost", &[Set(1), Set(2), Get(Some(Some(1)))]),
        ("a value nobody wrote", &[Set(1), Get(Some(Some(7)))]),
        ("an INCR counts twice", &[Increment(Some(1)), Increment(Some(3))]),
        ("an INCR is lost", &[Increment(Some(1)), Increment(Some(1))]),
        ("two comparisons win", &[Set(1), swapped(2), swapped(3)]),
        (
            "a token is taken twice",
            &[SetIfAbsent { new: 4, done: Some(true) }, Take(Some(Some(4))), Take(Some(Some(4)))],
        ),
    ];
    for (what, operations) in broken {
        assert!(!is_linearizable::<Register>(&one_by_one(operations).actions), "{what}");
        let sound = &operations[..operations.len() - 1];
        assert!(is_linearizable::<Register>(&one_by_one(sound).actions), "{what}: up to there");
    }
}

#[test]
fn an_unanswered_write_may_happen_late_or_never_but_not_twice() {
    use Cell::{Get, Set};
    let last = |seen: &[Option<u64>]| {
        // Process 1 wrote 2 and was never answered; process 0 goes on.
        let mut actions = vec![(0, Action::Call(Set(1))), (0, Action::Response(Set(1)))];
        actions.push((1, Action::Call(Set(2))));
        for seen in seen {
            actions.push((0, Action::Call(Get(None))));
            actions.push((0, Action::Response(Get(Some(*seen)))));
        }
        actions.push((1, Action::Response(Set(2))));
        is_linearizable::<Register>(&actions)
    };
    assert!(last(&[Some(1), Some(1)]));
    assert!(last(&[Some(1), Some(2)]));
    assert!(last(&[Some(2), Some(2)]));
    assert!(!last(&[Some(2), Some(1)]));
}
