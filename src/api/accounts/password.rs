//! Passwords: what they have to be, and their hashes.

use std::{fmt, sync::OnceLock};

use argon2::{
    Argon2,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use zeroize::Zeroizing;

use super::{Account, AccountsError};
use crate::units::AccountId;

/// Shortest password: a passphrase of a few words, or what a browser makes up.
pub const SHORTEST: usize = 12;
/// Longest password, in bytes.
pub const LONGEST: usize = 256;
/// A password on its way; wiped when it is dropped.
#[derive(Clone)]
pub struct Password(pub(super) Zeroizing<String>);

impl Password {
    /// The password `text`, whatever it is worth.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// Whether it may become somebody's.
    pub(super) fn check(&self, name: &AccountId) -> Result<(), AccountsError> {
        let bad = |problem| Err(AccountsError::BadPassword { problem });
        if self.0.chars().count() < SHORTEST {
            return bad("has fewer than 12 characters: take a few words");
        }
        if self.0.len() > LONGEST {
            return bad("is longer than 256 bytes");
        }
        let mut letters: Vec<char> = self.0.chars().collect();
        letters.sort_unstable();
        letters.dedup();
        if letters.len() < 5 || self.0.to_lowercase().contains(&format!("{name}{name}")) {
            return bad("repeats itself: take a few words");
        }
        Ok(())
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

/// Argon2id at the crate's defaults, which are OWASP's: 19 MiB, two passes, one lane.
pub(super) fn hash(password: &Password) -> Result<String, AccountsError> {
    let hashed = Argon2::default().hash_password(password.0.as_bytes());
    hashed
        .map(|hash| hash.to_string())
        .map_err(|error| AccountsError::Crypto { problem: error.to_string() })
}

/// Whether `password` is that of `account`. Takes as long for an account that does not exist: who
/// asks does not learn which names there are.
#[must_use]
pub(in crate::api) fn is_password_of(password: &Password, account: Option<&Account>) -> bool {
    static NOBODY: OnceLock<String> = OnceLock::new();
    let nobody = || NOBODY.get_or_init(|| hash(&Password::new(String::new())).unwrap_or_default());
    let text = account.map_or_else(nobody, |account| &account.password);
    let Ok(hash) = PasswordHash::new(text) else { return false };
    let fits = Argon2::default().verify_password(password.0.as_bytes(), &hash).is_ok();
    fits && account.is_some()
}
