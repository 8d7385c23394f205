//! Logistic regression on one number: a straight line of log-odds.

/// Steps of Newton's method at most; it takes less than ten.
const STEPS: usize = 50;

/// One observation.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// What the log-odds are a line over.
    pub x: f64,
    /// What the probability should be, 0..=1.
    pub target: f64,
    /// How often it counts.
    pub weight: f64,
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
    fn loss(self, rows: &[Row]) -> f64 {
        rows.iter().map(|row| row.weight * loss(self.slope * row.x + self.intercept, row.target)).sum()
    }

    /// The line of the least loss, by Newton's method from a flat one through `intercept`. Targets that a threshold on `x`
    /// parts have none: then it is one of the steep ones.
    pub fn fit(rows: &[Row], intercept: f64) -> Self {
        let mut best = Self { slope: 0.0, intercept };
        let mut lowest = best.loss(rows);
        for _ in 0..STEPS {
            // Gradient and second derivatives, the latter kept from vanishing.
            let (mut g, mut h) = ([0.0; 2], [1e-9, 0.0, 1e-9]);
            for &Row { x, target, weight } in rows {
                let p = 1.0 / (1.0 + (-(best.slope * x + best.intercept)).exp());
                let (error, curvature) = (weight * (p - target), weight * (p * (1.0 - p)));
                g = [g[0] + error * x, g[1] + error];
                h = [h[0] + curvature * x * x, h[1] + curvature * x, h[2] + curvature];
            }
            let determinant = h[0] * h[2] - h[1] * h[1];
            let step = [(h[2] * g[0] - h[1] * g[1]) / determinant, (h[0] * g[1] - h[1] * g[0]) / determinant];
            // Half the way, and half of that, until it leads down.
            let shorter = (0..20).map(|halvings| 0.5_f64.powi(halvings)).map(|length| Self {
                slope: best.slope - length * step[0],
                intercept: best.intercept - length * step[1],
            });
            let Some((next, lower)) = shorter.map(|next| (next, next.loss(rows))).find(|(_, lower)| *lower < lowest)
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
        let row = |x, target, weight| Row { x, target, weight };
        let rows = [row(1.0, 1.0, 3.0), row(1.0, 0.0, 1.0), row(-1.0, 1.0, 1.0), row(-1.0, 0.0, 3.0)];
        let line = Line::fit(&rows, 0.0);
        assert!((line.slope - 3.0_f64.ln()).abs() < 1e-9 && line.intercept.abs() < 1e-9, "{line:?}");
        let copies: Vec<Row> =
            rows.iter().flat_map(|one| vec![row(one.x, one.target, 1.0); one.weight as usize]).collect();
        let same = Line::fit(&copies, 0.0);
        assert!((line.slope - same.slope).abs() < 1e-9 && (line.intercept - same.intercept).abs() < 1e-9, "{same:?}");
    }
}
