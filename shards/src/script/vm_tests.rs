//! The interpreter with a host that answers from a list: sandbox, errors, conversion, limits.

use super::*;
use crate::one_table::show;
use crate::script::gauge::Kind;
use std::cell::RefCell;

thread_local! {
    static NOW: Cell<u64> = const { Cell::new(0) };
}

/// A clock that moves a millisecond whenever somebody looks.
fn clock() -> u64 {
    NOW.set(NOW.get() + 1_000_000);
    NOW.get()
}

#[derive(Default)]
struct Answers {
    calls: RefCell<Vec<String>>,
    logged: Vec<(u8, Vec<u8>)>,
}

impl Host for Answers {
    fn command(&mut self, words: &[&[u8]]) -> Result<Reply<'static>, Stop> {
        let line: Vec<String> =
            words.iter().map(|word| String::from_utf8_lossy(word).into_owned()).collect();
        self.calls.borrow_mut().push(line.join(" "));
        Ok(match words[0] {
            b"GET" => Reply::Nil,
            b"SET" => Reply::Ok,
            b"INCR" => Reply::Integer(7),
            b"WRONG" => Reply::Error(CommandError::WrongType),
            b"LIST" => Reply::Array(vec![Reply::Integer(1), Reply::Nil, Reply::string("x")]),
            b"MAP" => Reply::Map(vec![(Reply::string("a"), Reply::Integer(1))]),
            b"SETOF" => Reply::Set(vec![Reply::string("m")]),
            b"DOUBLE" => Reply::Double(1.5),
            b"BOOL" => Reply::Boolean(true),
            b"AGAIN" => return Err(Stop::Again),
            _ => Reply::Error(CommandError::Invalid("no such thing")),
        })
    }

    fn log(&mut self, level: u8, text: &[u8]) {
        self.logged.push((level, text.to_vec()));
    }
}

const LIMITS: Limits = Limits { time_ms: 5000, memory_bytes: 16 * 1024 * 1024 };

fn vm() -> Vm {
    Vm::new(1, Arc::new(Gauge::default()), clock)
}

fn try_run(vm: &Vm, code: &str, host: &mut Answers) -> Result<Reply<'static>, Stop> {
    let body = match vm.compile(code.as_bytes()) {
        Ok(function) => function,
        Err(error) => return Ok(Reply::Error(error)),
    };
    let inputs = Inputs {
        name: "sha",
        keys: &[b"k1", b"k2"],
        arguments: &[b"a1"],
        booleans: false,
        limits: LIMITS,
    };
    vm.run(Body::Script(&body), &inputs, host)
}

fn ask(vm: &Vm, code: &str) -> String {
    show(&try_run(vm, code, &mut Answers::default()).unwrap())
}

fn expect(dialogue: &[(&str, &str)]) {
    let vm = vm();
    for (code, answer) in dialogue {
        assert_eq!(ask(&vm, code), *answer, "{code}");
    }
}

#[test]
fn results_become_replies() {
    expect(&[
        ("return 1", "1"),
        ("return 3.99", "3"),
        ("return -3.99", "-3"),
        ("return 'x'", "\"x\""),
        ("return true", "1"),
        ("return false", "nil"),
        ("return nil", "nil"),
        ("", "nil"),
        ("return {1, 2, {3, 'a'}}", "[1, 2, [3, \"a\"]]"),
        ("return {1, nil, 3}", "[1]"),
        ("return {}", "[]"),
        ("return {ok='FINE'}", "FINE"),
        ("return {err='CODE text'}", "CODE text"),
        ("return {double=1.5}", "1.5"),
        ("return {map={a=1}}", "{\"a\": 1}"),
        ("return {set={m=true}}", "[\"m\"]"),
        ("return {big_number='123'}", "123"),
        ("return {verbatim_string={format='txt',string='hi'}}", "\"hi\""),
        ("redis.setresp(3) return true", "true"),
        ("return redis.status_reply('YES')", "YES"),
        ("return redis.error_reply('MY_ERR text')", "MY_ERR text"),
        ("return redis.error_reply('-MY_ERR text')", "MY_ERR text"),
        ("return redis.error_reply('word')", "ERR word"),
        ("return KEYS[2] .. ARGV[1] .. #KEYS", "\"k2a12\""),
        ("return redis.sha1hex('')", "\"da39a3ee5e6b4b0d3255bfef95601890afd80709\""),
        (
            "return print",
            "ERR user_script:1: Script attempted to access nonexistent global \
          variable 'print' script: sha, on @user_script:1.",
        ),
        ("local t = {} for i = 1, 300 do t = {t} end return t", "ERR reached lua stack limit"),
    ]);
}

