//! The words `FIELDS count field ...` that commands about single fields end with.

use crate::command::args;
use crate::command::error::CommandError;
use crate::command::spec::ArgSpec;

const PARTS: &[ArgSpec] = &[
    ArgSpec::integer("numfields", "how many fields follow"),
    ArgSpec::bytes("field", "a field").repeated(),
];

/// The declaration of those words.
pub(super) const FIELDS: ArgSpec =
    ArgSpec::block("fields", PARTS, "the fields").with_token("FIELDS");

/// The fields in `words`, of which each takes `width` words.
///
/// # Errors
/// The word `FIELDS` is missing, or the count is not that of the fields. `refusal` is what Redis
/// says of a count that is none.
pub(super) fn parse<'a, 'w>(
    words: &'w [&'a [u8]],
    width: usize,
    refusal: &'static str,
) -> Result<&'w [&'a [u8]], CommandError> {
    let [token, count, fields @ ..] = words else { return Err(CommandError::Syntax) };
    if !token.eq_ignore_ascii_case(b"FIELDS") {
        return Err(CommandError::Invalid(
            "Mandatory argument FIELDS is missing or not at the right position",
        ));
    }
    let count = args::integer(count).ok().filter(|count| *count > 0);
    let count = count.ok_or(CommandError::Invalid(refusal))?;
    if usize::try_from(count).ok().and_then(|count| count.checked_mul(width)) != Some(fields.len())
    {
        return Err(CommandError::Invalid(
            "The `numfields` parameter must match the number of arguments",
        ));
    }
    Ok(fields)
}

/// What most commands say of a count that is none.
pub(super) const NOT_POSITIVE: &str = "Number of fields must be a positive integer";
