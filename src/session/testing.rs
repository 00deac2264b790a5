//! The session commands as a client sees them: requests as lines, replies as RESP.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize};

use synap_shards::command::spec::Run;
use synap_shards::key::ShardMap;

use super::client::{Listener, client_id};
use super::finish::Finish;
use super::*;
use crate::auth::Directory;
use crate::config::ShardPorts;
use crate::metrics::CoreMetrics;
use crate::protocol::http::route::HttpOptions;
use crate::protocol::resp::encode::{Protocol, encode};
use crate::transactions::HttpTransactions;
use synap_shards::pubsub::Limits;
use synap_shards::shard::evict::EvictionPolicy;
use synap_shards::types::Thresholds;

struct Crowd(Vec<Client>);

impl Clients for Crowd {
    fn each(&self, visit: &mut dyn FnMut(&Client)) {
        self.0.iter().for_each(visit);
    }

    fn kill(&mut self, id: u64) {
        self.0.retain(|client| client.id != id);
    }
}

/// One core with three connections; the first sends the commands.
struct Server {
    client: Client,
    crowd: Crowd,
    shared: Shared,
    settings: Settings,
    slowlog: SlowLog,
    latency: LatencyLog,
    then: Then,
    pubsub: Pubsub,
    effects: Effects,
}

const NOW: Now = Now { unix_ms: 1_700_000_123_456, monotonic_ns: 9_000_000_000 };

fn settings() -> Settings {
    Settings {
        max_memory_bytes: 0,
        max_keys: 0,
        eviction_policy: EvictionPolicy::AllKeysLru,
        eviction_sample_size: 5,
        lfu_log_factor: 10,
        thresholds: Thresholds::default(),
        notices: 0,
        lfu_decay_minutes: 1,
        expiry_interval_ms: 100,
        allow_flush_commands: false,
        queues: true,
        max_queues: 10_000,
        streams: true,
        max_rooms: 10_000,
        subscriptions: Limits { names: 1_000, subscribers: 1_000, patterns: 1_000 },
        read_only: false,
        tracking_keys_max: 1_000_000,
        script_time_limit_ms: 5000,
        script_memory_bytes: 1 << 26,
        max_value_bytes: 512 << 20,
        slowlog_threshold_us: 10_000,
        slowlog_max_entries: 3,
        latency_threshold_ms: 0,
        idle_timeout_secs: 300,
        request_timeout_secs: 30,
        max_connections: 10_000,
        max_connections_per_address: 0,
        output_limits: crate::limits::OutputLimits::new(1 << 20),
        write_timeout_secs: 60,
        query_buffer_bytes_max: 1 << 30,
        http_body_bytes_max: 10 << 20,
        rate: None,
        trusted_proxies: [].into(),
    }
}

impl Server {
    fn new(plain: Option<u16>) -> Self {
        let cores = 2;
        let core = CoreId::new(0);
        let address = |text: &str| text.parse().expect("it is an address");
        let client = |nth: u64| {
            let peer = address(&format!("127.0.0.1:{}", 5000 + nth));
            let id = client_id(nth, core, cores);
            Client::new(
                id,
                core,
                peer,
                address("127.0.0.1:6379"),
                Listener::Resp,
                Directory::off().anonymous(),
                NOW.unix_ms - 5000,
            )
        };
        Self {
            client: client(1),
            crowd: Crowd((1..4).map(client).collect()),
            shared: Shared {
                buckets: crate::limits::Buckets::default(),
                addresses: crate::limits::Addresses::default(),
                started_unix_ms: NOW.unix_ms - 90_000_000,
                run_id: "0123456789".repeat(4),
                config_file: String::new(),
                data_directory: PathBuf::from("data"),
                http_address: address("127.0.0.1:15500"),
                resp_address: Some(address("0.0.0.0:6379")),
                http_is_tls: false,
                https_address: None,
                resp_tls_address: None,
                dss_queue_address: None,
                shard_ports: ShardPorts { plain, tls: None },
                shard_map: ShardMap::new(cores),
                persistence: true,
                fsync_mode: "periodic",
                http: HttpOptions::default(),
                stopping: AtomicBool::new(false),
                hurry: AtomicBool::new(false),
                drained: AtomicUsize::new(0),
                logs_full: AtomicUsize::new(0),
                snapshots: None,
                cold: None,
                authority: crate::auth::Authority::off(),
                alive: crate::alive::Alive::new(cores),
                transactions: HttpTransactions::default(),
                mailboxes: crate::mailboxes::Mailboxes::default(),
                acl_log_hidden: std::sync::atomic::AtomicU64::new(0),
                captures: crate::captures::Captures::new(cores),
                scripts: Arc::default(),
                topics: Arc::default(),
                script_gauges: (0..cores).map(|_| Arc::default()).collect(),
                metrics: (0..cores).map(|_| CoreMetrics::default()).collect(),
            },
            settings: settings(),
            slowlog: SlowLog::new(core, cores),
            latency: LatencyLog::default(),
            then: Then::Continue,
            pubsub: Pubsub::new(cores, 1),
            effects: Effects::default(),
        }
    }

