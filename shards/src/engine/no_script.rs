//! Commands about scripts in a build without an interpreter: refused.

use super::Engine;
use super::event::{Flow, Outbound};
use super::open::Open;
use super::route::Request;
use crate::command::error::CommandError;
use crate::command::reply::Reply;
use crate::command::spec::ScriptVerb;
use crate::shard::plan::Now;

const WITHOUT: CommandError = CommandError::Invalid("this build runs no scripts");

impl Engine {
    pub(super) fn script(
        &mut self,
        _: Now,
        request: Request<'_>,
        _: ScriptVerb,
        out: &mut dyn Outbound,
    ) -> Flow {
        self.answer(request.reply_to, Reply::Error(WITHOUT), out);
        Flow::Continue
    }

    pub(super) fn script_inside(
        &mut self,
        _: Now,
        _: &mut Open,
        _: Request<'_>,
        _: &mut dyn Outbound,
    ) -> Reply<'static> {
        Reply::Error(WITHOUT)
    }
}
