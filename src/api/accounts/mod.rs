//! Who may log in: a file outside the store, for its owner only.
//!
//! Belongs here: accounts, their passwords' hashes, the code by which the first one is made. Does
//! not belong: who is logged in (`sessions`), what a role may do (`v1`).
//!
//! A change is in the audit log before it counts; the file is replaced whole, so that a crash leaves
//! the old or the new one.

mod error;
mod password;
mod role;

use std::{
    fmt,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{Read, Write},
    os::{
        fd::OwnedFd,
        unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    },
    path::{Path, PathBuf},
};

use argon2::password_hash::phc::PasswordHash;
use jiff::{SignedDuration, Timestamp};
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use self::password::hash;
pub(super) use self::password::is_password_of;
pub use self::{
    error::AccountsError,
    password::{LONGEST, Password, SHORTEST},
    role::Role,
};
use crate::{
    units::{AccountId, PersonId},
    vault::{
        Digest,
        audit::{AccountChange, AuditLog, Event, Word},
    },
};

/// How long a set-up code counts.
const CODE_COUNTS: SignedDuration = SignedDuration::from_hours(24);
/// Letters of a set-up code: none that look alike. Each carries almost 5 bits.
const LETTERS: &[u8; 31] = b"abcdefghjkmnpqrstuvwxyz23456789";
/// Letters of a code: 99 bits.
const CODE_LETTERS: usize = 20;
/// Most accounts of a box.
const MOST: usize = 500;
/// Longest file.
const LONGEST_FILE: u64 = 1 << 20;

/// Somebody who may log in.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// Under which name.
    pub name: AccountId,
    /// As what.
    pub role: Role,
    /// Who it is in recordings and in the directory of people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<PersonId>,
    /// When it was made, or got another password: sessions from before do not count.
    pub changed: Timestamp,
    /// The password's hash, Argon2id in PHC form.
    password: String,
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account")
            .field("name", &self.name)
            .field("role", &self.role)
            .finish_non_exhaustive()
    }
}

/// The code by which the first account is made, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Code {
    /// Its digest. What the operating system drew needs no slow hash.
    sha256: Digest,
    /// Until when it counts.
    until: Timestamp,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
enum Format {
    #[default]
    #[serde(rename = "classveil-accounts/1")]
    V1,
}

/// What the file says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Known {
    format: Format,
    accounts: Vec<Account>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    setup: Option<Code>,
}

impl Known {
    /// All accounts, by name.
    #[must_use]
    pub fn accounts(&self) -> &[Account] {
        &self.accounts
    }

    /// The account `name`.
    #[must_use]
    pub fn account(&self, name: &AccountId) -> Option<&Account> {
        self.accounts.iter().find(|account| account.name == *name)
    }

    /// Whether somebody can keep the list.
    #[must_use]
    pub fn has_admin(&self) -> bool {
        self.accounts.iter().any(|account| account.role == Role::Admin)
    }

    fn position(&self, name: &AccountId) -> Result<usize, AccountsError> {
        let found = self.accounts.iter().position(|account| account.name == *name);
        found.ok_or_else(|| AccountsError::Unknown { name: name.clone() })
    }
}

/// The file of accounts.
#[derive(Clone, Debug)]
pub struct Accounts {
    path: PathBuf,
}

