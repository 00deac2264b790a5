//! Declarations of the commands that run scripts and functions. The engine carries them out
//! (`engine/script/`).

use super::spec::{
    Access, ArgSpec, Atomicity, CommandSpec, Family, Flags, HttpRoute, JsonReply, Keys, ReplySpec,
    Run, ScriptVerb,
};

/// The family's commands.
pub const COMMANDS: &[&CommandSpec] = &[
    &EVAL,
    &EVALSHA,
    &EVAL_RO,
    &EVALSHA_RO,
    &TIMED,
    &TIMED_SHA,
    &LOAD,
    &EXISTS,
    &FLUSH,
    &KILL,
    &HELP,
    &EXISTS_JSON,
    &FLUSH_JSON,
    &KILL_JSON,
    &FCALL,
    &FCALL_RO,
    &FUNCTION_LOAD,
    &FUNCTION_DELETE,
    &FUNCTION_FLUSH,
    &FUNCTION_LIST,
    &FUNCTION_DUMP,
    &FUNCTION_RESTORE,
    &FUNCTION_STATS,
    &FUNCTION_KILL,
    &FUNCTION_HELP,
];

const COUNT: ArgSpec =
    ArgSpec::integer("numkeys", "how many of the words behind it are keys; may be 0");
const KEYS: ArgSpec = ArgSpec::key("keys", "keys that the script works on").optional().repeated();
const ARGUMENTS: ArgSpec =
    ArgSpec::bytes("args", "further arguments of the script").optional().repeated();
const SOURCE: ArgSpec = ArgSpec::bytes("script", "Lua 5.1");
const DIGEST: ArgSpec = ArgSpec::bytes("sha1", "SHA-1 of a script, 40 hexadecimal digits");
const TIMEOUT: ArgSpec =
    ArgSpec::integer("timeout_ms", "milliseconds it may take, to 60000; 0 is the usual limit");

const EVAL: CommandSpec = CommandSpec {
    id: "script.eval",
    resp: "EVAL",
    family: Family::Scripting,
    access: Access::Write,
    keys: Keys::Counted { count_at: 2, also: 0 },
    atomicity: Atomicity::Whole,
    args: &[SOURCE, COUNT, KEYS, ARGUMENTS],
    reply: ReplySpec::Any,
    http: &[],
    flags: Flags::NO_SCRIPT,
    since: "0.1.0",
    summary: "Runs a script in Lua; everything it does is one step for everyone else",
    complexity: "Depends on the script",
    run: Run::Script(ScriptVerb::Eval),
};

const EVALSHA: CommandSpec = CommandSpec {
    id: "script.evalsha",
    resp: "EVALSHA",
    args: &[DIGEST, COUNT, KEYS, ARGUMENTS],
    summary: "Runs a script that the server knows already, by its SHA-1",
    run: Run::Script(ScriptVerb::EvalSha),
    ..EVAL
};

const EVAL_RO: CommandSpec = CommandSpec {
    id: "script.eval_ro",
    resp: "EVAL_RO",
    access: Access::Read,
    summary: "Runs a script in Lua that may not write",
    run: Run::Script(ScriptVerb::EvalReadOnly),
    ..EVAL
};

const EVALSHA_RO: CommandSpec = CommandSpec {
    id: "script.evalsha_ro",
    resp: "EVALSHA_RO",
    access: Access::Read,
    summary: "Runs a script that may not write, by its SHA-1",
    run: Run::Script(ScriptVerb::EvalShaReadOnly),
    ..EVALSHA
};

/// The form for HTTP: a time limit of its own, the digest beside the result, booleans kept.
const TIMED: CommandSpec = CommandSpec {
    id: "script.timed",
    resp: "SYNAP.EVAL",
    keys: Keys::Counted { count_at: 3, also: 0 },
    args: &[SOURCE, TIMEOUT, COUNT, KEYS, ARGUMENTS],
    reply: ReplySpec::Map,
    http: &[HttpRoute::post("/script/eval", JsonReply::Bare)],
    summary: "Runs a script under a time limit; answers its result and its SHA-1",
    run: Run::Script(ScriptVerb::Timed),
    ..EVAL
};

