//! Users, API keys and roles: requests to `/auth/*` of a running server, and the two things that
//! need none, hashing a password and making the first administrator.
//!
//! Passwords come from the environment or the standard input, never from the command line, which
//! every user of the machine can read. A new API key is printed once; no other secret is.

use std::io::BufRead as _;
use std::path::{Path, PathBuf};

use clap::{Subcommand, ValueEnum};
use serde_json::{Value, json};
use synap::auth::hash::PasswordHash;
use synap::auth::init::{InitError, init};
use synap::auth::{Secret, policy};

use crate::args::Target;
use crate::error::AdminError;
use crate::http::{Http, accept};

/// Where a new password comes from, before the standard input is read.
const PASSWORD_VARIABLE: &str = "SYNAP_NEW_PASSWORD";
/// Bytes of a line with a password.
const LINE_BYTES_MAX: u64 = 4096;
const SECONDS_PER_DAY: u64 = 86_400;

/// What can be done about who may come in.
#[derive(Debug, Subcommand)]
pub(crate) enum AccessJob {
    /// Make the first administrator in the data directory of a server that does not run
    Init {
        /// The data directory; created if need be
        #[arg(long, value_name = "DIR")]
        data_dir: PathBuf,
        /// Its name; the password is that of SYNAP_NEW_PASSWORD, or a line of the standard input
        #[arg(long, default_value = "admin")]
        username: String,
    },
    /// Make an API key; it is printed once
    CreateApiKey {
        /// Its name
        #[arg(long)]
        name: String,
        /// Its role [default: readonly]
        #[arg(long)]
        role: Option<String>,
        /// Days it is valid [default: as the server is configured]; 0 is for ever
        #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u64).range(..=36_500))]
        expires_days: Option<u64>,
        /// Address or CIDR block it may be used from; can be repeated
        #[arg(long = "allowed-ip", value_name = "CIDR")]
        allowed_ips: Vec<String>,
    },
    /// End an API key
    RevokeApiKey {
        /// The key itself, its id, or its name
        #[arg(long, value_name = "KEY|ID|NAME")]
        key: String,
    },
    /// List API keys
    ListApiKeys,
    /// List users
    Users,
    /// Make a user; the password is that of SYNAP_NEW_PASSWORD, or a line of the standard input
    CreateUser {
        /// Its name
        #[arg(long)]
        username: String,
        /// A role; can be repeated [default: readonly]
        #[arg(long = "role")]
        roles: Vec<String>,
    },
    /// Remove a user
    DeleteUser {
        /// Its name
        #[arg(long)]
        username: String,
    },
    /// Set a password, that of SYNAP_NEW_PASSWORD or a line of the standard input
    SetPassword {
        /// Whose
        #[arg(long)]
        username: String,
    },
    /// Let a user come in again
    EnableUser {
        /// Its name
        #[arg(long)]
        username: String,
    },
    /// Let a user in no more
    DisableUser {
        /// Its name
        #[arg(long)]
        username: String,
    },
    /// Give a user a role
    AddRole {
        /// The user
        #[arg(long)]
        username: String,
        /// The role
        #[arg(long)]
        role: String,
    },
    /// Take a role from a user
    RemoveRole {
        /// The user
        #[arg(long)]
        username: String,
        /// The role
        #[arg(long)]
        role: String,
    },
    /// List roles
    Roles,
    /// Make a role
    CreateRole {
        /// Its name
        #[arg(long)]
        name: String,
        /// What it allows, such as write=kv:tenant1:*; can be repeated
        #[arg(long = "allow", value_name = "ACTION=KIND:PATTERN", required = true)]
        allow: Vec<String>,
    },
    /// Remove a role that nobody has
    DeleteRole {
        /// Its name
        #[arg(long)]
        name: String,
    },
    /// Print the hash of a password for the configuration; that of SYNAP_NEW_PASSWORD, or a line of
    /// the standard input
    HashPassword {
        /// How
        #[arg(long, value_enum, default_value_t = Scheme::Bcrypt)]
        scheme: Scheme,
    },
}

/// How a password is hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scheme {
    /// Cost 12; other programs read it too
    Bcrypt,
    /// Argon2id, as the server does itself
    Argon2,
}

/// A request to the server.
#[derive(Debug, PartialEq)]
enum Request {
    Get(String),
    Post(String, Value),
    Delete(String),
}

/// Does one of them.
pub(crate) fn run(target: &Target, job: &AccessJob) -> Result<Value, AdminError> {
    match job {
        AccessJob::Init { data_dir, username } => first(data_dir, username, new_password()?),
        AccessJob::HashPassword { scheme } => hashed(*scheme, &new_password()?),
        job => ask(&Http::new(target)?, request(job, new_password)?),
    }
}