impl Accounts {
    /// The file at `path`, which need not exist yet.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it says; nobody where there is no file.
    pub fn read(&self) -> Result<Known, AccountsError> {
        let io = |source| AccountsError::Io { path: self.path.clone(), source };
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Known::default());
            }
            Err(error) => return Err(io(error)),
        };
        let mode = file.metadata().map_err(io)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(AccountsError::Exposed { path: self.path.clone(), mode });
        }
        let mut text = Vec::new();
        file.take(LONGEST_FILE + 1).read_to_end(&mut text).map_err(io)?;
        let damaged = || AccountsError::Damaged { path: self.path.clone() };
        let known: Known = serde_json::from_slice(&text).map_err(|_| damaged())?;
        let hashes = known.accounts.iter().map(|account| PasswordHash::new(&account.password));
        if text.len() as u64 > LONGEST_FILE || hashes.into_iter().any(|hash| hash.is_err()) {
            return Err(damaged());
        }
        Ok(known)
    }

    /// Makes an account.
    pub fn add(
        &self,
        log: &AuditLog,
        now: Timestamp,
        (name, role, person): (&AccountId, Role, Option<&PersonId>),
        password: &Password,
    ) -> Result<(), AccountsError> {
        password.check(name)?;
        if role.needs_person() && person.is_none() {
            return Err(AccountsError::NoPerson { role });
        }
        self.change(log, now, |known| {
            if known.account(name).is_some() {
                return Err(AccountsError::Exists { name: name.clone() });
            }
            if known.accounts.len() >= MOST {
                return Err(AccountsError::Full);
            }
            let account = Account {
                name: name.clone(),
                role,
                person: person.cloned(),
                changed: now,
                password: hash(password)?,
            };
            let event = changed(&account, AccountChange::Added);
            known.accounts.push(account);
            known.accounts.sort_by(|one, other| one.name.cmp(&other.name));
            Ok(Some(event))
        })
    }

    /// Takes an account away; whoever is logged in with it is not any more.
    pub fn remove(
        &self,
        log: &AuditLog,
        now: Timestamp,
        name: &AccountId,
    ) -> Result<(), AccountsError> {
        self.change(log, now, |known| {
            let account = known.accounts.remove(known.position(name)?);
            Ok(Some(changed(&account, AccountChange::Removed)))
        })
    }

    /// Gives an account another password; whoever is logged in with it has to log in again.
    pub fn set_password(
        &self,
        log: &AuditLog,
        now: Timestamp,
        name: &AccountId,
        password: &Password,
    ) -> Result<(), AccountsError> {
        password.check(name)?;
        self.change(log, now, |known| {
            let at = known.position(name)?;
            let account = &mut known.accounts[at];
            account.password = hash(password)?;
            account.changed = now;
            Ok(Some(changed(account, AccountChange::Password)))
        })
    }

    /// A code with which whoever has it makes the first administrator, once and within a day. It
    /// takes the place of an earlier one.
    pub fn setup_code(&self, log: &AuditLog, now: Timestamp) -> Result<String, AccountsError> {
        let code = new_code()?;
        self.change(log, now, |known| {
            if known.has_admin() {
                return Err(AccountsError::SetUp);
            }
            let until = now.checked_add(CODE_COUNTS).unwrap_or(now);
            known.setup = Some(Code { sha256: Digest::of(code.as_bytes()), until });
            Ok(None)
        })?;
        Ok(code)
    }

    /// Makes the first administrator with the code.
    pub fn set_up(
        &self,
        log: &AuditLog,
        now: Timestamp,
        code: &str,
        name: &AccountId,
        password: &Password,
    ) -> Result<(), AccountsError> {
        // Digests are compared: how long that takes says nothing about the code.
        let given = Digest::of(code.trim().to_lowercase().as_bytes());
        let counts = |known: &Known| {
            let of = known.setup.as_ref();
            !known.has_admin() && of.is_some_and(|code| code.sha256 == given && now <= code.until)
        };
        if !counts(&self.read()?) {
            return Err(AccountsError::NoCode);
        }
        password.check(name)?;
        self.change(log, now, |known| {
            if !counts(known) {
                return Err(AccountsError::NoCode);
            }
            if known.account(name).is_some() {
                return Err(AccountsError::Exists { name: name.clone() });
            }
            let password = hash(password)?;
            let (name, role) = (name.clone(), Role::Admin);
            let account = Account { name, role, person: None, changed: now, password };
            let event = changed(&account, AccountChange::Added);
            known.accounts.push(account);
            known.accounts.sort_by(|one, other| one.name.cmp(&other.name));
            known.setup = None;
            Ok(Some(event))
        })
    }

    /// Changes what the file says, one at a time; into the log first.
    fn change(
        &self,
        log: &AuditLog,
        now: Timestamp,
        change: impl FnOnce(&mut Known) -> Result<Option<Event>, AccountsError>,
    ) -> Result<(), AccountsError> {
        let io = |source| AccountsError::Io { path: self.path.clone(), source };
        let folder = self.path.parent().unwrap_or(Path::new("."));
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(io)?;
        let _lock = self.lock().map_err(io)?;
        let mut known = self.read()?;
        let event = change(&mut known)?;
        let text = serde_json::to_vec_pretty(&known).map_err(|error| io(error.into()))?;
        if text.len() as u64 > LONGEST_FILE {
            return Err(AccountsError::Full);
        }
        if let Some(event) = event {
            log.append(now, &event).map(drop)?;
        }
        replace(&self.path, &text).map_err(io)
    }

    fn lock(&self) -> std::io::Result<OwnedFd> {
        let path = self.path.with_extension("lock");
        let mut options = OpenOptions::new();
        let file = options.write(true).create(true).truncate(false).mode(0o600).open(path)?;
        let file = OwnedFd::from(file);
        flock(&file, FlockOperation::LockExclusive)?;
        Ok(file)
    }
}