const TIMED_SHA: CommandSpec = CommandSpec {
    id: "script.timed_sha",
    resp: "SYNAP.EVALSHA",
    args: &[DIGEST, TIMEOUT, COUNT, KEYS, ARGUMENTS],
    http: &[HttpRoute::post("/script/evalsha", JsonReply::Bare)],
    summary: "Runs a script by its SHA-1 under a time limit; answers its result and its SHA-1",
    run: Run::Script(ScriptVerb::TimedSha),
    ..TIMED
};

const LOAD: CommandSpec = CommandSpec {
    id: "script.load",
    resp: "SCRIPT LOAD",
    access: Access::Admin,
    keys: Keys::None,
    atomicity: Atomicity::Single,
    args: &[SOURCE],
    reply: ReplySpec::Bytes,
    http: &[HttpRoute::post("/script/load", JsonReply::Field("sha1"))],
    summary: "Compiles a script and keeps it; answers its SHA-1",
    complexity: "O(N) with the length of the script",
    run: Run::Script(ScriptVerb::Load),
    ..EVAL
};

const EXISTS: CommandSpec = CommandSpec {
    id: "script.exists",
    resp: "SCRIPT EXISTS",
    args: &[ArgSpec::bytes("hashes", "SHA-1 digests").repeated()],
    reply: ReplySpec::Array,
    http: &[],
    summary: "Tells which scripts the server knows; 1 or 0 for each digest",
    complexity: "O(N) with the number of digests",
    run: Run::Script(ScriptVerb::Exists),
    ..LOAD
};

const EXISTS_JSON: CommandSpec = CommandSpec {
    id: "script.exists_json",
    resp: "SYNAP.SCRIPTEXISTS",
    http: &[HttpRoute::post("/script/exists", JsonReply::Field("exists"))],
    summary: "Tells which scripts the server knows; true or false for each digest",
    run: Run::Script(ScriptVerb::ExistsFlags),
    ..EXISTS
};

const FLUSH: CommandSpec = CommandSpec {
    id: "script.flush",
    resp: "SCRIPT FLUSH",
    args: &[ArgSpec::one_of(
        "how",
        &[
            ArgSpec::flag("async", "ASYNC", "as SYNC: forgetting is quick"),
            ArgSpec::flag("sync", "SYNC", "before the reply"),
        ],
        "when the memory is given back",
    )
    .optional()],
    reply: ReplySpec::Ok,
    http: &[],
    summary: "Forgets every script",
    complexity: "O(N) with the number of scripts",
    run: Run::Script(ScriptVerb::Flush),
    ..LOAD
};

const FLUSH_JSON: CommandSpec = CommandSpec {
    id: "script.flush_json",
    resp: "SYNAP.SCRIPTFLUSH",
    args: &[],
    reply: ReplySpec::Integer,
    http: &[HttpRoute::post("/script/flush", JsonReply::Field("cleared"))],
    summary: "Forgets every script; answers how many there were",
    run: Run::Script(ScriptVerb::FlushCount),
    ..FLUSH
};

const KILL: CommandSpec = CommandSpec {
    id: "script.kill",
    resp: "SCRIPT KILL",
    args: &[],
    reply: ReplySpec::Ok,
    http: &[],
    flags: Flags::NO_SCRIPT.and(Flags::NO_MULTI),
    summary: "Ends the scripts that run on other cores and have not written yet",
    complexity: "O(N) with the number of cores",
    run: Run::Session,
    ..LOAD
};

const KILL_JSON: CommandSpec = CommandSpec {
    id: "script.kill_json",
    resp: "SYNAP.SCRIPTKILL",
    reply: ReplySpec::Integer,
    http: &[HttpRoute::post("/script/kill", JsonReply::Flag("terminated"))],
    summary: "As SCRIPT KILL; 1 if a script was ended, 0 if none ran",
    ..KILL
};

const HELP: CommandSpec = CommandSpec {
    id: "script.help",
    resp: "SCRIPT HELP",
    access: Access::Open,
    reply: ReplySpec::Array,
    flags: Flags::NO_SCRIPT,
    summary: "Lists the subcommands",
    complexity: "O(1)",
    ..KILL
};

const FCALL: CommandSpec = CommandSpec {
    id: "function.call",
    resp: "FCALL",
    args: &[
        ArgSpec::bytes("function", "name of a function of a library"),
        COUNT.refused_as("Bad number of keys provided"),
        KEYS,
        ARGUMENTS,
    ],
    summary: "Runs a function; everything it does is one step for everyone else",
    complexity: "Depends on the function",
    run: Run::Script(ScriptVerb::Call),
    ..EVAL
};

