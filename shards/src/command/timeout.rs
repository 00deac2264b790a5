//! How long a command waits, as clients say it.

use super::args;
use super::error::CommandError;

const NOT_A_FLOAT: CommandError = CommandError::Invalid("timeout is not a float or out of range");
const NEGATIVE: CommandError = CommandError::Invalid("timeout is negative");
const OUT_OF_RANGE: CommandError = CommandError::Invalid("timeout is out of range");
/// What a timeout in milliseconds that is no integer is refused with.
pub const NOT_AN_INTEGER: &str = "timeout is not an integer or out of range";
/// Longest wait, in milliseconds: with it a deadline in nanoseconds fits 64 bits.
const TIMEOUT_MS_MAX: u64 = u64::MAX / 4_000_000;

/// Milliseconds of a timeout in seconds, which may have a fraction; zero waits for ever. Rounded
/// up, so that the shortest wait is none for ever.
pub fn seconds(word: &[u8]) -> Result<u64, CommandError> {
    let seconds = args::float(word).map_err(|_| NOT_A_FLOAT)?;
    let milliseconds = (seconds * 1000.0).ceil();
    if milliseconds < 0.0 || seconds < 0.0 {
        return Err(NEGATIVE);
    }
    if milliseconds > TIMEOUT_MS_MAX as f64 {
        return Err(OUT_OF_RANGE);
    }
    Ok(milliseconds as u64)
}

/// Milliseconds of a timeout in milliseconds; zero waits for ever.
pub fn milliseconds(number: i64) -> Result<u64, CommandError> {
    match u64::try_from(number) {
        Err(_) => Err(NEGATIVE),
        Ok(number) if number > TIMEOUT_MS_MAX => Err(OUT_OF_RANGE),
        Ok(number) => Ok(number),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_read_as_redis_reads_them() {
        for (word, milliseconds) in
            [("0", 0), ("1", 1000), ("0.001", 1), ("0.0001", 1), ("1.5", 1500)]
        {
            assert_eq!(seconds(word.as_bytes()), Ok(milliseconds), "{word}");
        }
        assert_eq!(seconds(b"x"), Err(NOT_A_FLOAT));
        assert_eq!(seconds(b"-1"), Err(NEGATIVE));
        assert_eq!(seconds(b"inf"), Err(OUT_OF_RANGE));
        assert_eq!(milliseconds(5), Ok(5));
        assert_eq!(milliseconds(-1), Err(NEGATIVE));
        assert_eq!(milliseconds(i64::MAX), Err(OUT_OF_RANGE));
    }
}
