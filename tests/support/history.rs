//! Records what concurrent clients asked and were answered through real sockets, and has a checker
//! say whether one order of it all explains every answer (linearizability; Herlihy and Wing 1990).
//!
//! A request that was never answered may take effect at any later time or never. It is recorded as
//! answered after everything else, without a result: put last, it explains nothing and harms
//! nothing.

use std::fmt::Debug;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};

use todc_utils::linearizability::WGLChecker;
use todc_utils::linearizability::history::{Action, History, ProcessId};
use todc_utils::specifications::Specification;

use super::PATIENCE;
use super::resp::{Resp, encode, show};

/// A kind of object behind one key. A further kind (a list used as a queue, say) is one more
/// implementation and one more line in the test.
pub trait Object: Specification<Operation: Send, State: Send> + 'static {
    /// Its name; keys begin with it.
    const NAME: &'static str;

    /// Something to ask, not answered yet. `tag` is another one each time.
    fn draw(rng: &mut Rng, tag: u64) -> Self::Operation;

    /// Whether it changes nothing: unanswered, it need not be explained.
    fn is_read(operation: &Self::Operation) -> bool;

    /// The command that asks it.
    fn words(operation: &Self::Operation, key: &str) -> Vec<String>;

    /// The same with the answer that came, as [`show`] writes it.
    fn answered(operation: Self::Operation, reply: &str) -> Self::Operation;
}

/// A generator of pseudo-random numbers (xorshift, Marsaglia 2003).
pub struct Rng(u64);

impl Rng {
    /// Never the same as its neighbour.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 33) % end
    }
}

type Actions<T> = Vec<(ProcessId, Action<T>)>;

/// The history of one object.
pub struct Recorder<O: Object> {
    key: String,
    /// In the order in which they happened at the clients.
    actions: Mutex<Actions<O::Operation>>,
    processes: AtomicUsize,
    tags: AtomicUsize,
}

impl<O: Object> Recorder<O> {
    /// An empty history of the object behind a key of its own.
    pub fn new(number: usize) -> Self {
        let key = format!("{}:{number}", O::NAME);
        let (actions, processes, tags) = Default::default();
        Self { key, actions, processes, tags }
    }

    fn push(&self, process: ProcessId, action: Action<O::Operation>) {
        self.actions.lock().expect("nobody panics holding it").push((process, action));
    }

    /// Asks and is answered until the connection breaks or the count is reached. The last request
    /// may stay unanswered, and then nothing more is heard of this client.
    pub fn run_client(&self, port: u16, seed: u64, count: usize) {
        let process = self.processes.fetch_add(1, Ordering::Relaxed);
        let mut rng = Rng::new(seed);
        let mut client = Resp::connect(port);
        for _ in 0..count {
            let tag = self.tags.fetch_add(1, Ordering::Relaxed) as u64 + 1;
            let operation = O::draw(&mut rng, tag);
            let words = O::words(&operation, &self.key);
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            self.push(process, Action::Call(operation.clone()));
            if !client.try_send(&encode(&words)) {
                return;
            }
            let Some(reply) = client.try_reply() else { return };
            let operation = O::answered(operation, &show(&reply));
            self.push(process, Action::Response(operation));
        }
    }

    /// Ends recording.
    pub fn finish(self) -> Recorded<O::Operation> {
        let mut actions = self.actions.into_inner().expect("nobody panics holding it");
        let answered = actions.iter().filter(|(_, action)| matches!(action, Action::Response(_)));
        let answered = answered.count();
        let mut open: Vec<Option<O::Operation>> = vec![None; self.processes.into_inner()];
        for (process, action) in &actions {
            open[*process] = match action {
                Action::Call(operation) => Some(operation.clone()),
                Action::Response(_) => None,
            };
        }
        let open = open.into_iter().enumerate();
        let open: Actions<O::Operation> =
            open.filter_map(|(process, call)| Some((process, Action::Response(call?)))).collect();
        let pending = open.len();
        for (process, response) in open {
            let (Action::Call(operation) | Action::Response(operation)) = &response;
            if O::is_read(operation) {
                let call = actions.iter().rposition(|(other, _)| *other == process);
                actions.remove(call.expect("it was called"));
            } else {
                actions.push((process, response));
            }
        }
        Recorded { key: self.key, actions, answered, pending }
    }
}

/// A whole history: every call has its response.
#[derive(Clone)]
pub struct Recorded<T> {
    /// The key of the object.
    pub key: String,
    /// Calls and responses in order.
    pub actions: Actions<T>,
    /// Requests that were answered.
    pub answered: usize,
    /// Requests that were not.
    pub pending: usize,
}

/// Whether some order of the operations explains the history. Panics when the checker does not
/// come to an end: that says nothing about the history but that it is too long.
pub fn is_linearizable<O: Object>(actions: &Actions<O::Operation>) -> bool {
    if actions.is_empty() {
        return true;
    }
    let (actions, (verdict, verdicts)) = (actions.clone(), mpsc::channel());
    std::thread::spawn(move || {
        let history = History::from_actions(actions);
        // A test that waits no longer has failed already.
        let _late = verdict.send(WGLChecker::<O>::is_linearizable(history));
    });
    verdicts.recv_timeout(PATIENCE).expect("the checker comes to an end")
}

/// Several recorders of one kind, shared by the threads of their clients.
pub type Recorders<O> = Arc<Vec<Recorder<O>>>;

/// So many fresh objects; their numbers begin with `first`.
pub fn recorders<O: Object>(first: usize, count: usize) -> Recorders<O> {
    Arc::new((first..first + count).map(Recorder::new).collect())
}

/// Shows a history, a line for each step, for whoever has to find out what went wrong.
pub fn print<T: Debug>(recorded: &Recorded<T>) {
    eprintln!("history of {}:", recorded.key);
    for (process, action) in &recorded.actions {
        eprintln!("  {process:>3} {action:?}");
    }
}
