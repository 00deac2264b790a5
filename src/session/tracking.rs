//! `CLIENT TRACKING` and its kin: what a client wants to be told of. The engine finds the changes,
//! the pump tells of them ([`crate::pump`]).

use synap_shards::command::args::{Arg, Args, integer};
use synap_shards::command::error::{CommandError, quote};
use synap_shards::command::reply::Reply;

use super::{Handler, SessionContext, Then};

pub(super) const HANDLERS: &[(&str, Handler)] = &[
    ("client.tracking", tracking),
    ("client.caching", caching),
    ("client.getredir", |cx, _| Ok(Reply::Integer(redirection(cx)))),
    ("client.trackinginfo", tracking_info),
];

type Answer = Result<Reply<'static>, CommandError>;

/// Which keys a client is told of.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Mode {
    /// All that it reads.
    #[default]
    All,
    /// What it reads right behind `CLIENT CACHING YES`.
    OptIn,
    /// What it reads, but for what comes right behind `CLIENT CACHING NO`.
    OptOut,
    /// All that begin with one of its prefixes.
    Broadcast,
}

/// What a client wants to be told of.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Tracking {
    /// Which keys.
    pub mode: Mode,
    /// Not of what it changes itself.
    pub spares_own: bool,
    /// Number of the client that is told instead; zero is none.
    pub redirect: u64,
    /// That client was gone when it was to be told.
    pub is_broken: bool,
    /// Of the mode that broadcasts; one that is empty is every key.
    pub prefixes: Vec<Box<[u8]>>,
    /// `CLIENT CACHING` was called for the next command.
    pub caching: bool,
}

impl Tracking {
    /// Whether what is read now is to be told of.
    pub fn wants_reads(&self) -> bool {
        match self.mode {
            Mode::All => true,
            Mode::OptIn => self.caching,
            Mode::OptOut => !self.caching,
            Mode::Broadcast => false,
        }
    }
}

/// What a call of `CLIENT TRACKING` asks for.
#[derive(Debug, Default)]
struct Asked {
    redirect: u64,
    broadcasts: bool,
    opt_in: bool,
    opt_out: bool,
    spares_own: bool,
    prefixes: Vec<Box<[u8]>>,
}

impl Asked {
    fn parse(words: &[&[u8]], cx: &SessionContext<'_>) -> Result<Self, CommandError> {
        let mut asked = Self::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match word.to_ascii_uppercase().as_slice() {
                b"BCAST" => asked.broadcasts = true,
                b"OPTIN" => asked.opt_in = true,
                b"OPTOUT" => asked.opt_out = true,
                b"NOLOOP" => asked.spares_own = true,
                b"REDIRECT" => {
                    if asked.redirect != 0 {
                        return Err(CommandError::Invalid(
                            "A client can only redirect to a single other client",
                        ));
                    }
                    asked.redirect = target(words.next().ok_or(CommandError::Syntax)?, cx)?;
                }
                b"PREFIX" => {
                    let prefix = words.next().ok_or(CommandError::Syntax)?;
                    asked.prefixes.push(Box::from(*prefix));
                }
                _ => return Err(CommandError::Syntax),
            }
        }
        Ok(asked)
    }

    fn mode(&self) -> Result<Mode, CommandError> {
        if !self.broadcasts && !self.prefixes.is_empty() {
            return Err(CommandError::Invalid("PREFIX option requires BCAST mode to be enabled"));
        }
        match (self.broadcasts, self.opt_in, self.opt_out) {
            (true, false, false) => Ok(Mode::Broadcast),
            (true, ..) => {
                Err(CommandError::Invalid("OPTIN and OPTOUT are not compatible with BCAST"))
            }
            (false, true, true) => {
                Err(CommandError::Invalid("You can't specify both OPTIN mode and OPTOUT mode"))
            }
            (false, true, false) => Ok(Mode::OptIn),
            (false, false, true) => Ok(Mode::OptOut),
            (false, false, false) => Ok(Mode::All),
        }
    }
}

/// The client that is to be told instead, which has to be there now.
fn target(word: &[u8], cx: &SessionContext<'_>) -> Result<u64, CommandError> {
    let number = u64::try_from(integer(word)?).unwrap_or_default();
    let refusal = "The client ID you want redirect to does not exist";
    let is_there = number != 0 && cx.shared.alive.has(number);
    is_there.then_some(number).ok_or(CommandError::Invalid(refusal))
}

