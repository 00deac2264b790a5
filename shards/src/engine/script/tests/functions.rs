//! Functions and their libraries over several engines.

use super::{Cores, PROVING_RUNS, cores, reruns, run};
use crate::engine::event::Acknowledge;
use crate::one_table::show;
use crate::rng::Rng;

const ADDER: &[u8] = b"#!lua name=adder\nlocal calls = 0 \
    redis.register_function('add', function(keys, args) calls = calls + 1 \
    return redis.call('INCRBY', keys[1], args[1]) end) \
    redis.register_function{function_name = 'look', description = 'reads', flags = {'no-writes'}, \
    callback = function(keys) return redis.call('GET', keys[1]) end}";

fn load(cores: &mut Cores, core: usize, code: &[u8]) -> String {
    run(cores, core, &[b"FUNCTION", b"LOAD", b"REPLACE", code])
}

fn simple(name: &str, function: &str, answer: &str) -> Vec<u8> {
    format!(
        "#!lua name={name}\nredis.register_function('{function}', function() return '{answer}' end)"
    )
    .into_bytes()
}

#[test]
fn a_library_is_known_on_every_core_and_replayed() {
    for seed in 0..10 {
        let acknowledge = if seed % 2 == 0 { Acknowledge::OnDisk } else { Acknowledge::OnAppend };
        let mut cores = cores(3, acknowledge, seed);
        assert_eq!(load(&mut cores, 2, ADDER), "\"adder\"");
        for core in 0..3 {
            let sum = run(&mut cores, core, &[b"FCALL", b"add", b"1", b"k", b"5"]);
            assert_eq!(sum, (5 * (core + 1)).to_string());
            let seen = run(&mut cores, core, &[b"FCALL_RO", b"look", b"1", b"k"]);
            assert_eq!(seen, format!("\"{sum}\""));
        }
        assert_eq!(run(&mut cores, 0, &[b"FLUSHALL"]), "OK");
        assert_eq!(run(&mut cores, 1, &[b"FCALL", b"add", b"1", b"k", b"2"]), "2");
        cores.assert_replay();
        assert_eq!(load(&mut cores, 0, &simple("adder", "add", "other")), "\"adder\"");
        assert_eq!(run(&mut cores, 1, &[b"FCALL", b"add", b"0"]), "\"other\"");
        let gone = "ERR Function not found";
        assert_eq!(run(&mut cores, 1, &[b"FCALL", b"look", b"0"]), gone);
        assert_eq!(run(&mut cores, 1, &[b"FUNCTION", b"DELETE", b"adder"]), "OK");
        for core in 0..3 {
            assert_eq!(run(&mut cores, core, &[b"FCALL", b"add", b"0"]), gone);
        }
        cores.assert_replay();
    }
}

#[test]
fn nothing_is_answered_that_a_crash_could_make_untrue() {
    let mut early = 0;
    for seed in 0..200 {
        let mut cores = cores(2, Acknowledge::OnDisk, seed);
        let mut rng = Rng::new(seed);
        let loading = cores.ask_words(1, &[b"FUNCTION", b"LOAD", &simple("l", "f", "first")]);
        (0..rng.below(12)).for_each(|_| {
            cores.go_on();
        });
        // Asked while the library may be in memory already and not yet on any disk.
        early += u32::from(cores.durable_libraries().is_empty());
        let calls: Vec<u64> =
            (0..2).map(|core| cores.ask_words(core, &[b"FCALL", b"f", b"0"])).collect();
        while !cores.has_reply(calls[0]) || !cores.has_reply(calls[1]) {
            cores.go_on();
            for call in &calls {
                if cores.peek(*call).is_some_and(|reply| reply == "\"first\"") {
                    let set = cores.durable_libraries();
                    assert!(set.contains(&b"l".to_vec()), "seed {seed}: it was not on disk");
                }
            }
        }
        cores.settle();
        assert_eq!(show(&cores.reply(loading)), "\"l\"");
        cores.assert_replay();
    }
    assert!(early > 50, "{early}");
}

#[test]
fn a_function_that_keeps_to_its_keys_is_trusted() {
    let mut cores = cores(2, Acknowledge::OnDisk, 3);
    load(&mut cores, 0, ADDER);
    let lent = |cores: &Cores| cores.engines.iter().map(|core| core.stats().lent).sum::<u64>();
    for _ in 0..=PROVING_RUNS {
        run(&mut cores, 0, &[b"FCALL", b"add", b"1", b"k", b"1"]);
    }
    let before = lent(&cores);
    for _ in 0..10 {
        run(&mut cores, 0, &[b"FCALL", b"add", b"1", b"k", b"1"]);
    }
    assert!(lent(&cores) - before <= 10, "it gets the shard of its key alone");
    assert_eq!(reruns(&cores), 0);
    // After a change of libraries shard 0 is asked for until the change is stable.
    load(&mut cores, 1, &simple("other", "g", "x"));
    assert_eq!(run(&mut cores, 0, &[b"FCALL", b"add", b"1", b"k", b"1"]), "28");
    cores.assert_replay();
}

