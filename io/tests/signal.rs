//! Signals sent to the process arrive as calls. A test binary of its own, because the mask must be
//! set before any other thread exists: hence no test harness.

use std::sync::mpsc;
use std::time::Duration;
use synap_io::signal::{self, Signal};

fn main() {
    let blocked = signal::block().expect("signals can be blocked");
    let me = std::process::id().to_string();
    let send = |name: &str| {
        let status = std::process::Command::new("sh")
            .args(["-c", "kill -s \"$0\" \"$1\"", name, &me])
            .status()
            .expect("a shell");
        assert!(status.success(), "{name} could not be sent");
    };
    // Sent before anyone listens: it must wait, not kill.
    send("HUP");
    let (sender, receiver) = mpsc::channel();
    let _thread = blocked
        .listen(move |signal| sender.send(signal).expect("the test still listens"))
        .expect("the thread starts");
    let next = || receiver.recv_timeout(Duration::from_secs(30)).expect("a signal");
    assert_eq!(next(), Signal::Hangup);
    for (name, signal) in
        [("TERM", Signal::Terminate), ("INT", Signal::Interrupt), ("USR1", Signal::User1)]
    {
        send(name);
        assert_eq!(next(), signal);
    }
}
