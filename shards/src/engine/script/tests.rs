//! Scripts over several engines: parcels and syncs in random order, no clock, no threads.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};

use super::super::event::Acknowledge;
use super::super::tx::tests::Cores;
use super::{PROVING_RUNS, ScriptInputs, ScriptSettings};
use crate::command::reply::Reply;
use crate::id::CoreId;
use crate::one_table::show;
use crate::rng::Rng;
use crate::script::registry::{HexDigest, Origin, Registry, Running};
use crate::script::sha1::hex_digest;
use crate::shard::libraries::LibrarySet;

mod functions;

#[expect(clippy::disallowed_types, reason = "it stands for what the server brings")]
type Lock<T> = std::sync::Mutex<T>;

#[derive(Debug, Default)]
struct Shelf {
    generation: AtomicU64,
    texts: Lock<BTreeMap<HexDigest, Arc<[u8]>>>,
    libraries: Lock<(u64, Arc<LibrarySet>)>,
    settled: AtomicU64,
}

impl Registry for Shelf {
    fn generation(&self) -> u64 {
        self.generation.load(Ordering::Relaxed)
    }

    fn find(&self, name: &HexDigest) -> Option<Arc<[u8]>> {
        self.texts.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    fn add(&self, name: HexDigest, text: &[u8], _: Origin) -> bool {
        self.texts.lock().unwrap_or_else(PoisonError::into_inner).insert(name, text.into());
        true
    }

    fn flush(&self) -> usize {
        self.generation.fetch_add(1, Ordering::Relaxed);
        let mut texts = self.texts.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *texts).len()
    }

    fn library_version(&self) -> u64 {
        self.libraries().0
    }

    fn libraries(&self) -> (u64, Arc<LibrarySet>) {
        self.libraries.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn publish(&self, set: &Arc<LibrarySet>) -> u64 {
        let mut libraries = self.libraries.lock().unwrap_or_else(PoisonError::into_inner);
        *libraries = (libraries.0 + 1, Arc::clone(set));
        libraries.0
    }

    fn settle(&self, version: u64) {
        self.settled.store(version, Ordering::Relaxed);
    }

    fn is_settled(&self, version: u64) -> bool {
        self.settled.load(Ordering::Relaxed) == version
    }

    fn counted(&self, _: u64, _: usize) {}

    fn began(&self, _: CoreId, _: Running) {}

    fn ended(&self, _: CoreId) {}

    fn running(&self) -> Option<Running> {
        None
    }
}

fn cores(count: usize, acknowledge: Acknowledge, seed: u64) -> Cores {
    let mut cores = Cores::new(count, acknowledge, seed);
    let registry: Arc<Shelf> = Arc::default();
    for engine in &mut cores.engines {
        let gauge = Arc::default();
        let inputs = ScriptInputs { registry: registry.clone(), gauge, clock: || 0 };
        engine.enable_scripts(inputs, ScriptSettings::default());
    }
    cores
}

/// The words of `EVAL`.
fn eval<'a>(script: &'a str, keys: &[&'a str], arguments: &[&'a str]) -> Vec<&'a [u8]> {
    const COUNTS: [&str; 5] = ["0", "1", "2", "3", "4"];
    let head = ["EVAL", script, COUNTS[keys.len()]];
    head.iter().chain(keys).chain(arguments).map(|word| word.as_bytes()).collect()
}

fn run(cores: &mut Cores, core: usize, words: &[&[u8]]) -> String {
    let ticket = cores.ask_words(core, words);
    cores.settle();
    show(&cores.reply(ticket))
}

fn reruns(cores: &Cores) -> u64 {
    cores.engines.iter().map(|engine| engine.stats().scripts_rerun).sum()
}

#[test]
fn a_script_is_one_batch() {
    for count in [1, 2, 4] {
        let mut cores = cores(count, Acknowledge::OnDisk, 3);
        let script = "redis.call('SET', KEYS[1], ARGV[1]) redis.call('INCR', KEYS[2]) \
                      redis.call('APPEND', KEYS[1], redis.call('GET', KEYS[2])) \
                      return redis.call('GET', KEYS[1])";
        let words = eval(script, &["a", "b"], &["x"]);
        let batches = |cores: &Cores| -> u64 {
            cores.engines.iter().map(|engine| engine.stats().batches).sum()
        };
        for turn in 1..=40u64 {
            let before = batches(&cores);
            assert_eq!(run(&mut cores, turn as usize % count, &words), format!("\"x{turn}\""));
            assert_eq!(batches(&cores), before + 1);
        }
        assert_eq!(reruns(&cores), 0);
        cores.assert_replay();
    }
}

