//! A small network that learns who is behind a veil: one hidden layer, trained by Adam.

use super::rng::Rng;

const HIDDEN: usize = 48;
const BATCH: usize = 32;
const RATE: f32 = 2e-3;
/// Pulls weights towards zero each step, so that few views do not get learned by heart.
const DECAY: f32 = 1e-3;
/// Adam's own constants (Kingma and Ba 2015).
const MOMENT_1: f32 = 0.9;
const MOMENT_2: f32 = 0.999;

/// What was measured of one view, and whose it is.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    pub(super) features: Vec<f32>,
    pub(super) person: usize,
}

/// One layer: `outputs` rows of `inputs` weights, then the biases.
struct Layer {
    inputs: usize,
    outputs: usize,
    weights: Vec<f32>,
    slope: Vec<f32>,
    moments: [Vec<f32>; 2],
}

impl Layer {
    fn new(inputs: usize, outputs: usize, rng: &mut Rng) -> Self {
        let len = (inputs + 1) * outputs;
        let scale = (2.0 / inputs.max(1) as f32).sqrt();
        let mut weights: Vec<f32> = (0..len).map(|_| scale * rng.bell()).collect();
        weights[inputs * outputs..].fill(0.0);
        let zeros = || vec![0.0; len];
        Self { inputs, outputs, weights, slope: zeros(), moments: [zeros(), zeros()] }
    }

    fn forward(&self, input: &[f32]) -> Vec<f32> {
        let (rows, biases) = self.weights.split_at(self.inputs * self.outputs);
        rows.chunks_exact(self.inputs).zip(biases).map(|(row, b)| dot(row, input) + b).collect()
    }

    /// Adds one sample's slope; returns that of the input.
    fn backward(&mut self, input: &[f32], error: &[f32]) -> Vec<f32> {
        let split = self.inputs * self.outputs;
        let mut back = vec![0.0; self.inputs];
        let (rows, biases) = self.slope.split_at_mut(split);
        for (i, &e) in error.iter().enumerate() {
            let at = i * self.inputs..(i + 1) * self.inputs;
            for (slope, x) in rows[at.clone()].iter_mut().zip(input) {
                *slope += e * x;
            }
            for (back, w) in back.iter_mut().zip(&self.weights[at]) {
                *back += e * w;
            }
            biases[i] += e;
        }
        back
    }

    fn step(&mut self, count: usize, steps: i32) {
        let (c1, c2) = (1.0 - MOMENT_1.powi(steps), 1.0 - MOMENT_2.powi(steps));
        let [first, second] = &mut self.moments;
        let moments = first.iter_mut().zip(second);
        for ((w, slope), (m, v)) in self.weights.iter_mut().zip(&mut self.slope).zip(moments) {
            let g = std::mem::take(slope) / count.max(1) as f32;
            *m = MOMENT_1 * *m + (1.0 - MOMENT_1) * g;
            *v = MOMENT_2 * *v + (1.0 - MOMENT_2) * g * g;
            *w -= RATE * (*m / c1 / ((*v / c2).sqrt() + 1e-8) + DECAY * *w);
        }
    }
}

/// Eight sums at a time, which compilers turn into vector instructions.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0f32; 8];
    let (a8, b8) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f32 = a8.remainder().iter().zip(b8.remainder()).map(|(x, y)| x * y).sum();
    for (x, y) in a8.zip(b8) {
        for i in 0..8 {
            sums[i] += x[i] * y[i];
        }
    }
    sums.iter().sum::<f32>() + rest
}

/// A trained network.
pub(super) struct Net {
    mean: Vec<f32>,
    scale: Vec<f32>,
    hidden: Layer,
    out: Layer,
}

