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

pub fn lower_quartile(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 4]
}

pub fn percent_over(value: f64, base: f64) -> f64 {
    (value / base - 1.0) * 100.0
}

pub fn rounded(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}
