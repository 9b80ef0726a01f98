//! From many measurements to one figure.

pub fn numbers(line: &str) -> Vec<f64> {
    line.split_whitespace()
        .map(|number| number.parse().unwrap())
        .collect()
}

pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 {
        values[middle]
    } else {
        (values[middle - 1] + values[middle]) / 2.0
    }
}

pub fn lower_quartile(values: Vec<f64>) -> f64 {
    lowest(values, 4)
}

pub fn lower_decile(values: Vec<f64>) -> f64 {
    lowest(values, 10)
}

/// The highest value of the lowest part.
fn lowest(mut values: Vec<f64>, part: usize) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / part]
}

pub fn percent_over(value: f64, base: f64) -> f64 {
    (value / base - 1.0) * 100.0
}

pub fn rounded(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}