    fn reply(&mut self, words: &[&[u8]]) -> Option<Reply<'static>> {
        let command = match table::lookup(words) {
            Ok(command) => command,
            Err(error) => return Some(error.into()),
        };
        self.client.begin(Some(command), NOW.unix_ms);
        let args = match Args::parse(command.spec(), words) {
            Ok(args) => args,
            Err(error) => return Some(error.into()),
        };
        if command.spec().run_is_session() {
            let outcome = run(
                &mut SessionContext {
                    client: &mut self.client,
                    shared: &self.shared,
                    settings: &self.settings,
                    pubsub: &mut self.pubsub,
                    now: NOW,
                    core: CoreId::new(0),
                    then: Then::Continue,
                    change: None,
                },
                command,
                &args,
            );
            self.then = outcome.then;
            return outcome.reply;
        }
        let mut cx = CoreContext {
            clients: &mut self.crowd,
            settings: &mut self.settings,
            pubsub: &mut self.pubsub,
            shared: &self.shared,
            slowlog: &mut self.slowlog,
            latency: &mut self.latency,
            now: NOW,
            core: CoreId::new(0),
            caller: self.client.id,
            effects: Effects::default(),
        };
        let reply = run_on_core(&mut cx, command, &args);
        self.effects = cx.effects;
        Some(match Finish::of(command, &args) {
            Some(finish) => finish.apply(reply),
            None => reply,
        })
    }

    /// The reply in RESP, line ends shown as blanks.
    fn ask(&mut self, line: &str) -> String {
        let words: Vec<&[u8]> = line
            .split(' ')
            .map(|word| if word == "\"\"" { &b""[..] } else { word.as_bytes() })
            .collect();
        let Some(reply) = self.reply(&words) else { return String::new() };
        let mut out = Vec::new();
        encode(&reply, self.client.protocol, &mut out);
        String::from_utf8_lossy(&out).replace("\r\n", " ").trim_end().to_owned()
    }

    fn expect(&mut self, table: &[(&str, &str)]) {
        for (line, expected) in table {
            assert_eq!(self.ask(line), *expected, "{line}");
        }
    }
}

trait RunsInSession {
    fn run_is_session(&self) -> bool;
}

impl RunsInSession for synap_shards::command::spec::CommandSpec {
    fn run_is_session(&self) -> bool {
        matches!(self.run, Run::Session)
    }
}

#[test]
fn every_session_command_has_one_handler() {
    for (index, spec) in table::commands().enumerate() {
        let session = BY_COMMAND[index].is_some();
        let core = CORE_BY_COMMAND[index].is_some();
        assert_eq!(session, matches!(spec.run, Run::Session), "{}", spec.id);
        assert_eq!(core, matches!(spec.run, Run::EveryCore(_)), "{}", spec.id);
    }
    let count = HANDLERS.iter().map(|list| list.len()).sum::<usize>()
        + CORE_HANDLERS.iter().map(|list| list.len()).sum::<usize>();
    let declared = table::commands()
        .filter(|spec| matches!(spec.run, Run::Session | Run::EveryCore(_)))
        .count();
    assert_eq!(count, declared, "a handler is named for no command, or twice");
}

