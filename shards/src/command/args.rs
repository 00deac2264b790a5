//! Arguments of a command, decoded once from the words a client sent, driven by [`ArgSpec`]s.
//!
//! Every surface brings its request into the form of Redis: the command's name and its words. So
//! an option means the same thing everywhere. What the specs can check is checked here (arity,
//! unknown and repeated options, exclusive choices, numbers); the command checks the rest.

use smallvec::SmallVec;

use super::error::CommandError;
use super::spec::{ArgKind, ArgSpec, CommandSpec, least_arguments};
use crate::limits::ARGS_MAX;

/// The words of a request; slices of the connection's buffer. Most commands fit without a heap
/// allocation.
pub type Words<'a> = SmallVec<[&'a [u8]; 6]>;

/// Index of an argument in [`CommandSpec::args`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Arg(pub usize);

/// Name of an integer that counts the keys right behind it.
pub const NUMKEYS: &str = "numkeys";
/// What another number of keys is refused with.
pub const NUMKEYS_REFUSAL: &str = "numkeys should be greater than 0";

/// Most arguments that one spec may declare (its top level); a test holds the table to it.
pub const ARG_SPECS_MAX: usize = 12;

/// One decoded argument. Words are named by their position, so that the many values of one request
/// are small: they are made and moved for each.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Value {
    #[default]
    Absent,
    Flag,
    Bytes(u32),
    Integer(i64),
    Float(f64),
    /// Index of the alternative, and the position of its value if it has one.
    Choice(u8, u32),
    /// Positions of raw words, half open.
    Words(u32, u32),
}

const _: () = assert!(size_of::<Value>() == 16, "values stay small");
const _: () = assert!(ARGS_MAX <= u32::MAX as usize, "positions of words fit");

/// The value of the alternative that was chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scalar<'a> {
    /// The token alone.
    None,
    /// Bytes.
    Bytes(&'a [u8]),
    /// An integer.
    Integer(i64),
    /// A double.
    Float(f64),
}

/// The decoded arguments of one request.
#[derive(Debug)]
pub struct Args<'a> {
    words: &'a [&'a [u8]],
    /// Words of the name.
    name_words: u32,
    specs: &'static [ArgSpec],
    values: [Value; ARG_SPECS_MAX],
}

impl<'a> Args<'a> {
    /// Decodes `words`, of which the first is the command's name (the first two of a subcommand).
    #[inline]
    pub fn parse(spec: &CommandSpec, words: &'a [&'a [u8]]) -> Result<Self, CommandError> {
        let (name_words, specs) = (spec.words() as u32, spec.args);
        let mut args = Self { words, name_words, specs, values: [Value::Absent; ARG_SPECS_MAX] };
        // A caller may come with fewer words than the name has.
        let position = (name_words as usize).min(words.len());
        let mut parser = Parser { args: &mut args, position };
        let parsed = parser.all(spec.args);
        let position = parser.position;
        match parsed {
            Ok(()) if position == words.len() => Ok(args),
            other => Err(refusal(spec, words, other)),
        }
    }

    /// The words as they came, the name included.
    pub fn words(&self) -> &'a [&'a [u8]] {
        self.words
    }

    /// How many of the words are the command's name.
    pub fn name_words(&self) -> usize {
        self.name_words as usize
    }

    /// A required byte string or key.
    pub fn bytes(&self, arg: Arg) -> &'a [u8] {
        self.opt_bytes(arg).expect("the spec declares this argument as required bytes")
    }

    /// An optional byte string, key or pattern.
    pub fn opt_bytes(&self, arg: Arg) -> Option<&'a [u8]> {
        match self.values[arg.0] {
            Value::Bytes(at) => Some(self.words[at as usize]),
            Value::Absent
            | Value::Flag
            | Value::Integer(_)
            | Value::Float(_)
            | Value::Choice(..)
            | Value::Words(..) => None,
        }
    }

    /// A required integer.
    pub fn integer(&self, arg: Arg) -> i64 {
        self.opt_integer(arg).expect("the spec declares this argument as a required integer")
    }

    /// An optional integer.
    pub fn opt_integer(&self, arg: Arg) -> Option<i64> {
        if let Value::Integer(number) = self.values[arg.0] { Some(number) } else { None }
    }

    /// A required double.
    pub fn float(&self, arg: Arg) -> f64 {
        match self.values[arg.0] {
            Value::Float(number) => number,
            _ => unreachable!("the spec declares this argument as a required double"),
        }
    }

    /// Whether a flag was given.
    pub fn flag(&self, arg: Arg) -> bool {
        self.values[arg.0] == Value::Flag
    }

    /// Which alternative was chosen (its index among the choices), and its value.
    pub fn choice(&self, arg: Arg) -> Option<(usize, Scalar<'a>)> {
        let Value::Choice(index, at) = self.values[arg.0] else { return None };
        let index = usize::from(index);
        let ArgKind::OneOf(choices) = self.specs[arg.0].kind else {
            unreachable!("only an argument with alternatives is a choice")
        };
        let word = || self.words[at as usize];
        let scalar = match choices[index].kind {
            ArgKind::Flag => Scalar::None,
            ArgKind::Integer => {
                Scalar::Integer(integer(word()).expect("it was checked when it was decoded"))
            }
            ArgKind::Float => {
                Scalar::Float(float(word()).expect("it was checked when it was decoded"))
            }
            ArgKind::Key
            | ArgKind::Name(_)
            | ArgKind::Bytes
            | ArgKind::Pattern
            | ArgKind::OneOf(_)
            | ArgKind::Block(_) => Scalar::Bytes(word()),
        };
        Some((index, scalar))
    }

    /// The words of a repeated argument or of a block; empty when absent.
    pub fn rest(&self, arg: Arg) -> &'a [&'a [u8]] {
        if let Value::Words(start, end) = self.values[arg.0] {
            &self.words[start as usize..end as usize]
        } else {
            &[]
        }
    }
}

