//! `SCRIPT KILL` and `FUNCTION KILL`: the cores that run something hear of nothing meanwhile, so
//! they are asked through their gauges.

use synap_shards::command::error::CommandError;
use synap_shards::command::reply::Reply;
use synap_shards::script::gauge::{Killing, Kind};

use super::{Handler, SessionContext};
use crate::scripts::kill;

pub(super) const HANDLERS: &[(&str, Handler)] = &[
    ("script.kill", |cx, _| ended(kill_all(cx, Kind::Script)?)),
    ("function.kill", |cx, _| ended(kill_all(cx, Kind::Function)?)),
    ("script.kill_json", |cx, _| Ok(Reply::Integer(i64::from(kill_all(cx, Kind::Script)?)))),
];

fn ended(was_ended: bool) -> Result<Reply<'static>, CommandError> {
    if was_ended {
        return Ok(Reply::Ok);
    }
    Err(CommandError::Coded { code: "NOTBUSY", message: "No scripts in execution right now." })
}

/// Whether something was ended.
fn kill_all(cx: &SessionContext<'_>, kind: Kind) -> Result<bool, CommandError> {
    match kill(&cx.shared.script_gauges, kind) {
        Killing::Done => Ok(true),
        Killing::Nothing => Ok(false),
        Killing::Other => Err(CommandError::Coded {
            code: "BUSY",
            message: match kind {
                Kind::Script => {
                    "Redis is busy running a script. You can only call FUNCTION KILL or SHUTDOWN \
                     NOSAVE."
                }
                Kind::Function => {
                    "Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN \
                     NOSAVE."
                }
            },
        }),
        Killing::Refused => Err(CommandError::Coded {
            code: "UNKILLABLE",
            message: "Sorry the script already executed write commands against the dataset. It \
                      ends by itself when its time is over.",
        }),
    }
}
