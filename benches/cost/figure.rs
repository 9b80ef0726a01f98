//! A figure, and how it is told.

use serde_json::{Value, json};

/// One result, and what it must not exceed.
pub struct Figure {
    pub name: &'static str,
    /// What the drop-in costs beyond the stock engine.
    pub cost: f64,
    pub unit: &'static str,
    pub bound: Option<f64>,
    /// The numbers that the cost was made of.
    pub details: Value,
}

impl Figure {
    pub fn is_good(&self) -> bool {
        self.bound.is_none_or(|bound| self.cost <= bound)
    }

    pub fn line(&self) -> String {
        let verdict = match self.bound {
            None => "    ",
            Some(_) if self.is_good() => "pass",
            Some(_) => "FAIL",
        };
        let bound = match self.bound {
            None => "no bound".to_owned(),
            Some(bound) => format!("bound {bound} {}", self.unit),
        };
        let cost = format!("{:+.2} {}", self.cost, self.unit);
        format!(
            "{verdict}  {:18}  {cost:>15}   {bound:15}  {}",
            self.name, self.details
        )
    }

    pub fn document(&self) -> Value {
        json!({
            "name": self.name,
            "cost": self.cost,
            "unit": self.unit,
            "bound": self.bound,
            "good": self.is_good(),
            "details": self.details,
        })
    }
}