#[test]
fn connections_introduce_themselves() {
    let mut server = Server::new(None);
    server.expect(&[
        ("PING", "+PONG"),
        ("ping hi", "$2 hi"),
        ("PING a b", "-ERR wrong number of arguments for 'ping' command"),
        ("ECHO x", "$1 x"),
        ("ECHO", "-ERR wrong number of arguments for 'echo' command"),
        ("SELECT 0", "+OK"),
        ("SELECT 1", "-ERR DB index is out of range"),
        ("SWAPDB 0 0", "+OK"),
        ("SWAPDB 0 1", "-ERR DB index is out of range"),
        ("SWAPDB x 0", "-ERR invalid first DB index"),
        ("SELECT x", "-ERR value is not an integer or out of range"),
        ("AUTH default x", "+OK"),
        ("AUTH bob x", "-WRONGPASS invalid username-password pair or user is disabled."),
        ("HELLO 4", "-NOPROTO unsupported protocol version"),
        ("HELLO x", "-ERR Protocol version is not an integer or out of range"),
        ("HELLO 2 BOGUS", "-ERR syntax error"),
        ("CLIENT GETNAME", "$-1"),
        (
            "HELLO 3 AUTH default pw SETNAME me",
            "%7 $6 server $5 redis $7 version $5 7.4.0 $5 proto :3 $2 id :2 $4 mode $10 \
             standalone $4 role $6 master $7 modules *0",
        ),
        ("CLIENT GETNAME", "$2 me"),
        ("RESET", "+RESET"),
        ("CLIENT GETNAME", "$-1"),
    ]);
    assert!(server.ask("AUTH x").starts_with("-ERR AUTH <password> called without any password"));
    assert_eq!((server.client.protocol, server.then), (Protocol::Resp2, Then::Continue));
    assert_eq!((server.ask("QUIT").as_str(), server.then), ("+OK", Then::Close));
}

#[test]
fn clients_are_described_listed_and_killed() {
    let mut server = Server::new(None);
    server.expect(&[
        ("CLIENT ID", ":2"),
        (
            "CLIENT SETNAME a\tb",
            "-ERR Client names cannot contain spaces, newlines or special \
             characters.",
        ),
        ("CLIENT SETINFO LIB-NAME redis-py", "+OK"),
        ("CLIENT SETINFO LIB-VER 5", "+OK"),
        ("CLIENT SETINFO BAD 5", "-ERR Unrecognized option 'BAD'"),
        ("CLIENT NO-EVICT ON", "+OK"),
        ("CLIENT NO-TOUCH maybe", "-ERR syntax error"),
        ("CLIENT GETREDIR", ":-1"),
        ("CLIENT LIST TYPE pubsub", "$0"),
        ("CLIENT LIST TYPE x", "-ERR Unknown client type 'x'"),
        ("CLIENT LIST ID", "-ERR syntax error"),
        ("CLIENT LIST ID 0", "-ERR Invalid client ID"),
        ("CLIENT KILL ID 0", "-ERR client-id should be greater than 0"),
        ("CLIENT KILL ID", "-ERR No such client"),
        ("CLIENT KILL ID 1 ADDR", "-ERR syntax error"),
        ("CLIENT KILL USER bob", "-ERR No such user 'bob'"),
        ("CLIENT KILL TYPE pubsub", ":0"),
        ("CLIENT KILL ID 2", ":0"),
        ("CLIENT KILL 127.0.0.1:5003", "+OK"),
        ("CLIENT KILL 127.0.0.1:5003", "-ERR No such client"),
        ("CLIENT KILL MAXAGE 100", ":0"),
        ("CLIENT KILL LADDR 127.0.0.1:6379", ":1"),
        ("CLIENT KILL ID 2 SKIPME no", ":1"),
        ("CLIENT NOPE", "-ERR unknown subcommand 'NOPE'. Try CLIENT HELP."),
        ("CLIENT", "-ERR wrong number of arguments for 'client' command"),
    ]);
    let info = server.ask("CLIENT INFO");
    for part in
        ["id=2 addr=127.0.0.1:5001", "age=5 idle=0 flags=e", "cmd=client|info", "lib-name=redis-py"]
    {
        assert!(info.contains(part), "{part} in {info}");
    }
    assert!(server.ask("CLIENT HELP").contains("CLIENT <subcommand> [<arg> [value] [opt] ...]"));
}