const FCALL_RO: CommandSpec = CommandSpec {
    id: "function.call_ro",
    resp: "FCALL_RO",
    access: Access::Read,
    summary: "Runs a function that does not write",
    run: Run::Script(ScriptVerb::CallReadOnly),
    ..FCALL
};

const FUNCTION_LOAD: CommandSpec = CommandSpec {
    id: "function.load",
    resp: "FUNCTION LOAD",
    args: &[
        ArgSpec::flag("replace", "REPLACE", "also when there is a library of this name"),
        ArgSpec::bytes("code", "Lua 5.1 behind a first line `#!lua name=...`"),
    ],
    http: &[],
    flags: Flags::NO_SCRIPT.and(Flags::DENY_OOM),
    summary: "Takes a library of functions in, which stays like data; answers its name",
    complexity: "O(N) with the length of the code",
    run: Run::Script(ScriptVerb::LoadLibrary),
    ..LOAD
};

const FUNCTION_DELETE: CommandSpec = CommandSpec {
    id: "function.delete",
    resp: "FUNCTION DELETE",
    args: &[ArgSpec::bytes("library", "its name")],
    reply: ReplySpec::Ok,
    flags: Flags::NO_SCRIPT,
    summary: "Removes a library and its functions",
    complexity: "O(N) with the number of functions",
    run: Run::Script(ScriptVerb::DeleteLibrary),
    ..FUNCTION_LOAD
};

const FUNCTION_FLUSH: CommandSpec = CommandSpec {
    id: "function.flush",
    resp: "FUNCTION FLUSH",
    args: FLUSH.args,
    summary: "Removes every library",
    complexity: "O(N) with the number of libraries",
    run: Run::Script(ScriptVerb::FlushLibraries),
    ..FUNCTION_DELETE
};

const FUNCTION_LIST: CommandSpec = CommandSpec {
    id: "function.list",
    resp: "FUNCTION LIST",
    args: &[
        ArgSpec::pattern("pattern", "of the names of libraries")
            .with_token("LIBRARYNAME")
            .optional(),
        ArgSpec::flag("withcode", "WITHCODE", "with the code of each"),
    ],
    reply: ReplySpec::Array,
    summary: "Shows libraries and their functions",
    complexity: "O(N) with the number of functions",
    run: Run::Script(ScriptVerb::ListLibraries),
    ..FUNCTION_DELETE
};

const FUNCTION_DUMP: CommandSpec = CommandSpec {
    id: "function.dump",
    resp: "FUNCTION DUMP",
    args: &[],
    reply: ReplySpec::Bytes,
    summary: "Every library in one payload, as Redis has it",
    complexity: "O(N) with the length of the code",
    run: Run::Script(ScriptVerb::DumpLibraries),
    ..FUNCTION_LIST
};

const FUNCTION_RESTORE: CommandSpec = CommandSpec {
    id: "function.restore",
    resp: "FUNCTION RESTORE",
    args: &[
        ArgSpec::bytes("payload", "of FUNCTION DUMP, of Redis 7 as well"),
        ArgSpec::one_of(
            "policy",
            &[
                ArgSpec::flag("flush", "FLUSH", "they go"),
                ArgSpec::flag("append", "APPEND", "they stay; one of the same name is an error"),
                ArgSpec::flag("replace", "REPLACE", "one of the same name goes"),
            ],
            "what happens to libraries that are there; APPEND if nothing is said",
        )
        .optional(),
    ],
    reply: ReplySpec::Ok,
    summary: "Takes the libraries of a payload in",
    run: Run::Script(ScriptVerb::RestoreLibraries),
    ..FUNCTION_LOAD
};

const FUNCTION_STATS: CommandSpec = CommandSpec {
    id: "function.stats",
    resp: "FUNCTION STATS",
    args: &[],
    reply: ReplySpec::Map,
    summary: "Tells which function runs, and how many libraries and functions there are",
    complexity: "O(1)",
    run: Run::Script(ScriptVerb::FunctionStats),
    ..FUNCTION_LIST
};

const FUNCTION_KILL: CommandSpec = CommandSpec {
    id: "function.kill",
    resp: "FUNCTION KILL",
    http: &[],
    summary: "Ends the functions that run on other cores and have not written yet",
    ..KILL
};

const FUNCTION_HELP: CommandSpec =
    CommandSpec { id: "function.help", resp: "FUNCTION HELP", ..HELP };