struct Parser<'p, 'a> {
    args: &'p mut Args<'a>,
    position: usize,
}

impl<'a> Parser<'_, 'a> {
    #[inline]
    fn all(&mut self, specs: &[ArgSpec]) -> Result<(), CommandError> {
        let index = self.plain(specs);
        if self.position == self.args.words.len() && specs[index..].iter().all(|s| s.optional) {
            return Ok(());
        }
        self.from(specs, index)
    }

    /// Takes the words that every such command begins with, each just bytes: of most, that is all
    /// there is. Returns the index of the argument behind them.
    #[inline]
    fn plain(&mut self, specs: &[ArgSpec]) -> usize {
        let first = self.position;
        for (spec, value) in specs.iter().zip(&mut self.args.values) {
            if self.position == self.args.words.len() || !spec.is_plain() {
                break;
            }
            *value = Value::Bytes(self.position as u32);
            self.position += 1;
        }
        self.position - first
    }

    fn from(&mut self, specs: &[ArgSpec], start: usize) -> Result<(), CommandError> {
        let mut index = start;
        while index < specs.len() {
            let nothing_left = self.position == self.args.words.len();
            if nothing_left && specs[index..].iter().all(|spec| spec.optional) {
                return Ok(());
            }
            if is_option(&specs[index]) {
                let end = index + specs[index..].iter().take_while(|spec| is_option(spec)).count();
                self.options(specs, index, end)?;
                index = end;
            } else {
                self.positional(specs, index)?;
                index += 1;
            }
        }
        Ok(())
    }

    /// Optional arguments known by their tokens, in any order, each at most once.
    fn options(&mut self, specs: &[ArgSpec], start: usize, end: usize) -> Result<(), CommandError> {
        while let Some(word) = self.peek() {
            let found =
                (start..end).find_map(|index| Some((index, match_token(&specs[index], word)?)));
            let Some((index, choice)) = found else { return Ok(()) };
            if self.args.values[index] != Value::Absent {
                return Err(CommandError::Syntax);
            }
            self.args.values[index] = self.option(&specs[index], choice)?;
        }
        Ok(())
    }

    /// One option whose token stands at the position; `choice` when it is one of several.
    fn option(&mut self, spec: &ArgSpec, choice: Option<usize>) -> Result<Value, CommandError> {
        self.position += 1;
        if let (ArgKind::OneOf(choices), Some(index)) = (spec.kind, choice) {
            return self.chosen(choices, index);
        }
        match spec.kind {
            ArgKind::Flag => Ok(Value::Flag),
            ArgKind::Block(parts) => self.block(parts),
            _ => self.scalar(spec),
        }
    }

    /// An alternative whose token has been read: its value follows, if it has one.
    fn chosen(&mut self, choices: &[ArgSpec], index: usize) -> Result<Value, CommandError> {
        let at = self.position as u32;
        if !matches!(choices[index].kind, ArgKind::Flag) {
            self.scalar(&choices[index])?;
        }
        Ok(Value::Choice(index as u8, at))
    }

    fn block(&mut self, parts: &[ArgSpec]) -> Result<Value, CommandError> {
        let start = self.position;
        let end = start + least_arguments(parts);
        if end > self.args.words.len() {
            return Err(CommandError::Syntax);
        }
        self.position = end;
        Ok(Value::Words(start as u32, end as u32))
    }

    /// An argument known by its position.
    fn positional(&mut self, specs: &[ArgSpec], index: usize) -> Result<(), CommandError> {
        let spec = &specs[index];
        // Words that belong to what follows it.
        let reserved = || least_arguments(&specs[index + 1..]);
        let left = self.args.words.len() - self.position;
        if let Some(count) = self.counted(specs, index)? {
            let start = self.position;
            self.position += count;
            self.args.values[index] = Value::Words(start as u32, self.position as u32);
            return Ok(());
        }
        if spec.repeated || matches!(spec.kind, ArgKind::Block(_)) {
            let start = self.position;
            self.position += left.saturating_sub(reserved());
            if !spec.optional && self.position - start < least_arguments(&[*spec]) {
                return Err(CommandError::Syntax);
            }
            if self.position > start {
                self.args.values[index] = Value::Words(start as u32, self.position as u32);
            }
            return Ok(());
        }
        if spec.optional && left <= reserved() {
            return Ok(());
        }
        self.args.values[index] = match spec.kind {
            ArgKind::OneOf(choices) => self.required_choice(choices)?,
            ArgKind::Key
            | ArgKind::Name(_)
            | ArgKind::Bytes
            | ArgKind::Pattern
            | ArgKind::Integer
            | ArgKind::Float => self.scalar(spec)?,
            ArgKind::Flag | ArgKind::Block(_) => return Err(CommandError::Syntax),
        };
        Ok(())
    }

    /// How many words a repeated key takes that stands behind their number. Its refusal is for
    /// none, or for more than there are where the number has a refusal of its own.
    fn counted(&self, specs: &[ArgSpec], index: usize) -> Result<Option<usize>, CommandError> {
        let is_key =
            specs[index].repeated && matches!(specs[index].kind, ArgKind::Key | ArgKind::Name(_));
        if !is_key || index == 0 || specs[index - 1].name != NUMKEYS {
            return Ok(None);
        }
        let Value::Integer(number) = self.args.values[index - 1] else { return Ok(None) };
        let left = self.args.words.len() - self.position;
        let (none, too_many) = match (specs[index - 1].refusal, specs[index].refusal) {
            (_, "") => (NUMKEYS_REFUSAL, CommandError::Syntax),
            ("", text) => (text, CommandError::Syntax),
            (none, text) => (none, CommandError::Invalid(text)),
        };
        if specs[index].optional {
            // The command says what is wrong with a number that does not suit.
            return Ok(Some(usize::try_from(number).unwrap_or(0).min(left)));
        }
        match usize::try_from(number) {
            Ok(0) | Err(_) => Err(CommandError::Invalid(none)),
            Ok(count) if count > left => Err(too_many),
            Ok(count) => Ok(Some(count)),
        }
    }

    fn required_choice(&mut self, choices: &[ArgSpec]) -> Result<Value, CommandError> {
        let word = self.word()?;
        let index = choices
            .iter()
            .position(|choice| word.eq_ignore_ascii_case(choice.token.as_bytes()))
            .ok_or(CommandError::Syntax)?;
        self.chosen(choices, index)
    }

    #[inline]
    fn scalar(&mut self, spec: &ArgSpec) -> Result<Value, CommandError> {
        let at = self.position as u32;
        let word = self.word()?;
        let refused = |error| match spec.refusal {
            "" => error,
            text => CommandError::Invalid(text),
        };
        Ok(match spec.kind {
            ArgKind::Integer => Value::Integer(integer(word).map_err(refused)?),
            ArgKind::Float => Value::Float(float(word).map_err(refused)?),
            ArgKind::Key
            | ArgKind::Name(_)
            | ArgKind::Bytes
            | ArgKind::Pattern
            | ArgKind::Flag
            | ArgKind::OneOf(_)
            | ArgKind::Block(_) => Value::Bytes(at),
        })
    }

    fn peek(&self) -> Option<&'a [u8]> {
        self.args.words.get(self.position).copied()
    }

    fn word(&mut self) -> Result<&'a [u8], CommandError> {
        let word = self.peek().ok_or(CommandError::Syntax)?;
        self.position += 1;
        Ok(word)
    }
}

