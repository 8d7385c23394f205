//! A little linear algebra on small dense matrices, row by row, in one order: the same numbers on every processor.

/// Sweeps over all pairs of rows; a dozen suffice for hundreds of rows.
const SWEEPS: usize = 30;

/// A sum over points of the products of all pairs of their numbers: `Σ p pᵀ`.
pub struct Moments {
    size: usize,
    /// The lower triangle, row by row.
    sums: Vec<f64>,
}

impl Moments {
    /// Of no points yet, of `size` numbers each.
    pub fn new(size: usize) -> Self {
        Self { size, sums: vec![0.0; size * (size + 1) / 2] }
    }

    /// Adds a point.
    pub fn add(&mut self, point: &[f64]) {
        let mut rest = self.sums.as_mut_slice();
        for (i, a) in point.iter().enumerate().take(self.size) {
            let (row, below) = rest.split_at_mut(i + 1);
            row.iter_mut().zip(point).for_each(|(sum, b)| *sum += a * b);
            rest = below;
        }
    }

    /// The whole symmetric matrix, all of it times `factor`.
    pub fn matrix(&self, factor: f64) -> Vec<Vec<f64>> {
        let at = |i: usize, j: usize| self.sums[i.max(j) * (i.max(j) + 1) / 2 + i.min(j)] * factor;
        (0..self.size).map(|i| (0..self.size).map(|j| at(i, j)).collect()).collect()
    }
}

/// Eigenvalues, the largest first, each with its eigenvector of length 1, of a symmetric matrix: Jacobi's method (Golub
/// and Van Loan, Matrix Computations, 8.5).
pub fn eigen(mut a: Vec<Vec<f64>>) -> Vec<(f64, Vec<f64>)> {
    let n = a.len();
    let mut vectors: Vec<Vec<f64>> = (0..n).map(|i| (0..n).map(|j| f64::from(u8::from(i == j))).collect()).collect();
    let total: f64 = a.iter().flatten().map(|v| v * v).sum();
    for _ in 0..SWEEPS {
        let apart: f64 = (0..n).map(|i| a[i][..i].iter().map(|v| v * v).sum::<f64>()).sum();
        if apart <= 1e-20 * total {
            break;
        }
        for p in 0..n {
            for q in p + 1..n {
                if a[p][q] == 0.0 {
                    continue;
                }
                let tau = (a[q][q] - a[p][p]) / (2.0 * a[p][q]);
                let tangent = tau.signum() / (tau.abs() + tau.hypot(1.0));
                let cosine = 1.0 / tangent.hypot(1.0);
                let sine = tangent * cosine;
                for row in &mut a {
                    (row[p], row[q]) = (cosine * row[p] - sine * row[q], sine * row[p] + cosine * row[q]);
                }
                rotate(&mut a, p, q, cosine, sine);
                rotate(&mut vectors, p, q, cosine, sine);
            }
        }
    }
    let mut pairs: Vec<(f64, Vec<f64>)> = vectors.into_iter().enumerate().map(|(i, v)| (a[i][i], v)).collect();
    pairs.sort_by(|a, b| b.0.total_cmp(&a.0));
    pairs
}

/// Rotates two rows.
fn rotate(rows: &mut [Vec<f64>], p: usize, q: usize, cosine: f64, sine: f64) {
    let (above, below) = rows.split_at_mut(q);
    for (x, y) in above[p].iter_mut().zip(&mut below[0]) {
        (*x, *y) = (cosine * *x - sine * *y, sine * *x + cosine * *y);
    }
}

/// Solves `a x = b` for a symmetric positive definite matrix, of which only the lower half is read, by Cholesky's method;
/// `None` if it is not one.
pub fn solve(mut a: Vec<Vec<f64>>, mut b: Vec<f64>) -> Option<Vec<f64>> {
    let n = b.len();
    for i in 0..n {
        for j in 0..=i {
            let sum = a[i][j] - a[i][..j].iter().zip(&a[j][..j]).map(|(x, y)| x * y).sum::<f64>();
            if i > j {
                a[i][j] = sum / a[j][j];
            } else if sum > 0.0 && sum.is_finite() {
                a[i][i] = sum.sqrt();
            } else {
                return None;
            }
        }
    }
    for i in 0..n {
        let known: f64 = a[i][..i].iter().zip(&b).map(|(x, y)| x * y).sum();
        b[i] = (b[i] - known) / a[i][i];
    }
    for i in (0..n).rev() {
        let known: f64 = (i + 1..n).map(|j| a[j][i] * b[j]).sum();
        b[i] = (b[i] - known) / a[i][i];
    }
    Some(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A symmetric positive definite matrix without any order.
    fn matrix(n: usize) -> Vec<Vec<f64>> {
        let mut moments = Moments::new(n);
        for k in 0..2 * n {
            moments.add(&(0..n).map(|i| ((k * 31 + i * i * 17 + i * k * 7) % 23) as f64 - 11.0).collect::<Vec<_>>());
        }
        moments.matrix(0.5)
    }

    fn product(a: &[Vec<f64>], x: &[f64]) -> Vec<f64> {
        a.iter().map(|row| row.iter().zip(x).map(|(a, b)| a * b).sum()).collect()
    }

    #[test]
    fn eigenvectors_are_only_stretched_and_stand_at_right_angles() {
        let a = matrix(9);
        let pairs = eigen(a.clone());
        assert!(pairs.windows(2).all(|w| w[0].0 >= w[1].0));
        for (i, (value, vector)) in pairs.iter().enumerate() {
            for (x, y) in product(&a, vector).iter().zip(vector) {
                assert!((x - value * y).abs() < 1e-7 * pairs[0].0, "{x} {value} {y}");
            }
            for (j, (_, other)) in pairs.iter().enumerate() {
                let along: f64 = vector.iter().zip(other).map(|(x, y)| x * y).sum();
                assert!((along - f64::from(u8::from(i == j))).abs() < 1e-9);
            }
        }
    }

    #[test]
    fn a_solution_fulfils_its_equations() {
        let a = matrix(7);
        let b: Vec<f64> = (0..7).map(|i| f64::from(i * i) - 5.0).collect();
        let x = solve(a.clone(), b.clone()).unwrap();
        assert!(product(&a, &x).iter().zip(&b).all(|(x, y)| (x - y).abs() < 1e-6));
        assert_eq!(solve(vec![vec![-1.0]], vec![1.0]), None);
        assert_eq!(solve(vec![vec![f64::INFINITY]], vec![1.0]), None);
        // 4x + 2y = 10, 2x + 3y = 9: x = 1.5, y = 2. The upper half is not read.
        let solution = solve(vec![vec![4.0, f64::NAN], vec![2.0, 3.0]], vec![10.0, 9.0]).unwrap();
        assert!((solution[0] - 1.5).abs() < 1e-12 && (solution[1] - 2.0).abs() < 1e-12, "{solution:?}");
        assert_eq!(solve(vec![vec![1.0, 0.0], vec![2.0, 1.0]], vec![1.0, 1.0]), None);
    }
}
