//! The `io_uring` of one core and the memory it shares with the kernel. The only place that enters
//! the kernel on the data path.
//!
//! Set up with `SINGLE_ISSUER | DEFER_TASKRUN | COOP_TASKRUN | TASKRUN_FLAG` (Linux 6.1): the
//! kernel completes requests only inside our enter, on our thread, so nothing interrupts a turn and
//! a turn costs one system call. Submissions that find the queue full wait here, in order.

mod buffers;
mod memory;

pub(crate) use buffers::{BUFFER_GROUP, Buffers};
pub(crate) use memory::Mapping;

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use io_uring::types::{SubmitArgs, Timespec};
use io_uring::{IoUring, cqueue, opcode, squeue, types};

/// One completion as the kernel reports it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Event {
    pub(crate) user_data: u64,
    /// Result, or a negated error number.
    pub(crate) result: i32,
    flags: u32,
}

impl Event {
    /// Whether the request goes on and will complete again.
    pub(crate) fn more(self) -> bool {
        cqueue::more(self.flags)
    }

    /// The provided buffer the kernel filled.
    pub(crate) fn buffer(self) -> Option<u16> {
        cqueue::buffer_select(self.flags)
    }

    /// The result, or the error it stands for.
    pub(crate) fn outcome(self) -> Result<u32, io::Error> {
        u32::try_from(self.result).map_err(|_| io::Error::from_raw_os_error(-self.result))
    }
}

/// A submission that found no room. The two of a chain must be submitted together: a link does not
/// reach over two calls of enter.
enum Waiting {
    One(squeue::Entry),
    Chain([squeue::Entry; 2]),
}

impl Waiting {
    fn entries(&self) -> &[squeue::Entry] {
        match self {
            Self::One(entry) => std::slice::from_ref(entry),
            Self::Chain(entries) => entries,
        }
    }
}

pub(crate) struct Ring {
    uring: IoUring,
    waiting: VecDeque<Waiting>,
    events: Vec<Event>,
    enters: u64,
}

impl Ring {
    /// A ring for the calling thread, which alone may use it from then on.
    pub(crate) fn new(entries: u32) -> io::Result<Self> {
        let uring = IoUring::builder()
            .dontfork()
            .setup_single_issuer()
            .setup_coop_taskrun()
            .setup_defer_taskrun()
            .setup_taskrun_flag()
            .setup_submit_all()
            .setup_cqsize(entries * 8)
            .build(entries)?;
        Ok(Self { uring, waiting: VecDeque::new(), events: Vec::new(), enters: 0 })
    }

    pub(crate) fn uring(&self) -> &IoUring {
        &self.uring
    }

    /// Number of system calls made so far.
    pub(crate) fn enters(&self) -> u64 {
        self.enters
    }

    /// Queues a request that the kernel performs without touching our memory.
    fn push_plain(&mut self, entry: squeue::Entry) {
        // SAFETY: callers below pass requests that hold no pointer.
        #[expect(unsafe_code, reason = "the entry names no memory of ours")]
        unsafe {
            self.push(entry);
        }
    }

    /// Queues a request.
    ///
    /// # Safety
    /// Memory the entry points to stays valid, and is not written by us (nor read, when the kernel
    /// writes it), until its last completion has been reaped.
    #[expect(unsafe_code, reason = "the kernel reads and writes the memory an entry names")]
    pub(crate) unsafe fn push(&mut self, entry: squeue::Entry) {
        // SAFETY: passed on to our caller.
        unsafe { self.push_waiting(Waiting::One(entry)) }
    }

    /// Queues two requests of which the first carries the link flag.
    ///
    /// # Safety
    /// As for [`Ring::push`].
    #[expect(unsafe_code, reason = "the kernel reads and writes the memory an entry names")]
    pub(crate) unsafe fn push_chain(&mut self, first: squeue::Entry, second: squeue::Entry) {
        // SAFETY: passed on to our caller.
        unsafe { self.push_waiting(Waiting::Chain([first, second])) }
    }

    #[expect(unsafe_code, reason = "the kernel reads and writes the memory an entry names")]
    unsafe fn push_waiting(&mut self, waiting: Waiting) {
        // SAFETY: passed on to our caller; nothing overtakes what already waits.
        let queued = self.waiting.is_empty()
            && unsafe { self.uring.submission().push_multiple(waiting.entries()) }.is_ok();
        if !queued {
            self.waiting.push_back(waiting);
        }
    }