fn is_option(spec: &ArgSpec) -> bool {
    let tokened = match spec.kind {
        ArgKind::OneOf(choices) => choices.iter().all(|choice| !choice.token.is_empty()),
        _ => !spec.token.is_empty(),
    };
    // Repeated ones are handed over as raw words, for their order may matter.
    spec.optional && tokened && !spec.repeated
}

/// Whether `word` is the token of `spec`; of alternatives, which one.
fn match_token(spec: &ArgSpec, word: &[u8]) -> Option<Option<usize>> {
    if let ArgKind::OneOf(choices) = spec.kind {
        let index =
            choices.iter().position(|choice| word.eq_ignore_ascii_case(choice.token.as_bytes()))?;
        return Some(Some(index));
    }
    word.eq_ignore_ascii_case(spec.token.as_bytes()).then_some(None)
}

/// What is wrong with words that do not follow the specs: first of all their number.
#[cold]
fn refusal(spec: &CommandSpec, words: &[&[u8]], parsed: Result<(), CommandError>) -> CommandError {
    let arity = spec.arity();
    let counts = arity.unsigned_abs() == words.len() as u64;
    if words.len() < spec.words() + least_arguments(spec.args) || (arity > 0 && !counts) {
        return wrong_arity(spec);
    }
    match parsed {
        Err(error) => error,
        // Where only positions count, there is one thing that can be wrong: their number.
        Ok(()) if !spec.args.iter().any(|arg| arg.repeated || is_option(arg)) => wrong_arity(spec),
        Ok(()) => CommandError::Syntax,
    }
}