/// Puts `bytes` in the place of `path`, mode 0600, durably. Either file is there at any moment.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut part = path.file_name().unwrap_or_default().to_owned();
    part.push(".part");
    let part = path.with_file_name(part);
    match fs::remove_file(&part) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    written.and_then(|()| fs::rename(&part, path)).inspect_err(|_| {
        let _ = fs::remove_file(&part);
    })?;
    File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
}

fn changed(account: &Account, change: AccountChange) -> Event {
    Event::AccountChanged {
        account: account.name.clone(),
        role: Word::new(account.role.word()),
        person: account.person.clone(),
        change,
    }
}

/// `abcde-fghij-...`, drawn by the operating system.
fn new_code() -> Result<String, AccountsError> {
    let mut random = Zeroizing::new([0_u8; 64]);
    let mut code = String::new();
    let mut letters = 0;
    while letters < CODE_LETTERS {
        getrandom::fill(&mut random[..])
            .map_err(|error| AccountsError::Crypto { problem: error.to_string() })?;
        // 31 letters: what would fall on the 32nd is drawn again.
        for byte in random.iter().map(|byte| usize::from(byte & 31)).filter(|byte| *byte < 31) {
            if letters == CODE_LETTERS {
                break;
            }
            if letters > 0 && letters % 5 == 0 {
                code.push('-');
            }
            code.push(char::from(LETTERS[byte]));
            letters += 1;
        }
    }
    Ok(code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vault::{BoxKey, audit::AuditKey};

    struct Fixture {
        folder: tempfile::TempDir,
        accounts: Accounts,
        log: AuditLog,
    }

    fn fixture() -> Fixture {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("store");
        let key = BoxKey::load_or_create(&folder.path().join("box.key"), &store).unwrap();
        let audit = AuditKey::load_or_create(&folder.path().join("audit.key"), &store).unwrap();
        let log = AuditLog::open(&store, audit, key.public(), at(0)).unwrap();
        let accounts = Accounts::new(&folder.path().join("keys/accounts.json"));
        Fixture { folder, accounts, log }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_790_000_000 + second).unwrap()
    }

    fn name(text: &str) -> AccountId {
        text.parse().unwrap()
    }

    fn secret(text: &str) -> Password {
        Password::new(text.to_owned())
    }

    #[test]
    fn an_account_from_first_to_last() {
        let Fixture { folder: _folder, accounts, log } = fixture();
        let (c02, good) = (name("c-02"), secret("four words make one"));
        let person: PersonId = "c-02".parse().unwrap();
        let coach = (&c02, Role::Coach, Some(&person));
        assert!(matches!(
            accounts.add(&log, at(1), (&c02, Role::Coach, None), &good),
            Err(AccountsError::NoPerson { .. })
        ));
        for bad in ["short", "aaaaaaaaaaaaaaaa", "c-02c-02c-02x", &"x y z w v".repeat(40)] {
            let refused = accounts.add(&log, at(1), coach, &secret(bad));
            assert!(matches!(refused, Err(AccountsError::BadPassword { .. })), "{bad}");
        }
        accounts.add(&log, at(1), coach, &good).unwrap();
        assert!(matches!(
            accounts.add(&log, at(1), coach, &good),
            Err(AccountsError::Exists { .. })
        ));
        let mode = fs::metadata(accounts.path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let text = fs::read_to_string(accounts.path()).unwrap();
        assert!(text.contains("$argon2id$") && !text.contains("four words"), "{text}");
        let known = accounts.read().unwrap();
        assert!(is_password_of(&good, known.account(&c02)));
        assert!(!is_password_of(&secret("four words make two"), known.account(&c02)));
        assert!(!is_password_of(&secret(""), None));
        accounts.set_password(&log, at(2), &c02, &secret("another few words")).unwrap();
        let known = accounts.read().unwrap();
        assert!(!is_password_of(&good, known.account(&c02)));
        assert_eq!(known.account(&c02).unwrap().changed, at(2));
        accounts.remove(&log, at(3), &c02).unwrap();
        assert!(accounts.read().unwrap().accounts().is_empty());
        assert!(matches!(accounts.remove(&log, at(3), &c02), Err(AccountsError::Unknown { .. })));
        let changes: Vec<AccountChange> = log
            .entries()
            .unwrap()
            .into_iter()
            .filter_map(|entry| match entry.event {
                Some(Event::AccountChanged { change, .. }) => Some(change),
                _ => None,
            })
            .collect();
        let all = [AccountChange::Added, AccountChange::Password, AccountChange::Removed];
        assert_eq!(changes, all);
    }

    #[test]
    fn the_first_administrator_needs_the_code_once_and_in_time() {
        let Fixture { folder: _folder, accounts, log } = fixture();
        let (admin, good) = (name("a-01"), secret("four words make one"));
        assert!(matches!(
            accounts.set_up(&log, at(0), "", &admin, &good),
            Err(AccountsError::NoCode)
        ));
        let old = accounts.setup_code(&log, at(0)).unwrap();
        let code = accounts.setup_code(&log, at(1)).unwrap();
        assert_eq!((code.len(), code.matches('-').count()), (23, 3));
        assert!(!fs::read_to_string(accounts.path()).unwrap().contains(&code));
        let late = at(86_402);
        for (code, now) in [(&old[..], at(2)), ("x", at(2)), (&code[..], late)] {
            let refused = accounts.set_up(&log, now, code, &admin, &good);
            assert!(matches!(refused, Err(AccountsError::NoCode)), "{code}");
        }
        accounts.set_up(&log, at(2), &format!(" {} ", code.to_uppercase()), &admin, &good).unwrap();
        assert!(accounts.read().unwrap().has_admin());
        let again = accounts.set_up(&log, at(3), &code, &name("a-02"), &good);
        assert!(matches!(again, Err(AccountsError::NoCode)));
        assert!(matches!(accounts.setup_code(&log, at(3)), Err(AccountsError::SetUp)));
    }

    #[test]
    fn a_file_that_others_read_or_somebody_altered_lets_nobody_in() {
        let Fixture { folder, accounts, log } = fixture();
        let good = secret("four words make one");
        accounts.add(&log, at(1), (&name("o-01"), Role::Operator, None), &good).unwrap();
        let text = fs::read_to_string(accounts.path()).unwrap();
        fs::set_permissions(accounts.path(), fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(accounts.read(), Err(AccountsError::Exposed { mode: 0o640, .. })));
        fs::set_permissions(accounts.path(), fs::Permissions::from_mode(0o600)).unwrap();
        for bad in
            ["", "{}", &text.replace("$argon2id$", "plain"), &text.replace("\"role\"", "\"r\"")]
        {
            fs::write(accounts.path(), bad).unwrap();
            assert!(matches!(accounts.read(), Err(AccountsError::Damaged { .. })), "{bad}");
        }
        // What cannot be logged does not count.
        fs::write(accounts.path(), &text).unwrap();
        fs::remove_dir_all(folder.path().join("store")).unwrap();
        assert!(accounts.remove(&log, at(2), &name("o-01")).is_err());
        assert_eq!(fs::read_to_string(accounts.path()).unwrap(), text);
    }
}