/// The request a job is; `password` is asked for a new one where it needs one.
fn request(
    job: &AccessJob,
    password: impl FnOnce() -> Result<String, AdminError>,
) -> Result<Request, AdminError> {
    let user = |name: &str, rest: &str| format!("/auth/users/{}{rest}", segment(name));
    let nothing = || json!({});
    Ok(match job {
        AccessJob::CreateApiKey { name, role, expires_days, allowed_ips } => {
            let mut body = json!({ "name": name, "role": role, "allowed_ips": allowed_ips });
            if let Some(days) = expires_days {
                body["expires_in_seconds"] = json!(days * SECONDS_PER_DAY);
            }
            if role.is_none() {
                body["role"] = json!("readonly");
            }
            Request::Post("/auth/keys".to_owned(), body)
        }
        AccessJob::RevokeApiKey { key } => Request::Delete(format!("/auth/keys/{}", segment(key))),
        AccessJob::ListApiKeys => Request::Get("/auth/keys".to_owned()),
        AccessJob::Users => Request::Get("/auth/users".to_owned()),
        AccessJob::CreateUser { username, roles } => {
            let mut body = json!({ "username": username, "password": password()? });
            if !roles.is_empty() {
                body["roles"] = json!(roles);
            }
            Request::Post("/auth/users".to_owned(), body)
        }
        AccessJob::DeleteUser { username } => Request::Delete(user(username, "")),
        AccessJob::SetPassword { username } => {
            Request::Post(user(username, "/password"), json!({ "new_password": password()? }))
        }
        AccessJob::EnableUser { username } => Request::Post(user(username, "/enable"), nothing()),
        AccessJob::DisableUser { username } => Request::Post(user(username, "/disable"), nothing()),
        AccessJob::AddRole { username, role } => {
            Request::Post(user(username, "/roles"), json!({ "role": role }))
        }
        AccessJob::RemoveRole { username, role } => {
            Request::Delete(user(username, &format!("/roles/{}", segment(role))))
        }
        AccessJob::Roles => Request::Get("/auth/roles".to_owned()),
        AccessJob::CreateRole { name, allow } => {
            let permissions: Vec<Value> =
                allow.iter().map(|text| permission(text)).collect::<Result<_, _>>()?;
            let body = json!({ "name": name, "permissions": permissions });
            Request::Post("/auth/roles".to_owned(), body)
        }
        AccessJob::DeleteRole { name } => Request::Delete(format!("/auth/roles/{}", segment(name))),
        AccessJob::Init { .. } | AccessJob::HashPassword { .. } => {
            return Err(AdminError::Usage("this needs no server".to_owned()));
        }
    })
}

fn permission(text: &str) -> Result<Value, AdminError> {
    let (action, resource) = text.split_once('=').ok_or_else(|| {
        AdminError::Usage(format!("--allow: expected ACTION=KIND:PATTERN, found {text:?}"))
    })?;
    Ok(json!({ "resource": resource, "action": action }))
}

fn ask(http: &Http, request: Request) -> Result<Value, AdminError> {
    // Paths may hold a key: a message names what was asked without it.
    let (what, answer) = match request {
        Request::Get(path) => ("to list", http.get(&path)?),
        Request::Post(path, body) => ("the change", http.post(&path, &body)?),
        Request::Delete(path) => ("the removal", http.delete(&path)?),
    };
    let (status, body) = answer;
    accept(what, status, body)
}

/// A name as one segment of a path (RFC 3986).
fn segment(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(byte));
            }
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}

fn new_password() -> Result<String, AdminError> {
    if let Ok(password) = std::env::var(PASSWORD_VARIABLE)
        && !password.is_empty()
    {
        return Ok(password);
    }
    let mut line = String::new();
    let input = std::io::stdin().lock();
    let read = std::io::Read::take(input, LINE_BYTES_MAX).read_line(&mut line);
    read.map_err(AdminError::file("read a password from", Path::new("standard input")))?;
    let password = line.strip_suffix('\n').unwrap_or(&line);
    let password = password.strip_suffix('\r').unwrap_or(password);
    if password.is_empty() {
        let text = format!("expected a password in {PASSWORD_VARIABLE} or on the standard input");
        return Err(AdminError::Usage(text));
    }
    Ok(password.to_owned())
}

fn hashed(scheme: Scheme, password: &str) -> Result<Value, AdminError> {
    let bytes = password.as_bytes();
    policy::check("", bytes).map_err(|weak| AdminError::Found(format!("weak password: {weak}")))?;
    let hash = match scheme {
        Scheme::Argon2 => Some(PasswordHash::make(bytes)),
        Scheme::Bcrypt => PasswordHash::make_bcrypt(bytes),
    };
    let too_long = "bcrypt sees only 72 bytes of a password: expected a shorter one, or \
                    --scheme argon2";
    let hash = hash.ok_or_else(|| AdminError::Usage(too_long.to_owned()))?;
    Ok(json!({ "password_hash": hash.as_str() }))
}