#[test]
fn a_client_can_do_without_replies() {
    let mut server = Server::new(None);
    server.expect(&[
        ("CLIENT REPLY SKIP", ""),
        ("PING", ""),
        ("PING", "+PONG"),
        ("CLIENT REPLY OFF", ""),
        ("PING", ""),
        ("CLIENT REPLY SKIP", ""),
        ("PING", ""),
        ("CLIENT REPLY ON", "+OK"),
        ("PING", "+PONG"),
    ]);
}

#[test]
fn settings_are_read_and_changed_together_or_not_at_all() {
    let mut server = Server::new(None);
    server.expect(&[
        ("CONFIG GET save", "*2 $4 save $0"),
        ("CONFIG GET appendonly", "*2 $10 appendonly $3 yes"),
        ("CONFIG GET nope", "*0"),
        (
            "CONFIG GET MAXMEMORY* timeout",
            "*8 $9 maxmemory $1 0 $16 maxmemory-policy $11 \
          allkeys-lru $17 maxmemory-samples $1 5 $7 timeout $3 300",
        ),
        ("CONFIG SET maxmemory 100mb maxmemory-policy volatile-ttl", "+OK"),
        ("CONFIG GET maxmemory", "*2 $9 maxmemory $9 104857600"),
        (
            "CONFIG SET maxmemory 1k timeout x",
            "-ERR CONFIG SET failed (possibly related to \
          argument 'timeout') - argument couldn't be parsed into an integer",
        ),
        ("CONFIG GET maxmemory", "*2 $9 maxmemory $9 104857600"),
        (
            "CONFIG SET maxmemory 1q",
            "-ERR CONFIG SET failed (possibly related to argument \
          'maxmemory') - argument must be a memory value",
        ),
        (
            "CONFIG SET timeout 1 TIMEOUT 2",
            "-ERR CONFIG SET failed (possibly related to argument \
          'TIMEOUT') - duplicate parameter",
        ),
        (
            "CONFIG SET port 1",
            "-ERR CONFIG SET failed (possibly related to argument 'port') - \
          can't set immutable config",
        ),
        ("CONFIG SET nope 1", "-ERR Unknown option or number of arguments for CONFIG SET - 'nope'"),
        ("CONFIG SET timeout", "-ERR wrong number of arguments for 'config|set' command"),
        ("CONFIG SET save \"\" appendonly yes", "+OK"),
        ("CONFIG RESETSTAT", "+OK"),
    ]);
    assert!(server.effects.stats_reset && server.settings.max_memory_bytes == 100 << 20);
    assert!(server.ask("CONFIG REWRITE").starts_with("-ERR the configuration file belongs"));
}

#[test]
fn sections_of_info_have_the_names_of_redis() {
    let mut server = Server::new(Some(7000));
    server.shared.metrics[1].keys.set(3);
    let ping = table::by_name(b"PING").expect("it exists");
    server.shared.metrics[1].commands[ping.index()].record(3000, false);
    let all = server.ask("INFO all");
    for part in [
        "# Server redis_version:7.4.0 synap_version:",
        "redis_mode:standalone",
        "uptime_in_days:1",
        "connected_clients:0",
        "used_memory_human:0B",
        "maxmemory_policy:allkeys-lru",
        "loading:0",
        "aof_enabled:1",
        "total_commands_processed:1",
        "role:master",
        "used_cpu_sys:",
        "cmdstat_ping:calls=1,usec=3,usec_per_call=3.00,rejected_calls=0,failed_calls=0",
        "latency_percentiles_usec_ping:p50=5.000",
        "cluster_enabled:1",
        "# Keyspace db0:keys=3,expires=0,avg_ttl=0",
    ] {
        assert!(all.contains(part), "{part} in {all}");
    }
    assert!(!server.ask("INFO").contains("# Commandstats"));
    server.expect(&[
        ("INFO nope", "$0"),
        ("INFO KEYSPACE", "$44 # Keyspace db0:keys=3,expires=0,avg_ttl=0"),
    ]);
}

