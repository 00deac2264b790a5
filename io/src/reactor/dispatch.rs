//! Turns what the kernel reports into completions and keeps every request's books: each submitted
//! request is counted until the completion that says it is over.

use std::io;
use std::net::TcpStream;
use std::os::fd::FromRawFd;

use synap_shards::id::ConnId;

use super::token::Op;
use super::{ACCEPT_PAUSE, Accepting, Chunk, Completion, PhantomData, Reactor, Receive};
use crate::clock;
use crate::net::conn::Conn;
use crate::ring::Event;

impl Reactor {
    /// Handles everything that has completed.
    pub(super) fn reap(&mut self) {
        let events = self.ring.reap();
        for event in &events {
            self.on_event(*event);
        }
        self.ring.give_back(events);
    }

    fn on_event(&mut self, event: Event) {
        if !event.more() {
            self.in_flight -= 1;
        }
        let (op, subject) = Op::parse(event.user_data);
        match op {
            Op::Bell => {
                if !event.more() && event.result != -libc::ECANCELED {
                    self.arm_bell();
                }
            }
            Op::Accept => self.on_accept(subject as usize, event),
            Op::Receive => self.on_receive(ConnId(subject), event),
            Op::Send => self.on_send(ConnId(subject), event),
            Op::Cancel => self.on_cancelled(ConnId(subject), event),
            Op::CancelOther => {}
            Op::LogWrite => self.on_log_write(event),
            Op::LogSync => self.on_log_sync(event),
        }
    }

    fn on_accept(&mut self, index: usize, event: Event) {
        match event.outcome() {
            Ok(fd) => self.on_accepted(index, fd),
            Err(error) if error.raw_os_error() == Some(libc::ECANCELED) => {}
            Err(_) => {
                self.counters.accept_errors += 1;
                let listener = &mut self.listeners[index];
                if listener.state == Accepting::Armed && !event.more() {
                    let pause_ns = ACCEPT_PAUSE.as_nanos() as u64;
                    listener.state = Accepting::Paused(clock::monotonic_ns() + pause_ns);
                }
            }
        }
        if event.more() {
            return;
        }
        let listener = &mut self.listeners[index];
        match listener.state {
            Accepting::Armed => self.arm_accept(index),
            Accepting::Stopping => {
                listener.state = Accepting::Stopped;
                listener.socket = None;
            }
            Accepting::Paused(_) | Accepting::Stopped => {}
        }
    }

    fn on_accepted(&mut self, index: usize, fd: u32) {
        // SAFETY: the kernel made this descriptor for us just now; nothing else owns it.
        #[expect(unsafe_code, reason = "takes ownership of the accepted descriptor")]
        let stream = unsafe { TcpStream::from_raw_fd(fd as i32) };
        let listener = &self.listeners[index];
        if listener.state != Accepting::Armed || self.slots.is_full() {
            self.counters.refused += 1;
            return;
        }
        // The peer may have gone already; then there is nobody to talk to.
        let (Ok(peer), Ok(())) = (stream.peer_addr(), stream.set_nodelay(true)) else {
            self.counters.refused += 1;
            return;
        };
        let tag = listener.tag;
        let conn = self.slots.insert(Conn::new(stream, peer));
        self.counters.accepted += 1;
        self.ready.push_back(Completion::Accepted { conn, listener: tag, peer });
        self.arm_receive(conn);
    }

    fn on_receive(&mut self, conn: ConnId, event: Event) {
        if let Some(buffer) = event.buffer() {
            self.buffers.take(buffer);
        }
        let slot = self.slots.get_mut(conn).expect("a slot outlives its requests");
        if !event.more() {
            slot.receive = Receive::Idle;
            slot.in_flight -= 1;
        }
        match (event.outcome(), event.buffer()) {
            (Ok(0), buffer) => {
                if !slot.read_ended && !slot.failed {
                    slot.read_ended = true;
                    self.ready.push_back(Completion::ReadEnded { conn });
                }
                if let Some(buffer) = buffer {
                    self.buffers.give(buffer);
                }
            }
            (Ok(bytes), Some(buffer)) => {
                self.counters.receives += 1;
                self.counters.received_bytes += u64::from(bytes);
                let chunk = Chunk { buffer, bytes, here: PhantomData };
                self.ready.push_back(Completion::Received { conn, chunk });
            }
            (Ok(bytes), None) => panic!("{bytes} bytes were received into no buffer"),
            (Err(error), _) => self.on_receive_error(conn, error),
        }
        self.settle(conn);
    }

