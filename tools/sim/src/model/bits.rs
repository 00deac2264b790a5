//! The bitmap commands of the model.

use super::{Run, integer, number, text};

impl Run<'_> {
    pub(super) fn run_bits(&mut self, name: &[u8], args: &[&[u8]]) -> String {
        match name {
            b"SETBIT" => self.set_bit(args[0], number(args[1]) as usize, args[2] == b"1"),
            b"GETBIT" => {
                let value = self.value(args[0]).unwrap_or_default();
                integer(bit(value, number(args[1]) as usize))
            }
            b"BITCOUNT" => {
                let value = self.value(args[0]).unwrap_or_default();
                integer(value.iter().map(|byte| i64::from(byte.count_ones())).sum())
            }
            b"BITPOS" => self.position(args[0], args[1] == b"1"),
            b"BITOP" => self.combine(args),
            b"BITFIELD" => self.field(args),
            b"LCS" => self.common(args),
            _ => panic!("the model does not know {}", text(name)),
        }
    }

    fn set_bit(&mut self, key: &[u8], offset: usize, set: bool) -> String {
        let (mut value, deadline) = self.string(key);
        value.resize(value.len().max(offset / 8 + 1), 0);
        let was = bit(&value, offset);
        let mask = 0x80 >> (offset % 8);
        value[offset / 8] = value[offset / 8] & !mask | if set { mask } else { 0 };
        self.put(key, value, deadline);
        integer(was)
    }

    /// `BITPOS key bit`: without a range a string of ones is followed by zeros.
    fn position(&self, key: &[u8], set: bool) -> String {
        let Some(value) = self.value(key) else { return integer(if set { -1 } else { 0 }) };
        let bits = value.len() * 8;
        let found = (0..bits).find(|at| (bit(value, *at) == 1) == set);
        integer(found.map_or(if set || bits == 0 { -1 } else { bits as i64 }, |at| at as i64))
    }

    /// `BITOP operation to from [from]`.
    fn combine(&mut self, args: &[&[u8]]) -> String {
        let sources: Vec<Vec<u8>> =
            args[2..].iter().map(|key| self.value(key).unwrap_or_default().to_vec()).collect();
        let length = sources.iter().map(Vec::len).max().unwrap_or(0);
        let byte = |source: &Vec<u8>, at: usize| source.get(at).copied().unwrap_or(0);
        let result: Vec<u8> = (0..length)
            .map(|at| {
                let bytes = sources.iter().map(|source| byte(source, at));
                match args[0] {
                    b"AND" => bytes.fold(0xff, |all, byte| all & byte),
                    b"OR" => bytes.fold(0, |all, byte| all | byte),
                    b"XOR" => bytes.fold(0, |all, byte| all ^ byte),
                    _ => !byte(&sources[0], at),
                }
            })
            .collect();
        if result.is_empty() {
            self.remove(args[1]);
        } else {
            self.put(args[1], result, None);
        }
        integer(length as i64)
    }

    /// `BITFIELD key INCRBY u8 #index amount`, which wraps.
    fn field(&mut self, args: &[&[u8]]) -> String {
        let index: usize = std::str::from_utf8(&args[3][1..])
            .ok()
            .and_then(|word| word.parse().ok())
            .expect("the workload names a field by its index");
        let (mut value, deadline) = self.string(args[0]);
        value.resize(value.len().max(index + 1), 0);
        value[index] = value[index].wrapping_add(number(args[4]) as u8);
        let now = value[index];
        self.put(args[0], value, deadline);
        format!("[{}]", integer(i64::from(now)))
    }

    /// `LCS a b LEN`: the length of the longest common subsequence.
    fn common(&self, args: &[&[u8]]) -> String {
        let (a, b) = (self.value(args[0]), self.value(args[1]));
        let (a, b) = (a.unwrap_or_default(), b.unwrap_or_default());
        let mut row = vec![0i64; b.len() + 1];
        for x in a {
            let mut diagonal = 0;
            for (at, y) in b.iter().enumerate() {
                let above = row[at + 1];
                row[at + 1] = if x == y { diagonal + 1 } else { above.max(row[at]) };
                diagonal = above;
            }
        }
        integer(row[b.len()])
    }
}

fn bit(value: &[u8], at: usize) -> i64 {
    value.get(at / 8).map_or(0, |byte| i64::from(byte >> (7 - at % 8) & 1))
}
