//! JSON text to Lua values.

use mlua::{Error, Lua, LuaString, Result, Table, Value};

use super::Settings;
use crate::script::fail::fail;

/// What stands at a place of the text.
enum Token {
    ObjectBegin,
    ObjectEnd,
    ArrayBegin,
    ArrayEnd,
    String(Vec<u8>),
    Number(f64),
    Boolean(bool),
    Null,
    Colon,
    Comma,
    End,
    Broken(&'static str),
}

impl Token {
    fn name(&self) -> &'static str {
        match self {
            Self::ObjectBegin => "T_OBJ_BEGIN",
            Self::ObjectEnd => "T_OBJ_END",
            Self::ArrayBegin => "T_ARR_BEGIN",
            Self::ArrayEnd => "T_ARR_END",
            Self::String(_) => "T_STRING",
            Self::Number(_) => "T_NUMBER",
            Self::Boolean(_) => "T_BOOLEAN",
            Self::Null => "T_NULL",
            Self::Colon => "T_COLON",
            Self::Comma => "T_COMMA",
            Self::End => "T_END",
            Self::Broken(what) => what,
        }
    }
}

struct Decoder<'a> {
    lua: &'a Lua,
    settings: Settings,
    mark: &'a Table,
    text: &'a [u8],
    at: usize,
    /// Where the last token began.
    began: usize,
    /// What is being read, outermost first. Not by recursion: what is nested deeply would need
    /// more stack than a thread has.
    levels: Vec<Level>,
}

/// An array or object that is being read.
struct Level {
    table: Table,
    is_object: bool,
    /// The name of the member that is being read, in an object.
    name: Option<LuaString>,
}

/// How an array or object goes on.
enum Begun {
    /// With a value that begins with this.
    Goes(Token),
    /// Not at all: this is it.
    Whole(Table),
}

/// The value that `text` stands for.
pub(super) fn decode(lua: &Lua, settings: Settings, mark: &Table, text: &[u8]) -> Result<Value> {
    if let [first, second, ..] = text
        && (*first == 0 || *second == 0)
    {
        return Err(fail(lua, "JSON parser does not support UTF-16 or UTF-32"));
    }
    let levels = Vec::new();
    let mut decoder = Decoder { lua, settings, mark, text, at: 0, began: 0, levels };
    let token = decoder.next();
    let value = decoder.value(token)?;
    match decoder.next() {
        Token::End => Ok(value),
        other => Err(decoder.unexpected("the end", &other)),
    }
}