    fn on_receive_error(&mut self, conn: ConnId, error: io::Error) {
        match error.raw_os_error() {
            Some(libc::ENOBUFS) => {
                let slot = self.slots.get_mut(conn).expect("a slot outlives its requests");
                if slot.receive == Receive::Idle {
                    slot.receive = Receive::Starved;
                    self.counters.starved += 1;
                    self.starved.push_back(conn);
                }
            }
            // Cancelled by us, or interrupted: armed again below if reading is wanted.
            Some(libc::ECANCELED | libc::EINTR | libc::EAGAIN) => {}
            _ => self.fail(conn, error),
        }
    }

    fn on_send(&mut self, conn: ConnId, event: Event) {
        let slot = self.slots.get_mut(conn).expect("a slot outlives its requests");
        slot.in_flight -= 1;
        let sending = slot.sending.as_mut().expect("a send completes once");
        // If it was silent, its silence is broken; what is left of it waits for room.
        sending.silent = false;
        match event.outcome() {
            Ok(bytes) => {
                self.counters.sent_bytes += u64::from(bytes);
                sending.sent += bytes as usize;
                if sending.sent < sending.buffer.len() {
                    if slot.closing {
                        slot.sending = None;
                    } else {
                        self.push_send(conn);
                    }
                } else {
                    self.counters.sends += 1;
                    let buffer = slot.sending.take().expect("seen above").buffer;
                    self.ready.push_back(Completion::Sent { conn, buffer });
                }
            }
            Err(error) => match error.raw_os_error() {
                Some(libc::EINTR | libc::EAGAIN) if !slot.closing => self.push_send(conn),
                _ => {
                    slot.sending = None;
                    self.fail(conn, error);
                }
            },
        }
        self.settle(conn);
    }

    /// Completes the silent sends: all queued requests have been taken by the kernel and every
    /// failure has been reaped, so those not heard of are done.
    pub(super) fn settle_silent(&mut self) {
        if self.silent.is_empty() || !self.ring.is_drained() {
            return;
        }
        let mut silent = std::mem::take(&mut self.silent);
        for conn in silent.drain(..) {
            let Some(slot) = self.slots.get_mut(conn) else { continue };
            let Some(sending) = slot.sending.take_if(|sending| sending.silent) else { continue };
            slot.in_flight -= 1;
            self.in_flight -= 1;
            self.counters.sends += 1;
            self.counters.sent_bytes += sending.buffer.len() as u64;
            // In front, because the peer's answer to these very bytes may have been reaped already.
            self.ready.push_front(Completion::Sent { conn, buffer: sending.buffer });
            self.settle(conn);
        }
        self.silent = silent;
    }

    fn on_cancelled(&mut self, conn: ConnId, event: Event) {
        let slot = self.slots.get_mut(conn).expect("a slot outlives its requests");
        slot.in_flight -= 1;
        // A receive that was busy could not be cancelled: it is as armed as before.
        if event.result == -libc::EALREADY && slot.receive == Receive::Cancelling {
            slot.receive = Receive::Armed;
            if !slot.want_read && !slot.closing {
                self.cancel_receive(conn);
            }
        }
        self.settle(conn);
    }

    /// Reports a broken connection, once.
    fn fail(&mut self, conn: ConnId, error: io::Error) {
        let slot = self.slots.get_mut(conn).expect("a slot outlives its requests");
        if slot.failed || slot.closing {
            return;
        }
        slot.failed = true;
        self.ready.push_back(Completion::Failed { conn, error });
    }

    /// Frees a connection that is closing and idle, or lets it receive again if it should.
    fn settle(&mut self, conn: ConnId) {
        let slot = self.slots.get(conn).expect("a slot outlives its requests");
        if !slot.closing {
            self.arm_receive(conn);
        } else if slot.in_flight == 0 {
            self.free(conn);
        }
    }
}
