//! `SCRIPT KILL`: the cores that run scripts hear of nothing meanwhile, so they are asked through
//! their gauges.

use synap_shards::command::error::CommandError;
use synap_shards::command::reply::Reply;
use synap_shards::script::gauge::Killing;

use super::{Handler, SessionContext};
use crate::scripts::kill;

pub(super) const HANDLERS: &[(&str, Handler)] = &[
    ("script.kill", |cx, _| match kill_all(cx)? {
        true => Ok(Reply::Ok),
        false => Err(CommandError::Coded {
            code: "NOTBUSY",
            message: "No scripts in execution right now.",
        }),
    }),
    ("script.kill_json", |cx, _| Ok(Reply::Integer(i64::from(kill_all(cx)?)))),
];

/// Whether a script was ended.
fn kill_all(cx: &SessionContext<'_>) -> Result<bool, CommandError> {
    match kill(&cx.shared.script_gauges) {
        Killing::Done => Ok(true),
        Killing::Nothing => Ok(false),
        Killing::Refused => Err(CommandError::Coded {
            code: "UNKILLABLE",
            message: "Sorry the script already executed write commands against the dataset. It \
                      ends by itself when its time is over.",
        }),
    }
}
