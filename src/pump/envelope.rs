//! Command envelopes: each command of a request is begun when the connection may begin one, and its
//! answer goes out when it is there and those before it have gone.

use synap_shards::command::reply::Reply;
use synap_shards::id::ConnId;

use super::connection::Style;
use super::serve::Host;
use crate::protocol::http::HttpContext;
use crate::protocol::http::envelope::{
    self, Envelopes, Failure, Form, Framing, Planned, Style as Shown, Work,
};

/// Envelopes of which some are left.
#[derive(Debug)]
pub(super) struct Underway {
    envelopes: Envelopes,
    request: HttpContext,
    is_first: bool,
    /// The request's token stands for the first of them.
    is_paid: bool,
}

impl Host<'_> {
    /// Begins with the envelopes of a request.
    pub(super) fn begin_envelopes(
        &mut self,
        id: ConnId,
        envelopes: Envelopes,
        mut request: HttpContext,
    ) {
        let mut head = Vec::new();
        if envelopes.form() != Form::One {
            request.keep_alive &= !request.http_1_0;
        }
        match envelopes.form() {
            Form::One => {}
            Form::Batch => envelope::batch_head(&request, envelopes.request_id(), &mut head),
            Form::Lines => envelope::lines_head(&request, &mut head),
        }
        self.outlet.mark_dirty(id);
        let Some(connection) = self.outlet.connections.get_mut(id) else { return };
        if !head.is_empty() {
            connection.say(&head);
        }
        connection.underway =
            Some(Box::new(Underway { envelopes, request, is_first: true, is_paid: true }));
    }

    /// Begins the next command of the envelopes under way. Nothing when there are none; else
    /// whether the connection goes on behind this.
    pub(super) fn next_envelope(&mut self, id: ConnId) -> Option<bool> {
        let connection = self.outlet.connections.get_mut(id)?;
        let mut underway = connection.underway.take()?;
        let Some(planned) = underway.envelopes.read_next(&self.outlet.shared.http) else {
            let mut end = Vec::new();
            match underway.envelopes.form() {
                Form::One => {}
                Form::Batch => envelope::batch_end(&underway.request, &mut end),
                Form::Lines => envelope::lines_end(&underway.request, &mut end),
            }
            let goes_on = underway.request.keep_alive;
            self.http_answer(id, &underway.request, 200, &end);
            return Some(goes_on);
        };
        let framing = match underway.envelopes.form() {
            Form::One => Framing::Whole,
            Form::Batch => Framing::Part(underway.is_first),
            Form::Lines => Framing::Line,
        };
        let is_paid = std::mem::take(&mut underway.is_paid);
        underway.is_first = false;
        let request = underway.request.clone();
        connection.underway = Some(underway);
        let mut planned = planned;
        if !is_paid && let Err(error) = self.admit(id) {
            planned.work = Err(Failure::limited(&error));
        }
        self.carry_out(id, planned, framing, request);
        Some(true)
    }

    fn carry_out(&mut self, id: ConnId, planned: Planned, framing: Framing, request: HttpContext) {
        let Planned { request_id, work } = planned;
        let style = |context, shown| Shown { request_id, framing, shown, context, request };
        let mut answer = Vec::new();
        match work {
            Err(failure) => {
                let context = HttpContext::nothing();
                style(context, envelope::AS_IS).fail(&failure, &mut answer);
            }
            Ok(Work::Builtin { builtin, context }) => match self.admit_builtin(id, &builtin) {
                Ok(()) => {
                    let (_, response) = self.builtin(&builtin, &context);
                    let style = style(context, envelope::AS_IS);
                    style.payload(envelope::built_in(&response), &mut answer);
                }
                Err(error) => {
                    style(context, envelope::AS_IS).write(&Reply::Error(error), &mut answer);
                }
            },
            Ok(Work::Command { words, mut context, shown }) => {
                let number = self.speak_for(id, &words, &mut context);
                self.count_calls(&mut context);
                let style = style(context, shown);
                match number {
                    Some(Err(error)) => style.write(&Reply::Error(error), &mut answer),
                    number => {
                        self.outlet.speaker = number.and_then(Result::ok);
                        let style = Style::Envelope(Box::new(style));
                        self.dispatch(id, &words.as_words(), Some(style), None);
                        self.outlet.speaker = None;
                        return;
                    }
                }
            }
        }
        if let Some(connection) = self.outlet.connections.get_mut(id) {
            connection.say(&answer);
        }
        self.outlet.mark_dirty(id);
    }
}