impl Net {
    /// Learns to tell `people` persons apart; `None` without samples.
    pub(super) fn train(
        samples: &[Sample],
        people: usize,
        epochs: usize,
        rng: &mut Rng,
    ) -> Option<Self> {
        let inputs = samples.first()?.features.len();
        let count = samples.len() as f32;
        let mut mean = vec![0.0f32; inputs];
        let mut scale = vec![0.0f32; inputs];
        for sample in samples {
            for (m, x) in mean.iter_mut().zip(&sample.features) {
                *m += x / count;
            }
        }
        for sample in samples {
            for ((s, m), x) in scale.iter_mut().zip(&mean).zip(&sample.features) {
                *s += (x - m) * (x - m) / count;
            }
        }
        // A feature that hardly changes is worth no more for being small.
        for s in &mut scale {
            *s = 1.0 / s.sqrt().max(1e-3);
        }
        let hidden = Layer::new(inputs, HIDDEN, rng);
        let out = Layer::new(HIDDEN, people, rng);
        let mut net = Self { mean, scale, hidden, out };
        let ready: Vec<Vec<f32>> = samples.iter().map(|s| net.prepare(&s.features)).collect();
        let mut order: Vec<usize> = (0..samples.len()).collect();
        let mut steps = 0;
        for _ in 0..epochs {
            rng.shuffle(&mut order);
            for batch in order.chunks(BATCH) {
                for &i in batch {
                    net.learn(&ready[i], samples[i].person);
                }
                steps += 1;
                net.hidden.step(batch.len(), steps);
                net.out.step(batch.len(), steps);
            }
        }
        Some(net)
    }

    fn prepare(&self, features: &[f32]) -> Vec<f32> {
        let spread = self.mean.iter().zip(&self.scale);
        features.iter().zip(spread).map(|(x, (m, s))| ((x - m) * s).clamp(-6.0, 6.0)).collect()
    }

    fn learn(&mut self, input: &[f32], person: usize) {
        let hidden: Vec<f32> = self.hidden.forward(input).iter().map(|h| h.max(0.0)).collect();
        let mut error: Vec<f32> =
            log_shares(&self.out.forward(&hidden)).iter().map(|l| l.exp()).collect();
        error[person] -= 1.0;
        let mut back = self.out.backward(&hidden, &error);
        for (b, &h) in back.iter_mut().zip(&hidden) {
            if h <= 0.0 {
                *b = 0.0;
            }
        }
        self.hidden.backward(input, &back);
    }

    /// Who it most likely is, by all views together.
    pub(super) fn name<'a>(&self, views: impl IntoIterator<Item = &'a [f32]>) -> Option<usize> {
        let mut total = vec![0.0f32; self.out.outputs];
        for view in views {
            let hidden = self.hidden.forward(&self.prepare(view));
            let hidden: Vec<f32> = hidden.iter().map(|h| h.max(0.0)).collect();
            for (t, l) in total.iter_mut().zip(log_shares(&self.out.forward(&hidden))) {
                *t += l;
            }
        }
        total.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).map(|(person, _)| person)
    }
}

/// Logarithms of the shares that scores stand for.
fn log_shares(scores: &[f32]) -> Vec<f32> {
    let most = scores.iter().copied().fold(f32::MIN, f32::max);
    let sum: f32 = scores.iter().map(|s| (s - most).exp()).sum();
    scores.iter().map(|s| s - most - sum.ln()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_learns_what_no_line_can_tell_apart() {
        // Four clouds, two persons: the signs of the first two numbers agree or not.
        let mut rng = Rng::new(1);
        let mut cloud = |count: usize| -> Vec<Sample> {
            (0..count)
                .map(|i| {
                    let (a, b) = ([1.0, -1.0][i % 2], [1.0, -1.0][i / 2 % 2]);
                    let mut features = vec![a + 0.3 * rng.bell(), b + 0.3 * rng.bell()];
                    features.extend((0..10).map(|_| rng.bell()));
                    Sample { features, person: usize::from(a * b > 0.0) }
                })
                .collect()
        };
        let (known, held_out) = (cloud(400), cloud(200));
        let net = Net::train(&known, 2, 40, &mut Rng::new(2)).expect("samples");
        let hits =
            held_out.iter().filter(|s| net.name([s.features.as_slice()]) == Some(s.person)).count();
        assert!(hits > 180, "{hits} of 200");
        assert!(Net::train(&[], 2, 1, &mut Rng::new(3)).is_none());
    }
}