#[test]
fn a_script_is_known_on_every_core() {
    let mut cores = cores(2, Acknowledge::OnAppend, 1);
    let name = hex_digest(b"return ARGV[1]");
    let by_name = [b"EVALSHA", &name[..], b"0", b"x"];
    let missing = "NOSCRIPT No matching script. Please use EVAL.";
    assert_eq!(run(&mut cores, 1, &by_name), missing);
    assert_eq!(run(&mut cores, 0, &eval("return ARGV[1]", &[], &["y"])), "\"y\"");
    assert_eq!(run(&mut cores, 1, &by_name), "\"x\"");
    assert_eq!(run(&mut cores, 0, &[b"SCRIPT", b"EXISTS", &name, b"none"]), "[1, 0]");
    assert_eq!(run(&mut cores, 0, &[b"SCRIPT", b"FLUSH"]), "OK");
    assert_eq!(run(&mut cores, 1, &by_name), missing);
    let loaded = run(&mut cores, 0, &[b"SCRIPT", b"LOAD", b"return ARGV[1]"]);
    assert_eq!(loaded.as_bytes()[1..41], name);
    assert_eq!(run(&mut cores, 1, &by_name), "\"x\"");
    let broken = run(&mut cores, 0, &[b"SCRIPT", b"LOAD", b"return )"]);
    assert!(broken.starts_with("ERR Error compiling script"), "{broken}");
}

#[test]
fn refusals() {
    let mut cores = cores(1, Acknowledge::OnAppend, 1);
    let place = |sha: &str| format!(" script: {sha}, on @user_script:1.");
    for (script, refusal) in [
        ("return redis.call('NOSUCH')", "ERR Unknown Redis command called from script"),
        ("return redis.call('GET')", "ERR Wrong number of args calling Redis command from script"),
        ("return redis.call('EVAL', 'x', 0)", "ERR This Redis command is not allowed from script"),
        (
            "return redis.call('SUBSCRIBE', 'x')",
            "ERR This Redis command is not allowed from script",
        ),
        ("return redis.call('MULTI')", "ERR This Redis command is not allowed from script"),
        ("return redis.call('SET', 'a', 'b', 'NOPE')", "ERR syntax error"),
    ] {
        let sha = String::from_utf8(hex_digest(script.as_bytes()).to_vec()).unwrap();
        assert_eq!(run(&mut cores, 0, &eval(script, &[], &[])), refusal.to_owned() + &place(&sha));
    }
    let read_only =
        |script: &'static str| -> [&'static [u8]; 3] { [b"EVAL_RO", script.as_bytes(), b"0"] };
    assert_eq!(run(&mut cores, 0, &read_only("return redis.call('GET', 'a')")), "nil");
    let refused = run(&mut cores, 0, &read_only("return redis.call('SET', 'a', 1)"));
    let expected = "ERR Write commands are not allowed from read-only scripts.";
    assert!(refused.starts_with(expected), "{refused}");
    let flagged = "#!lua flags=no-writes\nreturn redis.call('SET', 'a', 1)";
    assert!(run(&mut cores, 0, &eval(flagged, &[], &[])).starts_with(expected));
    for (count, refusal) in [
        ("-1", "ERR Number of keys can't be negative"),
        ("2", "ERR Number of keys can't be greater than number of args"),
    ] {
        assert_eq!(run(&mut cores, 0, &[b"EVAL", b"return 1", count.as_bytes(), b"k"]), refusal);
    }
    assert_eq!(run(&mut cores, 0, &[b"GET", b"a"]), "nil");
}

#[test]
fn an_error_keeps_what_was_written_before() {
    let mut cores = cores(2, Acknowledge::OnDisk, 1);
    let script = "redis.call('SET', KEYS[1], 1) error('no more')";
    let reply = run(&mut cores, 0, &eval(script, &["a"], &[]));
    assert!(reply.contains("no more"), "{reply}");
    assert_eq!(run(&mut cores, 1, &[b"GET", b"a"]), "\"1\"");
    cores.assert_replay();
}

/// Changes the keys it declares, then the one it is given besides, by one each.
const REACHING: &str = "redis.call('INCR', KEYS[1]) redis.call('INCR', KEYS[2]) \
                        redis.call('DEL', KEYS[3]) redis.call('SET', KEYS[3], 'new') \
                        if ARGV[1] then redis.call('INCR', ARGV[1]) end return 'done'";

