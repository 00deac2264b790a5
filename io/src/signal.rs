//! Signals as calls on an ordinary thread.
//!
//! [`block`] comes first in `main`, before any thread exists, so that every thread inherits the
//! blocked mask and no signal ever interrupts a core. One thread then waits for them. A handler in
//! the sense of the C library is never installed, so nothing here has to be async-signal-safe.

use std::io;
use std::mem::MaybeUninit;
use std::thread::JoinHandle;

/// The signals the server acts on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM: shut down.
    Terminate,
    /// SIGINT: shut down.
    Interrupt,
    /// SIGHUP: read the configuration again.
    Hangup,
    /// SIGUSR1: for whoever needs one more.
    User1,
}

const ALL: [(libc::c_int, Signal); 4] = [
    (libc::SIGTERM, Signal::Terminate),
    (libc::SIGINT, Signal::Interrupt),
    (libc::SIGHUP, Signal::Hangup),
    (libc::SIGUSR1, Signal::User1),
];

/// Proof that the signals are blocked in this thread and those it starts.
#[derive(Debug)]
pub struct Blocked(libc::sigset_t);

/// Blocks the signals for this thread and all it starts from now on. They wait until [`listen`]
/// is called, so none is lost meanwhile.
///
/// [`listen`]: Blocked::listen
///
/// # Errors
/// What the system said.
#[expect(unsafe_code, reason = "the C library is the way to the signal mask")]
pub fn block() -> io::Result<Blocked> {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: `sigemptyset` initialises the set it is given; the others get that set.
    let set = unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        for (number, _) in ALL {
            libc::sigaddset(set.as_mut_ptr(), number);
        }
        set.assume_init()
    };
    // SAFETY: the set is initialised; the old mask is not asked for.
    match unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) } {
        0 => Ok(Blocked(set)),
        errno => Err(io::Error::from_raw_os_error(errno)),
    }
}

impl Blocked {
    /// Starts the thread that waits for signals and calls `act` with each, one at a time. It runs
    /// as long as the process.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn listen(self, act: impl Fn(Signal) + Send + 'static) -> io::Result<JoinHandle<()>> {
        std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
            loop {
                if let Some(signal) = self.wait() {
                    act(signal);
                }
            }
        })
    }

    #[expect(unsafe_code, reason = "the C library is the way to wait for a signal")]
    fn wait(&self) -> Option<Signal> {
        let mut number = 0;
        // SAFETY: the set was initialised by `block`, the number is ours to be written.
        let done = unsafe { libc::sigwait(&raw const self.0, &raw mut number) };
        assert_eq!(done, 0, "sigwait fails only for a set with a signal that does not exist");
        ALL.iter().find(|(known, _)| *known == number).map(|(_, signal)| *signal)
    }
}