    pub(crate) fn accept(&mut self, fd: types::Fd, user_data: u64) {
        let entry = opcode::AcceptMulti::new(fd).flags(libc::SOCK_CLOEXEC).build();
        self.push_plain(entry.user_data(user_data));
    }

    /// Receives into the provided buffers until it ends by itself or is cancelled.
    pub(crate) fn receive(&mut self, fd: types::Fd, user_data: u64) {
        let entry = opcode::RecvMulti::new(fd, BUFFER_GROUP).build();
        self.push_plain(entry.user_data(user_data));
    }

    pub(crate) fn poll_readable(&mut self, fd: types::Fd, user_data: u64) {
        let entry = opcode::PollAdd::new(fd, libc::POLLIN as u32).multi(true).build();
        self.push_plain(entry.user_data(user_data));
    }

    /// Cancels the request with user data `target`.
    pub(crate) fn cancel(&mut self, target: u64, user_data: u64) {
        let entry = opcode::AsyncCancel::new(target).build();
        self.push_plain(entry.user_data(user_data));
    }

    /// Cancels every request on `fd`.
    pub(crate) fn cancel_fd(&mut self, fd: types::Fd, user_data: u64) {
        let entry = opcode::AsyncCancel2::new(types::CancelBuilder::fd(fd).all()).build();
        self.push_plain(entry.user_data(user_data));
    }

    /// Cancels everything.
    pub(crate) fn cancel_all(&mut self, user_data: u64) {
        let entry = opcode::AsyncCancel2::new(types::CancelBuilder::any().all()).build();
        self.push_plain(entry.user_data(user_data));
    }

    /// Moves waiting requests into the queue as far as it goes; whether all found room.
    pub(crate) fn fill(&mut self) -> bool {
        let mut queue = self.uring.submission();
        while let Some(waiting) = self.waiting.front() {
            // SAFETY: whoever queued the entry vouched for its memory in `push`.
            #[expect(unsafe_code, reason = "second half of push")]
            if unsafe { queue.push_multiple(waiting.entries()) }.is_err() {
                return false;
            }
            self.waiting.pop_front();
        }
        true
    }

    /// Whether the kernel has taken everything that was queued.
    pub(crate) fn is_drained(&mut self) -> bool {
        self.waiting.is_empty() && self.uring.submission().is_empty()
    }

    /// Submits what is queued and runs what is due, without sleeping. No system call when there is
    /// neither.
    pub(crate) fn enter(&mut self) -> io::Result<()> {
        let queue = self.uring.submission();
        let idle = queue.is_empty() && !queue.taskrun() && !queue.cq_overflow();
        drop(queue);
        if idle {
            return Ok(());
        }
        self.enters += 1;
        let outcome = self.uring.submit_and_wait(0);
        tolerate(outcome)
    }

    /// Submits what is queued and sleeps until something completes or `wait` is over.
    pub(crate) fn enter_and_sleep(&mut self, wait: Duration) -> io::Result<()> {
        let time = Timespec::new().sec(wait.as_secs()).nsec(wait.subsec_nanos());
        let arguments = SubmitArgs::new().timespec(&time);
        self.enters += 1;
        let outcome = self.uring.submitter().submit_with_args(1, &arguments);
        tolerate(outcome)
    }

    /// Everything that completed; the vector goes back with [`Ring::give_back`].
    pub(crate) fn reap(&mut self) -> Vec<Event> {
        let mut events = std::mem::take(&mut self.events);
        events.extend(self.uring.completion().map(|entry| Event {
            user_data: entry.user_data(),
            result: entry.result(),
            flags: entry.flags(),
        }));
        events
    }

    /// Returns the storage of [`Ring::reap`] for the next turn.
    pub(crate) fn give_back(&mut self, mut events: Vec<Event>) {
        events.clear();
        self.events = events;
    }
}

/// Time over, a signal, or completions to be reaped first: all ordinary, the next turn goes on.
fn tolerate(outcome: io::Result<usize>) -> io::Result<()> {
    match outcome {
        Ok(_) => Ok(()),
        Err(error) => match error.raw_os_error() {
            Some(libc::ETIME | libc::EINTR | libc::EBUSY | libc::EAGAIN) => Ok(()),
            _ => Err(error),
        },
    }
}
