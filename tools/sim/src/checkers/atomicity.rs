//! Transactions are whole: the keys of a group are only ever written together with one value, so
//! they are equal or all absent; the one token that is renamed again and again has exactly one
//! name; and money that is moved between accounts is never more or less.

use std::collections::BTreeMap;

use synap_shards::command::reply::Reply;

use super::{Finding, Verdict, Violation};
use crate::story::show;
use crate::value::Value;
use crate::workload::money;

/// The checker.
#[derive(Debug, Default)]
pub(crate) struct Atomicity {
    dealt: bool,
    /// What all accounts hold together.
    money: i64,
}

/// Prefixes of group keys, with the number of members of a group.
const GROUPS: [(&[u8], usize); 2] = [(b"grp:", 5), (b"once:", 2)];

impl Atomicity {
    /// From now on there is a token.
    pub(crate) fn dealt(&mut self) {
        self.dealt = true;
    }

    /// From now on there is money.
    pub(crate) fn paid(&mut self) {
        self.money = money::FIRST * money::ACCOUNTS as i64;
    }

    /// Somebody has looked at all accounts at once.
    pub(crate) fn audited(&self, reply: &Reply<'_>) -> Verdict {
        let Reply::Array(balances) = reply else {
            return violation(format!("an audit was answered with {reply:?}"));
        };
        self.check_sum(balances.iter().filter_map(money::balance).sum())
    }

    fn check_sum(&self, sum: i64) -> Verdict {
        if sum == self.money {
            return Ok(());
        }
        violation(format!("the accounts hold {sum} together, not {}", self.money))
    }

    pub(crate) fn found(&mut self, finding: Finding<'_>) -> Verdict {
        let mut groups: BTreeMap<&[u8], (usize, Vec<&[u8]>)> = BTreeMap::new();
        let mut tokens = Vec::new();
        let (mut accounts, mut sum) = (0, 0);
        for (key, (value, _)) in finding.dump {
            if key.starts_with(money::PREFIX) {
                accounts += 1;
                sum += held(value);
            }
            if key.starts_with(b"tok:") {
                tokens.push(show(key));
            }
            for (_, members) in GROUPS.iter().filter(|(prefix, _)| key.starts_with(prefix)) {
                let cut = key.iter().rposition(|byte| *byte == b':').unwrap_or(key.len());
                let group = groups.entry(&key[..cut]).or_insert_with(|| (*members, Vec::new()));
                group.1.push(value.text());
            }
        }
        for (name, (members, values)) in groups {
            if values.len() != members || values.iter().any(|value| *value != values[0]) {
                let values: Vec<String> = values.iter().map(|value| show(value)).collect();
                return violation(format!("{} is torn: {values:?}", show(name)));
            }
        }
        if finding.may_lose && tokens.is_empty() {
            // The deal itself may be lost where acknowledging does not wait for the disk.
            self.dealt = false;
        }
        if tokens.len() != usize::from(self.dealt) {
            return violation(format!("the token has these names: {tokens:?}"));
        }
        if finding.may_lose && accounts == 0 {
            self.money = 0;
        }
        self.check_sum(sum)
    }
}

/// What an account holds.
fn held(value: &Value) -> i64 {
    let digits = match value {
        Value::Text(text) => text.as_slice(),
        Value::Hash(fields) => {
            fields.get(money::NAME).map_or(&b""[..], |(value, _)| value.as_slice())
        }
        Value::Scores(members) => {
            return members.get(money::NAME).map_or(0, |score| score.number() as i64);
        }
        Value::List(_) | Value::Set(_) | Value::Stream(_) => &[],
    };
    std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

fn violation(message: String) -> Verdict {
    Err(Violation { checker: "atomicity", message })
}
