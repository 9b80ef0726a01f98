//! Numbers as people read them.

/// About three digits, and never more than a dozen.
pub fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if size < 0.0005 => "<0.001".to_owned(),
        size if size < 0.9995 => format!("{value:.3}"),
        size if size < 9.995 => format!("{value:.2}"),
        size if size < 99.95 => format!("{value:.1}"),
        size if size < 1e10 => format!("{value:.0}"),
        _ => format!("{value:.2e}"),
    }
}

/// Bytes in the unit that fits.
pub fn bytes(value: f64) -> String {
    let units = ["B", "kB", "MB", "GB", "TB", "PB"];
    let mut value = value;
    for unit in units {
        if value.abs() < 999.5 {
            return format!("{} {unit}", number(value));
        }
        value /= 1000.0;
    }
    format!("{} EB", number(value))
}

/// A part as a percentage.
pub fn percent(part: f64) -> String {
    // No sign where there is nothing behind it.
    let percent = (part * 1000.0).round() / 10.0 + 0.0;
    match percent.abs() < 1e6 {
        true => format!("{percent:.1} %"),
        false => format!("{percent:.2e} %"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_the_digits_that_matter() {
        for (value, expected) in [
            (0.0, "0"),
            (0.0001, "<0.001"),
            (0.0123, "0.012"),
            (0.9999, "1.00"),
            (1.234, "1.23"),
            (12.34, "12.3"),
            (123_456.7, "123457"),
            (1e300, "1.00e300"),
        ] {
            assert_eq!(number(value), expected);
        }
        assert_eq!(bytes(999.0), "999 B");
        assert_eq!(bytes(12_345_678.0), "12.3 MB");
        assert_eq!(bytes(-1.5e9), "-1.50 GB");
        assert_eq!(bytes(1e19), "10.0 EB");
        assert_eq!(percent(0.8234), "82.3 %");
        assert_eq!(percent(-0.1), "-10.0 %");
        assert_eq!(percent(-0.00001), "0.0 %");
    }
}