fn tracking(cx: &mut SessionContext<'_>, args: &Args<'_>) -> Answer {
    const ON: usize = 0;
    let asked = Asked::parse(args.rest(Arg(1)), cx)?;
    let is_on = args.choice(Arg(0)).is_some_and(|(choice, _)| choice == ON);
    if !is_on {
        if cx.client.tracking.take().is_some() {
            cx.then = Then::Untrack;
        }
        return Ok(Reply::Ok);
    }
    let mode = asked.mode()?;
    let mut prefixes = asked.prefixes;
    if let Some(before) = cx.client.tracking.as_deref() {
        check_switch(before.mode, mode)?;
    }
    let before = cx.client.tracking.as_deref().map_or(&[][..], |before| &before.prefixes);
    check_prefixes(&prefixes, before)?;
    if mode == Mode::Broadcast && prefixes.is_empty() && !before.iter().any(|one| one.is_empty()) {
        prefixes.push(Box::default());
    }
    let prefixes = before.iter().cloned().chain(prefixes).collect();
    cx.client.tracking = Some(Box::new(Tracking {
        mode,
        spares_own: asked.spares_own,
        redirect: asked.redirect,
        is_broken: false,
        prefixes,
        caching: false,
    }));
    cx.then = Then::Track;
    Ok(Reply::Ok)
}

fn check_switch(before: Mode, mode: Mode) -> Result<(), CommandError> {
    if (before == Mode::Broadcast) != (mode == Mode::Broadcast) {
        return Err(CommandError::Invalid(
            "You can't switch BCAST mode on/off before disabling tracking for this client, and \
             then re-enabling it with a different mode.",
        ));
    }
    if matches!((before, mode), (Mode::OptIn, Mode::OptOut) | (Mode::OptOut, Mode::OptIn)) {
        return Err(CommandError::Invalid(
            "You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and \
             then re-enabling it with a different mode.",
        ));
    }
    Ok(())
}

/// No prefix of a client may begin with another one.
fn check_prefixes(new: &[Box<[u8]>], before: &[Box<[u8]>]) -> Result<(), CommandError> {
    let overlap = |one: &[u8], other: &[u8]| one.starts_with(other) || other.starts_with(one);
    let refuse = |one: &[u8], which: &str, other: &[u8]| {
        let found = format!("{}' overlaps with {which} '{}", quote(one), quote(other));
        let after = "'. Prefixes for a single client must not overlap.";
        Err(CommandError::Quoted { before: "Prefix '", found, after })
    };
    for (at, prefix) in new.iter().enumerate() {
        if let Some(other) = before.iter().find(|other| overlap(prefix, other)) {
            return refuse(prefix, "an existing prefix", other);
        }
        if let Some(other) = new[at + 1..].iter().find(|other| overlap(prefix, other)) {
            return refuse(prefix, "another provided prefix", other);
        }
    }
    Ok(())
}

fn caching(cx: &mut SessionContext<'_>, args: &Args<'_>) -> Answer {
    const YES: usize = 0;
    let yes = args.choice(Arg(0)).is_some_and(|(choice, _)| choice == YES);
    let Some(tracking) = cx.client.tracking.as_deref_mut() else {
        return Err(CommandError::Invalid(
            "CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or \
             OPTOUT mode enabled",
        ));
    };
    match (yes, tracking.mode) {
        (true, Mode::OptIn) | (false, Mode::OptOut) => {
            tracking.caching = true;
            Ok(Reply::Ok)
        }
        (true, _) => Err(CommandError::Invalid(
            "CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.",
        )),
        (false, _) => Err(CommandError::Invalid(
            "CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.",
        )),
    }
}

fn redirection(cx: &SessionContext<'_>) -> i64 {
    cx.client.tracking.as_deref().map_or(-1, |tracking| tracking.redirect.cast_signed())
}

fn tracking_info(cx: &mut SessionContext<'_>, _: &Args<'_>) -> Answer {
    let mut flags = Vec::new();
    let tracking = cx.client.tracking.as_deref();
    match tracking {
        None => flags.push("off"),
        Some(tracking) => {
            flags.push("on");
            match tracking.mode {
                Mode::All => {}
                Mode::Broadcast => flags.push("bcast"),
                Mode::OptIn => flags.push("optin"),
                Mode::OptOut => flags.push("optout"),
            }
            if tracking.caching {
                let yes = tracking.mode == Mode::OptIn;
                flags.push(if yes { "caching-yes" } else { "caching-no" });
            }
            if tracking.spares_own {
                flags.push("noloop");
            }
            let gone = tracking.redirect != 0 && !cx.shared.alive.has(tracking.redirect);
            if tracking.is_broken || gone {
                flags.push("broken_redirect");
            }
        }
    }
    let prefixes = tracking.map_or(&[][..], |tracking| &tracking.prefixes);
    let prefixes = prefixes.iter().map(|prefix| Reply::owned(prefix.to_vec())).collect();
    Ok(Reply::Map(vec![
        (Reply::string("flags"), Reply::Set(flags.into_iter().map(Reply::string).collect())),
        (Reply::string("redirect"), Reply::Integer(redirection(cx))),
        (Reply::string("prefixes"), Reply::Array(prefixes)),
    ]))
}
