//! Who may ask what on the box's socket.
//!
//! Belongs here: from the user id that the kernel names to an account of the same name, and what its
//! role may ask for, as the table of routes has it. Does not belong: the socket (`appliance::control`).
//!
//! Root, and the user as whom the box runs, may ask for anything: they can end the program and read
//! what it reads. Whoever else can reach the socket and has no account is an operator.

use std::path::{Path, PathBuf};

use super::accounts::{Accounts, Role};
use crate::{
    appliance::control::{Caller, Request},
    units::PersonId,
};

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

    /// As whom the user `uid` asks for this, if they may; else why not. Whose lesson it is the box finds
    /// out for itself.
    pub fn may_ask(&self, uid: u32, request: &Request) -> Result<Caller, String> {
        if uid == 0 || uid == self.own {
            return Ok(Caller::Anybody);
        }
        let (role, person) = self.account(uid)?;
        if !may(role, request) {
            return Err(format!("user {uid} is {role} here and may not ask for that"));
        }
        Ok(match role {
            Role::Coach => Caller::Coach(person),
            Role::Teacher => Caller::Teacher(person),
            _ => Caller::Other(uid),
        })
    }

    fn account(&self, uid: u32) -> Result<(Role, Option<PersonId>), String> {
        // A file that cannot be read says of nobody that they are no more than an operator.
        let users =
            std::fs::read(USERS).map_err(|error| format!("cannot read {USERS}: {error}"))?;
        let users = String::from_utf8_lossy(&users);
        let Some(name) = user_name(&users, uid) else { return Ok((Role::Operator, None)) };
        let known = Accounts::new(&self.accounts).read().map_err(|error| error.to_string())?;
        let account = name.parse().ok().and_then(|name| known.account(&name).cloned());
        Ok(account.map_or((Role::Operator, None), |account| (account.role, account.person)))
    }
}

/// The name of a user in the text of `/etc/passwd`.
#[must_use]
pub fn user_name(users: &str, uid: u32) -> Option<&str> {
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
        Request::Status | Request::Preflight => !matches!(role, Role::Manager | Role::Viewer),
        Request::Logs => matches!(role, Role::Operator | Role::PrivacyOfficer),
        // No route does this. It puts in force what others may write.
        Request::Reload => matches!(role, Role::Operator | Role::Admin),
        // Nor this: it takes somebody at the box, with a watch.
        Request::ConfirmClock => role == Role::Operator,
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
        assert_eq!(peers.may_ask(0, &start), Ok(Caller::Anybody));
        assert_eq!(peers.may_ask(4321, &start), Ok(Caller::Anybody));
        assert!(peers.may_ask(999_999, &start).unwrap_err().contains("operator"));
        assert_eq!(peers.may_ask(999_999, &Request::Logs), Ok(Caller::Other(999_999)));
        assert_eq!(peers.may_ask(999_999, &Request::ConfirmClock), Ok(Caller::Other(999_999)));
        let users = "root:x:0:0::/root:/bin/sh\nanna:x:1000:1000::/home/anna:/bin/sh\nbroken\n";
        assert_eq!(user_name(users, 1000), Some("anna"));
        assert_eq!(user_name(users, 1001), None);
        // Accounts that cannot be read: nobody is taken for an operator by mistake.
        std::fs::write(&peers.accounts, "{").unwrap();
        let daemon = 1;
        if user_name(&std::fs::read_to_string(USERS).unwrap_or_default(), daemon).is_some() {
            assert!(peers.may_ask(daemon, &Request::Status).is_err());
        }
    }
}