fn first(data: &Path, username: &str, password: String) -> Result<Value, AdminError> {
    init(data, username, Secret::new(password)).map_err(|error| match error {
        InitError::Data(fatal) => AdminError::from(fatal),
        InitError::Refused(refused) => AdminError::Found(refused.to_string()),
    })?;
    Ok(json!({ "username": username, "role": "admin", "data_dir": data }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Job, Options};
    use clap::Parser as _;

    fn made(words: &[&str]) -> Request {
        let options = Options::try_parse_from([&["synap-admin"], words].concat()).unwrap();
        let Job::Access(job) = options.job else { panic!("{words:?}") };
        request(&job, || Ok("correct horse".to_owned())).unwrap()
    }

    fn post(path: &str, body: Value) -> Request {
        Request::Post(path.to_owned(), body)
    }

    #[test]
    fn every_job_is_one_request_of_the_api() {
        assert_eq!(
            made(&[
                "create-api-key",
                "--name",
                "app",
                "--role",
                "user",
                "--expires-days",
                "2",
                "--allowed-ip",
                "10.0.0.0/8",
                "--allowed-ip",
                "::1",
            ]),
            post(
                "/auth/keys",
                json!({ "name": "app", "role": "user",
                "allowed_ips": ["10.0.0.0/8", "::1"], "expires_in_seconds": 172_800 })
            )
        );
        assert_eq!(
            made(&["create-api-key", "--name", "app"]),
            post("/auth/keys", json!({ "name": "app", "role": "readonly", "allowed_ips": [] }))
        );
        let delete = |path: &str| Request::Delete(path.to_owned());
        let revoke = made(&["revoke-api-key", "--key", "a b/c"]);
        assert_eq!(revoke, delete("/auth/keys/a%20b%2Fc"));
        assert_eq!(made(&["list-api-keys"]), Request::Get("/auth/keys".to_owned()));
        assert_eq!(made(&["users"]), Request::Get("/auth/users".to_owned()));
        assert_eq!(made(&["roles"]), Request::Get("/auth/roles".to_owned()));
        let body = json!({ "username": "anna", "password": "correct horse", "roles": ["user"] });
        let create = made(&["create-user", "--username", "anna", "--role", "user"]);
        assert_eq!(create, post("/auth/users", body));
        let set = made(&["set-password", "--username", "änna"]);
        let body = json!({ "new_password": "correct horse" });
        assert_eq!(set, post("/auth/users/%C3%A4nna/password", body));
        let add = made(&["add-role", "--username", "anna", "--role", "user"]);
        assert_eq!(add, post("/auth/users/anna/roles", json!({ "role": "user" })));
        let remove = made(&["remove-role", "--username", "anna", "--role", "user"]);
        assert_eq!(remove, delete("/auth/users/anna/roles/user"));
        let role = made(&["create-role", "--name", "t", "--allow", "write=kv:t:*"]);
        let permissions = json!([{ "resource": "kv:t:*", "action": "write" }]);
        let body = json!({ "name": "t", "permissions": permissions });
        assert_eq!(role, post("/auth/roles", body));
        let disable = made(&["disable-user", "--username", "anna"]);
        assert_eq!(disable, post("/auth/users/anna/disable", json!({})));
        assert_eq!(made(&["delete-user", "--username", "a"]), delete("/auth/users/a"));
        assert_eq!(made(&["delete-role", "--name", "t"]), delete("/auth/roles/t"));
    }

    #[test]
    fn hashes_are_what_a_configuration_takes() {
        for (scheme, start) in [(Scheme::Bcrypt, "$2b$12$"), (Scheme::Argon2, "$argon2id$")] {
            let made = hashed(scheme, "correct horse").unwrap();
            let text = made["password_hash"].as_str().unwrap();
            assert!(text.starts_with(start), "{text}");
            assert!(PasswordHash::parse(text).unwrap().verify(b"correct horse"));
        }
        assert!(hashed(Scheme::Bcrypt, "changeme").is_err());
        assert!(hashed(Scheme::Bcrypt, &"x".repeat(73)).is_err());
        assert!(hashed(Scheme::Argon2, &"x".repeat(73)).is_ok());
    }

    #[test]
    fn the_first_administrator_is_made_without_a_server() {
        let data = tempfile::tempdir().unwrap();
        let make = |password: &str| first(data.path(), "root", password.to_owned());
        assert!(matches!(make("short"), Err(AdminError::Found(_))));
        assert_eq!(make("correct horse").unwrap()["username"], "root");
        assert!(matches!(make("correct horse"), Err(AdminError::Found(_))));
    }
}
