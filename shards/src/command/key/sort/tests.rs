//! `SORT` over one table: its options, what it reads through patterns, and what it stores.

use crate::one_table::OneTable;

const WRONG_TYPE: &str = "WRONGTYPE Operation against a key holding the wrong kind of value";

#[test]
fn elements_come_in_order() {
    OneTable::new().expect(&[
        ("RPUSH l 3 10 1 2", "4"),
        ("SORT l", r#"["1", "2", "3", "10"]"#),
        ("SORT l DESC", r#"["10", "3", "2", "1"]"#),
        ("SORT l ALPHA", r#"["1", "10", "2", "3"]"#),
        ("SORT l desc alpha", r#"["3", "2", "10", "1"]"#),
        ("SORT l DESC ASC", r#"["1", "2", "3", "10"]"#),
        ("SORT l LIMIT 1 2", r#"["2", "3"]"#),
        ("SORT l LIMIT 1 -1", r#"["2", "3", "10"]"#),
        ("SORT l LIMIT -5 2", r#"["1", "2"]"#),
        ("SORT l LIMIT 9 2", "[]"),
        ("SORT l LIMIT 0 0", "[]"),
        ("SORT l BY nosort", r#"["3", "10", "1", "2"]"#),
        ("SORT l BY nosort DESC LIMIT 1 2", r#"["1", "10"]"#),
        ("SORT_RO l LIMIT 3 9", r#"["10"]"#),
        ("SORT none", "[]"),
        ("SADD s 5 -1 2.5", "3"),
        ("SORT s", r#"["-1", "2.5", "5"]"#),
        ("ZADD z 1 30 2 20 3 10", "3"),
        ("SORT z", r#"["10", "20", "30"]"#),
        ("SORT z BY nosort", r#"["30", "20", "10"]"#),
        ("SORT z BY nosort DESC", r#"["10", "20", "30"]"#),
        ("SORT z BY nosort LIMIT 1 1", r#"["20"]"#),
    ]);
}

#[test]
fn other_keys_decide_and_are_answered() {
    OneTable::new().expect(&[
        ("RPUSH l 1 2 3 4", "4"),
        ("MSET w_1 30 w_2 10 w_3 20 n_1 one n_3 three", "OK"),
        ("HSET h_1 w 3 n uno", "2"),
        ("HSET h_2 w 1", "1"),
        ("HSET h_3 w 2", "1"),
        ("HSET h_4 w 0", "1"),
        ("SORT l BY w_*", r#"["4", "2", "3", "1"]"#),
        ("SORT l BY w_* DESC", r#"["1", "3", "2", "4"]"#),
        ("SORT l BY h_*->w", r#"["4", "2", "3", "1"]"#),
        ("SORT l BY n_* ALPHA", r#"["2", "4", "1", "3"]"#),
        ("SORT l GET n_* GET #", r#"["one", "1", nil, "2", "three", "3", nil, "4"]"#),
        ("SORT l BY w_* LIMIT 3 1 GET h_*->n", r#"["uno"]"#),
        ("SORT l LIMIT 0 1 GET h_* GET w_*->x GET nothing GET n_*->", "[nil, nil, nil, nil]"),
        ("SORT_RO l BY w_* GET #", r#"["4", "2", "3", "1"]"#),
    ]);
}

#[test]
fn results_become_a_list() {
    OneTable::new().expect(&[
        ("SADD s 3 1 2", "3"),
        ("MSET n_1 one n_3 three t v", "OK"),
        ("EXPIRE t 100", "1"),
        ("SORT s DESC STORE t", "3"),
        ("LRANGE t 0 -1", r#"["3", "2", "1"]"#),
        ("TTL t", "-1"),
        ("SORT s GET n_* STORE t", "3"),
        ("LRANGE t 0 -1", r#"["one", "", "three"]"#),
        ("SADD words b c a", "3"),
        ("SORT words BY nosort STORE words", "3"),
        ("LRANGE words 0 -1", r#"["a", "b", "c"]"#),
        ("SORT s LIMIT 9 1 STORE t", "0"),
        ("EXISTS t", "0"),
        ("SORT none STORE t", "0"),
    ]);
}

#[test]
fn refusals() {
    OneTable::new().expect(&[
        ("RPUSH l a 1", "2"),
        ("SORT l", "ERR One or more scores can't be converted into double"),
        ("SORT l BY l*", r#"["1", "a"]"#),
        ("SET l1 x", "OK"),
        ("SORT l BY l*", "ERR One or more scores can't be converted into double"),
        ("SET str v", "OK"),
        ("HSET h f v", "1"),
        ("SORT str", WRONG_TYPE),
        ("SORT h", WRONG_TYPE),
        ("SORT l LIMIT 1", "ERR syntax error"),
        ("SORT l LIMIT a 1", "ERR value is not an integer or out of range"),
        ("SORT l BY", "ERR syntax error"),
        ("SORT l NOPE", "ERR syntax error"),
        ("SORT_RO l ALPHA STORE t", "ERR syntax error"),
        ("SORT", "ERR wrong number of arguments for 'sort' command"),
    ]);
}
