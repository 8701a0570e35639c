//! How often somebody was named, and what that says.

use serde::Serialize;

/// Two-sided 95%.
const Z_95: f64 = 1.959_964;
/// A veil counts as broken when even this interval lies above chance. Four standard deviations:
/// with some twenty rows, one sound run in a thousand cries wolf; an attack that names twice as
/// many as chance would is caught from about 300 takes on.
const Z_SURE: f64 = 4.0;

/// What a row says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Finding {
    /// The 95% interval includes chance or lies below it.
    Chance,
    /// The 95% interval lies above chance, which one row in forty does by accident: run again with
    /// more takes.
    Unclear,
    /// People are named, beyond accident.
    Named,
}

/// How often an attack named the right person.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) tries: u32,
    pub(super) named: u32,
}

impl Tally {
    pub(super) fn add(&mut self, hit: bool) {
        self.tries += 1;
        self.named += u32::from(hit);
    }

    pub(super) fn share(self) -> f64 {
        f64::from(self.named) / f64::from(self.tries.max(1))
    }

    /// The 95% interval by Wilson's score.
    pub(super) fn interval(self) -> (f64, f64) {
        self.wilson(Z_95)
    }

    pub(super) fn finding(self, chance: f64) -> Finding {
        if self.wilson(Z_SURE).0 > chance {
            Finding::Named
        } else if self.interval().0 > chance {
            Finding::Unclear
        } else {
            Finding::Chance
        }
    }

    fn wilson(self, z: f64) -> (f64, f64) {
        if self.tries == 0 {
            return (0.0, 1.0);
        }
        let n = f64::from(self.tries);
        let (p, z2) = (self.share(), z * z);
        let middle = (p + z2 / (2.0 * n)) / (1.0 + z2 / n);
        let half = z / (1.0 + z2 / n) * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).sqrt();
        ((middle - half).max(0.0), (middle + half).min(1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_wilsons() {
        // Newcombe 1998, table I: 81 of 263 and 0 of 20.
        let (low, high) = Tally { tries: 263, named: 81 }.interval();
        assert!((low - 0.2553).abs() < 1e-4 && (high - 0.3662).abs() < 1e-4);
        let (low, high) = Tally { tries: 20, named: 0 }.interval();
        assert!(low.abs() < 1e-9 && (high - 0.1611).abs() < 1e-4);
    }

    #[test]
    fn a_finding_needs_more_than_luck() {
        let of_400 = |named| Tally { tries: 400, named }.finding(1.0 / 13.0);
        assert_eq!([30, 43, 48, 65].map(of_400), {
            use Finding::{Chance, Named, Unclear};
            [Chance, Unclear, Unclear, Named]
        });
        assert_eq!(Tally::default().finding(0.5), Finding::Chance);
    }
}
