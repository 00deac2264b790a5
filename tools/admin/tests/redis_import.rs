//! The move from Redis: files that a real Redis wrote, imported into a real server, and compared
//! key by key.

mod support;

use std::path::Path;

use support::{Client, Redis, Synap, bad, good, wait_for};

/// Keys whose values take every encoding of a string, some with deadlines.
fn fill(redis: &mut Client) -> Vec<Vec<u8>> {
    let long = "abcdefgh".repeat(40);
    let random: Vec<u8> =
        (0..70_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let zeros = vec![0u8; 20_000];
    let values: [&[u8]; 14] = [
        b"",
        b"x",
        b"7",
        b"-7",
        b"127",
        b"128",
        b"-32768",
        b"32768",
        b"-2147483648",
        b"2147483648",
        b"007",
        long.as_bytes(),
        &random,
        &zeros,
    ];
    let mut keys = Vec::new();
    for (index, value) in values.iter().enumerate() {
        let key = format!("key:{index}").into_bytes();
        assert_eq!(redis.run(&[b"SET", &key, value]), b"+OK");
        keys.push(key);
    }
    assert_eq!(redis.run(&[b"SET", b"bin\0\xff", b"\r\n\0"]), b"+OK");
    keys.push(b"bin\0\xff".to_vec());
    assert_eq!(redis.ask("EXPIRE key:0 100000"), ":1");
    assert_eq!(redis.ask("PEXPIRE key:11 123456789"), ":1");
    assert_eq!(redis.ask("SET soon gone PX 1"), "+OK");
    keys
}

/// Every key has the same DUMP and deadline at both.
fn assert_same(keys: &[Vec<u8>], redis: &mut Client, synap: &mut Client) {
    for key in keys {
        let name = key.escape_ascii();
        assert_eq!(redis.run(&[b"DUMP", key]), synap.run(&[b"DUMP", key]), "DUMP {name}");
        let (ours, theirs) = (synap.run(&[b"PEXPIRETIME", key]), redis.run(&[b"PEXPIRETIME", key]));
        assert_eq!(ours, theirs, "PEXPIRETIME {name}");
    }
    assert_eq!(synap.ask("DBSIZE"), format!(":{}", keys.len()));
}

#[test]
fn a_snapshot_gives_the_same_dump_and_ttl() {
    let Some(redis) = Redis::start(&[]) else { return };
    let mut client = redis.client();
    let keys = fill(&mut client);
    wait_for("the key to expire", || client.ask("EXISTS soon") == ":0");
    client.run(&[
        b"FUNCTION",
        b"LOAD",
        b"#!lua name=lib\nredis.register_function('f',function() end)",
    ]);
    assert_eq!(client.ask("SAVE"), "+OK");
    let synap = Synap::start();
    let file = redis.root.path().join("dump.rdb");
    let file = file.to_str().expect("a path of text");
    let dry = good(&synap.admin(&["--json", "import", "--input", file, "--dry-run"]));
    assert_eq!((&dry["dry_run"], &dry["keys_found"]), (&true.into(), &keys.len().into()));
    assert_eq!(synap.client().ask("DBSIZE"), ":0");
    for _ in 0..2 {
        let report = good(&synap.admin(&["--json", "import", "--input", file]));
        assert_eq!(report["keys_imported"], keys.len());
        let answer = synap.client().ask("FCALL f 0");
        assert_eq!(answer, client.ask("FCALL f 0"));
        assert!(!answer.starts_with('-'), "{answer}");
        assert_same(&keys, &mut client, &mut synap.client());
    }
}

/// What both say of a key; members of sets and fields of hashes have no order.
fn answers(client: &mut Client, line: &str) -> Vec<String> {
    let answer = client.ask(line);
    let mut words: Vec<String> = answer.split_whitespace().map(str::to_owned).collect();
    if line.starts_with("SMEMBERS") || line.starts_with("HGETALL") {
        words.sort();
    }
    words
}

#[test]
fn every_type_is_imported() {
    let Some(redis) = Redis::start(&[]) else { return };
    let mut client = redis.client();
    for command in [
        "SET plain v",
        "RPUSH list a b 12",
        "SADD set 1 2 3",
        "SADD set2 a b",
        "ZADD zset 1.5 a -inf b",
        "HSET hash f v g 7",
        "XADD stream 1-1 f v",
        "XADD stream 2-1 f w g x",
        "XADD stream 3-1 f y",
        "XDEL stream 2-1",
        "XGROUP CREATE stream g 0",
        "XREADGROUP GROUP g c COUNT 1 STREAMS stream >",
        "PFADD hll a b",
        "PEXPIREAT hash 4000000000000",
    ] {
        let reply = client.ask(command);
        assert!(!reply.starts_with('-'), "{command}: {reply}");
    }
    for number in 0..600 {
        client.ask(&format!("ZADD bigzset {number}.25 member:{number}"));
        client.ask(&format!("HSET bighash field:{number} value:{number}"));
        client.ask(&format!("SADD bigset member:{number}"));
        client.ask(&format!("RPUSH biglist {}", "x".repeat(number)));
        client.ask(&format!("XADD bigstream {}-1 f {number}", number + 1));
    }
    assert_eq!(client.ask("SAVE"), "+OK");
    let synap = Synap::start();
    let file = redis.root.path().join("dump.rdb");
    let file = file.to_str().expect("a path of text");
    let report = good(&synap.admin(&["--json", "import", "--input", file]));
    assert_eq!(report["keys_imported"], 13);
    let mut ours = synap.client();
    for line in [
        "GET plain",
        "GET hll",
        "LRANGE list 0 -1",
        "LRANGE biglist 0 -1",
        "SMEMBERS set",
        "SMEMBERS set2",
        "SMEMBERS bigset",
        "ZRANGE zset 0 -1 WITHSCORES",
        "ZRANGE bigzset 0 -1 WITHSCORES",
        "HGETALL hash",
        "HGETALL bighash",
        "PEXPIRETIME hash",
        "XRANGE stream - +",
        "XRANGE bigstream - +",
        "XINFO GROUPS stream",
        "XPENDING stream g",
    ] {
        assert_eq!(answers(&mut ours, line), answers(&mut client, line), "{line}");
    }
}

#[test]
fn databases_are_chosen() {
    let Some(redis) = Redis::start(&[]) else { return };
    let mut client = redis.client();
    for command in ["SET zero 0", "SELECT 3", "SET three 3", "SET four 4", "SAVE"] {
        assert_eq!(client.ask(command), "+OK");
    }
    let synap = Synap::start();
    let file = redis.root.path().join("dump.rdb");
    let file = file.to_str().expect("a path of text");
    let message = bad(&synap.admin(&["import", "--input", file]), 1);
    assert!(message.contains("3: 2") && message.contains("--db"), "{message}");
    good(&synap.admin(&["--json", "import", "--input", file, "--db", "3"]));
    assert_eq!(synap.client().ask("MGET zero three four"), "(nil) 3 4");
}

#[test]
fn a_damaged_snapshot_changes_nothing() {
    let Some(redis) = Redis::start(&[]) else { return };
    let mut client = redis.client();
    fill(&mut client);
    assert_eq!(client.ask("SAVE"), "+OK");
    let synap = Synap::start();
    let file = redis.root.path().join("dump.rdb");
    let sound = std::fs::read(&file).expect("a file");
    let name = file.to_str().expect("a path of text");
    for at in [9, 50, sound.len() / 2, sound.len() - 1] {
        let mut broken = sound.clone();
        broken[at] ^= 4;
        std::fs::write(&file, &broken).expect("written");
        bad(&synap.admin(&["import", "--input", name]), 1);
        std::fs::write(&file, &sound[..at]).expect("written");
        bad(&synap.admin(&["import", "--input", name]), 1);
    }
    assert_eq!(synap.client().ask("DBSIZE"), ":0");
}

fn import_log(redis: &Redis, input: &Path, keys: &[Vec<u8>]) {
    let synap = Synap::start();
    synap.client().ask("SET other stays");
    let input = input.to_str().expect("a path of text");
    good(&synap.admin(&["--json", "import", "--input", input, "--mode", "replace"]));
    assert_same(keys, &mut redis.client(), &mut synap.client());
}

/// Commands that are logged in other words than they were sent, and a transaction.
fn more(client: &mut Client) -> Vec<Vec<u8>> {
    for command in [
        "INCR n",
        "INCRBY n 41",
        "APPEND log abc",
        "APPEND log def",
        "SETEX s 1000 v",
        "SETRANGE r 3 x",
        "MULTI",
        "SET t1 a",
        "SET t2 b",
        "EXEC",
        "DEL t2",
        "RENAME t1 t3",
    ] {
        let reply = client.ask(command);
        assert!(!reply.starts_with('-'), "{command}: {reply}");
    }
    [&b"n"[..], b"log", b"s", b"r", b"t3"].map(<[u8]>::to_vec).to_vec()
}

#[test]
fn a_directory_of_append_only_files_is_replayed() {
    let options = ["--appendonly", "yes", "--appendfsync", "always"];
    let Some(redis) = Redis::start(&options) else { return };
    let mut client = redis.client();
    let mut keys = fill(&mut client);
    wait_for("the key to expire", || client.ask("EXISTS soon") == ":0");
    client.ask("BGREWRITEAOF");
    wait_for("the rewrite", || {
        let info = client.ask("INFO persistence");
        info.contains("aof_rewrite_in_progress:0") && info.contains("aof_rewrite_scheduled:0")
    });
    keys.extend(more(&mut client));
    import_log(&redis, &redis.root.path().join("appendonlydir"), &keys);
}

#[test]
fn an_append_only_file_cut_off_in_a_transaction_gives_what_is_whole() {
    let options = ["--appendonly", "yes", "--aof-use-rdb-preamble", "no"];
    let Some(redis) = Redis::start(&options) else { return };
    let mut client = redis.client();
    let keys = more(&mut client);
    let folder = redis.root.path().join("appendonlydir");
    let log = folder.join("appendonly.aof.1.incr.aof");
    wait_for("the log", || {
        std::fs::read(&log).is_ok_and(|bytes| bytes.windows(6).any(|word| word == b"RENAME"))
    });
    import_log(&redis, &log, &keys);
    let mut bytes = std::fs::read(&log).expect("a log");
    let whole = bytes.len();
    bytes.extend_from_slice(b"*1\r\n$5\r\nMULTI\r\n*2\r\n$4\r\nINCR\r\n$1\r\nn\r\n");
    let cut = redis.root.path().join("cut.aof");
    std::fs::write(&cut, &bytes).expect("written");
    let synap = Synap::start();
    let name = cut.to_str().expect("a path of text");
    let report = good(&synap.admin(&["--json", "import", "--input", name]));
    assert_eq!(report["cut_off"]["whole_up_to_byte"], whole);
    assert_same(&keys, &mut client, &mut synap.client());
}

#[test]
fn commands_the_server_does_not_have_and_flushes_are_refused() {
    let folder = tempfile::tempdir().expect("a directory");
    let log = folder.path().join("a.aof");
    let text = "*1\r\n$8\r\nFLUSHALL\r\n*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n\
        *3\r\n$5\r\nRPUSX\r\n$1\r\nl\r\n$1\r\nv\r\n";
    std::fs::write(&log, text).expect("written");
    let name = log.to_str().expect("a path of text");
    let synap = Synap::start();
    let message = bad(&synap.admin(&["import", "--input", name]), 1);
    assert!(message.contains("1 commands RPUSX") && message.contains("FLUSHALL"), "{message}");
    let args = ["--json", "import", "--input", name, "--mode", "replace", "--skip-unsupported"];
    assert_eq!(good(&synap.admin(&args))["commands_left_out"], 1);
    assert_eq!(synap.client().ask("GET k"), "v");
    let resumed = bad(&synap.admin(&["import", "--input", name, "--resume"]), 2);
    assert!(resumed.contains("append-only"), "{resumed}");
}
