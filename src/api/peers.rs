//! Who may ask what on the box's socket.
//!
//! Belongs here: from the user id that the kernel names to an account of the same name, and what its
//! role may ask for, as the table of routes has it. Does not belong: the socket (`appliance::control`).
//!
//! Root, and the user as whom the box runs, may ask for anything: they can end the program and read
//! what it reads. Whoever else can reach the socket and has no account is an operator.

use std::path::{Path, PathBuf};

use super::accounts::{Accounts, Role};
use crate::appliance::control::Request;

/// Where the machine's users are.
const USERS: &str = "/etc/passwd";

/// Decides who may ask what.
#[derive(Clone, Debug)]
pub struct Peers {
    accounts: PathBuf,
    own: u32,
}

impl Peers {
    /// The accounts are in the file `accounts`; the box runs as this process does.
    #[must_use]
    pub fn new(accounts: &Path) -> Self {
        Self { accounts: accounts.to_owned(), own: rustix::process::geteuid().as_raw() }
    }

    /// Whether the user `uid` may ask for this; else why not.
    pub fn may_ask(&self, uid: u32, request: &Request) -> Result<(), String> {
        if uid == 0 || uid == self.own {
            return Ok(());
        }
        let role = self.role(uid)?;
        if may(role, request) {
            return Ok(());
        }
        Err(format!("user {uid} is {role} here and may not ask for that"))
    }

    fn role(&self, uid: u32) -> Result<Role, String> {
        let users = std::fs::read_to_string(USERS).unwrap_or_default();
        let Some(name) = name_of(&users, uid) else { return Ok(Role::Operator) };
        // A file that cannot be read says of nobody that they are no more than an operator.
        let known = Accounts::new(&self.accounts).read().map_err(|error| error.to_string())?;
        let account = name.parse().ok().and_then(|name| known.account(&name).cloned());
        Ok(account.map_or(Role::Operator, |account| account.role))
    }
}

/// The name of a user in the text of [`USERS`].
fn name_of(users: &str, uid: u32) -> Option<&str> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let found = fields.nth(1)?.parse::<u32>().ok()?;
        (found == uid).then_some(name)
    })
}

/// What a role may ask for. As over the network: `tests` compare it with the routes.
fn may(role: Role, request: &Request) -> bool {
    match request {
        Request::Status | Request::Preflight => true,
        Request::Logs => matches!(role, Role::Operator | Role::PrivacyOfficer),
        // No route does this. It puts in force what others may write.
        Request::Reload => matches!(role, Role::Operator | Role::Admin),
        Request::Prepare { .. } | Request::Withdraw | Request::Start => role == Role::Coach,
        Request::Stop { objection: true } => role == Role::Teacher,
        Request::Stop { .. } | Request::Drop { .. } => {
            matches!(role, Role::Coach | Role::Teacher)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::table::Access, *};
    use crate::appliance::control::NewLesson;

    #[test]
    fn the_socket_goes_by_the_table_of_routes() {
        let rows = super::super::routes();
        for (path, request) in [
            ("/api/v1/status", Request::Status),
            ("/api/v1/preflight", Request::Preflight),
            ("/api/v1/logs", Request::Logs),
            ("/api/v1/recordings/prepare", Request::Prepare { lesson: NewLesson::default() }),
            ("/api/v1/recordings/withdraw", Request::Withdraw),
            ("/api/v1/recordings/start", Request::Start),
            ("/api/v1/recordings/stop", Request::Stop { objection: false }),
            ("/api/v1/recordings/drop-last", Request::Drop { seconds: 1, stop: false }),
        ] {
            let row = rows.iter().find(|row| row.path == path).unwrap();
            for role in Role::ALL {
                let allowed = match row.access {
                    Access::Open => true,
                    Access::Roles(roles) => roles.contains(&role),
                };
                assert_eq!(may(role, &request), allowed, "{path} {role}");
            }
        }
    }

    #[test]
    fn an_account_counts_and_everybody_else_is_an_operator() {
        let keep = tempfile::tempdir().unwrap();
        let peers = Peers { accounts: keep.path().join("accounts.json"), own: 4321 };
        let start = Request::Start;
        assert_eq!(peers.may_ask(0, &start), Ok(()));
        assert_eq!(peers.may_ask(4321, &start), Ok(()));
        assert!(peers.may_ask(999_999, &start).unwrap_err().contains("operator"));
        assert_eq!(peers.may_ask(999_999, &Request::Logs), Ok(()));
        let users = "root:x:0:0::/root:/bin/sh\nanna:x:1000:1000::/home/anna:/bin/sh\nbroken\n";
        assert_eq!(name_of(users, 1000), Some("anna"));
        assert_eq!(name_of(users, 1001), None);
        // Accounts that cannot be read: nobody is taken for an operator by mistake.
        std::fs::write(&peers.accounts, "{").unwrap();
        let daemon = 1;
        if name_of(&std::fs::read_to_string(USERS).unwrap_or_default(), daemon).is_some() {
            assert!(peers.may_ask(daemon, &Request::Status).is_err());
        }
    }
}