impl Decoder<'_> {
    fn unexpected(&self, expected: &str, found: &Token) -> Error {
        let (found, position) = (found.name(), self.began + 1);
        let text = format_args!("Expected {expected} but found {found} at character {position}");
        fail(self.lua, text)
    }

    /// The value that begins with `token`, and all within it.
    fn value(&mut self, mut token: Token) -> Result<Value> {
        loop {
            let mut done = match token {
                Token::String(text) => Value::String(self.lua.create_string(text)?),
                Token::Number(number) => Value::Number(number),
                Token::Boolean(truth) => Value::Boolean(truth),
                Token::Null => Value::NULL,
                Token::ObjectBegin | Token::ArrayBegin => {
                    match self.begin(matches!(token, Token::ObjectBegin))? {
                        Begun::Goes(on) => {
                            token = on;
                            continue;
                        }
                        Begun::Whole(table) => Value::Table(table),
                    }
                }
                other => return Err(self.unexpected("value", &other)),
            };
            // It belongs to what is being read, and may be the last in it.
            loop {
                let Some(level) = self.levels.last_mut() else { return Ok(done) };
                match level.name.take() {
                    Some(name) => level.table.raw_set(name, done)?,
                    None => level.table.raw_push(done)?,
                }
                match self.behind_item()? {
                    Begun::Goes(on) => {
                        token = on;
                        break;
                    }
                    Begun::Whole(table) => done = Value::Table(table),
                }
            }
        }
    }

    /// The beginning of an array or object: the first token of its first value, or all of it if it
    /// is empty.
    fn begin(&mut self, is_object: bool) -> Result<Begun> {
        let depth = self.levels.len() as i64 + 1;
        if depth > self.settings.decode_depth {
            let position = self.at;
            let text = format_args!(
                "Found too many nested data structures ({depth}) at character {position}"
            );
            return Err(fail(self.lua, text));
        }
        let table = self.lua.create_table()?;
        if !is_object && self.settings.mark_arrays {
            table.set_metatable(Some(self.mark.clone()))?;
        }
        let token = self.next();
        match (&token, is_object) {
            (Token::ObjectEnd, true) | (Token::ArrayEnd, false) => Ok(Begun::Whole(table)),
            (_, true) => {
                self.levels.push(Level { table, is_object, name: None });
                self.member(token)
            }
            (_, false) => {
                self.levels.push(Level { table, is_object, name: None });
                Ok(Begun::Goes(token))
            }
        }
    }

    /// The name of a member, which `token` is, and the first token of its value.
    fn member(&mut self, token: Token) -> Result<Begun> {
        let Token::String(name) = token else {
            return Err(self.unexpected("object key string", &token));
        };
        match self.next() {
            Token::Colon => {}
            other => return Err(self.unexpected("colon", &other)),
        }
        let name = self.lua.create_string(name)?;
        let level = self.levels.last_mut().expect("a member stands in an object");
        level.name = Some(name);
        Ok(Begun::Goes(self.next()))
    }

    /// What stands behind an item: the first token of the next one, or the end.
    fn behind_item(&mut self) -> Result<Begun> {
        let is_object = self.levels.last().is_some_and(|level| level.is_object);
        match (self.next(), is_object) {
            (Token::Comma, false) => Ok(Begun::Goes(self.next())),
            (Token::Comma, true) => {
                let token = self.next();
                self.member(token)
            }
            (Token::ObjectEnd, true) | (Token::ArrayEnd, false) => {
                let level = self.levels.pop().expect("what ends has begun");
                Ok(Begun::Whole(level.table))
            }
            (other, true) => Err(self.unexpected("comma or object end", &other)),
            (other, false) => Err(self.unexpected("comma or array end", &other)),
        }
    }

    fn next(&mut self) -> Token {
        let rest = &self.text[self.at..];
        self.at += rest.iter().take_while(|byte| b" \t\r\n".contains(byte)).count();
        self.began = self.at;
        let Some(byte) = self.text.get(self.at) else { return Token::End };
        let single = match byte {
            b'{' => Token::ObjectBegin,
            b'}' => Token::ObjectEnd,
            b'[' => Token::ArrayBegin,
            b']' => Token::ArrayEnd,
            b':' => Token::Colon,
            b',' => Token::Comma,
            b'"' => return self.string(),
            b'-' | b'0'..=b'9' => return self.number(),
            _ => return self.word(),
        };
        self.at += 1;
        single
    }

    fn word(&mut self) -> Token {
        let words = [
            ("true", Token::Boolean(true)),
            ("false", Token::Boolean(false)),
            ("null", Token::Null),
        ];
        for (word, token) in words {
            if self.text[self.at..].starts_with(word.as_bytes()) {
                self.at += word.len();
                return token;
            }
        }
        self.number_word(self.at, false).unwrap_or(Token::Broken("invalid token"))
    }

    /// `inf`, `infinity` and `nan`, which C reads as numbers.
    fn number_word(&mut self, from: usize, negative: bool) -> Option<Token> {
        if !self.settings.decode_invalid {
            return None;
        }
        let rest = &self.text[from..];
        let words = [("infinity", f64::INFINITY), ("inf", f64::INFINITY), ("nan", f64::NAN)];
        let (word, number) = words.into_iter().find(|(word, _)| {
            rest.get(..word.len()).is_some_and(|head| head.eq_ignore_ascii_case(word.as_bytes()))
        })?;
        self.at = from + word.len();
        Some(Token::Number(if negative { -number } else { number }))
    }

    fn number(&mut self) -> Token {
        let negative = self.text[self.at] == b'-';
        let start = self.at + usize::from(negative);
        let digits =
            |from: usize| self.text[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let mut end = start + digits(start);
        if end == start {
            let word = self.number_word(start, negative);
            return word.unwrap_or(Token::Broken("invalid number"));
        }
        if let [b'0', b'x' | b'X', ..] = self.text[start..] {
            return self.hexadecimal(start + 2, negative);
        }
        if self.text.get(end) == Some(&b'.') {
            end += 1;
            end += digits(end);
        }
        if let Some(b'e' | b'E') = self.text.get(end) {
            let sign = usize::from(matches!(self.text.get(end + 1), Some(b'+' | b'-')));
            let count = digits((end + 1 + sign).min(self.text.len()));
            if count > 0 {
                end += 1 + sign + count;
            }
        }
        let text = std::str::from_utf8(&self.text[self.at..end]).unwrap_or_default();
        let Ok(number) = text.parse() else { return Token::Broken("invalid number") };
        self.at = end;
        Token::Number(number)
    }

    fn hexadecimal(&mut self, start: usize, negative: bool) -> Token {
        let digits = self.text[start..].iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        if digits == 0 || !self.settings.decode_invalid {
            return Token::Broken("invalid number");
        }
        let fold = |sum: f64, byte: &u8| {
            sum * 16.0 + f64::from(char::from(*byte).to_digit(16).unwrap_or_default())
        };
        let number = self.text[start..start + digits].iter().fold(0.0, fold);
        self.at = start + digits;
        Token::Number(if negative { -number } else { number })
    }

    fn string(&mut self) -> Token {
        let mut text = Vec::new();
        let mut at = self.at + 1;
        loop {
            match self.text.get(at) {
                None => return Token::Broken("unexpected end of string"),
                Some(b'"') => {
                    self.at = at + 1;
                    return Token::String(text);
                }
                Some(b'\\') => match self.escape(at + 1, &mut text) {
                    Ok(next) => at = next,
                    Err(what) => return Token::Broken(what),
                },
                Some(byte) => {
                    text.push(*byte);
                    at += 1;
                }
            }
        }
    }

    /// The character behind a backslash; where the text goes on.
    fn escape(&self, at: usize, text: &mut Vec<u8>) -> std::result::Result<usize, &'static str> {
        let plain = match self.text.get(at) {
            None => return Err("unexpected end of string"),
            Some(byte @ (b'"' | b'\\' | b'/')) => *byte,
            Some(b'b') => 8,
            Some(b'f') => 12,
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b't') => b'\t',
            Some(b'u') => return self.unicode(at + 1, text),
            Some(_) => return Err("invalid escape code"),
        };
        text.push(plain);
        Ok(at + 1)
    }

    fn unicode(&self, at: usize, text: &mut Vec<u8>) -> std::result::Result<usize, &'static str> {
        const BROKEN: &str = "invalid unicode escape code";
        let first = self.four_digits(at).ok_or(BROKEN)?;
        let (code, next) = match first {
            0xd800..0xdc00 => {
                let low = (self.text.get(at + 4..at + 6) == Some(b"\\u"))
                    .then(|| self.four_digits(at + 6))
                    .flatten()
                    .filter(|low| (0xdc00..0xe000).contains(low))
                    .ok_or(BROKEN)?;
                (0x10000 + ((first - 0xd800) << 10) + (low - 0xdc00), at + 10)
            }
            other => (other, at + 4),
        };
        let character = char::from_u32(code).ok_or(BROKEN)?;
        text.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        Ok(next)
    }

    fn four_digits(&self, at: usize) -> Option<u32> {
        let digits = self.text.get(at..at + 4)?;
        digits.iter().try_fold(0, |code, byte| Some(code << 4 | char::from(*byte).to_digit(16)?))
    }
}
