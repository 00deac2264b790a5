//! Money: accounts of several types in several shards, and transactions that move some of it from
//! one to another. Its sum never changes, whoever looks and whatever crashed.
//!
//! A transfer is made blindly, by adding and taking; or its sender watches the account it takes
//! from, reads it, and writes what is left, which is right only if nobody came in between.

use synap_shards::command::reply::Reply;

use super::{Intent, Wish, wish};
use crate::dice::Dice;

/// Accounts; the type goes by the number.
pub(crate) const ACCOUNTS: usize = 6;
/// What each of them holds at first.
pub(crate) const FIRST: i64 = 100;

/// The keys that hold money begin with this.
pub(crate) const PREFIX: &[u8] = b"money:";
/// The field or member that an account's balance stands by.
pub(crate) const NAME: &[u8] = b"balance";

const SEPARATOR: &[u8] = b";";

fn key(account: usize) -> Vec<u8> {
    [PREFIX, account.to_string().as_bytes()].concat()
}

/// The words of one command about an account, for strings, hashes and sorted sets.
fn command(account: usize, of_types: [&str; 3], number: Option<i64>) -> Vec<Vec<u8>> {
    let name = of_types[account % 3].as_bytes().to_vec();
    let number = number.map(|number| number.to_string().into_bytes());
    let named = [
        vec![name, key(account)],
        if account.is_multiple_of(3) { vec![] } else { vec![NAME.to_vec()] },
    ];
    let mut words = named.concat();
    match (number, of_types[account % 3]) {
        // The score stands before the member.
        (Some(number), "ZADD" | "ZINCRBY") => words.insert(2, number),
        (Some(number), _) => words.push(number),
        (None, _) => {}
    }
    words
}

fn get(account: usize) -> Vec<Vec<u8>> {
    command(account, ["GET", "HGET", "ZSCORE"], None)
}

fn set(account: usize, balance: i64) -> Vec<Vec<u8>> {
    command(account, ["SET", "HSET", "ZADD"], Some(balance))
}

fn add(account: usize, amount: i64) -> Vec<Vec<u8>> {
    command(account, ["INCRBY", "HINCRBY", "ZINCRBY"], Some(amount))
}

fn exec(commands: impl IntoIterator<Item = Vec<Vec<u8>>>, intent: Intent) -> Wish {
    let mut words = Vec::new();
    for command in commands {
        words.extend(command);
        words.push(SEPARATOR.to_vec());
    }
    wish("EXEC", words, intent)
}

/// Every account is given what it has at first.
pub(crate) fn deal() -> Wish {
    exec((0..ACCOUNTS).map(|account| set(account, FIRST)), Intent::Other)
}

/// A request about money.
pub(crate) fn next(dice: &mut Dice) -> Wish {
    let from = dice.below(ACCOUNTS);
    let to = (from + 1 + dice.below(ACCOUNTS - 1)) % ACCOUNTS;
    let amount = dice.between(1, 30) as i64;
    match dice.below(5) {
        0 => exec((0..ACCOUNTS).map(get), Intent::Audit),
        1 | 2 => wish("WATCH", [key(from)], Intent::Watch { from, to, amount }),
        _ => exec([add(from, -amount), add(to, amount)], Intent::Other),
    }
}

/// The account is watched: now it is read.
pub(crate) fn read(from: usize, to: usize, amount: i64) -> Wish {
    Wish { words: get(from), intent: Intent::Read { from, to, amount } }
}

/// It was read: what is left is written, unless somebody else has changed it.
pub(crate) fn transfer(from: usize, to: usize, amount: i64, reply: &Reply<'_>) -> Wish {
    let balance = balance(reply).unwrap_or(0);
    exec([set(from, balance - amount), add(to, amount)], Intent::Settle)
}

/// What a reply says an account holds.
pub(crate) fn balance(reply: &Reply<'_>) -> Option<i64> {
    match reply {
        Reply::Double(number) => Some(*number as i64),
        Reply::Bytes(bytes) => std::str::from_utf8(bytes).ok()?.parse().ok(),
        _ => None,
    }
}
