//! Guessing is slow: after a few failed tries an account, and an address, have to wait, each time
//! longer. Belongs here: counting and waiting. Does not belong: what a try is.
//!
//! A try is counted before it is looked at, so that many at once are not tried for the price of one.
//!
//! Where the box is served without encryption everybody comes by a program on this machine, and what that
//! says of who asks may be made up: there accounts alone are counted, so that a stranger locks out nobody
//! else, and no header helps anybody to another try.

use std::{
    collections::HashMap,
    hash::Hash,
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::units::AccountId;

/// Tries of one account that cost nothing: a word mistyped, the wrong keyboard.
const FREE_FOR_ACCOUNT: u32 = 5;
/// Tries of one address: a school may come from one.
const FREE_FOR_ADDRESS: u32 = 20;
/// The first wait; each one after it is twice as long.
const FIRST: Duration = Duration::from_secs(30);
/// The longest wait. An account that somebody else locks is free again in that time.
const LONGEST: Duration = Duration::from_secs(15 * 60);
/// After so long without a try nothing is known of it any more.
const FORGET: Duration = Duration::from_secs(3600);
/// Accounts, and addresses, that are remembered; the oldest gives way.
const MOST: usize = 4096;

#[derive(Clone, Copy)]
struct Tries {
    failed: u32,
    last: Instant,
}

impl Tries {
    fn until(self, free: u32) -> Instant {
        let Some(over) = self.failed.checked_sub(free) else { return self.last };
        let wait = FIRST.saturating_mul(1 << over.min(10));
        self.last + wait.min(LONGEST)
    }
}

struct Counter<K>(HashMap<K, Tries>);

impl<K: Eq + Hash + Clone> Counter<K> {
    fn wait(&self, key: &K, free: u32, now: Instant) -> Option<Duration> {
        let tries = self.0.get(key)?;
        tries.until(free).checked_duration_since(now).filter(|wait| !wait.is_zero())
    }

    fn count(&mut self, key: K, now: Instant) {
        self.0.retain(|_, tries| now.duration_since(tries.last) < FORGET);
        if self.0.len() >= MOST && !self.0.contains_key(&key) {
            let oldest = self.0.iter().min_by_key(|(_, tries)| tries.last);
            if let Some(oldest) = oldest.map(|(key, _)| key.clone()) {
                self.0.remove(&oldest);
            }
        }
        let tries = self.0.entry(key).or_insert(Tries { failed: 0, last: now });
        tries.failed = tries.failed.saturating_add(1);
        tries.last = now;
    }
}

struct Counters {
    accounts: Counter<AccountId>,
    addresses: Counter<IpAddr>,
}

/// Who has to wait.
pub(super) struct Lockout(Mutex<Counters>);

impl Lockout {
    pub(super) fn new() -> Self {
        let (accounts, addresses) = (Counter(HashMap::new()), Counter(HashMap::new()));
        Self(Mutex::new(Counters { accounts, addresses }))
    }

    /// Counts a try, as failed until it is known better.
    ///
    /// # Errors
    /// How long to wait before another.
    pub(super) fn try_one(
        &self,
        account: Option<&AccountId>,
        from: Option<IpAddr>,
        now: Instant,
    ) -> Result<(), Duration> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_account =
            account.and_then(|account| known.accounts.wait(account, FREE_FOR_ACCOUNT, now));
        let of_address = from.and_then(|from| known.addresses.wait(&from, FREE_FOR_ADDRESS, now));
        if let Some(wait) = of_account.max(of_address) {
            return Err(wait);
        }
        if let Some(account) = account {
            known.accounts.count(account.clone(), now);
        }
        if let Some(from) = from {
            known.addresses.count(from, now);
        }
        Ok(())
    }

    /// The try was right. The address stays under watch: one right password does not pay for guesses
    /// at others.
    pub(super) fn was_right(&self, account: Option<&AccountId>, from: Option<IpAddr>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(account) = account {
            known.accounts.0.remove(account);
        }
        if let Some(tries) = from.and_then(|from| known.addresses.0.get_mut(&from)) {
            tries.failed = tries.failed.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Option<IpAddr> = Some(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST));

    fn name(text: &str) -> AccountId {
        text.parse().unwrap()
    }

    #[test]
    fn waits_grow_and_end() {
        let (lockout, mut now) = (Lockout::new(), Instant::now());
        let c02 = name("c-02");
        for _ in 0..FREE_FOR_ACCOUNT {
            assert_eq!(lockout.try_one(Some(&c02), HERE, now), Ok(()));
        }
        for seconds in [30, 60, 120, 240, 480, 900, 900] {
            let wait = Duration::from_secs(seconds);
            assert_eq!(lockout.try_one(Some(&c02), HERE, now), Err(wait));
            // Somebody else at the same address is not kept waiting.
            assert_eq!(lockout.try_one(None, HERE, now), Ok(()));
            now += wait;
            assert_eq!(lockout.try_one(Some(&c02), HERE, now), Ok(()));
            lockout.0.lock().unwrap().addresses.0.clear();
        }
        lockout.was_right(Some(&c02), HERE);
        assert_eq!(lockout.try_one(Some(&c02), HERE, now), Ok(()));
    }

    #[test]
    fn an_address_that_guesses_names_waits_as_well() {
        let (lockout, now) = (Lockout::new(), Instant::now());
        for number in 0..FREE_FOR_ADDRESS {
            let name = name(&format!("a-{number}"));
            assert_eq!(lockout.try_one(Some(&name), HERE, now), Ok(()));
        }
        assert_eq!(lockout.try_one(Some(&name("b-1")), HERE, now), Err(FIRST));
        let there = Some("10.0.0.1".parse().unwrap());
        assert_eq!(lockout.try_one(Some(&name("b-1")), there, now), Ok(()));
    }

    #[test]
    fn without_an_address_accounts_wait_alone() {
        let (lockout, now) = (Lockout::new(), Instant::now());
        let c02 = name("c-02");
        for _ in 0..10 * FREE_FOR_ADDRESS {
            assert_eq!(lockout.try_one(None, None, now), Ok(()));
        }
        for _ in 0..FREE_FOR_ACCOUNT {
            assert_eq!(lockout.try_one(Some(&c02), None, now), Ok(()));
        }
        assert_eq!(lockout.try_one(Some(&c02), None, now), Err(FIRST));
        assert_eq!(lockout.try_one(Some(&name("t-07")), None, now), Ok(()));
    }

    #[test]
    fn there_are_never_too_many() {
        let (lockout, now) = (Lockout::new(), Instant::now());
        for number in 0..u32::try_from(MOST).unwrap() + 10 {
            let from = Some(IpAddr::V4(std::net::Ipv4Addr::from(number)));
            assert_eq!(
                lockout.try_one(None, from, now + Duration::from_millis(number.into())),
                Ok(())
            );
        }
        assert_eq!(lockout.0.lock().unwrap().addresses.0.len(), MOST);
    }
}