#[test]
fn slow_commands_and_delays_are_kept_in_order() {
    let mut server = Server::new(None);
    for nth in 0..5u64 {
        let words: [&[u8]; 2] = [b"GET", b"k"];
        server.slowlog.note(100 + nth, &words, &server.client, NOW.unix_ms, 3);
    }
    server.latency.note("command", 30, 10, NOW.unix_ms - 2000);
    server.latency.note("command", 20, 10, NOW.unix_ms);
    server.expect(&[
        ("SLOWLOG LEN", ":3"),
        ("SLOWLOG GET 1", "*1 *6 :8 :1700000123 :104 *2 $3 GET $1 k $14 127.0.0.1:5001 $0"),
        ("SLOWLOG GET -2", "-ERR count should be greater than or equal to -1"),
        ("SLOWLOG RESET", "+OK"),
        ("SLOWLOG GET", "*0"),
        ("LATENCY LATEST", "*1 *4 $7 command :1700000123 :20 :30"),
        ("LATENCY HISTORY command", "*2 *2 :1700000121 :30 *2 :1700000123 :20"),
        ("LATENCY HISTORY nope", "*0"),
        ("LATENCY RESET nope", ":0"),
        ("LATENCY RESET", ":1"),
        ("LATENCY HISTOGRAM", "*0"),
    ]);
    let ping = table::by_name(b"PING").expect("it exists");
    server.shared.metrics[0].commands[ping.index()].record(3000, false);
    let expected = "*2 $4 ping *4 $5 calls :1 $14 histogram_usec *2 :5 :1";
    server.expect(&[("LATENCY HISTOGRAM ping nope", expected)]);
}

#[test]
fn answers_of_two_cores_are_merged() {
    let event = |second, ms, worst| {
        let numbers = [second, ms, worst].map(Reply::Integer);
        Reply::Array([Reply::string("command")].into_iter().chain(numbers).collect())
    };
    let both = Reply::Array(vec![event(5, 20, 90), event(7, 10, 10)]);
    assert_eq!(Finish::Latest.apply(both), Reply::Array(vec![event(7, 10, 90)]));
    let entry = |id, second| Reply::Array(vec![Reply::Integer(id), Reply::Integer(second)]);
    let both = Reply::Array(vec![entry(4, 9), entry(2, 3), entry(3, 5)]);
    let expected = Reply::Array(vec![entry(4, 9), entry(3, 5)]);
    assert_eq!(Finish::SlowLog(2).apply(both), expected);
}

#[test]
fn cores_are_nodes_when_they_have_ports() {
    let mut server = Server::new(None);
    server.expect(&[
        ("CLUSTER SLOTS", "-ERR This instance has cluster support disabled"),
        ("CLUSTER KEYSLOT foo", ":12182"),
        ("READONLY", "-ERR This instance has cluster support disabled"),
    ]);
    let mut server = Server::new(Some(7000));
    let id = |core: u8| format!("01234567890123456789012345678901234567{core:02x}");
    let (first, second) = (id(0), id(1));
    server.expect(&[
        (
            "CLUSTER SLOTS",
            &format!(
                "*2 *3 :0 :8191 *4 $9 127.0.0.1 :7000 $40 {first} *0 \
                 *3 :8192 :16383 *4 $9 127.0.0.1 :7001 $40 {second} *0"
            ),
        ),
        ("CLUSTER MYID", &format!("$40 {first}")),
        ("CLUSTER MYSHARDID", &format!("$40 {first}")),
        ("CLUSTER REPLICAS", "-ERR wrong number of arguments for 'cluster|replicas' command"),
        (&format!("CLUSTER REPLICAS {second}"), "*0"),
        ("CLUSTER SLAVES abc", "-ERR Unknown node abc"),
        ("CLUSTER LINKS", "*0"),
        ("ASKING", "+OK"),
    ]);
    let nodes = server.ask("CLUSTER NODES");
    assert!(nodes.contains(&format!(
        "{first} 127.0.0.1:7000@0 myself,master - 0 0 1 \
         connected 0-8191"
    )));
    assert!(server.ask("CLUSTER INFO").contains("cluster_state:ok"));
    assert!(server.ask("CLUSTER SHARDS").starts_with(
        "*2 *4 $5 slots *2 :0 :8191 $5 nodes \
         *1 *14 $2 id"
    ));
}

