//! Logistic regression by Newton's method: on one number, a straight line of log-odds, and on many with a penalty.

use crate::algebra::solve;

/// Steps of Newton's method at most; it takes about ten.
const STEPS: usize = 50;

/// One observation: the log-odds are a weighted sum of the numbers `x`.
#[derive(Clone, Copy, Debug)]
pub struct Observation<X> {
    /// What the log-odds are a sum over; the last one is always 1.
    pub x: X,
    /// What the probability should be, 0..=1.
    pub target: f64,
    /// How often it counts.
    pub weight: f64,
}

impl Observation<[f64; 2]> {
    /// Of one number.
    pub fn of(x: f64, target: f64, weight: f64) -> Self {
        Self { x: [x, 1.0], target, weight }
    }
}

/// Log-odds `slope · x + intercept`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Line {
    /// By how much the log-odds rise with `x`.
    pub slope: f64,
    /// The log-odds at `x = 0`.
    pub intercept: f64,
}

/// The probability whose log-odds are `logit`.
pub fn sigmoid(logit: f32) -> f32 {
    1.0 / (1.0 + (-logit).exp())
}

/// Binary cross-entropy of log-odds against a target, in nats; it overflows nowhere.
pub fn loss(log_odds: f64, target: f64) -> f64 {
    log_odds.max(0.0) - target * log_odds + (-log_odds.abs()).exp().ln_1p()
}

impl Line {
    fn loss(self, observations: &[Observation<[f64; 2]>]) -> f64 {
        observations.iter().map(|one| one.weight * loss(self.slope * one.x[0] + self.intercept, one.target)).sum()
    }

    /// The line of the least loss, by Newton's method from a flat one through `intercept`. Targets that a threshold on `x`
    /// parts have none: then it is one of the steep ones.
    pub fn fit(observations: &[Observation<[f64; 2]>], intercept: f64) -> Self {
        let mut best = Self { slope: 0.0, intercept };
        let mut lowest = best.loss(observations);
        let mut derivatives = Derivatives::new(2);
        for _ in 0..STEPS {
            derivatives.update(observations, &[best.slope, best.intercept], 0.0);
            let Derivatives { gradient: g, hessian: h } = &derivatives;
            // By Cramer's rule: the second derivatives may nearly vanish.
            let determinant = h[0][0] * h[1][1] - h[1][0] * h[1][0];
            let step =
                [(h[1][1] * g[0] - h[1][0] * g[1]) / determinant, (h[0][0] * g[1] - h[1][0] * g[0]) / determinant];
            // Half the way, and half of that, until it leads down.
            let shorter = (0..20).map(|halvings| 0.5_f64.powi(halvings)).map(|length| Self {
                slope: best.slope - length * step[0],
                intercept: best.intercept - length * step[1],
            });
            let Some((next, lower)) =
                shorter.map(|next| (next, next.loss(observations))).find(|(_, lower)| *lower < lowest)
            else {
                break;
            };
            let gain = lowest - lower;
            (best, lowest) = (next, lower);
            if gain < 1e-12 * lowest {
                break;
            }
        }
        best
    }
}

/// The weights of the least loss plus `penalty / 2` times the sum of their squares, all but the last; `None` without
/// observations, or where there is no such least.
pub fn fit_penalised(observations: &[Observation<Vec<f64>>], penalty: f64) -> Option<Vec<f64>> {
    let count = observations.first()?.x.len();
    let mut weights = vec![0.0; count];
    for _ in 0..STEPS {
        let mut derivatives = Derivatives::new(count);
        derivatives.update(observations, &weights, penalty);
        let step = solve(derivatives.hessian, derivatives.gradient)?;
        weights.iter_mut().zip(&step).for_each(|(weight, step)| *weight -= step);
        if step.iter().all(|step| step.abs() < 1e-9) {
            break;
        }
    }
    Some(weights)
}

/// First and second derivatives of the loss by the weights.
struct Derivatives {
    gradient: Vec<f64>,
    /// Its lower half, row by row.
    hessian: Vec<Vec<f64>>,
}

impl Derivatives {
    fn new(count: usize) -> Self {
        Self { gradient: vec![0.0; count], hessian: (1..=count).map(|length| vec![0.0; length]).collect() }
    }

    fn update<X: AsRef<[f64]>>(&mut self, observations: &[Observation<X>], weights: &[f64], penalty: f64) {
        let last = weights.len() - 1;
        for (i, (gradient, row)) in self.gradient.iter_mut().zip(&mut self.hessian).enumerate() {
            let penalty = if i < last { penalty } else { 0.0 };
            *gradient = penalty * weights[i];
            row.fill(0.0);
            // Kept from vanishing.
            row[i] = penalty.max(1e-9);
        }
        for Observation { x, target, weight } in observations {
            let x = x.as_ref();
            let z: f64 = x.iter().zip(weights).map(|(x, weight)| x * weight).sum();
            let p = 1.0 / (1.0 + (-z).exp());
            let (error, curvature) = (weight * (p - target), weight * (p * (1.0 - p)));
            for ((value, gradient), row) in x.iter().zip(&mut self.gradient).zip(&mut self.hessian) {
                *gradient += error * value;
                row.iter_mut().zip(x).for_each(|(sum, other)| *sum += curvature * value * other);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loss_is_stable_and_right() {
        assert!((loss(0.0, 1.0) - std::f64::consts::LN_2).abs() < 1e-12);
        assert!(
            (loss(2.0, 0.25) - (0.25 * (1.0 + (-2.0_f64).exp()).ln() + 0.75 * (1.0 + 2.0_f64.exp()).ln())).abs()
                < 1e-12
        );
        assert_eq!((loss(2000.0, 1.0), loss(2000.0, 0.0), loss(-2000.0, 1.0)), (0.0, 2000.0, 2000.0));
    }

    #[test]
    fn the_line_goes_through_the_shares_and_weights_are_copies() {
        // Of 1 and of −1 three in four are as their sign says: the line goes through ln 3 and −ln 3.
        let row = Observation::of;
        let rows = [row(1.0, 1.0, 3.0), row(1.0, 0.0, 1.0), row(-1.0, 1.0, 1.0), row(-1.0, 0.0, 3.0)];
        let line = Line::fit(&rows, 0.0);
        assert!((line.slope - 3.0_f64.ln()).abs() < 1e-9 && line.intercept.abs() < 1e-9, "{line:?}");
        let copies: Vec<_> =
            rows.iter().flat_map(|one| vec![row(one.x[0], one.target, 1.0); one.weight as usize]).collect();
        let same = Line::fit(&copies, 0.0);
        assert!((line.slope - same.slope).abs() < 1e-9 && (line.intercept - same.intercept).abs() < 1e-9, "{same:?}");
    }
}