#[test]
fn refusals() {
    let mut cores = cores(2, Acknowledge::OnAppend, 1);
    load(&mut cores, 0, ADDER);
    let code = |body: &str| format!("#!lua name=x\n{body}").into_bytes();
    for (body, message) in [
        ("", "ERR No functions registered"),
        ("return )", "ERR Error compiling function: user_function:2: unexpected symbol near ')'"),
        (
            "redis.register_function('a', function() end) redis.register_function('a', print)",
            "ERR Error registering functions: ERR user_function:2: Script attempted to access \
             nonexistent global variable 'print'",
        ),
        ("redis.register_function('add', function() end)", "ERR Function add already exists"),
        (
            "redis.register_function('a-b', function() end)",
            "ERR Error registering functions: ERR Library names can only contain letters, \
             numbers, or underscores(_) and must be at least one character long",
        ),
    ] {
        assert_eq!(run(&mut cores, 1, &[b"FUNCTION", b"LOAD", &code(body)]), message, "{body}");
    }
    for (words, message) in [
        (&["FCALL", "add", "-1"][..], "ERR Number of keys can't be negative"),
        (
            &["FCALL_RO", "add", "1", "k", "1"],
            "ERR Can not execute a script with write flag using *_ro command.",
        ),
        (&["FUNCTION", "DELETE", "none"], "ERR Library not found"),
        (&["FUNCTION", "RESTORE", "x"], "ERR DUMP payload version or checksum are wrong"),
        (
            &["EVAL", "return redis.call('FCALL', 'add', 0)", "0"],
            "ERR This Redis command is not allowed from script script: \
             3bdb1a0ca7bbaadf2cc4cd4c3c5a42d0d4bd3d8e, on @user_script:1.",
        ),
    ] {
        let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
        let found = run(&mut cores, 1, &words);
        let cut = |text: &str| text.split(" script: ").next().unwrap_or_default().to_owned();
        assert_eq!(cut(&found), cut(message));
    }
    cores.assert_replay();
}

#[test]
fn libraries_come_back_from_a_payload() {
    let mut cores = cores(2, Acknowledge::OnDisk, 9);
    load(&mut cores, 0, &simple("a", "fa", "1"));
    load(&mut cores, 0, &simple("b", "fb", "2"));
    let ticket = cores.ask_words(1, &[b"FUNCTION", b"DUMP"]);
    cores.settle();
    let crate::command::reply::Reply::Bytes(payload) = cores.reply(ticket) else {
        panic!("a payload")
    };
    let restore = |cores: &mut Cores, policy: &[u8]| {
        run(cores, 0, &[b"FUNCTION", b"RESTORE", &payload, policy])
    };
    assert_eq!(restore(&mut cores, b"APPEND"), "ERR Library a already exists");
    assert_eq!(restore(&mut cores, b"REPLACE"), "OK");
    run(&mut cores, 0, &[b"FUNCTION", b"FLUSH"]);
    load(&mut cores, 0, &simple("c", "fa", "3"));
    assert_eq!(restore(&mut cores, b"REPLACE"), "ERR Function fa already exists");
    assert_eq!(run(&mut cores, 1, &[b"FCALL", b"fb", b"0"]), "ERR Function not found");
    assert_eq!(restore(&mut cores, b"FLUSH"), "OK");
    assert_eq!(run(&mut cores, 1, &[b"FCALL", b"fa", b"0"]), "\"1\"");
    assert_eq!(run(&mut cores, 1, &[b"FCALL", b"fb", b"0"]), "\"2\"");
    cores.assert_replay();
}

#[test]
fn libraries_change_inside_transactions() {
    let mut cores = cores(2, Acknowledge::OnDisk, 4);
    load(&mut cores, 0, &simple("a", "fa", "1"));
    let lines = ["FCALL fa 0", "FUNCTION FLUSH", "FCALL fa 0", "SET k v"];
    let reply = cores.run_exec(1, &[], &lines);
    assert_eq!(show(&reply), "[\"1\", OK, ERR Function not found, OK]");
    cores.assert_replay();
}