#[test]
fn replies_become_values() {
    expect(&[
        ("return type(redis.call('GET', 'k'))", "\"boolean\""),
        ("redis.setresp(3) return type(redis.call('GET', 'k'))", "\"nil\""),
        ("return redis.call('SET', 'k', 'v')['ok']", "\"OK\""),
        ("return redis.call('INCR', 'k') + 1", "8"),
        (
            "local l = redis.call('LIST') return {l[1], tostring(l[2]), l[3]}",
            "[1, \"false\", \"x\"]",
        ),
        ("return redis.call('MAP')", "[\"a\", 1]"),
        ("redis.setresp(3) return redis.call('MAP').map.a", "1"),
        ("redis.setresp(3) return tostring(redis.call('SETOF').set.m)", "\"true\""),
        ("return redis.call('DOUBLE')", "\"1.5\""),
        ("redis.setresp(3) return redis.call('DOUBLE').double * 2", "3"),
        ("return redis.call('BOOL')", "1"),
        (
            "return redis.pcall('WRONG').err",
            "\"WRONGTYPE Operation against a key holding the wrong kind of value\"",
        ),
        (
            "return redis.pcall('WRONG')",
            "WRONGTYPE Operation against a key holding the wrong kind of value",
        ),
    ]);
}

#[test]
fn words_of_calls_are_strings() {
    let vm = vm();
    let mut host = Answers::default();
    let code = "redis.call('SET', 'k', 12, 1.5, 1e15, 2^53, 0.1)";
    try_run(&vm, code, &mut host).unwrap();
    assert_eq!(*host.calls.borrow(), ["SET k 12 1.5 1000000000000000 9007199254740992 0.1"]);
    expect(&[
        (
            "return redis.call()",
            "ERR Please specify at least one argument for this redis.call() \
          script: sha, on @user_script:1.",
        ),
        (
            "redis.call('SET', {})",
            "ERR Lua redis lib command arguments must be strings or \
          integers script: sha, on @user_script:1.",
        ),
    ]);
}

#[test]
fn errors_have_the_form_of_redis() {
    expect(&[
        (
            "\nreturn redis.call('WRONG')",
            "WRONGTYPE Operation against a key holding the wrong \
          kind of value script: sha, on @user_script:2.",
        ),
        (
            "local function f() redis.call('NO') end\nf()",
            "ERR no such thing script: sha, on @user_script:1.",
        ),
        ("error('oops')", "ERR user_script:1: oops script: sha, on @user_script:1."),
        ("error({err='CODE mine'})", "CODE mine script: sha, on @user_script:1."),
        (
            "return 1 + nil",
            "ERR user_script:1: attempt to perform arithmetic on a nil value \
          script: sha, on @user_script:1.",
        ),
        (
            "return cjson.decode('x')",
            "ERR user_script:1: Expected value but found invalid token \
          at character 1 script: sha, on @user_script:1.",
        ),
        (
            "return )",
            "ERR Error compiling script (new function): user_script:1: unexpected \
          symbol near ')'",
        ),
        (
            "\u{1b}Lua",
            "ERR Error compiling script (new function): attempt to load a binary chunk \
          (mode is 't')",
        ),
        (
            "local function f() return f() + 1 end return f()",
            "ERR user_script:1: stack overflow script: sha, on @user_script:1.",
        ),
        (
            "local ok, e = pcall(redis.call, 'WRONG') return {tostring(ok), type(e), e.err}",
            "[\"false\", \"table\", \"WRONGTYPE Operation against a key holding the wrong kind of \
          value\"]",
        ),
        ("local ok, e = pcall(error, 'x') return e", "\"x\""),
        ("local t = {} for i = 1, 60 do t[i] = i end return select('#', pcall(unpack, t))", "61"),
        ("local ok, e = pcall(cjson.decode, '{') return {type(e)}", "[\"string\"]"),
        (
            "local function text(e) return e.err end \
          local ok, e = xpcall(function() redis.call('WRONG') end, text) return e",
            "\"WRONGTYPE Operation against a key holding the wrong kind of value\"",
        ),
        (
            "local c = coroutine.create(function() redis.call('NO') end) \
          local ok, e = coroutine.resume(c) return e.err",
            "\"ERR no such thing\"",
        ),
        (
            "local c = coroutine.wrap(function(a) local b = coroutine.yield(a + 1) \
          return b * 2 end) return {c(1), c(21)}",
            "[2, 42]",
        ),
    ]);
}