#[test]
fn a_script_that_reaches_outside_late_runs_once() {
    for seed in 0..20 {
        let acknowledge = if seed % 2 == 0 { Acknowledge::OnDisk } else { Acknowledge::OnAppend };
        let mut cores = cores(2 + seed as usize % 3, acknowledge, seed);
        run(&mut cores, 0, &[b"SET", b"third", b"old", b"PX", b"1000000"]);
        let inside = eval(REACHING, &["a", "b", "third"], &[]);
        for _ in 0..=PROVING_RUNS {
            assert_eq!(run(&mut cores, 0, &inside), "\"done\"");
        }
        assert_eq!(reruns(&cores), 0);
        // It is trusted now, and has only the shards of its keys.
        let outside = eval(REACHING, &["a", "b", "third"], &["far"]);
        let before = i64::from(PROVING_RUNS) + 1;
        for turn in 1..=5 {
            assert_eq!(run(&mut cores, 0, &outside), "\"done\"");
            let far = run(&mut cores, 1, &[b"GET", b"far"]);
            assert_eq!(far, format!("\"{turn}\""), "seed {seed}");
            assert_eq!(run(&mut cores, 1, &[b"GET", b"a"]), format!("\"{}\"", before + turn));
        }
        let expected = u64::from(
            super::shards_of_keys([&b"far"[..]].into_iter())
                & !super::shards_of_keys([&b"a"[..], b"b", b"third"].into_iter())
                != 0,
        );
        assert_eq!(reruns(&cores), expected, "it is trusted once");
        cores.assert_replay();
    }
}

#[test]
fn a_large_value_is_not_taken_back() {
    let mut cores = cores(2, Acknowledge::OnDisk, 5);
    let script = "redis.call('APPEND', KEYS[1], ARGV[1]) return redis.call('STRLEN', KEYS[1])";
    let tail = "x".repeat(1000);
    let words = eval(script, &["long"], &[&tail]);
    for turn in 1..=40 {
        assert_eq!(run(&mut cores, 0, &words), (turn * 1000).to_string());
    }
    assert_eq!(reruns(&cores), 1);
    cores.assert_replay();
}

#[test]
fn scripts_run_inside_transactions() {
    let mut cores = cores(3, Acknowledge::OnDisk, 5);
    let set = "EVAL return(redis.call('SET',KEYS[1],'v')) 1 a";
    let get = "EVAL return(redis.call('GET','a')) 0";
    let reply = cores.run_exec(1, &[], &[set, get, "GET a"]);
    assert_eq!(show(&reply), "[OK, \"v\", \"v\"]");
    cores.assert_replay();
}

const ACCOUNTS: usize = 10;

/// Moves money from the key it declares to one that it may or may not declare.
const MOVE: &str = "local amount = tonumber(ARGV[2]) \
                    if tonumber(redis.call('GET', KEYS[1])) < amount then return 0 end \
                    redis.call('DECRBY', KEYS[1], amount) redis.call('INCRBY', ARGV[1], amount) \
                    return 1";
/// Adds everything up, without a key declared.
const SUM: &str = "local sum = 0 for i = 0, tonumber(ARGV[1]) - 1 do \
                   sum = sum + redis.call('GET', 'account:' .. i) end return sum";

#[test]
fn nobody_sees_a_script_half_done() {
    for seed in 0..30 {
        let acknowledge = if seed % 2 == 0 { Acknowledge::OnDisk } else { Acknowledge::OnAppend };
        let count = 1 + seed as usize % 4;
        let mut cores = cores(count, acknowledge, seed);
        let names: Vec<String> = (0..ACCOUNTS).map(|at| format!("account:{at}")).collect();
        for name in &names {
            run(&mut cores, 0, &[b"SET", name.as_bytes(), b"100"]);
        }
        let mut rng = Rng::new(seed);
        let (mut sums, mut moves) = (Vec::new(), Vec::new());
        for step in 0..150 {
            let core = rng.below(count);
            let (from, to) = (&names[rng.below(ACCOUNTS)], &names[rng.below(ACCOUNTS)]);
            let amount = rng.below(9).to_string();
            let ticket = match rng.below(6) {
                0 => {
                    let ticket = cores.ask_words(core, &eval(SUM, &[], &["10"]));
                    sums.push(ticket);
                    continue;
                }
                1 => cores.ask(core, "GET account:1"),
                // Only its own key at first, so that it comes to be trusted.
                _ if step < 100 => cores.ask_words(core, &eval(MOVE, &[from], &[from, &amount])),
                2 | 3 => cores.ask_words(core, &eval(MOVE, &[from, to], &[to, &amount])),
                _ => cores.ask_words(core, &eval(MOVE, &[from], &[to, &amount])),
            };
            moves.push(ticket);
            for _ in 0..rng.below(4) {
                cores.go_on();
            }
        }
        cores.settle();
        for ticket in sums {
            assert_eq!(cores.reply(ticket), Reply::Integer(100 * ACCOUNTS as i64), "seed {seed}");
        }
        assert!(moves.into_iter().all(|ticket| !matches!(cores.reply(ticket), Reply::Error(_))));
        cores.assert_replay();
    }
}