/// The error for a wrong number of arguments.
pub fn wrong_arity(spec: &CommandSpec) -> CommandError {
    CommandError::WrongArity { command: spec.resp.to_ascii_lowercase().replace(' ', "|") }
}

/// A signed 64-bit integer in decimal, as Redis reads it: no blanks, no plus sign, no leading
/// zeros, no `-0`.
pub fn integer(word: &[u8]) -> Result<i64, CommandError> {
    let (negative, digits) = match word {
        [b'-', rest @ ..] => (true, rest),
        all => (false, all),
    };
    let well_formed = match digits {
        [b'0'] => !negative,
        [b'1'..=b'9', rest @ ..] => rest.len() <= 18 && rest.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    if !well_formed {
        return Err(CommandError::NotInteger);
    }
    // Built downwards, because the least integer has no positive counterpart.
    let mut number: i64 = 0;
    for digit in digits {
        number = number
            .checked_mul(10)
            .and_then(|n| n.checked_sub(i64::from(digit - b'0')))
            .ok_or(CommandError::NotInteger)?;
    }
    if negative { Ok(number) } else { number.checked_neg().ok_or(CommandError::NotInteger) }
}

/// A double in decimal; NaN is refused, infinities are numbers.
pub fn float(word: &[u8]) -> Result<f64, CommandError> {
    let text = std::str::from_utf8(word).map_err(|_| CommandError::NotFloat)?;
    let number: f64 = text.parse().map_err(|_| CommandError::NotFloat)?;
    if number.is_nan() { Err(CommandError::NotFloat) } else { Ok(number) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_read_as_redis_reads_them() {
        for (text, number) in [
            ("0", 0),
            ("-1", -1),
            ("42", 42),
            ("9223372036854775807", i64::MAX),
            ("-9223372036854775808", i64::MIN),
        ] {
            assert_eq!(integer(text.as_bytes()), Ok(number));
        }
        for text in ["", "-", "+1", " 1", "1 ", "01", "-0", "9223372036854775808", "1.0", "0x1"] {
            assert_eq!(integer(text.as_bytes()), Err(CommandError::NotInteger), "{text:?}");
        }
    }

    #[test]
    fn floats_refuse_nan_and_blanks() {
        assert_eq!(float(b"1.5"), Ok(1.5));
        assert_eq!(float(b"-inf"), Ok(f64::NEG_INFINITY));
        for text in ["", "nan", " 1", "1 ", "one"] {
            assert_eq!(float(text.as_bytes()), Err(CommandError::NotFloat), "{text:?}");
        }
    }
}
