//! What an attacker has gathered of one way of hiding, and how often it names who is behind it.

use super::{
    class::Take,
    face::nearest,
    learn::{Net, Sample},
    rng::Rng,
    score::Tally,
};
use crate::vision::identify::Embedding;

/// Rounds of training over all known views.
const EPOCHS: usize = 30;

/// What was gathered of one way of hiding.
#[derive(Default)]
pub(super) struct Gathered {
    pub(super) known: Vec<Sample>,
    pub(super) asked: Vec<Asked>,
    pub(super) references: Vec<(usize, Embedding)>,
    pub(super) probes: Vec<(usize, Option<Embedding>)>,
}

/// A take that the attacker is asked about.
#[derive(Clone)]
pub(super) struct Asked {
    pub(super) person: usize,
    pub(super) views: Vec<Vec<f32>>,
}

impl Gathered {
    pub(super) fn add(&mut self, take: &Take, views: Vec<Vec<f32>>) {
        let person = take.person;
        if views.is_empty() {
            return;
        }
        if take.known {
            self.known.extend(views.into_iter().map(|features| Sample { features, person }));
        } else {
            self.asked.push(Asked { person, views });
        }
    }

    /// The same of some people.
    pub(super) fn only(&self, wanted: impl Fn(usize) -> bool) -> Self {
        let known = self.known.iter().filter(|s| wanted(s.person)).cloned().collect();
        let asked = self.asked.iter().filter(|a| wanted(a.person)).cloned().collect();
        Self { known, asked, ..Self::default() }
    }

    /// Trains on the known takes and names the asked ones.
    pub(super) fn learn(&self, people: usize, rng: &mut Rng) -> (Tally, f64) {
        let net = Net::train(&self.known, people, EPOCHS, rng);
        let mut tally = Tally::default();
        for asked in &self.asked {
            let name = net.as_ref().and_then(|n| n.name(asked.views.iter().map(Vec::as_slice)));
            tally.add(name == Some(asked.person));
        }
        (tally, chance(self.asked.iter().map(|a| a.person), people))
    }

    pub(super) fn compare(&self, references: &[(usize, Embedding)], people: usize) -> (Tally, f64) {
        let mut tally = Tally::default();
        for (person, probe) in &self.probes {
            let name = probe.as_ref().and_then(|probe| nearest(references, probe));
            tally.add(name == Some(*person));
        }
        (tally, chance(self.probes.iter().map(|p| p.0), people))
    }
}

/// The share that always saying the most frequent name reaches.
fn chance(asked: impl Iterator<Item = usize>, people: usize) -> f64 {
    let mut counts = vec![0u32; people];
    for person in asked {
        counts[person] += 1;
    }
    let most = counts.iter().copied().max().unwrap_or(0);
    f64::from(most) / f64::from(counts.iter().sum::<u32>().max(1))
}