#[test]
fn nothing_reaches_outside_or_stays() {
    let missing = |name: &str| {
        format!(
            "ERR user_script:1: Script attempted to access nonexistent global variable \
                 '{name}' script: sha, on @user_script:1."
        )
    };
    let vm = vm();
    for name in [
        "io",
        "require",
        "package",
        "dofile",
        "loadfile",
        "debug",
        "module",
        "load",
        "loadstring",
        "print",
        "getfenv",
        "setfenv",
        "newproxy",
        "collectgarbage",
        "gcinfo",
    ] {
        assert_eq!(ask(&vm, &format!("return {name}")), missing(name));
    }
    let readonly = "ERR user_script:1: Attempt to modify a readonly table script: sha, on \
                    @user_script:1.";
    for code in [
        "x = 1",
        "redis = nil",
        "redis.call = nil",
        "string.foo = 1",
        "_G.x = 1",
        "rawset(_G, 'x', 1)",
        "rawset(redis, 'x', 1)",
        "function f() end",
    ] {
        assert_eq!(ask(&vm, code), readonly, "{code}");
    }
    assert_eq!(ask(&vm, "return x"), missing("x"));
    assert_eq!(
        ask(&vm, "return {type(os.clock()), tostring(os.time), tostring(string.dump)}"),
        "[\"number\", \"nil\", \"nil\"]"
    );
    assert_eq!(ask(&vm, "return tostring(getmetatable(''))"), "\"false\"");
    assert_eq!(ask(&vm, "return tostring(getmetatable(_G))"), "\"false\"");
    assert_eq!(ask(&vm, "return ('abc'):upper()"), "\"ABC\"");
    assert_eq!(ask(&vm, "KEYS[3] = 'x' return #KEYS"), "3");
    assert_eq!(ask(&vm, "return #KEYS"), "2");
    assert_eq!(
        ask(&vm, "local function f() end return tostring(pcall(setmetatable, _G, {}))"),
        "\"false\""
    );
}

#[test]
fn endless_scripts_end() {
    let vm = vm();
    let timed_out = "ERR Error running script: it ran longer than 5000 ms and was stopped";
    for code in [
        "while true do end",
        "while true do pcall(function() while true do end end) end",
        "local function f() while true do xpcall(function() while true do end end, f) end end f()",
        "while true do coroutine.resume(coroutine.create(function() while true do end end)) end",
        "local w = coroutine.wrap(function() while true do end end) pcall(w) while true do end",
    ] {
        assert_eq!(ask(&vm, code), timed_out, "{code}");
    }
    assert_eq!(ask(&vm, "return 1"), "1");
}

#[test]
fn memory_is_bounded() {
    let vm = vm();
    for code in [
        "local t = {} for i = 1, 1e9 do t[i] = ('x'):rep(1000) .. i end",
        "return ('x'):rep(1e9)",
        "local s = 'x' while true do s = s .. s end",
    ] {
        let answer = ask(&vm, code);
        assert!(answer.contains("not enough memory"), "{code}: {answer}");
    }
    assert!(!vm.tidy(), "what scripts held is given back");
    assert_eq!(ask(&vm, "return 1"), "1");
    // A small table of tables that would be written without end.
    let many = "local t = {} for i = 1, 60 do t = {t, t} end return cjson.encode(t)";
    assert!(ask(&vm, many).contains("not enough memory"));
    let many = "local t = {} for i = 1, 60 do t = {t, t} end return t";
    assert_eq!(ask(&vm, many), "ERR the reply of the script is too large");
}

#[test]
fn the_host_may_stop_a_script() {
    let vm = vm();
    let mut host = Answers::default();
    let code = "redis.call('SET', 'a', 1) pcall(redis.call, 'AGAIN') redis.call('SET', 'b', 1)";
    assert_eq!(try_run(&vm, code, &mut host), Err(Stop::Again));
    assert_eq!(*host.calls.borrow(), ["SET a 1", "AGAIN"]);
    assert_eq!(ask(&vm, "return 1"), "1");
}

#[test]
fn a_killed_script_ends() {
    let gauge = Arc::new(Gauge::default());
    let vm = Vm::new(1, Arc::clone(&gauge), clock);
    gauge.begin(Kind::Script);
    gauge.kill(Kind::Script);
    assert_eq!(
        ask(&vm, "while true do end"),
        "ERR Error running script: Script killed by user with SCRIPT KILL."
    );
}

#[test]
fn random_numbers_follow_the_seed() {
    let vm = vm();
    let draw = "math.randomseed(ARGV[1] == 'a1' and 7 or 0) \
                return {math.random(100), math.random(5, 6), tostring(math.random() < 1)}";
    assert_eq!(ask(&vm, draw), ask(&vm, draw));
    assert!(ask(&vm, "return math.random(0)").contains("interval is empty"));
}

#[test]
fn lines_for_the_log_reach_the_host() {
    let vm = vm();
    let mut host = Answers::default();
    try_run(&vm, "redis.log(redis.LOG_WARNING, 'a', 1)", &mut host).unwrap();
    assert_eq!(host.logged, [(3, b"a 1".to_vec())]);
    assert!(ask(&vm, "redis.log(9, 'x')").contains("Invalid log level."));
    assert!(ask(&vm, "redis.log('x')").contains("redis.log() requires two arguments or more."));
}