#[test]
fn the_server_tells_time_role_and_statistics() {
    let mut server = Server::new(None);
    server.shared.metrics[1].keyspace_hits.set(4);
    server.expect(&[
        ("TIME", "*2 $10 1700000123 $6 456000"),
        ("ROLE", "*3 $6 master :0 *0"),
        ("REPLICAOF no one", "+OK"),
        ("SLAVEOF host 1", "-ERR this server follows no other; only NO ONE is accepted"),
        (
            "SYNAP.KVSTATS",
            "*14 $10 total_keys :0 $18 total_memory_bytes :0 $4 gets :0 $4 sets :0 $4 dels :0 \
             $4 hits :4 $6 misses :0",
        ),
        ("SHUTDOWN ABORT", "-ERR No shutdown in progress."),
        ("SHUTDOWN ABORT NOW", "-ERR syntax error"),
        ("MEMORY DOCTOR", "$44 Too little data to judge: less than 16 MiB."),
    ]);
    assert!(server.ask("LOLWUT").contains("Synap ver."));
    assert!(server.ask("MEMORY STATS").contains("$14 peak.allocated"));
    assert_eq!(server.then, Then::Continue);
    server.ask("SHUTDOWN NOSAVE");
    assert_eq!(server.then, Then::Shutdown);
}

#[test]
fn the_table_is_told_in_the_shapes_that_clients_parse() {
    let mut server = Server::new(None);
    server.expect(&[
        (
            "COMMAND INFO echo nope",
            "*2 *10 $4 echo :2 *1 +fast :0 :0 :0 *2 +@connection +@fast *0 *0 *0 $-1",
        ),
        (
            "COMMAND INFO client|id",
            "*1 *10 $9 client|id :2 *2 +noscript +fast :0 :0 :0 *2 +@connection +@slow *0 *0 *0",
        ),
        (
            "COMMAND DOCS echo nope",
            "*2 $4 echo *10 $7 summary $19 Answers the message $5 since $5 0.1.0 $5 group $10 \
             connection $10 complexity $4 O(1) $9 arguments *1 *6 $4 name $7 message $4 type $6 \
             string $12 display_text $7 message",
        ),
        ("COMMAND LIST FILTERBY PATTERN ech*", "*1 $4 echo"),
        ("COMMAND LIST FILTERBY MODULE x", "*0"),
        ("COMMAND LIST FILTERBY x y", "-ERR syntax error"),
        ("COMMAND LIST BY x y", "-ERR syntax error"),
        ("COMMAND GETKEYS nope x", "-ERR Invalid command specified"),
        ("COMMAND GETKEYS ping", "-ERR The command has no key arguments"),
    ]);
    let client = server.ask("COMMAND INFO client");
    let subcommands = table::subcommands(b"CLIENT").map_or(0, <[_]>::len);
    assert!(client.starts_with(&format!(
        "*1 *10 $6 client :-2 *0 :0 :0 :0 *1 +@slow *0 *0 *{subcommands} *10 $9 client|id"
    )));
    let count = top_level_count();
    assert_eq!(server.ask("COMMAND COUNT"), format!(":{count}"));
    assert!(server.ask("COMMAND").starts_with(&format!("*{count} *10 ")));
    let nested = format!("subcommands *{} $9 client|id", 2 * subcommands);
    assert!(server.ask("COMMAND DOCS client").contains(&nested));
    server.client.protocol = Protocol::Resp3;
    assert!(server.ask("COMMAND INFO echo").contains("~1 +fast"));
}

fn top_level_count() -> usize {
    let names = table::commands().map(|spec| spec.container());
    names.collect::<std::collections::BTreeSet<_>>().len()
}
